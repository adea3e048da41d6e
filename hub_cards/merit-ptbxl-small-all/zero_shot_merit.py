"""
Zero-shot scores: how much better a recording fits a label than it fits that label's opposite.

A label that the model has learned from recordings and their reports (`merit learn-labels`) is scored by the log-odds
that a recording's report would state it, any other by prompts. Both kinds of score are not on one scale: labels that
compete are scored alike.

The plain similarity of an ECG to a label mostly says how typical the label's wording is of all reports. What ranks
recordings is a difference: similarity to the label, said in several ways the way reports say it, minus similarity to
its opposite: a normal ECG, or for a normal ECG the four classes of abnormal ones. Chosen on fold 9 of PTB-XL among the
alternatives that benchmarks/bench_zero_shot_scores.py compares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .prompts_merit import find, opposites, prompts


@dataclass
class LabelEmbeddings:
    """
    What a recording is compared with.

    Args:
        labels (`list[str]`): the candidate labels.
        directions (`torch.FloatTensor` of shape `(labels, dim)`): as learned, or the embedding of each label minus its
            opposite's, times the model's inverse temperature.
        biases (`torch.FloatTensor` of shape `(labels,)`): as learned, or 0.
    """

    labels: list[str]
    directions: torch.Tensor
    biases: torch.Tensor

    def logits(self, ecg_embeds: torch.Tensor) -> torch.Tensor:
        """
        Args:
            ecg_embeds (`torch.FloatTensor` of shape `(recordings, dim)`): of unit length.

        Returns:
            `torch.FloatTensor` of shape `(recordings, labels)`: log-odds of each label against its opposite.
        """
        return ecg_embeds.to(self.directions.dtype) @ self.directions.T + self.biases


@torch.inference_mode()
def embed_ensembles(model, tokenizer, ensembles: Sequence[Sequence[str]]) -> torch.Tensor:
    """The mean embedding of each ensemble of texts, of unit length; `(ensembles, dim)` float32."""
    texts = [text for ensemble in ensembles for text in ensemble]
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(model.device)
    embeds = F.normalize(model.get_text_features(**batch).pooler_output.float(), dim=-1)
    means = [part.mean(0) for part in embeds.split([len(ensemble) for ensemble in ensembles])]
    return F.normalize(torch.stack(means), dim=-1)


def phrasings(label: str, hypothesis_template: str | Sequence[str]) -> list[str]:
    """
    The ways in which a label is said: those of the glossary if it knows the label, else the label as typed, each in
    every template.

    Example:

    ```python
    >>> phrasings("Some new finding", "sinus rhythm. {}.")
    ['sinus rhythm. some new finding.']

    ```"""
    templates = [hypothesis_template] if isinstance(hypothesis_template, str) else list(hypothesis_template)
    if not templates:
        raise ValueError("hypothesis_template names no template.")
    for template in templates:
        if "{}" not in template:
            raise ValueError(f"hypothesis_template {template!r} has no {{}} where the label goes.")
    return [template.replace("{}", phrase) for template in templates for phrase in prompts(label)]


def embed_labels(
    model,
    tokenizer,
    candidate_labels: Sequence[str] | Mapping[str, Sequence[str]],
    hypothesis_template: str | Sequence[str] = "{}",
    apart: bool = False,
) -> LabelEmbeddings:
    """
    Embed labels once, to score any number of recordings.

    Args:
        model (`MeritModel`), tokenizer: of one checkpoint.
        candidate_labels: labels as a user types them, or a mapping from label to the prompts that say it.
        hypothesis_template: a text with {} where a label's phrasing goes, or several. What is worded here or in a
            mapping is said by prompts.
        apart: each label is judged by itself, as learned if it was; else all of them as learned, or none.

    Raises:
        ValueError: for no labels, an empty label, a label without prompts, or a label that stands twice.
    """
    labels = list(candidate_labels)
    if not labels or not all(isinstance(label, str) and label.strip() for label in labels):
        raise ValueError("candidate_labels must name at least one label, none of them empty.")
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise ValueError(f"candidate_labels names {', '.join(sorted(twice))} more than once.")
    worded = isinstance(candidate_labels, Mapping) or hypothesis_template != "{}"
    known = {} if worded else model.learned_labels
    found = {label: finding.code for label in labels if (finding := find(label)) is not None}
    learned = {label: known[code] for label, code in found.items() if code in known}
    if not apart and len(learned) < len(labels):
        learned = {}
    if isinstance(candidate_labels, Mapping):
        said = [candidate_labels[label] for label in labels]
        said = [[texts] if isinstance(texts, str) else list(texts) for texts in said]
        if empty := [label for label, texts in zip(labels, said) if not texts]:
            raise ValueError(f"candidate_labels has no prompt for {', '.join(empty)}.")
    else:
        said = [phrasings(label, hypothesis_template) for label in labels if label not in learned]
    rest = [label for label in labels if label not in learned]
    if rest:
        directions = model.scale().item() * _prompted(model, tokenizer, rest, said)
        learned |= {label: (direction, direction.new_zeros(())) for label, direction in zip(rest, directions)}
    directions, biases = (torch.stack(part) for part in zip(*(learned[label] for label in labels)))
    return LabelEmbeddings(labels, directions, biases)


def _prompted(model, tokenizer, labels: Sequence[str], said: Sequence[Sequence[str]]) -> torch.Tensor:
    """The embedding of what says each label minus that of its opposite, `(labels, dim)`."""
    opposed = [_opposite_codes(label, texts) for label, texts in zip(labels, said)]
    codes = sorted({code for group in opposed for code in group})
    ensembles = embed_ensembles(model, tokenizer, [*said, *(prompts(code) for code in codes)])
    opposite = dict(zip(codes, ensembles[len(labels) :]))
    away = torch.stack([torch.stack([opposite[code] for code in group]).mean(0) for group in opposed])
    return ensembles[: len(labels)] - F.normalize(away, dim=-1)


def _opposite_codes(label: str, texts: Sequence[str]) -> tuple[str, ...]:
    says_normal = {text.strip(" .").lower() for text in texts} <= {text.strip(" .") for text in prompts("NORM")}
    return opposites("NORM" if says_normal else label)
