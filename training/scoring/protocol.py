"""How the scores of a model are measured on one task, the same for every model.

- Records without a label of the task are left out, as is usual for PTB-XL.
- Thresholds and calibration are fitted on "validation"; "test" is only scored. One figure takes its thresholds from
  "test", for comparison with the literature, and says so in its name: f1_oracle_threshold.
- Every figure has a 95 % bootstrap interval from 1,000 resamples of the test patients, chosen by metric, see
  `metrics.interval`. The resamples are the same for every model on the same split, so that two models
  can be compared resample by resample.
- Labels with fewer than ten test positives count in the macro figures, as in published work, and are also reported
  separately.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from scipy.special import expit

from ..data.schema import label_names
from ..results.result_files import Result
from . import metrics

RARE = 10  # labels with fewer test positives are reported separately
SPECIFICITY = 0.9  # at which sensitivity is measured
# Figures whose replicates are kept, for paired tests between models.
PAIRED = ("auroc", "f1")
_NOT_FINITE = "Scores are not finite: the model gives NaN or infinity for some recordings."


@dataclass(frozen=True)
class OperatingPoints:
    """
    Thresholds and calibration of one model, fitted on "validation", each `(labels,)`.

    Args:
        f1_thresholds: with the highest F1; a score at or above its threshold is positive.
        specificity_thresholds: the lowest thresholds that reach the specificity at which sensitivity is measured.
        slope, intercept: of the linear function from scores to calibrated log-odds.
    """

    f1_thresholds: np.ndarray
    specificity_thresholds: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of scores, both `(records, labels)`."""
        return expit(scores * self.slope + self.intercept)


