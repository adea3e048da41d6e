"""WFDB headers: one parser for all signal formats, and the comparison of a header with the sizes of its files.

A header may come from anywhere. Numbers are parsed with limits, file names must stay in the record's folder, and the
number of samples is checked against the size of each signal file before anything is allocated.
"""

import math
import os
import re
from functools import lru_cache
from typing import Any, NamedTuple

from .recording_base_merit import HOSPITAL_FORMATS, EcgError, decode_text, file_size, open_file, quote

MAX_HEADER_BYTES = 1 << 22
MAX_SIGNALS = 1024
MAX_FLAC_SAMPLES = 1 << 25  # FLAC may expand without limit: a few bytes can stand for 65,535 samples
# Samples are packed in groups: (samples per group, bytes per group).
PACKING = {
    "8": (1, 1),
    "16": (1, 2),
    "24": (1, 3),
    "32": (1, 4),
    "61": (1, 2),
    "80": (1, 1),
    "160": (1, 2),
    "212": (2, 3),
    "310": (3, 4),
    "311": (3, 4),
}
FLAC_BITS = {"508": 8, "516": 16, "524": 24}

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?")
_FORMAT = re.compile(r"([0-9]+)(?:x([0-9]{1,18}))?(?::([0-9]{1,18}))?(?:\+([0-9]{1,18}))?")
_GAIN = re.compile(r"([-+]?[0-9]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?)(?:\(([-+]?[0-9]{1,18})\))?(?:/(\S*))?")


class Signal(NamedTuple):
    """One signal line of a header, without what differs from record to record."""

    format: str
    samples_per_frame: int
    skew: int  # frames
    offset: int  # bytes
    gain: float
    baseline: int
    units: str
    lead: str


class Header(NamedTuple):
    """A WFDB header. A multi-segment record has `segments`, any other has `signals`."""

    sampling_rate: float  # frames per second
    frames: int | None  # None where the header does not say
    announced: int  # number of signals in the record line
    signals: tuple[Signal, ...] = ()
    files: tuple[str, ...] = ()  # one per signal
    initial: tuple[str, ...] = ()  # one per signal, "" where it is not stated
    checksums: tuple[str, ...] = ()  # likewise
    segments: tuple[tuple[str, int], ...] = ()  # name and number of frames


class SignalFile(NamedTuple):
    """A file that holds the samples of one or more signals."""

    path: str
    format: str
    offset: int  # bytes
    channels: tuple[int, ...]  # positions of its signals in the header
    width: int  # samples per frame of all its signals


def locate_record(path: str) -> tuple[str, str]:
    """The record's path without suffix, and its name."""
    stem, suffix = os.path.splitext(path)
    candidates = (stem, path) if suffix in (".hea", ".dat", ".mat") else (path,)
    for record in candidates:
        if os.path.isfile(record + ".hea"):
            return record, os.path.basename(record)
    record, name = candidates[0], quote(os.path.basename(candidates[0]))
    if os.path.isdir(path):
        raise EcgError(f"{path} is a folder, not a record; pass the path of one record inside it")
    if os.path.isfile(path):
        if os.path.getsize(path) == 0:
            raise EcgError(f"{name}: {path} is empty; copy it again from where it came")
        raise EcgError(
            f"{name}: {path} is not a WFDB record, because there is no header {record}.hea beside it; supported files "
            "are WFDB records (.hea with .dat or .mat), tables (.csv, .tsv), arrays (.npy) and, by their content, "
            f"{', '.join(HOSPITAL_FORMATS[:-1])} and {HOSPITAL_FORMATS[-1]}"
        )
    record = quote(record)
    raise EcgError(f"{name}: there is no record {record} (its header would be {record}.hea)")


