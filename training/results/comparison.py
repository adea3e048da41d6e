"""Result files side by side: tables in Markdown, and paired tests between models: the command `merit compare`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .published import published_rows
from .replicates import decode_replicates
from .result_files import FORMAT
from .wording import cell, how_measured, metric_name

METRICS = (
    *("auroc", "f1", "recall_at_10", "median_rank"),
    *("bleu_1", "bleu_4", "rouge_l", "statements_f1", "abstained"),
)
Result = dict[str, Any]
File = dict[str, Any]


def read_results(paths: Sequence[str | Path]) -> list[File]:
    """
    Read result files that may be compared.

    Raises:
        ValueError: a file is none of `merit evaluate`, or was measured on other records than the first.
    """
    read: list[File] = []
    for path in paths:
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON: {error}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT or "results" not in content:
            raise ValueError(f"{path} is no result file of merit evaluate in format {FORMAT}.")
        if read:
            _check_same_splits(read[0], paths[0], content, path)
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
    """What tables call the models: their names, with a piece of the weights' hash where one name stands for several."""
    names = [file["model"]["name"] for file in read]
    weights = [str(file["model"]["weights_sha256"])[:8] for file in read]
    return [f"{name} ({own})" if names.count(name) > 1 else name for name, own in zip(names, weights)]


def comparison(read: Sequence[File], published: bool = True) -> str:
    """
    Every result of the files as Markdown: one table for each method, setting and metric, one row for each model.

    Args:
        published: with rows of the literature, marked as such.
    """
    parts = []
    for method, setting in _kinds(read):
        found = [
            {r["task"]: r for r in file["results"] if (r["method"], r["setting"]) == (method, setting)} for file in read
        ]
        tasks = list(dict.fromkeys(task for results in found for task in results))
        for metric in METRICS:
            shown = [
                {t: r["metrics"][metric] for t, r in results.items() if metric in r["metrics"]} for results in found
            ]
            if not any(shown):
                continue
            rows = [
                [file["model"]["name"], *(cell(figures.get(task), metric) for task in tasks)]
                for file, figures in zip(read, shown)
                if figures
            ]
            if metric == "auroc" and published:
                rows += _published(method, setting, tasks)
            parts.append(f"### {how_measured(method, setting)}: {metric_name(metric)}\n\n" + table(["", *tasks], rows))
    if len(read) > 1:
        parts.append(f"### Paired differences\n\nModel minus {read[0]['model']['name']}, on the same resamples.\n\n")
        parts[-1] += table(["", "task", "metric", "difference", "p"], list(_differences(read)))
    return "\n".join(parts)


def paired_difference(one: Result, other: Result, metric: str) -> dict[str, float]:
    """
    How much `one` is above `other`, by the replicates of both on the same resamples.

    Returns:
        "value", "low" and "high" of the difference, and "p", the two-sided bootstrap probability of a difference that
        far on the other side of 0 (never below one in the number of resamples).
    """
    replicates = [decode_replicates(result["replicates"][metric]) for result in (one, other)]
    if len(replicates[0]) != len(replicates[1]):
        raise ValueError(f"Results with {len(replicates[0])} and {len(replicates[1])} resamples cannot be paired.")
    difference = replicates[0] - replicates[1]
    difference = difference[np.isfinite(difference)]
    value = one["metrics"][metric]["value"] - other["metrics"][metric]["value"]
    low, high = np.percentile(difference, (2.5, 97.5))
    side = min((difference <= 0).mean(), (difference >= 0).mean())
    return {
        "value": round(value, 5),
        "low": round(float(low), 5),
        "high": round(float(high), 5),
        "p": float(min(1.0, max(2 * side, 1 / len(difference)))),
    }


def _differences(read: Sequence[File]):
    for file in read[1:]:
        for one in file["results"]:
            other = find_result(read[0], one["task"], one["method"], one["setting"])
            for metric in one.get("replicates", {}) if other else ():
                if other and metric in other.get("replicates", {}):
                    found = paired_difference(one, other, metric)
                    yield [
                        f"{file['model']['name']}, {how_measured(one['method'], one['setting'])}",
                        one["task"],
                        metric_name(metric),
                        f"{100 * found['value']:+.1f} ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})",
                        f"{found['p']:.3f}",
                    ]


def find_result(file: File, task: str, method: str, setting: dict[str, Any] | None = None) -> Result | None:
    """The result of a file for a task, method and setting, if it has one."""
    wanted = (task, method, setting or {})
    return next((r for r in file["results"] if (r["task"], r["method"], r["setting"]) == wanted), None)


def _kinds(read: Sequence[File]) -> list[tuple[str, dict]]:
    """Methods with settings, each once, in the order of the files."""
    kinds: list[tuple[str, dict]] = []
    for file in read:
        for result in file["results"]:
            if (kind := (result["method"], result["setting"])) not in kinds:
                kinds.append(kind)
    return sorted(kinds, key=lambda kind: kind[0])


def _published(method: str, setting: dict[str, Any], tasks: Sequence[str]) -> list[list[str]]:
    if set(setting) - {"train_fraction"}:
        return []
    fraction = setting.get("train_fraction", 1)
    rows = [r for r in published_rows() if (r["method"], r["train_fraction"]) == (method, fraction)]
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        figures = {row["task"]: f"{100 * row['auroc']:.1f}" for row in rows if row["model"] == model}
        if set(figures) & set(tasks):
            lines.append([f"{model} (as published)", *(figures.get(task, "-") for task in tasks)])
    return lines


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows]) + "\n"
