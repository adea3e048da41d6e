"""Preparation survives kills, a full disk and bad records, uses bounded memory, and is checked on loading."""

import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from forked_merit import ForkedMerit, alive, until
from simulated_trees import content, noise, write_mimic

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.leads_merit import STANDARD_LEADS
from merit.processing.recordings_merit import EcgError, Recording
from merit.training.data import shards
from merit.training.data.catalogue import load_data
from merit.training.data.preparation import describe, duplicates, load_prepared, prepare
from merit.training.data.schema import Record
from merit.training.data.tasks import Task

RECORDS, SAMPLES = 2400, 500
# Shards, batches and table chunks that are as small relative to this data set as the defaults are to a real one.
SMALL_SHARDS = """
shards.RECORDS_PER_SHARD, shards.RECORDS_PER_BATCH, mimic.ROWS_PER_READ = 64, 32, 128
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="several processes prepare on Linux only")


@pytest.fixture(scope="module")
def mimic(tmp_path_factory):
    """A tree of thousands of records in MIMIC-IV-ECG's layout."""
    root = tmp_path_factory.mktemp("simulated") / "mimic"
    write_mimic(root, RECORDS, SAMPLES, rate=200)
    return root


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("small") / "mimic"
    write_mimic(root, 300, samples=250, rate=100)
    return root


@pytest.fixture(scope="module")
def merit(fresh_environment, tmp_path_factory):
    command = ForkedMerit(tmp_path_factory.mktemp("merit"), fresh_environment)
    yield command
    command.close()


@pytest.fixture(scope="module")
def in_one_go(mimic, merit, tmp_path_factory):
    """The tree prepared without a disturbance, by one process."""
    output = tmp_path_factory.mktemp("whole") / "mimic"
    done = merit(*order(mimic, output), "--processes", 1, before=SMALL_SHARDS)
    assert done.status == 0, done.err
    return output


def order(root, output):
    return "prepare", "mimic-iv-ecg", "--source", root, "--output", output


@pytest.mark.slow
def test_thousands_of_records_are_split_by_patient(in_one_go):
    data = load_data(in_one_go)
    assert {split: len(rows) for split, rows in data.items()} == {"train": 1869, "validation": 246, "test": 285}
    patients = [set(rows["patient_id"]) for rows in data.values()]
    assert len(set.union(*patients)) == sum(map(len, patients)) == RECORDS // 3
    assert sorted(path.name for path in in_one_go.parent.iterdir()) == [in_one_go.name]


@pytest.mark.slow
@linux_only
def test_several_processes_write_the_same_bytes_as_one(mimic, merit, in_one_go, tmp_path):
    output = tmp_path / "mimic"
    assert merit(*order(mimic, output), "--processes", 3, before=SMALL_SHARDS).status == 0
    assert content(output) == content(in_one_go)


def begun(unfinished, shards):
    """Whether so many shards are complete and another one, at least, has been opened."""
    done = len(list(unfinished.glob("done/*.csv")))
    return done >= shards and any(unfinished.glob("*/*.unfinished"))


def ended(group):
    return not alive(group)


