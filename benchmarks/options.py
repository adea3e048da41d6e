"""Options of the programs, which results are missing, and what of them is written."""

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def data_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option `--data`, which the environment variable PTBXL_ROOT may give instead."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.environ.get("PTBXL_ROOT")
    parser.add_argument("--data", type=Path, default=root, required=root is None, help="PTB-XL's folder ($PTBXL_ROOT)")
    return parser


def missing_results(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Each name without a result file in the folder, and the path of that file; prints the others."""
    for name in names:
        path = folder / f"{name}.json"
        if path.is_file():
            print(f"{path} exists")
        else:
            yield name, path


def without_replicates(figures: Any) -> Any:
    """A copy of nested dictionaries and lists without the entries "replicates", which are no JSON."""
    if isinstance(figures, dict):
        return {key: without_replicates(value) for key, value in figures.items() if key != "replicates"}
    return [without_replicates(value) for value in figures] if isinstance(figures, list) else figures
