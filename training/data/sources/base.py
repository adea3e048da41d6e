"""The interface of a source of recordings, and helpers that read its tables and check its paths."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from ....processing.recordings_merit import Recording
from ..schema import Record, split_of
from ..tasks import Task

__all__ = [
    "Source",
    "check_records",
    "fingerprint",
    "name_file_in_errors",
    "read_table",
    "safe_path",
    "to_age",
    "to_fold",
    "to_sex",
]


class Source(Protocol):
    """A data set as it was published, or a folder of recordings, that `prepare` converts."""

    @property
    def name(self) -> str:
        """The data set, such as "ptbxl"."""
        ...

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Its label tasks by name."""
        ...

    @property
    def count(self) -> int | None:
        """The number of records; None if it is known only after reading them."""
        ...

    def fingerprint(self) -> str:
        """Return a hash of everything that the rows depend on."""
        ...

    def records(self) -> Iterator[Record]:
        """Yield all records in a fixed order, with what is known before their files are opened."""
        ...

    def read(self, record: Record) -> tuple[Record, Recording]:
        """Return the completed record and its recording.

        Raises:
            ValueError or OSError: the record is bad; the message names it.
        """
        ...


@contextmanager
def name_file_in_errors(file: Path) -> Iterator[None]:
    """Name the file in errors of pandas."""
    try:
        yield
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not a CSV file: {error}") from None


def read_table(
    file: Path, filled: Sequence[str], others: Sequence[str] = (), optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Read columns of a CSV file as text, with "" for empty cells.

    Args:
        file: the CSV file.
        filled: columns that must exist and have a value in every row.
        others: columns that must exist.
        optional: columns that may be missing, and are then empty.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: the file is not a CSV file, has no rows, or lacks a column or a value.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; name the folder that holds it")
    columns = [*filled, *others, *optional]
    with name_file_in_errors(file):
        table = pd.read_csv(file, usecols=lambda name: name in columns, dtype=str, keep_default_na=False)
    if missing := [name for name in (*filled, *others) if name not in table]:
        there = ", ".join(map(str, pd.read_csv(file, nrows=0).columns))
        raise ValueError(f"{file} lacks the column {', '.join(missing)}; it has {there:.200}")
    if not len(table):
        raise ValueError(f"{file} has no rows")
    for name in filled:
        if (empty := table[name] == "").any():
            raise ValueError(f"{file}: {name} is empty in row {empty.idxmax() + 2}")
    return table.reindex(columns=columns, fill_value="")


def to_fold(text: str, where: str) -> int:
    """Parse a fold written as "3" or "3.0"."""
    text = text.removesuffix(".0")
    if text not in map(str, range(1, 11)):
        raise ValueError(f"{where} is {text!r}, not 1 to 10")
    return int(text)


def to_age(text: str) -> float | None:
    """Parse an age in years; None for anything that is not a number."""
    return float(text) if re.fullmatch(r"\d+(\.\d*)?", text) else None


def to_sex(text: str) -> str | None:
    """Parse "male", "female" or their initials; None for anything else."""
    return {"m": "male", "male": "male", "f": "female", "female": "female"}.get(text.lower())


def safe_path(root: Path, path: str, where: str) -> Path:
    """Return ROOT/PATH, for a PATH that a data file names in the entry WHERE.

    Raises:
        ValueError: the path is absolute or leads out of ROOT.
    """
    if path.startswith(("/", "\\")) or ":" in path or ".." in path.replace("\\", "/").split("/"):
        raise ValueError(f"{where} is {path}, which leads out of {root}; correct it")
    return root / path


def check_records(table: pd.DataFrame, file: Path) -> None:
    """Raise `ValueError` if a table of record_id, patient_id and fold has a record twice or a patient in two splits."""
    if (twice := table["record_id"].duplicated()).any():
        raise ValueError(f"{file} names {table['record_id'][twice].iloc[0]} twice")
    first: dict[Any, tuple[str, str]] = {}
    for patient, fold, record_id in zip(table["patient_id"], table["fold"], table["record_id"]):
        split = split_of(fold)
        other, other_record = first.setdefault(patient, (split, record_id))
        if split != other:
            raise ValueError(
                f"{file}: patient {patient} is in {other} with {other_record} and in {split} with {record_id}; "
                "give all records of a patient the same fold"
            )


def fingerprint(files: Iterable[Path], folders: Iterable[Path], *options: Any) -> str:
    """Hash the content of files, the size and time of all files directly in folders, and options."""
    digest = hashlib.sha256(repr(options).encode())
    for file in files:
        with open(file, "rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    for folder in sorted(folders):
        if folder.is_dir():
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    # Folders and locks may belong to the output.
                    if entry.is_file() and not entry.name.endswith(".lock"):
                        status = entry.stat()
                        digest.update(f"{folder.name}/{entry.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
