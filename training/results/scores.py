"""Scores files: the scores and bootstrap replicates of results, in safetensors beside their result file.

A scores file has the name of its result file with the suffix .safetensors. Its tensors are "N/SPLIT", the scores of
result N on a split, `(records, labels)` in the order of the data set, "N/replicates/METRIC", `(resamples,)`, and
"targets/TASK", the targets of the test records, `(records, labels)` of 0 and 1. Its metadata name the labels of a task.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save_file

from .atomic import atomic_write
from .result_files import Result


def scores_path(path: str | Path) -> Path:
    """The path of the scores file of a result file."""
    return Path(path).with_suffix(".safetensors")


def write_scores(path: str | Path, content: Mapping[str, Any], results: Sequence[Result]) -> None:
    """
    Write the scores and replicates of results beside their result file.

    Args:
        path: of the result file.
        content: of the result file.
        results: the same results with "scores", "targets" and "replicates".
    """
    tensors, labels = {}, {}
    for number, result in enumerate(results):
        for split, values in result.get("scores", {}).items():
            tensors[f"{number}/{split}"] = np.ascontiguousarray(values)
        for metric, values in result.get("replicates", {}).items():
            tensors[f"{number}/replicates/{metric}"] = np.ascontiguousarray(values)
        if "targets" in result and not result["setting"]:
            tensors[f"targets/{result['task']}"] = np.ascontiguousarray(result["targets"])
            labels[result["task"]] = list(result["positives"])
    if tensors:
        with atomic_write(scores_path(path)) as temporary:
            save_file(tensors, temporary, {"belongs_to": _identity(content), "labels": json.dumps(labels)})


def read_replicates(path: str | Path, content: Mapping[str, Any]) -> bool:
    """
    Give the results of a result file their replicates, from the scores file beside it or, in format 1, from itself.

    Returns:
        whether there are replicates.

    Raises:
        ValueError: the scores file belongs to other results.
    """
    for result in content["results"]:
        for metric, values in result.get("replicates", {}).items():
            # Format 1: text in units of 0.00001, "-" where a resample has no figure.
            units = [np.nan if value == "-" else int(value) for value in values.split()]
            result["replicates"][metric] = np.array(units) / 1e5
    beside = scores_path(path)
    if not beside.is_file():
        return any("replicates" in result for result in content["results"])
    with safe_open(beside, "numpy") as file:
        if (file.metadata() or {}).get("belongs_to") != _identity(content):
            raise ValueError(f"{beside} belongs to other results than {path}: evaluate the model again.")
        for name in file.keys():  # noqa: SIM118
            number, _, rest = name.partition("/")
            kind, _, metric = rest.partition("/")
            if kind == "replicates":
                content["results"][int(number)].setdefault("replicates", {})[metric] = file.get_tensor(name)
    return True


def read_predictions(path: str | Path, content: Mapping[str, Any], task: str) -> pd.DataFrame:
    """
    The scores of the results of a task without a setting, and the targets, from the scores file beside a result file.

    Returns:
        columns "method", "label", "target" and "score", a row for each label of each test record that has any label;
        no rows without a scores file, or from one of an earlier version, which has no targets.
    """
    types = {"method": str, "label": str, "target": np.uint8, "score": np.float64}
    tables = [pd.DataFrame(columns=list(types)).astype(types)]
    if scores_path(path).is_file():
        with safe_open(scores_path(path), "numpy") as file:
            labels = json.loads((file.metadata() or {}).get("labels", "{}")).get(task, [])
            for number, result in enumerate(content["results"] if labels else []):
                if result["task"] == task and not result["setting"]:
                    targets, scores = file.get_tensor(f"targets/{task}"), file.get_tensor(f"{number}/test")
                    kept = targets.any(1)
                    columns = {"target": targets[kept].T.ravel(), "score": scores[kept].T.ravel()}
                    names = np.repeat(labels, kept.sum())
                    tables.append(pd.DataFrame({"method": result["method"], "label": names, **columns}))
    return pd.concat(tables)


def _identity(content: Mapping[str, Any]) -> str:
    """Model, data and kinds of results, which a scores file must share with its result file."""
    kinds = [[result["task"], result["method"], result["setting"]] for result in content["results"]]
    return json.dumps([content["model"]["weights_sha256"], content["data"]["sha256"], kinds])
