"""Files to recordings: the reader for each file format, chosen by the file's content.

Nothing is guessed. Gain, baseline, units, sampling rate and lead names come from the file, or from the caller where
the file does not state them; what is missing or contradictory is an `EcgError` that names the recording.
"""

import os
from collections.abc import Sequence

from .csv_merit import is_table, read_csv
from .formats_merit import detect_format, read_format
from .recording_base_merit import INVALID_SAMPLE, EcgError, Recording, per_lead, to_path
from .wfdb_merit import read_wfdb

__all__ = ["INVALID_SAMPLE", "EcgError", "Recording", "per_lead", "read_csv", "read_recording", "read_wfdb"]


def read_recording(
    path: str | os.PathLike,
    sampling_rate: float | None = None,
    units: str | Sequence[str] | None = None,
    leads: Sequence[str] | None = None,
    verify_checksums: bool = True,
) -> Recording:
    """Read a file of a hospital system (`read_format`), a table (`read_csv`) or a WFDB record (`read_wfdb`).

    DICOM waveforms, GE MUSE XML, Philips Sierra XML, HL7 aECG, Mortara XML, SCP-ECG, ISHNE, EDF and BDF are found by
    their content and need the extra `formats`. A table has the suffix .csv or .tsv, or rows of numbers below its first
    row. Anything else is a WFDB record.

    Args:
        path (`str` or `os.PathLike`): The file or record.
        sampling_rate (`float`, *optional*): Samples per second of a table without a time column.
        units (`str` or `list[str]`, *optional*): Units of a table that does not state them.
        leads (`list[str]`, *optional*): Lead names of a table that does not state them.
        verify_checksums (`bool`, defaults to `True`): Whether a wrong checksum is an error, rather than a warning.

    Raises:
        EcgError: the file is missing, damaged, of an unknown format, or does not describe its signal.

    Example:

    ```python
    >>> recording = read_recording("records100/00000/00001_lr.hea")  # doctest: +SKIP
    ```
    """
    path = to_path(path)
    if kind := detect_format(path):
        return read_format(path, kind, verify_checksums)
    if is_table(path):
        return read_csv(path, sampling_rate, units, None if leads is None else tuple(leads))
    return read_wfdb(path, verify_checksums)
