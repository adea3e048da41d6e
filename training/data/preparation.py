"""Convert a source of recordings to a folder of Arrow files: in parallel, in bounded memory, resumable and checked.

A prepared data set is a folder with train/, validation/ and test/, which hold shards in the order of the source, and
prepared.json, the manifest: where the data comes from, what it contains, and the rows, size and SHA-256 of each shard.
`load_data` maps it into memory; `datasets.load_dataset(folder, streaming=True)` reads it too.
"""

import errno
import hashlib
import json
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from datasets.arrow_writer import ArrowWriter
from datasets.table import MemoryMappedTable, concat_tables
from filelock import FileLock

from ...processing.feature_extraction_merit import MeritFeatureExtractor
from ...processing.recordings_merit import Recording
from ..results.atomic import atomic_write
from ..results.progress import progress_bar
from ..results.result_files import write_json
from .open_datasets import OPEN_DATASETS
from .schema import FOLDS, Record, features, resample, split_of, table, to_int16
from .sources.base import Source
from .tasks import Task

__all__ = ["describe", "duplicates", "load_prepared", "prepare"]

# Part of every fingerprint; increase it whenever a change of the code changes rows.
VERSION = 5
RECORDS_PER_SHARD = 2048  # unit of work of a process; a killed run loses at most one shard per process
# Upper limits of what a process buffers per split: 6 MB of signal at 100 Hz, 31 MB at 500 Hz, 34 MB of long recordings.
RECORDS_PER_BATCH = 256
SAMPLES_PER_BATCH = 1 << 24
MANIFEST = "prepared.json"
SKIPPED = "skipped.csv"
_PLAN = "plan.json"
_DONE = "done"
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
        "records_per_shard": RECORDS_PER_SHARD,
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
                _write_all(source, unfinished, facts, extractor, processes)
            except BaseException as error:
                _remove_incomplete(unfinished)
                if isinstance(error, Exception) and not any((unfinished / _DONE).glob("*.csv")):
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
        return DatasetDict({split: Dataset(concat_tables(list(shards))) for split, shards in tables.items()})
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

_PREPARE_AGAIN = "delete the folder and prepare it again, or copy it again from where it is complete"


def _read_manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    if not file.is_file():
        raise FileNotFoundError(f"{folder} holds no prepared data set, for it has no {MANIFEST}")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        required = ["codes_without_label", "duplicate_waveforms", "skipped"]
        # Data sets prepared before version 5 list no shards.
        required += ["shards"] if manifest["preparation"]["version"] >= 5 else []
        for name in required:
            manifest[name]
        rows = dict.fromkeys(manifest["splits"], 0)
        for name, shard in manifest.get("shards", {}).items():
            rows[name.split("/")[0]] += shard["rows"]
        for split, facts in manifest["splits"].items():
            if split not in FOLDS or ("shards" in manifest and rows[split] != facts["records"]):
                raise ValueError(f"split {split}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged or incomplete: {error!r}; {_PREPARE_AGAIN}") from None
    return manifest


def _check_shards(
    folder: Path, manifest: Mapping[str, Any], verify: bool = False
) -> dict[str, list[MemoryMappedTable]]:
    """Compare the shards in a folder with its manifest; returns their tables by split."""
    shards = manifest.get("shards", {})
    for name, facts in shards.items():
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{path} is missing, but {folder / MANIFEST} lists it; {_PREPARE_AGAIN}")
        if (size := path.stat().st_size) != facts["bytes"]:
            raise ValueError(f"{path} has {size} bytes instead of {facts['bytes']}; {_PREPARE_AGAIN}")
        if verify and _sha256(path) != facts["sha256"]:
            raise ValueError(f"{path} does not have the SHA-256 that {folder / MANIFEST} lists; {_PREPARE_AGAIN}")
    tables: dict[str, list[MemoryMappedTable]] = {}
    for path in sorted(path for split in FOLDS for path in (folder / split).glob("*.arrow")):
        if path.name.startswith(_CACHE):
            continue
        name = path.relative_to(folder).as_posix()
        if path.parent.name not in manifest["splits"] or (shards and name not in shards):
            raise ValueError(f"{path} is not listed in {folder / MANIFEST}; move it to another folder")
        table = _map(path)
        if shards and len(table) != shards[name]["rows"]:
            raise ValueError(f"{path} holds {len(table)} rows instead of {shards[name]['rows']}; {_PREPARE_AGAIN}")
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
        return MemoryMappedTable.from_file(str(path))
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
    for folder in (_DONE, *FOLDS):
        (unfinished / folder).mkdir(exist_ok=True)
    for path in unfinished.iterdir():
        if path.is_file() and path.name != _PLAN:
            path.unlink()
    _remove_incomplete(unfinished)


