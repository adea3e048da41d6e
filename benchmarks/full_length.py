"""The paper's claim at full length: MERIT, alignment alone and reconstruction alone, each at its best epoch.

    python benchmarks/full_length.py --data PTBXL --cpsc2018 FOLDER --csn FOLDER [--seeds 0 1 2] [--arms merit ...]

Each arm trains for all epochs of the recipe. Every few epochs its checkpoint is scored by linear probes on fold 9, and
the one with the best mean macro AUROC over the six tasks is kept. That model is evaluated on fold 10: zero-shot
classification, linear probes with 1, 10 and 100 % of the labels, retrieval, few leads and noise, fine-tuning on two
tasks, and the regression of known physiology of simulated recordings; then on recordings of other hospitals. What an
arm cannot do is left out.

There is one result file for each arm and seed, and one with the paired differences of each seed between MERIT and the
other arms; an arm that has a file is not run again, and an interrupted one continues where it stopped. Checkpoints and
complete results with their scores go to --models.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ablations import ARMS, SIMULATED_RECORDS, TRAINED, of_physiology, paired_rows, write_whole
from datasets import DatasetDict, concatenate_datasets
from options import data_parser, missing_results, without_replicates
from other_hospitals import figures
from transformers import AutoModel, AutoProcessor

from merit.training.data.catalogue import load_data, open_source
from merit.training.data.preparation import load_prepared, prepare
from merit.training.evaluation.context import EvaluationContext
from merit.training.evaluation.evaluate import evaluate
from merit.training.learning.pretraining import pretrain
from merit.training.results.comparison import read_results
from merit.training.results.result_files import Result, write_json
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.scoring.protocol import task_names
from merit.training.simulation.ptbxl_tree import write_simulated_ptbxl
from merit.training.trainer.checkpoints import step_of
from merit.training.trainer.recipe import load_recipe

FINE_TUNED = ("all", "sub")
BEST = "best"  # the folder with the best model of an arm


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--cpsc2018", required=True, help="folder of CPSC2018 or of some of its records")
    parser.add_argument("--csn", required=True, help="folder of Chapman-Shaoxing-Ningbo or of some of its records")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=TRAINED, default=TRAINED)
    parser.add_argument("--recipe", default="ptbxl-tiny")
    parser.add_argument("--every", type=int, default=4, help="score every so many epochs, up to the last (default: 4)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "full-length")
    parser.add_argument("--models", type=Path, default=Path("runs") / "full-length", help="gets a folder of each model")
    args = parser.parse_args()
    dataset = load_data(args.data)
    with tempfile.TemporaryDirectory() as scratch:
        simulated = load_data(write_simulated_ptbxl(f"{scratch}/simulated", SIMULATED_RECORDS, seed=0))
        hospitals = {}
        for source, folder in (("cpsc2018", args.cpsc2018), ("csn", args.csn)):
            prepared = load_prepared(prepare(open_source(source, folder), Path(scratch) / source))
            hospitals[source] = concatenate_datasets(list(prepared.values()))
        for seed in args.seeds:
            arms = {f"{arm}-{seed}": arm for arm in args.arms}
            for run_name, path in missing_results(args.output, arms):
                arm, folder = arms[run_name], args.models / run_name
                settings = [f"training.seed={seed}", *ARMS[arm]]
                epochs = train(dataset, args.recipe, settings, folder, args.every)
                encoder = CheckpointEncoder(
                    AutoModel.from_pretrained(folder / BEST), AutoProcessor.from_pretrained(folder / BEST), arm
                )
                has_text = arm != "reconstruction-only"
                results = evaluate(
                    encoder,
                    dataset,
                    methods=["linear-probe", "robustness", *(["zero-shot", "retrieval"] if has_text else [])],
                    cache=args.models / "cache",
                    seed=seed,
                )
                results += evaluate(encoder, dataset, FINE_TUNED, ["fine-tuned"], seed=seed, fractions=[1.0])
                context = EvaluationContext(encoder, dataset, ["all"], args.models / "cache")
                elsewhere = {source: figures(source, rows, context) for source, rows in hospitals.items()}
                physiology = of_physiology(encoder, simulated)
                others = for_pairing(elsewhere, physiology)
                content = write_whole(folder, encoder, dataset, args.data.name, seed, results, others)
                found = {"epochs": epochs, "physiology": physiology, "hospitals": elsewhere}
                write_json(path, {**content, **without_replicates(found)})
                print(f"{path} written", flush=True)
            write_differences(args.models, args.output, seed)


def train(dataset: DatasetDict, recipe: str, settings: list[str], folder: Path, every: int) -> list[dict[str, Any]]:
    """
    Train one arm and save its best model to `folder`/best.

    Returns:
        for each scored epoch the mean macro AUROC of linear probes on fold 9 and the alignment losses.
    """
    settings = [*settings, "training.save_total_limit=100", "training.load_best_model_at_end=false"]
    _, processor = pretrain(dataset, load_recipe(recipe, settings), folder, resume=True)
    checkpoints = sorted((folder / "checkpoints").glob("checkpoint-*"), key=step_of)
    path = folder / "epochs.json"
    scored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for checkpoint in checkpoints[::-1][::every][::-1]:
        if checkpoint.name not in scored:
            encoder = CheckpointEncoder(AutoModel.from_pretrained(checkpoint), processor)
            scored[checkpoint.name] = fold_9(EvaluationContext(encoder, dataset, task_names(dataset)))
            write_json(path, scored)
    best = max(scored, key=lambda name: scored[name]["mean"])
    AutoModel.from_pretrained(folder / "checkpoints" / best).save_pretrained(folder / BEST)
    processor.save_pretrained(folder / BEST)
    log = json.loads((folder / "training.json").read_text(encoding="utf-8"))["training"]["log"]
    return [
        {
            "epoch": 1 + checkpoints.index(folder / "checkpoints" / name),
            **found,
            "best": name == best,
            **losses(log, name),
        }
        for name, found in scored.items()
    ]


def fold_9(context: EvaluationContext) -> dict[str, float]:
    """Macro AUROC of the linear probe of each task on fold 9, and their mean."""
    found = {}
    for task in context.tasks:
        scores = context.probe(task)(context.features("validation"))
        found[task] = round(float(context.protocols[task].macro_auroc("validation", scores)), 5)
    return {**found, "mean": round(float(np.mean(list(found.values()))), 5)}


def losses(log: list[Mapping[str, float]], checkpoint: str) -> dict[str, float]:
    """The logged losses at a checkpoint: of the training batch before it and of fold 9."""
    step = step_of(Path(checkpoint))
    latest: dict[str, float] = {}
    for entry in log:
        if entry["step"] <= step:
            latest |= {name: value for name, value in entry.items() if "loss" in name or "information" in name}
    return latest


def for_pairing(hospitals: Mapping[str, Any], physiology: Mapping[str, Any]) -> list[Result]:
    """The figures of other hospitals and of physiology as results; their tasks are hospitals and quantities."""
    figures = [
        (name, method, "auroc", found["records"], settings[0]["macro_auroc"], settings[0]["replicates"])
        for name, found in hospitals.items()
        for method, settings in found["methods"].items()
    ]
    figures += [
        (name, "regression", "r2", found["records"]["test"], found["r2"], found["replicates"])
        for name, found in physiology.items()
    ]
    return [
        {"task": task, "method": method, "setting": {}, "split": "test", "records": records}
        | {"metrics": {metric: figure}, "replicates": {metric: replicates}}
        for task, method, metric, records, figure, replicates in figures
    ]


def write_differences(models: Path, output: Path, seed: int) -> None:
    """Paired differences between MERIT and each other arm that is complete, for every result that both have."""
    arms = [arm for arm in TRAINED if (models / f"{arm}-{seed}" / "evaluation.json").is_file()]
    if arms[:1] != ["merit"] or len(arms) < 2:
        return
    read = dict(zip(arms, read_results([models / f"{arm}-{seed}" / "evaluation.json" for arm in arms])))
    rows = [{"minus": arm, **row} for arm in arms[1:] for row in paired_rows(read["merit"], read[arm])]
    write_json(output / f"differences-{seed}.json", {"model": "merit", "seed": seed, "differences": rows})


if __name__ == "__main__":
    main()
