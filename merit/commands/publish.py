"""`merit export` and `publish`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from .options import Model


def export(
    model: Model,
    directory: Annotated[
        Path, Argument(metavar="DIR", help="Folder to write; must be absent, empty, or an earlier export.")
    ],
    dtype: Annotated[
        str | None,
        Option(
            metavar="TYPE",
            help="Type of the stored weights: float32, bfloat16 or float16.",
            show_default="the smallest that is exact",
        ),
    ] = None,
    max_shard_size: Annotated[str, Option(metavar="SIZE", help="Largest size of a file of weights.")] = "5GB",
    results: Annotated[list[Path] | None, Option(metavar="FILE...", help="Result files to add to results/.")] = None,
    encoder_only: Annotated[
        bool, Option("--encoder-only", help="Export the ECG encoder alone, which AutoModel loads as MeritEcgModel.")
    ] = False,
    onnx: Annotated[
        bool, Option("--onnx", help="Add ONNX files of the encoder and the classifier, checked against torch.")
    ] = False,
    quantize_with: Annotated[
        Path | None,
        Option(metavar="DATA", help="Add an 8-bit ONNX encoder too, with ranges from training records of this data."),
    ] = None,
) -> None:
    """Write a model as a complete folder that loads with or without this package."""
    from .. import workflows

    folder = workflows.export_checkpoint(
        model,
        directory,
        dtype=dtype,
        max_shard_size=max_shard_size,
        results=results or [],
        encoder_only=encoder_only,
        onnx=onnx,
        quantize_with=quantize_with,
    )
    typer.echo(f"Model in {folder}")


def publish(
    directory: Annotated[Path, Argument(metavar="DIR", help="Folder written by `merit export` or `merit prepare`.")],
    repo_id: Annotated[str, Option(metavar="ORG/NAME", help="Repository on the Hub; created if it does not exist.")],
    type: Annotated[Literal["model", "dataset"], Option(help="Whether DIR is an export or a prepared data set.")] = (
        "model"
    ),
    licence: Annotated[
        str | None,
        Option(metavar="NAME", help="Licence of a data set of your own, such as cc-by-4.0; for --type dataset."),
    ] = None,
    private: Annotated[bool, Option("--private", help="Create the repository as a private one.")] = False,
    revision: Annotated[str, Option(metavar="BRANCH", help="Branch to commit to.")] = "main",
    create_pr: Annotated[bool, Option("--create-pr", help="Open a pull request instead.")] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Check and compare, but send nothing.")] = False,
    force: Annotated[
        bool, Option("--force", help="Commit on top of commits that the folder does not contain.")
    ] = False,
    space: Annotated[
        Path | None,
        Option(
            "--space",
            metavar="WHEEL",
            help="Send the web page with this wheel of the package as a Space; DIR is then the Hub id of its model.",
        ),
    ] = None,
    report_model: Annotated[
        str | None, Option(metavar="ORG/NAME", help="Model that writes the reports of the web page; for --space.")
    ] = None,
) -> None:
    """Check an exported folder or a prepared data set and push it to the Hub in one commit."""
    from .. import workflows

    workflows.publish(
        directory,
        repo_id,
        type=type,
        licence=licence,
        private=private,
        revision=revision,
        create_pr=create_pr,
        dry_run=dry_run,
        force=force,
        space=space,
        report_model=report_model,
    )


COMMANDS = (export, publish)
