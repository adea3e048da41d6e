"""The scale of zero-shot scores and the thresholds of decisions: part of the command `merit calibrate`.

Scores of learned labels and of prompts become log-odds on one scale, on which they can be compared. Each is a linear
function of the embedding already, and calibration is a slope and an intercept for it (Platt, 1999), fitted on
"validation" to the labels of the data set:

- a learned label gets log-odds close to those that it had, since it was fitted to reports of the same recordings;
- the prompts of a finding are standardised by the distribution of their scores over recordings, and contribute
  evidence to the prior, which is the prevalence of the finding. A finding whose prompts separate nothing keeps its
  prior;
- any other label gets the mean slope of the findings and a prior of its own kind, the median prevalence.

Slopes and intercepts of a finding are drawn towards the mean over findings, more so the fewer positives it has. AUROC
does not change, since all slopes are positive.

Thresholds of learned labels, and of the labels of a classifier, are those with the highest F1 on "validation"; the
sensitivity and specificity that they have on "test" are stored with them.
"""

from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import DatasetDict
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from ...modeling_merit.configuration_merit import MeritConfig
from ...modeling_merit.modeling_merit import MeritForEcgClassification, MeritModel
from ...processing.glossary_merit import Glossary
from ...processing.processing_merit import MeritProcessor
from ...processing.zero_shot_merit import CandidateLabel, embed_texts, label_directions, standardised
from ..data.label_maps import FINDING_CODES
from ..data.schema import label_names
from ..scoring import metrics
from ..scoring.embeddings import embed
from ..scoring.encoders import CheckpointClassifier, CheckpointEncoder
from ..scoring.protocol import targets_of, task_names, task_with_labels
from .label_learning import statements_of

# A finding has a threshold of its own if at least this many records of "validation" have it.
LEAST_FOR_THRESHOLD = 10
# Standard deviations of slope and intercept of a finding around the mean over findings.
SPREAD = np.array([0.5, 0.5])
# Slopes stay positive, so that calibration never turns a ranking round.
SMALLEST_SLOPE = 0.05


def findings_of_records(dataset: DatasetDict, glossary: Glossary) -> dict[str, dict[str, np.ndarray]]:
    """
    What the labels of a data set say of each finding of the glossary that they can say something of.

    Returns:
        for each split, `(records,)` bool by code of the finding.
    """
    found: dict[str, dict[str, np.ndarray]] = {str(split): {} for split in dataset}
    for task in task_names(dataset):
        codes = FINDING_CODES.get(task, {})
        findings = [glossary.find(codes.get(label, label)) for label in label_names(dataset["test"], task)]
        for split, targets in targets_of(dataset, task).items():
            for finding, column in zip(findings, targets.T.astype(bool)):
                if finding:
                    found[split][finding.code] = found[split].get(finding.code, False) | column
    labelled = found["test"].keys()
    parts = {code: labelled & {code, *statements_of(code, glossary)} for code in glossary.findings}
    return {
        split: {code: np.any([columns[one] for one in some], axis=0) for code, some in parts.items() if some}
        for split, columns in found.items()
    }


def calibrate_labels(
    model: MeritModel,
    processor: MeritProcessor,
    dataset: DatasetDict,
    reports: Mapping[str, int] | None = None,
    cache: str | Path | None = None,
) -> MeritModel:
    """
    Fit the scale of zero-shot scores and the thresholds of learned labels.

    Args:
        model: a dual encoder, which is not changed.
        processor: its processor.
        dataset: with the splits "validation", for the fit, and "test", on which sensitivity, specificity and AUROC are
            measured, and labels that the glossary knows.
        reports: by code of a learned label, the number of reports that it was fitted to, to store with it.
        cache: folder for the embeddings, see `embed`.

    Returns:
        a model with `config.calibration`.

    Raises:
        ValueError: a split is missing, or no label of the data set is a finding of the glossary.
    """
    _require_splits(dataset)
    glossary, encoder = processor.glossary, CheckpointEncoder(model, processor)
    findings = findings_of_records(dataset, glossary)
    codes = [code for code, positive in findings["validation"].items() if positive.any()]
    if not codes:
        raise ValueError("No record of the split validation has a label that is a finding of the glossary.")
    embeds = {
        split: torch.from_numpy(encoder.project(embed(encoder, dataset[split], cache=cache, name=split)))
        for split in ("validation", "test")
    }
    mean, covariance = embeds["validation"].mean(0), embeds["validation"].T.cov()
    learned = model.cpu().learned_labels
    labels = [CandidateLabel.look_up(code, glossary) for code in glossary.findings]

    def scores(
        of: list[CandidateLabel], known: Mapping[str, Any], standardise: bool
    ) -> dict[str, dict[str, np.ndarray]]:
        if not of:
            return {split: {} for split in embeds}
        linear = label_directions(of, lambda texts: embed_texts(model, processor.tokenizer, texts), known)
        if standardise:
            linear = standardised(linear, mean, covariance)
        columns = {split: linear.logits(embeds[split]).double().numpy().T for split in embeds}
        return {
            split: dict(zip([label.finding.code for label in of if label.finding], columns[split])) for split in embeds
        }

    with torch.inference_mode():
        of_learned = scores([label for label in labels if label.is_learned(learned)], learned, False)
        of_prompts = scores(labels, {}, True)
    prevalence = {
        code: (positive.sum() + 0.5) / (len(positive) + 1) for code, positive in findings["validation"].items()
    }
    learned_scale, _ = _fit(of_learned["validation"], findings["validation"], codes, {})
    prompt_scale, mean_scale = _fit(of_prompts["validation"], findings["validation"], codes, prevalence)

    calibration: dict[str, Any] = {
        "learned": {},
        "prompts": {},
        "other": _rounded(zip(("prior", "slope", "intercept"), (np.median(list(prevalence.values())), *mean_scale))),
    }
    for code in learned:
        facts: dict[str, Any] = {} if code not in (reports or {}) else {"reports": (reports or {})[code]}
        slope, intercept = learned_scale[code]
        facts |= _rounded({"slope": slope, "intercept": intercept}.items())
        if code in findings["validation"]:
            probabilities = {split: expit(of_learned[split][code] * slope + intercept) for split in embeds}
            facts |= _decision({split: findings[split][code] for split in embeds}, probabilities)
        calibration["learned"][code] = facts
    for code, (slope, intercept) in prompt_scale.items():
        if code in prevalence:
            facts = {"prior": prevalence[code], "slope": slope, "intercept": intercept}
            if 0 < findings["test"][code].sum() < len(findings["test"][code]):
                facts["auroc"] = roc_auc_score(findings["test"][code], of_prompts["test"][code])
            calibration["prompts"][code] = _rounded(facts.items())
    calibrated = type(model)(MeritConfig(**{**model.config.to_dict(), "calibration": calibration}))
    weights = {"calibration_mean": mean, "calibration_covariance": covariance}
    calibrated.load_state_dict({**model.state_dict(), **weights})
    return calibrated.to(model.dtype)  # type: ignore[return-value]