@pytest.mark.slow
@linux_only
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_killed_repeatedly_gives_the_same_result(mimic, merit, in_one_go, tmp_path, processes):
    output, unfinished = tmp_path / "mimic", tmp_path / "mimic.unfinished"
    moment = random.Random(processes)
    arguments = (*order(mimic, output), "--processes", processes)
    for complete in (0, 3, 11, 19, 27):
        pid, log = merit.start(*arguments, before=SMALL_SHARDS)
        until(partial(begun, unfinished, complete))
        time.sleep(moment.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert merit.finish(pid, log).status == -signal.SIGKILL
        until(partial(ended, pid))  # the processes it had started, too
        assert not output.exists()
        for half_written in (output, unfinished):
            with pytest.raises(FileNotFoundError):
                load_data(half_written)
    finished = {path.stem for path in unfinished.glob("done/*.csv")}
    assert 27 <= len(finished) < RECORDS / 64
    times = {
        path.relative_to(unfinished): path.stat().st_mtime_ns
        for path in unfinished.glob("*/*.arrow")
        if path.stem in finished
    }
    done = merit(*arguments, before=SMALL_SHARDS)
    assert done.status == 0, done.err
    assert content(output) == content(in_one_go)
    assert [path.name for path in tmp_path.iterdir()] == ["mimic"]
    assert all((output / path).stat().st_mtime_ns == time for path, time in times.items())


@pytest.mark.slow
@linux_only
def test_a_killed_worker_process_is_an_error_that_says_how_to_continue(small, merit, tmp_path):
    killed = """
def read(self, record):
    if record.record_id.endswith("40689438"):
        os.kill(os.getpid(), 9)
    return read_all(self, record)
read_all, mimic.MimicIvEcg.read = mimic.MimicIvEcg.read, read
"""
    arguments = (*order(small, tmp_path / "out"), "--processes", 2)
    done = merit(*arguments, before=f"{SMALL_SHARDS}\n{killed}")
    assert done.status == 1
    assert "Traceback" not in done.err
    assert "merit: A process that was preparing mimic-iv-ecg was killed" in done.err
    assert not (tmp_path / "out").exists()
    assert merit(*arguments, before=SMALL_SHARDS).status == 0
    assert merit(*order(small, tmp_path / "whole"), before=SMALL_SHARDS).status == 0
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.slow
@linux_only
def test_peak_memory_does_not_grow_with_the_number_of_records(mimic, merit, tmp_path):
    peaks = []
    for part in (4, 1):
        root = tmp_path / f"part{part}"
        root.mkdir()
        (root / "files").symlink_to(mimic / "files")
        rows = (mimic / "machine_measurements.csv").read_text().splitlines()
        (root / "machine_measurements.csv").write_text("\n".join(rows[: 1 + RECORDS // part]) + "\n")
        # The largest of the process and those that it starts.
        done = merit(*order(root, tmp_path / f"out{part}"), "--processes", 2, before=SMALL_SHARDS)
        assert done.status == 0, done.err
        peaks.append(done.peak)
    more = 12 * SAMPLES * 2e-6 * RECORDS * 3 / 4  # MB of signal that the second has and the first has not
    assert more > 20
    assert peaks[1] - peaks[0] < 4, peaks


@pytest.mark.slow
@linux_only
def test_a_full_disk_is_an_error_and_not_a_bad_record(small, merit, tmp_path):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))"
    for processes in (1, 2):
        arguments = (*order(small, tmp_path / "out"), "--skip-bad", "--processes", processes)
        done = merit(*arguments, before=f"{SMALL_SHARDS}\n{full}")
        assert done.status == 1
        assert "merit: [Errno 27]" in done.err
        assert "too large; free some space and run the same command again" in done.err
        assert str(tmp_path / "out.unfinished") in done.err
        assert "Traceback" not in done.err
        assert not list(tmp_path.rglob("*/*.unfinished"))
        assert not (tmp_path / "out").exists()
    assert merit(*arguments, before=SMALL_SHARDS).status == 0
    assert not (tmp_path / "out" / "skipped.csv").exists()
    assert sum(map(len, load_data(tmp_path / "out").values())) == 300


@pytest.mark.slow
def test_a_missing_file_is_named_and_can_be_skipped(mimic, merit, tmp_path):
    root = tmp_path / "mimic"
    shutil.copytree(mimic, root, copy_function=os.link)
    missing = next(root.glob("files/*/*/*/40691345.dat"))
    missing.unlink()
    truncated = next(root.glob("files/*/*/*/40690001.dat"))
    bytes_of_it = truncated.read_bytes()
    truncated.unlink()
    truncated.write_bytes(bytes_of_it[:-1])

    done = merit(*order(root, tmp_path / "out"))
    assert done.status == 1
    last_line = done.err.splitlines()[-1]
    assert last_line.startswith("merit: 40690001: 40690001.dat is truncated: 12000 bytes expected")
    assert not (tmp_path / "out").exists()

    done = merit(*order(root, tmp_path / "out"), "--skip-bad", "--processes", 2)
    assert done.status == 0
    assert f"bad records left out: 2, listed in {tmp_path / 'out' / 'skipped.csv'}" in done.out
    header, *lines = (tmp_path / "out" / "skipped.csv").read_text().splitlines()
    assert header == "record_id,reason"
    assert [line.split(",")[0] for line in lines] == [
        path.relative_to(root).with_suffix("").as_posix() for path in (truncated, missing)
    ]
    assert "is truncated" in lines[0]
    assert "its header names the file 40691345.dat, which is not in" in lines[1]
    data = load_data(tmp_path / "out")
    assert sum(map(len, data.values())) == RECORDS - 2
    assert json.loads((tmp_path / "out" / "prepared.json").read_text())["skipped"] == 2


@pytest.mark.slow
def test_streaming_reads_the_same_rows_with_the_same_features(in_one_go, tmp_path):
    streamed = datasets.load_dataset(str(in_one_go), streaming=True, cache_dir=str(tmp_path))
    mapped = load_prepared(in_one_go)
    assert list(streamed) == list(mapped) == ["train", "validation", "test"]
    for split, rows in mapped.items():
        assert streamed[split].features == rows.features
        first = list(streamed[split].take(40))
        assert first == rows.select(range(40)).to_list()
        ids = [row["record_id"] for row in streamed[split].select_columns("record_id")]
        assert ids == rows["record_id"][:]


# The following tests use a source without files.


@dataclass
class Invented:
    """A source of made-up recordings; `bad` lists records that cannot be read and why."""

    count: int | None = 23
    samples: int = 125
    bad: dict[str, Exception] = field(default_factory=dict)
    folds: tuple[int, ...] = (1, 2, 9, 10)
    name: str = "invented"

    tasks = {"own": Task("own", ("odd", "third"), {"1": ("odd",), "3": ("third",)})}

    def fingerprint(self):
        return f"{self.count} {self.samples} {self.folds}"

    def records(self):
        for index in range(self.count or 0):
            fold = self.folds[index % len(self.folds)]
            yield Record(f"r{index}", f"p{index}", fold, report_raw="Raw", report="sinus rhythm.", codes=["1", "x"])

    def read(self, record):
        if record.record_id in self.bad:
            raise self.bad[record.record_id]
        seed = int(record.record_id[1:])
        gain, baseline = np.full(12, 200.0), np.zeros(12, int)
        leads, units = STANDARD_LEADS, ("mV",) * 12
        return record, Recording(record.record_id, noise(seed, self.samples), 50.0, leads, units, gain, baseline)


INTERRUPTED_BY = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}
interruption = {"folder": None, "events": 0}


def interrupt(event, arguments):
    """An audit hook: raises at one of the file operations in a folder and all after it: nothing follows a kill."""
    if interruption["folder"] and event in INTERRUPTED_BY and str(arguments[0]).startswith(interruption["folder"]):
        if event == "open" and arguments[1] == "r":
            return
        interruption["events"] -= 1
        if interruption["events"] < 0:
            raise KeyboardInterrupt(event)


sys.addaudithook(interrupt)


@pytest.mark.slow
def test_a_run_stopped_at_any_file_operation_continues_to_the_same_result(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 9)
    source = Invented(folds=(1, 9))
    expected = content(prepare(source, tmp_path / "whole", processes=1))
    assert "test" not in expected
    stopped = 0
    while True:
        output = tmp_path / f"stopped{stopped}" / "out"
        interruption.update(folder=str(output), events=stopped)
        try:
            prepare(source, output, processes=1)
        except KeyboardInterrupt:
            stopped += 1
        else:
            break
        finally:
            interruption["folder"] = None
        if output.exists():  # after the last step, only the lock remains to be removed
            assert content(output) == expected
        prepare(source, output, processes=1)
        assert content(output) == expected
        assert [path.name for path in output.parent.iterdir()] == ["out"]
    assert stopped > 25


def test_incomplete_shards_of_a_stopped_run_are_discarded(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 8)
    expected = content(prepare(Invented(), tmp_path / "whole", processes=1))
    source = Invented(bad={"r20": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "out", processes=1)
    unfinished = tmp_path / "out.unfinished"
    assert sorted(path.name for path in (unfinished / "done").iterdir()) == ["000000.csv", "000001.csv"]
    (unfinished / "train" / "000002.arrow").write_bytes(b"renamed, but its shard was not done")
    (unfinished / "test" / "000007.unfinished").write_bytes(b"half a batch")
    prepare(Invented(), tmp_path / "out", processes=1)
    assert content(tmp_path / "out") == expected


def test_a_neighbouring_folder_that_preparation_did_not_write_is_refused_and_kept(tmp_path):
    neighbour = tmp_path / "out.unfinished"
    (neighbour / "train").mkdir(parents=True)
    (neighbour / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"out\.unfinished holds notes\.txt, which preparation does not write"):
        prepare(Invented(), tmp_path / "out", processes=1)
    assert (neighbour / "notes.txt").read_text() == "mine"


def test_a_run_with_other_options_does_not_reuse_shards(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        prepare(Invented(bad={"r20": KeyboardInterrupt()}), tmp_path / "out", processes=1)
    prepare(Invented(), tmp_path / "out", sampling_rate=100, processes=1)
    rates = {rate for rows in load_prepared(tmp_path / "out").values() for rate in rows["sampling_rate"]}
    assert rates == {100.0}


def test_a_finished_data_set_is_left_unchanged(tmp_path, monkeypatch):
    output = prepare(Invented(), tmp_path / "out", processes=1)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    monkeypatch.setattr(Invented, "records", None)
    assert prepare(Invented(), output) == output
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_other_files_and_other_data_sets_are_never_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="mine holds files; name another folder, or delete it"):
        prepare(Invented(), tmp_path / "mine")
    prepare(Invented(), tmp_path / "out", processes=1)
    with pytest.raises(ValueError, match="out holds another data set, or this one before its source or its options"):
        prepare(Invented(count=5), tmp_path / "out")
    with pytest.raises(ValueError, match="another data set"):
        prepare(Invented(), tmp_path / "out", sampling_rate=250)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"


def test_an_empty_folder_may_be_the_output(tmp_path):
    (tmp_path / "out").mkdir()
    assert len(load_prepared(prepare(Invented(), tmp_path / "out", processes=1))["train"]) == 12


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=linux_only)])
def test_the_first_bad_record_stops_the_run_without_output(tmp_path, monkeypatch, processes):
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 4)
    source = Invented(bad={"r6": EcgError("r6: first"), "r9": OSError("r9: second")})
    with pytest.raises(EcgError, match="r6: first"):
        prepare(source, tmp_path / "out", processes=processes)
    assert not (tmp_path / "out").exists()
    with pytest.raises(FileNotFoundError, match=r"has no prepared\.json"):
        load_prepared(tmp_path / "out")


