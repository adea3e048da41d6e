"""Files of electrocardiographs and hospital systems to `Recording`, by the libraries ecgdatakit, pydicom and edfio.

The format is found in the content of a file. The rhythm is read, not the median beat, and of the rest only sampling
rate, lead names, gain and units. What identifies the patient stays in the file: messages name the file as the caller
does, and never quote its content.
"""

import base64
import binascii
import logging
import math
import os
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np

from .leads_merit import at_one_rate, channel_label, millivolts_per, standard_lead
from .recording_base_merit import INVALID_SAMPLE, EcgError, Recording, decode_text, file_size, open_file, quote
from .wfdb_merit import MAX_DECODED_SAMPLES

START_BYTES = 4096  # what `detect_format` needs of a file
_MAX_BYTES = {"SCP-ECG": 1 << 22, "DICOM": 1 << 28, "ISHNE": 1 << 28, "EDF": 1 << 28, "BDF": 1 << 28}
_MAX_XML_BYTES = 1 << 23  # an XML tree takes up to fifty times the size of its file
_XML_ROOTS = {
    "RestingECG": "GE MUSE XML",
    "restingecgdata": "Philips Sierra XML",
    "AnnotatedECG": "HL7 aECG",
    "ECG": "Mortara XML",
}
_FIRST_ELEMENT = re.compile(r"<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)")
# What `_check_philips` searches for: elements in any form, and in the only form that it accepts.
_CHANNELS = re.compile(r"<numberchannels(?:allocated|valid)\b")
_FEW_CHANNELS = re.compile(r"<numberchannels(?:allocated|valid)\b[^<>]*(?:/>|>\s*\d{0,2}\s*</)")
_WAVEFORMS = re.compile(r"<parsedwaveforms\b", re.I)
_PLAIN_WAVEFORMS = re.compile(r"<parsedwaveforms\b([^<>&]*)>([^<&]*)</", re.I)
_MAX_DECOMPRESSED = 1 << 23  # bytes; twelve leads of five minutes at 1000 Hz have 7,200,000
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|(?<==)[^,)]+")  # as messages of the libraries write them
# Causes whose messages hold positions and counts, but no content of the file.
_SAFE_CAUSES = (ParseError, binascii.Error, struct.error, IndexError, MemoryError, RecursionError)
# Warnings of the libraries that concern the signal.
_SIGNAL_WARNING = re.compile(r"additional|only the first|ignored|not applied|truncated|not loaded|checksum|crc", re.I)


def detect_format(path: str) -> str | None:
    """The format of a file by its content; `None` for anything that is not one of the formats of this module.

    Example:

    ```python
    >>> detect_format("ecg.xml")  # doctest: +SKIP
    'GE MUSE XML'
    ```
    """
    if not os.path.isfile(path):
        return None
    with open_file(path, quote(os.path.basename(path))) as file:
        start = file.read(START_BYTES)
    if start[128:132] == b"DICM":
        return "DICOM"
    if start.startswith(b"ISHNE1.0"):
        return "ISHNE"
    if start.startswith(b"\xffBIOSEMI"):
        return "BDF"
    if start.startswith(b"0       ") and len(start) >= 256:
        return "EDF"
    # SCP-ECG: the first section has the number 0, begins at byte 7 and says so.
    if len(start) >= 32 and start[8:10] == start[22:24] == b"\0\0" and start[28:32] == b"\x07\0\0\0":
        return "SCP-ECG"
    text = decode_text(start).lstrip()
    if not text.startswith("<"):
        return None
    element = _FIRST_ELEMENT.search(text)
    return _XML_ROOTS.get(element[1], "XML") if element else "XML"


