"""Draw an ECG on ECG paper, at true scale."""

import os
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from .training.results.atomic import atomic_write

# The paper: 25 mm for a second, 10 mm for a millivolt.
MM_PER_SECOND = 25.0
MM_PER_MILLIVOLT = 10.0
_MM_PER_INCH = 25.4
# All distances below are in millimetres.
_LEFT, _RIGHT, _TOP, _BOTTOM = 20.0, 5.0, 15.0, 10.0
_LEAST_ROW, _GREATEST_ROW = 15.0, 60.0
_CLEARANCE = 3.0
_ANSWER_ROW, _BAR = 6.0, 60.0
# Room for title and answer where the recording is short.
_LEAST_WIDTH = 150.0
_PAPER, _FINE, _BOLD, _INK = "#fffdfb", "#f7d9d5", "#e9a9a2", "#1a1a1a"
_DISCLAIMER = "research software, not a medical device"


def draw_ecg(
    signal_mv: np.ndarray,
    sampling_rate: float,
    lead_names: Sequence[str],
    path_or_file: str | os.PathLike | BinaryIO,
    title: str | None = None,
    answer: Sequence[Mapping] | None = None,
    dpi: int = 150,
) -> None:
    """Draw the leads one under the other on millimetre paper, 25 mm/s and 10 mm/mV.

    The size of the picture follows from the scale: printed at 100 %, a millimetre of the paper is a millimetre. Rows
    are as far apart as their curves need, and each lead is drawn from its median. Before it stands a pulse of 1 mV,
    200 ms long.

    Args:
        signal_mv: shape (leads, samples), in millivolts. Samples that are not finite leave gaps.
        sampling_rate: in Hz.
        lead_names: one name for each lead.
        path_or_file: where to write; the ending decides the format (.png, .pdf, .svg). A file opened for writing bytes
            gets a PNG. A path holds the whole picture or what it held before.
        title: written above the leads.
        answer: what a model says, as mappings with `label` and `score` (0 to 1), drawn as bars under the leads.
        dpi: dots per inch of a PNG.

    Raises:
        ImportError: without matplotlib, which the extra `merit-ecg[plot]` installs.
        ValueError: when the shape of the signal does not fit the names, or there is nothing to draw.

    >>> import io, numpy as np
    >>> picture = io.BytesIO()
    >>> draw_ecg(np.zeros((2, 1000)), 100, ("I", "II"), picture, answer=[{"label": "normal", "score": 0.9}])
    >>> picture.getvalue()[1:4]
    b'PNG'
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install 'merit-ecg[plot]'") from error

    signal_mv = np.asarray(signal_mv, dtype=float)
    if signal_mv.ndim != 2 or len(signal_mv) != len(lead_names) or signal_mv.size == 0:
        raise ValueError(
            f"the signal must have shape (leads, samples) with one of the {len(lead_names)} names for each lead, "
            f"not {signal_mv.shape}"
        )
    if not sampling_rate > 0:
        raise ValueError(f"the sampling rate must be positive, not {sampling_rate}")
    answer = answer or []

    curves = _from_rest(signal_mv)
    baselines, height = _layout(curves, sampling_rate)
    answer_height = (len(answer) + 1) * _ANSWER_ROW if answer else 0.0
    height += _TOP + answer_height + _BOTTOM
    width = _LEFT + MM_PER_SECOND * signal_mv.shape[1] / sampling_rate + _RIGHT
    width = max(_LEAST_WIDTH, 5 * np.ceil(width / 5))
    height = 5 * np.ceil(height / 5)

    figure = Figure(figsize=(width / _MM_PER_INCH, height / _MM_PER_INCH), dpi=dpi, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    # One millimetre is one unit of these axes, which fill the picture.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    _draw_paper(axes, width, height)
    time_mm = _LEFT + MM_PER_SECOND * np.arange(signal_mv.shape[1]) / sampling_rate
    for name, curve, baseline in zip(lead_names, curves, height - _TOP - baselines):
        pulse = baseline + MM_PER_MILLIVOLT * np.array([0, 0, 1, 1, 0, 0])
        axes.plot(_LEFT - np.array([9, 8, 8, 3, 3, 2]), pulse, color=_INK, linewidth=0.6)
        axes.text(3, baseline + 1.5, name, fontsize=9, fontweight="bold", color=_INK)
        axes.plot(time_mm, baseline + MM_PER_MILLIVOLT * curve, color=_INK, linewidth=0.7, solid_joinstyle="round")
    if title:
        axes.text(5, height - 4, title, fontsize=11, fontweight="bold", color=_INK, va="top")
    _draw_answer(axes, answer, top=answer_height + _BOTTOM)
    axes.text(5, 3, _DISCLAIMER, fontsize=7, color=_INK)
    axes.text(width - 5, 3, "25 mm/s   10 mm/mV", fontsize=7, color=_INK, ha="right")
    _save(figure, path_or_file)


def draw_recording(
    recording: Any,
    path_or_file: str | os.PathLike | BinaryIO,
    feature_extractor: Any,
    answer: Sequence[Mapping] | None = None,
    **description: Any,
) -> None:
    """
    Draw a recording as it was recorded, without the filters of the model.

    Args:
        recording: one recording, as `feature_extractor` takes it.
        path_or_file, answer: see [`draw_ecg`].
        feature_extractor: a `MeritFeatureExtractor`, such as `processor.feature_extractor`; it is not changed.
        description: `sampling_rate`, `leads` and `units` of a recording that does not state them.
    """
    unfiltered = copy(feature_extractor)
    unfiltered.bandpass, unfiltered.sampling_rate, unfiltered.long_recordings = None, 500, "crop"
    features = unfiltered(recording, **description)
    present = features["lead_mask"][0]
    leads = [name for name, is_present in zip(unfiltered.lead_names, present) if is_present]
    title = Path(recording).name if isinstance(recording, str | os.PathLike) else None
    draw_ecg(features["ecg_values"][0][present], 500, leads, path_or_file, title, answer)


def _from_rest(signal_mv: np.ndarray) -> np.ndarray:
    """Each lead from its median, as a recorder without direct current shows it, with nan for what is not finite."""
    curves = np.where(np.isfinite(signal_mv), signal_mv, np.nan)
    recorded = ~np.isnan(curves).all(axis=1)
    curves[recorded] -= np.nanmedian(curves[recorded], axis=1, keepdims=True)
    return curves


def _layout(curves: np.ndarray, sampling_rate: float) -> tuple[np.ndarray, float]:
    """Distance of each baseline from the top of the first row, and the height of all rows, in mm.

    Neighbours are so far apart that their curves do not touch, nor would if one came a few millimetres later; but
    artefacts of many millivolts get no more room than a tall wave.
    """
    curves = MM_PER_MILLIVOLT * np.nan_to_num(curves)
    around = 2 * round(_CLEARANCE / MM_PER_SECOND * sampling_rate) + 1
    closest = maximum_filter1d(curves[1:], around, axis=1) - minimum_filter1d(curves[:-1], around, axis=1)
    rows = np.clip(closest.max(axis=1, initial=0.0) + 1, _LEAST_ROW, _GREATEST_ROW)
    first = np.clip(curves[0].max(), MM_PER_MILLIVOLT, _GREATEST_ROW)
    last = np.clip(-curves[-1].min(), 0, _GREATEST_ROW)
    baselines = np.cumsum([first, *rows])
    return baselines, float(baselines[-1] + last + _CLEARANCE)


def _draw_paper(axes, width: float, height: float) -> None:
    for step, color, linewidth in ((1, _FINE, 0.25), (5, _BOLD, 0.5)):
        axes.vlines(np.arange(0, width + 1, step), 0, height, color=color, linewidth=linewidth, zorder=0)
        axes.hlines(np.arange(0, height + 1, step), 0, width, color=color, linewidth=linewidth, zorder=0)


def _draw_answer(axes, answer: Sequence[Mapping], top: float) -> None:
    """Bar, score and label of each line, from the top down."""
    for row, line in enumerate(answer, start=1):
        y = top - row * _ANSWER_ROW
        axes.barh(y, _BAR * line["score"], height=3.5, left=5, color="#35608f")
        axes.text(_BAR + 8, y, f"{line['score']:.2f}", fontsize=9, color=_INK, va="center")
        axes.text(_BAR + 20, y, line["label"], fontsize=9, color=_INK, va="center")


def _save(figure, path_or_file: str | os.PathLike | BinaryIO) -> None:
    if not isinstance(path_or_file, str | os.PathLike):
        figure.savefig(path_or_file, format="png", facecolor=figure.get_facecolor())
        return
    path = Path(path_or_file)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        figure.savefig(file, format=path.suffix[1:] or "png", facecolor=figure.get_facecolor())
