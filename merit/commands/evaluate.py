"""`merit evaluate`, `baseline` and `compare`."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from .options import Dataset, Model

Tasks = Annotated[
    list[str] | None,
    Option(metavar="TASK...", help="Label tasks, such as super.", show_default="all of the data set"),
]
Seed = Annotated[int, Option(metavar="N", help="Seed of added noise and of training.")]


def evaluate(
    model: Model,
    data: Dataset,
    output: Annotated[Path, Option(metavar="FILE.json", help="File for the results.")],
    name: Annotated[
        str | None, Option(metavar="NAME", help="Name of the model in tables.", show_default="name of its folder")
    ] = None,
    tasks: Tasks = None,
    only: Annotated[
        list[str] | None,
        Option(
            metavar="METHOD...",
            help="zero-shot, linear-probe, linear-probe-from-zero-shot, knn, retrieval, robustness, fine-tuned.",
            show_default="all but fine-tuned",
        ),
    ] = None,
    fractions: Annotated[
        list[float] | None,
        Option(
            metavar="SHARE...",
            help="Shares of the training labels that probes and fine-tuning use.",
            show_default="0.01 0.1 1",
        ),
    ] = None,
    cache: Annotated[Path | None, Option(metavar="DIR", help="Store embeddings here and reuse stored ones.")] = None,
    shift_to: Annotated[
        list[Path] | None, Option(metavar="DIR...", help="Other data sets to test on, over the labels they share.")
    ] = None,
    random_initialisation: Annotated[
        bool, Option("--random-initialisation", help="Evaluate the model with random weights, as before training.")
    ] = False,
    published_protocol: Annotated[
        bool,
        Option("--published-protocol", help="Also select probes on the test set, as many papers do (biased upwards)."),
    ] = False,
    seed: Seed = 0,
) -> None:
    """Evaluate a checkpoint on a data set: encoder, classifier or report model."""
    from .. import workflows

    results = workflows.evaluate(
        model,
        data,
        output,
        name=name,
        tasks=tasks,
        only=only,
        fractions=fractions,
        cache=cache,
        shift_to=shift_to or [],
        random_initialisation=random_initialisation,
        published_protocol=published_protocol,
        seed=seed,
        log=_result_printer(),
    )
    typer.echo(f"{len(results)} results in {output}")


def _result_printer() -> Callable[[dict[str, Any]], None]:
    """A function that prints one line per result: seconds since now, method, and AUROC or else the first metric."""
    started = time.monotonic()

    def show(result: dict[str, Any]) -> None:
        setting = ", ".join(f"{key} {value}" for key, value in result["setting"].items())
        metric = "auroc" if "auroc" in result["metrics"] else next(iter(result["metrics"]))
        figure = result["metrics"][metric]
        print(
            f"[{time.monotonic() - started:4.0f} s] {result['task']} {result['method']}{setting and f' ({setting})'}: "
            f"{metric} {figure['value']} ({figure['low']} to {figure['high']})",
            flush=True,
        )

    return show


def baseline(
    data: Dataset,
    output: Annotated[Path, Option(metavar="DIR", help="Folder for checkpoints and results.json.")],
    tasks: Tasks = None,
    epochs: Annotated[int, Option(metavar="N", help="Number of epochs.")] = 50,
    seed: Annotated[int, Option(metavar="N", help="Seed of the training.")] = 0,
) -> None:
    """Train and evaluate the supervised baseline, one xresnet1d101 per task."""
    from .. import workflows

    results = workflows.baseline(data, output, tasks=tasks, epochs=epochs, seed=seed)
    typer.echo(f"{len(results['results'])} results in {output / 'results.json'}")


def compare(
    files: Annotated[list[Path], Argument(metavar="FILE", help="Result files of `merit evaluate`.")],
    plots: Annotated[Path | None, Option(metavar="FILE.png|pdf|svg", help="Draw a page of plots of one task.")] = None,
    plot_task: Annotated[
        str | None, Option(metavar="TASK", help="Task of the page.", show_default="the one of most models")
    ] = None,
    plot_labels: Annotated[
        list[str] | None,
        Option(
            metavar="LABEL...",
            help="Labels of its ROC and precision-recall curves, at most three.",
            show_default="the two with the most positives",
        ),
    ] = None,
    per_label: Annotated[bool, Option("--per-label", help="Also print the AUROC of each label.")] = False,
    no_published: Annotated[bool, Option("--no-published", help="Leave out figures from the literature.")] = False,
) -> None:
    """Print a table that compares result files."""
    from .. import workflows
    from ..training.results.comparison import comparison, read_results

    if not plots:
        workflows.refuse_options("Without --plots nothing is drawn", plot_task=plot_task, plot_labels=plot_labels)
    results = read_results(files)
    typer.echo(comparison(results, published=not no_published, per_label=per_label))
    if plots:
        from ..training.results.plots import draw_comparison

        for note in draw_comparison(results, plots, plot_task, plot_labels):
            print(note, file=sys.stderr)


COMMANDS = (evaluate, baseline, compare)
