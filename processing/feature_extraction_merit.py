"""The feature extractor: recordings to tensors in millivolts, at one sampling rate, with the leads in a fixed order.

Steps, each configured by fields of preprocessor_config.json: select leads by name, cut windows, interpolate gaps, find
bad leads, resample and filter in the frequency domain, convert to millivolts, derive limb leads, clip, pad. Recordings
of a batch with the same leads, sampling rate and length are processed as one array.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.fft
import torch
from transformers.feature_extraction_utils import BatchFeature, FeatureExtractionMixin

from .filtering_merit import SpectralPlan, spectral_plan
from .inputs_merit import show, to_list, to_recordings
from .leads_merit import LIMB_LEADS, STANDARD_LEADS, derive_limb_leads, select_leads
from .recording_base_merit import LeadWarning, PaddingWarning
from .recordings_merit import INVALID_SAMPLE, EcgError, Recording

__all__ = ["SETTINGS", "MeritFeatureExtractor"]

SETTINGS = (
    "duration",
    "long_recordings",
    "window_stride",
    "min_duration",
    "max_duration",
    "sampling_rate_range",
    "bandpass",
    "bandpass_order",
    "derive_limb_leads",
    "max_gap",
    "on_bad_lead",
    "ignore_unknown_leads",
    "max_amplitude",
    "clip",
    "normalization",
)
"""The fields that can be changed for one call of a pipeline: all but those that the model determines."""

_FLAT = 1e-4  # mV; below the resolution of any electrocardiograph
_PADDING = 0.2  # s; a longer constant stretch at an end is padding
_MAX_RATIO = 1000  # between the sampling rates of input and output
_MAX_WINDOWS = 10_000  # of one recording; a day has 8,640 windows of 10 s
_MAX_SAMPLES = 10_000_000  # of one row of the output; a day at 100 Hz has 8,640,000
_MAX_SETTLING = 1_000_000  # samples by which a recording is mirrored at each end
_BLOCK_SAMPLES = 1 << 19  # samples of the windows that are transformed together; so many fit into the CPU cache


@dataclass
class _Window:
    """Part of a recording that becomes one row of the batch; millivolts = scale * sample + offset."""

    record: int
    name: str
    start: int
    signal: np.ndarray  # (leads, samples) as recorded
    scale: np.ndarray  # (leads,)
    offset: np.ndarray  # (leads,)
    has_invalid_mark: bool  # whether INVALID_SAMPLE marks invalid samples
    problems: list[str] = field(default_factory=list)


# Leads, sampling rate and number of samples of a window; windows of one kind are processed as one array.
_Kind = tuple[tuple[str, ...], float, int]


class MeritFeatureExtractor(FeatureExtractionMixin):
    """Converts ECG recordings to the tensors that MERIT takes as input.

    Every argument is a field of preprocessor_config.json; invalid values raise a `ValueError`.

    Args:
        sampling_rate (`float`, defaults to 100): Sampling rate of the output in Hz. Other rates are resampled without
            aliasing, as by a polyphase filter, with a rational approximation of the ratio that is off by less than a
            millisecond over the window.
        lead_names (`list[str]`, defaults to the twelve standard leads): Leads of the output, in order.
        duration (`float`, defaults to 10.0): Length of the window in seconds.
        long_recordings (`str`, defaults to `"crop"`): How to handle recordings longer than `duration`. `"crop"` takes
            the central window. `"window"` takes consecutive windows, the last one aligned to the end, and adds
            `record_index` and `window_seconds` to the output. `"keep"` takes the whole recording, up to
            `max_duration`. Windows are cut before filtering, so samples outside a window have no influence on it.
        window_stride (`float`, *optional*): Seconds from one window to the next; `duration` if `None`.
        min_duration (`float`, defaults to 2.5): Shorter recordings, in seconds, are an error.
        max_duration (`float`, defaults to 60.0): Longest recording that `"keep"` accepts, in seconds.
        sampling_rate_range (`list[float]`, defaults to `[50, 2000]`): Recordings at other rates, in Hz, are an error.
        bandpass (`list[float]` or `None`, defaults to `[0.5, 40.0]`): Edges in Hz of a zero-phase Butterworth filter,
            applied forward and backward at the output rate to the signal mirrored at its ends; `None` disables it.
        bandpass_order (`int`, defaults to 2): Order of the filter at each edge, in each direction.
        derive_limb_leads (`bool`, defaults to `True`): Compute missing limb leads if two of them were recorded.
        max_gap (`float`, defaults to 0.2): Gaps of invalid samples (NaN) of up to this many seconds are interpolated
            linearly (at the ends by the nearest sample); they stay true in `sample_mask`. A lead with a longer gap is
            bad, and so is a lead that is constant. Padding is neither: where all leads are constant or invalid at an
            end of the recording for more than 0.2 s, that end is left out with a warning.
        on_bad_lead (`str`, defaults to `"drop"`): `"drop"` leaves a bad lead out with a warning (a limb lead is then
            derived from others if possible); `"error"` raises. A recording without any good lead always raises.
        ignore_unknown_leads (`bool`, defaults to `False`): Leave out channels that are not standard leads instead of
            raising.
        max_amplitude (`float`, defaults to 1000.0): A lead that exceeds this many millivolts is an error, because its
            units or gain must be wrong.
        clip (`float` or `None`, defaults to 10.0): The output is limited to plus and minus this many millivolts.
        normalization (`str`, defaults to `"none"`): `"none"` keeps millivolts, because amplitude is diagnostic;
            `"zscore"` scales each lead to mean 0 and standard deviation 1.

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

    _auto_class = "AutoFeatureExtractor"  # save_pretrained copies the code too

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
        self.lead_names = to_list(lead_names)
        self.duration = duration
        self.long_recordings = long_recordings
        self.window_stride = window_stride
        self.min_duration = min_duration
        self.max_duration = max_duration
        self.sampling_rate_range = to_list(sampling_rate_range)
        self.bandpass = to_list(bandpass)
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
        verify_checksums: bool = True,
    ) -> BatchFeature:
        """Convert one or many recordings to the model's input tensors.

        `sampling_rate`, `leads` and `units` describe arrays. They also complete files and rows that lack them, and must
        agree with those that do not. For a list of recordings each may be a list with one entry per recording.

        Args:
            ecg: A recording, or a list or array of recordings. A recording is one of

                - a path (`str` or `os.PathLike`): a WFDB record, a CSV table, a .npy file, or with the extra `formats`
                  a file of a hospital system, see `read_recording`;
                - an array or tensor of physical samples of shape `(leads, samples)`, NaN or masked where invalid, or
                  a list of such leads; `(recordings, leads, samples)` is a list of recordings;
                - a mapping, such as a row of a `datasets.Dataset`, with `signal`, `sampling_rate`, `lead_names` (or
                  `leads`), and either `gain` and `baseline` (digital samples, -32768 marks invalid ones) or `units`
                  (physical samples). `gain` is in steps per unit, which is millivolt unless `units` says otherwise,
                  `baseline` is the digital value of 0 units and defaults to 0; each is a number or one per lead.
                  `signal` may be flat, lead after lead. `record_id` is used in messages; other keys are ignored;
                - a data frame with a column for each lead;
                - a `wfdb.Record`, or the pair of samples and fields that `wfdb.rdsamp` returns;
                - a `Recording`.
            sampling_rate (`float`, *optional*): Samples per second.
            leads (`list[str]`, *optional*): Lead names in the order of the array, in any usual spelling.
            units (`str`, *optional*): "mV", "uV", "V" or "nV", for all leads or, for one recording, one per lead.
            return_tensors (`str`, *optional*): `"pt"` for torch tensors; `"np"` or `None` for numpy arrays.
            padding (`bool` or `str`, defaults to `True`): `True` or `"longest"` pads to the longest recording,
                `"max_length"` to `duration` (to `max_duration` if `long_recordings="keep"`).
            verify_checksums (`bool`, defaults to `True`): Whether a file whose signal does not have the checksum that
                it states is an error, rather than read with a warning.

        Returns:
            `BatchFeature`: with

            - **ecg_values** `(batch, leads, samples)` float32 in millivolts, 0 where the masks are false;
            - **lead_mask** `(batch, leads)` bool, true where the lead was recorded or derived;
            - **sample_mask** `(batch, samples)` bool, true where there is signal: from the first sample to the end of
              the recording without padding;
            - **record_index** `(batch,)` int64 and **window_seconds** `(batch, 2)` float32, only if
              `long_recordings="window"`: the recording of each window, and where the window starts and ends in it.

        Raises:
            EcgError: the input cannot be used; the message names the recording, the lead and the value.
            ValueError: `padding`, `return_tensors` or `verify_checksums` is not one of the above.
        """
        _check_arguments(padding, return_tensors, verify_checksums)
        recordings = to_recordings(ecg, sampling_rate, leads, units, verify_checksums)
        windows, groups, paddings = self._cut_windows(recordings)
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
            size = max(1, _BLOCK_SAMPLES // (len(names) * length))
            for rows in (group[i : i + size] for i in range(0, len(group), size)):
                values, present = self._transform([windows[row] for row in rows], names, rate, plan)
                ecg_values[rows, :, : plan.samples] = values
                lead_mask[rows] = present
                sample_mask[rows, : plan.samples] = True

        usable, bad_leads = self._report_problems(windows, lead_mask)
        for category, messages in ((PaddingWarning, paddings), (LeadWarning, bad_leads)):  # after all errors
            for message in messages:
                warnings.warn(message, category, stacklevel=2)
        features = {"ecg_values": ecg_values, "lead_mask": lead_mask, "sample_mask": sample_mask}
        if self.long_recordings == "window":
            features["record_index"] = np.array([window.record for window in windows], np.int64)
            ends = np.array([[window.start, window.start + window.signal.shape[1]] for window in windows])
            rates = np.array([recordings[window.record].sampling_rate for window in windows])
            features["window_seconds"] = (ends / rates[:, None]).astype(np.float32)
        if not usable.all():
            features = {name: value[usable] for name, value in features.items()}
        return BatchFeature(features, tensor_type=return_tensors)

    def with_settings(self, **settings) -> "MeritFeatureExtractor":
        """A copy with other values of some fields.

        Raises:
            ValueError: there is no such field, or its value is invalid.
        """
        return type(self)(**{**self.to_dict(), **settings})

    def check_model(self, config: Any) -> None:
        """
        Check that the output of this feature extractor is what a model takes.

        Args:
            config: Configuration of any MERIT model.

        Raises:
            ValueError: The sampling rate or the leads are not those of the model.
        """
        for name in ("merit_config", "ecg_config"):
            config = getattr(config, name, config)
        for name in ("sampling_rate", "lead_names"):
            own, of_model = getattr(self, name), getattr(config, name)
            if own != of_model:
                raise ValueError(f"The processor has {name} {own}, the model {of_model}: give both the same {name}.")

    def _cut_windows(self, recordings: list[Recording]) -> tuple[list[_Window], dict[_Kind, list[int]], list[str]]:
        """All windows, the positions of those of one kind, and warnings about padding that is left out."""
        windows: list[_Window] = []
        messages: list[str] = []
        groups: dict[_Kind, list[int]] = {}
        for index, recording in enumerate(recordings):
            self._check_rate(recording)
            names, channels, millivolts = self._select_leads(recording)
            scale, offset, has_invalid_mark = millivolts, np.zeros_like(millivolts), False
            if recording.gain is not None and recording.baseline is not None:
                scale = millivolts / recording.gain[channels]
                offset = -scale * recording.baseline[channels]
                has_invalid_mark = recording.signal.dtype == np.int16
            first, last = self._find_signal(recording, channels, scale, has_invalid_mark)
            if last - first < recording.signal.shape[1]:
                messages.append(_padding_message(recording, first, last))
            length, starts = self._window_starts(recording, first, last)
            rows = range(len(windows), len(windows) + len(starts))
            groups.setdefault((names, recording.sampling_rate, length), []).extend(rows)
            for start in starts:
                signal = recording.signal[channels, start : start + length]
                windows.append(_Window(index, recording.name, start, signal, scale, offset, has_invalid_mark))
        return windows, groups, messages

    def _check_rate(self, recording: Recording) -> None:
        low, high = self.sampling_rate_range
        if not low <= recording.sampling_rate <= high:
            raise EcgError(
                f"{recording.name}: a sampling rate of {recording.sampling_rate:g} Hz is not in the range {low:g} to "
                f"{high:g} Hz; correct it, or widen sampling_rate_range"
            )
        if not 1 / _MAX_RATIO <= recording.sampling_rate / self.sampling_rate <= _MAX_RATIO:
            raise EcgError(
                f"{recording.name}: a sampling rate of {recording.sampling_rate:g} Hz cannot be resampled to "
                f"{self.sampling_rate:g} Hz; resample by a factor of at most {_MAX_RATIO}"
            )

    def _select_leads(self, recording: Recording) -> tuple[tuple[str, ...], Any, np.ndarray]:
        """Names of the leads in use, the index of their channels, and the millivolts per unit of each."""
        wanted = tuple(self.lead_names) + (LIMB_LEADS if self.derive_limb_leads else ())
        try:
            return select_leads(recording.lead_names, recording.units, wanted, self.ignore_unknown_leads)
        except EcgError as error:
            raise EcgError(f"{recording.name}: {error}") from None

    def _find_signal(
        self, recording: Recording, channels: Any, scale: np.ndarray, has_invalid_mark: bool
    ) -> tuple[int, int]:
        """First and last sample (exclusive) of the signal without padding at its ends."""
        samples, rate = recording.signal.shape[1], recording.sampling_rate
        tolerance = _FLAT / np.abs(scale)
        head = _constant_samples(recording.signal, channels, _PADDING * rate, tolerance, has_invalid_mark)
        tail = _constant_samples(recording.signal[:, ::-1], channels, _PADDING * rate, tolerance, has_invalid_mark)
        if head == samples or head == tail == 0:  # a recording that is constant as a whole has bad leads
            return 0, samples
        return head, samples - tail

    def _window_starts(self, recording: Recording, first: int, last: int) -> tuple[int, list[int]]:
        """Length and start positions of the windows of the samples from `first` to `last`."""
        samples, rate = last - first, recording.sampling_rate
        if samples < max(2, math.floor(self.min_duration * rate)):
            without = "" if samples == recording.signal.shape[1] else " without its constant ends"
            raise EcgError(
                f"{recording.name}: {samples / rate:.2f} s ({samples} samples at {rate:g} Hz){without} is too short; "
                f"at least {self.min_duration:g} s are needed"
            )
        length = round(self.duration * rate)
        if self.long_recordings == "keep" and samples > math.ceil(self.max_duration * rate):
            raise EcgError(
                f"{recording.name}: {samples / rate:.2f} s is longer than max_duration={self.max_duration:g} s; "
                "cut it, or set long_recordings to 'crop' or 'window'"
            )
        if self.long_recordings == "keep" or samples <= length:
            return samples, [first]
        if self.long_recordings == "crop":
            return length, [first + (samples - length) // 2]
        stride = max(1, round((self.window_stride or self.duration) * rate))
        if samples > length + (_MAX_WINDOWS - 1) * stride:
            raise EcgError(
                f"{recording.name}: {samples / rate:.2f} s are more than {_MAX_WINDOWS} windows; cut it, or increase "
                "window_stride"
            )
        return length, [*range(first, last - length, stride), last - length]

    def _plan(self, rate: float, length: int) -> SpectralPlan:
        bandpass = None if self.bandpass is None else tuple(self.bandpass)
        plan = spectral_plan(length, rate, self.sampling_rate, bandpass, self.bandpass_order)
        if self.long_recordings == "keep":
            return plan
        return plan._replace(samples=min(plan.samples, math.ceil(self.duration * self.sampling_rate)))

    def _transform(
        self, windows: list[_Window], names: tuple[str, ...], rate: float, plan: SpectralPlan
    ) -> tuple[np.ndarray, np.ndarray]:
        """Process windows with the same leads, rate and length as one array.

        Returns values `(windows, leads, samples)` in millivolts and the mask `(windows, leads)` of leads present.
        """
        length = windows[0].signal.shape[1]
        mirrored = np.empty((len(windows), len(names), length + len(plan.mirror)), np.float32)
        signal = mirrored[..., :length]
        with np.errstate(over="ignore"):  # _interpolate_and_check reports values that become infinite
            for row, window in zip(signal, windows):
                row[:] = window.signal
        scale = np.array([window.scale for window in windows], np.float32)
        offset = np.array([window.offset for window in windows], np.float32)
        good = self._interpolate_and_check(windows, signal, scale, offset, names, rate)

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

    def _interpolate_and_check(
        self,
        windows: list[_Window],
        signal: np.ndarray,
        scale: np.ndarray,
        offset: np.ndarray,
        names: tuple[str, ...],
        rate: float,
    ) -> np.ndarray:
        """Interpolate short gaps in place and check the leads; returns the mask `(windows, leads)` of good ones."""
        low, high = signal.min(axis=-1), signal.max(axis=-1)
        has_invalid_mark = np.array([window.has_invalid_mark for window in windows])
        with np.errstate(invalid="ignore", over="ignore"):  # comparisons with NaN are false
            good = (high - low) * np.abs(scale) >= _FLAT
            good &= np.maximum(np.abs(low * scale + offset), np.abs(high * scale + offset)) <= self.max_amplitude
        good &= ~(has_invalid_mark[:, None] & (low == INVALID_SAMPLE))
        # Most leads are good; only the others are looked at one by one.
        for row, lead in np.argwhere(~good):
            window, samples = windows[row], signal[row, lead]
            if window.has_invalid_mark:
                samples[samples == INVALID_SAMPLE] = np.nan
            infinite = np.flatnonzero(np.isinf(samples))
            if infinite.size:
                raise EcgError(
                    f"{window.name}: lead {names[lead]} has the value {window.signal[lead, infinite[0]]} at sample "
                    f"{window.start + infinite[0]}; mark invalid samples as NaN"
                )
            problem = _interpolate_gaps(samples, self.max_gap, rate, window.start)
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

    def _report_problems(self, windows: list[_Window], lead_mask: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """The mask `(windows,)` of windows with at least one lead, and warnings; raises for a recording without any."""
        usable = np.any(lead_mask, axis=1)
        usable_records = {window.record for window, good in zip(windows, usable) if good}
        messages = []
        for window in windows:
            problems = "; ".join(window.problems)
            if window.record not in usable_records:
                problems = problems or f"it has none of the leads {', '.join(self.lead_names)}"
                raise EcgError(f"{window.name}: no lead can be used: {problems}; check the recording")
            if problems and self.on_bad_lead == "error":
                raise EcgError(
                    f"{window.name}: {problems}; correct it, or set on_bad_lead='drop' to leave such leads out"
                )
            if problems:
                messages.append(f"{window.name}: {problems}; left out")
        return usable, messages

    def _check_fields(self) -> None:
        """Raise `ValueError` for a field with an invalid value."""

        def positive(value: Any, low: float = 0, high: float = 1e9) -> bool:
            return isinstance(value, int | float) and not isinstance(value, bool) and value > 0 and low <= value <= high

        def require(name: str, valid: bool, expected: str) -> None:
            if not valid:
                raise ValueError(f"{name}={show(getattr(self, name))} is not {expected}")

        for name in ("duration", "min_duration", "max_duration", "max_amplitude"):
            require(name, positive(getattr(self, name)), "a positive number of at most 1e9")
        for name in ("window_stride", "clip"):
            value = getattr(self, name)
            require(name, value is None or positive(value), "None or a positive number of at most 1e9")
        for name in ("derive_limb_leads", "ignore_unknown_leads"):
            require(name, isinstance(getattr(self, name), bool), "True or False")
        choices = {
            "long_recordings": ("crop", "window", "keep"),
            "on_bad_lead": ("drop", "error"),
            "normalization": ("none", "zscore"),
        }
        for name, known in choices.items():
            value = getattr(self, name)
            require(name, isinstance(value, str) and value in known, f"one of {', '.join(known)}")
        gap, leads, order = self.max_gap, self.lead_names, self.bandpass_order
        require("max_gap", positive(gap) or (gap == 0 and not isinstance(gap, bool)), "a number of seconds")
        require("sampling_rate", positive(self.sampling_rate, 1, 1e5), "a number from 1 to 100000")
        require(
            "duration", self.min_duration <= self.duration <= self.max_duration, "from min_duration to max_duration"
        )
        most = _MAX_SAMPLES / self.sampling_rate
        require("max_duration", self.max_duration <= most, f"at most {most:g}, which are {_MAX_SAMPLES} samples")
        require(
            "lead_names",
            isinstance(leads, list) and 0 < len(leads) == sum(lead in leads for lead in STANDARD_LEADS),
            f"a list of {', '.join(STANDARD_LEADS)}, each once",
        )
        rates, band = self.sampling_rate_range, self.bandpass
        require(
            "sampling_rate_range",
            isinstance(rates, list)
            and len(rates) == 2
            and all(positive(x, 1, 1e6) for x in rates)
            and rates[0] <= rates[1],
            "two increasing rates from 1 to 1e6 Hz",
        )
        nyquist = self.sampling_rate / 2
        require(
            "bandpass",
            band is None
            or (
                isinstance(band, list)
                and len(band) == 2
                and all(positive(x, rates[1] / _MAX_SETTLING) for x in band)
                and band[0] < band[1] < nyquist
            ),
            f"None or two increasing edges from {rates[1] / _MAX_SETTLING:g} to below {nyquist:g} Hz",
        )
        require(
            "bandpass_order",
            isinstance(order, int) and not isinstance(order, bool) and 1 <= order <= 10,
            "a whole number from 1 to 10",
        )


def _check_arguments(padding: Any, return_tensors: Any, verify_checksums: Any) -> None:
    """Raise `ValueError` for an argument of a call that is not one of its choices."""
    if not isinstance(padding, bool | str) or padding not in (True, "longest", "max_length"):
        raise ValueError(f"padding={show(padding)} is not one of True, 'longest', 'max_length'")
    if return_tensors is not None and not (isinstance(return_tensors, str) and return_tensors in ("pt", "np")):
        raise ValueError(f"return_tensors={show(return_tensors)} is not one of None, 'pt', 'np'")
    if not isinstance(verify_checksums, bool):
        raise ValueError(f"verify_checksums={show(verify_checksums)} is not True or False")


def _padding_message(recording: Recording, first: int, last: int) -> str:
    rate, samples = recording.sampling_rate, recording.signal.shape[1]
    where = [f"before {first / rate:.2f} s"] * (first > 0) + [f"after {last / rate:.2f} s"] * (last < samples)
    return f"{recording.name}: all leads are constant {' and '.join(where)}; this padding is left out"


def _constant_samples(
    signal: np.ndarray, channels: Any, limit: float, tolerance: np.ndarray, has_invalid_mark: bool
) -> int:
    """How many samples at the start are constant or invalid on all leads; 0 if not more than `limit`."""

    def count(samples: np.ndarray) -> int:
        valid = samples != INVALID_SAMPLE if has_invalid_mark else ~np.isnan(samples)
        first = np.argmax(valid, axis=1)
        values = samples[range(len(samples)), first, None].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values differ from themselves
            same = np.all(~valid | (np.abs(samples - values) < tolerance[:, None]), axis=0)
        number = len(same) if same.all() else int(np.argmin(same))
        # A first valid sample is the start of the signal, not of a constant, if a different one follows.
        return number - bool(np.any(first == number - 1)) if number < len(same) else number

    edge = math.floor(limit) + 1
    if signal.shape[1] < edge:
        return 0
    # Two samples decide nearly always, which saves most of the time.
    one, other = signal[channels, 0].astype(np.float64), signal[channels, edge - 1].astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        differ = np.abs(one - other) >= tolerance
    if has_invalid_mark:
        differ &= (one != INVALID_SAMPLE) & (other != INVALID_SAMPLE)
    if differ.any() or count(signal[channels, :edge]) < edge:
        return 0
    number = count(signal[channels])
    return number if number > limit else 0


def _interpolate_gaps(samples: np.ndarray, max_gap: float, rate: float, start: int) -> str | None:
    """Interpolate NaN linearly in place; returns what is wrong if a gap is longer than `max_gap` seconds."""
    invalid = np.isnan(samples)
    if not invalid.any():
        return None
    edges = np.flatnonzero(np.diff(invalid, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    longest = np.argmax(ends - starts)
    if invalid.all() or ends[longest] - starts[longest] > max_gap * rate:
        begin, end = (start + starts[longest]) / rate, (start + ends[longest]) / rate
        return f"has no valid sample from {begin:.2f} s to {end:.2f} s"
    samples[invalid] = np.interp(np.flatnonzero(invalid), np.flatnonzero(~invalid), samples[~invalid])
    return None
