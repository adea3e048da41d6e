"""What the methods of an evaluation share: the encoder, the data set, its tasks, and everything computed only once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from datasets import DatasetDict

from ...processing.zero_shot_merit import LabelEmbeddings
from ..scoring.embeddings import embed
from ..scoring.encoders import EcgEncoder
from ..scoring.probes import FRACTIONS, LinearProbe, linear_probe, usable_fractions
from ..scoring.protocol import Protocol, protocol_of
from ..scoring.zero_shot import label_embeddings


@dataclass
class EvaluationContext:
    """
    Args:
        encoder: the model.
        dataset: as `load_data` returns it.
        tasks: tasks of the data set.
        cache: folder of cached embeddings.
        published_protocol: also measure as the literature does: probes selected on test, scores after a softmax.
        seed: of noise and fine-tuning.
        fractions: of the training labels, for probes and fine-tuning, in ascending order.
        resamples: number of bootstrap resamples.
    """

    encoder: EcgEncoder
    dataset: DatasetDict
    tasks: Sequence[str]
    cache: str | Path | None = None
    published_protocol: bool = False
    seed: int = 0
    fractions: Sequence[float] = FRACTIONS
    resamples: int = 1000
    _features: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _labels: dict[tuple[str, str | None], LabelEmbeddings] = field(default_factory=dict, repr=False)
    _probes: dict[tuple[str, float], LinearProbe] = field(default_factory=dict, repr=False)

    @cached_property
    def protocols(self) -> dict[str, Protocol]:
        """The protocol of each task."""
        return {task: protocol_of(self.dataset, task, self.resamples) for task in self.tasks}

    @property
    def scored_splits(self) -> list[str]:
        """The splits whose scores are needed: "test", and "validation" where there is one."""
        return [split for split in ("validation", "test") if split in self.dataset]

    def features(self, split: str) -> np.ndarray:
        """The features of a split, `(records, dim)`."""
        if split not in self._features:
            self._features[split] = embed(self.encoder, self.dataset[split], cache=self.cache, name=split)
        return self._features[split]

    def features_of_all(self) -> dict[str, np.ndarray]:
        """The features of "train", "validation" and "test"."""
        return {split: self.features(split) for split in ("train", "validation", "test")}

    def label_embeddings(self, task: str, language: str | None = None) -> LabelEmbeddings:
        """The labels of a task for zero-shot classification; `language` as of `label_embeddings`."""
        key = (task, language)
        if key not in self._labels:
            self._labels[key] = label_embeddings(self.encoder, task, self.protocols[task].labels, language)
        return self._labels[key]

    def fractions_of(self, task: str) -> list[float]:
        """The fractions of the training labels of a task that hold at least one record."""
        return usable_fractions(self.fractions, self.protocols[task])

    def probe(self, task: str, fraction: float | None = None) -> LinearProbe:
        """The linear probe of a task, on a fraction of the training labels; by default on the largest one."""
        fraction = self.fractions_of(task)[-1] if fraction is None else fraction
        if (task, fraction) not in self._probes:
            self._probes[task, fraction] = linear_probe(self.features_of_all(), self.protocols[task], fraction)
        return self._probes[task, fraction]


def fraction_setting(fraction: float) -> dict[str, float]:
    """The setting of a result for a fraction of the training labels; all labels are the default."""
    return {"train_fraction": fraction} if fraction < 1 else {}
