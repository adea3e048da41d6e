"""Metrics of multi-label classification, computed on the records themselves and on any number of resamples at once.

A resample is a column of `counts`, the number of times that it holds each record. The first column of
[`resample_counts`] holds every record once, so a figure and its bootstrap replicates are computed in one array. Ranking
metrics sort the scores of a label once for all columns.
"""

from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

CALIBRATION_BINS = 10
# Beginnings of the names of metrics whose intervals are percentiles of the replicates.
PERCENTILE = ("auroc", "sensitivity", "specificity", "brier")
_BLOCK = 64


def resample_counts(units: np.ndarray, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """
    How often each resample holds each record, `(records, 1 + resamples)` float32; the first column is all ones.

    Args:
        units: `(records,)`, the unit of each record that is drawn with replacement: its patient, because recordings of
            one patient are similar, or the record itself where patients are not known.

    Example:
        >>> resample_counts(np.array([1, 1, 2]), resamples=3).shape
        (3, 4)
    """
    _, unit = np.unique(units, return_inverse=True)
    number = unit.max() + 1
    rng = np.random.default_rng(seed)
    counts = np.ones((len(unit), 1 + resamples), np.float32)
    for column in range(1, 1 + resamples):
        counts[:, column] = np.bincount(rng.integers(0, number, number), minlength=number)[unit]
    return counts


def ranking(targets: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Area under the ROC curve and average precision, as scikit-learn defines them, of each label in each resample.

    Args:
        targets: `(records, labels)` of 0 and 1.
        scores: `(records, labels)`; only their order within a label counts.
        counts: `(records, resamples)`, whole numbers.

    Returns:
        both `(labels, resamples)` float64, NaN where a resample has no positive or no negative of the label.
    """
    figures = np.full((2, targets.shape[1], counts.shape[1]), np.nan)
    cumulated, reached = np.zeros((2, len(counts) + 1, counts.shape[1]), np.float32)
    for label in np.flatnonzero(targets.any(0)):
        order = np.argsort(scores[:, label], kind="stable")
        _cumulate(counts, order, cumulated)
        ranked, positive = scores[order, label], np.flatnonzero(targets[order, label])
        weight = counts.take(order[positive], axis=0)
        total, positives = cumulated[-1], weight.sum(0)
        # Records below each positive, and up to it with those that tie.
        below = cumulated.take(np.searchsorted(ranked, ranked[positive]), axis=0)
        through = cumulated.take(np.searchsorted(ranked, ranked[positive], "right"), axis=0)
        # The pairs of positives among themselves make up half of positives squared, whatever their order.
        pairs = (weight * (below + through)).sum(0, dtype=np.float64) / 2 - positives.astype(np.float64) ** 2 / 2
        # What share positives are of all records from each of them upwards.
        _cumulate(counts, order[positive], reached)
        lower = reached.take(np.searchsorted(ranked[positive], ranked[positive]), axis=0)
        share = weight * (positives - lower) / np.maximum(total - below, 1).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            both = pairs / (positives * (total - positives).astype(np.float64)), share.sum(0) / positives
        figures[:, label] = np.where((positives > 0) & (positives < total), both, np.nan)
    return figures[0], figures[1]


def auroc(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The AUROC of [`ranking`] on the records themselves, `(labels,)`, fast enough for model selection."""
    positives = targets.sum(0, dtype=np.float64)
    ranks = np.where(targets, rankdata(scores, axis=0), 0).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (ranks - positives * (positives + 1) / 2) / (positives * (len(targets) - positives))


def _cumulate(counts: np.ndarray, order: np.ndarray, out: np.ndarray) -> None:
    """Cumulative sums of `counts` in `order`, into the rows of `out`; ten times faster than np.cumsum along axis 0."""
    for rank, record in enumerate(order):
        np.add(out[rank], counts[record], out=out[rank + 1])


def at_thresholds(
    targets: np.ndarray, scores: np.ndarray, thresholds: np.ndarray, counts: np.ndarray
) -> dict[str, np.ndarray]:
    """
    "f1", "sensitivity" and "specificity" of predictions: a score at or above the threshold of its label is positive.

    Returns:
        each `(labels, resamples)`; NaN where a resample has no positive, or for specificity no negative.
    """
    predicted, targets = scores >= thresholds, targets.astype(bool)
    total = counts.sum(0)
    true, positives, predictions = (_sums(which, counts) for which in (predicted & targets, targets, predicted))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "f1": np.where(positives > 0, 2 * true / (positives + predictions), np.nan),
            "sensitivity": true / positives,
            "specificity": 1 - (predictions - true) / (total - positives),
        }


def best_f1_thresholds(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """
    The threshold of each label with the highest F1, `(labels,)`, halfway to the next lower score.

    A label without positives has an infinite threshold.

    Example:
        >>> best_f1_thresholds(np.array([[0], [0], [1], [1]]), np.array([[1.0], [3.0], [2.0], [4.0]]))
        array([1.5])
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(scores, order, 0)
    true = np.cumsum(np.take_along_axis(targets, order, 0), axis=0, dtype=np.float64)
    f1 = 2 * true / (true[-1] + np.arange(1, len(true) + 1)[:, None])
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # a threshold cannot separate equal scores
    return _threshold_after(ranked, f1.argmax(0), true[-1] > 0)


def specificity_thresholds(targets: np.ndarray, scores: np.ndarray, specificity: float) -> np.ndarray:
    """The lowest threshold of each label with at least this specificity, `(labels,)`."""
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(scores, order, 0)
    negatives = np.cumsum(1 - np.take_along_axis(targets, order, 0).astype(np.float64), axis=0)
    # The tolerance covers rounding in the product.
    allowed = negatives <= (1 - specificity) * negatives[-1] + 1e-9
    allowed[:-1][ranked[:-1] == ranked[1:]] = False
    last = len(allowed) - 1 - allowed[::-1].argmax(0)
    return _threshold_after(ranked, last, allowed.any(0))


def _threshold_after(ranked: np.ndarray, position: np.ndarray, exists: np.ndarray) -> np.ndarray:
    """Halfway between the descending scores at `position` and after it; infinite where there is none."""
    after = np.minimum(position + 1, len(ranked) - 1)
    columns = np.arange(ranked.shape[1])
    here, following = ranked[position, columns], ranked[after, columns]
    midpoint = here + (following - here) / 2
    return np.where(exists, np.where(midpoint > following, midpoint, here), np.inf)


def fit_calibration(targets: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Slope and intercept, both `(labels,)`, from scores to log-odds, by a logistic regression for each label.

    A label with only positive or only negative records gets its smoothed frequency, independent of the score.
    """
    slope, intercept = np.zeros((2, targets.shape[1]))
    for label, (target, score) in enumerate(zip(targets.T, scores.T.astype(np.float64))):
        positives = int(target.sum())
        if 0 < positives < len(target):
            scaler = StandardScaler().fit(score[:, None])
            model = LogisticRegression(solver="newton-cholesky").fit(scaler.transform(score[:, None]), target)
            slope[label] = model.coef_[0, 0] / scaler.scale_[0]  # type: ignore[index]
            intercept[label] = model.intercept_[0] - slope[label] * scaler.mean_[0]  # type: ignore[index]
        else:
            intercept[label] = np.log((positives + 0.5) / (len(target) - positives + 0.5))
    return slope, intercept


def calibration(targets: np.ndarray, probabilities: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """
    "brier", the mean squared error of probabilities, and "ece", the expected calibration error over ten bins of equal
    width; each `(labels, resamples)`.
    """
    total = counts.sum(0)
    error = (probabilities - targets).astype(np.float32)
    where = bins(probabilities)
    ece = sum(np.abs(_sums(np.where(where == one, error, 0), counts)) for one in range(CALIBRATION_BINS))
    return {"brier": _sums(error**2, counts) / total, "ece": ece / total}


def bins(probabilities: np.ndarray) -> np.ndarray:
    """The bin of each probability, 0 to 9."""
    return np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


def reliability(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, list]:
    """
    Predicted and observed share of positives in each bin of probability, over all labels, and the number of
    probabilities in it; both arguments are `(records, labels)`.
    """
    where = bins(probabilities).ravel()
    number = np.bincount(where, minlength=CALIBRATION_BINS)
    sums = (np.bincount(where, values.ravel(), len(number)) for values in (probabilities, targets))
    predicted, observed = ([rounded(value) for value in part / np.where(number, number, np.nan)] for part in sums)
    return {"predicted": predicted, "observed": observed, "number": number.tolist()}


def median(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The median over the records of each resample, `(resamples,)`; of two middle values the lower one."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(counts[order], axis=0)
    return values[order][(cumulated >= cumulated[-1] / 2).argmax(0)]


def mean_over_labels(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean over the labels that are defined in each resample, `(resamples,)`; NaN where none is."""
    weights = np.ones_like(values) if weights is None else weights
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values * weights, 0).sum(0) / (weights * defined).sum(0)


def interval(values: np.ndarray, metric: str = "") -> dict[str, float | None]:
    """
    A figure with its 95 % bootstrap interval; None where nothing is defined.

    The interval is the 2.5th and 97.5th percentile of the replicates. For all metrics but those of `PERCENTILE` it is
    moved so that the median of the replicates lies on the figure, and kept between 0 and 1 for figures that have these
    limits. Resampling biases these metrics: repeated positives raise the average precision, and noise raises a
    calibration error, so that percentiles alone miss the figure itself. benchmarks/bench_intervals.py measures the
    coverage of both, and of other intervals, for each metric.

    Args:
        values: `(1 + resamples,)`, the figure and its replicates.
        metric: the name of the figure.
    """
    value, replicates = values[0], values[1:][np.isfinite(values[1:])]
    low = high = np.nan
    if len(replicates):
        low, middle, high = np.percentile(replicates, (2.5, 50, 97.5))
        if not metric.startswith(PERCENTILE):
            low, high = low + value - middle, high + value - middle
            low = max(low, 0.0) if replicates.min() >= 0 else low
            high = min(high, 1.0) if replicates.max() <= 1 else high
    return {name: rounded(number) for name, number in (("value", value), ("low", low), ("high", high))}


def intervals(figures: Mapping[str, np.ndarray]) -> dict[str, dict[str, float | None]]:
    """[`interval`] of each figure, by the names of their metrics."""
    return {metric: interval(values, metric) for metric, values in figures.items()}


def rounded(value: float, digits: int = 5) -> float | None:
    """As it stands in a result file."""
    return round(float(value), digits) if np.isfinite(value) else None


def _sums(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Of each label over the records of each resample, `(labels, resamples)`."""
    return (values.T.astype(np.float32) @ counts).astype(np.float64)
