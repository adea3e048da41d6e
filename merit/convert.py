"""Recordings in any format that is read, written as WFDB records."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .processing.inputs_merit import to_recordings
from .processing.leads_merit import millivolts_per
from .processing.recordings_merit import INVALID_SAMPLE, EcgError, Recording

__all__ = ["convert"]

_LARGEST = 32767
_FINEST = 1e6  # steps per unit of a signal that hardly changes


def convert(
    source: str | os.PathLike,
    output: str | os.PathLike,
    sampling_rate: float | None = None,
    leads: Sequence[str] | None = None,
    units: str | None = None,
) -> Path:
    """Write a recording as a WFDB record in format 16: OUTPUT.hea and OUTPUT.dat.

    Samples that are stored as 16-bit integers are written unchanged; others are rounded to 1/65,000 of the range of
    their lead. Voltages are in mV. Nothing but the signal is written: no name, date or comment. Derived leads are not
    added, and leads that are not standard ones are kept.

    Args:
        source: a recording in any format that `MeritProcessor` reads.
        output: path of the record, with or without ".hea". Its last part names the record: letters, digits, "_", "-".
        sampling_rate: in Hz, of a file that does not state it.
        leads: names of the leads of a file that does not state them.
        units: of a file that does not state them, such as "mV".

    Returns:
        The path of the header.

    Raises:
        EcgError: the recording cannot be read, or a value is infinite.
        FileExistsError: there is such a record.
        ValueError: the record's name is not one that WFDB allows.

    Example:

    ```python
    >>> from merit.convert import convert
    >>> convert("ecg.dcm", "converted/ecg")  # doctest: +SKIP
    PosixPath('converted/ecg.hea')
    ```
    """
    header = Path(str(os.fspath(output)).removesuffix(".hea") + ".hea")
    signals = header.with_suffix(".dat")
    name = header.name.removesuffix(".hea")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"{name!r} cannot be the name of a WFDB record: use letters, digits, '_' and '-'")
    for path in (header, signals):
        if path.exists():
            raise FileExistsError(f"{path} exists; name another record, or delete it")
    [recording] = to_recordings(os.fspath(source), sampling_rate, leads, units)
    digital, gain, baseline, names = _to_int16(recording)
    lines = [f"{name} {len(digital)} {recording.sampling_rate!r} {digital.shape[1]}"]
    for row, steps, zero, unit, lead in zip(digital, gain, baseline, names, recording.lead_names):
        checksum = int(row.sum(dtype=np.int64)) % 65536
        description = " ".join(lead.split())
        values = f"{float(steps)!r}({int(zero)})/{unit} 16 0 {row[0]} {checksum} 0 {description}"
        lines.append(f"{signals.name} 16 {values}".rstrip())
    header.parent.mkdir(parents=True, exist_ok=True)
    np.ascontiguousarray(digital.T, "<i2").tofile(signals)
    header.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return header


def _to_int16(recording: Recording) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Samples as int16, steps per unit, the digital value of zero, and units, each lead in mV if it is a voltage."""
    if not recording.signal.shape[1]:
        raise EcgError(f"{recording.name}: it has no samples")
    millivolts = np.array([millivolts_per(unit) or 1.0 for unit in recording.units])
    units = ["mV" if millivolts_per(unit) else "".join(unit.split()) or "NU" for unit in recording.units]
    if recording.signal.dtype == np.int16 and recording.gain is not None and recording.baseline is not None:
        return recording.signal, np.asarray(recording.gain) / millivolts, np.asarray(recording.baseline), units
    physical = recording.physical() * millivolts[:, None]
    if np.isinf(physical).any():
        raise EcgError(f"{recording.name}: it has infinite values; mark invalid samples as NaN")
    digital = np.full(physical.shape, INVALID_SAMPLE, np.int16)
    gains, baselines = np.ones(len(units)), np.zeros(len(units), np.int64)
    for lead, values in enumerate(physical):
        valid = ~np.isnan(values)
        if not valid.any():
            continue
        low, high = values[valid].min(), values[valid].max()
        gains[lead] = min(65_000 / max(high - low, 1e-300), _FINEST)
        baselines[lead] = -round((low + high) / 2 * gains[lead])
        steps = np.rint(values[valid] * gains[lead]) + baselines[lead]
        digital[lead, valid] = np.clip(steps, -_LARGEST, _LARGEST)
    return digital, gains, baselines, units
