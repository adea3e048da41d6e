"""Where an exported folder is, its example recording, and the commits on the Hub that it comes from."""

import json
from glob import escape
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.utils import HFValidationError, validate_repo_id

from ..training.results.atomic import atomic_write

# The commits that a folder comes from. This file is not published.
HUB_STATE = ".hub.json"


def fetch(model: str) -> tuple[Path, str | None]:
    """
    The folder of a model; if `model` is a Hub id, it is downloaded, and its commit is returned too.

    Raises:
        FileNotFoundError: `model` is neither a folder nor a Hub id.
    """
    if Path(model).is_dir():
        return Path(model), None
    try:
        validate_repo_id(model)
    except HFValidationError:
        raise FileNotFoundError(
            f"{model} is not a folder here, and not a model on the Hub, whose name would be like org/name."
        ) from None
    folder = Path(snapshot_download(model))
    return folder, folder.name


def moved_away(directory: str | Path) -> Path | None:
    """Where `write_whole` left the earlier export of a folder, if it was killed before it put the new one in place."""
    directory = Path(directory)
    if directory.exists():
        return None
    left = directory.parent.glob(f".{escape(directory.name)}.{'[0-9a-f]' * 8}.replaced")
    return max(left, key=lambda path: path.stat().st_mtime, default=None)


def example_record(folder: str | Path) -> Path | None:
    """The example recording of an exported folder, if it has one."""
    headers = sorted((Path(folder) / "example").glob("*.hea"))
    return headers[0].with_suffix("") if headers else None


def known_commits(directory: str | Path) -> dict[str, str]:
    """The commits that a folder comes from, by repository and branch such as "org/merit@main"."""
    path = Path(directory) / HUB_STATE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def remember(directory: str | Path, repo_id: str, revision: str, commit: str) -> None:
    """Record in a folder which commit of a branch it holds."""
    known = known_commits(directory) | {f"{repo_id}@{revision}": commit}
    with atomic_write(Path(directory) / HUB_STATE) as temporary:
        temporary.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
