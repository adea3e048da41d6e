"""Files to recordings: WFDB records and CSV tables become a `Recording` that states everything it knows.

Nothing is guessed here. Gain, baseline, units, sampling rate and lead names come from the file, or from the caller
where the file cannot say, and whatever is missing or contradictory is an `EcgError` that names the record.
"""

import csv
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

INVALID_SAMPLE = -32768
"""The mark of an invalid sample in WFDB format 16, kept in `Recording.signal` when that is int16."""
_BYTES_PER_SAMPLE = {"8": 1, "16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5}


class EcgError(ValueError):
    """What is wrong with a recording, where, and what to do about it."""


@dataclass(frozen=True)
class Recording:
    """One ECG as it was recorded: its samples and what is known about them.

    Attributes:
        name (`str`): What messages call the recording, usually the file's name without suffix.
        signal (`np.ndarray` of shape `(leads, samples)`): Digital samples (integers) with `gain` and `baseline`, or
            physical samples (floating point, NaN where invalid) in `units`.
        sampling_rate (`float`): Samples per second.
        lead_names (`tuple[str, ...]`): One name per lead, as the file writes it; empty where the file gives none.
        units (`tuple[str, ...]`): One physical unit per lead, such as "mV".
        gain (`np.ndarray` of shape `(leads,)`, *optional*): Digital steps per unit.
        baseline (`np.ndarray` of shape `(leads,)`, *optional*): The digital value that stands for 0 units.

    Example:

    ```python
    >>> import numpy as np
    >>> digital = np.array([[0, 500, -32768]], dtype=np.int16)
    >>> Recording("a", digital, 500.0, ("II",), ("mV",), np.array([1000.0]), np.array([0])).physical()
    array([[0. , 0.5, nan]])
    ```
    """

    name: str
    signal: np.ndarray
    sampling_rate: float
    lead_names: tuple[str, ...]
    units: tuple[str, ...]
    gain: np.ndarray | None = None
    baseline: np.ndarray | None = None

    def physical(self) -> np.ndarray:
        """The samples in `units`, float64 of shape `(leads, samples)`, NaN where a sample is marked invalid."""
        if self.gain is None or self.baseline is None:
            return self.signal.astype(np.float64)
        physical = (self.signal.astype(np.float64) - self.baseline[:, None]) / self.gain[:, None]
        if self.signal.dtype == np.int16:
            physical[self.signal == INVALID_SAMPLE] = np.nan
        return physical


class _Signal(NamedTuple):
    """One signal line of a WFDB header, without the name of its file."""

    format: str
    samples_per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    units: str
    lead: str


class _Header(NamedTuple):
    """A WFDB header; `files` has one name per signal, `segments` one per segment of a multi-segment record."""

    sampling_rate: float
    samples: int | None
    files: tuple[str, ...]
    signals: tuple[_Signal, ...]
    segments: tuple[str, ...]


def read_wfdb(path: str | os.PathLike) -> Recording:
    """Read a WFDB record.

    Records with one file in format 16, as `.dat` or as the `.mat` that PhysioNet ships, are read directly and stay
    digital: int16 with gain and baseline from the header, invalid samples still marked -32768. All other records
    (formats 212, 24, 32, several files or segments, skew, several samples per frame) are read by the `wfdb` package
    and come back physical.

    Args:
        path (`str` or `os.PathLike`): The record, with or without the suffix .hea, .dat or .mat.

    Returns:
        `Recording`: its `signal` is contiguous with shape `(leads, samples)`.

    Raises:
        EcgError: the record is missing, truncated, corrupt, without signals or sampling rate, or its header
            disagrees with its file or names a file outside its folder.

    Example:

    ```python
    >>> recording = read_wfdb("records100/00000/00001_lr")  # doctest: +SKIP
    >>> recording.signal.shape, recording.sampling_rate, recording.units[0]  # doctest: +SKIP
    ((12, 1000), 100.0, 'mV')
    ```
    """
    record, name = _locate_record(os.fspath(path))
    header = _read_header(record, name)
    folder = os.path.dirname(record)
    if header.segments:
        for segment in header.segments:
            _check_segment(folder, segment, name)
        return _read_with_wfdb(record, name)
    samples = _check_signal_files(header, folder, name)
    *storage, gain, baseline, units, lead_names = zip(*header.signals)
    (file, signal_format, samples_per_frame, skew, offset), *others = {*zip(header.files, *storage)}
    if others or signal_format != "16" or samples_per_frame != 1 or skew != 0:
        return _read_with_wfdb(record, name)
    with open(os.path.join(folder, file), "rb") as stored:
        stored.seek(offset)
        frames = np.frombuffer(stored.read(2 * samples * len(gain)), dtype="<i2").reshape(samples, len(gain))
    return Recording(
        name=name,
        signal=np.array(frames.T, order="C"),
        sampling_rate=header.sampling_rate,
        lead_names=lead_names,
        units=units,
        gain=np.array(gain),
        baseline=np.array(baseline),
    )


def read_csv(
    path: str | os.PathLike,
    sampling_rate: float | None = None,
    units: str | Sequence[str] | None = None,
    lead_names: list[str] | tuple[str, ...] | None = None,
) -> Recording:
    """Read a CSV table with one column per lead, lead names in the first row.

    A column named "time" or "t" holds seconds; it gives the sampling rate where none is passed, and must agree with
    the one that is. Empty cells and "nan" are invalid samples.

    Args:
        path (`str` or `os.PathLike`): The table, separated by commas.
        sampling_rate (`float`, *optional*): Samples per second; needed without a time column.
        units (`str` or `list[str]`): The unit of all leads or of each, such as "mV"; a table cannot say it.
        lead_names (`list[str]`, *optional*): Names to use instead of those in the first row.

    Returns:
        `Recording`: physical, `signal` float64 of shape `(leads, samples)`.

    Raises:
        EcgError: the file is missing or no table of numbers, or units or sampling rate are not known.

    Example:

    ```python
    >>> recording = read_csv("ecg.csv", sampling_rate=250, units="mV")  # doctest: +SKIP
    ```
    """
    path = os.fspath(path)
    name = os.path.splitext(os.path.basename(path))[0]
    if units is None:
        raise EcgError(f"{name}: a CSV file does not say its units; pass units=, for example units='mV'")
    if not os.path.isfile(path):
        raise EcgError(f"{name}: there is no file {path}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise EcgError(f"{name}: {path} is not a CSV table ({error})") from error
    if len(rows) < 2:
        raise EcgError(f"{name}: {path} holds no samples; the first row must name the leads, samples follow below")
    columns = [column.strip() for column in rows[0]]
    if all(_is_number(column) for column in columns):
        raise EcgError(f"{name}: the first row of {path} must name the leads, but it starts with {rows[0][0]!r}")
    table = _parse_table(rows[1:], columns, name)

    time_column = next((i for i, column in enumerate(columns) if column.lower() in ("time", "t")), None)
    if time_column is not None:
        sampling_rate = _rate_of_time_column(table[time_column], sampling_rate, name)
        table = np.delete(table, time_column, axis=0)
        del columns[time_column]
    if sampling_rate is None:
        raise EcgError(f"{name}: a CSV file without a time column does not say its rate; pass sampling_rate= in Hz")
    if lead_names is not None and len(lead_names) != len(columns):
        raise EcgError(f"{name}: {len(lead_names)} lead names for the {len(columns)} lead columns {columns}")
    return Recording(
        name=name,
        signal=table,
        sampling_rate=float(sampling_rate),
        lead_names=tuple(columns if lead_names is None else lead_names),
        units=per_lead(units, len(columns), name),
    )


def read_recording(
    path: str | os.PathLike, sampling_rate: float | None = None, units: str | Sequence[str] | None = None
) -> Recording:
    """Read a CSV table (suffix .csv; see `read_csv`) or a WFDB record (anything else; see `read_wfdb`).

    Args:
        path (`str` or `os.PathLike`): The file or record.
        sampling_rate (`float`, *optional*): For a CSV table without a time column.
        units (`str` or `list[str]`, *optional*): For a CSV table.

    Example:

    ```python
    >>> recording = read_recording("records100/00000/00001_lr.hea")  # doctest: +SKIP
    ```
    """
    if os.fspath(path).lower().endswith(".csv"):
        return read_csv(path, sampling_rate, units)
    return read_wfdb(path)


def per_lead(units: str | Sequence[str], leads: int, name: str) -> tuple[str, ...]:
    """One unit for each lead."""
    units = (units,) * leads if isinstance(units, str) else tuple(units)
    if len(units) != leads:
        raise EcgError(f"{name}: {len(units)} units for {leads} leads; pass one for all or one for each")
    return units


def _locate_record(path: str) -> tuple[str, str]:
    """The record's path without suffix, and its name."""
    stem, suffix = os.path.splitext(path)
    record = stem if suffix in (".hea", ".dat", ".mat") else path
    name = os.path.basename(record)
    if not os.path.isfile(record + ".hea"):
        if os.path.isdir(path):
            raise EcgError(f"{path} is a folder, not a record; pass the path of one record inside it")
        if os.path.isfile(path):
            raise EcgError(f"{name}: {path} is not a WFDB record, for there is no header {record}.hea beside it")
        raise EcgError(f"{name}: there is no record {record} (its header would be {record}.hea)")
    return record, name


def _read_header(record: str, name: str) -> _Header:
    with open(record + ".hea", "rb") as file:
        content = file.read()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise EcgError(f"{name}: the header {record}.hea is empty; is it a WFDB header?")

    fields = lines[0].split()
    try:
        _, _, segments = fields[0].partition("/")
        n_segments, n_signals = int(segments or 0), int(fields[1])
        sampling_rate = float(re.split(r"[/(]", fields[2])[0]) if len(fields) > 2 else None
        samples = int(fields[3]) if len(fields) > 3 else 0
    except (ValueError, IndexError) as error:
        raise EcgError(f"{name}: the record line of its header is corrupt: {lines[0]!r}") from error
    if sampling_rate is None:
        raise EcgError(f"{name}: its header gives no sampling rate: {lines[0]!r}; add it after the number of signals")
    if not 0 < sampling_rate < float("inf"):
        raise EcgError(f"{name}: its header gives a sampling rate of {sampling_rate:g} Hz; correct it in the header")
    if n_signals < 1:
        raise EcgError(f"{name}: its header says that the record has no signals: {lines[0]!r}")
    expected = n_segments or n_signals
    if len(lines) - 1 < expected or (len(lines) - 1 > expected and not n_segments):
        what = "segments" if n_segments else "signals"
        raise EcgError(f"{name}: its header announces {expected} {what} but describes {len(lines) - 1}")
    if n_segments:
        segment_names = tuple(line.split()[0] for line in lines[1 : expected + 1])
        return _Header(sampling_rate, samples or None, (), (), segment_names)
    # FILE FORMAT[xSAMPLES][:SKEW][+OFFSET] [GAIN[(BASELINE)][/UNITS] [RESOLUTION [ZERO [FIRST SUM BLOCK [LEAD]]]]]
    signals = [line.split(None, 8) for line in lines[1:]]
    # Headers of one data set differ only in file, first sample and checksum: all else is parsed once.
    try:
        parsed = _parse_signals(tuple([(*fields[1:5], *fields[8:]) for fields in signals]))
    except _CorruptSignal as error:
        raise EcgError(f"{name}: a signal line of its header is corrupt: {lines[1 + error.line]!r}") from error
    return _Header(sampling_rate, samples or None, tuple([fields[0] for fields in signals]), parsed, ())


class _CorruptSignal(Exception):
    def __init__(self, line: int):
        self.line = line


@lru_cache(maxsize=256)
def _parse_signals(lines: tuple[tuple[str, ...], ...]) -> tuple[_Signal, ...]:
    """The signals of a record from format, gain, resolution, zero and lead of each, as far as given."""
    signals = []
    for number, fields in enumerate(lines):
        try:
            signal_format, gain = _parse_format(fields[0]), _parse_gain(fields[1] if len(fields) > 1 else "")
            adc_zero = int(fields[3]) if len(fields) > 3 else 0
        except (ValueError, IndexError) as error:
            raise _CorruptSignal(number) from error
        value, baseline, units = gain
        lead = fields[4].strip() if len(fields) > 4 else ""
        signals.append(_Signal(*signal_format, value, adc_zero if baseline is None else baseline, units, lead))
    return tuple(signals)


def _parse_format(field: str) -> tuple[str, int, int, int]:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?", field)
    if match is None:
        raise ValueError(field)
    return match[1], int(match[2] or 1), int(match[3] or 0), int(match[4] or 0)


def _parse_gain(field: str) -> tuple[float, int | None, str]:
    """Gain, baseline and units. By the WFDB specification a gain that is 0 or absent means 200 steps per mV."""
    match = re.fullmatch(r"([-+]?\d*\.?\d*(?:[eE][-+]?\d+)?)(?:\((-?\d+)\))?(?:/(\S+))?", field)
    if match is None:
        raise ValueError(field)
    return float(match[1] or 0) or 200.0, None if match[2] is None else int(match[2]), match[3] or "mV"


def _check_inside(file: str, name: str) -> None:
    """A header comes from elsewhere: what it names must lie in the record's own folder."""
    if file in ("", ".", "..", "-") or re.search(r"[/\\:]", file):
        raise EcgError(f"{name}: its header names {file!r}, which is not a plain file name in the record's folder")


def _check_segment(folder: str, segment: str, name: str) -> None:
    if segment == "~":  # a pause between segments
        return
    _check_inside(segment, name)
    record, _ = _locate_record(os.path.join(folder, segment))
    _check_signal_files(_read_header(record, segment), folder, segment)


def _check_signal_files(header: _Header, folder: str, name: str) -> int:
    """Compare each signal file with what the header says of it, before it is opened; returns the samples per lead."""
    samples = header.samples
    files: dict[str, list[_Signal]] = {}
    for file, signal in zip(header.files, header.signals):
        files.setdefault(file, []).append(signal)
    for file, signals in files.items():
        if file == "~":  # a signal that this segment lacks
            continue
        _check_inside(file, name)
        try:
            found = os.stat(os.path.join(folder, file)).st_size
        except FileNotFoundError:
            raise EcgError(f"{name}: its header names the file {file}, which is not in {folder or '.'}") from None
        if any(signal.format not in _BYTES_PER_SAMPLE for signal in signals):
            continue
        frame = sum(_BYTES_PER_SAMPLE[signal.format] * signal.samples_per_frame for signal in signals)
        offset = signals[0].offset
        if samples is None:
            samples = int((found - offset) // frame)
            if (found - offset) % frame >= 1:
                raise EcgError(
                    f"{name}: {file} has {found} bytes, which is no whole number of samples; is it truncated?"
                )
        expected = offset + math.ceil(samples * frame)
        if found < expected:
            raise EcgError(
                f"{name}: {file} is truncated: {expected} bytes expected for {len(signals)} leads of {samples} samples "
                f"in format {signals[0].format}, {found} found; fetch the file again"
            )
        if found - expected >= frame:
            raise EcgError(
                f"{name}: its header disagrees with {file}: {expected} bytes expected for {len(signals)} leads of "
                f"{samples} samples in format {signals[0].format}, {found} found; do they belong together?"
            )
    if samples is not None and samples < 1:
        raise EcgError(f"{name}: its files hold no samples")
    return samples or 0


def _read_with_wfdb(record: str, name: str) -> Recording:
    try:
        import wfdb
    except ImportError as error:
        raise EcgError(f"{name}: reading this kind of WFDB record needs the wfdb package: pip install wfdb") from error
    try:
        signal, fields = wfdb.rdsamp(record)
    except Exception as error:
        raise EcgError(f"{name}: wfdb cannot read the record: {error}") from error
    return Recording(
        name=name,
        signal=np.ascontiguousarray(np.asarray(signal).T),
        sampling_rate=float(fields["fs"]),
        lead_names=tuple(lead or "" for lead in fields["sig_name"]),
        units=tuple(fields["units"]),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse_table(rows: list[list[str]], columns: list[str], name: str) -> np.ndarray:
    """The numbers below the first row, float64 of shape `(columns, rows)`."""
    table = np.empty((len(columns), len(rows)))
    for i, row in enumerate(rows):
        if len(row) != len(columns):
            raise EcgError(f"{name}: row {i + 2} has {len(row)} cells where the first row names {len(columns)} columns")
        try:
            table[:, i] = [float(cell) if cell.strip() else np.nan for cell in row]
        except ValueError:
            column, cell = next((c, x) for c, x in zip(columns, row) if x.strip() and not _is_number(x))
            raise EcgError(f"{name}: column {column}, row {i + 2}: {cell!r} is not a number") from None
    return table


def _rate_of_time_column(seconds: np.ndarray, sampling_rate: float | None, name: str) -> float:
    duration = seconds[-1] - seconds[0]
    if not 0 < duration < np.inf:
        raise EcgError(f"{name}: its time column runs from {seconds[0]:g} to {seconds[-1]:g} s; it must increase")
    rate = (len(seconds) - 1) / duration
    # Printed times are rounded: half a sample is forgiven, and a rate within 0.1 % of a whole number is that number.
    if not np.all(np.abs(seconds - np.linspace(seconds[0], seconds[-1], len(seconds))) < 0.5 / rate):
        raise EcgError(f"{name}: its time column does not advance in equal steps; resample it or drop the column")
    if abs(rate - round(rate)) < 1e-3 * rate:
        rate = float(round(rate))
    if sampling_rate is not None and abs(sampling_rate - rate) > 0.01 * rate:
        raise EcgError(f"{name}: sampling_rate={sampling_rate:g} was passed but its time column says {rate:g} Hz")
    return rate if sampling_rate is None else sampling_rate
