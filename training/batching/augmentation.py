"""Disturbances that recordings have, added to a batch in training; each is switched on in the recipe by itself.

    augmentation:
      lead_dropout: {probability: 0.5, strength: 0.5}
      baseline_wander: {probability: 0.3, strength: 0.2}

`probability` is the share of recordings that have it, `strength` how strong it gets; a recording's own level is drawn
evenly below that. Shifting in time is the recipe's `crop_seconds`.

    lead_dropout     absent leads; strength: the largest share of the recorded ones, at least one of which stays
    amplitude        all leads scaled alike, as another gain or chest would; strength: the largest change of the log
    baseline_wander  drift and breathing, 0.05 to 0.5 Hz; strength: mV at an electrode
    mains            a sine of 50 or 60 Hz; strength: mV at an electrode
    muscle           noise from 20 Hz upwards; strength: standard deviation in mV at an electrode

The noises arise at the nine electrodes, so that the laws of Einthoven and Goldberger hold with them, and pass the band
limits of the feature extractor, as they would have if they had been recorded. What its 0.5 to 40 Hz leave: of wander
the square 1 / (1 + (0.5 / f)^4) of the filter's gain at f, 6 % at 0.25 Hz and half at 0.5 Hz; of muscle noise what lies
between 20 and 40 Hz. Of mains they leave nothing at 100 Hz, where 50 Hz is the highest frequency there is and zero by
the filter, and 60 Hz is gone by resampling: asking for it there is an error. At 500 Hz 28 % of
50 Hz and 15 % of 60 Hz are left.
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
# Each lead as a combination of the nine electrodes.
_ELECTRODES_TO_LEADS = leads_from_electrodes(np.eye(9)).astype(np.float32)


class RecordRng:
    """
    Random numbers for the recordings of a batch, each recording's from a generator of its own.

    What is drawn for a recording depends on its key alone: not on its batch, the worker or the number of processes.

    Args:
        keys: whole numbers that name each recording, such as (seed, epoch, row).
    """

    def __init__(self, keys: Iterable[Any]):
        self.keys = keys

    @cached_property
    def generators(self) -> list[np.random.Generator]:
        return [np.random.default_rng(key) for key in self.keys]

    def of(self, rows: Iterable[int]) -> "RecordRng":
        """The generators of some of the recordings."""
        some = RecordRng(())
        some.generators = [self.generators[row] for row in rows]
        return some

    def uniform(self, *shape: int) -> torch.Tensor:
        """In [0, 1), of shape (batch, *shape)."""
        return torch.from_numpy(np.stack([generator.random(shape, np.float32) for generator in self.generators]))

    def normal(self, *shape: int) -> torch.Tensor:
        """Of mean 0 and standard deviation 1, of shape (batch, *shape)."""
        drawn = [generator.standard_normal(shape, np.float32) for generator in self.generators]
        return torch.from_numpy(np.stack(drawn))


@dataclass(frozen=True)
class Effect:
    """One augmentation: the share of recordings that have it, and how strong it gets."""

    probability: float
    strength: float


class Augmentation:
    """
    The augmentations of a recipe.

    Args:
        effects: by name, "probability" and "strength" of each.
        feature_extractor: the `MeritFeatureExtractor` whose output is augmented.

    Raises:
        ValueError: for an augmentation that there is not, an impossible value, or mains where none can be seen.

    Example:
        >>> from merit.processing.feature_extraction_merit import MeritFeatureExtractor
        >>> augment = Augmentation({"amplitude": {"probability": 1.0, "strength": 0.2}}, MeritFeatureExtractor())
        >>> masks = {"lead_mask": torch.ones(2, 12, dtype=torch.bool), "sample_mask": torch.ones(2, 500).bool()}
        >>> augment({"ecg_values": torch.ones(2, 12, 500), **masks}, Chance([1, 2]))["ecg_values"].shape
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
                f"augmentation.mains: of {MAINS[0]:g} and {MAINS[1]:g} Hz nothing is to be seen at a sampling rate of "
                f"{self.rate:g} Hz; leave it out."
            )

    def __call__(self, batch: Mapping[str, torch.Tensor], chance: RecordRng) -> dict[str, torch.Tensor]:
        """
        Args:
            batch: as the feature extractor returns it: `ecg_values` (batch, leads, samples), `lead_mask` (batch,
                leads), `sample_mask` (batch, samples).
            chance: of each recording.

        Returns:
            the batch, changed where leads and samples exist; the one passed stays as it is.
        """
        batch = dict(batch)
        batch["ecg_values"], batch["lead_mask"] = batch["ecg_values"].clone(), batch["lead_mask"].clone()
        for name, effect in self.effects.items():
            rows = torch.nonzero(chance.uniform() < effect.probability)[:, 0]
            if len(rows):
                getattr(self, f"_{name}")(batch, rows, effect.strength, chance.of(rows.tolist()))
        recorded = batch["lead_mask"][..., None] & batch["sample_mask"][:, None]
        batch["ecg_values"] = batch["ecg_values"].masked_fill(~recorded, 0.0)
        return batch

    def _lead_dropout(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, chance: RecordRng):
        recorded = batch["lead_mask"][rows]
        most = (strength * recorded.sum(-1)).long().clamp(min=1).minimum(recorded.sum(-1) - 1)
        number = 1 + (chance.uniform() * most).long()
        rank = chance.uniform(recorded.shape[1]).masked_fill(~recorded, torch.inf).argsort(-1).argsort(-1)
        batch["lead_mask"][rows] = recorded & (rank >= number.minimum(most)[:, None])

    def _amplitude(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, chance: RecordRng):
        batch["ecg_values"][rows] *= (strength * (2 * chance.uniform(1, 1) - 1)).exp()

    def _baseline_wander(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, chance: RecordRng):
        low, high = WANDER_BAND
        frequency = low + (high - low) * chance.uniform(9, 3)
        amplitude = chance.normal(9, 3) * self._gain(frequency) * (2 / 3) ** 0.5  # three sines, of variance 1 together
        self._add(batch, rows, strength * chance.uniform(1, 1), self._sines(batch, amplitude, frequency, chance))

    def _mains(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, chance: RecordRng):
        which = (chance.uniform(1, 1) * len(self.mains)).long()
        frequency = torch.tensor(self.mains)[which].expand(-1, 9, 1)
        amplitude = chance.normal(9, 1) * self._gain(frequency)
        self._add(batch, rows, strength * chance.uniform(1, 1), self._sines(batch, amplitude, frequency, chance))

    def _muscle(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, strength: float, chance: RecordRng):
        samples = batch["ecg_values"].shape[-1]
        frequency = torch.fft.rfftfreq(samples, 1 / self.rate)
        heard = (frequency >= MUSCLE_FROM).float()
        spectrum = torch.fft.rfft(chance.normal(9, samples)) * (heard * self._gain(frequency) / heard.mean().sqrt())
        self._add(batch, rows, strength * chance.uniform(1, 1), torch.fft.irfft(spectrum, samples))

    def _sines(
        self, batch: Mapping[str, torch.Tensor], amplitude: torch.Tensor, frequency: torch.Tensor, chance: RecordRng
    ) -> torch.Tensor:
        """Sums of sines, (rows, 9, samples), from amplitudes and frequencies (rows, 9, sines)."""
        time = torch.arange(batch["ecg_values"].shape[-1]) / self.rate
        phase = chance.uniform(*frequency.shape[1:])
        waves = torch.sin(2 * torch.pi * (frequency[..., None] * time + phase[..., None]))
        return (amplitude[..., None] * waves).sum(-2)

    def _add(self, batch: dict[str, torch.Tensor], rows: torch.Tensor, level: torch.Tensor, noise: torch.Tensor):
        batch["ecg_values"][rows] += self.mixing @ (level * noise)

    def _gain(self, frequency: torch.Tensor) -> torch.Tensor:
        """What the feature extractor's band-pass, forward and backward, leaves at these frequencies."""
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
