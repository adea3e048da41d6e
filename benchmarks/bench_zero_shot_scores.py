"""Compares ways of scoring labels on fold 9 of PTB-XL: macro AUC of each way on each task.

    python benchmarks/bench_zero_shot_scores.py --model FOLDER [--data PTBXL] [--output results.json]

The last rows are report-supervised labels, learned from folds 1 to 8. Fold 10 is not read.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from options import data_parser
from transformers import AutoModel, AutoProcessor

from merit.processing.zero_shot_merit import embed_texts
from merit.training.data.catalogue import load_data
from merit.training.data.schema import label_names
from merit.training.learning.label_learning import LEAST, PENALTY, learn_labels
from merit.training.results.result_files import provenance, write_json
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.scoring.protocol import Protocol
from merit.training.scoring.zero_shot import label_embeddings

TASKS = ("super", "sub", "form", "rhythm", "all")
PENALTIES = (0.003, 0.001, 0.0003, 0.0001, 0.00003)
MANY = 60


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    model, processor = AutoModel.from_pretrained(args.model).eval(), AutoProcessor.from_pretrained(args.model)
    dataset = load_data(args.data)
    validation = dataset["validation"]
    encoder = CheckpointEncoder(model, processor)
    settings_by_name = {
        f"learned from reports, penalty {penalty:g}{' (chosen)' if penalty == PENALTY else ''}": (penalty, LEAST)
        for penalty in PENALTIES
    }
    settings_by_name[f"the same, penalty {PENALTY:g}, only what {MANY} reports state"] = (PENALTY, MANY)
    with tempfile.TemporaryDirectory() as cache:
        learned = {
            name: CheckpointEncoder(
                learn_labels(model, processor, dataset["train"], *settings, cache=cache).model, processor
            )
            for name, settings in settings_by_name.items()
        }
    ecg = torch.from_numpy(encoder.project(embed(encoder, validation, name="fold 9")))

    results: dict[str, dict[str, float]] = {}
    for task in TASKS:
        labels = label_names(validation, task)
        targets = np.asarray(validation.with_format("numpy", columns=[f"labels_{task}"])[:][f"labels_{task}"])
        protocol = Protocol(labels, {"test": targets}, resamples=0)  # of fold 9
        directions_of = ways(model, processor, labels)
        directions_of["prompts minus the opposite"] = label_embeddings(encoder, task, labels, "both").directions
        for name, one in learned.items():
            directions_of[name] = label_embeddings(one, task, labels).directions
        for way, directions in directions_of.items():
            scores = (ecg @ directions.T).numpy()
            results.setdefault(way, {})[task] = protocol.macro_auroc("test", scores)
    print(f"{'macro AUC on fold 9':<60}" + "".join(f"{task:>8}" for task in TASKS))
    for way, figures in results.items():
        print(f"{way:<60}" + "".join(f"{figures[task]:8.3f}" for task in TASKS))
    if args.output:
        write_json(args.output, {**provenance(args.data), "macro_auc": results})


def ways(model, processor, labels: list[str]) -> dict[str, torch.Tensor]:
    """For each way, directions `(labels, dim)`; their products with ECG embeddings rank the recordings."""
    glossary = processor.glossary

    def ensembles(groups: list[tuple[str, ...]]) -> torch.Tensor:
        embeds = embed_texts(model, processor.tokenizer, [text for texts in groups for text in texts])
        means = [part.mean(0) for part in embeds.split([len(texts) for texts in groups])]
        return F.normalize(torch.stack(means), dim=-1)

    code = ensembles([(label.lower(),) for label in labels])
    prompts = ensembles([glossary.prompts(label) for label in labels])
    normal = ensembles([glossary.prompts("NORM")])
    opposite = torch.stack(
        [ensembles([glossary.prompts(code) for code in glossary.opposites(label)]).mean(0) for label in labels]
    )
    return {
        "the code itself": code,
        "prompts of the glossary": prompts,
        "prompts, centred on the other labels": prompts - prompts.mean(0),
        "prompts minus normal": prompts - normal,
        "prompts minus half of the opposite": prompts - 0.5 * F.normalize(opposite, dim=-1),
    }


if __name__ == "__main__":
    main()
