"""Compares variants of a recipe on fold 9 of PTB-XL. The settings of the shipped recipes were chosen with it.

    python benchmarks/search_recipes.py --data PTBXL [--variants benchmarks/search.yaml] [--only NAME ...]

A file of variants lists overrides of one recipe, each with as many epochs as take about the same time. Folds 1 to 7
train, fold 8 selects the penalty of the linear probe, and variants are compared on fold 9; fold 10 is not read. Each
variant has a result file in benchmarks/results/search; variants whose file exists are skipped.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from datasets import DatasetDict
from options import data_parser, missing_results

from merit.training.data.catalogue import load_data
from merit.training.learning.pretraining import pretrain
from merit.training.results.result_files import provenance, write_json
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.scoring.probes import linear_probe
from merit.training.scoring.protocol import protocol_of
from merit.training.scoring.zero_shot import label_embeddings, zero_shot_scores
from merit.training.trainer.recipe import load_recipe

HERE = Path(__file__).parent
TASKS = ("super", "sub", "form", "rhythm", "all")
# Folds of each split in this comparison.
SPLITS = {"train": range(1, 8), "validation": (8,), "test": (9,)}


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--variants", type=Path, default=HERE / "search.yaml")
    parser.add_argument("--only", nargs="+", help="names of variants (default: all)")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "search", help="folder for the results")
    args = parser.parse_args()
    search = yaml.safe_load(args.variants.read_text(encoding="utf-8"))
    names = args.only or list(search["variants"])
    if unknown := sorted(set(names) - set(search["variants"])):
        parser.error(f"there is no variant {', '.join(unknown)} in {args.variants}")
    dataset = folds_of_search(load_data(args.data))
    for name, path in missing_results(args.output, names):
        settings = [*search["always"], *search["variants"][name]]
        content = run(dataset, search["recipe"], settings)
        write_json(path, {**provenance(), "recipe": search["recipe"], "settings": settings, **content})
        for method, figures in content["macro_auc"].items():
            print(f"{name:>24} {method:>12}  " + "  ".join(f"{task} {value:.3f}" for task, value in figures.items()))


def folds_of_search(dataset: DatasetDict) -> DatasetDict:
    """Folds 1 to 9, divided into the splits of this comparison."""
    known = {"train": dataset["train"], "validation": dataset["train"], "test": dataset["validation"]}
    return DatasetDict({s: known[s].select(np.flatnonzero(np.isin(known[s]["fold"], SPLITS[s]))) for s in SPLITS})


def run(dataset: DatasetDict, recipe: str, settings: list[str]) -> dict:
    """Pretrain and evaluate a variant: macro AUC by method and task, and the training time in seconds."""
    settings = [*settings, "training.save_strategy=no", "training.eval_strategy=no"]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model, processor = pretrain(dataset, load_recipe(recipe, settings), folder)
    seconds = time.perf_counter() - started
    encoder = CheckpointEncoder(model, processor)
    return {"seconds": round(seconds, 1), "macro_auc": evaluate(encoder, dataset, embed_all(encoder, dataset))}


def embed_all(encoder: CheckpointEncoder, dataset: DatasetDict) -> dict[str, np.ndarray]:
    """The features of each split, `(records, dim)`."""
    return {str(split): embed(encoder, rows, name=split) for split, rows in dataset.items()}


def evaluate(
    encoder: CheckpointEncoder, dataset: DatasetDict, features: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Macro AUC on the split "test" by method and task."""
    figures: dict[str, dict[str, float]] = {"zero-shot": {}, "linear-probe": {}}
    for task in TASKS:
        protocol = protocol_of(dataset, task, resamples=0)
        labels = label_embeddings(encoder, task, protocol.labels)
        probe = linear_probe(features, protocol)
        figures["zero-shot"][task] = protocol.macro_auroc("test", zero_shot_scores(encoder, features["test"], labels))
        figures["linear-probe"][task] = protocol.macro_auroc("test", probe(features["test"]))
    return figures


if __name__ == "__main__":
    main()
