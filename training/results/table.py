"""The figures of result files as one long pandas table, and ways to take parts of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import pandas as pd

from .figures import Figure, figures_of, setting_key


def results_table(files: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """
    The figures of result files, one a row, in the order of the files.

    Args:
        files: contents of result files, by name or in a sequence; files without results are left out.

    Returns:
        one column for each field of [`Figure`]. Missing values and bounds are NaN.
    """
    table = pd.DataFrame(figures_of(files), columns=list(Figure._fields))
    return table.astype({"value": float, "low": float, "high": float})


def where(table: pd.DataFrame, condition: Any) -> pd.DataFrame:
    """The rows of a table for which a column of booleans is true."""
    return cast(pd.DataFrame, table[condition])  # type checkers expect a Series


def select(table: pd.DataFrame, setting: Mapping[str, Any] | None = None, **values: Any) -> pd.DataFrame:
    """
    The rows of a table that have these values in these columns; macro figures unless a label is named.

    Args:
        setting: of the results, if given.
        values: by column; a list or tuple stands for any of its values.
    """
    values = {"label": "", **values}
    if setting is not None:
        values["setting"] = setting_key(setting)
    for column, value in values.items():
        table = where(table, table[column].isin(value if isinstance(value, (list, tuple)) else [value]))
    return table


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows]) + "\n"
