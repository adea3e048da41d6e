"""Names of leads, and the limb leads that follow from others."""

import re
from functools import lru_cache

import numpy as np

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# Each limb lead as a combination of I and II: the frontal plane has two dimensions.
LIMB_LEADS = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])
_LEAD_NAME = re.compile(
    r"(?:(?:MDC|ECG|EKG|LEAD)[ _:-]*)*?"
    r"(?:(?:ML|L|D)?(?P<roman>I{1,3})|(?:ML|L|D|LEAD[ _]?)(?P<digit>[123])"
    r"|A ?V ?(?P<augmented>[RLF])|[VC] ?(?P<chest>[1-6]))"
)


@lru_cache(maxsize=4096)
def standard_lead(name: str) -> str | None:
    """The standard lead that goes by a name in any usual spelling, or `None`.

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


def derive_limb_leads(values: np.ndarray, present: np.ndarray) -> None:
    """Fill in missing limb leads, in place, from the first two that are present."""
    limb = present[:, :6]
    if limb.all():
        return
    for pattern in np.unique(limb, axis=0):
        given, missing = np.flatnonzero(pattern)[:2], np.flatnonzero(~pattern)
        if len(given) == 2 and len(missing):
            rows = np.flatnonzero((limb == pattern).all(axis=1))
            weights = LIMB_LEADS[missing] @ np.linalg.inv(LIMB_LEADS[given])
            values[np.ix_(rows, missing)] = weights.astype(np.float32) @ values[np.ix_(rows, given)]
            present[np.ix_(rows, missing)] = True