def read_header(record: str, name: str) -> Header:
    """Parse the header of a record that `locate_record` has found."""
    with open_file(record + ".hea", name) as file:
        if os.fstat(file.fileno()).st_size > MAX_HEADER_BYTES:
            raise EcgError(f"{name}: {record}.hea has more than {MAX_HEADER_BYTES} bytes; is it a WFDB header?")
        text = decode_text(file.read())
    # str.splitlines would also split at characters inside comments, such as U+0085. DOS tools end files with 0x1A.
    stripped = [line.strip() for line in text.rstrip("\0\x1a\r\n\t ").replace("\r", "\n").split("\n")]
    lines = [line for line in stripped if line and not line.startswith("#")]
    if not lines:
        raise EcgError(f"{name}: the header {record}.hea is empty; is it a WFDB header?")
    sampling_rate, frames, announced, n_segments = _parse_record_line(lines[0], name)
    expected = n_segments or announced
    if len(lines) - 1 != expected:
        what = "segments" if n_segments else "signals"
        raise EcgError(f"{name}: its header announces {expected} {what} but describes {len(lines) - 1}")
    if n_segments:
        return Header(sampling_rate, frames, announced, segments=_parse_segments(lines[1:], name))
    if announced > MAX_SIGNALS:
        raise EcgError(f"{name}: its header describes {announced} signals; at most {MAX_SIGNALS} are read")
    # FILE FORMAT[xSAMPLES][:SKEW][+OFFSET] [GAIN[(BASELINE)][/UNITS] [RESOLUTION [ZERO [FIRST SUM BLOCK [LEAD]]]]]
    fields = [line.split(None, 8) for line in lines[1:]]
    # Headers of one data set differ only in file, first sample and checksum: all else is parsed once.
    parse = _parse_signals if len(text) < 1 << 16 else _parse_signals.__wrapped__
    try:
        signals = parse(tuple([(*line[1:5], *line[8:]) for line in fields]))
    except _CorruptSignal as error:
        line = lines[1 + error.args[0]]
        raise EcgError(f"{name}: a signal line of its header is corrupt: {line!r:.200}") from error
    return Header(
        sampling_rate,
        frames,
        announced,
        signals,
        files=tuple([line[0] for line in fields]),
        initial=tuple([line[5] if len(line) > 5 else "" for line in fields]),
        checksums=tuple([line[6] if len(line) > 6 else "" for line in fields]),
    )


def check_signal_files(header: Header, folder: str, name: str) -> tuple[int, list[SignalFile]]:
    """Compare each signal file with its header before it is read; returns the number of frames, and the files.

    Signals in format 0 or in a file "~" are absent and belong to no file.
    """
    channels: dict[str, list[int]] = {}
    for channel, (file, signal) in enumerate(zip(header.files, header.signals)):
        if file != "~" and signal.format != "0":
            channels.setdefault(file, []).append(channel)
    frames, files = header.frames, []
    for file, members in channels.items():
        check_inside(file, name)
        signals = [header.signals[channel] for channel in members]
        formats, offsets = {signal.format for signal in signals}, {signal.offset for signal in signals} - {0}
        if len(formats) > 1 or len(offsets) > 1:
            raise EcgError(f"{name}: its header describes {file} in several formats or with several offsets")
        width = sum([signal.samples_per_frame for signal in signals])
        path, offset = os.path.join(folder, file), max(offsets, default=0)
        stored = SignalFile(path, formats.pop(), offset, tuple(members), width)
        frames = _check_size(stored, signals, frames, file, name)
        files.append(stored)
    if frames is None or (frames < 1 and files):
        raise EcgError(f"{name}: its files hold no samples")
    return frames, files


def check_inside(file: str, name: str) -> None:
    """Refuse a file name from a header that leaves the record's own folder."""
    if file in ("", ".", "..", "-") or re.search(r"[/\\:\0]", file):
        raise EcgError(f"{name}: its header names {file!r:.100}, which is not a plain file name in the record's folder")