def _foreign_entry(unfinished: Path) -> Path | None:
    """Return something in a folder that `prepare` has not written, if there is any."""
    if unfinished.is_symlink() or not unfinished.is_dir():
        return unfinished
    suffixes = {_DONE: (".csv", ".tmp"), **dict.fromkeys(FOLDS, (".arrow", ".unfinished"))}
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
    done = {path.stem for path in (unfinished / _DONE).glob("*.csv")}
    for path in [*unfinished.glob(f"{_DONE}/*"), *(path for split in FOLDS for path in unfinished.glob(f"{split}/*"))]:
        if path.suffix == ".unfinished" or path.stem not in done:
            path.unlink()


# Writing


class _ShardCancelled(Exception):
    """Another process failed, or the user interrupted the run."""


def _write_all(
    source: Source, folder: Path, facts: Mapping[str, Any], extractor: MeritFeatureExtractor, processes: int | None
) -> None:
    shards = sys.maxsize if source.count is None else max(1, math.ceil(source.count / RECORDS_PER_SHARD))
    _write_shards(_Job(source, folder, facts, extractor), min(_cores() if processes is None else processes, shards))
    _finish(source, folder, facts)


class _Job(NamedTuple):
    """What every process needs to write shards."""

    source: Source
    folder: Path
    facts: Mapping[str, Any]
    extractor: MeritFeatureExtractor
    stop: Event | None = None


def _write_shards(job: _Job, processes: int) -> None:
    """Write the shards that are not there yet."""
    done = {path.stem for path in (job.folder / _DONE).glob("*.csv")}
    name = job.source.name
    with progress_bar(job.source.count, f"Preparing {name}") as progress:

        def pending() -> Iterator[tuple[str, list[Record]]]:
            records = job.source.records()
            for number, chunk in enumerate(iter(lambda: list(islice(records, RECORDS_PER_SHARD)), [])):
                shard = f"{number:06d}"
                if shard in done:
                    progress.update(len(chunk))
                else:
                    yield shard, chunk

        if processes == 1:
            for shard, chunk in pending():
                _write_shard(job, shard, chunk)
                progress.update(len(chunk))
            return
        # Arguments reach forked processes without pickling: a source may hold a large table.
        context = multiprocessing.get_context("fork")
        job = job._replace(stop=context.Event())
        with ProcessPoolExecutor(processes, context, _start_process, (job,)) as pool:
            running: deque[tuple[Future, int]] = deque()
            shards = pending()
            try:
                while True:
                    # Each process has one shard in progress and one waiting, which bounds the memory.
                    for shard, chunk in islice(shards, 2 * processes - len(running)):
                        running.append((pool.submit(_write_shard_of_process, shard, chunk), len(chunk)))
                    if not running:
                        return
                    future, size = running.popleft()
                    future.result()
                    progress.update(size)
            except BrokenProcessPool:
                raise ChildProcessError(
                    f"A process that was preparing {name} was killed, perhaps because memory ran out; run the same "
                    "command again with fewer processes, and it continues after the last complete shard"
                ) from None
            except BaseException:
                job.stop.set()  # type: ignore[union-attr]
                pool.shutdown(cancel_futures=True)
                raise


_job_of_process: _Job


def _start_process(job: _Job) -> None:
    """Set up a worker process, which ends when the process that started it ends."""
    global _job_of_process
    _job_of_process = job
    # An interrupt reaches all processes of a terminal; the one that started the others stops them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write_shard_of_process(name: str, records: Sequence[Record]) -> None:
    _write_shard(_job_of_process, name, records)


