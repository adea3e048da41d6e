"""The published row lists, which define splits on which published models are scored, and the sizes of these splits."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict

__all__ = ["PUBLISHED_SIZES", "published_splits", "read_row_list", "task_sizes"]

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