def test_bad_records_are_skipped_and_listed_with_their_reasons(tmp_path):
    source = Invented(bad={"r6": EcgError('r6: it, says "no"'), "r9": OSError("r9: lost")})
    output = prepare(source, tmp_path / "out", skip_bad=True)
    assert (output / "skipped.csv").read_text() == 'record_id,reason\nr6,"r6: it, says ""no"""\nr9,r9: lost\n'
    ids = [name for rows in load_prepared(output).values() for name in rows["record_id"]]
    assert sorted(ids) == sorted(f"r{index}" for index in range(23) if index not in (6, 9))
    assert f"bad records left out: 2, listed in {output / 'skipped.csv'}" in describe(output)


@pytest.mark.parametrize(
    "error", [TypeError("a mistake"), IndexError(3), ZeroDivisionError("zero"), RecursionError("deep"), MemoryError()]
)
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=linux_only)])
def test_any_failure_to_read_a_record_concerns_that_record_alone(tmp_path, error, processes):
    source = Invented(bad={"r6": error})
    message = f"r6 cannot be read: {type(error).__name__}"
    with pytest.raises(ValueError, match=message):
        prepare(source, tmp_path / "stopped", processes=processes)
    output = prepare(source, tmp_path / "out", skip_bad=True, processes=processes)
    assert message in (output / "skipped.csv").read_text()
    assert sum(map(len, load_prepared(output).values())) == 22


