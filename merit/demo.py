"""The main job once, from recordings to an answer: pretrain, save, load afresh, evaluate, classify."""

import subprocess
import sys
import time
from pathlib import Path

from transformers import AutoModel, AutoProcessor
from transformers.trainer_utils import set_seed

from .hub_cards.export import export
from .training.data import load_data
from .training.embeddings import MeritEncoder
from .training.evaluation import evaluate
from .training.pretraining import load_recipe, pretrain
from .training.records import label_names
from .training.results import provenance, write_json
from .training.simulated_ptbxl import write_simulated_ptbxl

SIMULATED_RECORDS = 7500
SIMULATED_TASKS = ("all", "super")
PTBXL_TASKS = ("super", "all")
METHODS = ("zero-shot", "linear-probe")


def run(data: str | None, output: str) -> None:
    """
    Run the demonstration in `output`, on a PTB-XL tree `data` or, when there is none, on simulated recordings.

    Leaves `output`/model (a Hub folder), results.json, and classified.png.
    """
    folder, started = Path(output), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)

    def say(what: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {what}", flush=True)

    if data:
        root, recipe, tasks = Path(data), "ptbxl-cpu", PTBXL_TASKS
    else:
        root, recipe, tasks = folder / "simulated", "demo", SIMULATED_TASKS
        if not root.exists():
            say(f"Simulating {SIMULATED_RECORDS} recordings")
            write_simulated_ptbxl(root, SIMULATED_RECORDS, seed=0)
    say(f"Reading {root}")
    dataset = load_data(root)
    say(f"Pretraining on {len(dataset['train'])} recordings and their reports, recipe {recipe}")
    model, processor = pretrain(dataset, load_recipe(recipe), folder, resume=True)
    saved = export(model, processor, folder / "model")

    say(f"Evaluating {saved} on recordings of other patients")
    model, processor = AutoModel.from_pretrained(saved), AutoProcessor.from_pretrained(saved)
    results = {"trained": aucs(evaluate(MeritEncoder(model, processor), dataset, tasks, METHODS))}
    say("Evaluating the same model before training")
    set_seed(0)
    untrained = MeritEncoder(AutoModel.from_config(model.config), processor)
    results["random_initialisation"] = aucs(evaluate(untrained, dataset, tasks, METHODS))
    write_json(
        folder / "results.json",
        {**provenance(root), "recipe": recipe, "seconds": round(time.monotonic() - started), "auc": results},
    )
    for task in tasks:
        print(format_table(task, label_names(dataset["train"], task), results))

    say("Classifying one recording in a fresh process")
    record = root / dataset["test"][0]["record_id"]
    labels = ["normal ECG", "myocardial infarction", "ST-T changes", "conduction disturbance", "hypertrophy"]
    command = [sys.executable, "-m", "merit.command", "classify", str(record), "--model", str(saved)]
    subprocess.run([*command, "--plot", str(folder / "classified.png"), "--labels", *labels], check=True)
    print(f"Its report says: {dataset['test'][0]['report']}")
    say(f"Done. Model: {saved}  Figures: {folder / 'results.json'}  Picture: {folder / 'classified.png'}")


def aucs(results: list[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """AUROC of each label and their mean, "macro", by method and task; of whole training sets and all prompts."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for result in results:
        if not result["setting"]:
            of_labels = {label: values["auroc"]["value"] for label, values in result["labels"].items()}
            of_task = {"macro": result["metrics"]["auroc"]["value"], **of_labels}
            figures.setdefault(result["method"].replace("-", "_"), {})[result["task"]] = of_task
    return figures


def format_table(task: str, labels: list[str], results: dict) -> str:
    """AUC per label and macro, trained beside random initialisation."""
    columns = [(how, which) for how in ("zero_shot", "linear_probe") for which in results]
    lines = [f"\nAUC on test patients, task {task!r}: zero-shot and linear probe, trained and randomly initialised"]
    lines.append(f"{'':<10}" + "".join(f"{how.replace('_', ' '):>14}" for how, _ in columns))
    lines.append(f"{'':<10}" + "".join(f"{which.split('_')[0]:>14}" for _, which in columns))
    for label in [*labels, "macro"]:
        values = [results[which][how][task].get(label) for how, which in columns]
        lines.append(f"{label:<10}" + "".join(f"{'-' if value is None else f'{value:.3f}':>14}" for value in values))
    return "\n".join(lines) + "\n"
