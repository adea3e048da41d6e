"""Input in any accepted form (paths, arrays, rows, recordings) as a list of `Recording`."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from reprlib import Repr
from typing import Any

import numpy as np
import torch

from .leads_merit import millivolts_per, standard_lead
from .recording_base_merit import open_file, quote
from .recordings_merit import EcgError, Recording, per_lead, read_recording

_FIELDS = ("signal", "sampling_rate", "lead_names", "units", "gain", "baseline")
_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 60


def to_recordings(
    ecg: Any, sampling_rate: Any = None, leads: Any = None, units: Any = None, verify_checksums: bool = True
) -> list[Recording]:
    """Convert a recording or a list of recordings; see `MeritFeatureExtractor.__call__` for what is accepted.

    Raises:
        EcgError: something is not a recording, its description is incomplete, or it contradicts an argument.
    """
    items = [ecg] if is_recording(ecg) else list(ecg)
    if not items:
        raise EcgError("ecg is empty; pass at least one recording")

    def for_each(value: Any, argument: str, is_one: bool) -> list[Any]:
        if is_recording(ecg) or is_one:
            return [value] * len(items)
        if len(value) != len(items):
            raise EcgError(f"{argument} has {len(value)} entries for {len(items)} recordings; pass one for each")
        return list(value)

    rates = for_each(sampling_rate, "sampling_rate", not _is_list(sampling_rate))
    names = for_each(leads, "leads", not _is_list(leads) or all(isinstance(lead, str) for lead in leads))
    units = for_each(units, "units", not _is_list(units))
    return [
        _to_recording(item, f"recording {index}", *description, verify_checksums)
        for index, (item, description) in enumerate(zip(items, zip(rates, names, units)))
    ]


def is_recording(ecg: Any) -> bool:
    """Whether a value is passed as one recording rather than as a list of them."""
    if _is_nested(ecg):
        return True
    if isinstance(ecg, np.ndarray | torch.Tensor):
        return not (ecg.ndim == 3 or (isinstance(ecg, np.ndarray) and ecg.ndim == 1 and ecg.dtype.kind in "OUT"))
    if isinstance(ecg, str | bytes | bytearray | memoryview) or not (isinstance(ecg, Sequence) or _is_list(ecg)):
        return True
    return _is_rdsamp(ecg) or _is_matrix(ecg)


def recording_of_row(
    row: Mapping, name: str = "recording", sampling_rate: Any = None, leads: Any = None, units: Any = None
) -> Recording:
    """Convert a mapping such as a row of a data set; the arguments are used for what it does not contain.

    Raises:
        EcgError: something is missing in the mapping or has the wrong type.
    """
    name = str(row.get("record_id", name))

    def required(value: Any, default: Any, argument: str, example: str) -> Any:
        value = default if value is None else value
        if value is None:
            raise EcgError(f"{name}: {argument} unknown; pass {argument}=, for example {argument}={example}")
        return value

    if row.get("signal") is None:
        raise EcgError(
            f"{name}: the mapping has no 'signal', only {', '.join(map(str, row))}; pass 'signal', 'sampling_rate', "
            "'lead_names' and 'units'"
        )
    signal, mask = _to_real_array(row["signal"], name, "signal")
    rate = _to_rate(required(row.get("sampling_rate"), sampling_rate, "sampling_rate", "500"), name)
    lead_names = row.get("leads") if row.get("lead_names") is None else row["lead_names"]
    lead_names = _to_strings(required(lead_names, leads, "leads", "['I', 'II']"), name, "leads")
    if signal.ndim == 1 and lead_names and signal.size % len(lead_names) == 0:
        signal, mask = signal.reshape(len(lead_names), -1), mask if mask is None else mask.reshape(len(lead_names), -1)
    if row.get("gain") is not None and units is None:
        units = "mV"
    units = _to_units(required(row.get("units"), units, "units", "'mV'"), len(lead_names), name)
    gain = baseline = None
    if row.get("gain") is not None:
        if signal.dtype.kind == "f":
            raise EcgError(f"{name}: gain= is for digital samples, but the signal has the type {signal.dtype}")
        # Lists become int64, but -32768 marks invalid samples in them too.
        if signal.size and signal.min() >= -32768 and signal.max() <= 32767:
            signal = signal.astype(np.int16, copy=False)
        gain = _to_numbers(row["gain"], len(lead_names), name, "gain")
        baseline = _to_numbers(0 if row.get("baseline") is None else row["baseline"], len(lead_names), name, "baseline")
    recording = Recording(name, signal, rate, lead_names, units, gain, baseline)
    if mask is None:
        return recording
    physical = recording.physical()
    physical[mask] = np.nan
    return Recording(name, physical, rate, lead_names, units)


def to_list(value: Any) -> Any:
    """A list with the elements of a list, tuple or array; other values as they are."""
    return list(value) if _is_list(value) else value


def show(value: Any) -> str:
    """A value for a message, shortened."""
    try:
        return _REPR.repr(value)
    except ValueError:  # Python does not print integers of thousands of digits
        return f"a very large {type(value).__name__}"


def _to_recording(
    item: Any, name: str, sampling_rate: Any, leads: Any, units: Any, verify_checksums: bool
) -> Recording:
    sampling_rate = None if sampling_rate is None else _to_rate(sampling_rate, name)
    leads = None if leads is None else _to_strings(leads, name, "leads")
    if isinstance(item, str | os.PathLike) and _is_npy(os.fsdecode(item)):
        recording = recording_of_row(_row_of_npy(os.fsdecode(item)), name, sampling_rate, leads, units)
    elif isinstance(item, str | os.PathLike):
        recording = read_recording(item, sampling_rate, units, leads, verify_checksums)
    elif isinstance(item, Recording):
        row = {"record_id": item.name} | {name: getattr(item, name) for name in _FIELDS}
        recording = recording_of_row(row, name, sampling_rate, leads, units)
    elif isinstance(item, Mapping):
        recording = recording_of_row(item, name, sampling_rate, leads, units)
    elif _is_rdsamp(item):
        row = {"signal": _transposed(item[0], name), "sampling_rate": item[1].get("fs"), "units": item[1].get("units")}
        row["lead_names"] = _wfdb_names(item[1]["sig_name"])
        recording = recording_of_row(row, name)
    elif hasattr(item, "sig_name") and hasattr(item, "fs"):
        recording = recording_of_row(_row_of_wfdb(item, name), name)
    elif hasattr(item, "columns") and hasattr(item, "to_numpy"):
        named = [column for column in item.columns if isinstance(column, str)]
        row = {"signal": _transposed(item.to_numpy(), name)}
        recording = recording_of_row(row | ({"lead_names": named} if named else {}), name, sampling_rate, leads, units)
    elif (isinstance(item, np.ndarray | torch.Tensor) and item.ndim == 2) or _is_matrix(item):
        recording = recording_of_row({"signal": item}, name, sampling_rate, leads, units)
    else:
        if _is_nested(item):
            what = "a nested tensor"
        else:
            what = f"an array of shape {tuple(item.shape)}" if hasattr(item, "shape") else show(item)
        raise EcgError(
            f"{name}: {what} is not a recording; pass a path, an array of shape (leads, samples), "
            "a Recording or a mapping"
        )
    return _check_consistency(recording, sampling_rate, leads, units)


def _is_npy(path: str) -> bool:
    """Whether a file is one of `numpy.save`, by its suffix or its first bytes."""
    if path.lower().endswith(".npy"):
        return True
    if not os.path.isfile(path):
        return False
    with open_file(path, quote(os.path.basename(path))) as file:
        return file.read(6) == b"\x93NUMPY"


def _row_of_npy(path: str) -> dict[str, Any]:
    """The mapping for a file of `numpy.save`, which holds an array and no description of it."""
    name = os.path.splitext(os.path.basename(path))[0]
    try:
        # A memory map of a file that is shorter than its header says is an error, not an allocation.
        signal = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EcgError(f"{name}: {path} cannot be read as an array: {error}") from None
    return {"record_id": name, "signal": signal}


def _row_of_wfdb(record: Any, name: str) -> dict[str, Any]:
    """The mapping for a `wfdb.Record`."""
    name = str(getattr(record, "record_name", None) or name)
    if getattr(record, "e_p_signal", None) is not None or any(
        f != 1 for f in getattr(record, "samps_per_frame", None) or ()
    ):
        raise EcgError(
            f"{name}: it has several samples per frame, which wfdb averages or separates; pass its path instead"
        )
    if getattr(record, "p_signal", None) is not None:
        signal = record.p_signal
    elif getattr(record, "d_signal", None) is not None:
        signal = record.dac()
    else:
        raise EcgError(f"{name}: the wfdb record holds no signal; pass its path, or read it with wfdb.rdrecord")
    return {
        "record_id": name,
        "signal": _transposed(signal, name),
        "sampling_rate": record.fs,
        "lead_names": _wfdb_names(record.sig_name),
        "units": record.units,
    }


def _wfdb_names(names: Any) -> Any:
    """Lead names of wfdb, which has None for a lead without a name."""
    return ["" if lead is None else lead for lead in names] if _is_list(names) else names


def _transposed(signal: Any, name: str) -> np.ndarray:
    if np.ndim(signal) != 2:
        raise EcgError(f"{name}: a signal of shape {np.shape(signal)} is not (samples, leads)")
    return signal.T


def _is_rdsamp(value: Any) -> bool:
    """Whether a value is the pair of samples and fields that `wfdb.rdsamp` returns."""
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    return is_pair and isinstance(value[0], np.ndarray) and isinstance(value[1], Mapping) and "sig_name" in value[1]


def _is_list(value: Any) -> bool:
    """Whether a value has elements in a fixed order: a list, a tuple, an array, a column of a table."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.ndim > 0 and not _is_nested(value)
    return isinstance(value, list | tuple) or (hasattr(value, "tolist") and getattr(value, "ndim", 0) == 1)


