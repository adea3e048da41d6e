"""Speed of the zero-shot pipeline for one record and in batches, and the time of imports.

    python benchmarks/bench_pipeline.py --model FOLDER [--data PTBXL] [--output results.json]

Paths go through the pipeline one by one and in batches, alternating over several rounds. The limit for batches is the
ECG encoder alone on prepared tensors. Imports and the time to a first answer are measured in fresh processes. Figures
are medians.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from options import data_parser
from transformers import pipeline

from merit.training.results.result_files import provenance, write_json

LABELS = ["normal ECG", "myocardial infarction", "left bundle branch block", "atrial fibrillation", "LVH"]
IMPORTS = ("merit", "transformers", "torch")
# Classifies one recording in a fresh process and prints its peak memory in kB.
COLD = """
import sys
import merit
from transformers import pipeline
classify = pipeline("zero-shot-ecg-classification", model=sys.argv[1])
classify(sys.argv[2], candidate_labels=sys.argv[3:])
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--records", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    paths = [str(path.with_suffix("")) for path in sorted(args.data.glob("records100/*/*.hea"))[: args.records]]

    started = time.perf_counter()
    classifier = pipeline("zero-shot-ecg-classification", model=args.model)
    classifier(paths[0], candidate_labels=LABELS)
    first_answer = time.perf_counter() - started

    def one_by_one() -> None:
        for path in paths[: args.batch_size]:
            classifier(path, candidate_labels=LABELS)

    def batches() -> None:
        classifier(paths, candidate_labels=LABELS, batch_size=args.batch_size)

    ready = classifier.preprocess(paths[: args.batch_size])
    del ready["record_index"], ready["window_seconds"]

    @torch.inference_mode()
    def encoder() -> None:
        for _ in range(0, len(paths), args.batch_size):
            classifier.model.get_ecg_features(**ready)

    rounds = {"one_by_one": one_by_one, "batches": batches, "encoder": encoder}
    seconds = {name: [] for name in rounds}
    imports = {name: [] for name in IMPORTS}
    cold, peak = [], 0.0
    for repeat in range(args.repeats + 1):
        for name, run in rounds.items():
            start = time.perf_counter()
            run()
            if repeat:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
        for name in IMPORTS:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {name}"], check=True)
            if repeat:
                imports[name].append(time.perf_counter() - start)
        start = time.perf_counter()
        command = [sys.executable, "-c", COLD, args.model, paths[0], *LABELS]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        if repeat:
            cold.append(time.perf_counter() - start)
            peak = max(peak, int(done.stdout) / 1024)

    median = {name: statistics.median(values) for name, values in seconds.items()}
    results = {
        "milliseconds_for_one_record": 1000 * median["one_by_one"] / min(len(paths), args.batch_size),
        "records_per_second_in_batches": len(paths) / median["batches"],
        "records_per_second_encoder_alone": len(paths) / median["encoder"],
        "seconds_to_load_and_first_answer": first_answer,
        "seconds_from_nothing_to_first_answer": statistics.median(cold),
        "peak_megabytes": peak,
        "import_seconds": {name: statistics.median(values) for name, values in imports.items()},
        "batch_size": args.batch_size,
        "parameters": classifier.model.num_parameters(),
        "threads": torch.get_num_threads(),
    }
    for name, value in results.items():
        print(f"{name:<34} {value if not isinstance(value, float) else round(value, 2)}")
    if args.output:
        write_json(args.output, {**provenance(), "results": results, "seconds": seconds})


if __name__ == "__main__":
    main()
