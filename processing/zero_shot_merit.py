"""
Zero-shot scores: how much better a recording fits a label than it fits that label's opposite.

The plain similarity of an ECG to a label mostly says how typical the label's wording is of all reports. What ranks
recordings is a difference: similarity to the label, said in several ways the way reports say it, minus similarity to a
normal ECG. For labels that themselves say "normal", the opposite is an abnormal one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .prompts_merit import ABNORMAL, NORMAL, prompts


@dataclass
class LabelEmbeddings:
    """
    What a recording is compared with.

    Args:
        labels (`list[str]`): the candidate labels.
        directions (`torch.FloatTensor` of shape `(labels, dim)`): embedding of each label minus its opposite's.
        scale (`float`): the model's inverse temperature.
    """

    labels: list[str]
    directions: torch.Tensor
    scale: float

    def logits(self, ecg_embeds: torch.Tensor) -> torch.Tensor:
        """
        Args:
            ecg_embeds (`torch.FloatTensor` of shape `(recordings, dim)`): of unit length.

        Returns:
            `torch.FloatTensor` of shape `(recordings, labels)`: log-odds of each label against its opposite.
        """
        return self.scale * ecg_embeds.to(self.directions.dtype) @ self.directions.T


@torch.inference_mode()
def embed_texts(model, tokenizer, texts: Sequence[str]) -> torch.Tensor:
    """Embeddings of unit length, `(texts, dim)` float32."""
    batch = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(model.device)
    return F.normalize(model.get_text_features(**batch).pooler_output.float(), dim=-1)


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
    for template in templates:
        if "{}" not in template:
            raise ValueError(f"hypothesis_template {template!r} has no {{}} where the label goes.")
    return [template.replace("{}", phrase) for template in templates for phrase in prompts(label)]


def embed_labels(
    model, tokenizer, candidate_labels: Sequence[str] | Mapping[str, Sequence[str]], hypothesis_template="{}"
) -> LabelEmbeddings:
    """
    Embed labels once, to score any number of recordings.

    Args:
        model (`MeritModel`), tokenizer: of one checkpoint.
        candidate_labels: labels as a user types them, or a mapping from label to the prompts that say it.
        hypothesis_template: a text with {} where a label's phrasing goes, or several.

    Raises:
        ValueError: for no labels, an empty label, a label without prompts, or a label that stands twice.
    """
    labels = list(candidate_labels)
    if not labels or not all(isinstance(label, str) and label.strip() for label in labels):
        raise ValueError("candidate_labels must name at least one label, none of them empty.")
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise ValueError(f"candidate_labels names {', '.join(sorted(twice))} more than once.")
    if isinstance(candidate_labels, Mapping):
        said = [list(candidate_labels[label]) for label in labels]
        if empty := [label for label, texts in zip(labels, said) if not texts]:
            raise ValueError(f"candidate_labels has no prompt for {', '.join(empty)}.")
    else:
        said = [phrasings(label, hypothesis_template) for label in labels]
    groups = [*said, list(NORMAL), list(ABNORMAL)]
    embeds = embed_texts(model, tokenizer, [text for group in groups for text in group])
    means = torch.stack([part.mean(0) for part in embeds.split([len(group) for group in groups])])
    *_, normal, abnormal = means
    means = means[:-2]
    says_normal = torch.tensor([is_normal(texts) for texts in said], device=means.device)[:, None]
    opposites = torch.where(says_normal, abnormal, normal)
    return LabelEmbeddings(labels, means - opposites, model.scale().item())


def is_normal(texts: Sequence[str]) -> bool:
    """Whether a label says that the ECG is normal: all its phrasings are among the prompts of a normal ECG."""
    return {text.strip(" .") for text in texts} <= {text.strip(" .") for text in NORMAL}
