"""The scale of zero-shot scores and the thresholds of decisions: part of the command `merit calibrate`.

Scores of learned labels and of prompts become log-odds on one scale, on which they can be compared. Each is a linear
function of the embedding already, and calibration is a slope and an intercept for it (Platt, 1999), fitted on
"validation" to the labels of the data set:

- a learned label gets log-odds close to those that it had, since it was fitted to reports of the same recordings;
- the prompts of a finding are standardised by the distribution of their scores over recordings, and contribute
  evidence to the prior, which is the prevalence of the finding. A finding whose prompts separate nothing keeps its
  prior;
- any other label gets the mean slope of the findings and the prior of the rarest of them, at most `PRIOR`. Nothing was
  measured for such a label, so it should not rank above a finding that was measured.

Slopes and intercepts of a finding are drawn towards the mean over findings, more so the fewer positives it has. AUROC
does not change, since all slopes are positive.

Thresholds of learned labels, and of the labels of a classifier, are those with the highest F1 on "validation"; the
sensitivity and specificity that they have on "test" are stored with them.
"""

from collections.abc import Collection, Mapping
from copy import deepcopy
from functools import partial
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
from ...processing.zero_shot_merit import (
    PRIOR,
    CandidateLabel,
    LabelEmbeddings,
    embed_texts,
    label_directions,
    standardised,
)
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

# By split and code of a finding, a value for each record.
SplitColumns = dict[str, dict[str, np.ndarray]]


def findings_of_records(dataset: DatasetDict, glossary: Glossary) -> SplitColumns:
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
        ValueError: a split is missing, no label of the data set is a finding of the glossary, or the glossary lacks a
            learned label.
    """
    _require_splits(dataset)
    glossary, encoder = processor.glossary, CheckpointEncoder(model, processor)
    if unknown := [code for code in model.learned_labels if code not in glossary.findings]:
        raise ValueError(
            f"The model has learned the label {unknown[0]}, which the glossary of its processor does not define: use "
            "the processor that it was learned with, or add the finding to the glossary."
        )
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
    embed_prompts = partial(embed_texts, model, processor.tokenizer)

    calibration: dict[str, Any] = {"learned": {}}
    if learned:
        directions = label_directions([one for one in labels if one.is_learned(learned)], embed_prompts, learned)
        facts = _calibrate_learned(_scores(directions, embeds), findings, codes, reports or {})
        calibration["learned"] = {code: facts[code] for code in learned}
    directions = standardised(label_directions(labels, embed_prompts, learned={}), mean, covariance)
    calibration |= _calibrate_prompts(_scores(directions, embeds), findings, codes)

    calibrated = type(model)(MeritConfig(**{**model.config.to_dict(), "calibration": calibration}))
    weights = {"calibration_mean": mean, "calibration_covariance": covariance}
    calibrated.load_state_dict({**model.state_dict(), **weights})
    return calibrated.to(model.dtype)  # type: ignore[return-value]


@torch.inference_mode()
def _scores(labels: LabelEmbeddings, embeds: Mapping[str, torch.Tensor]) -> SplitColumns:
    """The scores that recordings get for labels, which are codes of findings."""
    return {split: dict(zip(labels.labels, labels.logits(rows).double().numpy().T)) for split, rows in embeds.items()}


def _calibrate_learned(
    scores: SplitColumns, findings: SplitColumns, codes: Collection[str], reports: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """For each learned label: its number of reports, its scale and, if there are enough records, its decision."""
    scales, _ = _fit(scores["validation"], findings["validation"], codes, {})
    calibrated: dict[str, dict[str, Any]] = {}
    for code, (slope, intercept) in scales.items():
        facts: dict[str, Any] = {"reports": reports[code]} if code in reports else {}
        facts |= _rounded({"slope": slope, "intercept": intercept})
        if code in findings["validation"]:
            labelled = {split: findings[split][code] for split in scores}
            probabilities = {split: expit(scores[split][code] * slope + intercept) for split in scores}
            facts |= _decision(labelled, probabilities)
        calibrated[code] = facts
    return calibrated


def _calibrate_prompts(scores: SplitColumns, findings: SplitColumns, codes: Collection[str]) -> dict[str, Any]:
    """`prompts`, with prior, scale and AUROC of each finding of the data set, and `other`, for any other label."""
    prevalence = {
        code: (positive.sum() + 0.5) / (len(positive) + 1) for code, positive in findings["validation"].items()
    }
    scales, (slope, intercept) = _fit(scores["validation"], findings["validation"], codes, prevalence)
    other = {"prior": min(PRIOR, *prevalence.values()), "slope": slope, "intercept": intercept}
    prompts = {}
    for code, (slope, intercept) in scales.items():
        if code in prevalence:
            facts = {"prior": prevalence[code], "slope": slope, "intercept": intercept}
            if _has_both(findings["test"][code]):
                facts["auroc"] = roc_auc_score(findings["test"][code], scores["test"][code])
            prompts[code] = _rounded(facts)
    return {"prompts": prompts, "other": _rounded(other)}


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
        label: _decision(
            {split: targets[split][:, i] for split in probabilities},
            {split: probabilities[split][:, i] for split in probabilities},
        )
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
    if findings["validation"].sum() < LEAST_FOR_THRESHOLD or not _has_both(findings["test"]):
        return {}
    [threshold] = metrics.best_f1_thresholds(findings["validation"][:, None], probabilities["validation"][:, None])
    present, positive = probabilities["test"] >= threshold, findings["test"].astype(bool)
    facts = {
        "threshold": threshold,
        "sensitivity": present[positive].mean(),
        "specificity": (~present[~positive]).mean(),
    }
    return _rounded(facts)


def _has_both(finding: np.ndarray) -> bool:
    """Whether some records have the finding and some do not."""
    return 0 < finding.sum() < len(finding)


def _rounded(facts: Mapping[str, float]) -> dict[str, float | None]:
    return {name: metrics.rounded(value, 4) for name, value in facts.items()}
