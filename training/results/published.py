"""Figures of other models as their authors published them."""

from functools import cache
from importlib.resources import files

import pandas as pd


@cache
def published_figures() -> pd.DataFrame:
    """
    Published figures, one a row: model, method, train_fraction, task, metric, value (0 to 1), trained_on and source.

    Example:
        >>> figures = published_figures()
        >>> figures[(figures["model"] == "MERL") & (figures["method"] == "zero-shot")]["task"].tolist()[:2]
        ['super', 'sub']
    """
    with (files("merit.training.results") / "published.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, keep_default_na=False)
    return table.assign(value=table["value"] / 100)
