"""Compares the answers of a checkpoint for the same recordings at 500 Hz and at 100 Hz.

    python benchmarks/input_rate.py --model FOLDER [--data PTBXL] [--output results.json]

Uses the records of all folds whose 500 Hz files exist in PTB-XL's folder. The processor resamples recordings whose rate
is not the model's.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from options import data_parser
from sklearn.metrics import roc_auc_score
from transformers import AutoModel, AutoProcessor

from merit.processing.zero_shot_merit import embed_labels
from merit.training.data.sources.ptbxl import PATH_COLUMNS, PtbXl
from merit.training.results.result_files import provenance, write_json

TASK, BATCH = "super", 64


@torch.inference_mode()
def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    model, processor = AutoModel.from_pretrained(args.model).eval(), AutoProcessor.from_pretrained(args.model)
    sources = {rate: PtbXl(args.data, rate) for rate in PATH_COLUMNS}
    pairs = [
        pair
        for pair in zip(*(source.records() for source in sources.values()))
        if all((args.data / f"{record.record_id}.hea").is_file() for record in pair)
    ]
    task = sources[100].tasks[TASK]
    targets = np.array([task.encode(sources[100].read(record)[0].codes) for record, _ in pairs])
    labels = embed_labels(model, processor.tokenizer, list(task.labels), multi_label=True)

    embeds, scores = {}, {}
    for rate, records in zip(sources, zip(*pairs)):
        paths = [args.data / record.record_id for record in records]
        parts = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
        features = [model.get_ecg_features(**processor(ecg=part, return_tensors="pt")).pooler_output for part in parts]
        embeds[rate] = F.normalize(torch.cat(features), dim=-1)
        scores[rate] = labels.logits(embeds[rate]).numpy()
    cosine = (embeds[100] * embeds[500]).sum(-1)
    results = {
        "records": len(pairs),
        "cosine_of_the_embeddings": {"mean": cosine.mean().item(), "lowest": cosine.min().item()},
        "correlation_of_the_scores": np.mean(
            [np.corrcoef(scores[100][:, i], scores[500][:, i])[0, 1] for i in range(len(task.labels))]
        ),
        "macro_auroc": {f"{rate} Hz": roc_auc_score(targets, values) for rate, values in scores.items()},
    }
    for name, value in results.items():
        print(f"{name}: {value}")
    if args.output:
        write_json(
            args.output, {**provenance(args.data), "model": Path(args.model).name, "task": TASK, "results": results}
        )


if __name__ == "__main__":
    main()
