"""Embeddings of a data set, computed once and kept in safetensors."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from safetensors.numpy import load_file, save_file
from tqdm.auto import tqdm

from ..batching.collator import SIGNAL_COLUMNS, ecg_rows
from .encoders import Encoder, Rows

# Part of the key of kept embeddings: raise it whenever they would come out differently.
VERSION = "1"


def embed(
    encoder: Encoder,
    dataset: Dataset,
    change: Callable[[Rows], Rows] | None = None,
    cache: str | Path | None = None,
    batch_size: int = 256,
    name: str = "",
) -> np.ndarray:
    """
    The features of every record of a data set, `(records, dim)` float32.

    Args:
        encoder: what embeds.
        change: applied to the rows before, see `robustness`; its `repr` says what it does.
        cache: folder where features are kept under a hash of encoder, records and change, and found again.
        name: for the progress bar.
    """
    path = None
    if cache is not None and encoder.fingerprint is not None:
        facts = f"{VERSION} {encoder.fingerprint} {fingerprint(dataset, SIGNAL_COLUMNS)} {change!r} {batch_size}"
        path = Path(cache) / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.safetensors"
        if path.is_file():
            return load_file(path)["features"]
    parts = []
    with tqdm(total=len(dataset), desc=f"Embedding {name}".strip(), unit=" records", leave=False) as progress:
        for rows in batches(dataset, batch_size):
            parts.append(np.asarray(encoder.embed(change(rows) if change else rows), np.float32))
            progress.update(len(rows))
    features = np.ascontiguousarray(np.concatenate(parts))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.unfinished")
        save_file({"features": features}, unfinished)
        unfinished.replace(path)
    return features


def batches(dataset: Dataset, batch_size: int = 256) -> Iterator[Rows]:
    """The signals of a data set as rows, batch by batch."""
    numpy = ecg_rows(dataset)
    for batch in numpy.iter(batch_size):
        columns: Mapping[str, Any] = batch  # type: ignore[assignment]
        yield [dict(zip(columns, values)) for values in zip(*columns.values())]


def fingerprint(dataset: Dataset, columns: Sequence[str]) -> str:
    """Hash of the content of columns, however it is cut into files; half a second for the signals of PTB-XL."""
    digest = hashlib.sha256()
    for table in dataset.with_format("arrow").iter(1024):
        for column in columns:
            _hash_column(digest, column, table.column(column).combine_chunks())  # type: ignore[attr-defined]
    return digest.hexdigest()


def _hash_column(digest, name: str, values: Any) -> None:
    digest.update(f"{name} {values.type} {len(values)}\n".encode())
    while (
        pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type)
    ):
        digest.update(pc.list_value_length(values).to_numpy(zero_copy_only=False))
        values = values.flatten()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        digest.update(json.dumps(values.to_pylist()).encode())
    else:
        digest.update(np.ascontiguousarray(values.to_numpy(zero_copy_only=False)))
