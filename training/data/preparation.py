"""From a source of recordings to a folder of Arrow files: in parallel, in bounded memory, restartable, checked.

A prepared data set is a folder with train/, validation/ and test/, their shards in the order of the source, and
prepared.json, which says where it comes from and what is in it. `load_data` maps it into memory;
`datasets.load_dataset(folder, streaming=True)` reads it too.
"""

import json
import math
import multiprocessing
import os
import re
import shutil
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from datasets.arrow_writer import ArrowWriter
from datasets.table import MemoryMappedTable, concat_tables
from datasets.utils import tqdm
from filelock import FileLock

from ...processing.recordings_merit import Recording
from ..results.atomic import atomic_write
from ..results.result_files import write_json
from .open_datasets import OPEN_DATASETS
from .schema import FOLDS, Record, features, resample, split_of, table, to_int16
from .sources.base import Source
from .tasks import Task

__all__ = ["describe", "duplicates", "load_prepared", "prepare"]

# Part of every fingerprint: raise it whenever a row would come out differently.
VERSION = 4
RECORDS_PER_SHARD = 2048  # the unit of work of a process, and of what a killed run loses
# All that a process holds in memory of each split: 6 MB of signal at 100 Hz, 31 MB at 500 Hz, 34 MB of long recordings.
RECORDS_PER_BATCH = 256
SAMPLES_PER_BATCH = 1 << 24
MANIFEST = "prepared.json"
SKIPPED = "skipped.csv"


