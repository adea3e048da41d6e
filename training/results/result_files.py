"""Result files: figures with the command, data, commit and machine that they come from."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from .atomic import atomic_write

File = dict[str, Any]
"""The content of a result file."""
Result = dict[str, Any]
"""
A result in it: "task", "method", "setting" (what differs from the default of the method), "split", "records", "metrics"
(figures with their intervals) and, by method, figures per label, scores, replicates and counts.
"""
# The format of the files that `merit compare` and the cards read; raised when earlier versions would misread them.
FORMAT = 2
READABLE = (1, FORMAT)
LINE_LENGTH = 120
# Keys of the settings of results on perturbed recordings.
PERTURBED = {"leads", "sampling_rate", "noise", "seconds"}
# Keys of a result that a result file holds as they are; `compact_result` decides about the others.
_KEPT = (
    *("task", "method", "setting", "split", "records", "candidates", "chosen", "right", "metrics"),
    *("distinct", "examples", "says_most_often"),
)
LIBRARIES = ("torch", "transformers", "datasets", "numpy", "scipy", "scikit-learn")


def provenance(data: str | Path | None = None) -> dict[str, Any]:
    """
    Command, commit, versions and machine of this process, and the version of the data set.

    Args:
        data: root of a PTB-XL tree, identified by the hash of its database file.
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
    """An argument without the folders of this machine, as another person would type it."""
    path = Path(argument)
    if not path.is_absolute():
        return argument
    return "$PTBXL_ROOT" if argument == os.environ.get("PTBXL_ROOT") else path.name


def read_result_file(path: str | Path) -> dict[str, Any]:
    """
    Read a result file of this format or of format 1.

    Raises:
        ValueError: the file is not JSON, or has a format that this version does not read.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") not in READABLE:
        found = content.get("format", "no format") if isinstance(content, dict) else "no format"
        raise ValueError(
            f"{path} is not a result file that this version of MERIT reads: it has format {found}, not one of "
            f"{', '.join(map(str, READABLE))}."
        )
    return content


def results_of(folder: Path) -> dict[str, dict[str, Any]]:
    """
    The result files of the folder of a model, by their paths in it; JSON files without a format are left out.

    Raises:
        ValueError: a file has a format that this version does not read.
    """
    paths = sorted(folder.glob("results/*.json"))
    formatted = [path for path in paths if "format" in json.loads(path.read_text(encoding="utf-8"))]
    return {path.relative_to(folder).as_posix(): read_result_file(path) for path in formatted}


def compact_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """
    The part of a result that stands in a result file: the figures that tables, plots and cards show.

    Scores and replicates go to a scores file. Figures per label and reliability are kept for results without a
    setting; on perturbed recordings, macro AUROC is the only figure.
    """
    kept = {key: value for key, value in result.items() if key in _KEPT}
    setting = result["setting"]
    if set(setting) & PERTURBED:
        kept["metrics"] = {name: figure for name, figure in result["metrics"].items() if name == "auroc"}
    if not setting and "labels" in result:
        kept["labels"] = {
            label: {"positives": result["positives"][label]}
            | {name: figures[name] for name in ("auroc", "auprc", "f1") if name in figures}
            for label, figures in result["labels"].items()
        }
        kept |= {key: result[key] for key in ("reliability",) if key in result}
    if isinstance(result.get("statements"), int) or setting.get("reports") == "generated":
        kept["statements"] = result["statements"]
    return kept


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file as a whole, with short dictionaries and lists of numbers on one line."""
    with atomic_write(path) as temporary:
        temporary.write_text(_layout(content) + "\n", encoding="utf-8")


def _layout(value: Any, indent: str = "") -> str:
    line = json.dumps(value)
    items = value if isinstance(value, (list, tuple)) else list(value.values()) if isinstance(value, Mapping) else ()
    nested = any(isinstance(item, (Mapping, list, tuple)) and item for item in items)
    if len(indent) + len(line) <= LINE_LENGTH or not items or (not isinstance(value, Mapping) and not nested):
        return line
    inner = indent + " "
    if isinstance(value, Mapping):
        parts = [f"{inner}{json.dumps(str(key))}: {_layout(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _layout(item, inner) for item in value) + f"\n{indent}]"
