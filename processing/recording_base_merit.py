"""What the readers of all file formats share: `Recording`, `EcgError`, and safe access to files."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

INVALID_SAMPLE = -32768
"""Value of an invalid sample in WFDB format 16; `Recording.signal` keeps it when the signal is int16."""
HOSPITAL_FORMATS = (
    *("DICOM", "GE MUSE XML", "Philips Sierra XML", "HL7 aECG", "Mortara XML"),
    *("SCP-ECG", "ISHNE", "EDF", "BDF"),
)
"""The formats that `detect_format` finds by the content of a file, as messages name them."""


class EcgError(ValueError):
    """An ECG cannot be used. The message names the recording, what is wrong and what to do."""


class LeadWarning(UserWarning):
    """A lead of a recording cannot be used and is left out."""


class PaddingWarning(UserWarning):
    """Constant ends of a recording are left out."""


@dataclass(frozen=True)
class Recording:
    """One ECG as it was recorded, with its description.

    Attributes:
        name (`str`): Name of the recording in messages, usually the file's name without suffix.
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


def per_lead(units: str | Sequence[str], leads: int, name: str) -> tuple[str, ...]:
    """One unit for each lead."""
    units = (units,) * leads if isinstance(units, str) else tuple(units)
    if len(units) != leads:
        raise EcgError(f"{name}: {len(units)} units for {leads} leads; pass one for all or one for each")
    return units


def to_path(path: str | os.PathLike) -> str:
    """A path as `str`."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise EcgError(f"{path!r:.100} is not a path; pass a str or os.PathLike") from None


def file_size(path: str, name: str) -> int:
    """Size in bytes of a regular file. Call it before `open_file`: opening a FIFO or device could block."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL character
        raise EcgError(f"{name}: {quote(path)} cannot be read: {_reason(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        raise EcgError(f"{name}: {path} is not a regular file")
    return status.st_size


def open_file(path: str, name: str) -> BinaryIO:
    """Open a file for reading."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise EcgError(f"{name}: {quote(path)} cannot be read: {_reason(error)}") from error


def quote(text: str) -> str:
    """A path or name for a message: as it is, or escaped and cut if it is long or not printable."""
    return text if text.isprintable() and len(text) <= 400 else f"{text!r:.300}..."


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def decode_text(content: bytes) -> str:
    """Text in UTF-8 or UTF-16 by its byte order mark, else UTF-8, else Latin-1."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8").lstrip("\ufeff")
    except UnicodeDecodeError:
        return content.decode("latin-1")