def prepare(
    source: Source,
    output: str | Path,
    sampling_rate: float | None = None,
    skip_bad: bool = False,
    ignore_unknown_leads: bool = False,
    processes: int | None = None,
) -> Path:
    """Write a source as a folder of Arrow files.

    The folder appears under its name only when complete. A run that was stopped, even killed, goes on from its last
    complete shard when it is started again; the result is the same to the byte.

    Args:
        source: one of those in this package, or any [`Source`].
        output: the folder; absent, or the same data set prepared before, which is then left as it is.
        sampling_rate: resample to this rate in Hz; by default recordings keep theirs.
        skip_bad: leave out records that cannot be read and list them in skipped.csv, rather than to stop at the first.
        ignore_unknown_leads: leave out channels that are no standard lead, rather than to refuse their records.
        processes: how many to use; by default one for each core.

    Returns:
        `output`.

    Raises:
        ValueError: `output` holds something else, the rate is none, there are no records, or one is bad.
        OSError: a file cannot be read or written, or a process was killed.
    """
    if sampling_rate is not None and not 0 < sampling_rate < math.inf:
        raise ValueError(f"Recordings cannot be resampled to {sampling_rate:g} Hz")
    output = Path(output)
    facts = {
        "source": source.name,
        "sampling_rate": sampling_rate,
        "skip_bad": skip_bad,
        "ignore_unknown_leads": ignore_unknown_leads,
        "records_per_shard": RECORDS_PER_SHARD,
        "version": VERSION,
        "fingerprint": source.fingerprint(),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    lock = Path(f"{output}.lock")
    with FileLock(lock):  # the processes of a training run all come here at once
        if not _finished(output, facts):
            unfinished = Path(f"{output}.unfinished")
            _begin(unfinished, facts)
            shards = sys.maxsize if source.count is None else max(1, math.ceil(source.count / RECORDS_PER_SHARD))
            _write_shards(source, unfinished, facts, min(_cores() if processes is None else processes, shards))
            _finish(source, unfinished, facts)
            unfinished.rename(output)
        lock.unlink(missing_ok=True)
    return output


def load_prepared(folder: str | Path) -> DatasetDict:
    """Map a prepared data set into memory: "train", "validation" and "test", those that have records.

    Raises:
        FileNotFoundError: there is none, or its preparation was not completed.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise FileNotFoundError(f"{folder} holds no prepared data set, for it has no {MANIFEST}")
    return DatasetDict({split: _open(folder / split) for split in FOLDS if (folder / split).is_dir()})


def describe(folder: str | Path) -> str:
    """A prepared data set in a few lines: its splits, tasks and what calls for attention."""
    manifest = json.loads((Path(folder) / MANIFEST).read_text(encoding="utf-8"))
    table = {
        split: {
            **{name: counts[name] for name in ("records", "patients", "with_report")},
            **{f"labelled: {task}": labels["records"] for task, labels in counts["tasks"].items()},
        }
        for split, counts in manifest["splits"].items()
    }
    lines = [f"{manifest['preparation']['source']} in {folder}", pd.DataFrame(table).to_string()]
    if codes := manifest["codes_without_label"]:
        lines.append("codes without a label: " + ", ".join(f"{code} ({count})" for code, count in codes.items()))
    if copies := manifest["duplicate_waveforms"]["records"]:
        across = manifest["duplicate_waveforms"]["across_splits"]
        lines.append(f"records whose waveform occurs more than once: {copies}, {across} of them in several splits")
    if skipped := manifest["skipped"]:
        lines.append(f"bad records left out: {skipped}, listed in {Path(folder) / SKIPPED}")
    return "\n".join(lines)


def _open(folder: Path) -> Dataset:
    # One data set of many files: joining a data set of each takes half a minute for those of MIMIC-IV-ECG.
    return Dataset(concat_tables([MemoryMappedTable.from_file(str(path)) for path in sorted(folder.glob("*.arrow"))]))


def _finished(output: Path, facts: Mapping[str, Any]) -> bool:
    """Whether `output` is this very data set."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    manifest = output / MANIFEST
    if manifest.is_file() and json.loads(manifest.read_text(encoding="utf-8"))["preparation"] == facts:
        return True
    what = "another data set, or this one before its source or its options changed" if manifest.is_file() else "files"
    raise ValueError(f"{output} holds {what}; name another folder, or delete it")


def _begin(unfinished: Path, facts: Mapping[str, Any]) -> None:
    """Keep the complete shards that an earlier run of the same preparation left; clear away all else.

    Raises:
        ValueError: the folder holds files that preparation does not write.
    """
    plan = unfinished / "plan.json"
    if unfinished.exists():
        known = re.compile("|".join([*map(re.escape, (plan.name, "done", MANIFEST, SKIPPED, *FOLDS)), r"\..*\.tmp"]))
        if foreign := sorted(path.name for path in unfinished.iterdir() if not known.fullmatch(path.name)):
            raise ValueError(
                f"{unfinished} holds {foreign[0]}, which preparation does not write; move it, or name another output"
            )
    if not plan.is_file() or json.loads(plan.read_text(encoding="utf-8")) != facts:
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir()
        write_json(plan, dict(facts))
    for folder in ("done", *FOLDS):
        (unfinished / folder).mkdir(exist_ok=True)
    done = {path.stem for path in (unfinished / "done").glob("*.csv")}
    for split in FOLDS:
        for path in (unfinished / split).iterdir():
            if path.suffix != ".arrow" or path.stem not in done:
                path.unlink()


def _write_shards(source: Source, folder: Path, facts: Mapping[str, Any], processes: int) -> None:
    """Write the shards that are not there yet."""
    done = {path.stem for path in (folder / "done").glob("*.csv")}
    with tqdm(total=source.count, desc=f"Preparing {source.name}", unit=" records") as progress:

        def pending() -> Iterator[tuple[str, list[Record]]]:
            records = source.records()
            for number, chunk in enumerate(iter(lambda: list(islice(records, RECORDS_PER_SHARD)), [])):
                name = f"{number:06d}"
                if name in done:
                    progress.update(len(chunk))
                else:
                    yield name, chunk

        if processes == 1:
            for name, chunk in pending():
                _write_shard(source, folder, facts, name, chunk)
                progress.update(len(chunk))
            return
        # The arguments reach forked processes as they are: a source may hold a large table.
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(processes, context, _start_process, (source, folder, facts)) as pool:
            running: deque[tuple[Future, int]] = deque()
            shards = pending()
            try:
                while True:
                    # Every process has one shard to work on and one waiting: memory is bounded.
                    for name, chunk in islice(shards, 2 * processes - len(running)):
                        running.append((pool.submit(_write_shard_of_process, name, chunk), len(chunk)))
                    if not running:
                        return
                    future, size = running.popleft()
                    future.result()
                    progress.update(size)
            except BrokenProcessPool:
                raise ChildProcessError(
                    f"A process that was preparing {source.name} was killed, perhaps for want of memory; the same "
                    "command, with fewer processes, goes on from the last complete shard"
                ) from None
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


_of_process: tuple[Source, Path, Mapping[str, Any]]


def _start_process(source: Source, folder: Path, facts: Mapping[str, Any]) -> None:
    """Set up a process that ends when the one that started it is killed, so that nobody goes on writing."""
    global _of_process
    _of_process = source, folder, facts
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write_shard_of_process(name: str, records: Sequence[Record]) -> None:
    _write_shard(*_of_process, name, records)


def _write_shard(source: Source, folder: Path, facts: Mapping[str, Any], name: str, records: Sequence[Record]) -> None:
    """Read some records and write one file for each split they fall into, each whole or not at all."""
    columns = features(source.tasks)
    writers: dict[str, ArrowWriter] = {}
    skipped: list[tuple[str, str]] = []
    for split, batch in _batches(_read(source, facts, records, skipped)):
        if split not in writers:
            writers[split] = ArrowWriter(features=columns, path=str(folder / split / f"{name}.unfinished"))
        writers[split].write_table(table(batch, source.name, source.tasks, columns.arrow_schema))
    for split, writer in writers.items():
        writer.finalize()
        (folder / split / f"{name}.unfinished").rename(folder / split / f"{name}.arrow")
    with atomic_write(folder / "done" / f"{name}.csv") as temporary:
        pd.DataFrame(skipped, columns=["record_id", "reason"]).to_csv(temporary, index=False)


def _read(
    source: Source, facts: Mapping[str, Any], records: Iterable[Record], skipped: list[tuple[str, str]]
) -> Iterator[tuple[Record, Recording]]:
    for known in records:
        try:
            record, recording = source.read(known)
            if facts["sampling_rate"] is not None:
                recording = resample(recording, facts["sampling_rate"])
            recording = to_int16(recording, facts["ignore_unknown_leads"])
        except (ValueError, OSError) as error:
            if not facts["skip_bad"]:
                raise
            skipped.append((known.record_id, str(error)))
        else:
            yield record, recording


def _batches(records: Iterable[tuple[Record, Recording]]) -> Iterator[tuple[str, list[tuple[Record, Recording]]]]:
    """Batches of one split each, in the order of the source within a split."""
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
    """Describe what was written and remove the traces of the work."""
    done = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in sorted((folder / "done").glob("*.csv"))]
    skipped = pd.concat([pd.DataFrame(columns=["record_id", "reason"]), *done])
    if len(skipped):
        skipped.to_csv(folder / SKIPPED, index=False)
    for split in FOLDS:
        if not any((folder / split).iterdir()):
            (folder / split).rmdir()
    if not any((folder / split).is_dir() for split in FOLDS):
        shutil.rmtree(folder)
        why = f"all {len(skipped)} are bad; the first: {skipped['reason'].iloc[0]}" if len(skipped) else "it has none"
        raise ValueError(f"No record of {source.name} could be prepared: {why}")
    write_json(
        folder / MANIFEST,
        {
            "preparation": dict(facts),
            "published": asdict(OPEN_DATASETS[source.name]) if source.name in OPEN_DATASETS else None,
            "skipped": len(skipped),
            **_count(folder, source.tasks),
        },
    )
    (folder / "plan.json").unlink()
    shutil.rmtree(folder / "done")


def _count(folder: Path, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Counts of a data set: what its card says and a reader checks. Of a record, only its hash stays in memory."""
    codes: Counter[str] = Counter()
    splits: dict[str, dict[str, Any]] = {}
    hashes: dict[str, np.ndarray] = {}
    for split in (split for split in FOLDS if (folder / split).is_dir()):
        patients: set[str] = set()
        languages: Counter[str] = Counter()
        records = with_report = 0
        positives = {name: np.zeros(len(task.labels), np.int64) for name, task in tasks.items()}
        labelled = dict.fromkeys(tasks, 0)
        seen = []
        for path in sorted((folder / split).glob("*.arrow")):  # one at a time, so that only one is mapped
            rows = Dataset.from_file(str(path)).data
            records += len(rows)
            patients.update(rows.column("patient_id").to_pylist())
            languages.update(rows.column("language").to_pylist())
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
    """Recordings that occur more than once in or across data sets: for each, the splits and ids of its copies.

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
    # Forking is safe and free on Linux only; elsewhere one process does it.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
