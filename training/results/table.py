"""All figures of result files in one long table, of which tables, plots, cards and documents are pivots."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import pandas as pd

COLUMNS = (
    *("file", "model", "weights", "data", "data_sha256", "task", "method", "setting", "split", "records"),
    *("label", "metric", "value", "low", "high"),
)


def setting_key(setting: Mapping[str, Any]) -> str:
    """
    A setting as text that compares equal whatever the order of its entries.

    Example:
        >>> setting_key({"train_fraction": 0.1, "start": "zero-shot"})
        '{"start": "zero-shot", "train_fraction": 0.1}'
    """
    return json.dumps(setting, sort_keys=True)


def results_table(files: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """
    The figures of result files, one a row, in the order of the files.

    Args:
        files: contents of result files, by name or in a sequence; files without results are left out.

    Returns:
        columns `COLUMNS`: "file" is the name or number of the file, "setting" the text of [`setting_key`], "label" the
        label of a figure per label, the bin of a figure of reliability ("bin 1" and so on), and "" otherwise. Missing
        values and bounds are NaN.
    """
    named: Iterable[tuple[Any, Mapping[str, Any]]] = files.items() if isinstance(files, Mapping) else enumerate(files)
    rows = [row for name, content in named for row in _rows(name, content)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"value": float, "low": float, "high": float})


def _rows(name: Any, content: Mapping[str, Any]) -> Iterator[tuple]:
    for result in content.get("results", []):
        model, data = content["model"], content["data"]
        where = (name, model["name"], model["weights_sha256"], data["name"], data["sha256"])
        how = (result["task"], result["method"], setting_key(result["setting"]), result["split"], result["records"])
        for metric, figure in result["metrics"].items():
            yield (*where, *how, "", metric, figure["value"], figure["low"], figure["high"])
        for label, figures in result.get("labels", {}).items():
            for metric, figure in figures.items():
                if metric == "auroc":
                    yield (*where, *how, label, metric, figure["value"], figure["low"], figure["high"])
                elif isinstance(figure, (int, float)):
                    yield (*where, *how, label, metric, figure, None, None)
        for metric, values in result.get("reliability", {}).items():
            for number, value in enumerate(values, 1):
                yield (*where, *how, f"bin {number}", metric, value, None, None)


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
