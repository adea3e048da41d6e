"""What the package does, once, from recordings to an answer: with the checkpoint that ships, or from the beginning."""

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from transformers import AutoModel, AutoProcessor
from transformers.trainer_utils import set_seed

from . import hub_cards
from .hub_cards.export import export
from .training.data.catalogue import load_data
from .training.data.schema import label_names
from .training.evaluation.evaluate import evaluate
from .training.learning.finetuning import fine_tune
from .training.learning.pretraining import pretrain
from .training.results.result_files import provenance, write_json
from .training.scoring.encoders import CheckpointEncoder
from .training.scoring.protocol import protocol_of, score
from .training.simulation.ptbxl_tree import write_simulated_ptbxl
from .training.trainer.recipe import load_recipe
from .training.trainer.training_record import TRAINING_RECORD

SHIPPED = Path(hub_cards.__path__[0]) / "merit-ptbxl-tiny"
# Simulated recordings: to try a trained model on, and to train one.
TRIED_RECORDS, TRAINING_RECORDS = 2500, 7500
TASK, FINE_TUNING_EPOCHS = "super", 12
LABELS = ("normal ECG", "myocardial infarction", "ST-T changes", "conduction disturbance", "hypertrophy")
SIMULATED_TASKS = ("all", "super")
PTBXL_TASKS = ("super", "all")
METHODS = ("zero-shot", "linear-probe")


def run(data: str | None, output: str) -> None:
    """
    Try the checkpoint that ships: classify a recording by text, draw it, fine-tune, and classify again.

    On a PTB-XL tree `data` or, when there is none, on simulated recordings, which are of a kind that the checkpoint has
    not seen. Leaves `output`/classified.png, `output`/fine-tuned (a Hub folder) and results.json.
    """
    say = _Clock()
    folder, root = _folders(data, output, TRIED_RECORDS, say)
    dataset = load_data(root)
    model, processor = AutoModel.from_pretrained(SHIPPED), AutoProcessor.from_pretrained(SHIPPED)
    say(f"Classifying one recording by {SHIPPED.name}, in a fresh process")
    _classify(root, dataset, SHIPPED, folder)

    say(f"Measuring it on {len(dataset['test'])} recordings of other patients")
    measured = evaluate(CheckpointEncoder(model, processor), dataset, [TASK], METHODS)
    protocol = protocol_of(dataset, TASK)
    say(f"Fine-tuning it on {int(protocol.kept['train'].sum())} recordings")
    classifier, scores, _ = fine_tune(model, processor, dataset, TASK, protocol, num_train_epochs=FINE_TUNING_EPOCHS)
    measured.append(score(protocol, scores, TASK, "fine-tuned", {}))
    saved = export(classifier, processor, folder / "fine-tuned")
    auc = {method: figures[TASK] for method, figures in aucs(measured).items()}
    facts = {**provenance(root), "model": SHIPPED.name, "seconds": say.seconds()}
    write_json(folder / "results.json", {**facts, "task": TASK, "auc": auc})
    print(f"\nAUC on test patients, task {TASK!r}")
    print(f"{'':<10}" + "".join(f"{method.replace('_', ' '):>14}" for method in auc))
    for label in [*protocol.labels, "macro"]:
        print(f"{label:<10}" + _cells(figures.get(label) for figures in auc.values()))
    say(f"Done. Fine-tuned model: {saved}  Picture: {folder / 'classified.png'}")


def train(data: str | None, output: str) -> None:
    """
    Pretrain a model in `output`, on a PTB-XL tree `data` or, when there is none, on simulated recordings.

    Leaves `output`/model (a Hub folder), results.json, and classified.png.
    """
    say = _Clock()
    folder, root = _folders(data, output, TRAINING_RECORDS, say)
    recipe, tasks = ("ptbxl-cpu", PTBXL_TASKS) if data else ("demo", SIMULATED_TASKS)
    dataset = load_data(root)
    say(f"Pretraining on {len(dataset['train'])} recordings and their reports, recipe {recipe}")
    model, processor = pretrain(dataset, load_recipe(recipe), folder, resume=True)
    saved = export(model, processor, folder / "model", results=[folder / TRAINING_RECORD])

    say(f"Evaluating {saved} on recordings of other patients")
    model, processor = AutoModel.from_pretrained(saved), AutoProcessor.from_pretrained(saved)
    results = {"trained": aucs(evaluate(CheckpointEncoder(model, processor), dataset, tasks, METHODS))}
    say("Evaluating the same model before training")
    set_seed(0)
    untrained = CheckpointEncoder(AutoModel.from_config(model.config), processor)
    results["random_initialisation"] = aucs(evaluate(untrained, dataset, tasks, METHODS))
    facts = {**provenance(root), "recipe": recipe, "seconds": say.seconds()}
    write_json(folder / "results.json", {**facts, "auc": results})
    for task in tasks:
        print(format_table(task, label_names(dataset["train"], task), results))

    say("Classifying one recording in a fresh process")
    _classify(root, dataset, saved, folder)
    say(f"Done. Model: {saved}  Figures: {folder / 'results.json'}  Picture: {folder / 'classified.png'}")


class _Clock:
    """Says what happens, and when."""

    def __init__(self):
        self.started = time.monotonic()

    def seconds(self) -> int:
        return round(time.monotonic() - self.started)

    def __call__(self, what: str) -> None:
        print(f"[{self.seconds():4d} s] {what}", flush=True)


def _folders(data: str | None, output: str, records: int, say: _Clock) -> tuple[Path, Path]:
    """The folder of the run, and that of the recordings, which are simulated when there are none."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(data) if data else folder / "simulated"
    if not root.exists() and not data:
        say(f"Simulating {records} recordings")
        write_simulated_ptbxl(root, records, seed=0)
    say(f"Reading {root}")
    return folder, root


def _classify(root: Path, dataset, model: Path, folder: Path) -> None:
    record = root / dataset["test"][0]["record_id"]
    command = [sys.executable, "-m", "merit", "classify", str(record), "--model", str(model)]
    subprocess.run([*command, "--plot", str(folder / "classified.png"), "--labels", *LABELS], check=True)
    print(f"Its report says: {dataset['test'][0]['report']}")


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
        lines.append(f"{label:<10}" + _cells(results[which][how][task].get(label) for how, which in columns))
    return "\n".join(lines) + "\n"


def _cells(values: Iterable[float | None]) -> str:
    return "".join(f"{'-' if value is None else f'{value:.3f}':>14}" for value in values)
