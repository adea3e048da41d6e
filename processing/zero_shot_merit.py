"""
Zero-shot scores: how much better a recording matches a label than the label's opposite.

A finding that the model has learned from recordings and their reports (`merit learn-labels`) is scored with the
log-odds that the report of a recording mentions it. Any other label is scored with text prompts. `merit calibrate`
brings the two kinds of score to one scale: log-odds that a recording has the finding. Without it, labels that compete
with each other are all scored in one way.

Competing labels share their odds: a score is then the probability of a label if exactly one of the labels is present
and they are independent of each other. A label that the model does not know has the basis "unknown": its score is a
prior, the same for all recordings, and it does not compete.

The similarity between an ECG and a prompt mostly measures how typical the wording is of reports in general. The score
that ranks recordings is a difference: the similarity to the prompts of the label minus the similarity to those of its
opposite, which is a normal ECG, or for a normal ECG the four classes of abnormal ones.
benchmarks/bench_zero_shot_scores.py compares the alternatives on fold 9 of PTB-XL.
"""

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import Any

import torch
import torch.nn.functional as F

from .glossary_merit import Finding, Glossary, as_prompt, did_you_mean
from .known_words_merit import has_known_words

# Log-odds of what does not compete; finite, because minus infinity would give gradients that are NaN.
_NEVER = -1e9
# Score of an unknown label, if the model was not calibrated, and its largest prior otherwise: about the prevalence of
# the rarest findings of PTB-XL.
PRIOR = 0.001
# Of a label for which `merit calibrate` chose none.
_DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class CandidateLabel:
    """
    A label, looked up in the glossary.

    Args:
        label (`str`): as the user typed it.
        finding (`Finding`, *optional*): what the glossary knows of it.
        prompts (`tuple[str]`): texts that stand for the label.
        opposites (`tuple[tuple[str]]`): the prompts of each finding that it is contrasted with.
        by_prompts (`bool`): score it with its prompts, whether or not the model has learned the finding.
        negated (`bool`): the label is the opposite of the finding and of the prompts ("no atrial fibrillation").
        texts (`tuple[str]`): the label or the user's prompts without a template, which a text encoder may know or not;
            empty for a finding with its own prompts.
    """

    label: str
    finding: Finding | None
    prompts: tuple[str, ...]
    opposites: tuple[tuple[str, ...], ...]
    by_prompts: bool = False
    negated: bool = False
    texts: tuple[str, ...] = ()

    @classmethod
    def look_up(
        cls,
        label: str,
        glossary: Glossary,
        prompts: Collection[str] | None = None,
        templates: Collection[str] | None = None,
        language: str | None = None,
    ) -> "CandidateLabel":
        """
        Args:
            label: a name or code of a finding, or any other text.
            glossary: where it is looked up.
            prompts: texts to use instead of those of the glossary.
            templates: texts with {} where the prompts go.
            language: of the glossary's prompts, `"en"`, `"de"` or `"both"`.

        If `prompts`, `templates` or `language` are given, a learned finding is scored with prompts as well. A label
        with `prompts` means what they say, so that it is not searched for a negation.

        Raises:
            ValueError: the label negates something that is no finding.
        """
        finding, negated = glossary.read(label) if prompts is None else (glossary.find(label), False)
        by_prompts = any(given is not None for given in (prompts, templates, language))
        if prompts is None:
            prompts = finding.prompts(language) if finding else (as_prompt(label),)
            texts = () if finding else (label,)
        else:
            texts = tuple(prompts)
        if templates is not None:
            prompts = [template.replace("{}", prompt) for template in templates for prompt in prompts]
        normal = glossary.findings["NORM"]
        if {text.strip(" .").lower() for text in prompts} <= {text.strip(" .") for text in normal.prompts()}:
            codes = normal.opposites
        else:
            codes = finding.opposites if finding else Finding.opposites
        opposites = tuple(glossary.findings[code].prompts(language) for code in codes)
        return cls(label, finding, tuple(prompts), opposites, by_prompts, negated, texts)

    def is_learned(self, learned: Collection[str]) -> bool:
        """Whether it is scored as learned by a model that has learned these codes."""
        return not self.by_prompts and self.finding is not None and self.finding.code in learned

    def is_unknown(self, tokenizer, glossary: Glossary) -> bool:
        """Whether it is no finding, and its prompts are not made of known words, see `known_words_merit`."""
        return bool(self.texts) and not has_known_words(self.texts, tokenizer, glossary.words)


