"""Draw an ECG on ECG paper, at true scale."""

import os
import textwrap
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from .delineation import Measurements, measure
from .processing.answers_merit import cautions, decision_text
from .processing.explanation_merit import Explanation
from .processing.leads_merit import STANDARD_LEADS
from .training.results.atomic import atomic_write

# The usual paper: 25 mm for a second, 10 mm for a millivolt.
MM_PER_SECOND = 25.0
MM_PER_MILLIVOLT = 10.0
LAYOUTS = {"3x4": 4, "6x2": 2, "12x1": 1}
"""Names of the layouts, rows by columns, and their numbers of columns."""
_MM_PER_INCH = 25.4
# All distances below are in millimetres.
_LEFT, _RIGHT, _TOP, _BOTTOM = 20.0, 5.0, 15.0, 10.0
_LEAST_ROW, _GREATEST_ROW = 15.0, 60.0
_CLEARANCE = 3.0
_LINE, _AXIS = 5.0, 7.0
_ANSWER_ROW, _BAR = 6.0, 60.0
_LEAD_BAR, _SHADE = 9.0, 6.5
_NOTE_LETTER = 1.35  # mean width
# Room for title and answer where the recording is short.
_LEAST_WIDTH = 150.0
# Of a recording that `as_recorded` returns, in seconds.
_LONGEST = 3600.0
_PAPER, _FINE, _BOLD, _INK, _GREY = "#fffdfb", "#f7d9d5", "#e9a9a2", "#1a1a1a", "#666666"
_FOR, _AGAINST = "#1f77b4", "#e07b00"
_DURATION = 10.0  # s
_DISCLAIMER = "research software, not a medical device"


@dataclass(frozen=True)
class _LeadStretch:
    """A stretch of one lead in a row of the picture, from sample `first` to `last` of the part that is drawn."""

    lead: str
    first: int
    last: int
    is_rhythm: bool = False


