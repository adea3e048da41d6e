"""MERIT against its ablations, each trained for the same time: what the two terms of its objective are worth.

    python benchmarks/ablations.py --data PTBXL [--minutes 10] [--seeds 0 1 2] [--recipe ptbxl-cpu] [--output FOLDER]

Every arm has the recipe's epochs replaced by as many steps as it takes in the same minutes on this machine. It is
measured on fold 10, zero-shot where it knows text and by linear probes, and by the physiology that its features hold
of simulated recordings, whose truth is known. One result file for each arm and seed, fit for `merit compare`; an arm
whose file is there is not run again.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

from datasets import DatasetDict

from merit.training.data import load_data
from merit.training.embeddings import MeritEncoder, embed
from merit.training.evaluation import evaluate, result_file
from merit.training.physiology import physiology, simulated_truths
from merit.training.pretraining import TRAINING_RECORD, load_recipe, pretrain
from merit.training.results import write_json
from merit.training.simulated_ptbxl import write_simulated_ptbxl

ARMS = {
    "merit": [],
    "alignment-only": ["model.reconstruction_weight=0"],
    "reconstruction-only": ["model.alignment_weight=0"],
    "random-initialisation": ["training.num_train_epochs=0"],
}
SIMULATED_RECORDS = 3000
STEPS_TIMED = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("PTBXL_ROOT"), help="prepared data set or PTB-XL's folder")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, of each arm and seed (default: 10)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--recipe", default="ptbxl-cpu")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "ablations")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name PTB-XL with --data or in PTBXL_ROOT")
    dataset = load_data(args.data)
    with tempfile.TemporaryDirectory() as scratch:
        simulated = load_data(write_simulated_ptbxl(f"{scratch}/simulated", SIMULATED_RECORDS, seed=0))
        steps: dict[str, int] = {}
        for seed in args.seeds:
            for arm in args.arms:
                path = args.output / f"{arm}-{seed}.json"
                if path.is_file():
                    print(f"{path} is there")
                    continue
                encoder, training = trained(dataset, args.recipe, arm, seed, args.minutes, steps)
                results = evaluate(encoder, dataset, methods=["zero-shot", "linear-probe"])
                if arm == "reconstruction-only":  # its text encoder is as it was
                    results = [result for result in results if result["method"] != "zero-shot"]
                content = result_file(encoder, dataset, Path(args.data).name, seed, results)
                write_json(path, {**content, "physiology": of_physiology(encoder, simulated), "trained": training})
                print(f"{path} written", flush=True)


def trained(
    dataset: DatasetDict, recipe: str, arm: str, seed: int, minutes: float, steps: dict[str, int]
) -> tuple[MeritEncoder, dict]:
    """An arm after its minutes, and the record of its training; `steps` keeps how many an arm takes in them."""
    settings = [f"training.seed={seed}", "training.save_strategy=no", "training.eval_strategy=no"]
    settings += ARMS[arm]
    if arm != "random-initialisation":
        if arm not in steps:
            _, _, record = run(dataset, recipe, [*settings, f"training.max_steps={STEPS_TIMED}"])
            seconds = next(entry["train_runtime"] for entry in record["log"] if "train_runtime" in entry)
            steps[arm] = round(60 * minutes * STEPS_TIMED / seconds)
        settings.append(f"training.max_steps={steps[arm]}")
    model, processor, record = run(dataset, recipe, settings)
    return MeritEncoder(model, processor, arm), record


def run(dataset: DatasetDict, recipe: str, settings: list[str]):
    with tempfile.TemporaryDirectory() as folder:
        model, processor = pretrain(dataset, load_recipe(recipe, settings), folder)
        record = json.loads((Path(folder) / TRAINING_RECORD).read_text(encoding="utf-8"))["training"]
    return model, processor, record


def of_physiology(encoder: MeritEncoder, simulated: DatasetDict) -> dict:
    features = {str(split): embed(encoder, rows, name=str(split)) for split, rows in simulated.items()}
    truths = {str(split): simulated_truths(rows["record_id"], seed=0) for split, rows in simulated.items()}
    return physiology(features, truths)


if __name__ == "__main__":
    main()
