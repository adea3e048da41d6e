"""Time and memory of reading files of 10 MB that are made to be expensive.

    python benchmarks/bench_hostile_files.py [--megabytes 10] [--output results.json]

Each file is read by the feature extractor in a process of its own, which has loaded all libraries. Given are the
seconds of processor time until the answer, the peak of memory beyond that of the loaded process, and the answer: the
shape of the output, or the error. The limits are 2 seconds and 500 MB.
"""

import argparse
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.training.results.result_files import provenance, write_json

SECONDS, MEGABYTES = 2.0, 500
EXTRACTOR = MeritFeatureExtractor(sampling_rate_range=(1, 5e5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=10, help="size of each file")
    parser.add_argument("--only", nargs="+", help="names of the files to measure")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        EXTRACTOR(write_wfdb(Path(folder) / "small", 250, 2500))  # loads what is loaded when first used
        for name, write in FILES.items():
            if args.only and name not in args.only:
                continue
            path = write(Path(folder) / name.replace(" ", "_"), args.megabytes * 1_000_000)
            seconds, megabytes, answer = read(path)
            results[name] = {"seconds": round(seconds, 2), "megabytes": round(megabytes, 1), "answer": answer}
            is_within = seconds <= SECONDS and megabytes <= MEGABYTES
            print(
                f"{name:<34} {seconds:6.2f} s {megabytes:7.1f} MB  {'' if is_within else 'ABOVE  '}{answer}", flush=True
            )
    if args.output:
        limits = {"seconds": SECONDS, "megabytes": MEGABYTES}
        write_json(args.output, {**provenance(), "megabytes": args.megabytes, "limits": limits, "results": results})


def read(path: Path) -> tuple[float, float, str]:
    """Seconds of processor time, additional megabytes, and the answer, in a copy of this process."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_read, (path,))


def _read(path: Path) -> tuple[float, float, str]:
    warnings.simplefilter("ignore")
    before, started = _peak_memory(), time.process_time()
    try:
        description = {"sampling_rate": 500, "units": "mV"} if path.suffix == ".csv" else {}
        answer = str(EXTRACTOR(path, **description)["ecg_values"].shape)
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    return time.process_time() - started, _peak_memory() - before, answer.replace(str(path.parent), "")[:160]


def _peak_memory() -> float:
    """In megabytes."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1000


def write_wfdb(path: Path, rate: float, samples: int, form: str = "16", stated: int | None = None) -> Path:
    """A record of one lead with random samples; `stated` is the number of samples in the header."""
    rng = np.random.default_rng(0)
    path.with_suffix(".dat").write_bytes(rng.integers(0, 40, 2 * samples).astype(np.uint8).tobytes())
    line = f"{path.name}.dat {form} 200/mV 16 0 0 0 0 II"
    path.with_suffix(".hea").write_text(f"{path.name} 1 {rate} {stated or samples}\n{line}\n")
    return path


def write_header(path: Path, lines: list[str]) -> Path:
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n")
    return path


def write_segments(path: Path, segments: list[str], rate: float = 250) -> Path:
    """A header of segments, beside a segment `a` of 2,500 samples."""
    write_wfdb(path.with_name("a"), rate, 2500)
    samples = sum(int(line.split()[1]) for line in segments)
    return write_header(path, [f"{path.name}/{len(segments)} 1 {rate} {samples}", *segments])


def write_nested(path: Path, size: int) -> Path:
    """Headers of segments of headers of segments, tenfold at each of four levels."""
    write_wfdb(path.with_name("n0"), 250, 2500)
    for level in range(1, 5):
        samples = 2500 * 10**level
        name = f"n{level}" if level < 4 else path.name
        segments = [f"n{level - 1} {samples // 10}"] * 10
        write_header(path.with_name(name), [f"{name}/10 1 250 {samples}", *segments])
    return path


def write_table(path: Path, row: str, size: int, header: str = "II") -> Path:
    path = path.with_suffix(".csv")
    path.write_text(f"{header}\n" + (row + "\n") * ((size - len(header)) // (len(row) + 1)))
    return path


# By name: writes the file of a size in bytes at a path and returns the path to read.
FILES: dict[str, Callable[[Path, int], Path]] = {
    "table of one-digit rows": lambda path, size: write_table(path, "0", size),
    "table of empty cells": lambda path, size: write_table(path, ",", size, "I,II"),
    "table of twelve leads": lambda path, size: write_table(
        path, ",".join(["0.123"] * 12), size, "I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6"
    ),
    "table whose last row is damaged": lambda path, size: append(write_table(path, "0,1", size, "I,II"), "x"),
    "table with one long row": lambda path, size: write_table(path, "1," * (size // 4), size // 2, "I," * (size // 4)),
    "table of quotes": lambda path, size: write_table(path, '"' * 100, size),
    "header of 30,000 segments": lambda path, size: write_segments(path, ["a 2500"] * 30_000),
    "header of segments": lambda path, size: write_segments(path, ["a 2500"] * (size // 7)),
    "header of pauses": lambda path, size: write_segments(path, ["~ 300000000"] * (size // 12)),
    "one long pause": lambda path, size: write_segments(path, ["a 2500", "~ 300000000"]),
    "nested headers": write_nested,
    "header of signals": lambda path, size: write_header(
        path, [f"{path.name} {size // 20} 250 2500", *["x.dat 16 200 16 0 0 0"] * (size // 20)]
    ),
    "header of comments": lambda path, size: write_header(path, [f"{path.name} 1 250 9", *["# c"] * (size // 4)]),
    "header of one long line": lambda path, size: write_header(path, [f"{path.name} 1 250 9" + " 1" * (size // 2)]),
    "header of a long number": lambda path, size: write_header(path, [f"{path.name} 1 250 " + "9" * size]),
    "sampling rate of one in 100 s": lambda path, size: write_wfdb(path, 0.01, size // 2),
    "sampling rate of 1 Hz": lambda path, size: write_wfdb(path, 1, size // 2),
    "sampling rate of 500 kHz": lambda path, size: write_wfdb(path, 5e5, size // 2),
    "many samples stated": lambda path, size: write_wfdb(path, 250, size // 2, stated=10**15),
    "format 16": lambda path, size: write_wfdb(path, 250, size // 2),
    "format 212": lambda path, size: write_wfdb(path, 250, size // 2, "212", size // 3 * 2),
    "format 310": lambda path, size: write_wfdb(path, 250, size // 2, "310", size // 4 * 3),
    "format 8": lambda path, size: write_wfdb(path, 250, size // 2, "8", size),
    "samples of a frame": lambda path, size: write_wfdb(path, 1, size // 2, f"16x{size // 2}", 1),
}


def append(path: Path, text: str) -> Path:
    with open(path, "a") as file:
        file.write(text)
    return path


if __name__ == "__main__":
    main()