class Slow(Invented):
    """A source that takes a tenth of a second for each record."""

    def read(self, record):
        time.sleep(0.1)
        return super().read(record)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=linux_only)])
def test_progress_goes_on_within_a_shard(tmp_path, monkeypatch, processes):
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 12)
    steps = []

    class Bar(nullcontext):
        update = staticmethod(steps.append)

    monkeypatch.setattr(shards, "progress_bar", lambda *_: Bar(Bar))
    prepare(Slow(bad={"r3": EcgError("r3: bad")}), tmp_path / "out", skip_bad=True, processes=processes)
    assert sum(steps) == 23
    assert max(steps) < 20
    assert sum(map(bool, steps)) > 2


def flat(recording):
    return replace(recording, signal=np.full_like(recording.signal, 7))


UNUSABLE = {
    "no lead can be used: lead I is flat": flat,
    r"0\.20 s .* is too short": lambda recording: replace(recording, signal=recording.signal[:, :10]),
    "no lead can be used: .* is flat": lambda recording: replace(recording, gain=np.full(12, 1e308)),
    "reaches .* mV": lambda recording: replace(recording, gain=np.full(12, 1e-300)),
    "is flat at 0 mV": lambda recording: replace(  # after rounding to 1 µV
        recording, signal=2e-5 * recording.physical(), gain=None, baseline=None
    ),
    r"sampling rate of 1e\+12 Hz": lambda recording: replace(recording, sampling_rate=1e12),
    r"sampling rate of 0\.01 Hz": lambda recording: replace(recording, sampling_rate=0.01),
}


