"""From rows of a data set to a batch of the model."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from .augmentation import Augmentation, RecordRng

SIGNAL_COLUMNS = ["record_id", "signal", "gain", "baseline", "sampling_rate", "lead_names"]


def ecg_rows(dataset: Dataset, *columns: str) -> Dataset:
    """
    The recordings of a data set, and further columns, as [`MeritCollator`] reads them.

    Signals stay the 16-bit integers they are stored as; by default `datasets` makes every integer one of 64 bits, which
    takes four times as long.
    """
    rows = dataset.select_columns([*SIGNAL_COLUMNS, *columns])
    return rows.with_format("numpy", columns=["signal"], output_all_columns=True, dtype=np.int16)


class SeededRows(torch.utils.data.Dataset):
    """
    Rows that carry what decides everything random about them: "draw", the tuple (seed, epoch, row).

    Args:
        rows: as [`ecg_rows`] returns them.
        seed: of the run.
    """

    def __init__(self, rows: Dataset, seed: int):
        self.rows, self.seed = rows, seed
        # Shared with loader workers that outlive an epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    @epoch.setter
    def epoch(self, epoch: int):
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        rows = self.rows.__getitems__(indices)
        return [{**row, "draw": (self.seed, self.epoch, index)} for index, row in zip(indices, rows)]

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def record_ids(self, indices: Sequence[int]) -> list[str]:
        return list(self.rows.select(indices)["record_id"])


class SeededOrder(torch.utils.data.Sampler[int]):
    """All rows of [`SeededRows`] in an order that seed and epoch decide."""

    def __init__(self, rows: SeededRows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng((self.rows.seed, self.rows.epoch)).permutation(len(self.rows)).tolist())


@dataclass
class MeritCollator:
    """
    Processes rows with a [`MeritProcessor`], in one go for the whole batch.

    Whatever is random about a recording follows from the "draw" of its row, see [`SeededRows`], whose number is
    returned in `rows`; for rows without, from torch's global generator.

    Args:
        processor: a `MeritProcessor`.
        text_column: column that holds the text; None for ECGs alone. Of several columns one is drawn for each
            recording, and `keys` are added: equal where the last of the columns is.
        label_column: column that holds label vectors, returned as float `labels` of shape (batch, labels).
        crop_seconds: train on a random stretch of this length, another in every epoch; None for the whole window.
        augmentation: what disturbs the recordings.
        patch_length: samples of a patch of the model: adds `noise`, which decides its masks.
        pad_text: to the tokenizer's limit, so that all batches have one shape.

    Raises:
        ValueError: a value is NaN or infinite; the message names the recordings.

    Example:
        >>> DataLoader(ecg_rows(dataset, "report"), 32, collate_fn=MeritCollator(processor))  # doctest: +SKIP
    """

    processor: Any
    text_column: str | Sequence[str] | None = "report"
    label_column: str | None = None
    crop_seconds: float | None = None
    augmentation: Augmentation | None = None
    patch_length: int | None = None
    pad_text: bool = False

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        chance = RecordRng(row["draw"] if "draw" in row else torch.randint(2**62, ()).item() for row in rows)
        columns = [self.text_column] if isinstance(self.text_column, str) else self.text_column or []
        text = None
        if columns:
            which = (chance.uniform() * len(columns)).long().tolist() if len(columns) > 1 else [0] * len(rows)
            text = [row[columns[i]] for row, i in zip(rows, which)]
        padding = {"padding": "max_length"} if self.pad_text and text else {}
        batch = dict(self.processor(ecg=list(rows), text=text, return_tensors="pt", **padding))
        if len(columns) > 1:
            batch["keys"] = torch.tensor([_key(row[columns[-1]]) for row in rows])
        if self.crop_seconds is not None:
            rate = self.processor.feature_extractor.sampling_rate
            batch |= random_crop(batch, self.crop_seconds, rate, chance)
        if self.augmentation is not None:
            batch = self.augmentation(batch, chance)
        if self.patch_length is not None:
            batch["noise"] = chance.uniform(
                batch["ecg_values"].shape[2] // self.patch_length, batch["ecg_values"].shape[1]
            ).transpose(1, 2)
        if "draw" in rows[0]:
            batch["rows"] = torch.tensor([row["draw"][-1] for row in rows])
        if self.label_column:
            batch["labels"] = torch.stack([torch.as_tensor(row[self.label_column]) for row in rows]).float()
        if not batch["ecg_values"].isfinite().all():
            finite = batch["ecg_values"].isfinite().flatten(1).all(1).tolist()
            bad = [str(row["record_id"]) for row, good in zip(rows, finite) if not good]
            raise ValueError(f"{', '.join(bad)}: the signal has values that are NaN or infinite; leave it out.")
        return batch


def random_crop(
    batch: dict[str, torch.Tensor], seconds: float, sampling_rate: float, chance: RecordRng
) -> dict[str, torch.Tensor]:
    """`ecg_values` and `sample_mask` of a random stretch of each recording; a shorter recording is taken whole."""
    length = round(seconds * sampling_rate)
    recorded = batch["sample_mask"].sum(-1)
    latest = (recorded - length).clamp(min=0)
    start = (chance.uniform() * (latest + 1)).long().minimum(latest)
    index = start[:, None] + torch.arange(min(length, batch["sample_mask"].shape[-1]))
    values = batch["ecg_values"]
    return {
        "ecg_values": values.gather(2, index[:, None].expand(-1, values.shape[1], -1)),
        "sample_mask": batch["sample_mask"].gather(1, index),
    }


def _key(text: str) -> int:
    """64 bits, equal for equal texts."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
