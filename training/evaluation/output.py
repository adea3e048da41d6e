"""The output of an evaluation: a result file, and a scores file beside it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from ..data.schema import SIGNAL_COLUMNS
from ..results.result_files import FORMAT, Result, compact_result, provenance, write_json
from ..results.scores import write_scores
from ..scoring.embeddings import fingerprint
from ..scoring.encoders import EcgEncoder
from ..scoring.protocol import task_names


def result_file(
    encoder: EcgEncoder, dataset: DatasetDict, name: str, seed: int, results: Sequence[Result]
) -> dict[str, Any]:
    """
    The content of a result file: results with model, data, seed, command, commit, versions and machine.

    The same command gives the same content: it holds no time. Of each result it holds what `compact_result` keeps.

    Args:
        name: of the data set.
    """
    splits = {}
    for split, rows in dataset.items():
        labels = [f"labels_{task}" for task in task_names(dataset)]
        columns = [column for column in ("record_id", "patient_id", *labels) if column in rows.column_names]
        splits[split] = {"records": len(rows), "sha256": fingerprint(rows, columns)}
    whole = [splits[split]["sha256"] + fingerprint(dataset[split], SIGNAL_COLUMNS) for split in splits]
    facts = provenance()
    return {
        "format": FORMAT,
        "model": {
            "name": encoder.name,
            "weights_sha256": getattr(encoder, "weights_sha256", None),
            "parameters": getattr(encoder, "parameters", None),
        },
        "data": {"name": name, "sha256": hashlib.sha256("".join(whole).encode()).hexdigest(), "splits": splits},
        "seed": seed,
        **{key: facts[key] for key in ("command", "commit", "versions", "machine")},
        "results": [compact_result(result) for result in results],
    }


def write_evaluation(
    path: str | Path, encoder: EcgEncoder, dataset: DatasetDict, name: str, seed: int, results: Sequence[Result]
) -> None:
    """Write results as a result file, and their scores and replicates beside it; arguments as of [`result_file`]."""
    content = result_file(encoder, dataset, name, seed, results)
    write_scores(path, content, results)
    write_json(path, content)
