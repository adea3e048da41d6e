"""
The `merit` command: one typer application, one file per group of subcommands.

A subcommand parses its options, makes one call that a Python user can make too, and prints the outcome. What it calls
is imported inside the function, so that `merit --help` does not wait for torch.

Exit codes: 0 for success, 1 for an error (`merit: message` on standard error), 2 for wrong usage, 130 for an interrupt.
"""

import sys
from typing import Annotated

import typer

from ..processing.answers_merit import DISCLAIMER
from ..training.results.progress import configure_output
from . import data, evaluate, publish, train, use
from .options import ListCommand

__all__ = ["app", "main"]

app = typer.Typer(name="merit", no_args_is_help=True, pretty_exceptions_enable=False, epilog=DISCLAIMER)
for panel, group in (
    ("Data", data),
    ("Training", train),
    ("Evaluation", evaluate),
    ("Use", use),
    ("Publishing", publish),
):
    for function in group.COMMANDS:
        epilog = DISCLAIMER if group is use else None
        app.command(cls=ListCommand, rich_help_panel=panel, epilog=epilog)(function)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"merit {__version__}")
        raise typer.Exit


@app.callback()
def merit(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not show progress: merit --quiet predict ...")] = False,
) -> None:
    """MERIT: an ECG-text foundation model."""
    configure_output(quiet)


def main() -> int:
    """Run the command with the arguments of this process; returns the exit code."""
    try:
        app(prog_name="merit")
    except SystemExit as end:  # typer ends with it: success, wrong usage, interrupt
        return int(end.code or 0)
    except (ImportError, OSError, ValueError) as error:
        extra = "; pip install 'merit-ecg[train]'" if isinstance(error, ModuleNotFoundError) else ""
        print(f"merit: {error}{extra}", file=sys.stderr)
        return 1
    return 0
