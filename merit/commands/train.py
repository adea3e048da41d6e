"""`merit pretrain`, `learn-labels`, `calibrate`, `finetune` and `train-reports`."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from .options import Dataset, Datasets, Model

RunFolder = Annotated[Path, Option("--output", metavar="DIR", help="Folder for checkpoints/ and the final model/.")]
Resume = Annotated[bool, Option("--resume", help="Continue from the last checkpoint in --output.")]


def pretrain(
    data: Datasets,
    recipe: Annotated[str, Option(metavar="NAME", help="demo, ptbxl-cpu, ..., or a YAML file.")],
    output: RunFolder,
    overrides: Annotated[
        list[str] | None,
        Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Override the recipe, such as training.num_train_epochs=3; may be repeated.",
        ),
    ] = None,
    resume: Resume = False,
) -> None:
    """Pretrain a model on ECGs and their reports."""
    from .. import workflows

    if folder := workflows.pretrain(data, recipe, output, overrides=overrides or [], resume=resume):
        typer.echo(f"Model in {folder}")


def learn_labels(
    model: Model,
    data: Datasets,
    output: Annotated[Path, Option(metavar="DIR", help="Folder for the model with the learned labels.")],
    least: Annotated[
        int | None,
        Option(metavar="N", help="Number of reports that must mention a finding to learn it.", show_default="10"),
    ] = None,
) -> None:
    """Fit one linear classifier per finding, using the findings mentioned in the training reports as targets."""
    from .. import workflows

    folder, learned = workflows.learn_labels(model, data, output, least=least)
    typer.echo(
        f"{len(learned.stated)} labels learned, {len(learned.replaced)} of them replace earlier ones; "
        f"{len(learned.kept)} earlier labels kept; model in {folder}"
    )


def calibrate(
    model: Model,
    data: Datasets,
    output: Annotated[Path, Option(metavar="DIR", help="Folder for the calibrated model.")],
) -> None:
    """Let a model tell what it does not know: the scale of its scores, thresholds, and unusual recordings."""
    from .. import workflows

    typer.echo(f"Model in {workflows.calibrate(model, data, output)}")


def finetune(
    model: Model,
    data: Dataset,
    task: Annotated[str, Option(metavar="TASK", help="Label task of the data set, such as super.")],
    output: Annotated[Path, Option(metavar="DIR", help="Folder for the classifier.")],
    fraction: Annotated[float, Option(metavar="SHARE", help="Share of the training labels to use.")] = 1.0,
    epochs: Annotated[
        float | None,
        Option(
            metavar="N",
            help="Number of epochs. An epoch passes 3 times over a tenth of the labels, 8 times over a hundredth.",
            show_default="8",
        ),
    ] = None,
    seed: Annotated[int, Option(metavar="N", help="Seed of the sampling and the training.")] = 0,
) -> None:
    """Fine-tune a model and a classification head on the labels of a task."""
    from .. import workflows

    folder = workflows.finetune(model, data, task, output, fraction=fraction, epochs=epochs, seed=seed)
    typer.echo(f"Model in {folder}")


def train_reports(
    model: Model,
    data: Dataset,
    output: RunFolder,
    recipe: Annotated[str, Option(metavar="NAME", help="small, llama-lora, or a YAML file.")] = "small",
    overrides: Annotated[
        list[str] | None,
        Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Override the recipe, such as language_model=Qwen/Qwen3-0.6B; may be repeated.",
        ),
    ] = None,
    resume: Resume = False,
) -> None:
    """Train a language model to write reports from the embeddings of a model."""
    from .. import workflows

    if folder := workflows.train_reports(model, data, output, recipe=recipe, overrides=overrides or [], resume=resume):
        typer.echo(f"Model in {folder}")


COMMANDS = (pretrain, learn_labels, calibrate, finetune, train_reports)