class Protocol:
    """
    One task and the records on which it is measured.

    Args:
        labels: names of the labels, in the order of the columns of the targets.
        targets: `(records, labels)` of 0 and 1 for each split; models are selected on "validation" and scored on
            "test".
        patients: `(records,)` of the test split, the unit that is resampled; single records if None.
        only: the labels to score, all if None. Which records are left out does not depend on it.
        resamples: number of bootstrap resamples.

    Example:
        >>> targets = np.eye(3, dtype=np.uint8)[np.arange(60) % 3]
        >>> protocol = Protocol(["A", "B", "C"], {"validation": targets, "test": targets})
        >>> scores = targets.astype(float)
        >>> protocol.score(scores, protocol.fit(scores))["metrics"]["auroc"]
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
        """Targets of rows of "train", numbered as in the whole split, `(rows, labels)`."""
        return self.all_targets["train"][rows]

    def macro_auroc(self, split: str, scores: np.ndarray) -> float:
        """Macro AUROC of scores of all records of a split, the criterion of model selection; 0.5 if it is undefined."""
        auroc = metrics.auroc(self.targets[split], scores[self.kept[split]])
        return float(np.nanmean(auroc)) if np.isfinite(auroc).any() else 0.5

    def fit(self, validation: np.ndarray) -> OperatingPoints:
        """Fit thresholds and calibration to `(records, labels)` scores of every record of "validation"."""
        fitted = self.targets["validation"], validation[self.kept["validation"]]
        if not np.isfinite(fitted[1]).all():
            raise ValueError(_NOT_FINITE)
        return OperatingPoints(
            metrics.best_f1_thresholds(*fitted),
            metrics.specificity_thresholds(*fitted, SPECIFICITY),
            *metrics.fit_calibration(*fitted),
        )

    def score(self, test: np.ndarray, points: OperatingPoints | None, detail: bool = True) -> Result:
        """
        Compute the figures of a model from its scores.

        Args:
            test: `(records, labels)` scores of every record of "test".
            points: thresholds and calibration of the same model; None without "validation", then only the figures
                that need neither are computed.
            detail: every metric, figures per label, reliability and the replicates of all figures in `PAIRED`;
                otherwise only AUROC, average precision and F1, and the replicates of the AUROC.

        Returns:
            the part of a result that follows from scores: records, metrics, replicates and, in detail, positives,
            labels, rare_labels, other_labels and reliability.
        """
        targets = self.targets["test"]
        test = test[self.kept["test"]]
        if not np.isfinite(test).all():
            raise ValueError(_NOT_FINITE)
        figures = self._figures(test, points, detail)

        positives = targets.sum(0).astype(int)
        # Without positives or without negatives a label has no ROC curve; it is left out of all figures.
        scored = (positives > 0) & (positives < len(targets))
        macro = {name: metrics.mean_over_labels(values[scored]) for name, values in figures.items()}
        macro["auroc_weighted"] = metrics.mean_over_labels(figures["auroc"][scored], (targets.T @ self.counts)[scored])
        result: Result = {"records": len(targets), "metrics": metrics.intervals(dict(sorted(macro.items())))}
        paired = [name for name in PAIRED if name in figures] if detail else ["auroc"]
        result["replicates"] = {name: macro[name][1:] for name in paired}
        if not detail:
            return result
        result["positives"] = dict(zip(self.labels, positives.tolist()))
        result["labels"] = {
            self.labels[i]: {
                "auroc": metrics.interval(figures["auroc"][i], "auroc"),
                **{name: metrics.rounded(values[i, 0]) for name, values in figures.items() if name != "auroc"},
            }
            for i in np.flatnonzero(scored)
        }
        for name, which in (("rare_labels", positives < RARE), ("other_labels", positives >= RARE)):
            which &= scored
            means = {metric: metrics.mean_over_labels(figures[metric][which]) for metric in paired}
            result[name] = {"labels": int(which.sum()), "metrics": metrics.intervals(means)}
        if points is not None:
            result["reliability"] = metrics.reliability(points.probabilities(test)[:, scored], targets[:, scored])
        return result

    def _figures(self, test: np.ndarray, points: OperatingPoints | None, detail: bool) -> dict[str, np.ndarray]:
        """
        Each metric of each label, on the records of "test" and then on each resample, `(labels, 1 + resamples)`.

        Args:
            test: `(records, labels)` scores of the records that are kept.
            points, detail: see `score`.
        """
        targets, counts = self.targets["test"], self.counts
        figures: dict[str, np.ndarray] = {}
        figures["auroc"], figures["auprc"] = metrics.ranking(targets, test, counts)
        if points is None:
            return figures
        figures["f1"] = metrics.at_thresholds(targets, test, points.f1_thresholds, counts)["f1"]
        if not detail:
            return figures
        oracle = metrics.best_f1_thresholds(targets, test)
        figures["f1_oracle_threshold"] = metrics.at_thresholds(targets, test, oracle, counts)["f1"]
        specific = metrics.at_thresholds(targets, test, points.specificity_thresholds, counts)
        for name in ("sensitivity", "specificity"):
            figures[f"{name}_at_specificity_{SPECIFICITY}"] = specific[name]
        return figures | metrics.calibration(targets, points.probabilities(test), counts)


def score(protocol: Protocol, scores: Mapping[str, np.ndarray], task: str, method: str, setting: dict) -> Result:
    """
    A result: the figures of scores, the scores, and the targets of "test".

    Args:
        scores: `(records, labels)` of every record of "test", and of "validation" where there is one.
        method: how the scores were obtained.
        setting: what differs from the default of the method.
    """
    points = protocol.fit(scores["validation"]) if "validation" in scores else None
    result = {"task": task, "method": method, "setting": setting, "split": "test"}
    result |= {"scores": dict(scores), "targets": protocol.all_targets["test"]}
    return result | protocol.score(scores["test"], points)


def protocol_of(dataset: DatasetDict, task: str, resamples: int = 1000) -> Protocol:
    """The protocol of a task of a data set."""
    names, patients = label_names(dataset["test"], task), patients_of(dataset["test"])
    return Protocol(names, targets_of(dataset, task), patients, resamples=resamples)


def task_names(dataset: DatasetDict) -> list[str]:
    """The tasks of a data set, from its columns labels_TASK."""
    columns = dataset["test"].column_names if "test" in dataset else []
    return [column.removeprefix("labels_") for column in columns if column.startswith("labels_")]


def task_with_labels(dataset: DatasetDict, labels: Sequence[str], name: str) -> str:
    """
    The task of a data set that has exactly these labels.

    Args:
        name: of the classifier that knows the labels, for the message.

    Raises:
        ValueError: there is none.
    """
    for task in task_names(dataset):
        if label_names(dataset["test"], task) == list(labels):
            return task
    raise ValueError(
        f"{name} knows {', '.join(labels)}, which are not the labels of {', '.join(task_names(dataset))}: use the data "
        "set that it was fine-tuned on."
    )


def targets_of(dataset: Mapping[Any, Dataset], task: str) -> dict[str, np.ndarray]:
    """The targets of a task in each split, `(records, labels)` of 0 and 1."""
    column = f"labels_{task}"
    return {str(s): np.asarray(rows.with_format("numpy", columns=[column])[:][column]) for s, rows in dataset.items()}


def patients_of(rows: Dataset) -> np.ndarray:
    """The patient of each record, the unit of the bootstrap, `(records,)`."""
    return np.asarray(rows.with_format("numpy", columns=["patient_id"])[:]["patient_id"])
