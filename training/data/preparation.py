"""Convert a source of recordings to a folder of Arrow files: in parallel, in bounded memory, resumable and checked.

A prepared data set is a folder with train/, validation/ and test/, which hold shards in the order of the source, and
prepared.json, the manifest: where the data comes from, what it contains, and the rows, size and SHA-256 of each shard.
`load_data` maps it into memory; `datasets.load_dataset(folder, streaming=True)` reads it too.
"""

import hashlib
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from datasets.table import MemoryMappedTable, concat_tables
from filelock import FileLock

from ...processing.feature_extraction_merit import MeritFeatureExtractor
from ..results.result_files import write_json
from . import shards
from .open_datasets import OPEN_DATASETS
from .schema import FOLDS
from .sources.base import Source
from .tasks import Task

__all__ = ["describe", "duplicates", "load_prepared", "prepare"]

# Part of every fingerprint; increase it whenever a change of the code changes rows.
VERSION = 5
MANIFEST = "prepared.json"
SKIPPED = "skipped.csv"
_PLAN = "plan.json"
_CACHE = "cache-"  # files that `datasets` writes beside the shards when rows are shuffled, filtered or mapped


def prepare(
    source: Source,
    output: str | Path,
    sampling_rate: float | None = None,
    skip_bad: bool = False,
    ignore_unknown_leads: bool = False,
    processes: int | None = None,
    feature_extractor: MeritFeatureExtractor | None = None,
) -> Path:
    """Write a source as a folder of Arrow files.

    Shards are written to OUTPUT.unfinished, which is renamed at the end. A run that was stopped, even killed, continues
    after its last complete shard when it is started again; the result is identical to the byte.

    Args:
        source: one of those in `sources`, or any [`Source`].
        output: the folder. It must be absent or empty, or hold the same data set, which is then left unchanged.
        sampling_rate: resample to this rate in Hz; by default recordings keep their own.
        skip_bad: leave out records that cannot be used and list them in skipped.csv, instead of stopping at the first.
        ignore_unknown_leads: leave out channels that are not standard leads, instead of refusing their records.
        processes: number of processes; by default one per core.
        feature_extractor: of the model to train; by default one with default settings. A recording that it refuses,
            such as a flat or a very short one, is a bad record.

    Returns:
        `output`.

    Raises:
        ValueError: `output` holds something else, the sampling rate is invalid, there are no records, or a record is
            bad.
        OSError: a file cannot be read or written, or a process was killed.
    """
    extractor = feature_extractor or MeritFeatureExtractor(ignore_unknown_leads=ignore_unknown_leads)
    if sampling_rate is not None and not 0 < sampling_rate < math.inf:
        raise ValueError(f"Recordings cannot be resampled to {sampling_rate:g} Hz")
    low, high = extractor.sampling_rate_range
    if sampling_rate is not None and not low <= sampling_rate <= high:
        raise ValueError(
            f"Recordings cannot be resampled to {sampling_rate:g} Hz: the model reads {low:g} to {high:g} Hz"
        )
    facts = {
        "source": source.name,
        "sampling_rate": sampling_rate,
        "skip_bad": skip_bad,
        "ignore_unknown_leads": ignore_unknown_leads,
        "records_per_shard": shards.RECORDS_PER_SHARD,
        "version": VERSION,
        "fingerprint": source.fingerprint(),
    }
    if feature_extractor is not None:
        facts["feature_extractor"] = json.loads(feature_extractor.to_json_string())
    target = Path(output).resolve()  # a link stays a link to the finished folder
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(Path(f"{target}.lock")):  # all processes of a distributed run arrive here at once
        if not _is_finished(target, facts):
            unfinished = Path(f"{target}.unfinished")
            _begin(unfinished, facts)
            try:
                shards.write_shards(shards.Job(source, unfinished, facts, extractor), processes)
                _finish(source, unfinished, facts)
            except BaseException as error:
                _remove_incomplete(unfinished)
                if isinstance(error, Exception) and not shards.complete_shards(unfinished):
                    shutil.rmtree(unfinished, ignore_errors=True)  # nothing that another run could continue
                raise
            unfinished.rename(target)
    return Path(output)


def load_prepared(folder: str | Path, verify: bool = False) -> DatasetDict:
    """Map a prepared data set into memory: "train", "validation" and "test", those that have records.

    The files are compared with the manifest: every shard must be there, with its rows and its size.

    Args:
        folder: as `prepare` wrote it.
        verify: compare the SHA-256 of every shard too, which reads all of them.

    Raises:
        FileNotFoundError: there is no prepared data set, or its preparation was not completed.
        ValueError: the manifest or a shard is missing, incomplete or damaged.
    """
    folder = Path(folder)
    tables = _check_shards(folder, _read_manifest(folder), verify)
    # Concatenating one data set per shard takes half a minute for MIMIC-IV-ECG; concatenating their tables does not.
    try:
        return DatasetDict({split: Dataset(concat_tables(list(parts))) for split, parts in tables.items()})
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder} holds shards of different or damaged columns ({error}); {_PREPARE_AGAIN}"
        ) from error


