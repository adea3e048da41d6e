"""Bootstrap replicates as text in a result file."""

import numpy as np


def encode_replicates(values: np.ndarray) -> str:
    """Replicates in units of 0.00001, on one line of a result file; "-" where a resample has no figure."""
    return " ".join(str(round(value * 1e5)) if np.isfinite(value) else "-" for value in values.tolist())


def decode_replicates(text: str) -> np.ndarray:
    """
    Example:
        >>> decode_replicates(encode_replicates(np.array([0.5, 0.93412])))
        array([0.5    , 0.93412])
    """
    return np.array([np.nan if value == "-" else int(value) / 1e5 for value in text.split()])
