"""What the tables of the documents are made with."""

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from merit.training.results.table import markdown

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
TASKS = ("all", "diagnostic", "sub", "super", "form", "rhythm")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def load(name: str) -> dict[str, Any]:
    return read(RESULTS / name)


def section(title: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A title and a table under it, whose first column has no heading."""
    return f"{title}\n\n{markdown(['', *header], [list(row) for row in rows])}"


def facts(title: str, rows: Mapping[str, str], content: Mapping[str, Any]) -> str:
    """A title and a table of two columns: names and values, both format strings of the content of a file."""
    return section(title, [""], ([name.format(**content), value.format(**content)] for name, value in rows.items()))


def mean_and_range(shares: Iterable[float]) -> str:
    """Shares in percent: the mean, and the range if there are several; "-" for none."""
    values = [100 * share for share in shares]
    if not values:
        return "-"
    return f"{statistics.mean(values):.1f}" + (f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else "")
