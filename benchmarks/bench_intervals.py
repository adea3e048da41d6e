"""Coverage of bootstrap intervals of macro figures when labels are rare, by simulation.

    python benchmarks/bench_intervals.py [--samples 300] [--resamples 400] [--output results.json]

Each sample has 500 records and sixteen independent labels with a prevalence from 0.2 to 30 %. The score of a label is
normal, with a higher mean in positive records; thresholds do not depend on the sample. An interval covers if it holds
the mean figure over samples of this size. The program also gives the share of intervals that hold the figure of their
own sample, and the mean width. Compared are

- percentile: the 2.5th and 97.5th percentile of the replicates;
- stratified: percentiles of resamples within strata of the rarest label of each record, so that no label vanishes;
- basic: the percentile interval mirrored at the figure;
- BCa: bias-corrected and accelerated (Efron, 1987), with acceleration by the jackknife;
- centred: the percentile interval moved so that the median of the replicates lies on the figure.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from merit.training.results.result_files import provenance, write_json
from merit.training.scoring import metrics

RECORDS = 500
PREVALENCES = np.geomspace(0.002, 0.3, 16)
SEPARATION = 1.5
LEVELS = np.array([0.025, 0.975])
METRICS = ("auroc", "sensitivity", "specificity", "brier", "auprc", "f1", "ece")
# For a threshold with a reasonable F1 at every prevalence: the posterior probability above which a label is predicted.
POSTERIOR = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    plain = metrics.resample_counts(np.arange(RECORDS), args.resamples)
    ones = np.ones((RECORDS, 1), np.float32)
    leave_one_out = np.hstack([ones, (1 - np.eye(RECORDS)).astype(np.float32)])
    estimates: dict[str, list[float]] = {name: [] for name in METRICS}
    found: dict[str, dict[str, list]] = {name: {} for name in METRICS}
    for _ in range(args.samples):
        targets, scores = sample(rng)
        replicates, jackknife = macro(targets, scores, plain), macro(targets, scores, leave_one_out)
        stratified = macro(targets, scores, stratified_counts(targets, args.resamples, rng))
        for name in METRICS:
            value, drawn = replicates[name][0], replicates[name][1:]
            low, high = np.nanquantile(drawn, LEVELS)
            middle = np.nanmedian(drawn)
            intervals = {
                "percentile": (low, high),
                "stratified": tuple(np.nanquantile(stratified[name][1:], LEVELS)),
                "basic": (2 * value - high, 2 * value - low),
                "BCa": bca(value, drawn, jackknife[name][1:]),
                "centred": (low + value - middle, high + value - middle),
            }
            estimates[name].append(value)
            for way, interval in intervals.items():
                found[name].setdefault(way, []).append(interval)
    results = {}
    for name in METRICS:
        values, figures = np.array(estimates[name]), {}
        for way, intervals in found[name].items():
            low, high = np.array(intervals).T
            figures[way] = {
                "coverage": round(float(((low <= values.mean()) & (values.mean() <= high)).mean()), 3),
                "holds_its_figure": round(float(((low <= values) & (values <= high)).mean()), 3),
                "width": round(float((high - low).mean()), 4),
            }
            print(f"{name:<11} {way:<11}", figures[way], flush=True)
        results[name] = figures
    if args.output:
        write_json(args.output, {**provenance(), "samples": args.samples, "results": results})


def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Targets and log-odds `(records, labels)`; every label has at least one positive record."""
    targets = (rng.random((RECORDS, len(PREVALENCES))) < PREVALENCES).astype(np.uint8)
    for label in np.flatnonzero(~targets.any(0)):
        targets[rng.integers(RECORDS), label] = 1
    evidence = SEPARATION * targets + rng.normal(size=targets.shape)
    # The log-odds of a normal model, slightly overconfident: there is a calibration error to find.
    return targets, logit(PREVALENCES) + 1.2 * (SEPARATION * evidence - SEPARATION**2 / 2)


def stratified_counts(targets: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Resamples that hold each stratum, the records with the same rarest label, as often as the sample does."""
    order = np.argsort(targets.sum(0), kind="stable")
    ranked = targets[:, order]
    stratum = np.where(ranked.any(1), ranked.argmax(1), len(order))
    counts = np.ones((len(targets), 1 + resamples), np.float32)
    for which in np.unique(stratum):
        members = np.flatnonzero(stratum == which)
        for column in range(1, 1 + resamples):
            drawn = rng.integers(0, len(members), len(members))
            counts[members, column] = np.bincount(drawn, minlength=len(members))
    return counts


def macro(targets: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Macro figures in each resample, `(resamples,)`."""
    figures = dict(zip(("auroc", "auprc"), metrics.ranking(targets, scores, counts)))
    threshold = np.full(len(PREVALENCES), logit(POSTERIOR))
    figures |= metrics.at_thresholds(targets, scores, threshold, counts)
    figures |= metrics.calibration(targets, expit(scores), counts)
    return {name: metrics.mean_over_labels(values) for name, values in figures.items()}


def bca(value: float, replicates: np.ndarray, jackknife: np.ndarray) -> tuple[float, float]:
    """The bias-corrected and accelerated interval."""
    replicates = replicates[np.isfinite(replicates)]
    below = ((replicates < value).sum() + (replicates == value).sum() / 2) / len(replicates)
    bias = norm.ppf(np.clip(below, 0.5 / len(replicates), 1 - 0.5 / len(replicates)))
    distance = np.nanmean(jackknife) - jackknife
    acceleration = np.nansum(distance**3) / (6 * np.nansum(distance**2) ** 1.5 + 1e-30)
    normal = bias + norm.ppf(LEVELS)
    low, high = np.quantile(replicates, norm.cdf(bias + normal / (1 - acceleration * normal)))
    return low, high


if __name__ == "__main__":
    main()