@dataclass
class LabelEmbeddings:
    """
    Labels as linear functions of the ECG embedding, on the CPU.

    Args:
        labels (`list[str]`): the labels.
        directions (`torch.FloatTensor` of shape `(labels, dim)`): learned weights, or the embedding of the label minus
            that of its opposite, multiplied by the model's logit scale.
        biases (`torch.FloatTensor` of shape `(labels,)`): learned biases, or 0.
        facts (`list[dict]`): what the score of each label rests on: `"basis"`, which is "learned", "prompt" or
            "unknown", and what is known of it: `"reports"`, the number of reports that it was fitted to, `"auroc"` of
            its prompts, or `"threshold"`, `"sensitivity"` and `"specificity"` of a decision.
    """

    labels: list[str]
    directions: torch.Tensor
    biases: torch.Tensor
    facts: list[dict[str, Any]]

    def logits(self, ecg_embeds: torch.Tensor) -> torch.Tensor:
        """
        Args:
            ecg_embeds (`torch.FloatTensor` of shape `(recordings, dim)`): of unit length.

        Returns:
            `torch.FloatTensor` of shape `(recordings, labels)`: log-odds of each label against its opposite.
        """
        directions, biases = self.directions.to(ecg_embeds.device), self.biases.to(ecg_embeds.device)
        return ecg_embeds.to(directions.dtype) @ directions.T + biases

    def log_odds(self, logits: torch.Tensor, multi_label: bool) -> torch.Tensor:
        """
        Log-odds of the scores, of which these are the sigmoid.

        Args:
            logits (`torch.FloatTensor` of shape `(..., labels)`): of recordings.
            multi_label: score each label by itself; otherwise labels compete. A label without a rival, because the
                others are unknown or names of the same finding, is scored by itself as well.

        Returns:
            `torch.FloatTensor` of shape `(..., labels)`.
        """
        if multi_label or not self._has_rivals:
            return logits
        known, same = self._known.to(logits.device), self._same.to(logits.device)
        competing = (logits - same.sum(-1).log()).masked_fill(~known, _NEVER)
        total = competing.logsumexp(-1, keepdim=True)
        others = competing[..., None, :].masked_fill(same, _NEVER).logsumexp(-1)
        # Unknown labels keep their scores, at most half of the probability; the known ones share the rest.
        of_unknown = logits.sigmoid()[..., ~known].sum(-1, keepdim=True).clamp(max=0.5)
        rest = (1 - of_unknown).log()
        log_odds = rest + logits - total - torch.logaddexp(of_unknown.log(), rest + others - total)
        return torch.where(known, log_odds, logits)

    @cached_property
    def _known(self) -> torch.Tensor:
        """Which labels the model knows, `(labels,)`; the others do not compete."""
        return torch.tensor([facts["basis"] != "unknown" for facts in self.facts])

    @cached_property
    def _same(self) -> torch.Tensor:
        """Which labels are names of the same finding, `(labels, labels)`; these compete once."""
        linear = torch.cat([self.directions, self.biases[:, None]], dim=1).cpu()
        return (linear[:, None] == linear).all(-1)

    @cached_property
    def _has_rivals(self) -> bool:
        """Whether there are two known labels that are not names of one finding."""
        return not self._same[self._known][:, self._known].all().item()

    def ranked(self, logits: torch.Tensor, multi_label: bool, decisions: bool = False) -> list[dict[str, Any]]:
        """The answer for one recording: labels by decreasing score, unknown ones last."""
        answer = []
        for label, score, facts in zip(self.labels, self.log_odds(logits, multi_label).sigmoid().tolist(), self.facts):
            shown = {name: facts[name] for name in ("basis", "reports", "auroc") if name in facts}
            if decisions and "threshold" in facts:
                probability = logits[len(answer)].sigmoid().item()
                rates = {name: facts[name] for name in ("sensitivity", "specificity")}
                shown |= {"present": probability >= facts["threshold"], **rates}
            answer.append({"label": label, "score": score, **shown})
        return sorted(answer, key=lambda one: (one["basis"] == "unknown", -one["score"]))

    def caution(self, logits: torch.Tensor, multi_label: bool) -> str:
        """
        Why the scores of a recording mislead: the labels compete, and none reaches its own threshold, which is 0.5 if
        `merit calibrate` chose none. Empty otherwise, and if no label has a chosen threshold.

        Args:
            logits (`torch.FloatTensor` of shape `(labels,)`): of the recording.
            multi_label: see `log_odds`.
        """
        known = [index for index, facts in enumerate(self.facts) if facts["basis"] != "unknown"]
        if multi_label or not self._has_rivals or not any("threshold" in self.facts[index] for index in known):
            return ""
        probabilities = logits.sigmoid().tolist()
        if any(probabilities[index] >= self.facts[index].get("threshold", _DEFAULT_THRESHOLD) for index in known):
            return ""
        best = max(known, key=probabilities.__getitem__)
        return (
            f"none of the labels is present by itself, the most probable is {self.labels[best]!r} with "
            f"{probabilities[best]:.2f}; the scores sum to 1 because the labels compete"
        )