@dataclass
class Changed(Invented):
    """A source whose record r6 is changed."""

    change: Callable[[Recording], Recording] = flat

    def read(self, record):
        record, recording = super().read(record)
        return record, self.change(recording) if record.record_id == "r6" else recording


@pytest.mark.parametrize("message", UNUSABLE)
@pytest.mark.parametrize("rate", [None, 100])
def test_a_recording_that_the_model_refuses_is_a_bad_record(tmp_path, message, rate):
    source = Changed(change=UNUSABLE[message])
    with pytest.raises(EcgError, match=f"r6: .*{message}"):
        prepare(source, tmp_path / "stopped", sampling_rate=rate, processes=1)
    assert not list(tmp_path.iterdir())
    output = prepare(source, tmp_path / "out", sampling_rate=rate, skip_bad=True, processes=1)
    (line,) = (output / "skipped.csv").read_text().splitlines()[1:]
    assert line.startswith("r6,")
    extractor = MeritFeatureExtractor()
    for rows in load_prepared(output).values():
        extractor(list(rows))


def test_the_feature_extractor_of_a_model_decides_what_it_accepts(tmp_path):
    source = Changed(change=lambda recording: replace(recording, signal=recording.signal[:, :60]))
    tolerant = MeritFeatureExtractor(min_duration=1.0)
    output = prepare(source, tmp_path / "out", processes=1, feature_extractor=tolerant)
    assert sum(map(len, load_prepared(output).values())) == 23
    with pytest.raises(ValueError, match="the model reads 50 to 2000 Hz"):
        prepare(source, tmp_path / "other", sampling_rate=20)


