"""Speed of the backends for the ECG encoder on a CPU, and how they change the AUROC of the tasks of PTB-XL.

    python benchmarks/bench_backends.py --model FOLDER --data PTBXL [--output results.json]

All backends run in one process and take turns over the same prepared recordings; rates are medians. The ranges of the
8-bit encoder are those of `merit export --quantize-with`. AUROC is macro-averaged over the labels of fold 10, scored
with the learned labels of the model. The limit of the processor is the rate at which it multiplies matrices of the
encoder's size.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from options import data_parser

from merit.backends import BACKENDS, use_backend
from merit.hub_cards.export import load
from merit.hub_cards.onnx_files import write_onnx_files
from merit.training.data.catalogue import load_data
from merit.training.results.result_files import provenance, write_json
from merit.training.scoring.embeddings import batches
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.scoring.protocol import protocol_of, task_names
from merit.training.scoring.zero_shot import label_embeddings, zero_shot_scores
from merit.workflows import quantization_batches


def multiplications_per_second(seconds: float = 2.0) -> float:
    """How many float32 multiplications of matrices torch does in a second."""
    left, right, count = torch.randn(6400, 256), torch.randn(256, 1024), 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        left @ right
        count += 1
    return count * 6400 * 256 * 1024 / (time.perf_counter() - start)


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--records", type=int, default=128, help="recordings of a timed round")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    dataset = load_data(args.data)
    model, processor = load(args.model)
    encoder = CheckpointEncoder(model, processor)
    extractor = processor.feature_extractor  # type: ignore[attr-defined]
    prepared = [dict(extractor(rows, return_tensors="pt")) for rows in batches(dataset["test"], args.batch_size)]

    with tempfile.TemporaryDirectory() as folder:
        write_onnx_files(model, folder, quantization_batches(args.data, processor))
        encoders = {}
        for backend in (*BACKENDS, "torch-eager-attention"):
            own, _ = load(args.model)
            own.eval()
            if backend == "torch-eager-attention":
                own.set_attn_implementation("eager")
            else:
                use_backend(own, backend, folder)
            encoders[backend] = own.ecg_model  # type: ignore[attr-defined]

        timed = prepared[: max(1, args.records // args.batch_size)]
        count = sum(len(batch["ecg_values"]) for batch in timed)
        seconds: dict[str, list[float]] = {backend: [] for backend in encoders}
        with torch.inference_mode():
            for repeat in range(args.repeats + 1):
                for backend, module in encoders.items():
                    start = time.perf_counter()
                    for batch in timed:
                        module(**batch)
                    if repeat:  # the first round warms up and compiles
                        seconds[backend].append(time.perf_counter() - start)
            features = {
                backend: torch.cat([module(**batch).pooler_output.float() for batch in prepared]).numpy()
                for backend, module in encoders.items()
            }
    rate = {backend: count / statistics.median(values) for backend, values in seconds.items()}
    auroc: dict[str, dict[str, float]] = {backend: {} for backend in encoders}
    for task in task_names(dataset):
        protocol = protocol_of(dataset, task, resamples=0)
        labels = label_embeddings(encoder, task, protocol.labels)
        for backend, values in features.items():
            auroc[backend][task] = 100 * protocol.macro_auroc("test", zero_shot_scores(encoder, values, labels))
    results = {
        backend: {
            "records_per_second": round(rate[backend], 1),
            "times_torch": round(rate[backend] / rate["torch"], 2),
            "auroc_change": {task: round(auroc[backend][task] - auroc["torch"][task], 3) for task in auroc["torch"]},
            "largest_feature_change": float(np.abs(features[backend] - features["torch"]).max()),
        }
        for backend in encoders
    }
    for backend, figures in results.items():
        worst = max(figures["auroc_change"].values(), key=abs)
        print(
            f"{backend:<24}{figures['records_per_second']:8.1f} records/s  {figures['times_torch']:5.2f}  {worst:+.3f}"
        )
    if args.output:
        facts = {
            "threads": torch.get_num_threads(),
            "batch_size": args.batch_size,
            "records": count,
            "float32_multiplications_per_second": multiplications_per_second(),
            "auroc": {task: round(value, 2) for task, value in auroc["torch"].items()},
        }
        write_json(args.output, {**provenance(args.data), **facts, "results": results, "seconds": seconds})


if __name__ == "__main__":
    main()
