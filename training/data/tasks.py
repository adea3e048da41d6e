"""Label tasks: the labels of each task, and which of them each code of a record sets.

Also the sizes of the published splits, the row lists that define them, and the labels that two data sets share.

    >>> snomed_tasks()["cpsc2018"].encode(["AF", "59118001"])
    array([1, 0, 0, 0, 1, 0, 0, 0, 0], dtype=uint8)
    >>> unmapped(["AF", "59118001", "123"])
    ['123']
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict

from .label_maps import CHALLENGE_LABELS, CPSC2018_LABELS, CSN_LABELS

__all__ = [
    "PUBLISHED_SIZES",
    "SHIFTS",
    "Task",
    "ptbxl_tasks",
    "published_splits",
    "read_row_list",
    "snomed_tasks",
    "task_sizes",
    "unmapped",
]

# Records with at least one label in train, validation and test, as in the row lists on which published models are
# scored. "all" and "diagnostic" have no published list and are counted in ptbxl_database.csv (folds 1-8, 9, 10).
PUBLISHED_SIZES = {
    "all": (17418, 2183, 2198),
    "diagnostic": (17084, 2146, 2158),
    "sub": (17084, 2146, 2158),
    "super": (17084, 2146, 2158),
    "form": (7197, 901, 880),
    "rhythm": (16832, 2100, 2098),
    "cpsc2018": (4950, 551, 1376),
    "csn-merl": (16546, 1860, 4620),
}
# Paths of the row lists in the published folder.
_ROW_LISTS = {
    "sub": "ptbxl/sub_class/ptbxl_sub_class",
    "super": "ptbxl/super_class/ptbxl_super_class",
    "form": "ptbxl/form/ptbxl_form",
    "rhythm": "ptbxl/rhythm/ptbxl_rhythm",
    "cpsc2018": "icbeb/icbeb",
    "csn-merl": "chapman/chapman",
    "csn-clean": "chapman/chapman",
}
_SUFFIXES = {"train": "train", "validation": "val", "test": "test"}
# The column that names the record is the first of these that a row list has.
_RECORD_COLUMNS = ("ecg_path", "filename", "filename_lr")
# Columns of a row list that are not labels.
_NOT_LABELS = {*_RECORD_COLUMNS, "filename_hr", "ecg_id", "patient_id", "strat_fold", "validation", "age", "sex"}
_NOT_LABELS |= {"diagnose", "scp_codes", "sub_class", "super_class", "form", "rhythm"}
# Some copies of CPSC2018 name its nine classes by acronym, others by SNOMED CT id (PVC by 164884008, which the
# Challenge does not score).
_CPSC2018_ACRONYMS = {
    "AF": "164889003",
    "I-AVB": "270492004",
    "LBBB": "164909002",
    "Normal": "426783006",
    "PAC": "284470004",
    "PVC": "427172004",
    "RBBB": "59118001",
    "STD": "429622005",
    "STE": "164931005",
}


def _reverse(overlap: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Invert an overlap: from its target to its source."""
    targets = dict.fromkeys(target for several in overlap.values() for target in several)
    return {target: tuple(label for label, several in overlap.items() if target in several) for target in targets}


_SUPER_TO_CPSC2018 = {"NORM": ("NORM",), "CD": ("1AVB", "CRBBB", "CLBBB"), "STTC": ("STE", "STD")}
_SUPER_TO_CSN = {
    "HYP": ("RVH", "LVH"),
    "NORM": ("SR",),
    "CD": ("2AVB", "2AVB1", "1AVB", "AVB", "LBBB", "RBBB"),
    "MI": ("MI",),
    "STTC": ("STTC", "STE", "TWO", "STTU", "QTIE", "TWC"),
}
_CPSC2018_TO_CSN = {
    "AFIB": ("AFIB",),
    "VPC": ("VPB",),
    "NORM": ("SR",),
    "1AVB": ("1AVB",),
    "CRBBB": ("RBBB",),
    "STE": ("STE",),
    "PAC": ("APB",),
    "CLBBB": ("LBBB",),
    "STD": ("STTC", "STTU", "STDD"),
}
# Distribution shift: the labels of the target (second) for each label of the source (first), as published. Pairs that
# were published in one direction only are inverted. "csn" means either task of that data set.
SHIFTS = {
    ("super", "cpsc2018"): _SUPER_TO_CPSC2018,
    ("super", "csn"): _SUPER_TO_CSN,
    ("cpsc2018", "super"): _reverse(_SUPER_TO_CPSC2018),
    ("cpsc2018", "csn"): _CPSC2018_TO_CSN,
    ("csn", "super"): _reverse(_SUPER_TO_CSN),
    ("csn", "cpsc2018"): _reverse(_CPSC2018_TO_CSN),
}


