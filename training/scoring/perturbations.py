"""Perturbed recordings: fewer leads, a lower sampling rate, noise, shorter recordings, exchanged electrodes.

A [`Perturbation`] turns rows of a data set into rows of the same form, so that any encoder can be measured on them. The
noise of a recording depends on its name and the seed only: it is the same in every run and in every batch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...processing.inputs_merit import recording_of_row
from ...processing.leads_merit import LIMB_LEADS, standard_lead
from ...processing.recordings_merit import INVALID_SAMPLE, EcgError, Recording
from ..data.schema import resample

LEAD_SETS = (LIMB_LEADS, ("I", "II", "V2"), ("I", "II"), ("I",))
SAMPLING_RATES = (250.0, 100.0, 50.0)
NOISES = ("white", "wander", "mains")
NOISE_DB = (12.0, 6.0, 0.0)
DURATIONS = (5.0, 2.5)
# Frequencies in Hz.
_MAINS = (50.0,)
_WANDER = tuple(np.linspace(0.05, 0.5, 20).tolist())
_FLAT = 1e-4  # mV


@dataclass(frozen=True)
class Perturbation:
    """
    A change that is applied to every recording; properties that are None stay unchanged.

    Args:
        leads: standard names of the leads to keep.
        sampling_rate: in Hz, reached with a polyphase filter; recordings at lower rates stay unchanged.
        noise: "white"; "wander", twenty sines from 0.05 to 0.5 Hz as caused by breathing and moving electrodes; or
            "mains", one sine of 50 Hz. Weights and phases are random and differ between leads; all leads of a recording
            have the same noise power.
        noise_db: signal-to-noise ratio in dB, relative to the variance of the leads of the recording.
        seconds: length of the central part that is kept.
        seed: of the noise.

    Example:
        >>> row = {"record_id": "a", "signal": np.arange(200, dtype=np.int16), "gain": [1000.0, 1000.0],
        ...        "baseline": [0, 0], "sampling_rate": 100.0, "lead_names": ["I", "II"]}
        >>> [changed] = Perturbation(leads=("II",), seconds=0.5)([row])
        >>> changed["lead_names"], changed["signal"][[0, -1]].tolist(), changed["signal"].size
        (['II'], [125, 174], 50)
    """

    leads: tuple[str, ...] | None = None
    sampling_rate: float | None = None
    noise: str | None = None
    noise_db: float | None = None
    seconds: float | None = None
    seed: int = 0

    def __post_init__(self):
        if (self.noise is None) != (self.noise_db is None):
            raise ValueError("noise and noise_db must be given together.")
        if self.noise is not None and self.noise not in NOISES:
            raise ValueError(f"noise is one of {', '.join(NOISES)}, not {self.noise!r}.")

    def setting(self) -> dict[str, Any]:
        """The properties that change, as they stand in result files."""
        fields = {name: value for name, value in asdict(self).items() if value is not None and name != "seed"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    def __call__(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self._perturb(row) for row in rows]

    def _perturb(self, row: dict[str, Any]) -> dict[str, Any]:
        names, gain, baseline = list(row["lead_names"]), np.asarray(row["gain"]), np.asarray(row["baseline"])
        rate, signal = float(row["sampling_rate"]), recording_of_row(row).physical()
        if self.leads is not None:
            kept = [i for i, name in enumerate(names) if standard_lead(name) in self.leads]
            if not kept:
                raise EcgError(f"{row['record_id']}: it has none of the leads {', '.join(self.leads)}")
            names, gain, baseline, signal = [names[i] for i in kept], gain[kept], baseline[kept], signal[kept]
        if self.seconds is not None and (length := round(self.seconds * rate)) < signal.shape[1]:
            start = (signal.shape[1] - length) // 2
            signal = signal[:, start : start + length]
        if self.noise is not None:
            signal = signal + self._noise(signal, rate, str(row["record_id"]))
        if self.sampling_rate is not None and self.sampling_rate < rate:
            recording = Recording(str(row["record_id"]), signal, rate, tuple(names), ("mV",) * len(names))
            rate, signal = self.sampling_rate, resample(recording, self.sampling_rate).signal
        changed = {"gain": gain, "baseline": baseline, "lead_names": names, "sampling_rate": rate}
        return _with_signal({**row, **changed}, signal)

    def _noise(self, signal: np.ndarray, rate: float, name: str) -> np.ndarray:
        """Noise for every lead that is not flat, `(leads, samples)` in millivolts."""
        rng = _generator(self.seed, str(self.noise), name)
        if self.noise == "white":
            noise = rng.normal(size=signal.shape)
        else:
            waves = _waves(_WANDER if self.noise == "wander" else _MAINS, rate, signal.shape[1])
            noise = rng.normal(size=(len(signal), len(waves))) @ waves
        variance = np.nanvar(signal, axis=-1)
        recorded = variance > _FLAT**2
        power = variance[recorded].mean() / 10 ** (self.noise_db / 10) if recorded.any() else 0.0  # type: ignore[operator]
        scale = np.sqrt(power / np.maximum(np.square(noise).mean(-1), 1e-12))
        return np.where(recorded, scale, 0)[:, None] * noise


def _generator(seed: int, noise: str, name: str) -> np.random.Generator:
    """The random generator of a recording, the same in every run."""
    digest = hashlib.sha256(f"{seed} {noise} {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _with_signal(row: dict[str, Any], signal: np.ndarray) -> dict[str, Any]:
    """A row with another signal, `(leads, samples)` in millivolts, quantised with the gain and baseline of the row."""
    gain, baseline = np.asarray(row["gain"])[:, None], np.asarray(row["baseline"])[:, None]
    digital = np.clip(np.round(signal * gain + baseline), -32767, 32767)
    return {**row, "signal": np.where(np.isnan(digital), INVALID_SAMPLE, digital).astype(np.int16).ravel()}


@lru_cache(maxsize=64)
def _waves(frequencies: tuple[float, ...], rate: float, samples: int) -> np.ndarray:
    """Sine and cosine of each frequency, `(2 * frequencies, samples)`: weighted sums are sines of any phase."""
    angle = 2 * np.pi * np.outer(frequencies, np.arange(samples) / rate)
    return np.concatenate([np.sin(angle), np.cos(angle)])


def arms_exchanged(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Recordings with the electrodes of right and left arm exchanged.

    I is inverted, II and III are swapped, and so are aVR and aVL; aVF and the chest leads do not change.

    Example:
        >>> row = {"record_id": "a", "signal": np.array([1, 2, 3, 5, 7, 9], np.int16), "gain": [1000.0] * 3,
        ...        "baseline": [0] * 3, "sampling_rate": 100.0, "lead_names": ["I", "II", "III"]}
        >>> arms_exchanged([row])[0]["signal"].tolist()
        [-1, -2, 7, 9, 3, 5]
    """
    return [_with_signal(row, _with_arms_exchanged(row)) for row in rows]


