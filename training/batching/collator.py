"""From rows of a data set to a batch of the model."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from ...processing.recordings_merit import EcgError
from ..data.schema import SIGNAL_COLUMNS
from .augmentation import Augmentation, RecordRng
from .first_warnings import FirstWarnings


def ecg_rows(dataset: Dataset, *columns: str) -> Dataset:
    """
    The signal columns of a data set and the given further columns, in the format that [`MeritCollator`] reads.

    Signals keep their 16-bit integers; by default `datasets` converts integers to 64 bits, which is four times slower.
    """
    rows = dataset.select_columns([*SIGNAL_COLUMNS, *columns])
    return rows.with_format("numpy", columns=["signal"], output_all_columns=True, dtype=np.int16)


class SeededRows(torch.utils.data.Dataset):
    """
    Rows with their random seed: the column "seed" holds the tuple (seed of the run, epoch, number of the row).

    Args:
        rows: as [`ecg_rows`] returns them.
        seed: seed of the run.
    """

    def __init__(self, rows: Dataset, seed: int):
        self.rows, self.seed = rows, seed
        # In shared memory, since persistent loader workers outlive an epoch.
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
        return [{**row, "seed": (self.seed, self.epoch, index)} for index, row in zip(indices, rows)]

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def record_ids(self, indices: Sequence[int]) -> list[str]:
        """The names of some of the records."""
        return list(self.rows.select(indices)["record_id"])


class SeededOrder(torch.utils.data.Sampler[int]):
    """All rows of [`SeededRows`] in a random order that depends on the seed and the epoch only."""

    def __init__(self, rows: SeededRows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng((self.rows.seed, self.rows.epoch)).permutation(len(self.rows)).tolist())


@dataclass
class MeritCollator:
    """
    Turns rows of a data set into a batch for the model.

    All random choices for a record follow from the "seed" of its row, see [`SeededRows`]; the batch then has its row
    number in `rows`. Without it they come from torch's global generator.

    Args:
        processor: a `MeritProcessor`.
        text_column: column of the text; None for ECGs alone. Of several columns one is drawn for each record, and the
            batch has `keys`, which are equal where the last column is equal.
        label_column: column of label vectors, returned as float `labels` `(batch, labels)`.
        crop_seconds: length of random crops; None for the whole window.
        augmentation: augmentations to apply.
        patch_length: samples in a patch of the model; adds `noise`, which determines the random masks.
        pad_text: pad text to the tokenizer's maximum length, so that all batches have one shape.
        config: the model's configuration, to check that the processor has its sampling rate and leads.

    Raises:
        ValueError: the processor is not for the model, or a signal cannot be used or has values that are NaN or
            infinite; the message names the record.

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
    config: Any = None
    first_warnings: FirstWarnings = field(default_factory=FirstWarnings, init=False, repr=False, compare=False)

    def __post_init__(self):
        if self.config is not None:
            self.processor.feature_extractor.check_model(self.config)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        rng = RecordRng(row["seed"] if "seed" in row else torch.randint(2**62, ()).item() for row in rows)
        columns = [self.text_column] if isinstance(self.text_column, str) else self.text_column or []
        text = None
        if columns:
            which = (rng.uniform() * len(columns)).long().tolist() if len(columns) > 1 else [0] * len(rows)
            text = [row[columns[i]] for row, i in zip(rows, which)]
        padding = {"padding": "max_length"} if self.pad_text and text else {}
        with advice_on_bad_records(), self.first_warnings.only():
            batch = dict(self.processor(ecg=list(rows), text=text, return_tensors="pt", **padding))
        if len(columns) > 1:
            batch["keys"] = torch.tensor([text_key(row[columns[-1]]) for row in rows])
        if self.crop_seconds is not None:
            rate = self.processor.feature_extractor.sampling_rate
            batch |= random_crop(batch, self.crop_seconds, rate, rng)
        if self.augmentation is not None:
            batch = self.augmentation(batch, rng)
        if self.patch_length is not None:
            batch["noise"] = rng.uniform(
                batch["ecg_values"].shape[2] // self.patch_length, batch["ecg_values"].shape[1]
            ).transpose(1, 2)
        if "seed" in rows[0]:
            batch["rows"] = torch.tensor([row["seed"][-1] for row in rows])
        if self.label_column:
            batch["labels"] = torch.stack([torch.as_tensor(row[self.label_column]) for row in rows]).float()
        if not batch["ecg_values"].isfinite().all():
            finite = batch["ecg_values"].isfinite().flatten(1).all(1).tolist()
            bad = [str(row["record_id"]) for row, good in zip(rows, finite) if not good]
            raise ValueError(f"{', '.join(bad)}: the signal has values that are NaN or infinite; leave it out.")
        return batch


@contextmanager
def advice_on_bad_records() -> Iterator[None]:
    """Extend the error of a processor, which names the record that cannot be used, by what to do about it."""
    try:
        yield
    except EcgError as error:
        raise EcgError(f"{error}. Leave the record out, or prepare the data set again with --skip-bad.") from None


def random_crop(
    batch: dict[str, torch.Tensor], seconds: float, sampling_rate: float, rng: RecordRng
) -> dict[str, torch.Tensor]:
    """`ecg_values` and `sample_mask` of a random crop of each recording; a shorter recording is kept whole."""
    length = round(seconds * sampling_rate)
    recorded = batch["sample_mask"].sum(-1)
    latest = (recorded - length).clamp(min=0)
    start = (rng.uniform() * (latest + 1)).long().minimum(latest)
    index = start[:, None] + torch.arange(min(length, batch["sample_mask"].shape[-1]))
    values = batch["ecg_values"]
    return {
        "ecg_values": values.gather(2, index[:, None].expand(-1, values.shape[1], -1)),
        "sample_mask": batch["sample_mask"].gather(1, index),
    }


def text_key(text: str) -> int:
    """A 64-bit hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