def _is_nested(value: Any) -> bool:
    """Whether a value is a nested tensor, which has neither a shape nor a length."""
    return isinstance(value, torch.Tensor) and value.is_nested


def _is_matrix(value: Any) -> bool:
    """Whether a value is a list of leads that are lists or arrays of numbers."""
    if not isinstance(value, list | tuple) or len(value) == 0:
        return False
    if isinstance(value[0], np.ndarray | torch.Tensor):
        return value[0].ndim == 1
    return isinstance(value[0], list | tuple) and len(value[0]) > 0 and isinstance(value[0][0], int | float | np.number)


def _to_rate(value: Any, name: str) -> float:
    try:
        rate = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: a tensor without data
        rate = math.nan
    if not math.isfinite(rate):
        raise EcgError(f"{name}: sampling_rate={show(value)} is not a number of Hz")
    return rate


def _to_strings(value: Any, name: str, argument: str) -> tuple[str, ...]:
    if isinstance(value, str):
        raise EcgError(f"{name}: {argument}={value!r} is a string; pass a list of names, even for one lead")
    if not _is_list(value):
        raise EcgError(f"{name}: {argument}={show(value)} is not a list of strings")
    for entry in value:
        if not isinstance(entry, str):
            raise EcgError(f"{name}: {argument} has the entry {show(entry)}, which is not a string")
    return tuple(map(str, value))