@dataclass(frozen=True)
class Task:
    """A multi-label classification task.

    Attributes:
        name: for example "super".
        labels: the classes, in the order of the label vector.
        labels_of: the labels that each code sets; other codes are not part of the task.
    """

    name: str
    labels: tuple[str, ...]
    labels_of: Mapping[str, tuple[str, ...]]

    def encode(self, codes: Iterable[str]) -> np.ndarray:
        """Return the label vector (labels,) of a record, uint8 of 0 and 1; all 0 if no code is part of the task.

        Example:
            >>> Task("super", ("CD", "MI"), {"IMI": ("MI",), "CLBBB": ("CD",)}).encode(["IMI", "SR"])
            array([0, 1], dtype=uint8)
        """
        present = {label for code in codes for label in self.labels_of.get(code, ())}
        return np.array([label in present for label in self.labels], dtype=np.uint8)


def ptbxl_tasks(root: str | Path) -> dict[str, Task]:
    """Build the tasks "all", "diagnostic", "sub", "super", "form" and "rhythm" from ROOT/scp_statements.csv.

    The labels of a task are those that occur in the file, sorted: 71, 44, 23, 5, 19 and 12 in PTB-XL 1.0.3, fewer where
    the file lists only some statements; a task of which it lists none is left out. Statements count at any
    likelihood.

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
        labels_of = {str(code): (str(label),) for code, label in statements[column].dropna().items()}
        return Task(name, tuple(sorted({label for (label,) in labels_of.values()})), labels_of)

    def by_code(name: str, codes: Iterable[str]) -> Task:
        labels_of = {code: (code,) for code in codes}
        return Task(name, tuple(sorted(labels_of)), labels_of)

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


def snomed_tasks() -> dict[str, Task]:
    """Build the tasks of records whose codes are SNOMED CT ids: "cpsc2018", "csn-clean", "csn-merl" and "challenge".

    - "cpsc2018": the nine classes of CPSC2018 under the names of the published row lists.
    - "csn-merl": Chapman-Shaoxing-Ningbo as published, 38 labels. The published lists set a label wherever it is a
      substring of the comma-separated acronyms of a record, so an acronym sets every label it contains: STTC also ST,
      AFIB AF, AVB VB, 1AVB both AVB and VB, 2AVB1 2AVB, CCR CR, LVQRSAL SA. For comparison with published figures only.
    - "csn-clean": the same by exact acronym, 37 labels. VB is left out: three records have it, none of the test.
    - "challenge": the 30 scored diagnoses of the PhysioNet/CinC Challenge 2021 in its 26 classes. Diagnoses that are
      scored as equivalent are one class, named by the second: CLBBB and LBBB, CRBBB and RBBB, SVPB and PAC, VPB and
      PVC. The Challenge of 2020 scored the same without BBB, CLBBB and PRWP.

    SNOMED CT ids mean the same in every task. Acronyms do not, so each task reads only those of its own data set:
    "cpsc2018" and "challenge" those of CPSC2018's headers, where AF is atrial fibrillation and STE is ST elevation; the
    "csn" tasks those of CSN, where AF is atrial flutter (164890007), AFIB is fibrillation (164889003) and STE is "ST
    extension" (164930006). Flutter is kept as labelled, although none of the published rows from Ningbo (JS10647 on) is
    AFIB and 2,950 are AF, among which there must be fibrillation.

    CSN's headers carry more codes than CSN's own table. The published rows are the records that have only codes of this
    table and at least one label; the "csn" tasks know no other codes and are meant for these rows.
    """
    table = _snomed_table()

    def by_column(name: str, labels: Iterable[str]) -> Task:
        labels_of = {str(code): (label,) for code, label in table[name].items() if label}
        labels_of |= {acronym: labels_of[code] for acronym, code in _CPSC2018_ACRONYMS.items() if code in labels_of}
        return Task(name, tuple(labels), labels_of)

    def by_acronym(name: str, labels: Iterable[str], sets: Callable[[str, str], bool]) -> Task:
        labels = tuple(labels)
        labels_of = {}
        for code, acronym in table["csn"].items():
            if set_by_acronym := tuple(label for label in labels if sets(acronym, label)):
                labels_of[str(code)] = labels_of[acronym] = set_by_acronym
        return Task(name, labels, labels_of)

    tasks = [
        by_column("cpsc2018", CPSC2018_LABELS),
        by_acronym("csn-clean", (label for label in CSN_LABELS if label != "VB"), operator.eq),
        by_acronym("csn-merl", CSN_LABELS, operator.contains),
        by_column("challenge", CHALLENGE_LABELS),
    ]
    return {task.name: task for task in tasks}


def unmapped(codes: Iterable[str]) -> list[str]:
    """Return the codes that are neither a SNOMED CT id of snomed.csv nor an acronym of CPSC2018 or CSN, each once.

    A known code need not belong to a task: sinus bradycardia is no label of CPSC2018.
    """
    table = _snomed_table()
    known = {*table.index, *table["csn"], *_CPSC2018_ACRONYMS} - {""}
    return [code for code in dict.fromkeys(codes) if code not in known]


@cache
def _snomed_table() -> pd.DataFrame:
    """Read snomed.csv: by SNOMED CT id its label in CSN, CPSC2018 and the Challenge, "" if none, and an English name.

    The ids are those that the Challenge lists for its data sets and CSN for itself. Where CSN has several acronyms for
    one id (LBBB, LBBBB and LFBBB; IDC and IVB; MI and four walls; WAVN and SAAWR), a header does not tell which; the
    table has the first, as the published row lists do.
    """
    table = pd.read_csv(Path(__file__).with_name("snomed.csv"), dtype=str, keep_default_na=False)
    return table.set_index("code")  # as index_col, codes were numbers before pandas 3


def task_sizes(dataset: DatasetDict, tasks: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Count for each task the records of each split that have at least one of its labels; compare `PUBLISHED_SIZES`.

    Args:
        dataset: as `load_ptbxl` returns it, with a column labels_TASK for every task.
        tasks: names of tasks.
    """

    def labelled(rows: Dataset, task: str) -> int:
        return int(np.asarray(rows.with_format("numpy")[f"labels_{task}"][:]).any(axis=1).sum())

    return {task: tuple(labelled(rows, task) for rows in dataset.values()) for task in tasks}


