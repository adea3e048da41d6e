"""The columns that every prepared data set has, and how a recording is stored in them.

Columns:
    record_id (str): unique within its source
    source (str), patient_id (str), fold (1 to 10)
    age (float): years, None if unknown; sex (ClassLabel): male, female, or None
    signal: leads * samples int16, one lead after the other; `recording_of_row(row).physical()` gives millivolts
    gain (leads): steps per mV; baseline (leads): stored value of 0 mV; lead_names (leads); sampling_rate in Hz
    waveform_hash: equal for recordings of the same voltages, in whatever format they were stored
    report_raw; report: cleaned, "" if empty; language: "de", "en", "sv" or ""; report_en: translated
    codes: all statements of the record, as the source writes them
    for each TASK: TASK, the labels present (ClassLabels), and labels_TASK, the same as a uint8 vector of 0 and 1, whose
    entries `label_names(dataset, TASK)` names
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.signal
from datasets import ClassLabel, Dataset, Features, List, Value

from ...processing.leads_merit import STANDARD_LEADS, select_leads
from ...processing.recordings_merit import INVALID_SAMPLE, EcgError, Recording
from ..text.cleaning import detect_language
from ..text.translation import translate
from .tasks import Task

__all__ = [
    "SIGNAL_COLUMNS",
    "Record",
    "features",
    "fold_of",
    "label_names",
    "resample",
    "table",
    "to_int16",
    "waveform_hash",
]

SIGNAL_COLUMNS = ["record_id", "signal", "gain", "baseline", "sampling_rate", "lead_names"]
"""The columns that hold a recording."""
FOLDS = {"train": range(1, 9), "validation": range(9, 10), "test": range(10, 11)}
STEPS_PER_MILLIVOLT = 1000.0  # of recordings that are read as physical values: 1 µV, finer than any device


@dataclass(frozen=True)
class Record:
    """What a data set states about a recording; the fields are columns of the table."""

    record_id: str
    patient_id: str
    fold: int
    age: float | None = None
    sex: str | None = None
    report_raw: str = ""
    report: str = ""
    codes: Sequence[str] = ()


def split_of(fold: int) -> str:
    """Return the split of a fold: 1 to 8 train, 9 validation, 10 test."""
    return next(split for split, folds in FOLDS.items() if fold in folds)


def fold_of(source: str, patient_id: str) -> int:
    """Return the fold, 1 to 10, of a patient of a data set without published folds.

    It depends on the names of the data set and the patient only.

    Example:
        >>> fold_of("cpsc2018", "A0001")
        6
    """
    digest = hashlib.sha256(f"{source}:{patient_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 10 + 1


def label_names(dataset: Dataset, task: str) -> list[str]:
    """Return the names of the entries of the column labels_TASK, for example ["CD", "HYP", "MI", "NORM", "STTC"].

    Raises:
        ValueError: the data set has no such task.
    """
    if f"labels_{task}" not in dataset.features:
        tasks = [name.removeprefix("labels_") for name in dataset.features if name.startswith("labels_")]
        raise ValueError(f"the data set has no task {task!r}, but {', '.join(tasks) or 'none'}")
    return dataset.features[task].feature.names


def features(tasks: Mapping[str, Task]) -> Features:
    """Return the columns of a data set with these tasks."""
    columns = {
        "record_id": Value("string"),
        "source": Value("string"),
        "patient_id": Value("string"),
        "fold": Value("int8"),
        "age": Value("float32"),
        "sex": ClassLabel(names=["male", "female"]),
        "signal": List(Value("int16")),
        "gain": List(Value("float64")),
        "baseline": List(Value("int32")),
        "sampling_rate": Value("float32"),
        "lead_names": List(Value("string")),
        "waveform_hash": Value("string"),
        "report_raw": Value("string"),
        "report": Value("string"),
        "language": Value("string"),
        "report_en": Value("string"),
        "codes": List(Value("string")),
    }
    for name, task in tasks.items():
        columns[name] = List(ClassLabel(names=list(task.labels)))
        columns[f"labels_{name}"] = List(Value("uint8"), length=len(task.labels))
    return Features(columns)


def table(
    rows: Sequence[tuple[Record, Recording]], source: str, tasks: Mapping[str, Task], schema: pa.Schema
) -> pa.Table:
    """Return records and their recordings, as `to_int16` returns them, as rows of the table."""
    records, recordings = zip(*rows)
    languages = [detect_language(record.report) for record in records]
    columns: dict[str, Any] = {
        "record_id": [record.record_id for record in records],
        "source": [source] * len(records),
        "patient_id": [record.patient_id for record in records],
        "fold": [record.fold for record in records],
        "age": [record.age for record in records],
        "sex": [None if record.sex is None else ["male", "female"].index(record.sex) for record in records],
        "signal": _lists([recording.signal.reshape(-1) for recording in recordings]),
        "gain": _lists([np.asarray(recording.gain, np.float64) for recording in recordings]),
        "baseline": _lists([np.asarray(recording.baseline, np.int32) for recording in recordings]),
        "sampling_rate": [recording.sampling_rate for recording in recordings],
        "lead_names": [recording.lead_names for recording in recordings],
        "waveform_hash": [waveform_hash(recording) for recording in recordings],
        "report_raw": [record.report_raw for record in records],
        "report": [record.report for record in records],
        "language": languages,
        "report_en": [translate(record.report, language) for record, language in zip(records, languages)],
        "codes": [list(record.codes) for record in records],
    }
    for name, task in tasks.items():
        labels = np.stack([task.encode(record.codes) for record in records])
        columns[name] = _lists([np.flatnonzero(row) for row in labels])
        columns[f"labels_{name}"] = pa.FixedSizeListArray.from_arrays(pa.array(labels.reshape(-1)), labels.shape[1])
    return pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema)


def to_int16(recording: Recording, ignore_unknown_leads: bool = False) -> Recording:
    """Return the standard leads of a recording as int16, with their standard names and a gain per millivolt.

    Samples that are int16 stay unchanged. Physical values are rounded to 1 µV; a lead whose range exceeds what 16 bits
    hold of these, 65 mV, is refused.

    Raises:
        EcgError: a channel is not a standard lead, a lead occurs twice, has unknown units or an invalid gain, baseline
            or value, no lead is left, or no sample is valid.
    """
    try:
        leads, channels, millivolts = select_leads(
            tuple(recording.lead_names), tuple(recording.units), STANDARD_LEADS, ignore_unknown_leads
        )
    except EcgError as error:
        raise EcgError(f"{recording.name}: {error}") from None
    signal, units = recording.signal[channels], ("mV",) * len(leads)
    if recording.gain is not None and recording.baseline is not None and signal.dtype == np.int16:
        gain, baseline = np.asarray(recording.gain, np.float64)[channels], np.asarray(recording.baseline)[channels]
        for lead, value, zero in zip(leads, gain, baseline):
            if value == 0 or not np.isfinite(value):
                raise EcgError(f"{recording.name}: lead {lead} has the gain {value:g}; correct it in its header")
            if not -(2**31) <= zero < 2**31:
                raise EcgError(f"{recording.name}: lead {lead} has the baseline {zero}; correct it in its header")
        if (signal == INVALID_SAMPLE).all():
            raise EcgError(f"{recording.name}: every sample is marked invalid")
        return replace(
            recording, signal=signal, lead_names=leads, units=units, gain=gain / millivolts, baseline=baseline
        )
    physical = recording.physical()[channels] * millivolts[:, None]
    if np.isnan(physical).all():
        raise EcgError(f"{recording.name}: every sample is NaN")
    stored = np.full(physical.shape, INVALID_SAMPLE, np.int16)
    baseline = np.zeros(len(leads), np.int64)
    for i, (lead, values) in enumerate(zip(leads, physical)):
        valid = ~np.isnan(values)
        steps = _round(values[valid] * STEPS_PER_MILLIVOLT)
        if not steps.size:
            continue
        low, high = steps.min(), steps.max()
        if not (abs(low) < 1e9 and high - low <= 65534):
            raise EcgError(
                f"{recording.name}: lead {lead} runs from {low / STEPS_PER_MILLIVOLT:g} to "
                f"{high / STEPS_PER_MILLIVOLT:g} mV, which no ECG does; check its units and gain"
            )
        if low <= INVALID_SAMPLE or high > 32767:
            baseline[i] = -round((low + high) / 2)
        stored[i, valid] = steps + baseline[i]
    gain = np.full(len(leads), STEPS_PER_MILLIVOLT)
    return replace(recording, signal=stored, lead_names=leads, units=units, gain=gain, baseline=baseline)


def resample(recording: Recording, sampling_rate: float) -> Recording:
    """Resample a recording, as physical values. Gaps are interpolated for the filter and restored after it."""
    if recording.sampling_rate == sampling_rate:
        return recording
    values = recording.physical()
    invalid = np.isnan(values)
    where = np.arange(values.shape[1])
    for row, gap in zip(values, invalid):
        if gap.any() and not gap.all():
            row[gap] = np.interp(where[gap], where[~gap], row[~gap])
    ratio = Fraction(sampling_rate / recording.sampling_rate).limit_denominator(5000)
    resampled = scipy.signal.resample_poly(values, ratio.numerator, ratio.denominator, axis=1, padtype="line")
    if invalid.any():
        nearest = np.minimum(np.rint(np.arange(resampled.shape[1]) / float(ratio)).astype(int), values.shape[1] - 1)
        resampled[invalid[:, nearest]] = np.nan
    return replace(recording, signal=resampled, sampling_rate=float(sampling_rate), gain=None, baseline=None)


def waveform_hash(recording: Recording) -> str:
    """Hash the voltages in µV, with leads in standard order, and the rate of a recording as `to_int16` returns it.

    Copies of a recording in other data sets, units or files have the same hash of 16 hexadecimal digits; resampled or
    filtered copies do not.
    """
    order = sorted(range(len(recording.lead_names)), key=lambda i: STANDARD_LEADS.index(recording.lead_names[i]))
    gain, baseline = np.asarray(recording.gain)[order, None], np.asarray(recording.baseline)[order, None]
    signal = recording.signal[order]
    if (gain == 1000).all() and not baseline.any():
        microvolts = signal
    else:
        microvolts = _round((signal.astype(np.float64) - baseline) * (1000 / gain)).clip(-(2**31), 2**31 - 1)
        microvolts[signal == INVALID_SAMPLE] = INVALID_SAMPLE
    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"{recording.sampling_rate:g} {[recording.lead_names[i] for i in order]}".encode())
    digest.update(np.ascontiguousarray(microvolts, dtype="<i4").tobytes())
    return digest.hexdigest()


def _round(values: np.ndarray) -> np.ndarray:
    """Round halves up, also those that a conversion of units left slightly below, so that copies stay equal."""
    return np.floor(values + 0.501)


def _lists(rows: Sequence[np.ndarray]) -> pa.ListArray:
    """Return one list per row."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(rows)))


def _column(values: Any, dtype: pa.DataType) -> pa.Array:
    return values.cast(dtype) if isinstance(values, pa.Array) else pa.array(values, type=dtype)
