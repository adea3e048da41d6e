"""Distribution shift: models fitted to one data set, scored on another with labels in common."""

from collections.abc import Iterator, Sequence

import numpy as np
from datasets import DatasetDict

from ..data.schema import label_names
from ..data.shifts import SHIFTS, name_in_shifts
from ..results.result_files import Result
from ..scoring.embeddings import embed
from ..scoring.encoders import TextEncoder
from ..scoring.protocol import Protocol, patients_of, score, targets_of, task_names
from ..scoring.zero_shot import label_embeddings, zero_shot_scores
from .context import EvaluationContext


def shift(context: EvaluationContext, target: DatasetDict) -> Iterator[Result]:
    """
    Results on the test split of another data set, on the labels that one of its tasks shares with a source task.

    A linear probe of the source scores a target label by the highest score of the source labels that correspond to it;
    zero-shot classification scores the target's own labels. No thresholds are transferred, so only ranking metrics are
    given. Without training records there are no results of a probe.
    """
    encoder, test = context.encoder, target["test"]
    features = embed(encoder, test, cache=context.cache, name="another data set")
    for (source_name, target_name), overlap in SHIFTS.items():
        for source_task, target_task in _pairs(source_name, target_name, context.tasks, task_names(target)):
            source_labels, target_labels = context.protocols[source_task].labels, label_names(test, target_task)
            columns: dict[str, list[int]] = {label: [] for label in target_labels}
            for label, corresponding in overlap.items():
                if label in source_labels:
                    for target_label in corresponding:
                        if target_label in columns:
                            columns[target_label].append(source_labels.index(label))
            shared = [label for label in target_labels if columns[label]]
            targets = targets_of({"test": test}, target_task)
            protocol = Protocol(target_labels, targets, patients_of(test), shared, context.resamples)
            setting = {"shift": f"{source_task} > {target_task}"}
            if isinstance(encoder, TextEncoder):
                labels = label_embeddings(encoder, target_task, shared)
                scores = {"test": zero_shot_scores(encoder, features, labels)}
                yield score(protocol, scores, target_task, "zero-shot", setting)
            if "train" in context.dataset:
                source_scores = context.probe(source_task)(features)
                scores = {"test": np.stack([source_scores[:, columns[label]].max(1) for label in shared], axis=1)}
                yield score(protocol, scores, target_task, "linear-probe", setting)


def _pairs(source: str, target: str, sources: Sequence[str], targets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs of a task of each data set that have these names in `SHIFTS`."""
    for source_task in sources:
        for target_task in targets:
            if (name_in_shifts(source_task), name_in_shifts(target_task)) == (source, target):
                yield source_task, target_task