def read_row_list(path: str | Path) -> pd.DataFrame:
    """Read one split of a published row list: its labels, (records, labels) uint8 of 0 and 1, by record.

    A record is named as its files are: "A2600" in CPSC2018, "JS44279" in CSN, and by its path at 100 Hz in PTB-XL
    ("records100/00000/00063_lr"). PTB-XL's codes have lost their underscores there: STD for STD_, AVB for _AVB.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it names no records or no labels, a record is missing or named twice, or a label is not 0 or 1.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; give a folder laid out like the published row lists")
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    column = next((column for column in _RECORD_COLUMNS if column in rows), None)
    if column is None:
        raise ValueError(f"{path} has none of the columns {', '.join(_RECORD_COLUMNS)}, one of which names the records")
    labels = rows[[label for label in rows if label not in _NOT_LABELS]]
    if labels.shape[1] == 0:
        raise ValueError(f"{path} has no column of labels")
    records = rows[column].map(lambda name: PurePosixPath(name).stem if column == "ecg_path" else name)
    if (records == "").any():
        raise ValueError(f"{path}: {column} is empty in row {(records == '').idxmax() + 2}")
    if records.duplicated().any():
        raise ValueError(f"{path}: {column} names {records[records.duplicated()].iloc[0]} twice")
    for label, values in labels.items():
        if not (valid := values.isin(["0", "1"])).all():
            row = (~valid).idxmax()
            raise ValueError(f"{path}: {label} of {records[row]} is {values[row]!r}, not 0 or 1")
    return labels.astype(np.uint8).set_index(records)


def published_splits(folder: str | Path, name: str) -> dict[str, str]:
    """Return the published split of every record of a task: "train", "validation" or "test".

    Records are named as by `read_row_list`.

    Args:
        folder: a copy of the published row lists, with chapman/chapman_train.csv, icbeb/icbeb_train.csv and so on.
        name: "cpsc2018", "csn-clean", "csn-merl", or "super", "sub", "form", "rhythm" of PTB-XL.

    Raises:
        FileNotFoundError: a row list does not exist.
        ValueError: there is no row list of the task, one cannot be read, or a record stands in two splits.
    """
    if name not in _ROW_LISTS:
        raise ValueError(f"there is no published row list of {name!r}; there are {', '.join(_ROW_LISTS)}")
    split_of: dict[str, str] = {}
    for split, suffix in _SUFFIXES.items():
        path = Path(folder, f"{_ROW_LISTS[name]}_{suffix}.csv")
        rows = read_row_list(path)
        for record in rows.index:
            if record in split_of:
                raise ValueError(f"{path}: {rows.index.name} names {record}, which is in {split_of[record]} already")
            split_of[record] = split
    return split_of
