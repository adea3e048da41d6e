"""A folder of your own recordings, described by a CSV file."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ....processing.inputs_merit import to_recordings
from ....processing.recordings_merit import Recording
from ..schema import Record, fold_of
from ..tasks import Task
from .base import check_records, fingerprint, read_table, safe_path, to_age, to_fold, to_sex

__all__ = ["Folder"]

TABLE = "records.csv"
RECORD_SUFFIXES = (".hea", ".dat", ".mat")
MAX_AGE = 130
OPTIONAL = ["report", "labels", "patient_id", "fold", "age", "sex", "sampling_rate", "units", "leads"]


class Folder:
    """Your own recordings as a [`Source`], with reports, labels or both.

    The CSV file has one row per recording. Its columns:
        path: WFDB record, CSV file or any other file that `MeritProcessor` reads, relative to `root`
        report: text of the report; the table needs reports or labels
        labels: names separated by semicolons, which form the task "own"
        patient_id: by default every recording is a separate patient
        fold: 1 to 8 train, 9 validation, 10 test; by default it follows from the patient, see `fold_of`
        age (years), sex (male or female)
        sampling_rate (Hz), units (mV, uV or V), leads (names separated by semicolons): of files that do not state them,
            such as CSV and .npy; those of files that do must agree with them

    Args:
        root: the folder; recordings must lie inside, also after following links.
        table: the CSV file; by default records.csv in `root`.
        labels: the labels of the task; by default those that occur.
        name: name of the data set.

    Raises:
        FileNotFoundError: the CSV file is missing.
        ValueError: it lacks a column or a value, a value is invalid, a label is not one of `labels`, a recording occurs
            twice, or a patient is in two splits.
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
            raise ValueError(f"{self.file} has neither reports nor labels; fill in one of these columns")
        self._check_paths(rows["path"])
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

    def _check_paths(self, paths: pd.Series) -> None:
        """Refuse paths that leave the folder, and two spellings of one record."""
        first: dict[str, tuple[int, str]] = {}
        for row, path in enumerate(paths, start=2):
            record = safe_path(self.root, path, f"{self.file}: path in row {row}")
            if not self._holds(record):
                raise ValueError(
                    f"{self.file}: path in row {row} is {path}, which leads out of {self.root} through a link; copy "
                    "the file into it"
                )
            stem, suffix = os.path.splitext(os.path.realpath(record))
            key = stem if suffix in RECORD_SUFFIXES else stem + suffix
            other_row, other = first.setdefault(key, (row, path))
            if other == path and other_row != row:
                raise ValueError(f"{self.file} names {path} twice, in rows {other_row} and {row}; remove one of them")
            if other_row != row:
                raise ValueError(
                    f"{self.file} names one record twice, as {other} in row {other_row} and as {path} in row {row}; "
                    "remove one of them"
                )

    def _check_links(self, record_id: str) -> None:
        """Refuse a record whose files are links that lead out of the folder."""
        record = self.root / record_id
        stem = record.with_suffix("") if record.suffix in RECORD_SUFFIXES else record
        # Also the signal files and segments that its header names.
        header = stem.with_name(f"{stem.name}.hea")
        named = _first_words(header) if self._holds(header) else []
        files = [record, *(Path(f"{stem}{suffix}") for suffix in RECORD_SUFFIXES)]
        files += [stem.parent / f"{name}{suffix}" for name in named for suffix in ("", ".hea")]
        for file in files:
            if not self._holds(file):
                raise ValueError(f"{record_id}: {file} leads out of {self.root} through a link; copy the file into it")

    def _holds(self, path: Path) -> bool:
        """Whether a path lies inside the folder after following links."""
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root))

    def _tasks(self, column: pd.Series, labels: Sequence[str] | None) -> dict[str, Task]:
        present = {label: row for row, text in enumerate(column, start=2) for label in _split(text)}
        named = labels is not None
        labels = sorted(present) if labels is None else labels
        for label, row in present.items():
            if "," in label and label not in (labels if named else ()):
                raise ValueError(
                    f"{self.file}: labels in row {row} has a comma in {label!r}; separate labels by semicolons"
                )
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
        if record.age is not None and record.age > MAX_AGE:
            raise ValueError(
                f"{self.file}: the age of {record.record_id} is {row['age']!r}, above {MAX_AGE}; correct it "
                "or leave it empty"
            )
        self._check_links(record.record_id)
        rate = _number(row["sampling_rate"]) if row["sampling_rate"] else None
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(
                f"{self.file}: the sampling_rate of {record.record_id} is {row['sampling_rate']!r}, not a number of Hz"
            )
        leads = _split(row["leads"]) or None
        [recording] = to_recordings(self.root / record.record_id, rate, leads, row["units"] or None)
        return record, recording


def _number(text: str) -> float:
    """Parse a number; NaN for anything else."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _split(labels: str) -> list[str]:
    return [label.strip() for label in labels.split(";") if label.strip()]


def _first_words(header: Path) -> list[str]:
    """Return the first word of each line of a WFDB header, which names a signal file or a segment."""
    try:
        with open(header, encoding="latin-1") as file:
            lines = file.read(1 << 20).splitlines()
    except OSError:  # the reader of the record reports it
        return []
    words = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    return [word for word in words if "/" not in word and "\0" not in word]