def open_flac(path: str, name: str) -> Any:
    """Open a FLAC file as `soundfile.SoundFile`."""
    try:
        import soundfile
    except ImportError as error:
        raise EcgError(
            f"{name}: reading the FLAC formats 508, 516 and 524 needs the soundfile package: pip install soundfile"
        ) from error
    file = open_file(path, name)
    try:
        return soundfile.SoundFile(file)
    except RuntimeError as error:  # soundfile.SoundFileError is one
        file.close()
        raise EcgError(f"{name}: {path} is not a FLAC file: {error}") from error


class _CorruptSignal(ValueError):
    """The signal line with this number cannot be parsed."""


def _parse_record_line(line: str, name: str) -> tuple[float, int | None, int, int]:
    """Frames per second, number of frames (`None` if open), of signals, and of segments (0 if it has none)."""
    # NAME[/SEGMENTS] SIGNALS [RATE[/COUNTER][(BASE)] [SAMPLES [TIME [DATE]]]]; nothing here uses time and date.
    fields = line.split(None, 4)
    try:
        _, is_multi_segment, count = fields[0].partition("/")
        n_segments, n_signals = parse_integer(count) if is_multi_segment else 0, parse_integer(fields[1])
        frames = parse_integer(fields[3]) if len(fields) > 3 else 0
        if frames < 0 or n_segments < bool(is_multi_segment):
            raise ValueError(line)
        sampling_rate = _number(re.split(r"[/(]", fields[2])[0]) if len(fields) > 2 else None
    except (ValueError, IndexError) as error:
        raise EcgError(f"{name}: the record line of its header is corrupt: {line!r:.200}") from error
    if sampling_rate is None:
        raise EcgError(f"{name}: its header gives no sampling rate: {line!r}; add it after the number of signals")
    if not 0 < sampling_rate < math.inf:
        raise EcgError(f"{name}: its header gives a sampling rate of {sampling_rate:g} Hz; correct it in the header")
    if n_signals < 1:
        raise EcgError(f"{name}: its header says that the record has no signals: {line!r:.200}")
    return sampling_rate, frames or None, n_signals, n_segments


def _parse_segments(lines: list[str], name: str) -> tuple[tuple[str, int], ...]:
    segments = []
    for line in lines:
        fields = line.split()
        try:
            segments.append((fields[0], parse_integer(fields[1])))
        except (ValueError, IndexError) as error:
            raise EcgError(f"{name}: a segment line of its header is corrupt: {line!r:.200}") from error
        if segments[-1][1] < 0:
            raise EcgError(f"{name}: a segment line of its header is corrupt: {line!r:.200}")
    return tuple(segments)


@lru_cache(maxsize=256)
def _parse_signals(lines: tuple[tuple[str, ...], ...]) -> tuple[Signal, ...]:
    """The signals of a record from format, gain, resolution, zero and lead of each, as far as given."""
    signals = []
    for number, fields in enumerate(lines):
        try:
            stored = _FORMAT.fullmatch(fields[0])
            scale = _GAIN.fullmatch(fields[1] if len(fields) > 1 else "")
            zero = parse_integer(fields[3]) if len(fields) > 3 else 0
            if stored is None or scale is None:
                raise ValueError(fields)
            # By the WFDB specification a gain that is 0 or absent means 200 steps per mV.
            gain = float(scale[1] or 0) or 200.0
            if not 1e-30 < abs(gain) < 1e30:
                raise ValueError(scale[1])
        except (ValueError, IndexError) as error:
            raise _CorruptSignal(number) from error
        signals.append(
            Signal(
                format=stored[1],
                samples_per_frame=int(stored[2] or 1) or 1,
                skew=int(stored[3] or 0),
                offset=int(stored[4] or 0),
                gain=gain,
                baseline=zero if scale[2] is None else int(scale[2]),
                units=scale[3] or "mV",
                lead=fields[4].strip() if len(fields) > 4 else "",
            )
        )
    return tuple(signals)


