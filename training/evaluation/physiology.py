"""Linear regression of physiological quantities (intervals, axis and amplitudes) from frozen features.

    >>> features = {split: embed(encoder, dataset[split]) for split in dataset}  # doctest: +SKIP
    >>> truths = {split: simulated_truths(dataset[split]["record_id"], seed=0) for split in dataset}  # doctest: +SKIP
    >>> physiology(features, truths)["qrs"]["r2"]  # doctest: +SKIP
    {'value': 0.71, 'low': 0.66, 'high': 0.75}

The true values of simulated recordings are known exactly, see [`simulated_truths`]. Real recordings are measured by
[`measure`] or another program: any table with columns of `QUANTITIES` works. Measurement errors limit the explained
variance.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from ...processing.beats_merit import find_beats, find_waves
from ...processing.inputs_merit import recording_of_row
from ...processing.leads_merit import STANDARD_LEADS
from ..batching.collator import ecg_rows
from ..data.schema import resample
from ..scoring.metrics import interval, resample_counts
from ..simulation.parameters import EcgParameters, sample_parameters
from ..simulation.waves import qrs_in_leads

# Each quantity and its unit.
QUANTITIES = {
    "heart_rate": "1/min",
    "pr": "ms",
    "qrs": "ms",
    "qt": "ms",
    "axis": "degrees",
    "r_v5": "mV",
    "s_v1": "mV",
    "st_v5": "mV",
}
# L2 penalties relative to the mean squared error of a record, on standardised features.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
MEASURED_AT = 500  # Hz; neurokit2 delineates recordings at such rates best
ST_AFTER = 0.06  # s from the end of QRS


def physiology(
    features: Mapping[str, np.ndarray], truths: Mapping[str, pd.DataFrame], resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """
    Regress each quantity from frozen features by ridge regression, its penalty chosen on "validation".

    The axis is an angle: its cosine and sine are regressed, and scored together.

    Args:
        features: (records, dim) of "train", "validation" and "test".
        truths: of the same splits, a row for each record and a column for each quantity, NaN where there is none; with
            a column patient_id, the bootstrap draws patients instead of records.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        for each quantity of the truths: "unit", "r2" on "test" with its interval, its "replicates", `(resamples,)`, the
        "penalty", and the number of "records" with a true value in each split. Replicates of different features on the
        same records can be paired.

    Raises:
        ValueError: features and truths do not have the same records, or no quantity is known.
    """
    splits = ("train", "validation", "test")
    for split in splits:
        if len(features[split]) != len(truths[split]):
            raise ValueError(f"{split}: {len(features[split])} features and {len(truths[split])} truths.")
    names = [name for name in QUANTITIES if all(name in truths[split] for split in splits)]
    if not names:
        raise ValueError(f"The truths hold none of {', '.join(QUANTITIES)}.")
    found = {}
    for name in names:
        known = {split: np.flatnonzero(truths[split][name].notna()) for split in splits}
        found[name] = {"unit": QUANTITIES[name], "records": {split: len(rows) for split, rows in known.items()}}
        if min(found[name]["records"].values()) < 2:
            r2 = np.full(1 + resamples, np.nan)
            found[name] |= {"r2": interval(r2), "replicates": r2[1:], "penalty": None}
            continue
        x = {split: np.asarray(features[split])[rows] for split, rows in known.items()}
        y = {split: _targets(name, truths[split][name].to_numpy(float)[rows]) for split, rows in known.items()}
        scaler = StandardScaler().fit(x["train"])
        x = {split: np.asarray(scaler.transform(values)) for split, values in x.items()}
        regressions = [Ridge(alpha=penalty * len(x["train"])).fit(x["train"], y["train"]) for penalty in PENALTIES]
        once = np.ones((len(x["validation"]), 1))
        scores = [_r2(y["validation"], _predicted(fit, x["validation"]), once)[0] for fit in regressions]
        best = int(np.argmax(scores))
        test = truths["test"].iloc[known["test"]]
        units = test["patient_id"].to_numpy() if "patient_id" in test else np.arange(len(test))
        counts = resample_counts(units, resamples, seed)
        r2 = _r2(y["test"], _predicted(regressions[best], x["test"]), counts)
        found[name] |= {"r2": interval(r2), "replicates": r2[1:], "penalty": PENALTIES[best]}
    return found


def _targets(name: str, values: np.ndarray) -> np.ndarray:
    """Regression targets, (records, targets)."""
    if name == "axis":
        return np.stack([np.cos(np.radians(values)), np.sin(np.radians(values))], axis=1)
    return values[:, None]


def _predicted(fit: Ridge, x: np.ndarray) -> np.ndarray:
    return np.asarray(fit.predict(x)).reshape(len(x), -1)


def _r2(y: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The share of variance explained in each resample, (resamples,), over (records, targets)."""
    total = counts.sum(0, dtype=np.float64)
    centred = y - y.mean(0)  # for numerical precision
    mean = centred.T @ counts / total
    variance = (centred**2).sum(1) @ counts / total - (mean**2).sum(0)
    error = ((y - predicted) ** 2).sum(1) @ counts / total
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 0, 1 - error / variance, np.nan)


