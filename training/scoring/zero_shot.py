"""Zero-shot classification of the label tasks of data sets: embeddings of their labels, and scores of recordings."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...processing.glossary_merit import Glossary
from ...processing.zero_shot_merit import CandidateLabel, LabelEmbeddings, label_directions, with_negations
from ..data.label_maps import FINDING_CODES
from .encoders import CheckpointEncoder
from .probes import Linear

# Of the prompts in the glossary.
LANGUAGES = ("en", "de")


def zero_shot_scores(encoder: Any, features: np.ndarray, labels: LabelEmbeddings) -> np.ndarray:
    """Scores of recordings, `(records, labels)`."""
    return labels.logits(torch.from_numpy(encoder.project(features))).numpy()


def label_embeddings(encoder: Any, task: str, labels: Sequence[str], language: str | None = None) -> LabelEmbeddings:
    """
    The labels of a task, in units of similarity: as the encoder has learned them from reports where it has, otherwise
    with the prompts of the glossary.

    Args:
        encoder: with `embed_texts`, and optionally `learned_labels` and `glossary`.
        task: the name of the task. Some tasks have label names of their own, such as "cpsc2018".
        labels: the labels of the task.
        language: of prompts, "en", "de" or "both", without any learned label. A finding without prompts in the language
            has those of both, and a label that is no finding is its own prompt.

    A label that negates a finding is its opposite.
    """
    glossary = getattr(encoder, "glossary", None) or Glossary.default()
    codes = FINDING_CODES.get(task, {})
    found = [_look_up(codes.get(label, label), glossary, language) for label in labels]
    directions = label_directions(found, encoder.embed_texts, getattr(encoder, "learned_labels", {}))
    return replace(with_negations(directions, found), labels=list(labels))


def _look_up(label: str, glossary: Glossary, language: str | None) -> CandidateLabel:
    """Look up a label of a data set, which may have any name; "none" negates no finding and is its own prompt."""
    try:
        return CandidateLabel.look_up(label, glossary, language=language)
    except ValueError:
        return CandidateLabel.look_up(label, glossary, [label], language=language)


def linear_start(encoder: CheckpointEncoder, labels: LabelEmbeddings, features: np.ndarray) -> Linear:
    """
    Zero-shot log-odds as a linear layer on features, with which a probe can be initialised.

    They are linear except for the length of a projected embedding, which hardly differs between recordings: the layer
    uses the mean length over these features.

    Args:
        encoder: of the features.
        labels: the labels, in units of similarity.
        features: `(records, dim)`, unchanged or standardised.
    """
    projection = encoder.model.ecg_projection.weight.detach().float().cpu()
    length = (torch.from_numpy(features) @ projection.T).norm(dim=-1).mean()
    scale = encoder.model.scale().item()
    return Linear(scale * labels.directions.float() @ projection / length, scale * labels.biases.float())