def parse_integer(text: str) -> int:
    """An integer of at most 18 digits; a `ValueError` otherwise."""
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    return float(text)


def _check_size(stored: SignalFile, signals: list[Signal], frames: int | None, file: str, name: str) -> int:
    """Compare the size of one file with `frames`; returns the number of frames, from the file where it was `None`."""
    try:
        found = file_size(stored.path, name)
    except EcgError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            folder = os.path.dirname(stored.path) or "."
            raise EcgError(f"{name}: its header names the file {file}, which is not in {folder}") from error
        raise
    if stored.format in FLAC_BITS:
        return _check_flac(stored, signals, frames, file, name)
    if stored.format not in PACKING:
        known = ", ".join([*PACKING, *FLAC_BITS])
        raise EcgError(f"{name}: {file} is stored in format {stored.format}, which is not one of {known}")
    if frames is None:
        frames = _samples_in(stored.format, max(0, found - stored.offset)) // stored.width
        if found - stored.offset - bytes_of(stored.format, frames * stored.width) >= 1:
            raise EcgError(f"{name}: {file} has {found} bytes, which is no whole number of samples; is it truncated?")
    expected = stored.offset + bytes_of(stored.format, frames * stored.width)
    what = f"{expected} bytes expected for {len(signals)} leads of {frames} samples in format {stored.format}"
    if stored.width != len(signals):
        what = what.replace("samples", f"frames ({stored.width} samples in each)")
    if found < expected:
        raise EcgError(f"{name}: {file} is truncated: {what}, {found} found; fetch the file again")
    group, size = PACKING[stored.format]
    if found - expected >= max(stored.width * size / group, size if group > 1 else 0):
        raise EcgError(f"{name}: its header disagrees with {file}: {what}, {found} found; do they belong together?")
    return frames


def _check_flac(stored: SignalFile, signals: list[Signal], frames: int | None, file: str, name: str) -> int:
    per_frame = signals[0].samples_per_frame
    if stored.width != per_frame * len(signals):
        raise EcgError(f"{name}: the signals of {file} have different rates, which a FLAC file cannot hold")
    with open_flac(stored.path, name) as sound:
        samples, channels, kind = sound.frames - stored.offset, sound.channels, f"{sound.format} {sound.subtype}"
    if channels != len(signals):
        raise EcgError(f"{name}: {file} holds {channels} channels, its header describes {len(signals)}")
    depths = {"FLAC PCM_S8": 8, "FLAC PCM_16": 16, "FLAC PCM_24": 24}
    if depths.get(kind, 99) > FLAC_BITS[stored.format]:
        raise EcgError(f"{name}: {file} holds {kind} samples, which are not those of format {stored.format}")
    if frames is None:
        frames = max(0, samples) // per_frame
    if samples != frames * per_frame:
        raise EcgError(
            f"{name}: {file} holds {samples} samples per signal, its header announces {frames * per_frame}; do they "
            "belong together?"
        )
    if samples * channels > MAX_FLAC_SAMPLES:
        raise EcgError(
            f"{name}: {file} holds {samples * channels} compressed samples; at most {MAX_FLAC_SAMPLES} are read; store "
            "the record in format 16"
        )
    return frames


def bytes_of(signal_format: str, samples: int) -> int:
    """Bytes that so many samples occupy in a format."""
    group, size = PACKING[signal_format]
    groups, rest = divmod(samples, group)
    if signal_format == "310" and rest == 2:  # the second sample lies in the second pair of bytes
        return size * (groups + 1)
    return size * groups + math.ceil(rest * size / group)


def _samples_in(signal_format: str, size: int) -> int:
    """Complete samples in so many bytes."""
    group, bytes_per_group = PACKING[signal_format]
    samples = size // bytes_per_group * group
    return max(samples + rest for rest in range(group) if bytes_of(signal_format, samples + rest) <= size)
