"""Options that several subcommands share, and options with several values."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Option
from typer.core import TyperCommand

Model = Annotated[str, Argument(metavar="MODEL", help="Folder or Hub id of a checkpoint.")]
Dataset = Annotated[Path, Option("--data", metavar="DIR", help="A prepared data set, or PTB-XL's own folder.")]
Datasets = Annotated[list[Path], Option("--data", metavar="DIR...", help="Prepared data sets, or PTB-XL's own folder.")]


class ListCommand(TyperCommand):
    """A command whose options with a metavar such as `LABEL...` take several values: `--labels A B --labels C`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        lists = {name for option in self.params if (option.metavar or "").endswith("...") for name in option.opts}
        try:
            args = repeat_options(args, lists)
        except ValueError as error:
            ctx.fail(str(error))
        return super().parse_args(ctx, args)


def repeat_options(arguments: Sequence[str], lists: set[str]) -> list[str]:
    """
    Repeat an option before each of its values, as Click expects it.

    >>> repeat_options(["a.json", "--labels", "AFIB", "LBBB", "--json"], {"--labels"})
    ['a.json', '--labels', 'AFIB', '--labels', 'LBBB', '--json']
    """
    repeated: list[str] = []
    option, is_list = "", False
    for number, argument in enumerate(arguments):
        if argument == "--":
            return repeated + list(arguments[number:])
        if argument.startswith("-"):
            option, is_list = argument, argument in lists
            if not is_list:
                repeated.append(argument)
            elif number + 1 == len(arguments) or arguments[number + 1].startswith("-"):
                raise ValueError(f"Option {option} needs at least one value.")
        else:
            repeated += [option, argument] if is_list else [argument]
    return repeated


def split_commas(values: Iterable[str] | None) -> list[str] | None:
    """
    The values of a list option, of which each may be several separated by commas.

    >>> split_commas(["AFIB, LBBB", "normal ECG"])
    ['AFIB', 'LBBB', 'normal ECG']
    """
    return None if values is None else [part.strip() for value in values for part in value.split(",") if part.strip()]