def test_the_list_of_skipped_records_starts_no_formula(tmp_path):
    source = Invented(bad={"r6": EcgError("=cmd|' /C calc'!A0"), "r9": EcgError("@SUM(A1)"), "r11": EcgError("-1")})
    output = prepare(source, tmp_path / "out", skip_bad=True, processes=1)
    reasons = pd.read_csv(output / "skipped.csv")["reason"]
    assert reasons.tolist() == ["'=cmd|' /C calc'!A0", "'@SUM(A1)", "'-1"]


# Damage after preparation


def delete_shard(folder):
    path = folder / "train" / "000001.arrow"
    path.unlink()
    return path


def delete_split(folder):
    shutil.rmtree(folder / "test")
    return folder / "test"


def truncate_shard(folder):
    path = folder / "train" / "000000.arrow"
    path.write_bytes(path.read_bytes()[:-8])
    return path


def swap_shards(folder):
    (folder / "train" / "000000.arrow").rename(folder / "train" / "x")
    (folder / "train" / "000001.arrow").rename(folder / "train" / "000000.arrow")
    (folder / "train" / "x").rename(folder / "train" / "000001.arrow")
    return folder / "train" / "000000.arrow"


def flip_the_schema(folder):
    path = folder / "validation" / "000000.arrow"
    content = bytearray(path.read_bytes())
    content[8:64] = bytes(byte ^ 255 for byte in content[8:64])
    path.write_bytes(content)
    return path


def add_shard(folder):
    return shutil.copy(folder / "train" / "000000.arrow", folder / "train" / "000009.arrow")


def halve_the_manifest(folder):
    path = folder / "prepared.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def remove_from_the_manifest(*names):
    def damage(folder):
        path = folder / "prepared.json"
        manifest = inner = json.loads(path.read_text())
        for name in names[:-1]:
            inner = inner[name]
        del inner[names[-1]]
        path.write_text(json.dumps(manifest))
        return path

    return damage


def nest_the_manifest(folder):
    path = folder / "prepared.json"
    path.write_text("[" * 100_000)
    return path


def list_a_file_outside(folder):
    path, outside = folder / "prepared.json", folder.parent / "a.arrow"
    outside.write_bytes(b"secret")
    manifest = json.loads(path.read_text())
    manifest["shards"]["train/../../a.arrow"] = {"rows": 0, "bytes": 6, "sha256": ""}
    path.write_text(json.dumps(manifest))
    return path


def change_an_offset(folder):
    """The second signal ends far behind the end of the file."""
    path = folder / "train" / "000000.arrow"
    ends = 12 * 125 * np.arange(3, dtype=np.int32)
    changed = np.where(ends == ends[2], 1 << 30, ends).astype(np.int32)
    content = path.read_bytes()
    assert ends.tobytes() in content
    path.write_bytes(content.replace(ends.tobytes(), changed.tobytes()))
    return path


