"""PTB-XL as a `datasets.DatasetDict`: the official tree of WFDB records and CSV files, read once into Arrow.

    >>> from merit.training.ptbxl import load_ptbxl, signal_in_millivolts
    >>> ptbxl = load_ptbxl("path/to/ptbxl")  # doctest: +SKIP
    >>> row = ptbxl["train"][0]  # doctest: +SKIP
    >>> row["report"], row["scp_codes"], signal_in_millivolts(row).shape  # doctest: +SKIP
    ('sinusrhythmus periphere niederspannung', ['NORM', 'LVOLT', 'SR'], (12, 1000))

Published splits: folds 1 to 8 train, 9 validation, 10 test; folds respect patients.
"""

import ast
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, concatenate_datasets, config
from datasets.arrow_writer import ArrowWriter
from datasets.utils import tqdm
from filelock import FileLock

from ..processing.recordings_merit import INVALID_SAMPLE, Recording, read_wfdb
from .reports import clean_report, detect_language
from .tasks import Task, ptbxl_tasks

__all__ = ["label_names", "load_ptbxl", "signal_in_millivolts"]

# Part of the cache key: raise it whenever a row would come out differently.
VERSION = "1"

FOLDS = {"train": range(1, 9), "validation": range(9, 10), "test": range(10, 11)}
PATH_COLUMNS = {100: "filename_lr", 500: "filename_hr"}
RECORDS_PER_BATCH = 256  # 6 MB of signal at 100 Hz, 31 MB at 500 Hz: all that is held in memory
RECORDS_PER_SHARD = 4096


def load_ptbxl(root: str | Path, sampling_rate: int = 100, cache_dir: str | Path | None = None) -> DatasetDict:
    """Load PTB-XL, or any tree laid out like it, as "train", "validation" and "test" (those that have records).

    The first call reads every record and writes Arrow files; later calls map these into memory. They are made anew when
    a CSV file or the size or time of a record changes.

    Columns of a record:
        record_id (str), source ("ptbxl"), patient_id (int), fold (1 to 10)
        age (float, years; 300 stands for more than 89), sex (ClassLabel: male, female)
        signal: leads * samples int16, lead after lead, as stored; see `signal_in_millivolts`
        gain (leads, units per millivolt), baseline (leads, the stored value of 0 mV), lead_names (leads)
        sampling_rate (Hz)
        report_raw, report (cleaned, "" if there is no text), language ("de", "en", "sv" or "")
        scp_codes: every statement of the record, whatever its likelihood
        and for each TASK of `ptbxl_tasks`: TASK, the labels present (ClassLabels), and labels_TASK, the same as uint8
        vector of 0 and 1 whose entries `label_names(dataset, TASK)` names

    Args:
        root: the folder with ptbxl_database.csv, scp_statements.csv and records100/ or records500/.
        sampling_rate: 100 or 500 (Hz); the two are different files, not resamplings of each other.
        cache_dir: where the Arrow files go; by default a folder "merit" in the cache of `datasets`.

    Raises:
        FileNotFoundError: a CSV file or a record is missing.
        ValueError: a CSV file lacks a column or holds a bad value, a statement is not in scp_statements.csv, a path
            leads out of root, or a record has other leads, another rate or another length than the rest.
        EcgError: a record cannot be read.
    """
    root = Path(root)
    tasks = ptbxl_tasks(root)
    database = _read_database(root, sampling_rate)
    cache = Path(cache_dir or Path(config.HF_DATASETS_CACHE) / "merit")
    folder = cache / f"ptbxl-{sampling_rate}hz-{_fingerprint(root, database['path'], sampling_rate)}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):  # the processes of a training run all come here at once
            if not folder.is_dir():
                _prepare(root, database, tasks, sampling_rate, folder)
    return DatasetDict({split: _open_shards(folder / split) for split in FOLDS if (folder / split).is_dir()})


def signal_in_millivolts(row: Mapping[str, Any]) -> np.ndarray:
    """Return the signal of a row of the data set in millivolts, (leads, samples) float32, NaN where it is invalid."""
    gain = np.asarray(row["gain"], dtype=np.float32)[:, None]
    baseline = np.asarray(row["baseline"], dtype=np.float32)[:, None]
    signal = np.asarray(row["signal"], dtype=np.float32).reshape(len(gain), -1)
    return (np.where(signal == INVALID_SAMPLE, np.nan, signal) - baseline) / gain


