"""Fine-tuning with different learning rates and lengths, compared on fold 9 of PTB-XL.

    python benchmarks/search_fine_tuning.py --model FOLDER [--data PTBXL] [--task all] [--output results.json]

Folds 1 to 7 train, fold 8 chooses the epoch, fold 9 judges; fold 10 is not read. Beside them the linear probe that each
run starts from.
"""

import argparse
import os
from pathlib import Path

from search_recipes import folds_of_search
from transformers import AutoModel, AutoProcessor

from merit.training.data import load_data
from merit.training.embeddings import MeritEncoder, embed
from merit.training.evaluation import protocol_of
from merit.training.finetuning import fine_tune
from merit.training.probes import linear_probe
from merit.training.results import provenance, write_json

VARIANTS = {
    "learning rate 0.00003": {"learning_rate": 3e-5},
    "learning rate 0.0001": {"learning_rate": 1e-4},
    "learning rate 0.0003": {"learning_rate": 3e-4},
    "learning rate 0.0001, twice as long": {"learning_rate": 1e-4, "num_train_epochs": 8},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--data", default=os.environ.get("PTBXL_ROOT"), help="PTB-XL tree ($PTBXL_ROOT)")
    parser.add_argument("--task", default="all")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name a PTB-XL tree with --data or in PTBXL_ROOT")
    model, processor = AutoModel.from_pretrained(args.model), AutoProcessor.from_pretrained(args.model)
    dataset = folds_of_search(load_data(args.data))
    protocol = protocol_of(dataset, args.task, resamples=0)
    encoder = MeritEncoder(model, processor)
    features = {str(split): embed(encoder, rows, name=split) for split, rows in dataset.items()}
    found = {"linear probe": protocol.macro_auroc("test", linear_probe(features, protocol)(features["test"]))}
    facts = {**provenance(args.data), "model": Path(args.model).name, "task": args.task}
    for name, settings in VARIANTS.items():
        tuned = fine_tune(model, processor, dataset, args.task, protocol, disable_tqdm=True, **settings)
        found[name] = protocol.macro_auroc("test", tuned.scores["test"])
        print("\n".join(f"{name:<40}{figure:.4f}" for name, figure in found.items()), flush=True)
        if args.output:
            write_json(args.output, {**facts, "macro_auc": found})


if __name__ == "__main__":
    main()
