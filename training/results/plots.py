"""
One page that compares models on a task: AUROC per label, robustness, label efficiency, reliability, and the ROC and
precision-recall curves of chosen labels.

A model has the same colour in every panel, a method the same marker and line.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .atomic import atomic_write
from .comparison import File
from .figures import setting_key
from .result_files import PERTURBED
from .scores import read_predictions
from .table import results_table, where
from .wording import how_measured, setting_in_words

# The colours of Okabe and Ito, which are told apart with every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Marker and line of each method; a panel of one method prefers the first.
METHODS = {"linear-probe": ("D", "-"), "zero-shot": ("o", ":"), "fine-tuned": ("s", "--"), "supervised": ("^", "-.")}
# Lines of the labels in a panel of one method.
LABEL_LINES = ("-", "--", ":")
# The formats of a page, and what keeps the date and the version of matplotlib out of each.
FORMATS = {".png": {"Software": None}, ".pdf": {"CreationDate": None, "Producer": None}, ".svg": {"Date": None}}
# More marks in one panel are not legible.
MAX_MARKS = 90
# Of a bin whose share of positives is shown.
MIN_PREDICTIONS = 10
# In inches: a page with margins, panels with a row for each label or change, other panels.
WIDTH, TALL, SHORT = 7.5, 4.0, 2.6
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "merit",
}
GREY = "0.4"
Colours = Mapping[str, str]
Draw = Callable[[Any, pd.DataFrame, Colours], None]


def draw_comparison(
    read: Sequence[File], path: str | Path, task: str | None = None, labels: Sequence[str] | None = None
) -> list[str]:
    """
    Draw the page.

    Args:
        read: as `read_results` returns them.
        path: of the file; its suffix says whether it is a PNG, PDF or SVG.
        task: by default the one that most models have; of several, the one with the fewest labels.
        labels: of the ROC and precision-recall curves, at most three; by default the two with the most positives.

    Returns:
        a sentence for each model and panel that is left out.

    Raises:
        ValueError: for another suffix, an unknown task or label, or too many models or labels.
        ImportError: without matplotlib, which the extra `merit-ecg[plot]` installs.
    """
    import matplotlib
    from matplotlib.figure import Figure

    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"{path} must end in {', '.join(FORMATS)}, the formats of a page.")
    table = results_table(read)
    table = where(table, table["method"].isin(list(METHODS)))
    # Two files may hold the same figure.
    table = table.drop_duplicates(["model", "task", "method", "setting", "label", "metric"])
    models = list(table["model"].unique())
    table = where(table, table["task"] == (_default_task(table) if task is None else task))
    if table.empty:
        raise ValueError(f"The result files have no figures of labels{f' of the task {task}' if task else ''}.")
    task = str(table["task"].iloc[0])
    shown = list(table["model"].unique())
    if len(shown) > len(COLOURS):
        raise ValueError(f"A page shows at most {len(COLOURS)} models, not {len(shown)}.")
    colours = dict(zip(shown, COLOURS))

    predictions = _predictions(read, task, _chosen_labels(table, labels))
    panels: dict[str, tuple[pd.DataFrame, Draw, str]] = {
        "AUROC per label": (_of_labels(table), _draw_labels, "no figures of labels"),
        "Robustness": (_of_perturbations(table), _draw_robustness, "no results of the method robustness"),
        "Label efficiency": (_of_fractions(table), _draw_fractions, "no results with a part of the labels"),
        "Reliability": (_of_bins(table), _draw_reliability, "no calibrated results"),
        "ROC": (predictions, _draw_roc, "no scores files with targets"),
        "Precision-recall": (predictions, _draw_precision_recall, "no scores files with targets"),
    }
    left_out = [f"{model} is left out: it has no results of the task {task}." for model in models if model not in shown]
    left_out += [f"{title} is left out: there are {why}." for title, (data, _, why) in panels.items() if data.empty]
    drawn = [(title, data, draw) for title, (data, draw, _) in panels.items() if not data.empty]

    with matplotlib.rc_context(STYLE):
        figure = Figure(layout="constrained")
        for axes, letter, (title, data, draw) in zip(_grid(figure, [title for title, *_ in drawn]), "ABCDEF", drawn):
            axes.set_title(f"{letter}  {title}")
            draw(axes, data, colours)
        _legends(figure, table, colours)
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], metadata=FORMATS[path.suffix])
    return left_out


def _default_task(table: pd.DataFrame) -> str | None:
    """The task of most models, of several the one with the fewest labels."""
    tasks = where(table, table["metric"] == "auroc").groupby("task", sort=False)
    sizes = tasks.agg({"model": "nunique", "label": "nunique"}).sort_values(["model", "label"], ascending=[False, True])
    return None if sizes.empty else str(sizes.index[0])


def _chosen_labels(table: pd.DataFrame, labels: Sequence[str] | None) -> list[str]:
    known = _by_positives(table)
    if labels is None:
        return known[:2]
    if unknown := [label for label in labels if label not in known]:
        raise ValueError(f"There is no label {', '.join(unknown)}; there are {', '.join(known)}.")
    if len(labels) > len(LABEL_LINES):
        raise ValueError(f"A page shows curves of at most {len(LABEL_LINES)} labels, not {len(labels)}.")
    return list(labels)


def _by_positives(table: pd.DataFrame) -> list[str]:
    """The labels, those with the most positives first."""
    positives: Any = where(table, table["metric"] == "positives").groupby("label", sort=False)["value"].max()
    return list(positives.sort_values(ascending=False, kind="stable").index)


def _predictions(read: Sequence[File], task: str, labels: Sequence[str]) -> pd.DataFrame:
    """Targets and scores of labels by the method that most models have, with a column "model"."""
    tables = [read_predictions(file["path"], file, task).assign(model=file["model"]["name"]) for file in read]
    table = pd.concat(tables)
    return _of_one_method(where(table, table["label"].isin(list(labels))))


def _of_one_method(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the method that most models have."""
    models = table.groupby("method")["model"].nunique()
    order = sorted(models.index, key=lambda method: (-models[method], list(METHODS).index(method)))
    return where(table, table["method"].isin(order[:1]))


