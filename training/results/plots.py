"""Plots of result files: AUROC per label, label efficiency, reliability, confusions and robustness."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .atomic import atomic_write
from .comparison import File, find_result
from .result_files import MAX_CONFUSION_LABELS
from .table import results_table, select, setting_key, where
from .wording import setting_in_words

# Name, size in inches, and a function that draws on axes.
Plot = tuple[str, tuple[float, float], Callable[[Any], None]]


def draw_comparison(read: Sequence[File], directory: str | Path) -> list[Path]:
    """
    Draw every plot that the results of the files allow.

    Args:
        read: as `read_results` returns them.
        directory: folder of the PNG files.

    Returns:
        the paths of the files.

    Raises:
        ImportError: without matplotlib, which the extra `merit-ecg[plot]` installs.
    """
    from matplotlib.figure import Figure

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    table = results_table(read)
    table = where(table, table["task"] != "reports")
    paths = []
    for plots in (_labels, _label_efficiency, _reliability, _confusion, _robustness):
        for task in table["task"].unique():
            for name, size, draw in plots(read, where(table, table["task"] == task), task):
                figure = Figure(figsize=size, layout="constrained")
                draw(figure.subplots())
                path = directory / f"{name}-{task}.png"
                with atomic_write(path) as temporary:
                    # Without the version of matplotlib, the same results give the same file.
                    figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})
                paths.append(path)
    return paths


def _methods(table: pd.DataFrame) -> list[str]:
    """The methods with results that have no setting."""
    return list(table[table["setting"] == setting_key({})]["method"].unique())


def _labels(read: Sequence[File], table: pd.DataFrame, task: str) -> Iterator[Plot]:
    table = where(table, (table["metric"] == "auroc") & (table["label"] != "") & (table["setting"] == setting_key({})))
    for method, figures in table.groupby("method", sort=False):
        models = list(figures["model"].unique())
        first = where(figures, figures["model"] == models[0])
        order = list(first.sort_values("value", kind="stable")["label"])

        def draw(axes, figures=figures, models=models, order=order, method=method):
            for i, model in enumerate(models):
                own = figures[(figures["model"] == model) & figures["label"].isin(order)].set_index("label")
                own = own.loc[[label for label in order if label in own.index]]
                # A label without an interval has no error bar.
                low, high = (own[bound].fillna(own["value"]) for bound in ("low", "high"))
                spread = [(own["value"] - low).clip(lower=0), (high - own["value"]).clip(lower=0)]
                offset = (i - (len(models) - 1) / 2) * 0.6 / len(models)
                rows = [order.index(label) + offset for label in own.index]
                axes.errorbar(own["value"], rows, xerr=spread, fmt="o", ms=3, lw=1, label=model)
            axes.set_yticks(range(len(order)), order)
            axes.axvline(0.5, color="0.7", lw=0.8)
            axes.set(xlabel="AUROC, 95 % interval", title=f"{task}, {method}")
            axes.legend()

        yield f"labels-{method}", (7, 1.5 + 0.22 * len(order)), draw


def _label_efficiency(read: Sequence[File], table: pd.DataFrame, task: str) -> Iterator[Plot]:
    for method in ("linear-probe", "fine-tuned"):
        figures = select(table, method=method, metric="auroc")
        settings = figures["setting"].map(json.loads)
        curves = []
        for model in figures["model"].unique():
            for start in ({}, {"start": "zero-shot"}):
                same = settings.map(lambda setting, start=start: set(setting) - {"train_fraction"} == set(start))
                points = figures[same & (figures["model"] == model)]
                if len(points) > 1:
                    fractions = [setting.get("train_fraction", 1.0) for setting in settings[points.index]]
                    points = points.assign(x=[100 * fraction for fraction in fractions]).sort_values("x")
                    curves.append((", ".join([model, *setting_in_words(start)]), points))
        if curves:

            def draw(axes, curves=curves, method=method):
                for name, points in curves:
                    _curve(axes, points, name)
                axes.set(xscale="log", xlabel="training labels, %", ylabel="macro AUROC", title=f"{task}, {method}")
                axes.legend()

            yield f"label-efficiency-{method}", (6, 4.5), draw


def _reliability(read: Sequence[File], table: pd.DataFrame, task: str) -> Iterator[Plot]:
    for method in _methods(table):
        found = [(file["model"]["name"], find_result(file, task, method)) for file in read]
        bins = [(name, result["reliability"]) for name, result in found if result and "reliability" in result]
        if bins:

            def draw(axes, bins=bins, method=method):
                axes.plot([0, 1], [0, 1], color="0.7", lw=0.8)
                for name, own in bins:
                    points = [(x, y) for x, y in zip(own["predicted"], own["observed"]) if x is not None]
                    axes.plot(*zip(*points), "o-", ms=4, lw=1, label=name)
                axes.set(xlabel="predicted", ylabel="observed", title=f"{task}, {method}: reliability", aspect="equal")
                axes.legend()

            yield f"reliability-{method}", (5, 5), draw


def _confusion(read: Sequence[File], table: pd.DataFrame, task: str) -> Iterator[Plot]:
    for number, file in enumerate(read):
        for method in _methods(where(table, table["file"] == number)):
            result = find_result(file, task, method)
            labels = result.get("labels", {}) if result else {}
            if not 1 < len(labels) <= MAX_CONFUSION_LABELS or not all("mistaken_for" in one for one in labels.values()):
                continue
            names = list(labels)
            matrix = np.array([[labels[a]["mistaken_for"].get(b, 0.0) for b in names] for a in names])

            def draw(axes, matrix=matrix, names=names, title=f"{file['model']['name']}: {task}, {method}"):
                axes.figure.colorbar(axes.imshow(matrix, cmap="Blues", vmin=0), label="false positive rate")
                axes.set_xticks(range(len(names)), names, rotation=90)
                axes.set_yticks(range(len(names)), names)
                axes.set(xlabel="predicted", ylabel="true", title=title)

            yield f"confusion-{number + 1}-{method}", (3 + 0.25 * len(names), 2.5 + 0.25 * len(names)), draw


def _robustness(read: Sequence[File], table: pd.DataFrame, task: str) -> Iterator[Plot]:
    # The label of the x axis, and the position of unperturbed recordings on it.
    kinds = {
        "leads": ("leads", 12),
        "seconds": ("seconds", 10),
        "sampling_rate": ("Hz", None),
        "noise": ("signal-to-noise ratio, dB", None),
    }
    table = where(table, (table["metric"] == "auroc") & (table["label"] == ""))
    settings = table["setting"].map(json.loads)
    for method in _methods(table):
        for kind, (axis, unperturbed) in kinds.items():
            has_kind = settings.map(lambda setting, kind=kind: kind in setting)
            points = table[has_kind & (table["method"] == method)]
            if points.empty:
                continue
            own = settings[points.index]
            names = points["model"] + (own.map(lambda setting: f" {setting['noise']}") if kind == "noise" else "")
            points = points.assign(name=names, x=[_position(kind, setting) for setting in own])
            if unperturbed:
                clean = select(table, method=method, setting={}, model=list(points["model"].unique()))
                points = pd.concat([points, clean.assign(name=clean["model"], x=unperturbed)])
            curves = list(points.sort_values("x").groupby("name", sort=False))

            def draw(axes, curves=curves, axis=axis, method=method):
                for name, points in curves:
                    _curve(axes, points, str(name))
                axes.set(xlabel=axis, ylabel="macro AUROC", title=f"{task}, {method}")
                axes.legend()

            yield f"robustness-{kind}-{method}", (6, 4.5), draw


def _position(kind: str, setting: dict[str, Any]) -> float:
    """The position of a setting on the x axis."""
    return len(setting["leads"]) if kind == "leads" else setting["noise_db" if kind == "noise" else kind]


def _curve(axes, points: pd.DataFrame, name: str) -> None:
    """A line through figures, with a band for their intervals."""
    [line] = axes.plot(points["x"], points["value"], "o-", ms=4, label=name)
    axes.fill_between(points["x"], points["low"], points["high"], color=line.get_color(), alpha=0.15, lw=0)
