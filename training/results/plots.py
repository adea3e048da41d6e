"""Result files as pictures: AUROC per label, label efficiency, reliability, confusions, robustness."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from .comparison import File, Result, find_result
from .wording import setting_in_words

MAX_LABELS = 30  # of a confusion matrix that can be read


def draw_comparison(read: Sequence[File], directory: str | Path) -> list[Path]:
    """
    Draw what the files have results for.

    Args:
        read: as `read_results` returns them.
        directory: gets the pictures, PNG.

    Returns:
        their paths.

    Raises:
        ImportError: without matplotlib, which the extra `merit-ecg[plot]` installs.
    """
    from matplotlib.figure import Figure

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tasks = list(dict.fromkeys(r["task"] for file in read for r in file["results"] if r["task"] != "reports"))
    paths = []
    for draw in (_labels, _label_efficiency, _reliability, _confusion, _robustness):
        for task in tasks:
            for name, size, paint in draw(read, task):
                figure = Figure(figsize=size, layout="constrained")
                paint(figure.subplots())
                path = directory / f"{name}-{task}.png"
                unfinished = path.with_name(f"{path.name}.unfinished")
                # Without the version of matplotlib the same results give the same file.
                figure.savefig(unfinished, format="png", dpi=120, metadata={"Software": None})
                unfinished.replace(path)
                paths.append(path)
    return paths


def _of(read: Sequence[File], task: str, method: str, **setting: Any) -> list[tuple[str, Result]]:
    found = [(file["model"]["name"], find_result(file, task, method, setting)) for file in read]
    return [(name, result) for name, result in found if result is not None]


def _methods(read: Sequence[File], task: str) -> list[str]:
    return list(
        dict.fromkeys(r["method"] for f in read for r in f["results"] if r["task"] == task and not r["setting"])
    )


def _labels(read: Sequence[File], task: str) -> Iterator[tuple]:
    for method in _methods(read, task):
        found = [(name, result["labels"]) for name, result in _of(read, task, method)]
        order = sorted(found[0][1], key=lambda label: found[0][1][label]["auroc"]["value"])

        def paint(axes, found=found, order=order, method=method):
            for i, (name, labels) in enumerate(found):
                known = [(row, labels[label]["auroc"]) for row, label in enumerate(order) if label in labels]
                middle = np.array([figure["value"] for _, figure in known])
                # A label whose interval is not defined has no bar.
                low, high = (
                    np.array([figure[end] if figure[end] is not None else figure["value"] for _, figure in known])
                    for end in ("low", "high")
                )
                offset = (i - (len(found) - 1) / 2) * 0.6 / len(found)
                spread = [np.maximum(middle - low, 0), np.maximum(high - middle, 0)]
                axes.errorbar(middle, [row + offset for row, _ in known], xerr=spread, fmt="o", ms=3, lw=1, label=name)
            axes.set_yticks(range(len(order)), order)
            axes.axvline(0.5, color="0.7", lw=0.8)
            axes.set(xlabel="AUROC, 95 % interval", title=f"{task}, {method}")
            axes.legend()

        yield f"labels-{method}", (7, 1.5 + 0.22 * len(order)), paint


def _label_efficiency(read: Sequence[File], task: str) -> Iterator[tuple]:
    for method in ("linear-probe", "fine-tuned"):
        curves = []
        for file, start in product(read, ({}, {"start": "zero-shot"})):
            points = [
                (r["setting"].get("train_fraction", 1.0), r["metrics"]["auroc"])
                for r in file["results"]
                if (r["task"], r["method"], set(r["setting"]) - {"train_fraction"}) == (task, method, set(start))
            ]
            if len(points) > 1:
                name = ", ".join([file["model"]["name"], *setting_in_words(start)])
                curves.append((name, sorted(points, key=lambda point: point[0])))
        if curves:

            def paint(axes, curves=curves, method=method):
                for name, points in curves:
                    _curve(axes, [100 * x for x, _ in points], [figure for _, figure in points], name)
                axes.set(xscale="log", xlabel="training labels, %", ylabel="macro AUROC", title=f"{task}, {method}")
                axes.legend()

            yield f"label-efficiency-{method}", (6, 4.5), paint


def _reliability(read: Sequence[File], task: str) -> Iterator[tuple]:
    for method in _methods(read, task):
        found = [(name, r["reliability"]) for name, r in _of(read, task, method) if "reliability" in r]
        if found:

            def paint(axes, found=found, method=method):
                axes.plot([0, 1], [0, 1], color="0.7", lw=0.8)
                for name, bins in found:
                    points = [(x, y) for x, y in zip(bins["predicted"], bins["observed"]) if x is not None]
                    axes.plot(*zip(*points), "o-", ms=4, lw=1, label=name)
                axes.set(xlabel="predicted", ylabel="observed", title=f"{task}, {method}: reliability", aspect="equal")
                axes.legend()

            yield f"reliability-{method}", (5, 5), paint


def _confusion(read: Sequence[File], task: str) -> Iterator[tuple]:
    for number, file in enumerate(read, 1):
        for method in _methods([file], task):
            result = find_result(file, task, method)
            labels = result["labels"] if result else {}
            if not 1 < len(labels) <= MAX_LABELS or not all("mistaken_for" in label for label in labels.values()):
                continue
            names = list(labels)
            matrix = np.array([[labels[a]["mistaken_for"].get(b, 0.0) for b in names] for a in names])

            def paint(axes, matrix=matrix, names=names, title=f"{file['model']['name']}: {task}, {method}"):
                axes.figure.colorbar(
                    axes.imshow(matrix, cmap="Blues", vmin=0), label="share called so as well, wrongly"
                )
                axes.set_xticks(range(len(names)), names, rotation=90)
                axes.set_yticks(range(len(names)), names)
                axes.set(xlabel="called", ylabel="has", title=title)

            yield f"confusion-{number}-{method}", (3 + 0.25 * len(names), 2.5 + 0.25 * len(names)), paint


def _robustness(read: Sequence[File], task: str) -> Iterator[tuple]:
    kinds = {
        "leads": ("leads", lambda r: len(r["setting"]["leads"]), 12),
        "seconds": ("seconds", lambda r: r["setting"]["seconds"], 10),
        "sampling_rate": ("Hz", lambda r: r["setting"]["sampling_rate"], None),
        "noise": ("signal-to-noise ratio, dB", lambda r: r["setting"]["noise_db"], None),
    }
    for method in _methods(read, task):
        for kind, (axis, position, whole) in kinds.items():
            curves: dict[str, list[tuple[float, dict]]] = {}
            for file in read:
                for result in file["results"]:
                    if (result["task"], result["method"]) == (task, method) and kind in result["setting"]:
                        name = " ".join(
                            [file["model"]["name"], *([result["setting"]["noise"]] if kind == "noise" else [])]
                        )
                        curves.setdefault(name, []).append((position(result), result["metrics"]["auroc"]))
                if whole and file["model"]["name"] in curves and (clean := find_result(file, task, method)):
                    curves[file["model"]["name"]].append((whole, clean["metrics"]["auroc"]))
            if curves:

                def paint(axes, curves=curves, axis=axis, method=method):
                    for name, points in curves.items():
                        points = sorted(points, key=lambda point: point[0])
                        _curve(axes, [x for x, _ in points], [figure for _, figure in points], name)
                    axes.set(xlabel=axis, ylabel="macro AUROC", title=f"{task}, {method}")
                    axes.legend()

                yield f"robustness-{kind}-{method}", (6, 4.5), paint


def _curve(axes, x: list[float], figures: list[dict], name: str) -> None:
    """A line through figures with a band of their intervals."""
    [line] = axes.plot(x, [figure["value"] for figure in figures], "o-", ms=4, label=name)
    low, high = ([figure[end] for figure in figures] for end in ("low", "high"))
    axes.fill_between(x, low, high, color=line.get_color(), alpha=0.15, lw=0)