def describe(folder: str | Path) -> str:
    """Summarise a prepared data set in a few lines: its splits, its tasks, and what needs attention."""
    manifest = _read_manifest(Path(folder))
    counts = {
        split: {
            **{name: facts[name] for name in ("records", "patients", "with_report")},
            **{f"labelled: {task}": labels["records"] for task, labels in facts["tasks"].items()},
        }
        for split, facts in manifest["splits"].items()
    }
    lines = [f"{manifest['preparation']['source']} in {folder}", pd.DataFrame(counts).to_string()]
    if codes := manifest["codes_without_label"]:
        lines.append("codes without a label: " + ", ".join(f"{code} ({count})" for code, count in codes.items()))
    if copies := manifest["duplicate_waveforms"]["records"]:
        across = manifest["duplicate_waveforms"]["across_splits"]
        lines.append(f"records whose waveform occurs more than once: {copies}, {across} of them in several splits")
    if skipped := manifest["skipped"]:
        lines.append(f"bad records left out: {skipped}, listed in {Path(folder) / SKIPPED}")
    return "\n".join(lines)


# Checking a prepared data set

# The fields that are read, with their types.
_MANIFEST_FIELDS = {
    "preparation": {"source": str, "version": int},
    "splits": dict,
    "codes_without_label": dict,
    "duplicate_waveforms": {"records": int, "across_splits": int},
    "skipped": int,
}
_SPLIT_FIELDS = {"records": int, "patients": int, "with_report": int, "tasks": dict}
_SHARD_FIELDS = {"rows": int, "bytes": int, "sha256": str}
_PREPARE_AGAIN = "delete the folder and prepare it again, or copy it again from where it is complete"


def _read_manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    if not file.is_file():
        raise FileNotFoundError(f"{folder} holds no prepared data set, for it has no {MANIFEST}")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        _require(manifest, _MANIFEST_FIELDS)
        # Data sets prepared before version 5 list no shards.
        if manifest["preparation"]["version"] >= 5:
            _require(manifest, {"shards": dict})
        rows = dict.fromkeys(manifest["splits"], 0)
        for facts in manifest["splits"].values():
            _require(facts, _SPLIT_FIELDS)
            for labels in facts["tasks"].values():
                _require(labels, {"records": int})
        for name, shard in manifest.get("shards", {}).items():
            _require(shard, _SHARD_FIELDS)
            split, _, shard_file = name.partition("/")
            if not re.fullmatch(r"\w+\.arrow", shard_file):  # a path could leave the folder
                raise ValueError(f"shard {name}")
            rows[split] += shard["rows"]
        for split, facts in manifest["splits"].items():
            if split not in FOLDS or ("shards" in manifest and rows[split] != facts["records"]):
                raise ValueError(f"split {split}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged or incomplete: {error!r}; {_PREPARE_AGAIN}") from None
    return manifest


