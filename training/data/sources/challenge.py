"""CPSC2018, Chapman-Shaoxing-Ningbo and Georgia: WFDB records whose headers state age, sex and diagnoses.

This is the format of the PhysioNet/CinC Challenges: `#Age: 74`, `#Sex: Female` and `#Dx: 426177001,251146004` in the
header, the signal in a .mat file, no reports. Folders may be nested; every header below the root is a record.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ....processing.recordings_merit import Recording, read_wfdb
from ..schema import Record, fold_of
from ..tasks import snomed_tasks
from .base import fingerprint, to_age, to_sex

__all__ = ["DATASETS", "Challenge"]

# The tasks of each data set.
DATASETS = {
    "cpsc2018": ("cpsc2018", "challenge"),
    "csn": ("csn-clean", "csn-merl", "challenge"),
    "georgia": ("challenge",),
}
_COMMENT = re.compile(r"#\s*(Age|Sex|Dx)\s*:\s*(.*?)\s*")


class Challenge:
    """A data set in the format of the Challenges as a [`Source`].

    Patients are not published, so every record is treated as a separate patient.

    Args:
        name: one of `DATASETS`.
        root: the folder that holds the records, at any depth.
        splits: the split, "train", "validation" or "test", of each record by the name of its file, as
            `published_splits` returns it; other records are left out. By default the fold of a record follows from its
            name, see `fold_of`.

    Raises:
        FileNotFoundError: there is no header below `root`, or none that `splits` names.
    """

    def __init__(self, name: str, root: str | Path, splits: Mapping[str, str] | None = None):
        self.name, self.root, self.splits = name, Path(root), splits
        self.tasks = {task: snomed_tasks()[task] for task in DATASETS[name]}
        headers = sorted(path.relative_to(self.root).with_suffix("") for path in self.root.rglob("*.hea"))
        if not headers:
            raise FileNotFoundError(f"There is no WFDB header (.hea) in {self.root} or below it")
        self.paths = [path for path in headers if splits is None or path.name in splits]
        if not self.paths:
            raise FileNotFoundError(
                f"The row lists name none of the {len(headers)} records in {self.root}; are they of another data set?"
            )
        self.count = len(self.paths)

    def fingerprint(self) -> str:
        splits = None if self.splits is None else sorted(self.splits.items())
        return fingerprint([], {self.root / path.parent for path in self.paths}, self.name, splits)

    def records(self) -> Iterator[Record]:
        for path in self.paths:
            yield Record(record_id=path.as_posix(), patient_id=path.name, fold=self._fold(path.name))

    def _fold(self, name: str) -> int:
        fold = fold_of(self.name, name)
        if self.splits is None:
            return fold
        return {"train": (fold - 1) % 8 + 1, "validation": 9, "test": 10}[self.splits[name]]

    def read(self, record: Record) -> tuple[Record, Recording]:
        recording = read_wfdb(self.root / record.record_id)
        comments = read_comments(self.root / f"{record.record_id}.hea")
        if "Dx" not in comments:
            raise ValueError(f"{record.record_id}: its header has no line '#Dx:', which lists the diagnoses")
        codes = [code.strip() for code in comments["Dx"].split(",")]
        return (
            replace(
                record,
                age=to_age(comments.get("Age", "")),
                sex=to_sex(comments.get("Sex", "")),
                codes=[code for code in codes if code not in ("", "Unknown", "NaN")],
            ),
            recording,
        )


def read_comments(header: Path) -> dict[str, str]:
    """Return the text of "Age", "Sex" and "Dx" in a header, those that it states."""
    lines = header.read_text(encoding="utf-8", errors="replace").splitlines()
    return {match[1]: match[2] for line in lines if (match := _COMMENT.fullmatch(line))}
