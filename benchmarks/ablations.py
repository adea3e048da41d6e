"""MERIT against its ablations, each trained for the same time: what the two terms of its objective are worth.

    python benchmarks/ablations.py --data PTBXL [--minutes 5] [--seeds 0 1 2] [--recipe ptbxl-tiny] [--output FOLDER]

Each arm trains for the number of steps that it reaches in the same time on this machine, measured once before the first
run (steps.json), instead of the epochs of the recipe. It is evaluated on fold 10, by zero-shot classification if it was
aligned with text and by linear probes, and by regressing known physiology of simulated recordings from its features.
There is one result file for each arm and seed, for `merit compare`; an arm that has a file is not run again. Models and
complete results with their scores go to --models; differences.json holds the paired differences between the first two
arms.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from options import data_parser, missing_results, without_replicates

from merit.training.data.catalogue import load_data
from merit.training.evaluation.evaluate import evaluate
from merit.training.evaluation.output import result_file, write_evaluation
from merit.training.evaluation.physiology import physiology, simulated_truths
from merit.training.learning.pretraining import pretrain
from merit.training.results.comparison import paired_differences, read_results
from merit.training.results.result_files import File, Result, provenance, write_json
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.simulation.ptbxl_tree import write_simulated_ptbxl
from merit.training.trainer.recipe import load_recipe
from merit.training.trainer.training_record import TRAINING_RECORD

ARMS = {
    "merit": ["model.reconstruction_depth=1"],  # the best setting of search-balance.yaml
    "alignment-only": ["model.reconstruction_weight=0"],
    "reconstruction-only": ["model.alignment_weight=0", "model.reconstruction_stride=1"],
    "random-initialisation": ["training.num_train_epochs=0"],
}
TRAINED = tuple(ARMS)[:3]
SIMULATED_RECORDS = 3000
STEPS_TIMED = 60


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, of each arm and seed (default: 5)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipe", default="ptbxl-tiny")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "ablations")
    parser.add_argument("--models", type=Path, default=Path("runs") / "ablations", help="gets a folder of each model")
    args = parser.parse_args()
    dataset = load_data(args.data)
    with tempfile.TemporaryDirectory() as scratch:
        simulated = load_data(write_simulated_ptbxl(f"{scratch}/simulated", SIMULATED_RECORDS, seed=0))
        steps = steps_in(args.minutes, dataset, args.recipe, args.output / "steps.json")
        for seed in args.seeds:
            arms = {f"{arm}-{seed}": arm for arm in ARMS}
            for run_name, path in missing_results(args.output, arms):
                arm = arms[run_name]
                settings = [f"training.seed={seed}", *ARMS[arm]]
                if arm in steps:
                    settings.append(f"training.max_steps={steps[arm]}")
                model, processor, training = run(dataset, args.recipe, settings)
                model.save_pretrained(args.models / run_name)
                processor.save_pretrained(args.models / run_name)
                encoder = CheckpointEncoder(model, processor, arm)
                results = evaluate(encoder, dataset, methods=["zero-shot", "linear-probe"])
                if arm == "reconstruction-only":  # its text encoder is not trained
                    results = [result for result in results if result["method"] != "zero-shot"]
                content = write_whole(args.models / run_name, encoder, dataset, args.data.name, seed, results)
                trained = {**training, "log": training["log"][-1:]}
                found = {"physiology": of_physiology(encoder, simulated), "trained": trained}
                write_json(path, {**content, **without_replicates(found)})
                print(f"{path} written", flush=True)
    write_json(args.output / "differences.json", differences(args.models, args.seeds))


def write_whole(
    folder: Path,
    encoder: CheckpointEncoder,
    dataset: DatasetDict,
    name: str,
    seed: int,
    results: Sequence[Result],
    others: Sequence[Result] = (),
) -> dict[str, Any]:
    """
    Write the whole evaluation of a model to its folder, with its scores and replicates.

    Args:
        others: more results for paired differences, whose figures stand elsewhere in the result file.

    Returns:
        the content of a result file without `others` and figures per label.
    """
    write_evaluation(folder / "evaluation.json", encoder, dataset, name, seed, [*results, *others])
    content = result_file(encoder, dataset, name, seed, results)
    for result in content["results"]:
        result.pop("labels", None)
        result.pop("reliability", None)
    return content


def paired_rows(one: File, other: File) -> Iterator[dict[str, Any]]:
    """A row of each paired difference between two evaluations."""
    for result, metric, found in paired_differences(one, other):
        yield {**{key: result[key] for key in ("task", "method", "setting")}, "metric": metric, **found}


def differences(models: Path, seeds: list[int]) -> dict:
    """Paired differences between the first two arms, for results without a setting."""
    first, second = list(ARMS)[:2]
    rows = []
    for seed in seeds:
        one, other = read_results([models / f"{arm}-{seed}" / "evaluation.json" for arm in (first, second)])
        rows += [{"seed": seed, **row} for row in paired_rows(one, other) if not row.pop("setting")]
    return {"model": first, "minus": second, "differences": rows}


def steps_in(minutes: float, dataset: DatasetDict, recipe: str, path: Path) -> dict[str, int]:
    """The number of steps of each arm in a number of minutes, from the file at `path` or measured now."""
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


def of_physiology(encoder: CheckpointEncoder, simulated: DatasetDict) -> dict[str, dict[str, Any]]:
    """What the features tell of the known physiology of simulated recordings, see `physiology`."""
    features = {str(split): embed(encoder, rows, name=str(split)) for split, rows in simulated.items()}
    truths = {str(split): simulated_truths(rows["record_id"], seed=0) for split, rows in simulated.items()}
    return physiology(features, truths)


if __name__ == "__main__":
    main()
