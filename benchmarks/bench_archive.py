"""Predictions of archives: speed from WFDB and DICOM, peak memory at two sizes, and tables after random kills.

    python benchmarks/bench_archive.py --model FOLDER --data PTBXL [--output results.json]

Every measured prediction runs in a fork of its own. Rates leave out the time in which the model is loaded, measured
with an archive of one recording; the encoder alone and reading alone are measured in the same run. DICOM files are
copies of the 12-lead example of pydicom (10 s at 1000 Hz). A kill is SIGKILL to the process of the prediction, after a
random share of the time that a whole prediction takes; the next prediction goes on, and its table is compared with
that of one that was left alone, to the last digit.
"""

import json
import os
import random
import resource
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from options import data_parser

from merit.predict import Predictor, predict
from merit.processing.inputs_merit import to_recordings
from merit.training.results.result_files import provenance, write_json


def in_a_fork(sources: list[Path], output: Path, kill_after: float | None = None, **options: Any) -> dict[str, Any]:
    """Predict in a fork: seconds, recordings, and peak memory in MB of the process and of its largest reader."""
    report = output.with_suffix(".json")
    report.unlink(missing_ok=True)
    start = time.perf_counter()
    if not (pid := os.fork()):
        try:
            done = predict(sources, output=output, progress=False, **options)
            facts = {"seconds": time.perf_counter() - start, "recordings": done.recordings, "failed": done.failed}
            for name, who in (("peak", resource.RUSAGE_SELF), ("peak_of_a_reader", resource.RUSAGE_CHILDREN)):
                facts[f"{name}_megabytes"] = round(resource.getrusage(who).ru_maxrss / 1024)
            report.write_text(json.dumps(facts))
        finally:
            os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return {"killed": True} if not report.is_file() else json.loads(report.read_text())


def table(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("part-*.parquet"))], ignore_index=True)


def linked(files: list[Path], folder: Path) -> Path:
    """A folder with links to WFDB records."""
    folder.mkdir()
    for header in files:
        for suffix in (".hea", ".dat"):
            (folder / header.name).with_suffix(suffix).symlink_to(header.with_suffix(suffix))
    return folder


def seconds_of(function, *arguments) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def alone(predictor: Predictor, paths: list[Path], batch_size: int = 64) -> dict[str, float]:
    """Recordings per second of reading, of preparing what was read, and of the model on what was prepared."""
    read = [to_recordings(path)[0] for path in paths]
    parts = [read[start : start + batch_size] for start in range(0, len(read), batch_size)]
    prepared = [predictor.prepare(part) for part in parts]
    names = ("reading", "preparing", "answering")
    seconds = (
        seconds_of(lambda: [to_recordings(path) for path in paths]),
        seconds_of(lambda: [predictor.prepare(part) for part in parts]),
        seconds_of(lambda: [predictor.answer(batch) for batch in prepared]),
    )
    return {f"{name}_alone": round(len(paths) / value, 1) for name, value in zip(names, seconds)}


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--records", type=int, default=1000, help="for the rates")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 20000], help="for the memory")
    parser.add_argument("--kills", type=int, default=20)
    args = parser.parse_args()
    headers = sorted(args.data.glob("records100/*/*.hea"))
    # Forks share the libraries that are imported here; torch has not started its threads yet.
    import transformers.pipelines  # noqa: F401
    from pydicom.data import get_testdata_file

    options: dict[str, Any] = {"model": args.model, "embeddings": True}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        results["memory"] = {}
        for size in args.sizes:
            files = linked(headers[:size], root / f"wfdb-{size}")
            results["memory"][str(size)] = in_a_fork([files], root / f"out-{size}", **options)
            print(size, results["memory"][str(size)], flush=True)

        wfdb = linked(headers[: args.records], root / "wfdb")
        dicom = root / "dicom"
        dicom.mkdir()
        for number in range(args.records):
            shutil.copy(str(get_testdata_file("waveform_ecg.dcm")), dicom / f"{number:06d}.dcm")
        load = in_a_fork([headers[0]], root / "load", **options)["seconds"]
        seconds = {
            name: in_a_fork([source], root / f"out-{name}", **options)["seconds"] - load
            for name, source in (("wfdb", wfdb), ("dicom", dicom))
        }
        results["seconds_to_load"] = load
        results["records_per_second"] = {name: round(args.records / value, 1) for name, value in seconds.items()}

        small = linked(headers[:512], root / "small")
        cut = {**options, "part_size": 32, "batch_size": 16}
        whole = in_a_fork([small], root / "left-alone", **cut)["seconds"]
        expected = table(root / "left-alone")
        draw = random.Random(0)
        kills = []
        for number in range(args.kills):
            output = root / f"killed-{number}"
            moment = round(draw.uniform(0.05, 0.95) * whole, 2)
            finished = "killed" not in in_a_fork([small], output, moment, **cut)
            parts = len(list(output.glob("part-*.parquet")))
            in_a_fork([small], output, **cut)
            equal = expected.equals(table(output))
            kills.append({"after_seconds": moment, "finished": finished, "parts_by_then": parts, "equal": equal})
        results["kills"] = kills

        predictor = Predictor(args.model, embeddings=True)
        for name, files in (("wfdb", sorted(wfdb.glob("*.hea"))), ("dicom", sorted(dicom.iterdir()))):
            results[f"{name}_records_per_second"] = alone(predictor, files[:256])
    print(json.dumps(results, indent=1))
    if args.output:
        facts = {**provenance(args.data), "threads": torch.get_num_threads(), "records": args.records}
        write_json(args.output, {**facts, "results": results})


if __name__ == "__main__":
    main()
