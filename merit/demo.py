"""The command `merit demo`: from recordings to a fine-tuned classifier, or to a pretrained model."""

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from transformers import AutoModel, AutoProcessor
from transformers.trainer_utils import set_seed

from . import checkpoints
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

DEFAULT_MODEL = "merit-ptbxl-tiny"
# Numbers of simulated recordings.
EVALUATION_RECORDS, TRAINING_RECORDS = 2500, 7500
TASK, FINE_TUNING_EPOCHS = "super", 12
LABELS = ("normal ECG", "myocardial infarction", "ST-T changes", "conduction disturbance", "hypertrophy")
SIMULATED_TASKS = ("all", "super")
PTBXL_TASKS = ("super", "all")
METHODS = ("zero-shot", "linear-probe")


def run(data: str | Path | None, output: str | Path, model: str | None = None) -> None:
    """
    Classify a recording with a pretrained checkpoint, draw it with an explanation of its best label, fine-tune the
    checkpoint and evaluate both.

    Writes `output`/classified.png, `output`/fine-tuned (a classifier) and `output`/results.json.

    Args:
        data: a PTB-XL tree; without one, recordings are simulated.
        output: folder for all results.
        model: folder or Hub id of a dual encoder; by default merit-ptbxl-tiny of the checkout.

    Raises:
        ValueError: there is no checkpoint, or it is of another kind. Nothing has been written then.
    """
    if model is None and DEFAULT_MODEL not in checkpoints.shipped():
        raise ValueError(
            f"This installation has no checkpoint: pass the folder or Hub id of one, such as --model {DEFAULT_MODEL} "
            "in a checkout of the repository, or pretrain one with --train."
        )
    model = model or DEFAULT_MODEL
    checkpoints.require(model, checkpoints.DUAL_ENCODER)
    source, log = checkpoints.find(model), _Log()
    folder, root = _folders(data, output, EVALUATION_RECORDS, log)
    dataset = load_data(root)
    encoder, processor = AutoModel.from_pretrained(source), AutoProcessor.from_pretrained(source)
    name = Path(model).name
    log(f"Classifying one recording with {name}, in a fresh process")
    _classify(root, dataset, source, folder)

    log(f"Evaluating it on {len(dataset['test'])} recordings of other patients")
    results = evaluate(CheckpointEncoder(encoder, processor), dataset, [TASK], METHODS)
    protocol = protocol_of(dataset, TASK)
    log(f"Fine-tuning it on {int(protocol.kept['train'].sum())} recordings")
    classifier, scores, _ = fine_tune(encoder, processor, dataset, TASK, protocol, num_train_epochs=FINE_TUNING_EPOCHS)
    results.append(score(protocol, scores, TASK, "fine-tuned", {}))
    saved = export(classifier, processor, folder / "fine-tuned")
    auc = {method: figures[TASK] for method, figures in aucs(results).items()}
    facts = {**provenance(root), "model": name, "seconds": log.seconds()}
    write_json(folder / "results.json", {**facts, "task": TASK, "auc": auc})
    print(f"\nAUC on test patients, task {TASK!r}")
    print(f"{'':<10}" + "".join(f"{method.replace('_', ' '):>14}" for method in auc))
    for label in [*protocol.labels, "macro"]:
        print(f"{label:<10}" + _cells(figures.get(label) for figures in auc.values()))
    log(f"Done. Fine-tuned model: {saved}  Picture: {folder / 'classified.png'}")