def read_format(path: str, kind: str, verify_checksums: bool = True) -> Recording:
    """Read a file of the format that `detect_format` has found.

    Digital samples are kept, with the gain and the units of the file. Lead names are written as the file writes them or
    as the library spells them; channels at another sampling rate than the ECG leads are left out with a warning.

    Args:
        path (`str`): The file.
        kind (`str`): What `detect_format` returned.
        verify_checksums (`bool`, defaults to `True`): Whether a wrong checksum is an error rather than a warning.

    Raises:
        EcgError: the libraries are not installed, or the file is damaged, too large, contradictory, without units, or
            a variant that they do not read.
    """
    name = quote(os.path.splitext(os.path.basename(path))[0])
    if kind == "XML":
        raise EcgError(f"{name}: {path} is an XML file of another kind than {', '.join(_XML_ROOTS.values())}")
    size, limit = file_size(path, name), _MAX_BYTES.get(kind, _MAX_XML_BYTES)
    if size > limit:
        raise EcgError(f"{name}: {path} has {size} bytes, and of {kind} files at most {limit} are read; cut it")
    if kind in ("EDF", "BDF"):
        return _read_edf(path, name, kind)
    return _read_with_ecgdatakit(path, name, kind, verify_checksums)


def _read_with_ecgdatakit(path: str, name: str, kind: str, verify_checksums: bool) -> Recording:
    try:
        from ecgdatakit import ChecksumWarning, ECGDataKitError, FileParser
    except ImportError as error:
        raise _missing_library(path, name, kind) from error
    if kind == "DICOM":
        _refuse_deflated(path, name)
    if kind == "Philips Sierra XML":
        _check_philips(path, name)
    try:
        with _quiet() as caught:
            record = FileParser.parse(Path(path), auto_scale=False)
    except ImportError as error:
        raise _missing_library(path, name, kind) from error
    except (ECGDataKitError, OSError) as error:
        raise EcgError(f"{name}: {path} cannot be read as {kind}: {_reason(error, path)}") from None
    for warning in caught:
        message = f"{name}: {_without_content(str(warning.message), path)}"
        if verify_checksums and issubclass(warning.category, ChecksumWarning):
            raise EcgError(f"{message}; fetch the file again, or pass verify_checksums=False to read it with a warning")
        if _SIGNAL_WARNING.search(message):
            warnings.warn(message, stacklevel=4)

    rates = [_sampling_rate(record, lead) for lead in record.leads]
    labels = [_label(lead.label, kind) for lead in record.leads]
    if not labels:
        raise EcgError(f"{name}: {path} holds no rhythm, only a median beat or no waveform at all")
    chosen = at_one_rate(labels, rates, name)
    leads, labels = [record.leads[channel] for channel in chosen], [labels[channel] for channel in chosen]
    rate = _sampling_rate(record, leads[0])
    _check_rhythm(record, leads, rate, name)
    units = [(lead.resolution_unit if lead.is_raw else lead.units) or "" for lead in leads]
    for label, unit in zip(labels, units):
        if standard_lead(label) and millivolts_per(unit) is None:
            raise EcgError(f"{name}: {path} does not state gain and units of lead {label}")
    scale = np.array([lead.resolution if lead.is_raw else 1.0 for lead in leads])
    offset = np.array([lead.offset if lead.is_raw else 0.0 for lead in leads])
    samples = np.stack([lead.samples for lead in leads])
    faults = samples == INVALID_SAMPLE if kind == "ISHNE" else None
    return _recording(name, samples, rate, labels, units, 1 / scale, -offset / scale, faults)


