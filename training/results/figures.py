"""All figures of result files, one by one, of which tables, plots, cards and documents are pivots."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """
    One figure of a result file.

    Args:
        file: name or number of the file.
        model, weights: name of the model and hash of its weights.
        data, data_sha256: name and hash of the data set.
        task, method, split, records: of the result.
        setting: what differs from the default of the method, as text, see [`setting_key`].
        label: of a figure per label; the bin of a figure of reliability ("bin 1" and so on); otherwise "".
        metric: its name.
        value, low, high: the figure with its interval, None where it is missing.
    """

    file: Any
    model: str
    weights: str
    data: str
    data_sha256: str
    task: str
    method: str
    setting: str
    split: str
    records: int
    label: str
    metric: str
    value: float | None
    low: float | None
    high: float | None


def figures_of(files: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """
    The figures of result files, in the order of the files.

    Args:
        files: contents of result files, by name or in a sequence; files without results are left out.
    """
    named: Iterable[tuple[Any, Mapping[str, Any]]] = files.items() if isinstance(files, Mapping) else enumerate(files)
    for name, content in named:
        for result in content.get("results", []):
            model, data = content["model"], content["data"]
            where = (name, model["name"], model["weights_sha256"], data["name"], data["sha256"])
            how = (result["task"], result["method"], setting_key(result["setting"]), result["split"], result["records"])
            for one in _figures_of_result(result):
                yield Figure(*where, *how, *one)


def _figures_of_result(result: Mapping[str, Any]) -> Iterator[tuple]:
    """Label, metric, value and bounds of each figure."""
    for metric, figure in result["metrics"].items():
        yield "", metric, figure["value"], figure["low"], figure["high"]
    for label, figures in result.get("labels", {}).items():
        for metric, figure in figures.items():
            if metric == "auroc":
                yield label, metric, figure["value"], figure["low"], figure["high"]
            elif isinstance(figure, (int, float)):
                yield label, metric, figure, None, None
    for metric, values in result.get("reliability", {}).items():
        for number, value in enumerate(values, 1):
            yield f"bin {number}", metric, value, None, None


def setting_key(setting: Mapping[str, Any]) -> str:
    """
    A setting as text that compares equal whatever the order of its entries.

    Example:
        >>> setting_key({"train_fraction": 0.1, "start": "zero-shot"})
        '{"start": "zero-shot", "train_fraction": 0.1}'
    """
    return json.dumps(setting, sort_keys=True)