def _with_arms_exchanged(row: dict[str, Any]) -> np.ndarray:
    signal, names = recording_of_row(row).physical(), [standard_lead(name) or name for name in row["lead_names"]]
    exchanged = {"II": "III", "III": "II", "aVR": "aVL", "aVL": "aVR"}
    if lacking := {exchanged[name] for name in names if name in exchanged} - set(names):
        raise EcgError(
            f"{row['record_id']}: exchanging the arms needs lead {', '.join(sorted(lacking))}, which it lacks"
        )
    return np.stack(
        [-signal[i] if name == "I" else signal[names.index(exchanged.get(name, name))] for i, name in enumerate(names)]
    )


def noise_only(rows: Sequence[dict[str, Any]], millivolts: float, seed: int = 0) -> list[dict[str, Any]]:
    """White noise of this standard deviation in place of every recording, as from unconnected electrodes."""
    replaced = []
    for row in rows:
        shape = recording_of_row(row).physical().shape
        replaced.append(
            _with_signal(row, millivolts * _generator(seed, "only", str(row["record_id"])).normal(size=shape))
        )
    return replaced


def perturbations(sampling_rate: float, seed: int = 0) -> list[Perturbation]:
    """The perturbations of [`robustness`], for recordings at `sampling_rate` Hz."""
    return [
        *(Perturbation(leads=leads) for leads in LEAD_SETS),
        *(Perturbation(sampling_rate=rate) for rate in SAMPLING_RATES if rate < sampling_rate),
        *(Perturbation(noise=noise, noise_db=db, seed=seed) for noise in NOISES for db in NOISE_DB),
        *(Perturbation(seconds=seconds) for seconds in DURATIONS),
    ]
