"""Result files: figures together with where they come from."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from .atomic import atomic_write

# Of files that `merit compare` and the cards read; raised when earlier ones would be misread.
FORMAT = 1
LIBRARIES = ("torch", "transformers", "datasets", "numpy", "scipy", "scikit-learn", "wfdb")


def provenance(data: str | Path | None = None) -> dict[str, Any]:
    """
    Command, commit, versions and machine of this process, and the version of the data set.

    Args:
        data: root of a PTB-XL tree; its database file is named by hash.
    """
    program = Path(sys.argv[0])
    command = f"python {program.parent.name}/{program.name}" if program.suffix == ".py" else program.name
    command = " ".join([command, *map(_without_machine, sys.argv[1:])])
    git = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    commit = subprocess.run(git, cwd=Path(__file__).parent, capture_output=True, text=True, check=False).stdout.strip()
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    facts = {
        "command": command,
        "commit": commit or "not a git checkout",
        "machine": {"architecture": platform.machine(), "cores": os.cpu_count(), **gpu},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }
    if data is not None:
        database = (Path(data) / "ptbxl_database.csv").read_bytes()
        facts["data"] = {
            "records": database.count(b"records100/"),
            "database_sha256": hashlib.sha256(database).hexdigest(),
        }
    return facts


def _without_machine(argument: str) -> str:
    """An argument as another person would type it: a result file is no place for the folders of one machine."""
    path = Path(argument)
    if not path.is_absolute():
        return argument
    return "$PTBXL_ROOT" if argument == os.environ.get("PTBXL_ROOT") else path.name


def results_of(folder: Path) -> dict[str, dict[str, Any]]:
    """
    The result files of a model's folder that say their format, by their paths in it.

    Raises:
        ValueError: one has a format that this version does not read.
    """
    read = {}
    for path in sorted(folder.glob("results/*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if "format" not in content:
            continue
        if content["format"] != FORMAT:
            raise ValueError(f"{path} has format {content['format']}, and this version of MERIT reads {FORMAT}.")
        read[path.relative_to(folder).as_posix()] = content
    return read


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Write a result file whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