def change_the_columns(folder):
    path = folder / "validation" / "000000.arrow"
    table = datasets.Dataset.from_file(str(path)).data.table.drop_columns("report")
    with pa.OSFile(f"{path}.new", "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    Path(f"{path}.new").replace(path)
    manifest = json.loads((folder / "prepared.json").read_text())
    manifest["shards"]["validation/000000.arrow"]["bytes"] = path.stat().st_size
    (folder / "prepared.json").write_text(json.dumps(manifest))
    return path


@pytest.mark.parametrize(
    "damage",
    [
        delete_shard,
        delete_split,
        truncate_shard,
        swap_shards,
        flip_the_schema,
        add_shard,
        halve_the_manifest,
        *(
            remove_from_the_manifest(*names)
            for names in [("shards",), ("splits",), ("splits", "test"), ("preparation",)]
        ),
        remove_from_the_manifest("shards", "train/000000.arrow"),
        *(remove_from_the_manifest("shards", "train/000000.arrow", name) for name in ("rows", "bytes", "sha256")),
        remove_from_the_manifest("splits", "train", "patients"),
        nest_the_manifest,
        list_a_file_outside,
        change_an_offset,
        change_the_columns,
    ],
)
def test_a_damaged_folder_is_an_error_that_names_the_file(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 14)
    output = prepare(Invented(), tmp_path / "out", processes=1)
    assert sum(map(len, load_data(output, verify=True).values())) == 23
    path = damage(output)
    with pytest.raises(ValueError, match=re.escape(str(path))) as raised:
        load_data(output)
    assert re.search("prepare it again|move it", str(raised.value))
    with pytest.raises(ValueError, match=re.escape(str(path))):
        prepare(Invented(), output, processes=1)


def test_flipped_bytes_of_a_signal_are_found_when_hashes_are_compared(tmp_path):
    output = prepare(Invented(), tmp_path / "out", processes=1)
    path = output / "train" / "000000.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert len(load_data(output)["train"]) == 12
    with pytest.raises(ValueError, match=r"000000\.arrow does not have the SHA-256 .*prepare it again"):
        load_data(output, verify=True)


def test_files_that_datasets_caches_beside_the_shards_are_no_damage(tmp_path):
    output = prepare(Invented(), tmp_path / "out", processes=1)
    train = load_data(output)["train"]
    shuffled = train.shuffle(seed=0).filter(lambda row: True)
    assert any(path.name.startswith("cache-") for path in (output / "train").iterdir())
    assert sorted(shuffled["record_id"]) == sorted(train["record_id"])
    assert load_data(output, verify=True)["train"][:] == train[:]
    assert prepare(Invented(), output) == output


def test_a_folder_prepared_by_an_earlier_version_loads(tmp_path):
    output = prepare(Invented(), tmp_path / "out", processes=1)
    manifest = json.loads((output / "prepared.json").read_text())
    del manifest["shards"]
    manifest["preparation"]["version"] = 4
    (output / "prepared.json").write_text(json.dumps(manifest))
    assert sum(map(len, load_data(output).values())) == 23
    (output / "train" / "000000.arrow").unlink()
    with pytest.raises(ValueError, match="train holds 0 rows instead of the 12"):
        load_data(output)


# Files of others


@pytest.mark.parametrize("name", ["notes.txt", "train/thesis.tex", "done/list.txt", "train/folder"])
def test_a_folder_of_this_name_that_is_not_ours_is_left_alone(tmp_path, name):
    file = tmp_path / "out.unfinished" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    with pytest.raises(
        ValueError, match=rf"holds {Path(name).name}, which preparation does not write; move it, or name another"
    ):
        prepare(Invented(), tmp_path / "out", processes=1)
    assert file.read_text() == "mine"


def test_a_file_named_like_the_lock_is_left_alone(tmp_path):
    (tmp_path / "out.lock").write_text("mine")
    with pytest.raises(ValueError, match=r"out\.lock is not a lock file of `merit prepare`"):
        prepare(Invented(), tmp_path / "out", processes=1)
    assert (tmp_path / "out.lock").read_text() == "mine"


def test_a_link_may_be_the_output(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    output = prepare(Invented(), tmp_path / "out", processes=1)
    assert output.is_symlink()
    assert sum(map(len, load_prepared(output).values())) == 23
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "out"]


@pytest.mark.slow
@linux_only
@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupt_ends_with_130_and_without_a_traceback(mimic, merit, tmp_path, processes):
    # A test run in the background inherits that SIGINT is ignored.
    before = f"{SMALL_SHARDS}\nimport signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    pid, log = merit.start(*order(mimic, tmp_path / "mimic"), "--processes", processes, before=before)
    until(partial(begun, tmp_path / "mimic.unfinished", 3))
    os.killpg(pid, signal.SIGINT)
    done = merit.finish(pid, log)
    assert done.status == 130
    assert "Traceback" not in done.err
    assert not alive(pid)
    assert not list(tmp_path.rglob("*.lock"))
    assert not list(tmp_path.glob("*/*/*.unfinished"))


def test_no_usable_record_is_an_error_that_gives_the_reason(tmp_path):
    bad = {f"r{index}": EcgError(f"r{index}: lost") for index in range(23)}
    with pytest.raises(
        ValueError, match="No record of invented could be prepared: all 23 are bad; the first: r0: lost"
    ):
        prepare(Invented(bad=bad), tmp_path / "out", skip_bad=True)
    for count in (0, None):
        with pytest.raises(ValueError, match="No record of invented could be prepared: it has none"):
            prepare(Invented(count=count), tmp_path / "out")
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


@pytest.mark.parametrize("rate", [0, -100, float("inf"), float("nan")])
def test_an_impossible_rate_is_refused(tmp_path, rate):
    with pytest.raises(ValueError, match=f"cannot be resampled to {rate:g} Hz"):
        prepare(Invented(), tmp_path / "out", sampling_rate=rate)


def test_long_recordings_make_short_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SAMPLES_PER_BATCH", 12 * 125 * 3)
    data = load_prepared(prepare(Invented(folds=(1,)), tmp_path / "out", processes=1))
    assert [len(chunk) for chunk in data["train"].data.column("record_id").chunks] == [3] * 7 + [2]


def test_the_manifest_counts_what_the_data_set_contains(tmp_path):
    output = prepare(Invented(), tmp_path / "out", processes=1)
    manifest = json.loads((output / "prepared.json").read_text())
    train = manifest["splits"]["train"]
    assert {name: split["records"] for name, split in manifest["splits"].items()} == {
        "train": 12,
        "validation": 6,
        "test": 5,
    }
    assert (train["patients"], train["with_report"], train["languages"]) == (12, 12, {"en": 12})
    assert (train["sampling_rates"], train["leads"], train["seconds"]) == ({"50": 12}, {"12": 12}, [2.5, 2.5])
    assert train["tasks"] == {"own": {"records": 12, "positives": {"odd": 12, "third": 0}}}
    assert manifest["codes_without_label"] == {"x": 23}
    assert manifest["preparation"]["source"] == "invented"
    assert "codes without a label: x (23)" in describe(output)
    assert "waveform" not in describe(output)


def test_copies_are_found_within_and_across_data_sets(tmp_path, monkeypatch):
    first = load_prepared(prepare(Invented(), tmp_path / "first", processes=1))
    assert duplicates(first) == []

    def renamed(self, record):
        return record, Invented.read(self, Record("r7" if record.record_id == "r8" else record.record_id, "", 1))[1]

    class Other(Invented):
        read = renamed

        def records(self):
            for record in super().records():
                if record.record_id in ("r7", "r8", "r1", "r22"):
                    yield record

    output = prepare(Other(name="other"), tmp_path / "second", processes=1)
    second = load_prepared(output)
    # r7 is of fold 10, r8, its copy, of fold 1.
    assert duplicates(second) == [[("train", "r8"), ("test", "r7")]]
    assert json.loads((output / "prepared.json").read_text())["duplicate_waveforms"] == {
        "records": 2,
        "across_splits": 2,
    }
    assert "records whose waveform occurs more than once: 2, 2 of them in several splits" in describe(output)
    found = duplicates(first, second)
    assert sorted(map(sorted, found)) == [
        [("test", "r7"), ("test", "r7"), ("train", "r8")],
        [("train", "r1"), ("train", "r1")],
        [("validation", "r22"), ("validation", "r22")],
    ]