def _write_shard(job: _Job, name: str, records: Sequence[Record]) -> None:
    """Read some records and write one file per split, each complete or absent."""
    source, folder = job.source, job.folder
    columns = features(source.tasks)
    writers: dict[str, ArrowWriter] = {}
    skipped: list[tuple[str, str]] = []
    for split, batch in _batches(_read(job, records, skipped)):
        file = folder / split / f"{name}.unfinished"
        with _explain_write_errors(file):
            if split not in writers:
                writers[split] = ArrowWriter(features=columns, path=str(file))
            writers[split].write_table(table(batch, source.name, source.tasks, columns.arrow_schema))
    for split, writer in writers.items():
        file = folder / split / f"{name}.unfinished"
        with _explain_write_errors(file):
            writer.finalize()
        file.rename(file.with_suffix(".arrow"))
    marker = folder / _DONE / f"{name}.csv"
    with _explain_write_errors(marker), atomic_write(marker) as temporary:
        pd.DataFrame(skipped, columns=["record_id", "reason"]).to_csv(temporary, index=False)


@contextmanager
def _explain_write_errors(file: Path) -> Iterator[None]:
    """Name the file in the error of a full disk, and say how to continue."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        advice = "free some space and run the same command again, which continues after the last complete shard"
        raise OSError(error.errno, f"{os.strerror(error.errno)}; {advice}", str(file)) from error


def _read(job: _Job, records: Iterable[Record], skipped: list[tuple[str, str]]) -> Iterator[tuple[Record, Recording]]:
    """Read records; a bad one is an error that names it, or is added to `skipped`."""
    for known in records:
        if job.stop is not None and job.stop.is_set():
            raise _ShardCancelled
        try:
            record, recording = job.source.read(known)
            recording = _to_stored(recording, job.facts, job.extractor)
        except (ValueError, OSError) as error:
            reason, failure = str(error), error
        # Files come from elsewhere: whatever their reader raises concerns this record alone.
        except Exception as error:
            reason = f"{known.record_id} cannot be read: {type(error).__name__}: {error}"
            failure = ValueError(reason)
            failure.__cause__ = error
        else:
            yield record, recording
            continue
        if not job.facts["skip_bad"]:
            raise failure
        skipped.append((known.record_id, reason))


def _to_stored(recording: Recording, facts: Mapping[str, Any], extractor: MeritFeatureExtractor) -> Recording:
    """Return a recording as it is stored; raise `EcgError` if the model cannot use it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # leads that are left out each time the recording is used
        extractor(recording)
    if facts["sampling_rate"] is not None:
        recording = resample(recording, facts["sampling_rate"])
    return to_int16(recording, facts["ignore_unknown_leads"])


def _batches(records: Iterable[tuple[Record, Recording]]) -> Iterator[tuple[str, list[tuple[Record, Recording]]]]:
    """Group records into batches of one split, in the order of the source within a split."""
    waiting: dict[str, list[tuple[Record, Recording]]] = {}
    samples: Counter[str] = Counter()
    for record, recording in records:
        split = split_of(record.fold)
        waiting.setdefault(split, []).append((record, recording))
        samples[split] += recording.signal.size
        if len(waiting[split]) == RECORDS_PER_BATCH or samples[split] >= SAMPLES_PER_BATCH:
            del samples[split]
            yield split, waiting.pop(split)
    yield from waiting.items()


def _finish(source: Source, folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest and the list of skipped records, and remove the files of the work in progress."""
    done = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in sorted((folder / _DONE).glob("*.csv"))]
    skipped = pd.concat([pd.DataFrame(columns=["record_id", "reason"]), *done])
    if len(skipped):
        with _explain_write_errors(folder / SKIPPED):
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
    with _explain_write_errors(folder / MANIFEST):
        write_json(folder / MANIFEST, manifest)
    (folder / _PLAN).unlink()
    shutil.rmtree(folder / _DONE)


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


def _cores() -> int:
    # Processes are forked, which is safe on Linux only.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
