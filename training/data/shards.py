"""Write records as shards, Arrow files of one split each, in parallel and in bounded memory.

A shard is complete when done/ has a CSV file of its number, which lists the records that were left out of it.
"""

import errno
import math
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from datasets.arrow_writer import ArrowWriter

from ...processing.feature_extraction_merit import MeritFeatureExtractor
from ...processing.recordings_merit import Recording
from ..results.atomic import atomic_write
from ..results.progress import progress_bar
from .schema import Record, features, resample, split_of, table, to_int16
from .sources.base import Source

__all__ = ["DONE", "RECORDS_PER_SHARD", "Job", "complete_shards", "explain_write_errors", "write_shards"]

RECORDS_PER_SHARD = 2048  # unit of work of a process; a killed run loses at most one shard per process
# Upper limits of what a process buffers per split: 6 MB of signal at 100 Hz, 31 MB at 500 Hz, 34 MB of long recordings.
RECORDS_PER_BATCH = 256
SAMPLES_PER_BATCH = 1 << 24
DONE = "done"  # folder of a CSV file for each complete shard


class _ShardCancelled(Exception):
    """Another process failed, or the user interrupted the run."""


class Job(NamedTuple):
    """What every process needs to write shards."""

    source: Source
    folder: Path
    facts: Mapping[str, Any]
    extractor: MeritFeatureExtractor
    stop: Event | None = None
    advance: Callable[[int], Any] | None = None  # counts records


def complete_shards(folder: Path) -> list[Path]:
    """The CSV files of the complete shards in a folder, in their order."""
    return sorted((folder / DONE).glob("*.csv"))


def write_shards(job: Job, processes: int | None = None) -> None:
    """Write the shards that are not there yet, in this many processes; by default one per core."""
    count = job.source.count
    shards = sys.maxsize if count is None else max(1, math.ceil(count / RECORDS_PER_SHARD))
    processes = min(_cores() if processes is None else processes, shards)
    done = {path.stem for path in complete_shards(job.folder)}
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
                _write_shard(job._replace(advance=progress.update), shard, chunk)
            return
        # Arguments reach forked processes without pickling: a source may hold a large table.
        context = multiprocessing.get_context("fork")
        counter, shown = context.Value("q"), 0
        job = job._replace(stop=context.Event(), advance=partial(_add, counter))
        with ProcessPoolExecutor(processes, context, _start_process, (job,)) as pool:
            running: deque[Future] = deque()
            waiting = pending()
            try:
                while True:
                    # Each process has one shard in progress and one waiting, which bounds the memory.
                    for shard, chunk in islice(waiting, 2 * processes - len(running)):
                        running.append(pool.submit(_write_shard_of_process, shard, chunk))
                    if not running:
                        return
                    finished = wait([running[0]], timeout=0.5).done
                    read = counter.get_obj().value  # without its lock, which a killed process may hold
                    progress.update(read - shown)
                    shown = read
                    if finished:
                        running.popleft().result()
            except BrokenProcessPool:
                raise ChildProcessError(
                    f"A process that was preparing {name} was killed, perhaps because memory ran out; run the same "
                    "command again with fewer processes, and it continues after the last complete shard"
                ) from None
            except BaseException:
                job.stop.set()  # type: ignore[union-attr]
                pool.shutdown(cancel_futures=True)
                raise


def _add(counter: Any, number: int) -> None:
    with counter.get_lock():
        counter.value += number


_job_of_process: Job


def _start_process(job: Job) -> None:
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


def _write_shard(job: Job, name: str, records: Sequence[Record]) -> None:
    """Read some records and write one file per split, each complete or absent."""
    source, folder = job.source, job.folder
    columns = features(source.tasks)
    writers: dict[str, ArrowWriter] = {}
    skipped: list[tuple[str, str]] = []
    for split, batch in _batches(_read(job, records, skipped)):
        file = folder / split / f"{name}.unfinished"
        with explain_write_errors(file):
            if split not in writers:
                writers[split] = ArrowWriter(features=columns, path=str(file))
            writers[split].write_table(table(batch, source.name, source.tasks, columns.arrow_schema))
    for split, writer in writers.items():
        file = folder / split / f"{name}.unfinished"
        with explain_write_errors(file):
            writer.finalize()
        file.rename(file.with_suffix(".arrow"))
    marker = folder / DONE / f"{name}.csv"
    with explain_write_errors(marker), atomic_write(marker) as temporary:
        pd.DataFrame(skipped, columns=["record_id", "reason"]).to_csv(temporary, index=False)


@contextmanager
def explain_write_errors(file: Path) -> Iterator[None]:
    """Name the file in the error of a full disk, and say how to continue."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        advice = "free some space and run the same command again, which continues after the last complete shard"
        raise OSError(error.errno, f"{os.strerror(error.errno)}; {advice}", str(file)) from error


def _read(job: Job, records: Iterable[Record], skipped: list[tuple[str, str]]) -> Iterator[tuple[Record, Recording]]:
    """Read records; a bad one is an error that names it, or is added to `skipped`."""
    for known in records:
        if job.stop is not None and job.stop.is_set():
            raise _ShardCancelled
        if job.advance is not None:
            job.advance(1)
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
        stored = to_int16(recording, facts["ignore_unknown_leads"])
        if recording.signal.dtype != np.int16:  # resampling and rounding can leave less than the model needs
            extractor(stored)
    return stored


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


def _cores() -> int:
    # Processes are forked, which is safe on Linux only.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