def _grid(figure, titles: Sequence[str]) -> Iterator[Any]:
    """Axes for panels, two in a row; the figure gets its size."""
    rows = [[*titles[i : i + 2], "."][:2] for i in range(0, len(titles), 2)] if len(titles) > 1 else [list(titles)]
    heights = [TALL if {"AUROC per label", "Robustness"} & set(row) else SHORT for row in rows]
    figure.set_size_inches(WIDTH, sum(heights))
    axes = figure.subplot_mosaic(rows, height_ratios=heights)
    yield from (axes[title] for title in titles)


def _legends(figure, table: pd.DataFrame, colours: Colours) -> None:
    """The models above the panels, the methods below."""
    from matplotlib.lines import Line2D

    task, data, records = table[["task", "data", "records"]].iloc[0]
    models = [Line2D([], [], color=colour, lw=4, label=model) for model, colour in colours.items()]
    title = f"Task {task}, {records:,} test records of {data}"
    figure.legend(handles=models, loc="outside upper left", ncols=3, title=title, alignment="left")
    used = {method: style for method, style in METHODS.items() if (table["method"] == method).any()}
    methods = [
        Line2D([], [], color=GREY, marker=marker, ls=line, label=how_measured(method, {}))
        for method, (marker, line) in used.items()
    ]
    figure.legend(handles=methods, loc="outside lower left", ncols=len(methods))


def _of_labels(table: pd.DataFrame) -> pd.DataFrame:
    unchanged = (table["metric"] == "auroc") & (table["label"] != "") & (table["setting"] == setting_key({}))
    return _most_frequent(where(table, unchanged), _by_positives(table))


