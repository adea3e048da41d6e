"""Cost of preparing PTB-XL, whether every sample is preserved, and the reading speed of the result.

    python benchmarks/bench_preparation.py --data PTBXL [--output results.json]

- preparing all of it at 100 Hz with one process and with one for each core, compared with a loop of wfdb.rdrecord over
  the same records, and with `read_wfdb` alone, which shows the cost of everything else;
- comparison of every signal with wfdb's, bit for bit;
- the peak memory of preparing a quarter of the records and all of them;
- a DataLoader with the model's collator over random records, compared with copying the same bytes.

All files are read once before, so that all reads come from the page cache.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import wfdb
from datasets import DatasetDict
from options import data_parser
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.inputs_merit import recording_of_row
from merit.processing.processing_merit import MeritProcessor
from merit.processing.recordings_merit import read_wfdb
from merit.training.batching.collator import MeritCollator, ecg_rows
from merit.training.data.preparation import load_prepared, prepare
from merit.training.data.row_lists import PUBLISHED_SIZES, task_sizes
from merit.training.data.sources.ptbxl import PtbXl
from merit.training.results.result_files import provenance, write_json
from merit.training.text.tokenizer import train_tokenizer

# Prepares in a fresh process, to measure its peak memory.
PREPARE = """
import sys
from itertools import islice
from pathlib import Path
from merit.training.data.preparation import prepare
from merit.training.data.sources.ptbxl import PtbXl
source = PtbXl(sys.argv[1])
source.rows = dict(islice(source.rows.items(), int(sys.argv[3])))
source.count = len(source.rows)
def peak():
    return next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
before = peak()
prepare(source, sys.argv[2], processes=1)
print(before, peak())
"""


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    for path in (args.data / "records100").rglob("*.*"):
        path.read_bytes()

    with tempfile.TemporaryDirectory() as folder:
        source = PtbXl(args.data)
        paths = [str(args.data / record_id) for record_id in source.rows]
        seconds = {}
        for name, processes in (("one_process", 1), ("all_cores", None)):
            seconds[name] = timed(lambda: prepare(source, Path(folder, name), processes=processes))  # noqa: B023
        seconds["read_wfdb_alone"] = timed(lambda: [read_wfdb(path) for path in paths])
        dataset = load_prepared(Path(folder, "all_cores"))
        seconds["wfdb_loop"], unequal = compare(dataset, args.data)
        results = {
            "records": len(paths),
            "seconds": seconds,
            "times_as_fast_as_wfdb": seconds["wfdb_loop"] / seconds["all_cores"],
            "signals_equal_to_the_last_bit": len(paths) - unequal,
            "task_sizes": {
                task: {"counted": counted, "published": PUBLISHED_SIZES[task]}
                for task, counted in task_sizes(
                    dataset, ["all", "diagnostic", "sub", "super", "form", "rhythm"]
                ).items()
            },
            "peak_megabytes": {str(n): peak(args.data, Path(folder, str(n)), n) for n in (len(paths) // 4, len(paths))},
            "training_records_per_second": reading(dataset),
        }
    print(json.dumps(results, indent=2))
    if args.output:
        write_json(args.output, {**provenance(args.data), "results": results})


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(dataset: DatasetDict, root: Path) -> tuple[float, int]:
    """Seconds that wfdb.rdrecord takes for all records, and how many signals differ from the prepared ones."""
    seconds, unequal = 0.0, 0
    for rows in dataset.values():
        for row in tqdm(ecg_rows(rows), desc="Comparing with wfdb"):
            start = time.perf_counter()
            record = wfdb.rdrecord(str(root / row["record_id"]))
            seconds += time.perf_counter() - start
            unequal += not np.array_equal(recording_of_row(row).physical().T, record.p_signal, equal_nan=True)
    return seconds, unequal


def peak(root: Path, folder: Path, records: int) -> dict[str, float]:
    """Memory of the process in megabytes, before preparing so many records and at its peak."""
    command = [sys.executable, "-c", PREPARE, str(root), str(folder), str(records)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    before, most = (int(kilobytes) / 1024 for kilobytes in printed.split())
    return {"before": round(before, 1), "peak": round(most, 1)}


def reading(dataset: DatasetDict, records: int = 8192, batch_size: int = 256) -> dict[str, float]:
    """Records per second of random batches: fetched, collated with some numbers of workers, and copied as bytes."""
    torch.set_num_threads(1)
    train = dataset["train"]
    processor = MeritProcessor(MeritFeatureExtractor(), train_tokenizer(train["report"][:4096]))
    subset = ecg_rows(train.select(np.random.default_rng(0).permutation(len(train))[:records]), "report")
    order = np.random.default_rng(1).permutation(records).reshape(-1, batch_size)
    bytes_of_all = np.stack([row["signal"] for row in subset])
    rates = {
        "copying_the_bytes": records / timed(lambda: [bytes_of_all[batch].copy() for batch in order]),
        "fetching_rows": records / timed(lambda: [subset.__getitems__(batch.tolist()) for batch in order]),
    }
    for workers in (0, 1, 2):
        loader = DataLoader(
            subset,  # type: ignore[arg-type]
            batch_size,
            shuffle=True,
            num_workers=workers,
            collate_fn=MeritCollator(processor, crop_seconds=5),
        )
        rates[f"collated_by_{workers}_workers"] = records / timed(lambda: list(loader))  # noqa: B023
    return {name: round(rate) for name, rate in rates.items()}


if __name__ == "__main__":
    main()
