"""Heart rate and intervals of an ECG. The heart rate needs nothing else; the intervals need neurokit2."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .processing.beats_merit import find_beats, find_waves

__all__ = ["Measurements", "measure"]

# Leads in which waves begin and end clearly, in order; the median of the first of them that were recorded is reported.
_LEADS, _MOST_LEADS = ("II", "V5", "I", "V6", "V4", "aVF", "V2", "V3"), 3
_LEAST_BEATS = 3
_LEAST_SHARE = 0.5  # of the beats must show a wave for its interval to be reported
_GREATEST_SPREAD = 0.04  # s; PR varies more only where what was found are no P waves
# Of the RR intervals, see `irregularity`; above it there may be no P waves. On fold 9 of PTB-XL, 1 % of sinus rhythm
# without ectopic beats is above it, and most of atrial fibrillation: benchmarks/results/delineation.json.
MOST_IRREGULAR = 0.1


@dataclass(frozen=True)
class Measurements:
    """
    Heart rate and intervals; `None` where they could not be measured.

    Attributes:
        heart_rate (`float`): mean ventricular rate in beats per minute.
        pr, qrs, qt (`float`): medians over the beats, in milliseconds. PR is left out where the rhythm is irregular,
            since there may be no P waves.
        qtc (`float`): QT corrected for the heart rate by Fridericia's formula, in milliseconds.
        method (`str`): what measured the intervals; empty if they were not measured.
    """

    heart_rate: float | None = None
    pr: float | None = None
    qrs: float | None = None
    qt: float | None = None
    qtc: float | None = None
    method: str = ""

    def text(self) -> str:
        """
        In one line.

        >>> Measurements(72.4, pr=160, qrs=92, method="neurokit2").text()
        'Heart rate 72/min   PR 160 ms   QRS 92 ms   (neurokit2)'
        """
        values = {"PR": self.pr, "QRS": self.qrs, "QT": self.qt, "QTc (Fridericia)": self.qtc}
        parts = [] if self.heart_rate is None else [f"Heart rate {self.heart_rate:.0f}/min"]
        parts += [f"{name} {value:.0f} ms" for name, value in values.items() if value is not None]
        return "   ".join([*parts, *([f"({self.method})"] if self.method and len(parts) > 1 else [])])


def irregularity(beats: np.ndarray) -> float:
    """
    The median change from one RR interval to the next, relative to the median RR interval.

    Args:
        beats: the times of at least three beats in seconds.

    >>> round(irregularity(np.array([0.0, 1.0, 2.0, 3.2])), 2)
    0.1
    """
    rr = np.diff(beats)
    return float(np.median(np.abs(np.diff(rr))) / np.median(rr))


def measure(signal_mv: np.ndarray, sampling_rate: float, lead_names: Sequence[str]) -> Measurements:
    """
    Measure the heart rate, and the intervals if neurokit2 is installed (the extra `merit-ecg[delineation]`).

    Intervals need one of the leads in which waves begin and end clearly, such as II or V5, and 250 Hz or more.

    Args:
        signal_mv: shape (leads, samples), in millivolts, finite.
        sampling_rate: in Hz.
        lead_names: one name for each lead.

    Example:

    >>> measure(np.zeros((2, 5000)), 500, ("I", "II")).heart_rate is None
    True
    """
    beats = find_beats(signal_mv, sampling_rate)
    if len(beats) < _LEAST_BEATS:
        return Measurements()
    heart_rate = float(60 * (len(beats) - 1) / (beats[-1] - beats[0]))
    try:
        import neurokit2
    except ImportError:
        return Measurements(heart_rate)
    leads = [lead for lead in _LEADS if lead in lead_names][:_MOST_LEADS]
    if sampling_rate < 250 or not leads:
        return Measurements(heart_rate)
    signals = (signal_mv[list(lead_names).index(lead)] for lead in leads)
    waves = [find_waves(neurokit2, signal, beats, sampling_rate) for signal in signals]

    def interval(begin: str, end: str, greatest_spread: float = np.inf) -> float | None:
        values = []
        for found in waves:
            durations = (found[end] - found[begin])[np.isfinite(found[end] - found[begin])]
            if len(durations) < max(_LEAST_SHARE * len(beats), 1):
                continue
            if np.subtract(*np.percentile(durations, [75, 25])) <= greatest_spread:
                values.append(np.median(durations))
        if not values or (np.isfinite(greatest_spread) and np.ptp(values) > greatest_spread):
            return None
        return float(1000 * np.median(values))

    irregular = irregularity(beats) > MOST_IRREGULAR
    qt = interval("ECG_R_Onsets", "ECG_T_Offsets")
    return Measurements(
        heart_rate,
        pr=None if irregular else interval("ECG_P_Onsets", "ECG_R_Onsets", _GREATEST_SPREAD),
        qrs=interval("ECG_R_Onsets", "ECG_R_Offsets"),
        qt=qt,
        qtc=None if qt is None else qt / float(np.cbrt(60 / heart_rate)),
        method=f"neurokit2 {neurokit2.__version__}, wavelets, leads {', '.join(leads)}",
    )
