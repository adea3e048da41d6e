"""A folder of one's own recordings, described by a CSV file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ....processing.recordings_merit import Recording, read_recording
from ..schema import Record, fold_of
from ..tasks import Task
from .base import check_records, fingerprint, read_table, safe_path, to_age, to_fold, to_sex

__all__ = ["Folder"]

TABLE = "records.csv"
OPTIONAL = ["report", "labels", "patient_id", "fold", "age", "sex", "sampling_rate", "units"]


class Folder:
    """Recordings of one's own as a [`Source`], with reports, labels or both.

    The CSV file has a row for each recording. Its columns:
        path: WFDB record or CSV file, relative to `root`
        report: what was found, in words; at least one of report and labels must be there
        labels: names separated by semicolons; they make the task "own"
        patient_id: whose it is; by default every recording is a patient of its own
        fold: 1 to 8 train, 9 validation, 10 test; by default it follows from the patient, see `fold_of`
        age (years), sex (male or female)
        sampling_rate (Hz), units (mV, uV or V): of CSV recordings, which do not say them

    Args:
        root: the folder.
        table: the CSV file; by default records.csv in `root`.
        labels: the labels of the task; by default those that occur.
        name: what to call the data set.

    Raises:
        FileNotFoundError: the CSV file is missing.
        ValueError: it lacks a column or a value, a value is not what it should be, a label is not one of `labels`, a
            recording is named twice, or a patient stands in two splits.
    """

    def __init__(
        self,
        root: str | Path,
        table: str | Path | None = None,
        labels: Sequence[str] | None = None,
        name: str = "own",
    ):
        self.root, self.name = Path(root), name
        self.file = self.root / TABLE if table is None else Path(table)
        rows = read_table(self.file, ["path"], optional=OPTIONAL)
        if not (rows["report"] + rows["labels"]).any():
            raise ValueError(f"{self.file} says nothing in columns report or labels; a data set needs one of them")
        for row, path in zip(rows.index, rows["path"]):
            safe_path(self.root, path, f"{self.file}: path in row {row + 2}")
        rows["record_id"] = rows["path"]
        rows["patient_id"] = rows["patient_id"].where(rows["patient_id"] != "", rows["path"])
        rows["fold"] = [
            to_fold(fold, f"{self.file}: fold in row {row + 2}") if fold else fold_of(name, patient)
            for row, fold, patient in zip(rows.index, rows["fold"], rows["patient_id"])
        ]
        check_records(rows, self.file)
        self.tasks = self._tasks(rows["labels"], labels)
        self.rows = {row["path"]: row for row in rows.to_dict("records")}
        self.count = len(rows)

    def _tasks(self, column: pd.Series, labels: Sequence[str] | None) -> dict[str, Task]:
        present = {label: row for row, text in enumerate(column, start=2) for label in _split(text)}
        labels = sorted(present) if labels is None else labels
        for label, row in present.items():
            if label not in labels:
                raise ValueError(f"{self.file}: the label {label!r} in row {row} is not one of {', '.join(labels)}")
        return {"own": Task("own", tuple(labels), {label: (label,) for label in labels})} if labels else {}

    def fingerprint(self) -> str:
        folders = {self.root / Path(path).parent for path in self.rows}
        return fingerprint([self.file], folders, self.name, [task.labels for task in self.tasks.values()])

    def records(self) -> Iterator[Record]:
        for path, row in self.rows.items():
            yield Record(
                record_id=path,
                patient_id=row["patient_id"],
                fold=row["fold"],
                age=to_age(row["age"]),
                sex=to_sex(row["sex"]),
                report_raw=row["report"],
                report=" ".join(row["report"].lower().split()),
                codes=_split(row["labels"]),
            )

    def read(self, record: Record) -> tuple[Record, Recording]:
        row = self.rows[record.record_id]
        for column, value in (("age", record.age), ("sex", record.sex)):
            if row[column] and value is None:
                raise ValueError(f"{self.file}: the {column} of {record.record_id} is {row[column]!r}; leave it empty")
        try:
            rate = float(row["sampling_rate"]) if row["sampling_rate"] else None
        except ValueError:
            raise ValueError(
                f"{self.file}: the sampling_rate of {record.record_id} is {row['sampling_rate']!r}, not a number of Hz"
            ) from None
        return record, read_recording(self.root / record.record_id, rate, row["units"] or None)


def _split(labels: str) -> list[str]:
    return [label.strip() for label in labels.split(";") if label.strip()]
