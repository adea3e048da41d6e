"""Speed of report generation: greedy and with beam search, with and without the key-value cache.

    python benchmarks/bench_reports.py --model FOLDER [--data PTBXL] [--output results.json]

The variants alternate over several rounds on the same batches of prepared tensors. The limit is the ECG encoder alone.
Figures are medians.
"""

import statistics
import time
from pathlib import Path

import torch
from options import data_parser
from transformers import AutoModelForMultimodalLM, AutoProcessor

from merit.training.results.result_files import provenance, write_json

WAYS = {
    "greedy": {},
    "greedy, without cache": {"use_cache": False},
    "4 beams": {"num_beams": 4},
    "4 beams, without cache": {"num_beams": 4, "use_cache": False},
}


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--model", required=True, help="exported folder of a model that reports")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--records", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    paths = [str(path.with_suffix("")) for path in sorted(args.data.glob("records100/*/*.hea"))[: args.records]]
    processor, model = AutoProcessor.from_pretrained(args.model), AutoModelForMultimodalLM.from_pretrained(args.model)
    parts = [paths[start : start + args.batch_size] for start in range(0, len(paths), args.batch_size)]
    batches = [processor(ecg=part) for part in parts]

    def generate(way: str) -> None:
        for batch in batches:
            model.generate(**batch, **WAYS[way])

    @torch.inference_mode()
    def encode() -> None:
        for batch in batches:
            model.encode(batch["ecg_values"], batch["lead_mask"], batch["sample_mask"])

    seconds: dict[str, list[float]] = {way: [] for way in [*WAYS, "encoder alone"]}
    for repeat in range(args.repeats + 1):
        for way, times in seconds.items():
            start = time.perf_counter()
            encode() if way == "encoder alone" else generate(way)
            if repeat:  # the first round warms up
                times.append(time.perf_counter() - start)
    results = {
        "reports_per_second": {way: len(paths) / statistics.median(times) for way, times in seconds.items()},
        "batch_size": args.batch_size,
        "parameters": {
            "encoder": model.merit.ecg_model.num_parameters(),
            "language model": model.language_model.num_parameters(),
        },
        "threads": torch.get_num_threads(),
    }
    for way, rate in results["reports_per_second"].items():
        print(f"{way:<24} {rate:7.1f} reports/s")
    if args.output:
        write_json(args.output, {**provenance(), "results": results, "seconds": seconds})


if __name__ == "__main__":
    main()
