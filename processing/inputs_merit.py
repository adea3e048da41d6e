"""Input in any accepted form (paths, arrays, rows, recordings) as a list of `Recording`."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .leads_merit import millivolts_per, standard_lead
from .recordings_merit import EcgError, Recording, per_lead, read_recording


def to_recordings(ecg: Any, sampling_rate: Any = None, leads: Any = None, units: Any = None) -> list[Recording]:
    """Convert a recording or a list of recordings; see `MeritFeatureExtractor.__call__` for what is accepted.

    Raises:
        EcgError: something is not a recording, its description is incomplete, or it contradicts an argument.
    """
    many = isinstance(ecg, Sequence) and not isinstance(ecg, str)
    many = many or (isinstance(ecg, np.ndarray | torch.Tensor) and ecg.ndim == 3)
    items = list(ecg) if many else [ecg]
    if not items:
        raise EcgError("ecg is empty; pass at least one recording")

    def for_each(value: Any, argument: str, is_list: bool) -> list[Any]:
        if not (many and is_list):
            return [value] * len(items)
        if len(value) != len(items):
            raise EcgError(f"{argument} has {len(value)} entries for {len(items)} recordings; pass one for each")
        return list(value)

    rates = for_each(sampling_rate, "sampling_rate", np.ndim(sampling_rate) == 1)
    names = for_each(leads, "leads", leads is not None and not all(isinstance(lead, str) for lead in leads))
    units = for_each(units, "units", units is not None and not isinstance(units, str))
    return [
        _to_recording(item, f"recording {index}", *description)
        for index, (item, *description) in enumerate(zip(items, rates, names, units))
    ]


def recording_of_row(
    row: Mapping, name: str = "recording", sampling_rate: Any = None, leads: Any = None, units: Any = None
) -> Recording:
    """Convert a mapping such as a row of a data set; the arguments are used for what it does not contain."""
    name = str(row.get("record_id", name))

    def required(key: str, value: Any, argument: str, example: str) -> Any:
        value = value if row.get(key) is None else row[key]
        if value is None:
            raise EcgError(f"{name}: its {argument} is not known; pass {argument}=, for example {argument}={example}")
        return value

    if row.get("signal") is None:
        raise EcgError(f"{name}: the mapping has no 'signal', only {', '.join(map(str, row))}")
    signal = _to_numpy(row["signal"])
    if signal.dtype.kind not in "iuf":
        raise EcgError(f"{name}: its signal has the type {signal.dtype}; pass real numbers in a rectangular array")
    rate = _to_rate(required("sampling_rate", sampling_rate, "sampling_rate", "500"), name)
    lead_names = _to_names(required("lead_names", leads, "leads", "['I', 'II']"), name)
    if signal.ndim == 1 and lead_names and signal.size % len(lead_names) == 0:
        signal = signal.reshape(len(lead_names), -1)
    if row.get("gain") is not None and units is None:
        units = "mV"
    units = per_lead(required("units", units, "units", "'mV'"), len(lead_names), name)
    if row.get("gain") is None:
        return Recording(name, signal, rate, lead_names, units)

    if signal.dtype.kind == "f":
        raise EcgError(f"{name}: gain= is for digital samples, but the signal has the type {signal.dtype}")
    if signal.size and signal.min() >= -32768 and signal.max() <= 32767:
        signal = signal.astype(np.int16, copy=False)  # lists become int64, but -32768 marks invalid samples there too
    gain, baseline = _to_numpy(row["gain"]), _to_numpy(0 if row.get("baseline") is None else row["baseline"])
    if not {gain.shape, baseline.shape} <= {(), (len(lead_names),)}:
        raise EcgError(f"{name}: gain and baseline must be one number, or one for each of the {len(lead_names)} leads")
    return Recording(
        name,
        signal,
        rate,
        lead_names,
        units,
        np.broadcast_to(gain, len(lead_names)),
        np.broadcast_to(baseline, len(lead_names)),
    )


def _to_recording(item: Any, name: str, sampling_rate: Any, leads: Any, units: Any) -> Recording:
    sampling_rate = None if sampling_rate is None else _to_rate(sampling_rate, name)
    leads = None if leads is None else _to_names(leads, name)
    if isinstance(item, str | os.PathLike):
        recording = read_recording(item, sampling_rate, units)
    elif isinstance(item, Recording):
        recording = item
    elif isinstance(item, Mapping):
        recording = recording_of_row(item, name, sampling_rate, leads, units)
    elif isinstance(item, np.ndarray | torch.Tensor) and item.ndim == 2:
        recording = recording_of_row({"signal": item}, name, sampling_rate, leads, units)
    else:
        what = f"an array of shape {tuple(item.shape)}" if hasattr(item, "shape") else f"{item!r:.60}"
        raise EcgError(
            f"{name}: {what} is not a recording; pass a path, an array of shape (leads, samples), "
            "a Recording or a mapping"
        )
    return _check_consistency(recording, sampling_rate, leads, units)


def _to_rate(value: Any, name: str) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = math.nan
    if not math.isfinite(rate):
        raise EcgError(f"{name}: sampling_rate={value!r} is not a number of Hz")
    return rate


def _to_names(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str):
        raise EcgError(f"{name}: leads={value!r} is a string; pass a list of names, even for one lead")
    return tuple(map(str, value))


def _to_numpy(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype == torch.bfloat16 else value
    try:
        return np.asarray(value)
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
        for lead, given, recorded in zip(leads, per_lead(units, len(leads), name), recording.units):
            if given != recorded and millivolts_per(given) != millivolts_per(recorded):
                raise EcgError(f"{name}: units={given!r} was passed, but its lead {lead} is in {recorded!r}; pass none")
    if recording.gain is not None:
        for lead, gain in zip(leads, recording.gain.tolist()):
            if gain == 0 or not math.isfinite(gain):
                raise EcgError(f"{name}: lead {lead} has the gain {gain:g}; correct it in its header or row")
    return replace(recording, lead_names=leads, units=tuple(recording.units))
