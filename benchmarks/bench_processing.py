"""Records per second from WFDB path to tensor, compared with wfdb and scipy record by record.

    python benchmarks/bench_processing.py --data PTBXL [--output results.json]

Measures `records100` and `records500`, if they exist in PTBXL, in three ways that alternate over several rounds:

- merit: the feature extractor with its default settings, on batches of paths;
- plain: wfdb.rdrecord, scipy.signal.resample_poly and scipy.signal.sosfiltfilt with the same filter, one by one;
- floor: numpy.fromfile of the signal files only.

All files are read once before, so that all reads come from the page cache. Figures are medians over the rounds.
"""

import argparse
import itertools
import statistics
import time
from pathlib import Path

import numpy as np
import scipy.signal
import torch
import wfdb
from options import data_parser

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.training.results.result_files import provenance, write_json


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--records", type=int, default=480, help="records of each rate")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()

    rows = [measure(folder, args) for name in ("records100", "records500") if (folder := args.data / name).is_dir()]
    if not rows:
        parser.error(f"there is neither records100 nor records500 in {args.data}")
    print(f"{'records':>10} {'merit/s':>9} {'plain/s':>9} {'ratio':>7} {'floor/s':>9}")
    for row in rows:
        rates = row["records_per_second"]
        figures = f"{rates['merit']:9.0f} {rates['plain']:9.0f} {row['ratio']:6.1f}x {rates['floor']:9.0f}"
        print(f"{row['folder']:>10} {figures}")
    if args.output:
        write_json(args.output, {**provenance(), "results": rows})


def measure(folder: Path, args: argparse.Namespace) -> dict:
    headers = itertools.islice(sorted(folder.glob("*/*.hea")), args.records)
    paths = [str(header.with_suffix("")) for header in headers]
    extractor = MeritFeatureExtractor()
    sections = scipy.signal.butter(
        extractor.bandpass_order, extractor.bandpass, "bandpass", fs=extractor.sampling_rate, output="sos"
    )

    def merit() -> None:
        for start in range(0, len(paths), args.batch_size):
            extractor(paths[start : start + args.batch_size], return_tensors="pt")

    def plain() -> None:
        for path in paths:
            record = wfdb.rdrecord(path)
            signal = record.p_signal.T
            if record.fs != extractor.sampling_rate:
                signal = scipy.signal.resample_poly(signal, extractor.sampling_rate, record.fs, axis=-1)
            signal = scipy.signal.sosfiltfilt(sections, signal, axis=-1)
            torch.from_numpy(signal.astype(np.float32))

    def floor() -> None:
        for path in paths:
            np.fromfile(path + ".dat", dtype="<i2")

    ways = {"merit": merit, "plain": plain, "floor": floor}
    seconds = {name: [] for name in ways}
    for repeat in range(args.repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if repeat:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return {
        "folder": folder.name,
        "records": len(paths),
        "records_per_second": {name: len(paths) / statistics.median(values) for name, values in seconds.items()},
        "ratio": statistics.median(p / m for p, m in zip(seconds["plain"], seconds["merit"])),
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
