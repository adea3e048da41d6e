"""From rows of a data set to a batch of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class MeritCollator:
    """
    Processes rows with a [`MeritProcessor`], in one go for the whole batch.

    Args:
        processor: a `MeritProcessor`.
        text_column: column that holds the text; None for ECGs alone.
        label_column: column that holds label vectors, returned as float `labels` of shape (batch, labels).
        crop_seconds: train on a random stretch of this length, another in every epoch; None for the whole window.

    Example:
        >>> from datasets import Dataset  # doctest: +SKIP
        >>> DataLoader(rows, batch_size=32, collate_fn=MeritCollator(processor))  # doctest: +SKIP
    """

    processor: Any
    text_column: str | None = "report"
    label_column: str | None = None
    crop_seconds: float | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        text = [row[self.text_column] for row in rows] if self.text_column else None
        batch = dict(self.processor(ecg=list(rows), text=text, return_tensors="pt"))
        if self.crop_seconds is not None:
            batch |= self._crop(batch)
        if self.label_column:
            batch["labels"] = torch.stack([torch.as_tensor(row[self.label_column]) for row in rows]).float()
        return batch

    def _crop(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        length = round(self.crop_seconds * self.processor.feature_extractor.sampling_rate)
        recorded = batch["sample_mask"].sum(-1)
        latest = (recorded - length).clamp(min=0)
        start = (torch.rand(len(latest)) * (latest + 1)).long()
        index = start[:, None] + torch.arange(min(length, batch["sample_mask"].shape[-1]))
        values = batch["ecg_values"]
        return {
            "ecg_values": values.gather(2, index[:, None].expand(-1, values.shape[1], -1)),
            "sample_mask": batch["sample_mask"].gather(1, index),
        }
