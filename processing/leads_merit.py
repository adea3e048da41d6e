"""Lead names and units, and the limb leads that can be computed from other limb leads."""

import re
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .recording_base_merit import EcgError

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

LIMB_LEADS = STANDARD_LEADS[:6]
# Each row gives one of `LIMB_LEADS` as a combination of I and II.
LIMB_LEAD_WEIGHTS = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])
_LEAD_NAME = re.compile(
    r"(?:(?:MDC|ECG|EKG|LEAD)[ _:-]*)*?"
    r"(?:(?:ML|L|D)?(?P<roman>I{1,3})|(?:ML|L|D|LEAD[ _]?)(?P<digit>[123])"
    r"|A ?V ?(?P<augmented>[RLF])|[VC] ?(?P<chest>[1-6]))"
)
_MILLIVOLTS = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "μv": 1e-3, "nv": 1e-6}  # casefold turns the sign µ into the letter μ


@lru_cache(maxsize=4096)
def standard_lead(name: str) -> str | None:
    """The standard name of a lead from any usual spelling of it, or `None` if it is not a standard lead.

    Example:

    ```python
    >>> [standard_lead(name) for name in ("AVR", "Lead I", "MLII", "v 1", "-aVR", "RESP")]
    ['aVR', 'I', 'II', 'V1', None, None]

    ```
    """
    match = _LEAD_NAME.fullmatch(name.strip().upper())
    if match is None:
        return None
    if match["roman"] or match["digit"]:
        return match["roman"] or "I" * int(match["digit"])
    return f"aV{match['augmented']}" if match["augmented"] else f"V{match['chest']}"


def millivolts_per(unit: str) -> float | None:
    """Millivolts per unit, or `None` if the unit is not a voltage."""
    return _MILLIVOLTS.get(unit.strip().casefold())


def at_one_rate(leads: Sequence[str], rates: Sequence[float], name: str) -> list[int]:
    """The channels at the sampling rate of the ECG leads; the others are left out with a warning.

    Args:
        leads (`list[str]`): The name of each channel, empty where it has none.
        rates (`list[float]`): The sampling rate of each channel.
        name (`str`): Name of the recording in messages.

    Raises:
        EcgError: the ECG leads have different rates, or the rates differ and no channel is an ECG lead.
    """
    if len(set(rates)) == 1:
        return list(range(len(rates)))
    channels = enumerate(zip(leads, rates))
    described = ", ".join(f"{channel_label(lead, i)} at {rate:g} Hz" for i, (lead, rate) in channels)
    lead_rates = {rate for lead, rate in zip(leads, rates) if standard_lead(lead)}
    if len(lead_rates) != 1:
        which = "its leads have different sampling rates" if lead_rates else "none of its channels is a standard lead"
        raise EcgError(f"{name}: {which}: {described}; store leads of one rate in a record of their own")
    rate = lead_rates.pop()
    left_out = [channel_label(lead, i) for i, (lead, other) in enumerate(zip(leads, rates)) if other != rate]
    warnings.warn(f"{name}: {', '.join(left_out)} left out, because the leads are at {rate:g} Hz", stacklevel=3)
    return [i for i, other in enumerate(rates) if other == rate]


def channel_label(lead: str, channel: int) -> str:
    """What to call a channel in messages."""
    return lead or f"channel {channel}"


@lru_cache(maxsize=256)
def select_leads(
    names: tuple[str, ...], units: tuple[str, ...], wanted: tuple[str, ...], ignore_unknown: bool
) -> tuple[tuple[str, ...], Any, np.ndarray]:
    """Select the channels of a recording that hold wanted leads.

    Args:
        names (`tuple[str, ...]`): The name of each channel, in any usual spelling.
        units (`tuple[str, ...]`): The unit of each channel.
        wanted (`tuple[str, ...]`): Standard names of the leads to select.
        ignore_unknown (`bool`): Whether to skip channels that are not standard leads instead of raising.

    Returns:
        The standard names of the selected leads, the index that selects their channels, and the millivolts per unit of
        each.

    Raises:
        EcgError: a channel is not a standard lead (unless `ignore_unknown`), a lead occurs twice, its unit is not V,
            mV, uV or nV, or no lead is left.
    """
    leads, channels, millivolts = [], [], []
    for channel, (name, unit) in enumerate(zip(names, units)):
        lead = standard_lead(name)
        if lead is None and ignore_unknown:
            continue
        if lead is None:
            what = f"channel {channel}, {name!r}, is not a standard lead" if name else f"channel {channel} has no name"
            raise EcgError(f"{what}; name it with leads=, remove it, or set ignore_unknown_leads=True to leave it out")
        if lead in leads:
            raise EcgError(f"lead {lead} occurs twice in {', '.join(names)}; keep one of them")
        if millivolts_per(unit) is None:
            raise EcgError(f"lead {lead} has the units {unit!r}, not one of mV, uV, nV, V; correct them")
        if lead in wanted:
            leads.append(lead)
            channels.append(channel)
            millivolts.append(millivolts_per(unit))
    if not leads:
        raise EcgError(f"none of its leads, {', '.join(names)}, is among the leads in use: {', '.join(wanted)}")
    # A slice selects all channels without a copy.
    selection = slice(None) if channels == list(range(len(names))) else channels
    return tuple(leads), selection, np.array(millivolts)


def derive_limb_leads(values: np.ndarray, present: np.ndarray) -> None:
    """Compute missing limb leads from the first two limb leads present, in place.

    Args:
        values (`np.ndarray` of shape `(recordings, 12, samples)`): Millivolts, leads in standard order.
        present (`np.ndarray` of shape `(recordings, 12)`): Which leads are there; derived leads are added.
    """
    limb = present[:, : len(LIMB_LEADS)]
    if limb.all():
        return
    for pattern in np.unique(limb, axis=0):
        given, missing = np.flatnonzero(pattern)[:2], np.flatnonzero(~pattern)
        if len(given) == 2 and len(missing):
            rows = np.flatnonzero((limb == pattern).all(axis=1))
            weights = LIMB_LEAD_WEIGHTS[missing] @ np.linalg.inv(LIMB_LEAD_WEIGHTS[given])
            values[np.ix_(rows, missing)] = weights.astype(np.float32) @ values[np.ix_(rows, given)]
            present[np.ix_(rows, missing)] = True
