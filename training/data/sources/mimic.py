"""MIMIC-IV-ECG: 800,000 ten-second ECGs with the statements of the electrocardiograph.

The folder holds machine_measurements.csv, with one row per ECG and the columns subject_id, study_id and report_0 to
report_17, and WFDB records such as files/p1000/p10000032/s40689238/40689238.hea and .dat at 500 Hz, with leads in a
non-standard order. Rows are read a few thousand at a time, so memory does not grow with their number.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ....processing.recordings_merit import Recording, read_wfdb
from ...text.cleaning import clean_statements
from ..schema import Record, fold_of
from .base import fingerprint, name_file_in_errors

__all__ = ["MimicIvEcg"]

ROWS_PER_READ = 4096
STATEMENTS = [f"report_{i}" for i in range(18)]


class MimicIvEcg:
    """MIMIC-IV-ECG as a [`Source`].

    It has no labels. The fold follows from the subject, see `fold_of`, so splits respect patients.

    Args:
        root: the folder with machine_measurements.csv and files/.

    Raises:
        FileNotFoundError: machine_measurements.csv is missing.
        ValueError: it lacks a column.
    """

    name = "mimic-iv-ecg"
    count = None

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.file = self.root / "machine_measurements.csv"
        self.tasks = {}
        if not self.file.is_file():
            raise FileNotFoundError(f"{self.file} is missing; name the folder that holds it")
        self.columns = ["subject_id", "study_id", *STATEMENTS]
        with name_file_in_errors(self.file):
            present = pd.read_csv(self.file, nrows=0)
        if missing := [name for name in self.columns if name not in present]:
            raise ValueError(f"{self.file} lacks the column {', '.join(missing)}")

    def fingerprint(self) -> str:
        return fingerprint([self.file], [])

    def records(self) -> Iterator[Record]:
        options: Any = {"usecols": self.columns, "dtype": str, "keep_default_na": False, "chunksize": ROWS_PER_READ}
        with name_file_in_errors(self.file), pd.read_csv(self.file, **options) as reader:
            for rows in reader:
                numbers = zip(rows.index, rows["subject_id"], rows["study_id"])
                for (row, subject, study), statements in zip(numbers, rows[STATEMENTS].to_numpy()):
                    if not (subject.isdecimal() and study.isdecimal()):
                        raise ValueError(
                            f"{self.file}: row {row + 2} has subject_id {subject!r} and study_id {study!r}, not numbers"
                        )
                    yield Record(
                        record_id=f"files/p{subject[:4]}/p{subject}/s{study}/{study}",
                        patient_id=subject,
                        fold=fold_of(self.name, subject),
                        report_raw="\n".join(filter(None, statements)),
                    )

    def read(self, record: Record) -> tuple[Record, Recording]:
        report = clean_statements(record.report_raw.split("\n"))
        return replace(record, report=report), read_wfdb(self.root / record.record_id)
