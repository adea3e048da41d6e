"""How scores are judged on one task, the same for every model.

- Records without a label of the task are left out, as is usual for PTB-XL.
- Thresholds and calibration are learned on "validation"; "test" is only judged. The one figure that reads thresholds
  off "test" says so in its name, f1_oracle_threshold, and stands there for comparison with the literature.
- Every figure has the percentiles of 1,000 bootstrap resamples of the test patients, the same ones for every model on
  the same split, so that two models can be compared resample by resample.
- Labels with fewer than ten test positives count in the macro figures, as published, and are reported apart as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..results.replicates import encode_replicates
from . import metrics

RARE = 10
SPECIFICITY = 0.9
# Figures whose replicates are kept, for paired tests between models.
PAIRED = ("auroc", "f1")
_NOT_FINITE = "Scores are not finite: the model gives NaN or infinity for some recordings."


@dataclass(frozen=True)
class Learned:
    """
    What is learned on "validation", each `(labels,)`.

    Args:
        thresholds: from which score on a label is called, so that F1 is highest.
        specific: the lowest thresholds that reach the specificity at which sensitivity is given.
        slope, intercept: log-odds by score.
    """

    thresholds: np.ndarray
    specific: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray


class Protocol:
    """
    One task and the records it is judged on.

    Args:
        labels: what the columns of the targets stand for.
        targets: `(records, labels)` of 0 and 1 for each split; "validation" and "test" are judged.
        patients: `(records,)` of the test split; None resamples records.
        only: the labels that are judged, all if None; which records are left out does not depend on it.
        resamples: bootstrap resamples.

    Example:
        >>> targets = np.eye(3, dtype=np.uint8)[np.arange(60) % 3]
        >>> protocol = Protocol(["A", "B", "C"], {"validation": targets, "test": targets})
        >>> scores = targets.astype(float)
        >>> protocol.judge(protocol.learn(scores), scores)["metrics"]["auroc"]
        {'value': 1.0, 'low': 1.0, 'high': 1.0}
    """

    def __init__(
        self,
        labels: Sequence[str],
        targets: Mapping[str, np.ndarray],
        patients: np.ndarray | None = None,
        only: Sequence[str] | None = None,
        resamples: int = 1000,
    ):
        columns = [i for i, label in enumerate(labels) if only is None or label in only]
        self.labels = [labels[i] for i in columns]
        self.kept = {split: values.any(1) for split, values in targets.items()}
        if empty := [split for split in targets if not self.kept[split].any()]:
            raise ValueError(f"No record in split {', '.join(empty)} has any of the labels {', '.join(labels)}.")
        self.all_targets = {split: values[:, columns].astype(np.uint8) for split, values in targets.items()}
        self.targets = {split: values[self.kept[split]] for split, values in self.all_targets.items()}
        units = np.arange(len(targets["test"])) if patients is None else np.asarray(patients)
        self.counts = metrics.resample_counts(units[self.kept["test"]], resamples)

    def train_targets(self, rows: np.ndarray) -> np.ndarray:
        """Of records of "train" by their numbers in the whole split, `(rows, labels)`."""
        return self.all_targets["train"][rows]

    def macro_auroc(self, split: str, scores: np.ndarray) -> float:
        """Of scores for all records of a split; what models are selected by. One half if nothing is defined."""
        auroc = metrics.auroc(self.targets[split], scores[self.kept[split]])
        return float(np.nanmean(auroc)) if np.isfinite(auroc).any() else 0.5

    def learn(self, validation: np.ndarray) -> "Learned":
        """What the protocol learns from `(records, labels)` scores of every record of "validation"."""
        learned = self.targets["validation"], validation[self.kept["validation"]]
        if not np.isfinite(learned[1]).all():
            raise ValueError(_NOT_FINITE)
        return Learned(
            metrics.best_f1_thresholds(*learned),
            metrics.specificity_thresholds(*learned, SPECIFICITY),
            *metrics.fit_calibration(*learned),
        )

    def judge(self, learned: "Learned | None", test: np.ndarray, detail: bool = True) -> dict[str, Any]:
        """
        Args:
            learned: thresholds and calibration of the same model. None where there is no "validation": then only
                figures that need neither are given.
            test: `(records, labels)` scores of every record of "test".
            detail: every metric, figures of each label, reliability, confusions and replicates; else AUROC, average
                precision and F1.

        Returns:
            the entries of a result that follow from scores: records, metrics and, in detail, positives, labels,
            rare_labels, other_labels, reliability and replicates.
        """
        targets, counts = self.targets["test"], self.counts
        test = test[self.kept["test"]]
        if not np.isfinite(test).all():
            raise ValueError(_NOT_FINITE)
        figures: dict[str, np.ndarray] = {}
        figures["auroc"], figures["auprc"] = metrics.ranking(targets, test, counts)
        called = probabilities = None
        if learned is not None:
            called = test >= learned.thresholds
            figures["f1"] = metrics.at_thresholds(targets, test, learned.thresholds, counts)["f1"]
        if learned is not None and detail:
            oracle = metrics.best_f1_thresholds(targets, test)
            figures["f1_oracle_threshold"] = metrics.at_thresholds(targets, test, oracle, counts)["f1"]
            specific = metrics.at_thresholds(targets, test, learned.specific, counts)
            for name in ("sensitivity", "specificity"):
                figures[f"{name}_at_specificity_{SPECIFICITY}"] = specific[name]
            probabilities = 1 / (1 + np.exp(-np.clip(test * learned.slope + learned.intercept, -700, 700)))
            figures |= metrics.calibration(targets, probabilities, counts)

        positives = targets.sum(0).astype(int)
        # Labels that nobody has, or everybody, have no ROC curve, and count nowhere.
        judged = (positives > 0) & (positives < len(targets))
        macro = {name: metrics.mean_over_labels(values[judged]) for name, values in figures.items()}
        macro["auroc_weighted"] = metrics.mean_over_labels(figures["auroc"][judged], (targets.T @ counts)[judged])
        result: dict[str, Any] = {
            "records": len(targets),
            "metrics": {name: metrics.interval(values) for name, values in sorted(macro.items())},
        }
        if not detail:
            return result
        result["positives"] = dict(zip(self.labels, positives.tolist()))
        result["labels"] = {
            self.labels[i]: {
                "auroc": metrics.interval(figures["auroc"][i]),
                **{name: metrics.rounded(values[i, 0]) for name, values in figures.items() if name != "auroc"},
            }
            for i in np.flatnonzero(judged)
        }
        paired = [name for name in PAIRED if name in figures]
        for name, which in (("rare_labels", positives < RARE), ("other_labels", positives >= RARE)):
            which &= judged
            means = {metric: metrics.interval(metrics.mean_over_labels(figures[metric][which])) for metric in paired}
            result[name] = {"labels": int(which.sum()), "metrics": means}
        if called is not None and probabilities is not None:
            for label, others in zip(self.labels, self._mistaken_for(called)):
                if label in result["labels"]:
                    result["labels"][label]["mistaken_for"] = others
            result["reliability"] = self._reliability(probabilities[:, judged], targets[:, judged])
        result["replicates"] = {name: encode_replicates(macro[name][1:]) for name in paired}
        return result

    def _mistaken_for(self, called: np.ndarray) -> list[dict[str, float]]:
        """Of each label the five that its records without them are most often called, and in what share."""
        targets = self.targets["test"].astype(bool)
        wrong = targets.T.astype(np.float64) @ (called & ~targets)
        shares = wrong / np.maximum(targets.T.astype(np.float64) @ ~targets, 1)
        return [
            {self.labels[j]: round(float(row[j]), 4) for j in np.argsort(-row, kind="stable")[:5] if row[j] > 0}
            for row in shares
        ]

    def _reliability(self, probabilities: np.ndarray, targets: np.ndarray) -> dict[str, list]:
        """Predicted and observed share of positives of each bin of probability, all labels together."""
        where = metrics.bins(probabilities).ravel()
        number = np.bincount(where, minlength=metrics.CALIBRATION_BINS)
        sums = (np.bincount(where, values.ravel(), len(number)) for values in (probabilities, targets))
        predicted, observed = (
            [metrics.rounded(value) for value in part / np.where(number, number, np.nan)] for part in sums
        )
        return {"predicted": predicted, "observed": observed, "number": number.tolist()}