def decide_labels(
    model: MeritForEcgClassification, processor: MeritProcessor, dataset: DatasetDict
) -> MeritForEcgClassification:
    """
    Choose the thresholds of a fine-tuned multi-label classifier.

    Args:
        model: the classifier, which is not changed.
        processor: its processor.
        dataset: with the splits "validation" and "test" of the data set that it was fine-tuned on.

    Returns:
        a classifier with `config.calibration`.

    Raises:
        ValueError: a split or the labels are missing, or the classifier is not multi-label.
    """
    _require_splits(dataset)
    if model.config.problem_type != "multi_label_classification":
        raise ValueError(f"Thresholds are for multi-label classifiers, not for {model.config.problem_type}.")
    encoder = CheckpointClassifier(model, processor)
    targets = targets_of(dataset, task_with_labels(dataset, encoder.labels, "The classifier"))
    probabilities = {split: expit(embed(encoder, dataset[split], name=split)) for split in ("validation", "test")}
    decisions = {
        label: _decision(*({split: one[split][:, i] for split in probabilities} for one in (targets, probabilities)))
        for i, label in enumerate(encoder.labels)
    }
    decided = deepcopy(model)
    decided.config.calibration = {"labels": decisions}
    return decided


def _require_splits(dataset: DatasetDict) -> None:
    if missing := [split for split in ("validation", "test") if split not in dataset]:
        raise ValueError(f"The data set has no split {missing[0]}, which calibration needs.")


def _fit(
    scores: Mapping[str, np.ndarray],
    findings: Mapping[str, np.ndarray],
    codes: Collection[str],
    priors: Mapping[str, float],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """
    Slope and intercept of each finding, and their mean over findings.

    Args:
        scores: by code, `(records,)`.
        findings: by code, `(records,)` bool.
        codes: those with a positive record, from which the mean is estimated.
        priors: log-odds are relative to those of a finding's prior, if it has one.
    """
    offset = {code: logit(priors[code]) if code in priors else 0.0 for code in scores}
    used = [code for code in codes if code in scores]

    def loss(parameters: np.ndarray, code: str) -> float:
        logits = offset[code] + parameters[0] * scores[code] + parameters[1]
        return float(np.logaddexp(0, np.where(findings[code], -logits, logits)).sum())

    bounds = [(SMALLEST_SLOPE, None), (None, None)]
    positives = {code: findings[code].sum() for code in used}

    def loss_of_all(parameters: np.ndarray) -> float:
        """Every finding counts alike, however many records have it."""
        return sum(loss(parameters, code) / positives[code] for code in used)

    mean = np.asarray(minimize(loss_of_all, [1.0, 0.0], bounds=bounds).x)
    scales = dict.fromkeys(scores, mean)
    for code in used:

        def loss_near_mean(parameters: np.ndarray, code: str = code) -> float:
            return loss(parameters, code) + (((parameters - mean) / SPREAD) ** 2).sum() / 2

        scales[code] = np.asarray(minimize(loss_near_mean, mean, bounds=bounds).x)
    return scales, mean


def _decision(findings: Mapping[str, np.ndarray], probabilities: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """The threshold with the highest F1 on "validation", and the sensitivity and specificity that it has on "test"."""
    if findings["validation"].sum() < LEAST_FOR_THRESHOLD or not 0 < findings["test"].sum() < len(findings["test"]):
        return {}
    [threshold] = metrics.best_f1_thresholds(findings["validation"][:, None], probabilities["validation"][:, None])
    present, positive = probabilities["test"] >= threshold, findings["test"].astype(bool)
    facts = {
        "threshold": threshold,
        "sensitivity": present[positive].mean(),
        "specificity": (~present[~positive]).mean(),
    }
    return _rounded(facts.items())


def _rounded(facts: Iterable[tuple[str, float]]) -> dict[str, float | None]:
    return {name: metrics.rounded(value, 4) for name, value in facts}
