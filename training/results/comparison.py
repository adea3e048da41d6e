"""Comparison of result files: tables in Markdown and paired tests between models, the command `merit compare`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .published import published_figures
from .result_files import PERTURBED, File, Result, read_result_file
from .scores import read_replicates, scores_path
from .table import markdown, results_table, select, where
from .wording import cell, how_measured, metric_name

METRICS = (
    *("auroc", "f1", "recall_at_10", "median_rank"),
    *("bleu_1", "bleu_4", "rouge_l", "statements_f1", "abstained"),
)


def read_results(paths: Sequence[str | Path]) -> list[File]:
    """
    Read result files to compare, with the replicates of their scores files where there are any.

    Raises:
        ValueError: a file is not a result file of `merit evaluate`, or was measured on other records than the first.
    """
    read: list[File] = []
    for path in paths:
        content = read_result_file(path)
        if "results" not in content:
            raise ValueError(f"{path} is not a result file of merit evaluate: it has no results.")
        if read:
            _check_same_splits(read[0], paths[0], content, path)
        content["path"] = Path(path)
        content["unpaired"] = None if read_replicates(path, content) else scores_path(path).name
        read.append(content)
    for file, name in zip(read, model_names(read)):
        file["model"] = {**file["model"], "name": name}
    return read


def _check_same_splits(first: File, first_path, other: File, path) -> None:
    ours, theirs = first["data"]["splits"], other["data"]["splits"]
    for split in sorted({*ours, *theirs}):
        if split not in ours or split not in theirs:
            raise ValueError(f"{path} cannot be compared with {first_path}: only one of them has a split {split!r}.")
        if ours[split]["sha256"] != theirs[split]["sha256"]:
            raise ValueError(
                f"{path} cannot be compared with {first_path}: split {split!r} has {theirs[split]['records']} records "
                f"with hash {theirs[split]['sha256'][:12]}, there it has {ours[split]['records']} with hash "
                f"{ours[split]['sha256'][:12]}. Evaluate both on the same version of the data."
            )


def model_names(read: Sequence[File]) -> list[str]:
    """The names of the models in tables; different models of one name get the start of the hash of their weights."""
    models = [(file["model"]["name"], str(file["model"]["weights_sha256"])[:8]) for file in read]
    names = [name for name, _ in dict.fromkeys(models)]
    return [f"{name} ({weights})" if names.count(name) > 1 else name for name, weights in models]


def comparison(read: Sequence[File], published: bool = True, per_label: bool = False) -> str:
    """
    All results of the files in Markdown: one table for each method, setting and metric, with one row for each model.

    Args:
        published: add rows with figures of the literature, which are marked.
        per_label: add tables of the AUROC of each label, with one row for each label.
    """
    everything = results_table(read)
    table = where(everything, everything["label"] == "")
    groups: Any = table.groupby(["method", "setting"], sort=False)
    parts = []
    for (method, setting), group in sorted(groups, key=lambda entry: entry[0][0]):
        tasks = list(dict.fromkeys(group["task"]))
        for metric in METRICS:
            figures = select(group, metric=metric)
            if figures.empty:
                continue
            rows = []
            for model, own in figures.groupby("model", sort=False):
                cells = {row["task"]: cell(row, metric) for row in own.to_dict("records")}
                rows.append([str(model), *(cells.get(task, "-") for task in tasks)])
            if metric == "auroc" and published:
                rows += _published(method, json.loads(setting), tasks)
            title = f"### {how_measured(method, json.loads(setting))}: {metric_name(metric)}"
            parts.append(f"{title}\n\n{markdown(['', *tasks], rows)}")
    if per_label:
        parts += _label_tables(where(everything, everything["label"] != ""))
    if len(read) > 1:
        parts.append(_paired_differences(read))
    return "\n".join(parts)


def _label_tables(table: pd.DataFrame) -> list[str]:
    """One table for each method, setting and task whose labels have an AUROC: labels in rows, models in columns."""
    parts = []
    groups: Any = table.groupby(["method", "setting", "task"], sort=False)
    for (method, setting, task), group in sorted(groups, key=lambda entry: entry[0][0]):
        figures = where(group, group["metric"] == "auroc")
        if figures.empty:
            continue
        models = list(dict.fromkeys(figures["model"]))
        cells = {(row["label"], row["model"]): cell(row, "auroc") for row in figures.to_dict("records")}
        counts = where(group, group["metric"] == "positives")
        positives = {label: f"{count:.0f}" for label, count in zip(counts["label"], counts["value"])}
        rows = [
            [label, positives.get(label, "-"), *(cells.get((label, model), "-") for model in models)]
            for label in dict.fromkeys(figures["label"])
        ]
        title = f"### {how_measured(method, json.loads(setting))}, {task}: AUROC per label"
        parts.append(f"{title}\n\n{markdown(['label', 'positives', *models], rows)}")
    return parts or ["No file has the AUROC of single labels.\n"]


def _paired_differences(read: Sequence[File]) -> str:
    first = read[0]["model"]["name"]
    text = f"### Paired differences\n\nModel minus {first}, on the same resamples.\n\n"
    for file in read:
        if file.get("unpaired"):
            text += (
                f"{file['model']['name']} is not paired: {file['unpaired']}, which `merit evaluate` writes, is not "
                "beside its result file.\n\n"
            )
    header = ["", "task", "metric", "difference", "p"]
    rows: dict[bool, list[list[str]]] = {False: [], True: []}  # by whether the recordings were perturbed
    for file in read[1:]:
        for result, metric, found in paired_differences(file, read[0]):
            rows[bool(set(result["setting"]) & PERTURBED)].append(
                [
                    f"{file['model']['name']}, {how_measured(result['method'], result['setting'])}",
                    result["task"],
                    metric_name(metric),
                    f"{100 * found['value']:+.1f} ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})",
                    f"{found['p']:.3f}",
                ]
            )
    text += markdown(header, rows[False])
    return text + (f"\n#### On perturbed recordings\n\n{markdown(header, rows[True])}" if rows[True] else "")


def paired_differences(one: File, other: File) -> Iterator[tuple[Result, str, dict[str, float]]]:
    """
    The differences between two files whose results have replicates, of every figure that both have.

    Returns:
        a result of `one`, the metric, and `paired_difference` of both files in it.
    """
    for result in one["results"]:
        same = find_result(other, result["task"], result["method"], result["setting"])
        for metric in result.get("replicates", {}):
            if same is None or metric not in same.get("replicates", {}):
                continue
            if None not in (result["metrics"][metric]["value"], same["metrics"][metric]["value"]):
                yield result, metric, paired_difference(result, same, metric)


def paired_difference(one: Result, other: Result, metric: str) -> dict[str, float]:
    """
    The difference of two results in a metric, from the replicates of both on the same resamples.

    Returns:
        "value", "low" and "high" of `one` minus `other`, and "p", the two-sided bootstrap probability of a difference
        of the opposite sign (at least one divided by the number of resamples). The replicates are moved so that their
        median lies on the difference, which corrects the bias of resampling.
    """
    replicates = [result["replicates"][metric] for result in (one, other)]
    if len(replicates[0]) != len(replicates[1]):
        raise ValueError(f"Results with {len(replicates[0])} and {len(replicates[1])} resamples cannot be paired.")
    difference = replicates[0] - replicates[1]
    difference = difference[np.isfinite(difference)]
    value = one["metrics"][metric]["value"] - other["metrics"][metric]["value"]
    difference = difference + (value - np.median(difference))
    low, high = np.percentile(difference, (2.5, 97.5))
    side = min((difference <= 0).mean(), (difference >= 0).mean())
    return {
        "value": round(value, 5),
        "low": round(float(low), 5),
        "high": round(float(high), 5),
        "p": float(min(1.0, max(2 * side, 1 / len(difference)))),
    }


def find_result(file: File, task: str, method: str, setting: Mapping[str, Any] | None = None) -> Result | None:
    """The result of a file for a task, method and setting, or None."""
    wanted = (task, method, setting or {})
    return next((r for r in file["results"] if (r["task"], r["method"], r["setting"]) == wanted), None)


def _published(method: str, setting: Mapping[str, Any], tasks: Sequence[str]) -> list[list[str]]:
    if set(setting) - {"train_fraction"}:
        return []
    figures: pd.DataFrame = published_figures()
    fraction = setting.get("train_fraction", 1)
    wanted = (figures["method"] == method) & (figures["train_fraction"] == fraction) & (figures["metric"] == "auroc")
    rows = []
    for model, own in figures[wanted & figures["task"].isin(tasks)].groupby("model", sort=False):
        cells = {task: f"{100 * value:.1f}" for task, value in zip(own["task"], own["value"])}
        rows.append([f"{model} (as published)", *(cells.get(task, "-") for task in tasks)])
    return rows