def ecg_figure(
    signal_mv: np.ndarray,
    sampling_rate: float,
    lead_names: Sequence[str],
    title: str | None = None,
    answer: Sequence[Mapping] | None = None,
    *,
    layout: str | None = None,
    rhythm_lead: str | None = "II",
    speed: float = MM_PER_SECOND,
    gain: float = MM_PER_MILLIVOLT,
    start: float | None = None,
    duration: float = _DURATION,
    derived: Sequence[str] = (),
    measurements: Measurements | None = None,
    explanation: Explanation | Mapping | None = None,
    dpi: int = 150,
) -> Any:
    """
    Draw an ECG on millimetre paper as a `matplotlib.figure.Figure`.

    The size of the picture follows from the scale: printed at 100 %, a millimetre of the paper is a millimetre. Rows
    are as far apart as their curves need, and each lead is drawn from its median. Before each row stands a pulse of
    1 mV, 200 ms long. Columns follow each other in time, as on a printed ECG.

    Args:
        signal_mv: shape (leads, samples), in millivolts. Samples that are not finite leave gaps.
        sampling_rate: in Hz.
        lead_names: one name for each lead.
        title: written above the leads.
        answer: what a model says, as mappings with `label`, `score` (0 to 1) and optionally `basis`, what the score
            rests on, and a decision; drawn as bars under the leads, with what speaks against trusting it.
        layout: "3x4", "6x2" or "12x1", rows by columns. By default 3x4, and for recordings shorter than 8 s 6x2; with
            six leads or fewer, or with other leads than the twelve, a row for each lead.
        rhythm_lead: the lead of the additional row over the whole time; `None` for none. Only with several columns.
        speed: in mm/s.
        gain: in mm/mV.
        start: of the part of the recording that is drawn, in seconds; by default where the explanation starts, or so
            that the part lies in the middle.
        duration: of that part, in seconds.
        derived: leads that were computed from others, which are marked.
        measurements: written under the title.
        explanation: of the pipelines or of `merit.explain`, drawn as shades behind the curves and a bar for each lead.
        dpi: dots per inch of a PNG.

    Raises:
        ImportError: without matplotlib, which the extra `merit-ecg[plot]` installs.
        ValueError: the shape of the signal does not fit the names, there is nothing to draw, or an argument is not one
            of the above.

    >>> figure = ecg_figure(np.zeros((12, 5000)), 500, STANDARD_LEADS)
    >>> round(25.4 * figure.get_figwidth())  # 250 mm of curves and the margins
    275
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
    for name, value in (("sampling rate", sampling_rate), ("speed", speed), ("gain", gain), ("duration", duration)):
        if not value > 0:
            raise ValueError(f"the {name} must be positive, not {value}")
    answer = answer or []
    if isinstance(explanation, Mapping):
        explanation = Explanation(**explanation)

    total = signal_mv.shape[1] / sampling_rate
    begin, part = _choose_part(total, duration, start, explanation)
    first = round(begin * sampling_rate)
    drawn = signal_mv[:, first : first + max(1, round(min(duration, total) * sampling_rate))]
    curves = dict(zip(lead_names, (gain * _from_rest(drawn))))
    samples = drawn.shape[1]
    rows = _rows(layout, list(lead_names), samples, samples / sampling_rate, rhythm_lead)

    composites = np.full((len(rows), samples), np.nan)
    for composite, row in zip(composites, rows):
        for segment in row:
            if segment.lead in curves:
                composite[segment.first : segment.last] = curves[segment.lead][segment.first : segment.last]
    is_grid = len(rows[0]) > 1
    baselines, height = _layout(composites, _CLEARANCE / speed * sampling_rate, gain)
    lines = [measurements.text()] if measurements and measurements.text() else []
    width = max(_LEAST_WIDTH, 5 * np.ceil((_LEFT + speed * samples / sampling_rate + _RIGHT) / 5))
    notes = [
        line
        for note in [
            *(f"Do not rely on this answer: {caution}." for caution in cautions(answer, advice=False)),
            *_notes(part, derived, explanation, is_grid),
        ]
        for line in textwrap.wrap(note, int((width - _LEFT) / _NOTE_LETTER))
    ]
    top = _TOP + _LINE * len(lines) + (4.0 if is_grid else 0.0)
    answer_height = (len(answer) + 1) * _ANSWER_ROW if answer else 0.0
    below = _AXIS + answer_height + _LINE * len(notes) + _BOTTOM
    height = 5 * np.ceil((height + top + below) / 5)

    figure = Figure(figsize=(width / _MM_PER_INCH, height / _MM_PER_INCH), dpi=dpi, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    # One millimetre is one unit of these axes, which fill the picture.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    _draw_paper(axes, width, height)
    shades = _Shades(explanation, begin, speed) if explanation else None
    drawing = _Drawing(axes, curves, speed, gain, speed / sampling_rate, derived, is_grid, shades)
    for row, baseline in zip(rows, height - top - baselines):
        drawing.draw_row(row, baseline)
    bottom = height - top - baselines[-1] - _depth(composites[-1]) - _CLEARANCE
    _draw_time(axes, begin, samples / sampling_rate, speed, bottom)
    if title:
        axes.text(5, height - 4, title, fontsize=11, fontweight="bold", color=_INK, va="top")
    for number, line in enumerate(lines):
        axes.text(5, height - 10 - _LINE * number, line, fontsize=9, color=_INK, va="top")
    _draw_answer(axes, answer, top=below - _AXIS)
    for number, note in enumerate(reversed(notes)):
        axes.text(5, 8 + _LINE * number, note, fontsize=7.5, color=_INK)
    axes.text(5, 3, _DISCLAIMER, fontsize=7, color=_INK)
    axes.text(width - 5, 3, f"{speed:g} mm/s   {gain:g} mm/mV", fontsize=7, color=_INK, ha="right")
    return figure


def draw_ecg(
    signal_mv: np.ndarray,
    sampling_rate: float,
    lead_names: Sequence[str],
    path_or_file: str | os.PathLike | BinaryIO,
    title: str | None = None,
    answer: Sequence[Mapping] | None = None,
    dpi: int = 150,
    format: str | None = None,
    **options: Any,
) -> None:
    """
    Draw an ECG on millimetre paper into a file.

    Args:
        path_or_file: where to write. The ending of a path decides the format (.png, .pdf, .svg), and the path holds the
            whole picture or what it held before.
        format: of a file opened for writing bytes: "png" (default), "pdf" or "svg".
        signal_mv, sampling_rate, lead_names, title, answer, dpi, options: see [`ecg_figure`].

    >>> import io, numpy as np
    >>> picture = io.BytesIO()
    >>> draw_ecg(np.zeros((2, 1000)), 100, ("I", "II"), picture, answer=[{"label": "normal", "score": 0.9}])
    >>> picture.getvalue()[1:4]
    b'PNG'
    """
    figure = ecg_figure(signal_mv, sampling_rate, lead_names, title, answer, dpi=dpi, **options)
    _save(figure, path_or_file, format)


def draw_recording(
    recording: Any,
    path_or_file: str | os.PathLike | BinaryIO,
    feature_extractor: Any,
    answer: Sequence[Mapping] | None = None,
    options: Mapping[str, Any] | None = None,
    **description: Any,
) -> None:
    """
    Draw a recording as it was recorded, without the filters of the model, with its heart rate and intervals.

    Args:
        recording: one recording, as `feature_extractor` takes it.
        path_or_file: see [`draw_ecg`].
        feature_extractor: a `MeritFeatureExtractor`, such as `processor.feature_extractor`; it is not changed.
        answer: of a pipeline; its explanation is drawn too if it has one.
        options: of [`draw_ecg`], such as `{"layout": "12x1"}`.
        description: `sampling_rate`, `leads` and `units` of a recording that does not state them.
    """
    signal, rate, leads, derived = as_recorded(recording, feature_extractor, **description)
    title = Path(recording).name if isinstance(recording, str | os.PathLike) else None
    options = {"title": title, "derived": derived, "explanation": _explanation_of(answer), **(options or {})}
    if "measurements" not in options:
        seconds, total = options.get("duration", _DURATION), signal.shape[1] / rate
        begin, _ = _choose_part(total, seconds, options.get("start"), options["explanation"])
        part = signal[:, round(begin * rate) : round((begin + seconds) * rate)]
        options["measurements"] = measure(part, rate, leads)
    draw_ecg(signal, rate, leads, path_or_file, answer=answer, **options)


def as_recorded(
    recording: Any, feature_extractor: Any, **description: Any
) -> tuple[np.ndarray, float, list[str], list[str]]:
    """
    A recording without the filters of the model.

    Args:
        recording, feature_extractor, description: see [`draw_recording`].

    Returns:
        the signal in millivolts of shape (leads, samples), its sampling rate, the names of its leads, and those of them
        that are derived from others.
    """
    unfiltered = copy(feature_extractor)
    unfiltered.bandpass, unfiltered.sampling_rate, unfiltered.long_recordings = None, 500, "keep"
    unfiltered.max_duration = max(unfiltered.max_duration, _LONGEST)
    features = unfiltered(recording, **description)
    unfiltered.derive_limb_leads = False
    own = unfiltered(recording, **description)["lead_mask"][0]
    present = features["lead_mask"][0]
    leads = [name for name, is_present in zip(unfiltered.lead_names, present) if is_present]
    derived = [name for name, is_present, is_own in zip(unfiltered.lead_names, present, own) if is_present > is_own]
    return features["ecg_values"][0][present][:, features["sample_mask"][0]], 500, leads, derived


def _explanation_of(answer: Any) -> Explanation | None:
    explanation = getattr(answer, "explanation", None)
    return Explanation(**explanation) if isinstance(explanation, Mapping) else explanation


def _choose_part(
    total: float, duration: float, start: float | None, explanation: Explanation | None
) -> tuple[float, str]:
    """Where the part that is drawn begins, in seconds, and what to say of it."""
    latest = max(0.0, total - duration)
    if start is not None and not 0 <= start < total:
        raise ValueError(f"start must be from 0 to below {total:g} s, the end of the recording, not {start}")
    if latest < 1e-6:
        return 0.0, ""
    if start is not None:
        begin, why = start, "as chosen"
    elif explanation:
        begin, why = explanation.edges[0], f"where the log-odds of {explanation.label} are highest"
    else:
        begin, why = latest / 2, "the middle"
    begin = min(begin, latest)
    return begin, f"Drawn: {begin:.1f} to {begin + duration:.1f} s of {total:.1f} s, {why}"


def _rows(
    layout: str | None, leads: list[str], samples: int, seconds: float, rhythm_lead: str | None
) -> list[list[_LeadStretch]]:
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    standard = set(leads) <= set(STANDARD_LEADS)
    if layout is None:
        layout = "12x1" if len(leads) <= 6 or not standard or seconds < 4 else "3x4" if seconds >= 8 else "6x2"
    columns = LAYOUTS[layout]
    if columns == 1 or not standard:
        return [[_LeadStretch(lead, 0, samples)] for lead in leads]
    edges = [round(samples * column / columns) for column in range(columns + 1)]
    per_column = len(STANDARD_LEADS) // columns
    rows = [
        [
            _LeadStretch(STANDARD_LEADS[column * per_column + row], edges[column], edges[column + 1])
            for column in range(columns)
        ]
        for row in range(per_column)
    ]
    if rhythm_lead in leads:
        rows.append([_LeadStretch(str(rhythm_lead), 0, samples, is_rhythm=True)])
    return rows


def _from_rest(signal_mv: np.ndarray) -> np.ndarray:
    """Each lead from its median, as a recorder without direct current shows it, with nan for what is not finite."""
    curves = np.where(np.isfinite(signal_mv), signal_mv, np.nan)
    recorded = ~np.isnan(curves).all(axis=1)
    curves[recorded] -= np.nanmedian(curves[recorded], axis=1, keepdims=True)
    return curves


def _layout(curves: np.ndarray, samples_around: float, gain: float) -> tuple[np.ndarray, float]:
    """Distance of each baseline from the top of the first row, and the height of all rows, in mm.

    Neighbours are so far apart that their curves do not touch, nor would if one came a few millimetres later; but
    artefacts of many millivolts get no more room than a tall wave.
    """
    curves = np.nan_to_num(curves)
    around = 2 * round(samples_around) + 1
    closest = maximum_filter1d(curves[1:], around, axis=1) - minimum_filter1d(curves[:-1], around, axis=1)
    rows = np.clip(closest.max(axis=1, initial=0.0) + 1, max(_LEAST_ROW, 1.3 * gain), _GREATEST_ROW)
    first = np.clip(curves[0].max(), gain, _GREATEST_ROW)
    baselines = np.cumsum([first, *rows])
    return baselines, float(baselines[-1] + _depth(curves[-1]) + _CLEARANCE)


def _depth(curve: np.ndarray) -> float:
    """How far a curve goes below its baseline, in mm."""
    return float(np.clip(-np.nan_to_num(curve).min(), 0, _GREATEST_ROW))


def _notes(part: str, derived: Sequence[str], explanation: Explanation | None, is_grid: bool) -> list[str]:
    """What has to be said of the picture, a line each."""
    notes = [part] if part else []
    if derived:
        notes.append(f"Derived from other limb leads: {', '.join(derived)}")
    if explanation:
        method = explanation.method.replace("_", " ")
        notes += [
            f"Shades and bars: contribution to the log-odds of {explanation.label} ({explanation.log_odds:+.2f}), by "
            f"{method}; blue for, orange against it."
            + (" The rhythm strip shows all leads together." if is_grid else ""),
            explanation.caption,
        ]
    return notes


@dataclass
class _Drawing:
    """Draws rows of leads: axes, curves by lead in mm from their baseline, and the scale of the paper in mm."""

    axes: Any
    curves: Mapping[str, np.ndarray]
    speed: float
    gain: float
    per_sample: float
    derived: Sequence[str]
    is_grid: bool
    shades: "_Shades | None"

    def draw_row(self, row: Sequence[_LeadStretch], baseline: float) -> None:
        """A pulse of 1 mV, 200 ms long, and the stretches of the leads behind it."""
        pulse = baseline + self.gain * np.array([0, 0, 1, 1, 0, 0])
        wide = self.speed / 5
        self.axes.plot(_LEFT - 3 + np.array([-1 - wide, -wide, -wide, 0, 0, 1]), pulse, color=_INK, linewidth=0.6)
        for segment in row:
            self._draw_stretch(segment, baseline)
            self._draw_name(segment, baseline)

    def _draw_stretch(self, segment: _LeadStretch, baseline: float) -> None:
        left, right = (_LEFT + self.per_sample * sample for sample in (segment.first, segment.last))
        if self.shades:
            self.shades.draw(self.axes, segment, left, right, baseline)
        if segment.lead in self.curves:
            some = np.arange(segment.first, segment.last)
            heights = baseline + self.curves[segment.lead][some]
            style = {"color": _INK, "linewidth": 0.7, "solid_joinstyle": "round"}
            self.axes.plot(_LEFT + self.per_sample * some, heights, **style)
        else:
            self.axes.text(left + 1, baseline, "not recorded", fontsize=7, color=_GREY, va="center")
        if segment.first:
            self.axes.plot([left, left], [baseline - 4, baseline + 4], color=_INK, linewidth=0.9)

    def _draw_name(self, segment: _LeadStretch, baseline: float) -> None:
        """The name of the lead, marked if it is derived, and the bar of its contribution to an explanation."""
        is_derived = segment.lead in self.derived
        style: dict[str, Any] = {"fontsize": 9, "fontweight": "bold", "color": _INK, "gid": f"lead-{segment.lead}"}
        if self.is_grid:
            name, x = segment.lead + " (derived)" * is_derived, _LEFT + self.per_sample * segment.first + 1
            y = baseline + self.gain * 0.75
            below = y - 2.2
            style["bbox"] = {"facecolor": _PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
        else:
            name, x, y, below = segment.lead + "*" * is_derived, 1.5, baseline + 1.5, baseline - 2
            if is_derived:
                style["fontstyle"] = "italic"
        self.axes.text(x, y, name, zorder=1.5, **style)  # behind the curve
        if self.shades and not segment.is_rhythm:
            self.shades.draw_bar(self.axes, segment.lead, x, below)


class _Shades:
    """Draws an explanation: colours relative to the strongest contribution of its kind."""

    def __init__(self, explanation: Explanation, begin: float, speed: float):
        self.explanation, self.begin, self.speed = explanation, begin, speed
        self.cells = dict(zip(explanation.lead_names, explanation.cells))
        self.leads = dict(zip(explanation.lead_names, explanation.leads))
        self.strongest_cell = max((abs(value) for cells in explanation.cells for value in cells), default=0.0)
        self.strongest_stretch = max(map(abs, explanation.stretches), default=0.0)
        self.strongest_lead = max(map(abs, explanation.leads), default=0.0)

    def draw(self, axes, segment: _LeadStretch, left: float, right: float, baseline: float) -> None:
        values = self.explanation.stretches if segment.is_rhythm else self.cells.get(segment.lead, [])
        strongest = self.strongest_stretch if segment.is_rhythm else self.strongest_cell
        millimetres = _LEFT + self.speed * (np.array(self.explanation.edges) - self.begin)
        for value, begin, end in zip(values, millimetres, millimetres[1:]):
            begin, end = max(begin, left), min(end, right)
            if end <= begin or not strongest:
                continue
            color, alpha = (_FOR if value > 0 else _AGAINST), 0.6 * min(1.0, abs(value) / strongest)
            low, high = baseline - _SHADE, baseline + _SHADE
            axes.fill([begin, end, end, begin], [low, low, high, high], color=color, alpha=alpha, linewidth=0, zorder=1)

    def draw_bar(self, axes, lead: str, x: float, y: float) -> None:
        value = self.leads.get(lead)
        if value is None or not self.strongest_lead:
            return
        length = _LEAD_BAR * abs(value) / self.strongest_lead
        axes.barh(y, length, height=1.6, left=x, color=_FOR if value > 0 else _AGAINST, zorder=5)


def _draw_paper(axes, width: float, height: float) -> None:
    for step, color, linewidth in ((1, _FINE, 0.25), (5, _BOLD, 0.5)):
        axes.vlines(np.arange(0, width + 1, step), 0, height, color=color, linewidth=linewidth, zorder=0)
        axes.hlines(np.arange(0, height + 1, step), 0, width, color=color, linewidth=linewidth, zorder=0)


def _draw_time(axes, begin: float, seconds: float, speed: float, top: float) -> None:
    """Seconds of the recording, as ticks below the last row."""
    step = 1 if seconds <= 20 else 5
    for second in np.arange(np.ceil(begin / step) * step, begin + seconds + 1e-6, step):
        x = _LEFT + speed * (second - begin)
        axes.plot([x, x], [top - 1.5, top], color=_INK, linewidth=0.6)
        axes.text(x, top - 2, f"{second:g} s", fontsize=6.5, color=_INK, ha="center", va="top")


def _draw_answer(axes, answer: Sequence[Mapping], top: float) -> None:
    """Bar, score and label of each line, from the top down, with what the score rests on."""
    for row, line in enumerate(answer, start=1):
        y = top - row * _ANSWER_ROW
        axes.barh(y, _BAR * line["score"], height=3.5, left=5, color="#35608f")
        axes.text(_BAR + 8, y, f"{line['score']:.2f}", fontsize=9, color=_INK, va="center")
        label = axes.text(_BAR + 20, y, line["label"], fontsize=9, color=_INK, va="center")
        if grounds := ", ".join(filter(None, (line.get("basis"), decision_text(line)))):
            axes.annotate(
                grounds,
                (1, 0.5),
                xycoords=label,
                xytext=(6, 0),
                textcoords="offset points",
                fontsize=7.5,
                color=_GREY,
                va="center",
            )


def _save(figure, path_or_file: str | os.PathLike | BinaryIO, format: str | None) -> None:
    if not isinstance(path_or_file, str | os.PathLike):
        figure.savefig(path_or_file, format=format or "png", facecolor=figure.get_facecolor())
        return
    path = Path(path_or_file)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        figure.savefig(file, format=format or path.suffix[1:] or "png", facecolor=figure.get_facecolor())