def train(data: str | Path | None, output: str | Path) -> None:
    """
    Pretrain a model, evaluate it next to a randomly initialised one, and classify a recording with it.

    Writes `output`/model, `output`/results.json and `output`/classified.png.

    Args:
        data: a PTB-XL tree; without one, recordings are simulated.
        output: folder for all results.
    """
    log = _Log()
    folder, root = _folders(data, output, TRAINING_RECORDS, log)
    recipe, tasks = ("ptbxl-cpu", PTBXL_TASKS) if data else ("demo", SIMULATED_TASKS)
    dataset = load_data(root)
    log(f"Pretraining on {len(dataset['train'])} recordings and their reports, recipe {recipe}")
    model, processor = pretrain(dataset, load_recipe(recipe), folder, resume=True)
    saved = export(model, processor, folder / "model", results=[folder / TRAINING_RECORD])

    log(f"Evaluating {saved} on recordings of other patients")
    model, processor = AutoModel.from_pretrained(saved), AutoProcessor.from_pretrained(saved)
    results = {"trained": aucs(evaluate(CheckpointEncoder(model, processor), dataset, tasks, METHODS))}
    log("Evaluating the same model before training")
    set_seed(0)
    untrained = CheckpointEncoder(AutoModel.from_config(model.config), processor)
    results["random_initialisation"] = aucs(evaluate(untrained, dataset, tasks, METHODS))
    facts = {**provenance(root), "recipe": recipe, "seconds": log.seconds()}
    write_json(folder / "results.json", {**facts, "auc": results})
    for task in tasks:
        print(format_table(task, label_names(dataset["train"], task), results))

    log("Classifying one recording in a fresh process")
    _classify(root, dataset, saved, folder)
    log(f"Done. Model: {saved}  Figures: {folder / 'results.json'}  Picture: {folder / 'classified.png'}")


class _Log:
    """Prints messages with the seconds since the start."""

    def __init__(self):
        self.started = time.monotonic()

    def seconds(self) -> int:
        return round(time.monotonic() - self.started)

    def __call__(self, message: str) -> None:
        print(f"[{self.seconds():4d} s] {message}", flush=True)


def _folders(data: str | Path | None, output: str | Path, records: int, log: _Log) -> tuple[Path, Path]:
    """The folder of the run, and the PTB-XL tree, which is simulated if none is given."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(data) if data else folder / "simulated"
    if not root.exists() and not data:
        log(f"Simulating {records} recordings")
        write_simulated_ptbxl(root, records, seed=0)
    log(f"Reading {root}")
    return folder, root


def _classify(root: Path, dataset, model: str | Path, folder: Path) -> None:
    record = root / dataset["test"][0]["record_id"]
    command = [sys.executable, "-m", "merit", "classify", str(record), "--model", str(model)]
    subprocess.run(
        [*command, "--explain", "best", "--plot", str(folder / "classified.png"), "--labels", *LABELS], check=True
    )
    print(f"Its report says: {dataset['test'][0]['report']}")


def aucs(results: list[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """AUROC per method, task and label, with their mean as "macro", for results with the default setting."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for result in results:
        if not result["setting"]:
            of_labels = {label: values["auroc"]["value"] for label, values in result["labels"].items()}
            of_task = {"macro": result["metrics"]["auroc"]["value"], **of_labels}
            figures.setdefault(result["method"].replace("-", "_"), {})[result["task"]] = of_task
    return figures


def format_table(task: str, labels: list[str], results: dict) -> str:
    """A table of AUC per label and macro, trained next to random initialisation."""
    columns = [(how, which) for how in ("zero_shot", "linear_probe") for which in results]
    lines = [f"\nAUC on test patients, task {task!r}: zero-shot and linear probe, trained and randomly initialised"]
    lines.append(f"{'':<10}" + "".join(f"{how.replace('_', ' '):>14}" for how, _ in columns))
    lines.append(f"{'':<10}" + "".join(f"{which.split('_')[0]:>14}" for _, which in columns))
    for label in [*labels, "macro"]:
        lines.append(f"{label:<10}" + _cells(results[which][how][task].get(label) for how, which in columns))
    return "\n".join(lines) + "\n"


def _cells(values: Iterable[float | None]) -> str:
    return "".join(f"{'-' if value is None else f'{value:.3f}':>14}" for value in values)
