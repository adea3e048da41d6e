"""WFDB records to `Recording`: all signal formats, several samples per frame, skew, and multi-segment records."""

import math
import os
import struct
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .leads_merit import at_one_rate, channel_label, millivolts_per, standard_lead
from .recording_base_merit import INVALID_SAMPLE, EcgError, Recording, open_file, quote, to_path
from .wfdb_header_merit import (
    FLAC_BITS,
    Header,
    Signal,
    SignalFile,
    bytes_of,
    check_inside,
    check_signal_files,
    locate_record,
    open_flac,
    parse_integer,
    read_header,
)

MAPPED_BYTES = 1 << 28  # larger files in format 16 are mapped into memory instead of read
MAX_DECODED_SAMPLES = 1 << 27  # 1 GiB of float64: limit of what is decoded at once
MAX_GAP_FACTOR = 4  # the joined segments may be this many times the samples in their files
# The value of an invalid sample; format 8 has none.
_INVALID = {"16": -(1 << 15), "61": -(1 << 15), "160": -(1 << 15), "516": -(1 << 15)}
_INVALID |= {"80": -(1 << 7), "508": -(1 << 7), "310": -(1 << 9), "311": -(1 << 9), "212": -(1 << 11)}
_INVALID |= {"24": -(1 << 23), "524": -(1 << 23), "32": -(1 << 31)}
# The type field of a MATLAB level 4 file: little-endian int32, int16, uint16, uint8.
_MAT_TYPES = {"32": 20, "16": 30, "160": 40, "80": 50}


def read_wfdb(path: str | os.PathLike, verify_checksums: bool = True) -> Recording:
    """Read a WFDB record.

    All signal formats of WFDB are read: 8, 16, 24, 32, 61, 80, 160, 212, 310, 311, and with the soundfile package the
    FLAC formats 508, 516 and 524. Records in format 16, as `.dat` or as the `.mat` that PhysioNet ships, stay digital:
    int16 with gain and baseline from the header, invalid samples still marked -32768. All others are returned as
    physical values.

    With several samples per frame each signal has its own sampling rate; the recording is returned at the rate of its
    ECG leads, and channels at other rates that are no standard lead are left out with a warning. The segments of a
    multi-segment record are joined by lead name and converted to one unit per lead; gaps are NaN, and leads without a
    sample are left out with a warning.

    Files in format 16 beyond 256 MiB are mapped into memory, so that a window of them can be used without reading the
    rest; their checksums are not compared.

    Args:
        path (`str` or `os.PathLike`): The record, with or without the suffix .hea, .dat or .mat.
        verify_checksums (`bool`, defaults to `True`): Whether a signal whose checksum differs from its header is an
            error; if `False` it is a warning. A checksum of 0 or none counts as not stated.

    Returns:
        `Recording`: its `signal` has shape `(leads, samples)` and is contiguous unless it is mapped.

    Raises:
        EcgError: the record is missing, truncated, corrupt, damaged, without signals or sampling rate, its leads have
            different rates, or its header disagrees with its files or names a file outside its folder.

    Example:

    ```python
    >>> recording = read_wfdb("records100/00000/00001_lr")  # doctest: +SKIP
    >>> recording.signal.shape, recording.sampling_rate, recording.units[0]  # doctest: +SKIP
    ((12, 1000), 100.0, 'mV')
    ```
    """
    record, name = locate_record(to_path(path))
    header, folder = read_header(record, name), os.path.dirname(record)
    if header.segments:
        return _read_segments(header, folder, name, verify_checksums)
    frames, files = check_signal_files(header, folder, name)
    present = sorted([channel for file in files for channel in file.channels])
    if not present:
        raise EcgError(f"{name}: all its signals are absent (format 0); is it the layout of a multi-segment record?")
    if len(present) < len(header.signals):
        absent = [channel_label(signal.lead, i) for i, signal in enumerate(header.signals) if i not in present]
        warnings.warn(f"{name}: its header has no samples of {', '.join(absent)}; left out", stacklevel=2)
    rates = [header.sampling_rate * signal.samples_per_frame for signal in header.signals]
    chosen = at_one_rate([header.signals[i].lead for i in present], [rates[i] for i in present], name)
    chosen = [present[i] for i in chosen]
    signals = [header.signals[channel] for channel in chosen]
    gain, baseline = None, None
    if all(signal.format == "16" for signal in signals):
        samples = _read_digital(header, files, frames, chosen, name, verify_checksums)
        gain, baseline = np.array([signal.gain for signal in signals]), np.array([s.baseline for s in signals])
    else:
        _check_decoded(len(signals) * frames * signals[0].samples_per_frame, name)
        samples = np.empty((len(signals), frames * signals[0].samples_per_frame))
        for channel, values in _read_channels(header, files, frames, chosen, name, verify_checksums):
            _to_physical(values, header.signals[channel], samples[chosen.index(channel)])
    return Recording(
        name=name,
        signal=samples,
        sampling_rate=rates[chosen[0]],
        lead_names=tuple([signal.lead for signal in signals]),
        units=tuple([signal.units for signal in signals]),
        gain=gain,
        baseline=baseline,
    )