def _require(facts: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    """Raise `KeyError` or `ValueError` if a field is missing or has another type; a dictionary of fields is nested."""
    for name, kind in fields.items():
        if isinstance(kind, Mapping):
            _require(facts[name], kind)
        elif not isinstance(facts[name], kind):
            raise ValueError(f"{name}: {facts[name]!r:.100}")


def _check_shards(
    folder: Path, manifest: Mapping[str, Any], verify: bool = False
) -> dict[str, list[MemoryMappedTable]]:
    """Compare the shards in a folder with its manifest; returns their tables by split."""
    listed = manifest.get("shards", {})
    for name, facts in listed.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{path} is missing, but {folder / MANIFEST} lists it; {_PREPARE_AGAIN}")
        if (size := path.stat().st_size) != facts["bytes"]:
            raise ValueError(f"{path} has {size} bytes instead of {facts['bytes']}; {_PREPARE_AGAIN}")
        if verify and _sha256(path) != facts["sha256"]:
            raise ValueError(f"{path} does not have the SHA-256 that {folder / MANIFEST} lists; {_PREPARE_AGAIN}")
    tables: dict[str, list[MemoryMappedTable]] = {}
    schema: pa.Schema | None = None
    for path in sorted(path for split in FOLDS for path in (folder / split).glob("*.arrow")):
        if path.name.startswith(_CACHE):
            continue
        name = path.relative_to(folder).as_posix()
        if path.parent.name not in manifest["splits"] or (listed and name not in listed):
            raise ValueError(f"{path} is not listed in {folder / MANIFEST}; move it to another folder")
        table = _map(path)
        schema = schema or table.schema
        if table.schema != schema:
            raise ValueError(f"{path} has other columns than the shards before it; {_PREPARE_AGAIN}")
        if listed and len(table) != listed[name]["rows"]:
            raise ValueError(f"{path} holds {len(table)} rows instead of {listed[name]['rows']}; {_PREPARE_AGAIN}")
        tables.setdefault(path.parent.name, []).append(table)
    for split, facts in manifest["splits"].items():
        if (rows := sum(map(len, tables.get(split, [])))) != facts["records"]:
            raise ValueError(
                f"{folder / split} holds {rows} rows instead of the {facts['records']} that {folder / MANIFEST} lists; "
                f"{_PREPARE_AGAIN}"
            )
    return {split: tables[split] for split in FOLDS if split in tables}


def _map(path: Path) -> MemoryMappedTable:
    try:
        table = MemoryMappedTable.from_file(str(path))
        table.table.validate(full=True)  # a wrong offset would end the process when its row is read
        return table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); {_PREPARE_AGAIN}") from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# Folders of unfinished work


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Hold a lock file and remove it afterwards. A file of this name that is not a lock is left alone."""
    if lock.exists() and (not lock.is_file() or lock.stat().st_size > 0):
        raise ValueError(f"{lock} is not a lock file of `merit prepare`; move it, or name another output folder")
    with FileLock(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _is_finished(output: Path, facts: Mapping[str, Any]) -> bool:
    """Return whether `output` holds this data set; raise `ValueError` if it holds anything else."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    if not (output / MANIFEST).is_file():
        raise ValueError(f"{output} holds files; name another folder, or delete it")
    manifest = _read_manifest(output)
    if manifest["preparation"] != facts:
        raise ValueError(
            f"{output} holds another data set, or this one before its source or its options changed; name another "
            "folder, or delete it"
        )
    _check_shards(output, manifest)
    return True


def _begin(unfinished: Path, facts: Mapping[str, Any]) -> None:
    """Keep the complete shards that an earlier run of the same preparation left, and remove everything else."""
    if unfinished.exists() and (foreign := _foreign_entry(unfinished)):
        raise ValueError(
            f"{foreign.parent} holds {foreign.name}, which preparation does not write; move it, or name another output"
        )
    if _read_plan(unfinished) != facts:
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir()
        write_json(unfinished / _PLAN, dict(facts))
    for folder in (shards.DONE, *FOLDS):
        (unfinished / folder).mkdir(exist_ok=True)
    for path in unfinished.iterdir():
        if path.is_file() and path.name != _PLAN:
            path.unlink()
    _remove_incomplete(unfinished)


def _foreign_entry(unfinished: Path) -> Path | None:
    """Return something in a folder that `prepare` has not written, if there is any."""
    if unfinished.is_symlink() or not unfinished.is_dir():
        return unfinished
    suffixes = {shards.DONE: (".csv", ".tmp"), **dict.fromkeys(FOLDS, (".arrow", ".unfinished"))}
    for path in unfinished.iterdir():
        if path.name in suffixes and path.is_dir() and not path.is_symlink():
            foreign = [file for file in path.iterdir() if not file.is_file() or file.suffix not in suffixes[path.name]]
            if foreign:
                return foreign[0]
        elif path.name not in (_PLAN, MANIFEST, SKIPPED) and not (path.name[0] == "." and path.suffix == ".tmp"):
            return path
    return None