def _read_edf(path: str, name: str, kind: str) -> Recording:
    try:
        from edfio import read_bdf, read_edf
    except ImportError as error:
        raise _missing_library(path, name, kind) from error
    with open_file(path, name) as file:
        declared = decode_text(file.read(256)[236:244]).strip()
    try:
        with _quiet():
            edf = (read_edf if kind == "EDF" else read_bdf)(os.path.abspath(path), header_encoding="latin-1")
            records, signals = edf.num_data_records, edf.signals
            labels = [signal.label for signal in signals]
            rates = [float(signal.sampling_frequency) for signal in signals]
            per_record = [signal.samples_per_data_record for signal in signals]
            continuous = not edf.reserved.startswith(f"{kind}+D") or edf.is_continuous
    except Exception as error:  # whatever a damaged header leads to; its message may quote the header
        raise EcgError(f"{name}: {path} cannot be read as {kind}: {type(error).__name__} in its header") from None
    if declared not in ("-1", str(records)) or not records:
        raise EcgError(
            f"{name}: {path} holds {records} complete data records, not as many as its header declares; fetch it again"
        )
    if not continuous:
        raise EcgError(f"{name}: {path} is discontinuous ({kind}+D); cut it into continuous files")
    if not signals or min(per_record) < 1 or not all(0 < rate < math.inf for rate in rates):
        raise EcgError(f"{name}: {path} holds no signal with a sampling rate")
    chosen = at_one_rate(labels, rates, name)
    if len(chosen) * records * per_record[chosen[0]] > MAX_DECODED_SAMPLES:
        raise EcgError(f"{name}: {path} holds more than {MAX_DECODED_SAMPLES} samples; cut it")
    gains, baselines = [], []
    for channel in chosen:
        signal = signals[channel]
        try:
            digital, physical = signal.digital_range, signal.physical_range
            gain = (digital.max - digital.min) / (physical.max - physical.min)
        except (ValueError, ZeroDivisionError):
            gain = 0.0
        if not gain or not math.isfinite(gain):
            raise EcgError(f"{name}: the range of {channel_label(labels[channel], channel)} in {path} states no gain")
        gains.append(gain)
        baselines.append(digital.min - physical.min * gain)
    samples = np.stack([signals[channel].digital for channel in chosen])
    units = [signals[channel].physical_dimension for channel in chosen]
    leads = [labels[channel] for channel in chosen]
    return _recording(name, samples, rates[chosen[0]], leads, units, np.array(gains), np.array(baselines))


def _recording(
    name: str,
    samples: np.ndarray,
    rate: float,
    leads: Sequence[str],
    units: Sequence[str],
    gain: np.ndarray,
    baseline: np.ndarray,
    faults: np.ndarray | None = None,
) -> Recording:
    """A recording, digital if samples and baselines are whole numbers; `faults` marks invalid samples."""
    whole = np.rint(baseline)
    is_digital = np.allclose(baseline, whole, rtol=0, atol=1e-6) and np.array_equal(samples, np.rint(samples))
    if not is_digital or (faults is not None and faults.any()):
        physical = (samples - baseline[:, None]) / gain[:, None]
        if faults is not None:
            physical[faults] = np.nan
        return Recording(name, physical, rate, tuple(leads), tuple(units))
    # In int16 the lowest value marks invalid samples, which these formats do not do.
    is_short = samples.min(initial=0) > INVALID_SAMPLE and samples.max(initial=0) <= 32767
    digital = samples.astype(np.int16 if is_short else np.int32)
    return Recording(name, digital, rate, tuple(leads), tuple(units), gain, whole.astype(np.int64))


def _sampling_rate(record: Any, lead: Any) -> float:
    """The exact sampling rate of a lead, which the library rounds to whole Hz."""
    if record.source_format == "hl7_aecg":
        return float(record.raw_metadata["rhythm_time"]["sampling_rate_exact"])
    duration = record.recording.duration
    if record.source_format == "dicom_waveform" and duration:
        rate = len(lead.samples) / duration.total_seconds()
        return rate if abs(rate - lead.sampling_rate) > 1e-5 * rate else float(lead.sampling_rate)
    return float(lead.sampling_rate)


def _label(label: str, kind: str) -> str:
    """The name of a lead; empty where ISHNE names none, which the library calls "Lead 1" as if it were lead I."""
    return "" if kind == "ISHNE" and label.startswith("Lead ") else label


def _check_rhythm(record: Any, leads: Sequence[Any], rate: float, name: str) -> None:
    """Refuse leads of different lengths or starts, and a waveform that is not the longest of a DICOM file."""
    lengths = {lead.label: len(lead.samples) for lead in leads}
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{label} {length}" for label, length in lengths.items())
        raise EcgError(f"{name}: its leads have different numbers of samples: {described}")
    if len({lead.annotations.get("start_sample") for lead in leads}) > 1:
        raise EcgError(f"{name}: its leads begin at different times; store leads of one time in a file of their own")
    if not rate > 0:
        raise EcgError(f"{name}: it states no sampling rate")
    longest = max(
        [len(leads[0].samples) / rate]
        + [group["samples"] / group["sampling_frequency"] for group in record.raw_metadata.get("multiplex_groups", ())]
    )
    if longest > 1.001 * len(leads[0].samples) / rate:
        raise EcgError(
            f"{name}: its first waveform has {len(leads[0].samples) / rate:g} s, another one {longest:g} s; store the "
            "rhythm in a file of its own"
        )