def simulated_truths(record_ids: Iterable[str], seed: int) -> pd.DataFrame:
    """
    The true values of recordings that `merit simulate` wrote with this seed, which determines their parameters.

    Args:
        record_ids: such as "records100/00000/00001_lr".
        seed: of the tree, named in its README.
    """
    ecg_ids = [int(Path(record_id).name.split("_")[0]) for record_id in record_ids]
    return pd.DataFrame([truth_of(sample_parameters(np.random.default_rng([seed, ecg_id]))) for ecg_id in ecg_ids])


def truth_of(parameters: EcgParameters) -> dict[str, float]:
    """The quantities of a simulated heart; NaN for the PR interval of a beat without P wave."""
    qrs = qrs_in_leads(parameters.qrs_waves, parameters.electrode_field)
    return {
        "heart_rate": parameters.heart_rate,
        "pr": 1000 * parameters.pr,
        "qrs": 1000 * parameters.qrs_duration,
        "qt": 1000 * parameters.qt,
        "axis": parameters.qrs_axis,
        "r_v5": float(qrs[STANDARD_LEADS.index("V5")].max()),
        "s_v1": float(-qrs[STANDARD_LEADS.index("V1")].min()),
        "st_v5": parameters.st_v5,
    }


def measure(dataset: Dataset) -> pd.DataFrame:
    """
    Quantities of real twelve-lead recordings, from a delineation of lead II by neurokit2; NaN where that fails.

    On 98 simulated recordings at 100 Hz the median of its absolute errors was 0.1 per minute of the heart rate, 10 ms
    of PR and 11 ms of QT (both too short), 6 ms of QRS (too long), 1 degree, 0.007 mV of R, 0.008 mV of S and 0.007 mV
    of ST.

    neurokit2 needs pandas below 3. If you use a later pandas, run this function in a separate environment and save the
    table as a CSV file.

    Args:
        dataset: a split, as `load_data` returns it.

    Returns:
        a row for each record, with record_id.

    Raises:
        ImportError: neurokit2 is not installed.
    """
    try:
        import neurokit2  # type: ignore[import-not-found]
    except ImportError:
        raise ImportError(
            "Measuring recordings needs neurokit2, which needs pandas below 3: install merit-ecg[train] and neurokit2 "
            "in an environment of their own, and keep the table that measure() returns there as a CSV file."
        ) from None
    table = []
    rows: Any = ecg_rows(dataset)
    for row in rows:
        recording = resample(recording_of_row(row, str(row["record_id"])), MEASURED_AT)
        leads = dict(zip(recording.lead_names, np.nan_to_num(recording.physical())))
        try:
            quantities = _measured(neurokit2, leads)
        except (ArithmeticError, LookupError, ValueError):  # raised by neurokit2 if it finds no beats
            quantities = {}
        table.append({"record_id": row["record_id"], **{name: quantities.get(name, math.nan) for name in QUANTITIES}})
    return pd.DataFrame(table)


def _measured(neurokit2: Any, leads: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Medians over the beats of one recording at `MEASURED_AT`."""
    beats_at = find_beats(np.stack(list(leads.values())), MEASURED_AT)
    waves = find_waves(neurokit2, leads["II"], beats_at, MEASURED_AT)
    p, start, end, t = (
        MEASURED_AT * waves[f"ECG_{name}"] for name in ("P_Onsets", "R_Onsets", "R_Offsets", "T_Offsets")
    )
    milliseconds = 1000 / MEASURED_AT
    whole = ~np.isnan(start) & ~np.isnan(end) & (end > start)
    beats = [(round(first), round(last)) for first, last in zip(start[whole], end[whole])]

    def per_beat(lead: str, quantity: Any) -> list[float]:
        """A quantity of each QRS complex, in millivolts relative to the level at its start."""
        values = leads[lead]
        return [
            quantity(values[first : last + 1] - values[max(0, first - 10) : first + 1].mean()) for first, last in beats
        ]

    def st(first: int, last: int) -> float:
        values, after = leads["V5"], last + round(ST_AFTER * MEASURED_AT)
        return values[after] - values[max(0, first - 10) : first + 1].mean() if after < len(values) else math.nan

    area_i, area_avf = (np.median(per_beat(lead, np.sum)) for lead in ("I", "aVF"))
    return {
        "heart_rate": 60 / float(np.mean(np.diff(beats_at))),
        "pr": milliseconds * _median(start - p),
        "qrs": milliseconds * _median(end - start),
        "qt": milliseconds * _median(t - start),
        "axis": math.degrees(math.atan2(2 * area_avf, math.sqrt(3) * area_i)),
        "r_v5": _median(per_beat("V5", np.max)),
        "s_v1": -_median(per_beat("V1", np.min)),
        "st_v5": _median([st(first, last) for first, last in beats]),
    }


def _median(values: Sequence[float] | np.ndarray) -> float:
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    return float(np.median(known)) if len(known) else math.nan
