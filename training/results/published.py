"""Figures of other models as their authors published them."""

import csv
from importlib.resources import files
from typing import Any


def published_rows() -> list[dict[str, Any]]:
    """Each as model, method, train_fraction, task and auroc (0 to 1)."""
    text = (files("merit.training.results") / "published.csv").read_text(encoding="utf-8")
    return [
        {**row, "train_fraction": float(row["train_fraction"] or 1), "auroc": float(row["auroc"]) / 100}
        for row in csv.DictReader(text.splitlines())
    ]
