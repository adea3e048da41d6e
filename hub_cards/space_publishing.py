"""Publish the web page as a Space: its files, the wheel of this package, and a requirements.txt that names it."""

import shutil
import tempfile
from pathlib import Path

from huggingface_hub import HfApi

SPACE = Path(__file__).parent / "space"
FILES = ("app.py", "README.md")


def prepare_space(directory: str | Path, wheel: str | Path, repo_id: str, endpoint: str) -> Path:
    """
    Write the files of a Space.

    Args:
        directory: folder to write into.
        wheel: of this package, such as `make dist` writes.
        repo_id: of the Space, such as "org/merit"; the wheel is installed from there, because a Space installs its
            requirements before it has its own files.
        endpoint: of the Hub.

    Raises:
        ValueError: `wheel` is no wheel of this package.
    """
    directory, wheel = Path(directory), Path(wheel)
    if not (wheel.is_file() and wheel.name.startswith("merit_ecg-") and wheel.suffix == ".whl"):
        raise ValueError(f"{wheel} is not a wheel of merit-ecg: pass the one that `make dist` writes to dist/.")
    for name in FILES:
        shutil.copy(SPACE / name, directory / name)
    shutil.copy(wheel, directory / wheel.name)
    address = f"{endpoint}/spaces/{repo_id}/resolve/main/{wheel.name}"
    (directory / "requirements.txt").write_text(f"merit-ecg[app] @ {address}\n", encoding="utf-8")
    return directory


def publish_space(
    repo_id: str, wheel: str | Path, model: str, report_model: str | None = None, *, dry_run: bool = False
) -> str:
    """
    Create or update a Space in one commit.

    Args:
        repo_id: such as "org/merit".
        wheel: of this package.
        model, report_model: Hub ids of the checkpoints that the page uses.
        dry_run: show the files, and send nothing.

    Returns:
        the address of the Space.
    """
    api = HfApi(library_name="merit")
    with tempfile.TemporaryDirectory() as folder:
        prepare_space(folder, wheel, repo_id, api.endpoint)
        if dry_run:
            print(*sorted(path.name for path in Path(folder).iterdir()), "Nothing was sent.", sep="\n")
        else:
            api.create_repo(repo_id, repo_type="space", space_sdk="gradio", exist_ok=True)
            for name, value in (("MERIT_MODEL", model), ("MERIT_REPORT_MODEL", report_model)):
                if value:
                    api.add_space_variable(repo_id, name, value)
            api.upload_folder(
                folder_path=folder, repo_id=repo_id, repo_type="space", commit_message="Publish the web page of MERIT"
            )
    url = f"{api.endpoint}/spaces/{repo_id}"
    print(url)
    return url
