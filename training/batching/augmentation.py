"""Augmentations of ECG batches in training. A recipe switches each on by itself:

    augmentation:
      lead_dropout: {probability: 0.5, strength: 0.5}
      baseline_wander: {probability: 0.3, strength: 0.2}

`probability` is the share of recordings that are augmented. `strength` is the maximum; the level of each recording is
drawn uniformly below it. Shifts in time come from the recipe's `crop_seconds`.

    lead_dropout     removes leads; strength: maximum share of the recorded leads (at least one lead always stays)
    amplitude        scales all leads by one factor; strength: maximum of the factor's absolute logarithm
    baseline_wander  0.05 to 0.5 Hz; strength: mV at an electrode
    mains            a sine of 50 or 60 Hz; strength: mV at an electrode
    muscle           noise above 20 Hz; strength: standard deviation in mV at an electrode

Noise is generated at the nine electrodes, so that it obeys Einthoven's and Goldberger's laws, and passes the band-pass
of the feature extractor, as noise in a recording would. With the default band of 0.5 to 40 Hz the filter leaves

- of baseline wander a share of 1 / (1 + (0.5 / f)^4) of the amplitude: 6 % at 0.25 Hz, half at 0.5 Hz;
- of muscle noise the part between 20 and 40 Hz;
- of mains 28 % (50 Hz) and 15 % (60 Hz) at a sampling rate of 500 Hz, and nothing at 100 Hz, where asking for it is an
  error.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.signal
import torch

from ...processing.leads_merit import STANDARD_LEADS
from ..simulation.electrodes import leads_from_electrodes

WANDER_BAND = (0.05, 0.5)  # Hz
MUSCLE_FROM = 20.0  # Hz
MAINS = (50.0, 60.0)  # Hz
# Leads as linear combinations of the nine electrodes, `(12, 9)`.
_ELECTRODES_TO_LEADS = leads_from_electrodes(np.eye(9)).astype(np.float32)


class RecordRng:
    """
    Random numbers for the recordings of a batch, with one generator for each recording.

    The numbers of a recording depend on its key only, not on the batch, the loader worker or the number of processes.

    Args:
        keys: seeds of the recordings, such as (seed, epoch, row).
    """

    def __init__(self, keys: Iterable[Any]):
        self.keys = keys

    @cached_property
    def generators(self) -> list[np.random.Generator]:
        return [np.random.default_rng(key) for key in self.keys]

    def of(self, rows: Iterable[int]) -> "RecordRng":
        """The same generators, for some of the recordings."""
        selected = RecordRng(())
        selected.generators = [self.generators[row] for row in rows]
        return selected

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform numbers in [0, 1), `(batch, *shape)`."""
        return torch.from_numpy(np.stack([generator.random(shape, np.float32) for generator in self.generators]))

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers, `(batch, *shape)`."""
        drawn = [generator.standard_normal(shape, np.float32) for generator in self.generators]
        return torch.from_numpy(np.stack(drawn))


@dataclass(frozen=True)
class Effect:
    """The settings of one augmentation: the share of recordings that get it, and its maximum strength."""

    probability: float
    strength: float


class Augmentation:
    """
    The augmentations of a recipe.

    Args:
        effects: "probability" and "strength" of each augmentation, by its name.
        feature_extractor: the `MeritFeatureExtractor` whose output is augmented.

    Raises:
        ValueError: an augmentation does not exist, a value is out of range, or mains noise is asked for at a sampling
            rate that cannot represent it.

    Example:
        >>> from merit.processing.feature_extraction_merit import MeritFeatureExtractor
        >>> augment = Augmentation({"amplitude": {"probability": 1.0, "strength": 0.2}}, MeritFeatureExtractor())
        >>> masks = {"lead_mask": torch.ones(2, 12, dtype=torch.bool), "sample_mask": torch.ones(2, 500).bool()}
        >>> augment({"ecg_values": torch.ones(2, 12, 500), **masks}, RecordRng([1, 2]))["ecg_values"].shape
        torch.Size([2, 12, 500])
    """

    def __init__(self, effects: Mapping[str, Mapping[str, float]], feature_extractor: Any):
        self.effects = {name: _effect(name, fields) for name, fields in effects.items()}
        self.rate = float(feature_extractor.sampling_rate)
        if self.effects and feature_extractor.normalization != "none":
            raise ValueError("augmentation works in millivolts: set processor.normalization=none.")
        self.mixing = torch.from_numpy(
            _ELECTRODES_TO_LEADS[[STANDARD_LEADS.index(lead) for lead in feature_extractor.lead_names]]
        )
        self.bandpass, self.order = feature_extractor.bandpass, feature_extractor.bandpass_order
        self.mains = [frequency for frequency in MAINS if frequency < self.rate / 2]
        if "mains" in self.effects and not self.mains:
            raise ValueError(
                f"augmentation.mains: {MAINS[0]:g} and {MAINS[1]:g} Hz cannot be represented at a sampling rate of "
                f"{self.rate:g} Hz; leave it out."
            )

    def __call__(self, batch: Mapping[str, torch.Tensor], rng: RecordRng) -> dict[str, torch.Tensor]:
        """
        Args:
            batch: output of the feature extractor: `ecg_values` `(batch, leads, samples)`, `lead_mask` `(batch,
                leads)`, `sample_mask` `(batch, samples)`.
            rng: random numbers for the recordings of the batch.

        Returns:
            A new batch. Leads and samples that were not recorded stay 0.
        """
        batch = dict(batch)
        batch["ecg_values"], batch["lead_mask"] = batch["ecg_values"].clone(), batch["lead_mask"].clone()
        for name, effect in self.effects.items():
            rows = torch.nonzero(rng.uniform() < effect.probability)[:, 0]
            if len(rows):
                getattr(self, f"_{name}")(batch, rows, effect.strength, rng.of(rows.tolist()))
        recorded = batch["lead_mask"][..., None] & batch["sample_mask"][:, None]
        batch["ecg_values"] = batch["ecg_values"].masked_fill(~recorded, 0.0)
        return batch

    def _lead_dropout(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, rng: RecordRng):
        recorded = batch["lead_mask"][rows]
        most = (strength * recorded.sum(-1)).long().clamp(min=1).minimum(recorded.sum(-1) - 1)
        number = 1 + (rng.uniform() * most).long()
        rank = rng.uniform(recorded.shape[1]).masked_fill(~recorded, torch.inf).argsort(-1).argsort(-1)
        batch["lead_mask"][rows] = recorded & (rank >= number.minimum(most)[:, None])

    def _amplitude(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, rng: RecordRng):
        batch["ecg_values"][rows] *= (strength * (2 * rng.uniform(1, 1) - 1)).exp()

    def _baseline_wander(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, rng: RecordRng):
        low, high = WANDER_BAND
        frequency = low + (high - low) * rng.uniform(9, 3)
        # The three sines have a total variance of 1.
        amplitude = rng.normal(9, 3) * self._gain(frequency) * (2 / 3) ** 0.5
        self._add(batch, rows, strength * rng.uniform(1, 1), self._sines(batch, amplitude, frequency, rng))

    def _mains(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, rng: RecordRng):
        which = (rng.uniform(1, 1) * len(self.mains)).long()
        frequency = torch.tensor(self.mains)[which].expand(-1, 9, 1)
        amplitude = rng.normal(9, 1) * self._gain(frequency)
        self._add(batch, rows, strength * rng.uniform(1, 1), self._sines(batch, amplitude, frequency, rng))

    def _muscle(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, rng: RecordRng):
        samples = batch["ecg_values"].shape[-1]
        frequency = torch.fft.rfftfreq(samples, 1 / self.rate)
        in_band = (frequency >= MUSCLE_FROM).float()
        spectrum = torch.fft.rfft(rng.normal(9, samples)) * (in_band * self._gain(frequency) / in_band.mean().sqrt())
        self._add(batch, rows, strength * rng.uniform(1, 1), torch.fft.irfft(spectrum, samples))

    def _sines(
        self, batch: Mapping[str, torch.Tensor], amplitude: torch.Tensor, frequency: torch.Tensor, rng: RecordRng
    ) -> torch.Tensor:
        """Sums of sines `(rows, 9, samples)` with amplitudes and frequencies `(rows, 9, sines)`."""
        time = torch.arange(batch["ecg_values"].shape[-1]) / self.rate
        phase = rng.uniform(*frequency.shape[1:])
        waves = torch.sin(2 * torch.pi * (frequency[..., None] * time + phase[..., None]))
        return (amplitude[..., None] * waves).sum(-2)

    def _add(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, level: torch.Tensor, noise: torch.Tensor):
        batch["ecg_values"][rows] += self.mixing @ (level * noise)

    def _gain(self, frequency: torch.Tensor) -> torch.Tensor:
        """Amplitude gain of the feature extractor's band-pass, applied forward and backward, at some frequencies."""
        if self.bandpass is None:
            return torch.ones_like(frequency)
        sections = scipy.signal.butter(self.order, self.bandpass, "bandpass", fs=self.rate, output="sos")
        response = scipy.signal.sosfreqz(sections, frequency.double().numpy().reshape(-1), fs=self.rate)[1]
        return torch.from_numpy(np.abs(np.asarray(response)) ** 2).view(frequency.shape).float()


EFFECTS: Sequence[str] = ("lead_dropout", "amplitude", "baseline_wander", "mains", "muscle")


def _effect(name: str, fields: Any) -> Effect:
    if name not in EFFECTS:
        raise ValueError(f"There is no augmentation {name!r}; there are {', '.join(EFFECTS)}.")
    if not isinstance(fields, Mapping) or set(fields) != {"probability", "strength"}:
        raise ValueError(f"augmentation.{name} needs probability and strength, and nothing else; it has {fields!r}.")
    effect = Effect(**fields)
    for field, value in vars(effect).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"augmentation.{name}.{field} must be a number, not {value!r}.")
    if not 0 <= effect.probability <= 1:
        raise ValueError(f"augmentation.{name}.probability must be in [0, 1], not {effect.probability}.")
    if not 0 < effect.strength < (1 if name == "lead_dropout" else np.inf):
        raise ValueError(f"augmentation.{name}.strength must be positive, not {effect.strength}; a share is below 1.")
    return effect
