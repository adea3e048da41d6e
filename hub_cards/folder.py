"""What an exported folder holds beside the model, and where it comes from."""

import json
from pathlib import Path

from huggingface_hub import snapshot_download

from ..training.results.atomic import atomic_write

# What a folder knows of the Hub. It stays on the machine.
HUB_STATE = ".hub.json"


def fetch(model: str) -> tuple[Path, str | None]:
    """The folder of a model, downloaded where `model` is a Hub id, and then the commit that it is."""
    if Path(model).is_dir():
        return Path(model), None
    folder = Path(snapshot_download(model))
    return folder, folder.name


def example_record(folder: str | Path) -> Path | None:
    """The example recording of an exported folder, if it has one."""
    headers = sorted((Path(folder) / "example").glob("*.hea"))
    return headers[0].with_suffix("") if headers else None


def known_commits(directory: str | Path) -> dict[str, str]:
    """The commit of each repository and branch, "org/merit@main", that a folder comes from."""
    path = Path(directory) / HUB_STATE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def remember(directory: str | Path, repo_id: str, revision: str, commit: str) -> None:
    """Note in a folder which commit of a branch it holds."""
    known = known_commits(directory) | {f"{repo_id}@{revision}": commit}
    with atomic_write(Path(directory) / HUB_STATE) as temporary:
        temporary.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