def label_names(dataset: Dataset, task: str) -> list[str]:
    """Return what the entries of the column labels_TASK stand for, for example ["CD", "HYP", "MI", "NORM", "STTC"]."""
    return dataset.features[task].feature.names


def _read_database(root: Path, sampling_rate: int) -> pd.DataFrame:
    """Read ptbxl_database.csv with the columns named as in the data set."""
    if sampling_rate not in PATH_COLUMNS:
        raise ValueError(f"PTB-XL exists at 100 and 500 Hz, not at {sampling_rate} Hz")
    file = root / "ptbxl_database.csv"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; give the folder that holds it as the root of PTB-XL")
    path_column = PATH_COLUMNS[sampling_rate]
    filled = ["ecg_id", "patient_id", "sex", "scp_codes", "strat_fold", path_column]
    columns = [*filled, "age", "report"]
    text = dict.fromkeys(["report", "scp_codes", path_column], str)
    database = pd.read_csv(file, usecols=lambda column: column in columns, dtype=text)
    if missing := [column for column in columns if column not in database]:
        raise ValueError(f"{file} lacks the column {', '.join(missing)}")
    for column in filled:
        if len(empty := database.index[database[column].isna()]):
            raise ValueError(f"{file}: {column} is empty in row {empty[0] + 1}")
    for ecg_id, fold, path in zip(database["ecg_id"], database["strat_fold"], database[path_column]):
        if fold not in range(1, 11):
            raise ValueError(f"{file}: strat_fold of ecg_id {ecg_id} is {fold}, not 1 to 10")
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{file}: {path_column} of ecg_id {ecg_id} is {path}, which leads out of {root}")
    database["report"] = database["report"].fillna("")
    return database.rename(columns={path_column: "path", "strat_fold": "fold"})


def _parse_codes(text: str, ecg_id: int, statements: Task) -> list[str]:
    where = f"ptbxl_database.csv: scp_codes of ecg_id {ecg_id}"
    try:
        codes = [str(code) for code in ast.literal_eval(text)]
    except (SyntaxError, TypeError, ValueError):
        raise ValueError(f"{where} is {text!r}, not a dictionary of statements") from None
    if unknown := [code for code in codes if code not in statements.labels_of]:
        raise ValueError(f"{where} names {', '.join(unknown)}, which scp_statements.csv does not list")
    return codes