def check_labels(
    candidate_labels: str | Collection[str] | Mapping[str, str | Collection[str]],
) -> list[str] | dict[str, list[str]]:
    """
    Labels as a list, or as a dictionary from label to prompts.

    Args:
        candidate_labels: labels, a string of labels separated by commas, or a mapping from label to prompts.

    Raises:
        ValueError: there are no labels, one is no text or empty, two are alike but for case and blanks, or one has no
            prompt.
    """
    if isinstance(candidate_labels, str):
        candidate_labels = [label.strip() for label in candidate_labels.split(",")]
    if not isinstance(candidate_labels, Collection):
        raise ValueError(
            "candidate_labels must be a list of labels, a string with commas between them or a dictionary from label "
            f"to prompts, not {candidate_labels!r}."
        )
    labels = list(candidate_labels)
    if not labels:
        raise ValueError("candidate_labels must name at least one label.")
    seen: dict[str, str] = {}
    for i, label in enumerate(labels):
        _check_text(label, f"candidate_labels[{i}]")
        spelling = " ".join(label.casefold().split())
        if seen.get(spelling) == label:
            raise ValueError(f"candidate_labels names {label} more than once.")
        if spelling in seen:
            raise ValueError(
                f"candidate_labels names {seen[spelling]!r} and {label!r}, which differ only in case or blanks."
            )
        seen[spelling] = label
    if not isinstance(candidate_labels, Mapping):
        return labels
    prompts = {label: _texts(candidate_labels[label], f"candidate_labels[{label!r}]") for label in labels}
    if empty := [label for label, texts in prompts.items() if not texts]:
        raise ValueError(f"candidate_labels has no prompt for {', '.join(empty)}.")
    return prompts


def check_templates(hypothesis_template: str | Collection[str]) -> list[str]:
    """
    Templates as a list.

    Raises:
        ValueError: there is none, or one is no text or has no {}.
    """
    templates = _texts(hypothesis_template, "hypothesis_template")
    if not templates:
        raise ValueError("hypothesis_template names no template.")
    for template in templates:
        if "{}" not in template:
            raise ValueError(f"hypothesis_template {template!r} has no {{}} where the label goes.")
    return templates


def _texts(value: Any, name: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Collection) or isinstance(texts, Mapping):
        raise ValueError(f"{name} must be a text or a list of texts, not {value!r}.")
    for i, text in enumerate(texts):
        _check_text(text, name if isinstance(value, str) else f"{name}[{i}]")
    return list(texts)


def _check_text(text: Any, name: str) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{name} must be a text, not {text!r}.")
    if not text.strip():
        raise ValueError(f"{name} is empty: {text!r}.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{name} is {text!r}, which holds half of a surrogate pair and is no valid text.")