def _refuse_deflated(path: str, name: str) -> None:
    """Refuse compressed DICOM files, of which a few bytes can stand for gigabytes."""
    try:
        from pydicom.filereader import read_file_meta_info
    except ImportError as error:
        raise _missing_library(path, name, "DICOM") from error
    try:
        with _quiet():
            deflated = read_file_meta_info(path).TransferSyntaxUID.is_deflated
    except Exception:  # the reader of the whole file reports what is wrong
        return
    if deflated:
        raise EcgError(f"{name}: {path} is a deflated DICOM file; store it uncompressed, for example by dcmconv +te")


def _check_philips(path: str, name: str) -> None:
    """Refuse files for which the library would need more memory and time than their samples do.

    It makes a name for each channel that is declared, and decompresses waveforms before it counts their samples.
    """
    with open_file(path, name) as file:
        text = decode_text(file.read())
    if len(_CHANNELS.findall(text)) != len(_FEW_CHANNELS.findall(text)):
        raise EcgError(f"{name}: {path} does not declare its number of channels by a number up to 99")
    waveforms = _PLAIN_WAVEFORMS.findall(text)
    if len(waveforms) != len(_WAVEFORMS.findall(text)):
        raise EcgError(f"{name}: {path} has markup inside its waveform data")
    for attributes, data in waveforms:
        if "xli" in attributes.lower() and _decompressed_bytes("".join(data.split())) > _MAX_DECOMPRESSED:
            raise EcgError(f"{name}: {path} decompresses to more than {_MAX_DECOMPRESSED} bytes of samples")


def _decompressed_bytes(data: str) -> int:
    """Bytes of all leads that are compressed by LZW in 10-bit codes; the library reports data that is not."""
    try:
        content = base64.b64decode(data)
    except binascii.Error:
        return 0
    total, start = 0, 0
    while start + 8 < len(content):
        (size,) = struct.unpack_from("<i", content, start)
        bits = np.unpackbits(np.frombuffer(content[start + 8 : start + 8 + max(size, 0)], np.uint8))
        codes = bits[: len(bits) // 10 * 10].reshape(-1, 10) @ (1 << np.arange(9, -1, -1))
        lengths, following, previous = dict.fromkeys(range(256), 1), 256, 0
        for code in codes.tolist():
            if code > 1022:
                break
            length = lengths.setdefault(code, previous + 1)
            if previous and following <= 1022:
                lengths[following] = previous + 1
                following += 1
            previous = length
            total += length
        start += 8 + max(size, 1)
    return total


def _missing_library(path: str, name: str, kind: str) -> EcgError:
    return EcgError(
        f"{name}: {path} is a {kind} file; the libraries that read it are not installed: pip install "
        "'merit-ecg[formats]', or pip install 'ecgdatakit[dicom]' edfio"
    )


@contextmanager
def _quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warnings of the libraries and disable their log: both may quote the content of a file."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        logger.disabled = disabled


def _reason(error: Exception, path: str) -> str:
    """What a library says is wrong, without content of the file."""
    text, cause = str(error), error.__cause__
    if isinstance(error, OSError):
        text = error.strerror or type(error).__name__
    if cause is not None and not isinstance(cause, _SAFE_CAUSES) and str(cause):
        kind = type(cause).__name__
        text = text.replace(f"{kind}: {cause}", kind).replace(str(cause), kind)
    return _without_content(text, path)


def _without_content(text: str, path: str) -> str:
    """A message of a library without the path, and without what it quotes."""
    for mention in (f" in {path}", f" of {path}", f" in {os.path.basename(path)}", f" of {os.path.basename(path)}"):
        text = text.replace(mention, "")
    return " ".join(_VALUES.sub("...", text).split())[:300]
