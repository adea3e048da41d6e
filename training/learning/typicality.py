"""Typical recordings: what a model needs to tell recordings that are out of distribution, or at a wrong rate.

The distribution of the pooled features of training recordings has a mean and a shrunk covariance (Ledoit and Wolf,
2004). Linear checks separate the same features from those of recordings whose sampling rate is stated too low or too
high. All thresholds are chosen on validation recordings, which must not be in "train".
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ...processing.recordings_merit import EcgError
from ..scoring.embeddings import batches, embed
from ..scoring.encoders import CheckpointFeatures, Rows
from ..scoring.perturbations import Perturbation

# Share of the validation recordings that are out of distribution, and that each check finds.
FALSE_ABSTENTIONS = 0.01
FALSE_ALARMS = 0.0025
# The same for short recordings and those with few leads, whose features differ from those of whole ones.
FALSE_ALARMS_OF_PARTIAL = 0.01
# Recordings of each split that checks are fitted to, and thresholds for partial recordings chosen on.
RECORDINGS = 2000
# Inverse L2 penalty of the checks.
_PENALTY = 0.1
_LEADS = ("I",)
_SECONDS = 2.5


@dataclass(frozen=True)
class PlayedAt:
    """
    Recordings whose stated sampling rate is the true one times `factor`: above 1 the heart seems to beat too fast.

    Example:
        >>> PlayedAt(2.0)([{"sampling_rate": 500.0}])
        [{'sampling_rate': 1000.0}]
    """

    factor: float

    def __call__(self, rows: Rows) -> Rows:
        return [{**row, "sampling_rate": row["sampling_rate"] * self.factor} for row in rows]


CHECKS = {"fast_motion": PlayedAt(2.0), "slow_motion": PlayedAt(0.5)}
"""The faults that the checks are fitted to, by code."""


def learn_quality(
    model: Any,
    processor: Any,
    train: Dataset,
    validation: Dataset,
    recordings: int = RECORDINGS,
    cache: str | Path | None = None,
) -> Any:
    """
    Fit the distribution of the features of training recordings, the checks, and their thresholds.

    Args:
        model: a `MeritModel`, `MeritForPreTraining`, `MeritForEcgClassification` or `MeritForReportGeneration`; it is
            not changed.
        processor: its processor.
        train: recordings that the model has learned from; labels and reports are not used.
        validation: other recordings.
        recordings: number of recordings of each that checks are fitted to; drawn at random.
        cache: folder for the embeddings, see `embed`.

    Returns:
        a copy of the model that tells recordings which are out of distribution, or in fast or slow motion.

    Raises:
        ValueError: there are fewer than two recordings in `train` or none in `validation`.
    """
    if len(train) < 2 or not len(validation):
        raise ValueError(
            f"There are {len(train)} recordings for training and {len(validation)} for validation: two and one are the "
            "least."
        )
    model = deepcopy(model).eval()
    encoder = CheckpointFeatures(model, processor)
    typical, usual = (embed(encoder, rows, cache=cache, name="recordings") for rows in (train, validation))

    few = {"train": _drawn(train, recordings), "validation": _drawn(validation, recordings)}
    # A lower rate and fewer seconds come with a wrong rate, too, and are no faults.
    rate = float(train[0]["sampling_rate"])
    seconds = processor.feature_extractor.duration / 2
    harmless = {
        "train": [Perturbation(seconds=seconds), Perturbation(sampling_rate=rate / 2)],
        "validation": [Perturbation(seconds=_SECONDS), Perturbation(leads=_LEADS)],
    }
    changed = {
        split: [_changed(encoder, few[split], change, cache, split) for change in changes]
        for split, changes in harmless.items()
    }
    unchanged, partial = np.concatenate([typical, *changed["train"]]), np.concatenate(changed["validation"])
    if not len(partial):
        partial = usual

    fitted = LedoitWolf().fit(typical.astype(np.float64))
    whitening = np.linalg.cholesky(np.asarray(fitted.get_precision()))
    model.fit_typical(_half(fitted.location_), _half(whitening))
    thresholds = [
        float(np.quantile(model.atypicality(torch.from_numpy(features).to(model.device)).cpu().numpy(), 1 - share))
        for features, share in ((usual, FALSE_ABSTENTIONS), (partial, FALSE_ALARMS_OF_PARTIAL))
    ]
    model.config.abstention_threshold = round(thresholds[0], 4)
    model.config.abstention_threshold_partial = round(max(thresholds), 4)

    checks = {}
    for code, fault in CHECKS.items():
        faulty = _changed(encoder, few["train"], fault, cache, code)
        if not len(faulty):
            continue
        weight = _half(_direction(unchanged, faulty))
        threshold = max(
            np.quantile(features @ weight.numpy(), 1 - share)
            for features, share in ((usual, FALSE_ALARMS), (partial, FALSE_ALARMS_OF_PARTIAL))
        )
        checks[code] = weight, float(_half(-threshold))
    model.fit_checks(checks)
    return model


def _changed(
    encoder: CheckpointFeatures, rows: Dataset, change: Callable[[Rows], Rows], cache: str | Path | None, name: str
) -> np.ndarray:
    """Features of changed recordings; left out are those that the change makes unusable, as without lead I."""
    try:
        return embed(encoder, rows, change, cache, name=name)
    except EcgError:
        usable = [number for number, [row] in enumerate(batches(rows, 1)) if _is_usable(encoder, row, change)]
    if not usable:
        return np.empty((0, encoder.encoder.config.pooled_size), np.float32)
    return embed(encoder, rows.select(usable), change, cache, name=name)


def _is_usable(encoder: CheckpointFeatures, row: dict[str, Any], change: Callable[[Rows], Rows]) -> bool:
    try:
        encoder.processor(ecg=change([row]))
    except EcgError:
        return False
    return True


def _direction(unchanged: np.ndarray, faulty: np.ndarray) -> np.ndarray:
    """Weights `(dim,)` of a logistic regression that separates features of faulty recordings from others."""
    scaler = StandardScaler().fit(unchanged)
    features = scaler.transform(np.concatenate([unchanged, faulty]))
    target = np.repeat([0, 1], [len(unchanged), len(faulty)])
    fitted = LogisticRegression(C=_PENALTY, max_iter=1000, class_weight="balanced").fit(features, target)
    scale: Any = scaler.scale_
    return fitted.coef_[0] / np.maximum(scale, 1e-6)


def _drawn(rows: Dataset, count: int) -> Dataset:
    return rows.select(np.random.default_rng(0).permutation(len(rows))[:count])


def _half(values: Any) -> torch.Tensor:
    """Rounded to half precision, in which checkpoints are stored, so that storing does not change what is told."""
    return torch.tensor(values, dtype=torch.float16).float()
