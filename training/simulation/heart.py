"""Twelve-lead ECGs simulated from a beating heart with known physiology.

The electrical activity of the heart is one current dipole that moves with every beat, see `waves`; the electrodes on
the body measure it, see `electrodes`. `sample_parameters` draws a patient and `simulate_ecg` a recording of it:

    >>> import numpy as np
    >>> from merit.training.simulation.parameters import sample_parameters
    >>> rng = np.random.default_rng(0)
    >>> parameters = sample_parameters(rng, statements=("AFIB", "CRBBB"))
    >>> ecg = simulate_ecg(parameters, duration=10.0, sampling_rate=100, rng=rng)
    >>> ecg.signal.shape, ecg.beats[0].kind
    ((12, 1000), 'conducted')
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .electrodes import electrode_noise, leads_from_electrodes
from .parameters import EcgParameters
from .waves import WIDTHS_TO_END, evaluate_waves, pacing_spike, peak_time

__all__ = ["Beat", "SimulatedEcg", "simulate_ecg"]

# Seconds from the onset of P or QRS to the end of the beat's last wave, at most.
_LONGEST_BEAT = 0.95


@dataclass(frozen=True)
class Beat:
    """The true times of one beat, in seconds from the start of the recording; those of P are NaN if it has no P wave.

    `kind` is "conducted", "atrial", "ventricular" or "paced".
    """

    kind: str
    p_onset: float
    p_offset: float
    qrs_onset: float
    r_peak: float
    qrs_offset: float
    t_peak: float
    t_offset: float


@dataclass(frozen=True)
class SimulatedEcg:
    """A recording with its ground truth.

    Attributes:
        signal: shape (12, samples), float32, in millivolts, leads in the order of `STANDARD_LEADS`.
        beats: the beats whose R peak lies in the recording.
        parameters: of the patient.
    """

    signal: np.ndarray
    beats: list[Beat]
    parameters: EcgParameters


def simulate_ecg(
    parameters: EcgParameters, duration: float = 10.0, sampling_rate: float = 500, *, rng: np.random.Generator
) -> SimulatedEcg:
    """Simulate a recording.

    Beats are drawn before noise, so generators in the same state give the same beats at every sampling rate. Waves are
    evaluated directly at the sampling rate; all are wide enough for 100 Hz, and pacing spikes are widened to the
    bandwidth of the recording.

    Args:
        parameters: of the patient.
        duration: in seconds.
        sampling_rate: in Hz, at least 100.
        rng: random generator.

    Raises:
        ValueError: the duration is not positive, or the sampling rate is below 100 Hz.
    """
    if duration <= 0:
        raise ValueError(f"the duration must be positive, not {duration} s")
    if sampling_rate < 100:
        raise ValueError(f"the sampling rate must be at least 100 Hz, not {sampling_rate} Hz")
    samples = round(duration * sampling_rate)
    time = np.arange(samples) / sampling_rate
    dipole = np.zeros((3, samples))

    beats = []
    conducted_waves = np.concatenate([parameters.qrs_waves, parameters.st_t_waves])
    conducted_peak, pvc_peak = peak_time(conducted_waves), peak_time(parameters.pvc_waves)
    for kind, p_onset, qrs_onset in _sample_onsets(parameters, duration, rng):
        strength = 1 + 0.02 * rng.standard_normal()
        if not math.isnan(p_onset):
            waves = parameters.ectopic_p_waves if kind == "atrial" else parameters.p_waves
            _add_waves(dipole, waves, p_onset, sampling_rate, strength)
        if kind == "dropped":
            continue
        if kind == "ventricular":
            waves, qrs_duration, peak = parameters.pvc_waves, parameters.pvc_duration, pvc_peak
        else:
            waves, qrs_duration, peak = conducted_waves, parameters.qrs_duration, conducted_peak
        _add_waves(dipole, waves, qrs_onset, sampling_rate, strength)
        if kind == "paced":
            _add_waves(dipole, pacing_spike(sampling_rate), qrs_onset, sampling_rate, 1.0)
        r_peak = qrs_onset + peak
        if 0 <= r_peak < duration:
            t_peak, t_width = float(waves[-1, 0]), float(waves[-1, 2])
            beats.append(
                Beat(
                    kind=kind,
                    p_onset=p_onset,
                    p_offset=p_onset + parameters.p_duration,
                    qrs_onset=qrs_onset,
                    r_peak=r_peak,
                    qrs_offset=qrs_onset + qrs_duration,
                    t_peak=qrs_onset + t_peak,
                    t_offset=qrs_onset + t_peak + WIDTHS_TO_END * t_width,
                )
            )

    dipole += _atrial_waves(parameters, time, rng)
    # The heart moves with breathing, which scales the potentials of all electrodes.
    breathing = np.sin(2 * np.pi * (parameters.respiration_rate / 60 * time + rng.random()))
    potentials = parameters.electrode_field @ (dipole * (1 + 0.03 * breathing))
    potentials += electrode_noise(
        time,
        sampling_rate,
        breathing,
        wander=parameters.wander,
        muscle=parameters.muscle,
        mains=parameters.mains,
        contact=parameters.contact,
        rng=rng,
    )
    return SimulatedEcg(leads_from_electrodes(potentials).astype(np.float32), beats, parameters)


def _add_waves(dipole: np.ndarray, waves: np.ndarray, onset: float, sampling_rate: float, strength: float) -> None:
    """Add the waves of one beat to the dipole (3, samples), in place."""
    first = max(0, math.ceil((onset - 0.1) * sampling_rate))
    last = min(dipole.shape[1], math.ceil((onset + _LONGEST_BEAT) * sampling_rate))
    if first < last:
        dipole[:, first:last] += strength * evaluate_waves(waves, np.arange(first, last) / sampling_rate - onset)


class _Onset(NamedTuple):
    """When a beat begins: onset of P and QRS in seconds, NaN where the beat has no such wave.

    A P wave that meets refractory ventricles after a premature ventricular beat has the kind "dropped".
    """

    kind: str
    p: float
    qrs: float


def _sample_onsets(parameters: EcgParameters, duration: float, rng: np.random.Generator) -> list[_Onset]:
    """Draw the beats of a recording, starting before it and ending after it."""
    fibrillation = "AFIB" in parameters.statements
    regular = "paced" if "PACE" in parameters.statements else "conducted"
    kinds = {"PAC": "atrial", "PVC": "ventricular"}
    premature = next((kind for code, kind in kinds.items() if code in parameters.statements), None)
    mean_interval = 60 / parameters.heart_rate
    variation = parameters.rr_variation
    phase = rng.uniform(0, 2 * np.pi)
    onsets = []
    onset = -2 + rng.uniform(0, mean_interval)
    until_premature = int(rng.integers(1, 4))
    while onset < duration + 1:
        onsets.append(_Onset(regular, onset - parameters.pr, onset))
        if fibrillation:
            interval = max(0.33, mean_interval * rng.gamma(1 / variation**2) * variation**2)
        else:
            breath = math.sin(2 * np.pi * parameters.respiration_rate / 60 * onset + phase)
            interval = mean_interval * (1 + variation * breath + 0.2 * variation * rng.standard_normal())
        # The first premature beat comes soon after the start, so that every recording shows one.
        until_premature -= onset > 0
        if premature is None or until_premature > 0:
            onset += interval
            continue
        until_premature = int(rng.integers(3, 9))
        if premature == "atrial":
            early = onset + interval * rng.uniform(0.6, 0.74)
            onsets.append(_Onset("atrial", early - parameters.pr, early))
            onset = early + interval * rng.uniform(1.0, 1.15)
        else:
            early = onset + max(interval * rng.uniform(0.5, 0.65), 0.36)
            onsets.append(_Onset("ventricular", math.nan, early))
            if fibrillation:
                onset = early + interval * rng.uniform(1.1, 1.4)
            else:
                # The sinus node keeps its rhythm and its next P wave is not conducted: a compensatory pause.
                onsets.append(_Onset("dropped", onset + interval - parameters.pr, math.nan))
                onset += 2 * interval
    return onsets


def _atrial_waves(parameters: EcgParameters, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the dipole (3, samples) of flutter or fibrillatory waves."""
    if not parameters.atrial_vector.any():
        return np.zeros((3, len(time)))
    frequency = parameters.atrial_rate / 60
    start = rng.uniform(0, 2 * np.pi, 6)
    if "AFLT" in parameters.statements:
        phase = 2 * np.pi * frequency * time + start[0]
        sawtooth = sum(np.sin(k * phase) / k * math.exp(-0.06 * k * k) for k in range(1, 5))
        return parameters.atrial_vector[:, None] * sawtooth
    # Fibrillation: rate, amplitude and direction of the wave fronts vary.
    phase = 2 * np.pi * frequency * time + 1.6 * np.sin(2 * np.pi * 0.7 * time + start[0]) + start[1]
    other = 2 * np.pi * 0.77 * frequency * time + 1.9 * np.sin(2 * np.pi * 0.43 * time + start[2]) + start[3]
    amplitude = 1 + 0.45 * np.sin(2 * np.pi * 0.31 * time + start[4])
    mixture = np.array([[0.8, 0.7], [0.9, -0.6], [1.0, 0.5]])
    waves = mixture @ np.stack([np.sin(phase) + 0.35 * np.sin(2 * phase + start[5]), np.sin(other)])
    return parameters.atrial_vector[:, None] * amplitude * waves
