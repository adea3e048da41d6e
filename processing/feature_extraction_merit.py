"""Recordings to tensors: whatever an ECG came as, MERIT sees millivolts at one rate with its leads in one order.

The steps, each a field of preprocessor_config.json: leads by name, cut to a window, gaps and bad leads, resampling and
band-pass in one pass through the frequency domain, units to millivolts, limb leads derived, clip, pad. Recordings of
a batch that share rate, length and leads are treated as one array.
"""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
import scipy.signal
import torch
from transformers.feature_extraction_utils import BatchFeature, FeatureExtractionMixin

from .filtering_merit import SpectralPlan, spectral_plan
from .leads_merit import STANDARD_LEADS, derive_limb_leads, standard_lead
from .recordings_merit import INVALID_SAMPLE, EcgError, Recording, per_lead, read_recording

__all__ = ["STANDARD_LEADS", "MeritFeatureExtractor", "recording_of_row", "select_leads", "standard_lead"]

_MILLIVOLTS = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "μv": 1e-3, "nv": 1e-6}  # casefold turns the sign µ into the letter μ
_FLAT = 1e-4  # mV; below the resolution of any electrocardiograph
_BLOCK = 1 << 19  # samples transformed at a time, so that they stay in the cache


@dataclass
class _Window:
    """Part of a recording that becomes one row of the batch; millivolts = scale * sample + offset."""

    record: int
    name: str
    start: int
    signal: np.ndarray  # (leads, samples) as recorded
    scale: np.ndarray  # (leads,)
    offset: np.ndarray  # (leads,)
    marked: bool  # whether INVALID_SAMPLE marks invalid samples
    problems: list[str] = field(default_factory=list)


