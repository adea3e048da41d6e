"""The ECG statements that can be simulated, and which of them can occur together.

Statements are SCP-ECG codes as PTB-XL uses them: rhythms such as "AFIB" and findings such as "CLBBB".
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

__all__ = [
    "FINDINGS",
    "INFARCTIONS",
    "RHYTHMS",
    "STATEMENTS",
    "are_compatible",
    "complete_statements",
    "sample_statements",
]

SINUS_RHYTHMS = ("SR", "SBRAD", "STACH", "SARRH")
RHYTHMS = (*SINUS_RHYTHMS, "AFIB", "AFLT", "PACE")
INFARCTIONS = ("IMI", "AMI", "LMI")
FINDINGS = (
    *("PAC", "PVC", "1AVB", "CLBBB", "CRBBB", "LAFB", "LVH", "RVH"),
    *(*INFARCTIONS, "STD_", "INVT", "LVOLT"),
)
STATEMENTS = ("NORM", *RHYTHMS, *FINDINGS)
# A recording whose statements are all among these is normal.
NORMAL_STATEMENTS = {*SINUS_RHYTHMS, "PAC", "NORM"}
# For each statement, those that it excludes or hides on the tracing.
_EXCLUDED_BY = {
    "PACE": set(FINDINGS),
    "AFIB": {"PAC", "1AVB"},
    "AFLT": {"PAC", "PVC", "1AVB", "STD_", "INVT", "LVOLT", "IMI"},
    "STACH": {"1AVB"},
    "SARRH": {"PAC", "PVC"},
    "PAC": {"PVC"},
    "CLBBB": {"CRBBB", "LAFB", "LVH", "RVH", "IMI", "AMI", "LMI", "STD_", "INVT", "LVOLT"},
    "CRBBB": {"LVH", "RVH", "LVOLT"},
    "LAFB": {"RVH", "IMI", "LMI", "LVOLT"},
    "LVH": {"LAFB", "RVH", "STD_", "INVT", "LVOLT", "AMI", "LMI"},
    "RVH": {"IMI", "AMI", "LMI", "STD_", "INVT", "LVOLT"},
    "IMI": {"AMI", "LMI", "STD_", "INVT"},
    "AMI": {"LMI", "STD_", "INVT"},
    "LMI": {"STD_", "INVT", "LVOLT"},
    "LVOLT": {"STD_", "INVT"},
}
# Sampling weights of the rhythms, and of the number of findings.
_RHYTHM_WEIGHTS = {"SR": 58, "SBRAD": 9, "STACH": 9, "SARRH": 7, "AFIB": 9, "AFLT": 4, "PACE": 4}
_FINDING_COUNT_WEIGHTS = {0: 0.42, 1: 0.38, 2: 0.17, 3: 0.03}

_Key = TypeVar("_Key")


def are_compatible(statements: Sequence[str]) -> bool:
    """Return whether these statements can all be visible on one tracing.

    >>> are_compatible(("AFIB", "CRBBB")), are_compatible(("AFIB", "1AVB"))
    (True, False)
    """
    rhythms = [code for code in statements if code in RHYTHMS]
    return len(rhythms) <= 1 and not any(
        other in _EXCLUDED_BY.get(code, ()) for code in statements for other in statements
    )


def complete_statements(statements: Sequence[str]) -> tuple[str, ...]:
    """Return the statements in the order of `STATEMENTS`, with "SR" if no rhythm is given and "NORM" if all are normal.

    Raises:
        ValueError: a code cannot be simulated, or the codes cannot occur together.
    """
    unknown = [code for code in statements if code not in STATEMENTS]
    if unknown:
        raise ValueError(f"cannot simulate {', '.join(unknown)}; the known statements are {', '.join(STATEMENTS)}")
    if not are_compatible(statements):
        raise ValueError(f"{', '.join(statements)} cannot occur together on one tracing")
    complete = set(statements)
    if not complete & set(RHYTHMS):
        complete.add("SR")
    if complete <= NORMAL_STATEMENTS:
        complete.add("NORM")
    elif "NORM" in complete:
        raise ValueError(f"{', '.join(statements)}: NORM cannot be combined with an abnormal statement")
    return tuple(code for code in STATEMENTS if code in complete)


def sample_statements(rng: np.random.Generator) -> tuple[str, ...]:
    """Draw a rhythm and up to three compatible findings; about a third of the draws are normal."""
    rhythm = _choose(rng, _RHYTHM_WEIGHTS)
    count = _choose(rng, _FINDING_COUNT_WEIGHTS)
    chosen = (rhythm,)
    for finding in rng.permutation(FINDINGS):
        if len(chosen) <= count and are_compatible((*chosen, str(finding))):
            chosen = (*chosen, str(finding))
    return complete_statements(chosen)


def _choose(rng: np.random.Generator, weights: Mapping[_Key, float]) -> _Key:
    """Draw a key with a probability proportional to its weight."""
    probabilities = np.array(list(weights.values()), dtype=float)
    return list(weights)[rng.choice(len(weights), p=probabilities / probabilities.sum())]
