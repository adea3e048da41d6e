"""Find the beats of a recording."""

from functools import lru_cache

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

__all__ = ["find_beats"]

# QRS complexes have most of their energy here; P and T waves and baseline wander have theirs below, muscle above.
_BAND = (7.0, 25.0)
_WIDTH = 0.1  # s; about as long as a QRS complex
_REFRACTORY = 0.25  # s; 240 beats per minute


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
    filtered = sosfiltfilt(_filter(float(sampling_rate)), ecg_values, axis=1)
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
