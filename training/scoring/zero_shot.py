"""Zero-shot on the tasks of data sets: their labels as the pipeline has them, and the scores of recordings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...processing.prompts_merit import CPSC2018_LABELS, CSN_LABELS, find, opposites, prompts
from ...processing.zero_shot_merit import LabelEmbeddings
from .encoders import CheckpointEncoder
from .probes import Linear

LANGUAGES = {"en": "english", "de": "german"}
# Tasks whose labels the glossary knows by other names.
_CODES = {"cpsc2018": CPSC2018_LABELS, "csn-clean": CSN_LABELS, "csn-merl": CSN_LABELS}


def zero_shot_scores(encoder: Any, features: np.ndarray, said: LabelEmbeddings) -> np.ndarray:
    """How recordings fit each label, `(records, labels)`."""
    return said.logits(torch.from_numpy(encoder.project(features))).numpy()


def label_embeddings(encoder: Any, task: str, labels: Sequence[str], language: str | None = None) -> LabelEmbeddings:
    """
    Labels as the pipeline has them, in units of similarity: learned from reports where the encoder knows them so, else
    the embedding of each minus that of its opposite.

    Args:
        encoder: with `embed_texts`, and perhaps `learned_labels`.
        task: whose labels may have names of their own, as those of CPSC2018.
        labels: said by the prompts of the glossary.
        language: of prompts, "en", "de" or "both", and nothing learned. A label without prompts in it is said by its
            name.
    """
    codes = [_CODES.get(task, {}).get(label, label) for label in labels]
    away = [opposites(code) for code in codes]
    said = {code: _phrasings(code, language) for code in {*codes, *(one for group in away for one in group)}}
    texts = sorted({text for phrasings in said.values() for text in phrasings})
    row = {text: i for i, text in enumerate(texts)}
    embeds = encoder.embed_texts(texts)
    ensembles = {code: _unit(embeds[[row[text] for text in phrasings]].mean(0)) for code, phrasings in said.items()}
    opposed = [_unit(np.mean([ensembles[one] for one in group], axis=0)) for group in away]
    directions = torch.from_numpy(np.stack([ensembles[code] for code in codes]) - np.stack(opposed))
    biases = torch.zeros(len(codes))
    known = {} if language else getattr(encoder, "learned_labels", {})
    for i, code in enumerate(codes):
        if (finding := find(code)) and finding.code in known:
            directions[i], biases[i] = known[finding.code]
    return LabelEmbeddings(list(labels), directions, biases)


def linear_start(encoder: CheckpointEncoder, said: LabelEmbeddings, features: np.ndarray) -> Linear:
    """
    Zero-shot log-odds as a linear layer on features, from which a probe can start.

    They are linear but for the length of a projected embedding, which hardly differs between recordings: here it is
    the mean length of these.

    Args:
        said: the labels, in units of similarity.
        features: `(records, dim)`, as they are or with their mean and scale removed.
    """
    projection = encoder.model.ecg_projection.weight.detach().float().cpu()
    length = (torch.from_numpy(features) @ projection.T).norm(dim=-1).mean()
    scale = encoder.model.scale().item()
    return Linear(scale * said.directions.float() @ projection / length, scale * said.biases.float())


def _phrasings(code: str, language: str | None) -> tuple[str, ...]:
    finding = find(code)
    spoken = getattr(finding, LANGUAGES[language]) if finding and language in LANGUAGES else None
    return spoken or prompts(code)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