def _read_plan(unfinished: Path) -> dict[str, Any] | None:
    try:
        return json.loads((unfinished / _PLAN).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _remove_incomplete(unfinished: Path) -> None:
    """Remove files that do not belong to a complete shard."""
    done = {path.stem for path in shards.complete_shards(unfinished)}
    for path in [path for name in (shards.DONE, *FOLDS) for path in unfinished.glob(f"{name}/*")]:
        if path.suffix == ".unfinished" or path.stem not in done:
            path.unlink()


# The manifest


def _finish(source: Source, folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest and the list of skipped records, and remove the files of the work in progress."""
    done = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in shards.complete_shards(folder)]
    skipped = pd.concat([pd.DataFrame(columns=["record_id", "reason"]), *done])
    if len(skipped):
        with shards.explain_write_errors(folder / SKIPPED):
            skipped.map(_escape_formula).to_csv(folder / SKIPPED, index=False)
    for split in FOLDS:
        if not any((folder / split).iterdir()):
            (folder / split).rmdir()
    if not any((folder / split).is_dir() for split in FOLDS):
        shutil.rmtree(folder)
        why = f"all {len(skipped)} are bad; the first: {skipped['reason'].iloc[0]}" if len(skipped) else "it has none"
        raise ValueError(f"No record of {source.name} could be prepared: {why}")
    manifest = {
        "preparation": dict(facts),
        "published": asdict(OPEN_DATASETS[source.name]) if source.name in OPEN_DATASETS else None,
        "skipped": len(skipped),
        **_count(folder, source.tasks),
        "shards": {
            path.relative_to(folder).as_posix(): {
                "rows": len(_map(path)),
                "bytes": path.stat().st_size,
                "sha256": _sha256(path),
            }
            for split in FOLDS
            for path in sorted((folder / split).glob("*.arrow"))
        },
    }
    with shards.explain_write_errors(folder / MANIFEST):
        write_json(folder / MANIFEST, manifest)
    (folder / _PLAN).unlink()
    shutil.rmtree(folder / shards.DONE)


def _escape_formula(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _count(folder: Path, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Count what a prepared data set contains, in memory bounded by one hash per record."""
    codes: Counter[str] = Counter()
    splits: dict[str, dict[str, Any]] = {}
    hashes: dict[str, np.ndarray] = {}
    for split in (split for split in FOLDS if (folder / split).is_dir()):
        patients: set[str] = set()
        languages: Counter[str] = Counter()
        rates: Counter[str] = Counter()
        leads: Counter[str] = Counter()
        seconds = []
        records = with_report = 0
        positives = {name: np.zeros(len(task.labels), np.int64) for name, task in tasks.items()}
        labelled = dict.fromkeys(tasks, 0)
        seen = []
        for path in sorted((folder / split).glob("*.arrow")):  # one shard at a time, so that only one is mapped
            rows = Dataset.from_file(str(path)).data
            records += len(rows)
            patients.update(rows.column("patient_id").to_pylist())
            languages.update(rows.column("language").to_pylist())
            numbers = pc.list_value_length(rows.column("lead_names")).to_numpy()
            per_second = rows.column("sampling_rate").to_numpy()
            rates.update(f"{rate:g}" for rate in per_second.tolist())
            leads.update(map(str, numbers.tolist()))
            seconds.append(pc.list_value_length(rows.column("signal")).to_numpy() / numbers / per_second)
            with_report += pc.sum(pc.not_equal(rows.column("report"), "")).as_py()
            codes.update(pc.list_flatten(rows.column("codes")).to_pylist())
            seen.append(np.array([int(digits, 16) for digits in rows.column("waveform_hash").to_pylist()], np.uint64))
            for name, task in tasks.items():
                labels = pc.list_flatten(rows.column(f"labels_{name}")).to_numpy().reshape(-1, len(task.labels))
                positives[name] += labels.sum(0, dtype=np.int64)
                labelled[name] += int(labels.any(1).sum())
        hashes[split] = np.concatenate(seen)
        splits[split] = {
            "records": records,
            "patients": len(patients),
            "with_report": with_report,
            "sampling_rates": dict(sorted(rates.items())),
            "leads": dict(sorted(leads.items())),
            "seconds": [round(float(limit(np.concatenate(seconds))), 2) for limit in (np.min, np.max)],
            "languages": dict(sorted(languages.items())),
            "tasks": {
                name: {"records": labelled[name], "positives": dict(zip(task.labels, positives[name].tolist()))}
                for name, task in tasks.items()
            },
        }
    mapped = {code for task in tasks.values() for code in task.labels_of}
    values, counts = np.unique(np.concatenate(list(hashes.values())), return_counts=True)
    values, counts = values[counts > 1], counts[counts > 1]
    in_splits = np.sum([np.isin(values, of_split) for of_split in hashes.values()], axis=0)
    return {
        "splits": splits,
        "codes_without_label": {code: codes[code] for code in sorted(codes.keys() - mapped)},
        "duplicate_waveforms": {"records": int(counts.sum()), "across_splits": int(counts[in_splits > 1].sum())},
    }


def duplicates(*data: DatasetDict) -> list[list[tuple[str, str]]]:
    """Find recordings that occur more than once within or across data sets.

    Returns the splits and record ids of the copies of each such recording.

    Example:
        >>> duplicates(load_data("ptbxl"), load_data("challenge"))  # doctest: +SKIP
        [[('train', 'records500/00000/00001_hr'), ('test', 'g1/HR00001')]]
    """
    names = ["record_id", "waveform_hash"]
    frames = [
        rows.data.table.select(names).to_pandas().assign(split=str(split))
        for dataset in data
        for split, rows in dataset.items()
    ]
    together = pd.concat(frames)
    together = together[together["waveform_hash"].duplicated(keep=False)]
    return [list(zip(group["split"], group["record_id"])) for _, group in together.groupby("waveform_hash", sort=True)]
