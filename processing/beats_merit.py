"""Find the beats of a recording, and the waves of each beat."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

__all__ = ["find_beats", "find_waves"]

# QRS complexes have most of their energy here; P and T waves and baseline wander have theirs below, muscle above.
_BAND = (7.0, 25.0)
_WIDTH = 0.1  # s; about as long as a QRS complex
_REFRACTORY = 0.25  # s; 240 beats per minute
_AROUND_BEAT = 0.08  # s; the R or S peak of a lead lies this close to the middle of the QRS complex
# Seconds around the peak of a beat in which each of its waves begins or ends.
_RANGES = {
    "ECG_P_Onsets": (-0.4, -0.06),
    "ECG_R_Onsets": (-0.2, 0.0),
    "ECG_R_Offsets": (0.0, 0.2),
    "ECG_T_Offsets": (0.15, 0.65),
}


def find_beats(ecg_values: np.ndarray, sampling_rate: float) -> np.ndarray:
    """
    Find the QRS complexes of a recording in the energy of all its leads.

    Args:
        ecg_values: shape (leads, samples), in millivolts, finite.
        sampling_rate: in Hz, more than 50.

    Returns:
        the times of the beats in seconds from the start, shape (beats,).

    Example:

    ```python
    >>> import numpy as np
    >>> time = np.arange(1000) / 100
    >>> ecg = np.exp(-0.5 * (((time % 1) - 0.5) / 0.015) ** 2)
    >>> find_beats(ecg[None], 100).round(1).tolist()
    [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]

    ```"""
    sections = _filter(float(sampling_rate))
    if ecg_values.shape[1] <= 3 * (2 * len(sections) + 1):  # the filter needs more, and so does a beat
        return np.zeros(0)
    filtered = sosfiltfilt(sections, ecg_values, axis=1)
    energy = np.sqrt(uniform_filter1d((filtered**2).sum(0), max(1, round(_WIDTH * sampling_rate))))
    distance = max(1, round(_REFRACTORY * sampling_rate))
    candidates, _ = find_peaks(energy, distance=distance)
    if not len(candidates):
        return np.zeros(0)
    # The tallest peak of each second: most seconds have a beat, and the median ignores artefacts.
    seconds = np.array_split(energy, max(1, round(len(energy) / sampling_rate)))
    usual = np.median([second.max() for second in seconds])
    beats, _ = find_peaks(energy, distance=distance, height=max(0.4 * usual, 1e-4))
    return beats / sampling_rate


@lru_cache(maxsize=64)
def _filter(sampling_rate: float) -> np.ndarray:
    return np.asarray(butter(2, _BAND, "bandpass", fs=sampling_rate, output="sos"))


def find_waves(neurokit2: Any, signal: np.ndarray, beats: np.ndarray, sampling_rate: float) -> dict[str, np.ndarray]:
    """
    Onsets and offsets of the waves of each beat of a lead, found by the wavelet method of neurokit2.

    Args:
        neurokit2: the module, which only callers of this function need.
        signal: shape (samples,), in millivolts, finite.
        beats: the times of the beats in seconds, shape (beats,), see [`find_beats`].
        sampling_rate: in Hz, 250 or more.

    Returns:
        seconds from the start, shape (beats,), NaN where there is none, of `ECG_P_Onsets`, `ECG_R_Onsets`,
        `ECG_R_Offsets` and `ECG_T_Offsets`.
    """
    clean = sosfiltfilt(butter(2, (0.5, 40), "bandpass", fs=sampling_rate, output="sos"), signal)
    around = round(_AROUND_BEAT * sampling_rate)
    firsts = [max(0, round(beat * sampling_rate) - around) for beat in beats]
    peaks = np.array([first + np.abs(clean[first : first + 2 * around + 1]).argmax() for first in firsts])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, found = neurokit2.ecg_delineate(clean, peaks, sampling_rate=sampling_rate, method="dwt")
    except (IndexError, ValueError, ZeroDivisionError):  # it finds no wave at all
        found = {}
    waves = {}
    for name, (earliest, latest) in _RANGES.items():
        # Its lists leave out beats at the ends, so each time is assigned to a beat anew.
        distance = np.asarray(found.get(name, []), float) / sampling_rate - peaks[:, None] / sampling_rate
        inside = (distance > earliest) & (distance < latest)
        nearest = np.where(inside, np.abs(distance), np.inf).argmin(1) if distance.size else np.zeros(len(peaks), int)
        waves[name] = np.array(
            [
                row[column] + peak if mask.any() else np.nan
                for row, column, mask, peak in zip(distance, nearest, inside, peaks / sampling_rate)
            ]
        )
    return waves