def resolve_labels(
    candidate_labels: str | Collection[str] | Mapping[str, str | Collection[str]],
    hypothesis_template: str | Collection[str] = "{}",
    glossary: Glossary | None = None,
) -> list[CandidateLabel]:
    """
    Look labels up, each once.

    Args:
        candidate_labels: labels as a user types them, or a mapping from label to its prompts.
        hypothesis_template: a text, or several, with {} where a label's prompts go. It does not apply to the prompts of
            a mapping.
        glossary: by default that of the package.

    Raises:
        ValueError: labels or templates that cannot be used, see `check_labels` and `check_templates`, or a negation of
            something that is no finding.

    Example:

    ```python
    >>> [label] = resolve_labels(["Some new finding"], "sinus rhythm. {}.")
    >>> label.finding, label.prompts
    (None, ('sinus rhythm. some new finding.',))

    ```"""
    labels, templates = check_labels(candidate_labels), check_templates(hypothesis_template)
    glossary = glossary or Glossary.default()
    if isinstance(labels, dict):
        return [CandidateLabel.look_up(label, glossary, prompts) for label, prompts in labels.items()]
    wrapped = None if hypothesis_template == "{}" else templates
    return [CandidateLabel.look_up(label, glossary, templates=wrapped) for label in labels]


def check_unknown(on_unknown_label: str) -> str:
    """
    Raises:
        ValueError: it is neither "warn" nor "error".
    """
    if on_unknown_label not in ("warn", "error"):
        raise ValueError(f'on_unknown_label must be "warn" or "error", not {on_unknown_label!r}.')
    return on_unknown_label


def unknown_labels(labels: Sequence[CandidateLabel], tokenizer, glossary: Glossary | None = None) -> list[bool]:
    """
    Which labels are neither a finding of the glossary nor made of words of findings that the text encoder has learned.

    Example:

    ```python
    >>> unknown_labels(resolve_labels(["banana", "AFIB"]), tokenizer)  # doctest: +SKIP
    [True, False]

    ```"""
    glossary = glossary or Glossary.default()
    return [label.is_unknown(tokenizer, glossary) for label in labels]


def describe_unknown(labels: Sequence[CandidateLabel], unknown: Sequence[bool], glossary: Glossary) -> str:
    """Which labels the model does not know, with similar names of findings; empty if it knows all."""
    names = [
        f"{label.label!r}{_suggestion(label, glossary)}" for label, is_unknown in zip(labels, unknown) if is_unknown
    ]
    if not names:
        return ""
    return f"The model does not know {'; '.join(names)}: no finding of the glossary, no words for findings."


def describe_ambiguous(labels: Sequence[CandidateLabel], unknown: Sequence[bool], glossary: Glossary) -> str:
    """
    Which labels may be scored as something else than the user means: several findings with commas between them, nearly
    the name of a finding, and names of one finding; empty if none.
    """
    remarks = []
    for label, is_unknown in zip(labels, unknown):
        parts = [part.strip() for part in label.label.split(",")]
        if _is_own_prompt(label) and len(parts) > 1 and all(map(glossary.find, parts)):
            remarks.append(f"The label {label.label!r} is scored as one label; for {len(parts)}, pass {parts}.")
        elif not is_unknown and (hint := _suggestion(label, glossary)):
            remarks.append(f"{label.label!r} is no finding of the glossary and scored with its own text{hint}.")
    names: dict[tuple[str, bool], list[str]] = {}
    for label in labels:
        if label.finding:
            names.setdefault((label.finding.code, label.negated), []).append(label.label)
    if same := [" and ".join(map(repr, group)) for group in names.values() if len(group) > 1]:
        remarks.append(f"{'; '.join(same)} are names of one finding and have the same score.")
    return " ".join(remarks)


def _is_own_prompt(label: CandidateLabel) -> bool:
    """Whether a label is no finding of the glossary and scored with its own text."""
    return label.finding is None and label.texts == (label.label,)


def _suggestion(label: CandidateLabel, glossary: Glossary) -> str:
    """Similar names of findings for a label that is its own prompt."""
    return did_you_mean(glossary.suggestions(label.label)) if _is_own_prompt(label) else ""


def logit(probability: float) -> float:
    """The log-odds of a probability."""
    return log(probability / (1 - probability))