def _read_digital(
    header: Header, files: list[SignalFile], frames: int, chosen: list[int], name: str, verify: bool
) -> np.ndarray:
    """The chosen signals of a record in format 16, int16 of shape `(leads, samples)`."""
    signals = [header.signals[channel] for channel in chosen]
    simple = len(files) == 1 and files[0].width == len(chosen) and not any(signal.skew for signal in signals)
    if simple and bytes_of("16", frames * len(chosen)) > MAPPED_BYTES:
        file = files[0]
        return np.memmap(file.path, "<i2", "r", file.offset, (frames, file.width)).T
    if simple:
        samples = _decode(files[0], header, frames, name)
        _compare_checksums(samples, chosen, header, name, verify)
        return samples
    _check_decoded(len(chosen) * frames * signals[0].samples_per_frame, name)
    samples = np.empty((len(chosen), frames * signals[0].samples_per_frame), np.int16)
    for channel, values in _read_channels(header, files, frames, chosen, name, verify):
        row, skip = samples[chosen.index(channel)], _skipped(header.signals[channel], frames)
        row[: len(row) - skip] = values[skip:]
        row[len(row) - skip :] = INVALID_SAMPLE
    return samples


def _read_channels(
    header: Header, files: list[SignalFile], frames: int, chosen: Sequence[int], name: str, verify: bool
) -> Iterable[tuple[int, np.ndarray]]:
    """Each of the chosen channels with its digital samples, as stored: skew is not applied."""
    for file in files:
        if not any(channel in chosen for channel in file.channels):
            continue
        _check_decoded(file.width * frames, name)
        stored, row = _decode(file, header, frames, name), 0
        for channel in file.channels:
            per_frame = header.signals[channel].samples_per_frame
            if channel in chosen:
                values = stored[row] if per_frame == 1 else stored[row : row + per_frame].T.reshape(-1)
                _compare_checksums(values[None], [channel], header, name, verify)
                yield channel, values
            row += per_frame