def _to_units(value: Any, leads: int, name: str) -> tuple[str, ...]:
    return per_lead(value if isinstance(value, str) else _to_strings(value, name, "units"), leads, name)


def _to_numbers(value: Any, leads: int, name: str, argument: str) -> np.ndarray:
    """One number for each lead."""
    numbers, _ = _to_real_array(value, name, argument)
    if numbers.shape not in ((), (leads,)):
        raise EcgError(f"{name}: {argument} must be one number, or one for each of the {leads} leads")
    return np.broadcast_to(numbers, leads)


def _to_real_array(value: Any, name: str, argument: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The array of real numbers, and the mask of its invalid elements if it is a masked array that has any."""
    try:
        array = _to_numpy(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise EcgError(
            f"{name}: its {argument}, {type(value).__name__}, cannot be converted to an array: {error}"
        ) from None
    if array.dtype.kind not in "iuf":
        raise EcgError(f"{name}: its {argument} has the type {array.dtype}; pass real numbers in a rectangular array")
    if not np.ma.is_masked(array):
        return np.asarray(array), None
    mask = np.ma.getmaskarray(array)
    return np.where(mask, array.dtype.type(0), np.ma.getdata(array)), mask


def _to_numpy(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_quantized or value.is_nested:
            raise TypeError("pass a dense tensor of numbers")
        value = value.detach().cpu()
        if value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64):
            value = value.float()
        return value.numpy()
    if isinstance(value, list | tuple):
        value = [_to_numpy(part) if isinstance(part, torch.Tensor | np.ma.MaskedArray) else part for part in value]
        if any(isinstance(part, np.ma.MaskedArray) for part in value):
            return np.ma.stack([np.ma.asarray(part) for part in value])
    try:
        return np.asanyarray(value)
    except ValueError:  # a list of leads of different lengths
        return np.asarray(value, dtype=object)


def _check_consistency(recording: Recording, sampling_rate: Any, leads: Any, units: Any) -> Recording:
    """Check a recording in itself and against the arguments of the call, which may name leads that have no name."""
    name, signal, own = recording.name, recording.signal, tuple(recording.lead_names)
    leads = own if leads is None else leads
    if signal.ndim != 2:
        raise EcgError(f"{name}: a signal of shape {signal.shape} is not (leads, samples)")
    for names in (own, leads):
        if len(names) != signal.shape[0]:
            advice = "; its axes are swapped, transpose it" if len(names) == signal.shape[1] else ""
            raise EcgError(f"{name}: {len(names)} lead names for a signal of shape {signal.shape}{advice}")
    if len(recording.units) != len(leads):
        raise EcgError(f"{name}: {len(recording.units)} units for {len(leads)} leads; give one for each")
    if sampling_rate is not None and not math.isclose(sampling_rate, recording.sampling_rate, rel_tol=1e-6):
        raise EcgError(
            f"{name}: sampling_rate={sampling_rate:g} was passed, but the record says {recording.sampling_rate:g} Hz; "
            "pass none, or correct the record"
        )
    for given, recorded in zip(leads, own):
        if standard_lead(recorded) not in (None, standard_lead(given)):
            raise EcgError(
                f"{name}: leads= names {given!r} where the record says {recorded!r}; pass none, or correct the record"
            )
    if units is not None:
        for lead, given, recorded in zip(leads, _to_units(units, len(leads), name), recording.units):
            if given != recorded and millivolts_per(given) != millivolts_per(recorded):
                raise EcgError(f"{name}: units={given!r} was passed, but its lead {lead} is in {recorded!r}; pass none")
    if recording.gain is not None:
        for lead, gain in zip(leads, recording.gain.tolist()):
            if gain == 0 or not math.isfinite(gain):
                raise EcgError(f"{name}: lead {lead} has the gain {gain:g}; correct it in its header or row")
    return replace(recording, lead_names=leads, units=tuple(recording.units))