@torch.inference_mode()
def embed_texts(model, tokenizer, texts: Sequence[str], batch_size: int = 256) -> torch.Tensor:
    """Embeddings of texts in the space shared with ECGs, of unit length; `(texts, dim)` float32."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # texts of similar length need little padding
    parts = []
    for start in range(0, len(order), batch_size):
        part = [texts[i] for i in order[start : start + batch_size]]
        batch = tokenizer(part, padding=True, truncation=True, return_tensors="pt").to(model.device)
        parts.append(F.normalize(model.get_text_features(**batch).pooler_output.float(), dim=-1))
    return torch.cat(parts)[torch.tensor(order).argsort()]


def label_directions(
    labels: Sequence[CandidateLabel],
    embed: Callable[[list[str]], Any],
    learned: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
    scale: float = 1.0,
) -> LabelEmbeddings:
    """
    Learned labels with their weights and biases, others with prompts.

    Args:
        labels: the labels.
        embed: returns embeddings of unit length of a list of texts, `(texts, dim)`.
        learned: weights `(dim,)` and bias of each finding that the model has learned, by code.
        scale: of the directions that come from prompts.
    """
    prompted = [label for label in labels if not label.is_learned(learned)]
    ensembles = {prompts for label in prompted for prompts in (label.prompts, *label.opposites)}
    means: dict[tuple[str, ...], torch.Tensor] = {}
    if ensembles:
        texts = sorted({text for prompts in ensembles for text in prompts})
        rows, embeds = {text: row for row, text in enumerate(texts)}, torch.as_tensor(embed(texts)).cpu()
        means = {
            prompts: F.normalize(embeds[[rows[text] for text in prompts]].mean(0), dim=-1) for prompts in ensembles
        }

    def linear(label: CandidateLabel) -> tuple[torch.Tensor, torch.Tensor]:
        if label.finding and label.is_learned(learned):
            weight, bias = learned[label.finding.code]
            return weight.cpu(), bias.cpu()
        opposite = F.normalize(torch.stack([means[prompts] for prompts in label.opposites]).mean(0), dim=-1)
        direction = scale * (means[label.prompts] - opposite)
        return direction, direction.new_zeros(())

    directions, biases = zip(*map(linear, labels))
    facts = [{"basis": "learned" if label.is_learned(learned) else "prompt"} for label in labels]
    return LabelEmbeddings([label.label for label in labels], torch.stack(directions), torch.stack(biases), facts)


def standardised(labels: LabelEmbeddings, mean: torch.Tensor, covariance: torch.Tensor) -> LabelEmbeddings:
    """
    Labels whose scores have the mean 0 and the standard deviation 1 over recordings.

    Args:
        labels: the labels.
        mean (`torch.FloatTensor` of shape `(dim,)`), covariance (`torch.FloatTensor` of shape `(dim, dim)`): of the ECG
            embeddings of these recordings.
    """
    directions = labels.directions.float()
    scale = ((directions @ covariance.float()) * directions).sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
    directions = directions / scale
    return replace(labels, directions=directions, biases=-directions @ mean.float())


def calibrate(embeddings: LabelEmbeddings, labels: Sequence[CandidateLabel], model) -> LabelEmbeddings:
    """
    Rescale scores to log-odds that a recording has the finding, with what `merit calibrate` has fitted.

    A learned label and the prompts of a finding have a scale of their own: slope, intercept and, for prompts, a prior.
    Prompts and templates of the user have the mean slope and intercept of prompts, and the prior of the finding that
    the label names. If it names no finding that `merit calibrate` has measured, the prior is that of the rarest one.
    Scores of prompts are standardised first.

    Args:
        embeddings: the labels as the model scores them.
        labels: the same labels, as they were looked up.
        model (`MeritModel`): with `config.calibration`.
    """
    calibration = model.config.calibration
    prompts = standardised(embeddings, model.calibration_mean.cpu(), model.calibration_covariance.cpu())
    directions, biases, facts = [], [], []
    for row, (label, basis) in enumerate(zip(labels, embeddings.facts)):
        code = label.finding.code if label.finding else ""
        if basis["basis"] == "learned":
            source, own = embeddings, calibration["learned"][code]
            scale = own
        else:
            source, own = prompts, calibration["prompts"].get(code, {})
            if label.by_prompts and own:
                own = {"prior": own["prior"]}
            scale = {**calibration["other"], **own}
        bias = source.biases[row].float() * scale["slope"] + scale["intercept"]
        directions.append(source.directions[row].float() * scale["slope"])
        biases.append(bias + logit(scale["prior"]) if "prior" in scale else bias)
        facts.append({**basis, **own})
    return replace(embeddings, directions=torch.stack(directions), biases=torch.stack(biases), facts=facts)


def embed_labels(
    model,
    tokenizer,
    candidate_labels: str | Collection[str] | Mapping[str, str | Collection[str]],
    hypothesis_template: str | Collection[str] = "{}",
    multi_label: bool = False,
    on_unknown_label: str = "warn",
    glossary: Glossary | None = None,
) -> LabelEmbeddings:
    """
    Embed labels once, to score any number of recordings.

    Args:
        model (`MeritModel`), tokenizer: of one checkpoint.
        candidate_labels, hypothesis_template, glossary: see `resolve_labels`. Labels with prompts or a template of the
            user are scored with prompts.
        multi_label: score each label by itself, as learned where it was learned. Otherwise labels compete; without
            calibration, they are then scored as learned if all of them were, with prompts if not.
        on_unknown_label: "warn" of labels that the text encoder does not know, or "error" to refuse them. It
            also warns of labels that are nearly the name of a finding, names of one finding, or several findings with
            commas between them.

    Raises:
        ValueError: labels or templates that cannot be used.
    """
    glossary = glossary or Glossary.default()
    labels = resolve_labels(candidate_labels, hypothesis_template, glossary)
    unknown = unknown_labels(labels, tokenizer, glossary)
    not_known = describe_unknown(labels, unknown, glossary)
    if check_unknown(on_unknown_label) == "error" and not_known:
        raise ValueError(f'{not_known} Leave them out, or pass on_unknown_label="warn".')
    if remarks := f"{not_known} {describe_ambiguous(labels, unknown, glossary)}".strip():
        warnings.warn(remarks, stacklevel=2)
    if not multi_label and len(labels) > 1:
        _refuse_negations(labels)
    learned = model.learned_labels
    if not model.config.calibration and not multi_label and not all(label.is_learned(learned) for label in labels):
        learned = {}
    embeddings = label_directions(
        labels, lambda texts: embed_texts(model, tokenizer, texts), learned, model.scale().item()
    )
    calibration = model.config.calibration
    if calibration:
        embeddings = calibrate(embeddings, labels, model)
    prior = calibration["other"]["prior"] if calibration else PRIOR
    return with_negations(_unknown_at_prior(embeddings, unknown, prior), labels)


def _unknown_at_prior(embeddings: LabelEmbeddings, unknown: Sequence[bool], prior: float) -> LabelEmbeddings:
    """Labels that the model does not know have a constant score."""
    known = torch.tensor([not one for one in unknown])
    return replace(
        embeddings,
        directions=embeddings.directions * known[:, None],
        biases=torch.where(known, embeddings.biases, logit(prior)),
        facts=[{"basis": "unknown"} if one else facts for one, facts in zip(unknown, embeddings.facts)],
    )


def _refuse_negations(labels: Sequence[CandidateLabel]) -> None:
    if negated := [label for label in labels if label.negated]:
        names = ", ".join(repr(label.label) for label in negated)
        raise ValueError(
            f"{names}: a label that negates a finding cannot compete with other labels. Pass multi_label=True, which "
            "scores it with 1 minus the score of the finding, or pass what is there instead, such as 'normal ECG'."
        )


def with_negations(embeddings: LabelEmbeddings, labels: Sequence[CandidateLabel]) -> LabelEmbeddings:
    """Labels that negate a finding have its log-odds with the other sign, so that the two scores sum to 1."""
    signs = embeddings.directions.new_tensor([-1.0 if label.negated else 1.0 for label in labels])
    facts = [_negated(one) if label.negated else one for label, one in zip(labels, embeddings.facts)]
    return replace(
        embeddings, directions=signs[:, None] * embeddings.directions, biases=signs * embeddings.biases, facts=facts
    )


def _negated(facts: dict[str, Any]) -> dict[str, Any]:
    """The decision that a finding is absent."""
    if "threshold" not in facts:
        return facts
    rates = {"sensitivity": facts["specificity"], "specificity": facts["sensitivity"]}
    return {**facts, "threshold": 1 - facts["threshold"], **rates}


def embed_statements(model, tokenizer, statements: Sequence[str], glossary: Glossary | None = None) -> LabelEmbeddings:
    """Embed sentences of reports, each as its own prompt, to score how well recordings match them."""
    glossary = glossary or Glossary.default()
    labels = [CandidateLabel.look_up(text, glossary, [text]) for text in statements]
    return label_directions(labels, lambda texts: embed_texts(model, tokenizer, texts), {}, model.scale().item())