def _fingerprint(root: Path, paths: pd.Series, sampling_rate: int) -> str:
    """Hash what the rows depend on: the CSV files, and size and time of the record files. Report missing records."""
    digest = hashlib.sha256(f"{VERSION} {sampling_rate}".encode())
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        digest.update((root / name).read_bytes())
    present = set()
    for folder in sorted({path.rpartition("/")[0] for path in paths}):
        if (root / folder).is_dir():
            with os.scandir(root / folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    status = entry.stat()
                    present.add(f"{folder}/{entry.name}".lstrip("/"))
                    digest.update(f"{folder}/{entry.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    missing = [f"{path}{suffix}" for path in paths for suffix in (".hea", ".dat") if f"{path}{suffix}" not in present]
    if missing:
        raise FileNotFoundError(
            f"{root / missing[0]} is missing, one of {len(missing)} files that ptbxl_database.csv names; "
            "complete the download, or remove these records from the CSV file"
        )
    return digest.hexdigest()[:16]


def _prepare(root: Path, database: pd.DataFrame, tasks: dict[str, Task], sampling_rate: int, folder: Path) -> None:
    """Write the splits as Arrow shards under a temporary name and rename them to `folder` when complete."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a process that was killed; we hold the lock
    database["scp_codes"] = [
        _parse_codes(text, ecg_id, tasks["all"]) for text, ecg_id in zip(database["scp_codes"], database["ecg_id"])
    ]
    first = read_wfdb(root / database["path"].iloc[0])
    features = _features(first.signal.shape, tasks)
    with tqdm(total=len(database), desc=f"PTB-XL at {sampling_rate} Hz", unit=" records") as progress:
        for split, folds in FOLDS.items():
            rows = database[database["fold"].isin(folds)]
            if len(rows) == 0:
                continue
            (unfinished / split).mkdir(parents=True)
            for start in range(0, len(rows), RECORDS_PER_SHARD):
                shard = rows.iloc[start : start + RECORDS_PER_SHARD]
                with ArrowWriter(features=features, path=str(unfinished / split / f"{start:08d}.arrow")) as writer:
                    for begin in range(0, len(shard), RECORDS_PER_BATCH):
                        batch = shard.iloc[begin : begin + RECORDS_PER_BATCH]
                        writer.write_table(_table(root, batch, tasks, sampling_rate, first, features))
                        progress.update(len(batch))
                    writer.finalize()
    unfinished.rename(folder)


def _features(shape: tuple[int, ...], tasks: dict[str, Task]) -> Features:
    leads, samples = shape
    columns = {
        "record_id": Value("string"),
        "source": Value("string"),
        "patient_id": Value("int64"),
        "fold": Value("int8"),
        "age": Value("float32"),
        "sex": ClassLabel(names=["male", "female"]),
        "signal": List(Value("int16"), length=leads * samples),
        "gain": List(Value("float32")),
        "baseline": List(Value("int32")),
        "sampling_rate": Value("float32"),
        "lead_names": List(Value("string")),
        "report_raw": Value("string"),
        "report": Value("string"),
        "language": Value("string"),
        "scp_codes": List(Value("string")),
    }
    for name, task in tasks.items():
        columns[name] = List(ClassLabel(names=list(task.labels)))
        columns[f"labels_{name}"] = List(Value("uint8"), length=len(task.labels))
    return Features(columns)


def _table(
    root: Path, rows: pd.DataFrame, tasks: dict[str, Task], sampling_rate: int, first: Recording, features: Features
) -> pa.Table:
    """Read the records of `rows` and return them with everything that is known of them as an Arrow table."""
    signals = np.empty((len(rows), *first.signal.shape), dtype=np.int16)
    gain, baseline = [], []
    for row, path in enumerate(rows["path"]):
        recording = read_wfdb(root / path)
        _check(recording, root / path, sampling_rate, first)
        signals[row] = recording.signal
        gain.append(recording.gain)
        baseline.append(recording.baseline)
    reports = [clean_report(raw) for raw in rows["report"]]
    columns = {
        "record_id": rows["path"],
        "source": ["ptbxl"] * len(rows),
        "patient_id": rows["patient_id"],
        "fold": rows["fold"],
        "age": rows["age"],
        "sex": rows["sex"],
        "signal": _fixed_lists(signals),
        "gain": gain,
        "baseline": baseline,
        "sampling_rate": [sampling_rate] * len(rows),
        "lead_names": [list(first.lead_names)] * len(rows),
        "report_raw": rows["report"],
        "report": reports,
        "language": [detect_language(report) for report in reports],
        "scp_codes": rows["scp_codes"],
    }
    for name, task in tasks.items():
        labels = np.stack([task.encode(codes) for codes in rows["scp_codes"]])
        columns[name] = [np.flatnonzero(row) for row in labels]
        columns[f"labels_{name}"] = _fixed_lists(labels)
    schema = features.arrow_schema
    return pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema)


def _check(recording: Recording, path: Path, sampling_rate: int, first: Recording) -> None:
    """Refuse a record that does not fit into the table, so that no row means something else than its neighbours."""
    if recording.signal.dtype != np.int16:
        raise ValueError(f"{path} is not in WFDB format 16, in which PTB-XL is stored")
    if recording.sampling_rate != sampling_rate:
        raise ValueError(f"{path} was sampled at {recording.sampling_rate:g} Hz, not at {sampling_rate} Hz")
    if tuple(recording.lead_names) != tuple(first.lead_names):
        raise ValueError(f"{path} has the leads {list(recording.lead_names)}, not {list(first.lead_names)}")
    if recording.signal.shape != first.signal.shape:
        expected = first.signal.shape[1]
        raise ValueError(f"{path} has {recording.signal.shape[1]} samples, not {expected} as the first record")
    if any(unit != "mV" for unit in recording.units):
        raise ValueError(f"{path} is in {', '.join(sorted(set(recording.units)))}, not in mV")


def _fixed_lists(values: np.ndarray) -> pa.FixedSizeListArray:
    """View (rows, ...) as one list per row, without a copy."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values[0].size)


def _column(values: Any, dtype: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(list(values), type=dtype)


def _open_shards(folder: Path) -> Dataset:
    return concatenate_datasets([Dataset.from_file(str(path)) for path in sorted(folder.iterdir())])