class MeritFeatureExtractor(FeatureExtractionMixin):
    """Turns ECG recordings into the tensors that MERIT reads.

    Every argument is a field of preprocessor_config.json; a value that is not understood is refused.

    Args:
        sampling_rate (`float`, defaults to 100): Rate of the output in Hz. Other rates are resampled without aliasing:
            like a polyphase filter, by a rational approximation of the ratio that drifts by less than a millisecond.
        lead_names (`list[str]`, defaults to the twelve standard leads): Leads of the output, in order.
        duration (`float`, defaults to 10.0): Length of the window in seconds.
        long_recordings (`str`, defaults to `"crop"`): What becomes of recordings longer than `duration`. `"crop"`
            takes the central window. `"window"` takes consecutive windows, the last one aligned to the end, and adds
            `record_index` to the output. `"keep"` takes the whole, up to `max_duration`. Windows are cut first: what
            lies outside of a window has no influence on it.
        window_stride (`float`, *optional*): Seconds from window to window; `duration` if `None`.
        min_duration (`float`, defaults to 2.5): Shorter recordings, in seconds, are an error.
        max_duration (`float`, defaults to 60.0): Longest recording that `"keep"` takes, in seconds.
        sampling_rate_range (`list[float]`, defaults to `[50, 2000]`): Recordings at other rates, in Hz, are an error.
        bandpass (`list[float]` or `None`, defaults to `[0.5, 40.0]`): Edges in Hz of a zero-phase Butterworth filter,
            forward and backward at the output rate, with the signal mirrored at its ends; `None` leaves it out.
        bandpass_order (`int`, defaults to 2): Order of the filter at each edge, in each direction.
        derive_limb_leads (`bool`, defaults to `True`): Compute missing limb leads where two of them were recorded.
        max_gap (`float`, defaults to 0.2): Gaps of invalid samples (NaN) up to so many seconds are bridged by a
            straight line, at the ends by the nearest sample; they stay true in `sample_mask`. A lead with a longer
            gap is bad, and so is a lead that is constant.
        on_bad_lead (`str`, defaults to `"drop"`): `"drop"` leaves a bad lead out with a warning (a limb lead is then
            derived from others if it can be); `"error"` raises. A recording without a good lead always raises.
        ignore_unknown_leads (`bool`, defaults to `False`): Leave out channels that are no standard lead instead of
            raising.
        max_amplitude (`float`, defaults to 1000.0): A lead that goes beyond so many millivolts is no ECG, its units
            or gain are wrong: an error.
        clip (`float` or `None`, defaults to 10.0): Output is limited to plus and minus so many millivolts.
        normalization (`str`, defaults to `"none"`): `"none"` leaves millivolts, for amplitude carries meaning;
            `"zscore"` brings each lead to mean 0 and standard deviation 1.

    Example:

    ```python
    >>> import numpy as np
    >>> feature_extractor = MeritFeatureExtractor()
    >>> ecg = np.random.default_rng(0).normal(size=(2, 5000))
    >>> features = feature_extractor(ecg, sampling_rate=500, leads=["I", "II"], units="mV", return_tensors="pt")
    >>> features["ecg_values"].shape, features["lead_mask"].sum().item()
    (torch.Size([1, 12, 1000]), 6)
    ```
    """

    _auto_class = "AutoFeatureExtractor"  # saving takes the code along

    model_input_names = ["ecg_values", "lead_mask", "sample_mask"]

    def __init__(
        self,
        sampling_rate: float = 100,
        lead_names: Sequence[str] = STANDARD_LEADS,
        duration: float = 10.0,
        long_recordings: str = "crop",
        window_stride: float | None = None,
        min_duration: float = 2.5,
        max_duration: float = 60.0,
        sampling_rate_range: Sequence[float] = (50, 2000),
        bandpass: Sequence[float] | None = (0.5, 40.0),
        bandpass_order: int = 2,
        derive_limb_leads: bool = True,
        max_gap: float = 0.2,
        on_bad_lead: str = "drop",
        ignore_unknown_leads: bool = False,
        max_amplitude: float = 1000.0,
        clip: float | None = 10.0,
        normalization: str = "none",
        **kwargs,
    ):
        unknown = sorted(kwargs.keys() - {"feature_extractor_type", "processor_class", "auto_map"})
        if unknown:
            raise ValueError(f"MeritFeatureExtractor has no field {', '.join(unknown)}")
        super().__init__(**kwargs)
        self.sampling_rate = sampling_rate
        self.lead_names = list(lead_names)
        self.duration = duration
        self.long_recordings = long_recordings
        self.window_stride = window_stride
        self.min_duration = min_duration
        self.max_duration = max_duration
        self.sampling_rate_range = list(sampling_rate_range)
        self.bandpass = None if bandpass is None else list(bandpass)
        self.bandpass_order = bandpass_order
        self.derive_limb_leads = derive_limb_leads
        self.max_gap = max_gap
        self.on_bad_lead = on_bad_lead
        self.ignore_unknown_leads = ignore_unknown_leads
        self.max_amplitude = max_amplitude
        self.clip = clip
        self.normalization = normalization
        self._check_fields()

    def __call__(
        self,
        ecg: Any,
        sampling_rate: float | Sequence[float] | None = None,
        leads: Sequence[str] | Sequence[Sequence[str]] | None = None,
        units: str | Sequence[str] | None = None,
        return_tensors: str | None = None,
        padding: bool | str = True,
    ) -> BatchFeature:
        """Bring one or many recordings to the model's tensors.

        `sampling_rate`, `leads` and `units` describe arrays. They fill in what a file or row leaves open, and must
        agree with what it says. For a list of recordings each may be a list with one entry per recording.

        Args:
            ecg: A recording, or a list of recordings. A recording is one of

                - the path of a WFDB record or of a CSV table (`str` or `os.PathLike`);
                - an array or tensor of physical samples of shape `(leads, samples)`, NaN where invalid;
                  `(recordings, leads, samples)` is a list of them;
                - a `Recording`;
                - a mapping, such as a row of a `datasets.Dataset`, with `signal`, `sampling_rate`, `lead_names`, and
                  either `gain` and `baseline` (digital samples, of which -32768 is invalid; steps per unit, the unit
                  millivolt unless `units` says otherwise, and the zero level, 0 if absent; each a number or one per
                  lead) or `units` (physical samples); `signal` may be flat, lead after lead. `record_id` is used in
                  messages, other keys are ignored.
            sampling_rate (`float`, *optional*): Samples per second.
            leads (`list[str]`, *optional*): Names of the leads in the order of the array, in any usual spelling.
            units (`str`, *optional*): "mV", "uV", "V" or "nV", for all leads or, for one recording, one per lead.
            return_tensors (`str`, *optional*): `"pt"` for torch tensors; numpy arrays otherwise.
            padding (`bool` or `str`, defaults to `True`): `True` or `"longest"` pads to the longest recording,
                `"max_length"` to `duration` (to `max_duration` where long recordings are kept).

        Returns:
            `BatchFeature`: with

            - **ecg_values** `(batch, leads, samples)` float32 in millivolts, 0 where there is no lead or sample;
            - **lead_mask** `(batch, leads)` bool, true where the lead was recorded or derived;
            - **sample_mask** `(batch, samples)` bool, true where there is signal;
            - **record_index** `(batch,)` int64, only if `long_recordings="window"`: the recording of each window.

        Raises:
            EcgError: the input cannot be used; the message names recording, lead and value and says what to do.
        """
        if padding not in (True, "longest", "max_length"):
            raise ValueError(f"padding={padding!r} is not one of True, 'longest', 'max_length'")
        recordings = self._describe(ecg, sampling_rate, leads, units)
        windows: list[_Window] = []
        groups: dict[tuple[tuple[str, ...], float, int], list[int]] = {}  # leads, rate and length to rows
        for index, recording in enumerate(recordings):
            names, channels, millivolts = self._select_leads(recording)
            length, starts = self._cut(recording)
            scale, offset, marked = millivolts, np.zeros_like(millivolts), False
            if recording.gain is not None and recording.baseline is not None:
                scale = millivolts / recording.gain[channels]
                offset, marked = -scale * recording.baseline[channels], recording.signal.dtype == np.int16
            rows = range(len(windows), len(windows) + len(starts))
            groups.setdefault((names, recording.sampling_rate, length), []).extend(rows)
            for start in starts:
                signal = recording.signal[channels, start : start + length]
                windows.append(_Window(index, recording.name, start, signal, scale, offset, marked))

        plans = {key: self._plan(key[1], key[2]) for key in groups}
        longest = max(plan.samples for plan in plans.values())
        if padding == "max_length":
            seconds = self.max_duration if self.long_recordings == "keep" else self.duration
            longest = math.ceil(seconds * self.sampling_rate)
        ecg_values = np.zeros((len(windows), len(self.lead_names), longest), np.float32)
        lead_mask = np.zeros(ecg_values.shape[:2], bool)
        sample_mask = np.zeros((len(windows), longest), bool)
        for (names, rate, length), group in groups.items():
            plan = plans[names, rate, length]
            size = max(1, _BLOCK // (len(names) * length))
            for rows in (group[i : i + size] for i in range(0, len(group), size)):
                values, present = self._transform([windows[row] for row in rows], names, rate, plan)
                ecg_values[rows, :, : plan.samples] = values
                lead_mask[rows] = present
                sample_mask[rows, : plan.samples] = True

        usable = self._judge(windows, lead_mask)
        features = {"ecg_values": ecg_values, "lead_mask": lead_mask, "sample_mask": sample_mask}
        if self.long_recordings == "window":
            features["record_index"] = np.array([window.record for window in windows], np.int64)
        if not usable.all():
            features = {name: value[usable] for name, value in features.items()}
        return BatchFeature(features, tensor_type=return_tensors)

    def _describe(self, ecg: Any, sampling_rate: Any, leads: Any, units: Any) -> list[Recording]:
        """One fully described recording per item of `ecg`."""
        many = isinstance(ecg, Sequence) and not isinstance(ecg, str)
        many = many or (isinstance(ecg, np.ndarray | torch.Tensor) and ecg.ndim == 3)
        items = list(ecg) if many else [ecg]
        if not items:
            raise EcgError("ecg is empty; pass at least one recording")

        def spread(value: Any, argument: str, one_each: bool) -> list[Any]:
            if not (many and one_each):
                return [value] * len(items)
            if len(value) != len(items):
                raise EcgError(f"{argument} has {len(value)} entries for {len(items)} recordings; pass one for each")
            return list(value)

        rates = spread(sampling_rate, "sampling_rate", np.ndim(sampling_rate) == 1)
        names = spread(leads, "leads", leads is not None and not all(isinstance(lead, str) for lead in leads))
        units = spread(units, "units", units is not None and not isinstance(units, str))
        return [self._recording(i, *description) for i, description in enumerate(zip(items, rates, names, units))]

    def _recording(self, index: int, item: Any, sampling_rate: Any, leads: Any, units: Any) -> Recording:
        sampling_rate = None if sampling_rate is None else _to_rate(sampling_rate, f"recording {index}")
        leads = None if leads is None else _to_names(leads, f"recording {index}")
        if isinstance(item, str | os.PathLike):
            recording = read_recording(item, sampling_rate, units)
        elif isinstance(item, Recording):
            recording = item
        elif isinstance(item, Mapping):
            recording = recording_of_row(item, f"recording {index}", sampling_rate, leads, units)
        elif isinstance(item, np.ndarray | torch.Tensor) and item.ndim == 2:
            recording = recording_of_row({"signal": item}, f"recording {index}", sampling_rate, leads, units)
        else:
            what = f"an array of shape {tuple(item.shape)}" if hasattr(item, "shape") else f"{item!r:.60}"
            raise EcgError(
                f"recording {index}: {what} is not a recording; pass a path, an array of shape (leads, samples), "
                "a Recording or a mapping"
            )
        recording = _agree(recording, sampling_rate, leads, units)
        low, high = self.sampling_rate_range
        if not low <= recording.sampling_rate <= high:
            raise EcgError(
                f"{recording.name}: a sampling rate of {recording.sampling_rate:g} Hz is outside of {low:g} to "
                f"{high:g} Hz; correct it, or widen sampling_rate_range"
            )
        return recording

    def _select_leads(self, recording: Recording) -> tuple[tuple[str, ...], Any, np.ndarray]:
        """The standard leads that are used, their channels, and millivolts per unit of each."""
        wanted = tuple(self.lead_names) + (STANDARD_LEADS[:6] if self.derive_limb_leads else ())
        try:
            return select_leads(recording.lead_names, recording.units, wanted, self.ignore_unknown_leads)
        except EcgError as error:
            raise EcgError(f"{recording.name}: {error}") from None

    def _cut(self, recording: Recording) -> tuple[int, list[int]]:
        """Length of the windows in samples of the recording, and where they start."""
        samples, rate = recording.signal.shape[1], recording.sampling_rate
        if samples < max(2, math.floor(self.min_duration * rate)):
            raise EcgError(
                f"{recording.name}: {samples / rate:.2f} s ({samples} samples at {rate:g} Hz) is too short; "
                f"{self.min_duration:g} s are needed"
            )
        length = round(self.duration * rate)
        if self.long_recordings == "keep" and samples > math.ceil(self.max_duration * rate):
            raise EcgError(
                f"{recording.name}: {samples / rate:.2f} s is longer than max_duration={self.max_duration:g} s; "
                "cut it, or set long_recordings to 'crop' or 'window'"
            )
        if self.long_recordings == "keep" or samples <= length:
            return samples, [0]
        if self.long_recordings == "crop":
            return length, [(samples - length) // 2]
        stride = max(1, round((self.window_stride or self.duration) * rate))
        return length, [*range(0, samples - length, stride), samples - length]

    def _plan(self, rate: float, length: int) -> "SpectralPlan":
        bandpass = None if self.bandpass is None else tuple(self.bandpass)
        plan = spectral_plan(length, rate, self.sampling_rate, bandpass, self.bandpass_order)
        if self.long_recordings == "keep":
            return plan
        return plan._replace(samples=min(plan.samples, math.ceil(self.duration * self.sampling_rate)))

    def _transform(
        self, windows: list[_Window], names: tuple[str, ...], rate: float, plan: "SpectralPlan"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Windows of the same leads, rate and length, as one array.

        Returns values `(windows, leads, samples)` in millivolts and the mask `(windows, leads)` of leads present.
        """
        length = windows[0].signal.shape[1]
        mirrored = np.empty((len(windows), len(names), length + len(plan.mirror)), np.float32)
        signal = mirrored[..., :length]
        with np.errstate(over="ignore"):  # what becomes infinite is named in _mend
            for row, window in zip(signal, windows):
                row[:] = window.signal
        scale = np.array([window.scale for window in windows], np.float32)
        offset = np.array([window.offset for window in windows], np.float32)
        good = self._mend(windows, signal, scale, offset, names, rate)

        mirrored[..., length:] = np.take(mirrored, plan.mirror, axis=-1, mode="clip")
        threads = torch.get_num_threads()
        spectrum = np.asarray(scipy.fft.rfft(mirrored, axis=-1, workers=threads))
        spectrum = spectrum[..., : len(plan.response)] * plan.response
        filtered = np.asarray(scipy.fft.irfft(spectrum, plan.length, axis=-1, workers=threads))[..., : plan.samples]
        filtered *= scale[..., None]
        if self.bandpass is None:
            filtered += offset[..., None]

        if names == STANDARD_LEADS:
            values, present = filtered, good
        else:
            positions = [STANDARD_LEADS.index(name) for name in names]
            values = np.zeros((len(windows), len(STANDARD_LEADS), plan.samples), np.float32)
            present = np.zeros(values.shape[:2], bool)
            values[:, positions], present[:, positions] = filtered, good
        if self.derive_limb_leads:
            derive_limb_leads(values, present)
        if tuple(self.lead_names) != STANDARD_LEADS:
            positions = [STANDARD_LEADS.index(name) for name in self.lead_names]
            values, present = values[:, positions], present[:, positions]

        if self.clip is not None:
            np.clip(values, -self.clip, self.clip, out=values)
        if self.normalization == "zscore":
            values -= values.mean(axis=-1, keepdims=True)
            values /= np.maximum(values.std(axis=-1, keepdims=True), _FLAT)
        values[~present] = 0
        return values, present

    def _mend(
        self,
        windows: list[_Window],
        signal: np.ndarray,
        scale: np.ndarray,
        offset: np.ndarray,
        names: tuple[str, ...],
        rate: float,
    ) -> np.ndarray:
        """Bridge short gaps in place and find bad leads; returns the mask `(windows, leads)` of good ones."""
        low, high = signal.min(axis=-1), signal.max(axis=-1)
        marked = np.array([window.marked for window in windows])
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity make every comparison false
            good = (high - low) * np.abs(scale) >= _FLAT
            good &= np.maximum(np.abs(low * scale + offset), np.abs(high * scale + offset)) <= self.max_amplitude
        good &= ~(marked[:, None] & (low == INVALID_SAMPLE))
        for row, lead in np.argwhere(~good):
            window, samples = windows[row], signal[row, lead]
            if window.marked:
                samples[samples == INVALID_SAMPLE] = np.nan
            infinite = np.flatnonzero(np.isinf(samples))
            if infinite.size:
                raise EcgError(
                    f"{window.name}: lead {names[lead]} has the value {window.signal[lead, infinite[0]]} at sample "
                    f"{window.start + infinite[0]}; mark invalid samples as NaN"
                )
            problem = _bridge_gaps(samples, self.max_gap, rate, window.start)
            if problem is None:
                voltage = samples * scale[row, lead] + offset[row, lead]
                if not np.abs(voltage).max() <= self.max_amplitude:
                    raise EcgError(
                        f"{window.name}: lead {names[lead]} reaches {np.abs(voltage).max():.6g} mV, which no ECG does; "
                        "check its units and gain, or set max_amplitude"
                    )
                if np.ptp(voltage) < _FLAT:
                    problem = f"is flat at {voltage[0]:.6g} mV"
            if problem is not None:
                window.problems.append(f"lead {names[lead]} {problem}")
            good[row, lead] = problem is None
        return good

    def _judge(self, windows: list[_Window], lead_mask: np.ndarray) -> np.ndarray:
        """Raise or warn about bad leads; returns the mask `(windows,)` of windows that have any lead."""
        usable = np.any(lead_mask, axis=1)
        usable_records = {window.record for window, good in zip(windows, usable) if good}
        for window in windows:
            problems = "; ".join(window.problems)
            if window.record not in usable_records:
                problems = problems or f"it has none of the leads {', '.join(self.lead_names)}"
                raise EcgError(f"{window.name}: no lead can be used: {problems}; check the recording")
            if problems and self.on_bad_lead == "error":
                raise EcgError(
                    f"{window.name}: {problems}; repair it, or set on_bad_lead='drop' to leave such leads out"
                )
            if problems:
                warnings.warn(f"{window.name}: {problems}; left out", stacklevel=3)
        return usable

    def _check_fields(self) -> None:
        """Refuse values that are not understood."""

        def positive(value: Any) -> bool:
            return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf

        def require(name: str, valid: bool, expected: str) -> None:
            if not valid:
                raise ValueError(f"{name}={getattr(self, name)!r} is not {expected}")

        for name in ("sampling_rate", "duration", "min_duration", "max_duration", "max_amplitude"):
            require(name, positive(getattr(self, name)), "a positive number")
        for name in ("window_stride", "clip"):
            require(name, getattr(self, name) is None or positive(getattr(self, name)), "a positive number or None")
        for name in ("derive_limb_leads", "ignore_unknown_leads"):
            require(name, isinstance(getattr(self, name), bool), "True or False")
        choices = {
            "long_recordings": ("crop", "window", "keep"),
            "on_bad_lead": ("drop", "error"),
            "normalization": ("none", "zscore"),
        }
        for name, known in choices.items():
            require(name, getattr(self, name) in known, f"one of {', '.join(known)}")
        require("max_gap", self.max_gap == 0 or positive(self.max_gap), "a number of seconds")
        require("duration", self.min_duration <= self.duration <= self.max_duration, "in min_duration to max_duration")
        once = len(set(self.lead_names)) == len(self.lead_names) > 0
        require(
            "lead_names",
            once and set(self.lead_names) <= set(STANDARD_LEADS),
            f"a choice of {', '.join(STANDARD_LEADS)}, each once",
        )
        rates, band = self.sampling_rate_range, self.bandpass
        require(
            "sampling_rate_range",
            len(rates) == 2 and all(map(positive, rates)) and rates[0] <= rates[1],
            "two rising rates in Hz",
        )
        nyquist = self.sampling_rate / 2
        require(
            "bandpass",
            band is None or (len(band) == 2 and all(map(positive, band)) and band[0] < band[1] < nyquist),
            f"None or two rising edges below {nyquist:g} Hz",
        )
        require("bandpass_order", self.bandpass_order in range(1, 11), "a whole number from 1 to 10")


@lru_cache(maxsize=256)
def select_leads(
    names: tuple[str, ...], units: tuple[str, ...], wanted: tuple[str, ...], ignore_unknown: bool
) -> tuple[tuple[str, ...], Any, np.ndarray]:
    """The standard leads among `wanted` that are there, the index that selects their channels, and mV per unit of each.

    Raises:
        EcgError: a channel is no standard lead (unless `ignore_unknown`), a lead is there twice, its unit is not one of
            V, mV, uV, nV, or no lead is left.
    """
    leads, channels, millivolts = [], [], []
    for channel, (name, unit) in enumerate(zip(names, units)):
        lead = standard_lead(name)
        if lead is None and ignore_unknown:
            continue
        if lead is None:
            what = f"channel {channel}, {name!r}, is no standard lead" if name else f"channel {channel} has no name"
            raise EcgError(f"{what}; name it with leads=, remove it, or set ignore_unknown_leads=True to leave it out")
        if lead in leads:
            raise EcgError(f"lead {lead} is there twice, in {', '.join(names)}; keep one of them")
        if _millivolts(unit) is None:
            raise EcgError(f"lead {lead} has the units {unit!r}, not one of mV, uV, nV, V; correct them")
        if lead in wanted:
            leads.append(lead)
            channels.append(channel)
            millivolts.append(_millivolts(unit))
    if not leads:
        raise EcgError(f"none of its leads, {', '.join(names)}, is among those in use, {', '.join(wanted)}")
    # A slice takes all channels without a copy.
    selection = slice(None) if channels == list(range(len(names))) else channels
    return tuple(leads), selection, np.array(millivolts)


def _millivolts(unit: str) -> float | None:
    return _MILLIVOLTS.get(unit.strip().casefold())


def recording_of_row(
    row: Mapping, name: str = "recording", sampling_rate: Any = None, leads: Any = None, units: Any = None
) -> Recording:
    """A recording from a mapping such as a row of a data set; the arguments fill in what it leaves open."""
    name = str(row.get("record_id", name))

    def known(key: str, value: Any, argument: str, example: str) -> Any:
        value = value if row.get(key) is None else row[key]
        if value is None:
            raise EcgError(f"{name}: its {argument} is not known; pass {argument}=, for example {argument}={example}")
        return value

    if row.get("signal") is None:
        raise EcgError(f"{name}: the mapping has no 'signal', only {', '.join(map(str, row))}")
    signal = _to_numpy(row["signal"])
    if signal.dtype.kind not in "iuf":
        raise EcgError(f"{name}: its signal has the type {signal.dtype}; pass real numbers in a rectangular array")
    rate = _to_rate(known("sampling_rate", sampling_rate, "sampling_rate", "500"), name)
    lead_names = _to_names(known("lead_names", leads, "leads", "['I', 'II']"), name)
    if signal.ndim == 1 and lead_names and signal.size % len(lead_names) == 0:
        signal = signal.reshape(len(lead_names), -1)
    if row.get("gain") is not None and units is None:
        units = "mV"
    units = per_lead(known("units", units, "units", "'mV'"), len(lead_names), name)
    if row.get("gain") is None:
        return Recording(name, signal, rate, lead_names, units)

    if signal.dtype.kind == "f":
        raise EcgError(f"{name}: a gain goes with digital samples, but its signal has the type {signal.dtype}")
    if signal.size and signal.min() >= -32768 and signal.max() <= 32767:
        signal = signal.astype(np.int16, copy=False)  # lists come as int64, yet -32768 is their invalid sample too
    gain, baseline = _to_numpy(row["gain"]), _to_numpy(0 if row.get("baseline") is None else row["baseline"])
    if not {gain.shape, baseline.shape} <= {(), (len(lead_names),)}:
        raise EcgError(f"{name}: gain and baseline must be one number, or one for each of the {len(lead_names)} leads")
    return Recording(
        name,
        signal,
        rate,
        lead_names,
        units,
        np.broadcast_to(gain, len(lead_names)),
        np.broadcast_to(baseline, len(lead_names)),
    )


def _to_rate(value: Any, name: str) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = math.nan
    if not math.isfinite(rate):
        raise EcgError(f"{name}: sampling_rate={value!r} is not a number of Hz")
    return rate


def _to_names(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str):
        raise EcgError(f"{name}: leads={value!r} is one string; pass a list of names, even of one")
    return tuple(map(str, value))


def _to_numpy(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype == torch.bfloat16 else value
    try:
        return np.asarray(value)
    except ValueError:  # a list of leads of different lengths
        return np.asarray(value, dtype=object)


def _agree(recording: Recording, sampling_rate: Any, leads: Any, units: Any) -> Recording:
    """Check a recording by itself and against what the caller says of it; the caller may name nameless leads."""
    name, signal, own = recording.name, recording.signal, tuple(recording.lead_names)
    leads = own if leads is None else leads
    if signal.ndim != 2:
        raise EcgError(f"{name}: a signal of shape {signal.shape} is not (leads, samples)")
    for names in (own, leads):
        if len(names) != signal.shape[0]:
            advice = "; its axes are exchanged, transpose it" if len(names) == signal.shape[1] else ""
            raise EcgError(f"{name}: {len(names)} leads are named for a signal of shape {signal.shape}{advice}")
    if len(recording.units) != len(leads):
        raise EcgError(f"{name}: {len(recording.units)} units for {len(leads)} leads; give one for each")
    if sampling_rate is not None and not math.isclose(sampling_rate, recording.sampling_rate, rel_tol=1e-6):
        raise EcgError(
            f"{name}: sampling_rate={sampling_rate:g} was passed, but it says {recording.sampling_rate:g} Hz itself; "
            "pass none, or correct the record"
        )
    for given, recorded in zip(leads, own):
        if standard_lead(recorded) not in (None, standard_lead(given)):
            raise EcgError(
                f"{name}: leads= calls {given!r} what it calls {recorded!r} itself; pass none, or correct it"
            )
    if units is not None:
        for lead, given, recorded in zip(leads, per_lead(units, len(leads), name), recording.units):
            if given != recorded and _millivolts(given) != _millivolts(recorded):
                raise EcgError(f"{name}: units={given!r} was passed, but its lead {lead} is in {recorded!r}; pass none")
    if recording.gain is not None:
        for lead, gain in zip(leads, recording.gain.tolist()):
            if gain == 0 or not math.isfinite(gain):
                raise EcgError(f"{name}: lead {lead} has the gain {gain:g}; correct it in its header or row")
    return replace(recording, lead_names=leads, units=tuple(recording.units))


def _bridge_gaps(samples: np.ndarray, max_gap: float, rate: float, start: int) -> str | None:
    """Replace NaN in place by straight lines; says what is wrong if a gap is too long for that."""
    invalid = np.isnan(samples)
    if not invalid.any():
        return None
    edges = np.flatnonzero(np.diff(invalid, prepend=False, append=False))
    first, last = edges[::2], edges[1::2]
    longest = np.argmax(last - first)
    if invalid.all() or last[longest] - first[longest] > max_gap * rate:
        begin, end = (start + first[longest]) / rate, (start + last[longest]) / rate
        return f"has no valid sample from {begin:.2f} s to {end:.2f} s"
    where = np.arange(len(samples))
    samples[invalid] = np.interp(where[invalid], where[~invalid], samples[~invalid])
    return None
