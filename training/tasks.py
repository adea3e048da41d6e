"""Label tasks as data: which labels a task has, and which label each statement of a record stands for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["Task", "ptbxl_tasks"]


@dataclass(frozen=True)
class Task:
    """A multi-label classification task.

    Attributes:
        name: for example "super".
        labels: the classes, in the order of the label vector.
        label_of: the label that each statement code stands for; other codes do not belong to the task.
    """

    name: str
    labels: tuple[str, ...]
    label_of: Mapping[str, str]

    def encode(self, codes: Iterable[str]) -> np.ndarray:
        """Return the label vector of a record, (labels,) uint8 of 0 and 1; all 0 where no code belongs to the task.

        Example:
            >>> Task("super", ("CD", "MI"), {"IMI": "MI", "CLBBB": "CD"}).encode(["IMI", "SR"])
            array([0, 1], dtype=uint8)
        """
        present = {self.label_of[code] for code in codes if code in self.label_of}
        return np.array([label in present for label in self.labels], dtype=np.uint8)


def ptbxl_tasks(root: str | Path) -> dict[str, Task]:
    """Build the tasks "all", "diagnostic", "sub", "super", "form" and "rhythm" from ROOT/scp_statements.csv.

    The labels of a task are those that occur in the file, sorted: 71, 44, 23, 5, 19 and 12 in PTB-XL 1.0.3, fewer where
    the file lists only some statements; a task of which it lists none is left out. Every statement of a record counts,
    whatever its likelihood.

    Raises:
        FileNotFoundError: there is no scp_statements.csv.
        ValueError: it lacks a column, or names a statement twice.
    """
    path = Path(root) / "scp_statements.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; the root of a PTB-XL tree holds it")
    statements = pd.read_csv(path, index_col=0)
    statements.index = statements.index.astype(str)
    columns = {"diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"}
    if missing := sorted(columns - set(statements.columns)):
        raise ValueError(f"{path} lacks the column {', '.join(missing)}")
    if not statements.index.is_unique:
        raise ValueError(f"{path} names {statements.index[statements.index.duplicated()][0]} twice")

    def by_column(name: str, column: str) -> Task:
        label_of = {str(code): str(label) for code, label in statements[column].dropna().items()}
        return Task(name, tuple(sorted(set(label_of.values()))), label_of)

    def by_code(name: str, codes: Iterable[str]) -> Task:
        label_of = {code: code for code in codes}
        return Task(name, tuple(sorted(label_of)), label_of)

    def of_kind(kind: str) -> Task:
        return by_code(kind, statements.index[statements[kind] == 1])

    tasks = [
        by_code("all", statements.index),
        of_kind("diagnostic"),
        by_column("sub", "diagnostic_subclass"),
        by_column("super", "diagnostic_class"),
        of_kind("form"),
        of_kind("rhythm"),
    ]
    return {task.name: task for task in tasks if task.labels}
