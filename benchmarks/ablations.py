"""MERIT against its ablations, each trained for the same time: what the two terms of its objective are worth.

    python benchmarks/ablations.py --data PTBXL [--minutes 5] [--seeds 0 1 2] [--recipe ptbxl-tiny] [--output FOLDER]

Every arm has the recipe's epochs replaced by as many steps as it takes in the same minutes on this machine, timed once
before the first (steps.json). It is measured on fold 10, zero-shot where it knows text and by linear probes, and by the
physiology that its features hold of simulated recordings, whose truth is known. One result file for each arm and seed,
fit for `merit compare`; an arm whose file is there is not run again. The models go to --models.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

from datasets import DatasetDict

from merit.training.data.catalogue import load_data
from merit.training.evaluation.evaluate import evaluate
from merit.training.evaluation.output import result_file
from merit.training.evaluation.physiology import physiology, simulated_truths
from merit.training.learning.pretraining import pretrain
from merit.training.results.result_files import provenance, write_json
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.simulation.ptbxl_tree import write_simulated_ptbxl
from merit.training.trainer.recipe import load_recipe
from merit.training.trainer.training_record import TRAINING_RECORD

ARMS = {
    "merit": ["model.reconstruction_depth=1"],  # the best balance of search-balance.yaml
    "alignment-only": ["model.reconstruction_weight=0"],
    "reconstruction-only": ["model.alignment_weight=0", "model.reconstruction_stride=1"],
    "random-initialisation": ["training.num_train_epochs=0"],
}
SIMULATED_RECORDS = 3000
LEFT_OUT = {"labels", "reliability"}  # figures of each label by itself, the larger half of a file
STEPS_TIMED = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("PTBXL_ROOT"), help="prepared data set or PTB-XL's folder")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, of each arm and seed (default: 5)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipe", default="ptbxl-tiny")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "ablations")
    parser.add_argument("--models", type=Path, default=Path("runs") / "ablations", help="gets a folder of each model")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name PTB-XL with --data or in PTBXL_ROOT")
    dataset = load_data(args.data)
    with tempfile.TemporaryDirectory() as scratch:
        simulated = load_data(write_simulated_ptbxl(f"{scratch}/simulated", SIMULATED_RECORDS, seed=0))
        steps = steps_in(args.minutes, dataset, args.recipe, args.output / "steps.json")
        for seed in args.seeds:
            for arm in ARMS:
                path = args.output / f"{arm}-{seed}.json"
                if path.is_file():
                    print(f"{path} is there")
                    continue
                settings = [f"training.seed={seed}", *ARMS[arm]]
                if arm in steps:
                    settings.append(f"training.max_steps={steps[arm]}")
                model, processor, training = run(dataset, args.recipe, settings)
                model.save_pretrained(args.models / path.stem)
                processor.save_pretrained(args.models / path.stem)
                encoder = CheckpointEncoder(model, processor, arm)
                results = evaluate(encoder, dataset, methods=["zero-shot", "linear-probe"])
                if arm == "reconstruction-only":  # its text encoder is as it was
                    results = [result for result in results if result["method"] != "zero-shot"]
                results = [{key: result[key] for key in result if key not in LEFT_OUT} for result in results]
                content = result_file(encoder, dataset, Path(args.data).name, seed, results)
                write_json(path, {**content, "physiology": of_physiology(encoder, simulated), "trained": training})
                print(f"{path} written", flush=True)


def steps_in(minutes: float, dataset: DatasetDict, recipe: str, path: Path) -> dict[str, int]:
    """How many steps each arm takes in so many minutes: what `path` says was found before, or timed now."""
    steps = json.loads(path.read_text(encoding="utf-8"))["steps"] if path.is_file() else {}
    for arm in (name for name in ARMS if name not in (*steps, "random-initialisation")):
        _, _, record = run(dataset, recipe, [*ARMS[arm], f"training.max_steps={STEPS_TIMED}"])
        seconds = next(entry["train_runtime"] for entry in record["log"] if "train_runtime" in entry)
        steps[arm] = round(60 * minutes * STEPS_TIMED / seconds)
        write_json(path, {"minutes": minutes, "recipe": recipe, "steps": steps, **provenance()})
    return steps


def run(dataset: DatasetDict, recipe: str, settings: list[str]):
    settings = [*settings, "training.save_strategy=no", "training.eval_strategy=no"]
    with tempfile.TemporaryDirectory() as folder:
        model, processor = pretrain(dataset, load_recipe(recipe, settings), folder)
        record = json.loads((Path(folder) / TRAINING_RECORD).read_text(encoding="utf-8"))["training"]
    return model, processor, record


def of_physiology(encoder: CheckpointEncoder, simulated: DatasetDict) -> dict:
    features = {str(split): embed(encoder, rows, name=str(split)) for split, rows in simulated.items()}
    truths = {str(split): simulated_truths(rows["record_id"], seed=0) for split, rows in simulated.items()}
    return physiology(features, truths)


if __name__ == "__main__":
    main()