def _most_frequent(table: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """The rows of as many of the first labels as a panel has room for."""
    series = len(table[["model", "method"]].drop_duplicates())
    return where(table, table["label"].isin(list(labels)[: MAX_MARKS // max(series, 1)]))


def _draw_labels(axes, data: pd.DataFrame, colours: Colours) -> None:
    best: Any = data.groupby("label")["value"].max()
    _draw_rows(axes, data.assign(row=data["label"]), list(best.sort_values(kind="stable").index), colours)
    axes.set(xlabel="AUROC, 95 % interval")


def _of_perturbations(table: pd.DataFrame) -> pd.DataFrame:
    table = where(table, (table["metric"] == "auroc") & (table["label"] == ""))
    settings = table["setting"].map(json.loads)
    table = table.assign(perturbed=settings.map(lambda setting: bool(PERTURBED & set(setting))))
    kept = table["perturbed"] | (table["setting"] == setting_key({}))
    series = table[kept].assign(row=settings.map(_change)).groupby(["model", "method"], sort=False)
    return series.filter(lambda figures: figures["perturbed"].any())


def _change(setting: Mapping[str, Any]) -> str:
    """A change of the recordings in words."""
    if len(setting.get("leads", ())) > 3:
        return f"{len(setting['leads'])} leads"
    return " ".join(setting_in_words(setting)) or "unchanged"


def _draw_robustness(axes, data: pd.DataFrame, colours: Colours) -> None:
    data = data.sort_values("setting", key=lambda column: column != setting_key({}), kind="stable")
    _draw_rows(axes, data, list(data["row"].unique())[::-1], colours)
    axes.set(xlabel="macro AUROC, 95 % interval")


def _series(data: pd.DataFrame, *columns: str) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """The rows of each model and method, or of other columns."""
    groups: Any = data.groupby(list(columns or ("model", "method")), sort=False)
    return list(groups)


def _draw_rows(axes, data: pd.DataFrame, rows: Sequence[str], colours: Colours) -> None:
    """A mark with an interval for each model and method in each row, from the lowest row to the highest."""
    series = _series(data)
    for number, ((model, method), figures) in enumerate(series):
        # A figure without an interval has no error bar.
        low, high = (figures[bound].fillna(figures["value"]) for bound in ("low", "high"))
        spread = [(figures["value"] - low).clip(lower=0), (high - figures["value"]).clip(lower=0)]
        places = [rows.index(row) + 0.7 * (0.5 - (number + 0.5) / len(series)) for row in figures["row"]]
        marker, _ = METHODS[method]
        axes.errorbar(figures["value"], places, xerr=spread, fmt=marker, color=colours[model], lw=0.9)
    axes.locator_params(axis="x", nbins=6)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="y", visible=False)
    for row in range(0, len(rows), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="0.96", lw=0, zorder=0)


def _of_fractions(table: pd.DataFrame) -> pd.DataFrame:
    table = where(table, (table["metric"] == "auroc") & (table["label"] == ""))
    settings = table["setting"].map(json.loads)
    table = table.assign(x=settings.map(lambda setting: 100 * setting.get("train_fraction", 1.0)))
    table = where(table, settings.map(lambda setting: set(setting) <= {"train_fraction"}))
    return table.groupby(["model", "method"], sort=False).filter(lambda figures: len(figures) > 1)


def _draw_fractions(axes, data: pd.DataFrame, colours: Colours) -> None:
    for (model, method), figures in _series(data.sort_values("x")):
        _draw_curve(axes, figures["x"], figures["value"], colours[model], method)
        axes.fill_between(figures["x"], figures["low"], figures["high"], color=colours[model], alpha=0.15, lw=0)
    shares = sorted(data["x"].unique())
    axes.set(xscale="log", xlabel="training labels, %", ylabel="macro AUROC")
    axes.set_xticks(shares, [f"{share:g}" for share in shares])
    axes.minorticks_off()


def _of_bins(table: pd.DataFrame) -> pd.DataFrame:
    binned = where(table, table["metric"].isin(["predicted", "observed", "number"]))
    if binned.empty:
        return binned
    bins = binned.pivot(index=["model", "method", "label"], columns="metric", values="value").reset_index()
    return where(bins, bins["number"] >= MIN_PREDICTIONS).sort_values("predicted")


def _draw_reliability(axes, data: pd.DataFrame, colours: Colours) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, zorder=0)
    for (model, method), points in _series(data):
        _draw_curve(axes, points["predicted"], points["observed"], colours[model], method)
    axes.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))


def _draw_curve(axes, x, y, colour: str, method: str) -> None:
    marker, line = METHODS[method]
    axes.plot(x, y, marker=marker, ls=line, color=colour)


def _draw_roc(axes, data: pd.DataFrame, colours: Colours) -> None:
    from sklearn.metrics import roc_curve

    for line, colour, own in _label_curves(axes, data, colours, "lower right"):
        false, true, _ = roc_curve(own["target"], own["score"])
        axes.plot(false, true, ls=line, color=colour)
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, zorder=0)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1))


def _draw_precision_recall(axes, data: pd.DataFrame, colours: Colours) -> None:
    from sklearn.metrics import precision_recall_curve

    for line, colour, own in _label_curves(axes, data, colours, "lower left"):
        precision, recall, _ = precision_recall_curve(own["target"], own["score"])
        axes.plot(recall, precision, ls=line, color=colour)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))


def _label_curves(axes, data: pd.DataFrame, colours: Colours, place: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Line, colour, targets and scores of each curve of a panel, which gets a legend of its labels."""
    lines = dict(zip(data["label"].unique(), LABEL_LINES))
    for label, line in lines.items():
        axes.plot([], [], ls=line, color=GREY, label=label)
    axes.legend(loc=place)
    axes.set_title(f"{axes.get_title('left')}, {how_measured(data['method'].iloc[0], {})}")
    for (label, model), own in _series(data, "label", "model"):
        yield lines[label], colours[model], own
