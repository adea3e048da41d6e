"""Embeddings of a data set, cached in safetensors files."""

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

from ..batching.collator import ecg_rows
from ..data.schema import SIGNAL_COLUMNS
from ..results.atomic import atomic_write
from ..results.progress import progress_bar
from .encoders import EcgEncoder, Rows

# Part of the cache key: to be raised by every change that changes embeddings.
VERSION = "1"


def embed(
    encoder: EcgEncoder,
    dataset: Dataset,
    perturbation: Callable[[Rows], Rows] | None = None,
    cache: str | Path | None = None,
    batch_size: int = 256,
    name: str = "",
) -> np.ndarray:
    """
    The features of every record of a data set, `(records, dim)` float32.

    Args:
        encoder: the model.
        perturbation: applied to the rows first, see `perturbations`; its `repr` is part of the cache key.
        cache: folder of cached features; the file name is a hash of encoder, records and perturbation.
        name: text of the progress bar.
    """
    path = None
    if cache is not None and encoder.fingerprint is not None:
        facts = f"{VERSION} {encoder.fingerprint} {fingerprint(dataset, SIGNAL_COLUMNS)} {perturbation!r} {batch_size}"
        path = Path(cache) / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.safetensors"
        if path.is_file():
            return load_file(path)["features"]
    parts = []
    with progress_bar(len(dataset), f"Embedding {name}".strip(), leave=False) as progress:
        for rows in batches(dataset, batch_size):
            parts.append(np.asarray(encoder.embed(perturbation(rows) if perturbation else rows), np.float32))
            progress.update(len(rows))
    features = np.ascontiguousarray(np.concatenate(parts))
    if path is not None:
        with atomic_write(path) as temporary:
            save_file({"features": features}, temporary)
    return features


def batches(dataset: Dataset, batch_size: int = 256) -> Iterator[Rows]:
    """The signals of a data set as batches of rows."""
    numpy = ecg_rows(dataset)
    for batch in numpy.iter(batch_size):
        columns: Mapping[str, Any] = batch  # type: ignore[assignment]
        yield [dict(zip(columns, values)) for values in zip(*columns.values())]


def fingerprint(dataset: Dataset, columns: Sequence[str]) -> str:
    """Hash of the content of columns, independent of how it is split into files; 0.5 s for the signals of PTB-XL."""
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
