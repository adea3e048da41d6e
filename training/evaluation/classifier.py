"""Evaluation of a fine-tuned classifier on the labels that it was trained on."""

from datasets import DatasetDict

from ..results.result_files import Result
from ..scoring.embeddings import embed
from ..scoring.encoders import CheckpointClassifier
from ..scoring.protocol import protocol_of, score, task_with_labels


def evaluate_classifier(classifier: CheckpointClassifier, dataset: DatasetDict, resamples: int = 1000) -> list[Result]:
    """
    Score a fine-tuned classifier on the test split, with thresholds chosen on "validation".

    Returns:
        one result, of the task that has the labels of the classifier.

    Raises:
        ValueError: no task has these labels, or a split is missing.
    """
    if missing := [split for split in ("validation", "test") if split not in dataset]:
        raise ValueError(f"The data set has no split {', '.join(missing)}, which a classifier needs.")
    task = task_with_labels(dataset, classifier.labels, classifier.name)
    scores = {split: embed(classifier, dataset[split], name=split) for split in ("validation", "test")}
    return [score(protocol_of(dataset, task, resamples), scores, task, "fine-tuned", {})]