def _to_physical(values: np.ndarray, signal: Signal, row: np.ndarray) -> None:
    """Write the physical samples of a signal into `row`, aligned by its skew, NaN where invalid or beyond the end."""
    skip = _skipped(signal, len(row) // signal.samples_per_frame)
    kept, values = row[: len(row) - skip], values[skip:]
    np.subtract(values, signal.baseline, out=kept, dtype=np.float64)
    kept /= signal.gain
    if signal.format in _INVALID:
        kept[values == _INVALID[signal.format]] = np.nan
    row[len(row) - skip :] = np.nan


def _skipped(signal: Signal, frames: int) -> int:
    """Samples of a signal that its skew leaves out at the beginning."""
    return min(signal.skew, frames) * signal.samples_per_frame


def _check_decoded(samples: int, name: str) -> None:
    if samples > MAX_DECODED_SAMPLES:
        raise EcgError(
            f"{name}: it holds {samples} samples; at most {MAX_DECODED_SAMPLES} are decoded at once; store the record "
            "in one file in format 16, or cut it"
        )


def _compare_checksums(samples: np.ndarray, channels: Iterable[int], header: Header, name: str, verify: bool) -> None:
    """Compare the sum of each row of `samples`, modulo 2**16, with the header."""
    # 16 bits are enough for the sum modulo 2**16, and several times as fast as 64.
    totals = samples.sum(axis=1, dtype=np.promote_types(samples.dtype, np.int16))
    for channel, total in zip(channels, totals.tolist()):
        try:
            stated = parse_integer(header.checksums[channel])
        except ValueError:
            continue
        if stated == 0 or (total - stated) % 65536 == 0:
            continue
        lead = channel_label(header.signals[channel].lead, channel)
        problem = (
            f"{name}: lead {lead} has the checksum {total % 65536}, its header "
            f"states {stated % 65536}: the file is damaged or belongs to another header"
        )
        if verify:
            raise EcgError(f"{problem}; fetch it again, or pass verify_checksums=False to read it with a warning")
        warnings.warn(problem, stacklevel=4)


def _decode(file: SignalFile, header: Header, frames: int, name: str) -> np.ndarray:
    """All samples of a file: integers of shape `(width, frames)`, one row for each sample of a frame."""
    count = frames * file.width
    if file.format in FLAC_BITS:
        return _decode_flac(file, frames, name)
    with open_file(file.path, name) as opened:
        start = opened.read(file.offset)
        content = opened.read(bytes_of(file.format, count))
    if len(start) + len(content) < file.offset + bytes_of(file.format, count):
        raise EcgError(f"{name}: {file.path} became shorter while it was read; fetch the file again")
    if file.path.lower().endswith(".mat"):
        _check_mat(start, file, count, name)
    flat = _unpack(content, file.format)[:count]
    stored = np.array(flat.reshape(frames, file.width).T, dtype=flat.dtype.newbyteorder("="), order="C")
    if file.format != "8":
        return stored
    row, samples = 0, np.empty(stored.shape, np.int32)
    for channel in file.channels:  # format 8 stores differences
        per_frame, initial = header.signals[channel].samples_per_frame, _initial_value(header, channel, name)
        values = stored[row : row + per_frame].T.reshape(-1).cumsum(dtype=np.int64) + initial
        samples[row : row + per_frame] = values.reshape(frames, per_frame).T
        row += per_frame
    return samples


def _initial_value(header: Header, channel: int, name: str) -> int:
    try:
        initial = parse_integer(header.initial[channel] or "0")
    except ValueError:
        initial = 1 << 31
    if not -(1 << 31) <= initial < 1 << 31:
        raise EcgError(
            f"{name}: the initial value {quote(header.initial[channel])} of a signal is not a 32-bit integer"
        )
    return initial


def _unpack(content: bytes, signal_format: str) -> np.ndarray:
    """The samples that are packed in `content`, and up to two more from incomplete groups."""
    if signal_format in ("16", "61", "32", "8"):
        return np.frombuffer(content, {"16": "<i2", "61": ">i2", "32": "<i4", "8": "i1"}[signal_format])
    if signal_format == "80":
        return (np.frombuffer(content, np.uint8) ^ 0x80).view(np.int8)
    if signal_format == "160":
        return (np.frombuffer(content, "<u2") ^ 0x8000).view("<i2")
    if signal_format == "24":
        padded = np.zeros((len(content) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return padded.view("<i4")[:, 0] >> 8
    size = 3 if signal_format == "212" else 4
    groups = np.frombuffer(content + bytes(-len(content) % size), np.uint8).reshape(-1, size)
    if signal_format == "212":
        low, middle, high = groups.T.astype(np.uint16)
        packed = [low | (middle & 0xF) << 8, high | (middle >> 4) << 8]
    elif signal_format == "310":
        first, second = groups.view("<u2").T
        packed = [first >> 1, second >> 1, first >> 11 | second >> 11 << 5]
    else:
        words = groups.view("<u4")[:, 0]
        packed = [words, words >> 10, words >> 20]
    unused = 4 if signal_format == "212" else 6  # bits above the sample
    samples = np.stack([part.astype(np.uint16) for part in packed], axis=1).reshape(-1)
    return (samples << unused).view(np.int16) >> unused


def _decode_flac(file: SignalFile, frames: int, name: str) -> np.ndarray:
    """Decode a FLAC file, whose channels are the signals; see `_decode`."""
    signals, per_frame = len(file.channels), file.width // len(file.channels)
    samples = np.empty((frames * per_frame, signals), np.int32)
    with open_flac(file.path, name) as sound:
        try:
            depth = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}[sound.subtype]
            sound.seek(file.offset)
            done = 0
            while done < len(samples):  # libsndfile cannot read more than 2**24 samples at once
                block = sound.read(out=samples[done : done + (1 << 18)])
                done += len(block)
                if not len(block):
                    raise EcgError(f"{name}: {file.path} ends after {done} of {len(samples)} samples; fetch it again")
        except RuntimeError as error:
            raise EcgError(f"{name}: {file.path} cannot be decoded: {error}") from error
    samples >>= 32 - depth
    return np.ascontiguousarray(samples.reshape(frames, per_frame, signals).transpose(2, 1, 0).reshape(-1, frames))


def _check_mat(start: bytes, file: SignalFile, samples: int, name: str) -> None:
    """Refuse a .mat file whose first bytes are not the MATLAB level 4 header of one matrix of such samples."""
    described = f"is not a MATLAB level 4 file of {samples} samples in format {file.format}"
    if len(start) < 20:
        raise EcgError(f"{name}: {file.path} {described}: its header states no offset for the MATLAB header")
    kind, rows, columns, imaginary, name_length = struct.unpack("<5i", start[:20])
    if kind != _MAT_TYPES.get(file.format) or imaginary or len(start) != 20 + name_length:
        found = "a MATLAB 5 file" if start.startswith(b"MATLAB 5") else f"the bytes {start[:20].hex(' ')}"
        raise EcgError(f"{name}: {file.path} {described}; it starts with {found}")
    if rows * columns != samples:
        raise EcgError(f"{name}: {file.path} {described}: it states {rows} x {columns} samples")


# What identifies a lead in all segments: its standard name, and its number among equal names.
_LeadKey = tuple[str, int]


class _Segment(NamedTuple):
    """A segment of a multi-segment record."""

    name: str  # in messages
    header: Header
    files: list[SignalFile]
    channels: dict[_LeadKey, int]  # key of each lead that is present, to its position in the header


def _read_segments(master: Header, folder: str, name: str, verify: bool) -> Recording:
    """Join the segments of a record by lead name; each lead in its first unit, NaN in gaps."""
    starts, frames = _segment_starts(master, name)
    segments, names = _open_segments(master, folder, name)
    units = _units_of_leads(segments, names, master, name)
    keys = [key for key in units if _agrees(key, names[key], units[key], segments.values(), name)]
    per_frame = [_signal_of(key, segments.values()).samples_per_frame for key in keys]
    chosen = at_one_rate([names[key] for key in keys], [master.sampling_rate * count for count in per_frame], name)
    keys, width = [keys[i] for i in chosen], per_frame[chosen[0]]

    stored = sum([(segment.header.frames or 0) * file.width for segment in segments.values() for file in segment.files])
    if len(keys) * frames * width > min(MAX_DECODED_SAMPLES, max(1 << 24, MAX_GAP_FACTOR * stored)):
        raise EcgError(
            f"{name}: {len(keys)} leads of {frames * width} samples are too many to be read at once: its segments hold "
            f"{stored} samples, the rest are pauses, repetitions or absent leads; read its segments one by one"
        )
    signal = np.full((len(keys), frames * width), np.nan)
    for segment_name, segment in segments.items():
        rows = {segment.channels[key]: row for row, key in enumerate(keys) if key in segment.channels}
        length, header = segment.header.frames or 0, segment.header
        values = np.empty(length * width)
        for channel, samples in _read_channels(header, segment.files, length, [*rows], segment.name, verify):
            row, own = rows[channel], header.signals[channel]
            _to_physical(samples, own, values)
            values *= _conversion(own.units, units[keys[row]])
            for start in starts[segment_name]:
                signal[row, start * width : (start + length) * width] = values
    return Recording(
        name=name,
        signal=signal,
        sampling_rate=master.sampling_rate * width,
        lead_names=tuple([names[key] for key in keys]),
        units=tuple([units[key] for key in keys]),
    )


def _open_segments(master: Header, folder: str, name: str) -> tuple[dict[str, _Segment], dict[_LeadKey, str]]:
    """The segments by name, each once, and the name of every lead, as its first segment or the layout writes it."""
    segments: dict[str, _Segment] = {}
    names: dict[_LeadKey, str] = {}
    for position, (segment, length) in enumerate(master.segments):
        if segment == "~":  # a pause between segments
            continue
        if segment in segments:
            known = segments[segment]
            if known.files and length != known.header.frames:
                raise EcgError(
                    f"{known.name} holds {known.header.frames} samples, its master header announces {length}"
                )
            continue
        is_layout = position == 0 and length == 0
        header, files = _open_segment(segment, length, is_layout, master, folder, name)
        leads = [signal.lead for signal in header.signals]
        # A segment without names has the leads of the others, in their order.
        unnamed = not any(leads) and len(leads) == len(names)
        keys = list(names) if unnamed else _lead_keys(leads)
        for key, lead in zip(keys, leads):
            names.setdefault(key, lead)
        if not is_layout:
            present = {channel for file in files for channel in file.channels}
            channels = {key: channel for channel, key in enumerate(keys) if channel in present}
            segments[segment] = _Segment(f"{name}: segment {segment}", header, files, channels)
    return segments, names


def _units_of_leads(
    segments: Mapping[str, _Segment], names: Mapping[_LeadKey, str], master: Header, name: str
) -> dict[_LeadKey, str]:
    """The leads that have samples, each with its unit in the first segment that has it; warns of the others."""
    present = {key for segment in segments.values() for key in segment.channels}
    if not present:
        raise EcgError(f"{name}: none of its {len(master.segments)} segments holds a signal")
    if len(present) < max(len(names), master.announced):
        absent = ", ".join([lead for key, lead in names.items() if key not in present and lead])
        warnings.warn(
            f"{name}: {max(len(names), master.announced)} signals are announced, {len(present)} are present; "
            f"{absent or 'the others'} left out",
            stacklevel=4,
        )
    return {key: _signal_of(key, segments.values()).units for key in names if key in present}


def _signal_of(key: _LeadKey, segments: Iterable[_Segment]) -> Signal:
    """The signal of a lead in the first segment that has it."""
    return next(segment.header.signals[segment.channels[key]] for segment in segments if key in segment.channels)


def _segment_starts(master: Header, name: str) -> tuple[dict[str, list[int]], int]:
    """The frames at which each segment begins, and the number of frames of all."""
    starts: dict[str, list[int]] = {}
    frames = 0
    for segment, length in master.segments:
        starts.setdefault(segment, []).append(frames)
        frames += length
        if master.frames is not None and frames > master.frames:
            raise EcgError(
                f"{name}: its header announces {master.frames} samples, but its segment {segment} ends at {frames}"
            )
    if master.frames is not None and frames < master.frames:
        raise EcgError(
            f"{name}: its header announces {master.frames} samples, but its last segment {segment} ends at {frames}"
        )
    return starts, frames


def _open_segment(
    segment: str, length: int, is_layout: bool, master: Header, folder: str, name: str
) -> tuple[Header, list[SignalFile]]:
    """Header and files of a segment, checked against the master header."""
    check_inside(segment, name)
    record, name = os.path.join(folder, segment), f"{name}: segment {segment}"
    try:
        record, _ = locate_record(record)
    except EcgError as error:
        raise EcgError(f"{name} cannot be read: {error}") from None
    header = read_header(record, name)
    if header.segments:
        raise EcgError(f"{name} consists of segments itself, which WFDB does not allow")
    if not math.isclose(header.sampling_rate, master.sampling_rate, rel_tol=1e-4):
        raise EcgError(
            f"{name} has a sampling rate of {header.sampling_rate:g} Hz, its master header {master.sampling_rate:g} Hz"
        )
    if is_layout:
        return header, []
    if not any(file != "~" and signal.format != "0" for file, signal in zip(header.files, header.signals)):
        return header, []
    frames, files = check_signal_files(header, folder, name)
    if frames != length:
        raise EcgError(f"{name} holds {frames} samples, its master header announces {length}")
    return header._replace(frames=frames), files


def _lead_keys(leads: Iterable[str]) -> list[_LeadKey]:
    seen: Counter[str] = Counter()
    keys = []
    for lead in leads:
        key = standard_lead(lead) or lead
        keys.append((key, seen[key]))
        seen[key] += 1
    return keys


def _agrees(key: _LeadKey, lead: str, unit: str, segments: Iterable[_Segment], name: str) -> bool:
    """Whether a lead has one rate and convertible units in all segments; an ECG lead that has not is an error."""
    per_frame = None
    for segment in segments:
        if key not in segment.channels:
            continue
        signal = segment.header.signals[segment.channels[key]]
        per_frame = per_frame or signal.samples_per_frame
        if signal.samples_per_frame != per_frame:
            problem = f"{segment.name} has lead {lead} at another sampling rate than the segments before it"
        elif math.isnan(_conversion(signal.units, unit)):
            problem = f"{segment.name} has lead {lead} in {signal.units!r}, the segments before it in {unit!r}"
        else:
            continue
        if standard_lead(lead):
            raise EcgError(f"{problem}; correct its header")
        warnings.warn(f"{problem}; left out", stacklevel=4)
        return False
    return True


def _conversion(unit: str, into: str) -> float:
    """The factor that converts values in `unit` to values in `into`; NaN if it is not known."""
    if unit == into:
        return 1.0
    own, other = millivolts_per(unit), millivolts_per(into)
    return math.nan if own is None or other is None else own / other
