"""Pipelines. Recordings longer than the model's window are cut into windows, and the outputs of these are pooled."""

import re
from collections.abc import Iterable, Mapping
from copy import copy
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Pipeline

from .processing_merit import INSTRUCTIONS
from .recordings_merit import EcgError
from .zero_shot_merit import LabelEmbeddings, check_labels, embed_labels, embed_statements

# Arguments that describe arrays; files and rows contain this information.
DESCRIPTION = ("sampling_rate", "leads", "units")
# The report of a recording that is out of distribution.
CANNOT_TELL = "Cannot tell: this recording is unlike those that the model has learned from."


class EcgPipeline(Pipeline):
    """
    Base class of the pipelines: processes recordings in batches and pools the outputs of the windows of each recording.

    Inputs are recordings: the path of a WFDB record or CSV table, an array `(leads, samples)` with `sampling_rate=`,
    `leads=` and `units=`, or a row of a data set; or a list, a generator, or a `datasets` data set or column of them. A
    list returns a list, a generator or data set returns an iterator, one recording returns one result.
    """

    # PreTrainedModel does not declare the methods of our models.
    model: Any

    _load_processor = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.processor is None:
            raise ValueError(
                f"{type(self).__name__} needs the model's processor: give the model as a path or Hub id, or pass "
                "processor=AutoProcessor.from_pretrained(...)."
            )
        # The model's own feature extractor may crop; a pipeline processes the whole recording in windows.
        self.extractor = copy(self.processor.feature_extractor)
        self.extractor.long_recordings = "window"

    def __call__(self, ecg: Any, **kwargs) -> Any:
        if isinstance(ecg, tuple) or (isinstance(ecg, np.ndarray | torch.Tensor) and ecg.ndim == 3):
            ecg = list(ecg)
        elif isinstance(ecg, Iterable) and not isinstance(ecg, list | str | Mapping | np.ndarray | torch.Tensor):
            # A data set, a column of one, or a generator is streamed.
            ecg = (item for item in ecg)
        if isinstance(ecg, list) and not ecg:
            return []
        return super().__call__(ecg, **kwargs)

    def _sanitize_parameters(self, **kwargs) -> tuple[dict, dict, dict]:
        description = {name: kwargs.pop(name) for name in DESCRIPTION if name in kwargs}
        pooling = {"window_pooling": kwargs.pop("window_pooling")} if "window_pooling" in kwargs else {}
        if pooling.get("window_pooling", "mean") not in ("mean", "max"):
            raise ValueError(f'window_pooling must be "mean" or "max", not {pooling["window_pooling"]!r}.')
        return description, pooling, self._postprocess_options(**kwargs)

    def _postprocess_options(self, **kwargs) -> dict[str, Any]:
        if kwargs:
            raise TypeError(f"{type(self).__name__} has no argument {', '.join(kwargs)}.")
        return {}

    def get_iterator(self, inputs, num_workers, batch_size, preprocess_params, forward_params, postprocess_params):
        # The feature extractor is vectorised over recordings, so batches are made before it.
        inputs, position = iter(inputs), 0
        while batch := list(islice(inputs, batch_size)):
            try:
                prepared = self.preprocess(batch, **preprocess_params)
            except EcgError as error:
                where = f" (in the batch that begins with recording {position} of the input)" if position else ""
                raise EcgError(f"{error}{where}") from None
            outputs: Any = self.forward(prepared, **forward_params)
            position += len(batch)
            for row in range(len(batch)):
                yield self.postprocess(outputs[row : row + 1], **postprocess_params)

    def preprocess(self, ecg: Any, **description) -> dict[str, torch.Tensor]:
        recordings = ecg if isinstance(ecg, list) else [ecg]
        return dict(self.extractor(recordings, return_tensors="pt", padding="max_length", **description))

    def _forward(self, model_inputs: dict[str, torch.Tensor], window_pooling: str = "mean", **options) -> torch.Tensor:
        index = model_inputs.pop("record_index")
        values = model_inputs["ecg_values"]
        per_window = self._represent({**model_inputs, "ecg_values": values.to(self.model.dtype)}, **options).float()
        pooled = per_window.new_zeros(int(index.max()) + 1, per_window.shape[1])
        reduce = {"mean": "mean", "max": "amax"}[window_pooling]
        return pooled.scatter_reduce(0, index[:, None].expand_as(per_window), per_window, reduce, include_self=False)

    def _represent(self, inputs: dict[str, torch.Tensor], **options) -> torch.Tensor:
        """The output of the model for each window, `(windows, features)`, before pooling."""
        raise NotImplementedError


class ZeroShotEcgClassificationPipeline(EcgPipeline):
    """
    Zero-shot classification of recordings with labels in plain text.

    Example:

    ```python
    >>> from transformers import pipeline
    >>> classify = pipeline("zero-shot-ecg-classification", model="org/merit", trust_remote_code=True)  # doctest: +SKIP
    >>> classify("00001_lr", candidate_labels=["normal ECG", "atrial fibrillation"])  # doctest: +SKIP
    [{'label': 'normal ECG', 'score': 0.93}, {'label': 'atrial fibrillation', 'score': 0.07}]

    ```"""

    def __call__(self, ecg: Any, candidate_labels=None, **kwargs) -> Any:
        """
        Args:
            ecg: recordings, see [`EcgPipeline`].
            candidate_labels (`list[str]`, `str` with commas, or `dict[str, list[str]]`): labels in plain text, or a
                mapping from label to its prompts. A label that the glossary contains, by name or code, is scored with
                its report-supervised classifier if the model has one, else with the prompts of the glossary; any other
                label is its own prompt. Without `multi_label`, labels are scored with prompts unless all of them have
                a report-supervised classifier.
            hypothesis_template (`str` or `list[str]`, defaults to `"{}"`): text in which {} is replaced by the label.
            multi_label (`bool`, defaults to `False`): score each label independently; otherwise the scores sum to 1.
            top_k (`int`, *optional*): return only the labels with the highest scores.
            window_pooling (`str`, defaults to `"mean"`): `"max"` finds what is visible in one window only of a long
                recording.
            batch_size (`int`, defaults to 1), sampling_rate, leads, units: see [`EcgPipeline`].

        Returns:
            `[{"label": ..., "score": ...}, ...]` by decreasing score, for each recording.

        Raises:
            ValueError: no candidate labels, or duplicate ones.
            EcgError: a recording cannot be used.
        """
        if candidate_labels is not None:
            kwargs["candidate_labels"] = candidate_labels
        return super().__call__(ecg, **kwargs)

    def _sanitize_parameters(self, candidate_labels=None, hypothesis_template=None, **kwargs):
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if candidate_labels is not None:
            forward["candidate_labels"] = postprocess["candidate_labels"] = check_labels(candidate_labels)
        if hypothesis_template is not None:
            forward["hypothesis_template"] = hypothesis_template
        if "multi_label" in postprocess:
            forward["multi_label"] = postprocess["multi_label"]
        return preprocess, forward, postprocess

    def _embed_labels(self, *arguments) -> LabelEmbeddings:
        key = repr(arguments)
        if getattr(self, "_last_labels", (None, None))[0] != key:
            labels = embed_labels(self.model, self.processor.tokenizer, *arguments, self.processor.glossary)
            self._last_labels = (key, labels)
        return self._last_labels[1]

    def _postprocess_options(self, **kwargs) -> dict[str, Any]:
        options = {name: kwargs.pop(name) for name in ("multi_label", "top_k") if name in kwargs}
        return super()._postprocess_options(**kwargs) | options

    def _represent(self, inputs, candidate_labels=None, hypothesis_template="{}", multi_label=False):
        if candidate_labels is None:
            raise ValueError('Pass candidate_labels, such as candidate_labels=["normal ECG", "atrial fibrillation"].')
        embeds = F.normalize(self.model.get_ecg_features(**inputs).pooler_output.float(), dim=-1)
        return self._embed_labels(candidate_labels, hypothesis_template, multi_label).logits(embeds)

    def postprocess(
        self, logits: torch.Tensor, candidate_labels, multi_label: bool = False, top_k: int | None = None
    ) -> list[dict[str, Any]]:
        scores = logits[0].sigmoid() if multi_label else logits[0].softmax(-1)
        return _ranked(list(candidate_labels), scores, top_k)


class EcgClassificationPipeline(EcgPipeline):
    """
    Classification of recordings with a fine-tuned [`MeritForEcgClassification`].

    Example:

    ```python
    >>> from transformers import pipeline
    >>> classify = pipeline("ecg-classification", model="org/merit-super", trust_remote_code=True)  # doctest: +SKIP
    >>> classify("00001_lr", top_k=1)  # doctest: +SKIP
    [{'label': 'NORM', 'score': 0.98}]

    ```"""

    def _postprocess_options(self, **kwargs) -> dict[str, Any]:
        options = {"top_k": kwargs.pop("top_k")} if "top_k" in kwargs else {}
        return super()._postprocess_options(**kwargs) | options

    def _represent(self, inputs):
        return self.model(**inputs).logits

    def postprocess(self, logits: torch.Tensor, top_k: int | None = None):
        config = self.model.config
        if config.problem_type == "multi_label_classification":
            scores = logits[0].sigmoid()
        elif config.problem_type == "regression" or config.num_labels == 1:
            scores = logits[0]
        else:
            scores = logits[0].softmax(-1)
        return _ranked([config.id2label[i] for i in range(len(scores))], scores, top_k)


class EcgFeatureExtractionPipeline(EcgPipeline):
    """Embeddings of recordings in the space shared with texts, as `numpy.ndarray` of shape `(projection_dim,)`."""

    def _represent(self, inputs):
        return self.model.get_ecg_features(**inputs).pooler_output

    def postprocess(self, features: torch.Tensor) -> np.ndarray:
        return features[0].numpy()


class EcgReportGenerationPipeline(EcgPipeline):
    """
    Generation of reports with a [`MeritForReportGeneration`], with the support of the encoder for each statement.

    Example:

    ```python
    >>> from transformers import pipeline
    >>> report = pipeline("ecg-report-generation", model="org/merit-report", trust_remote_code=True)  # doctest: +SKIP
    >>> report("00001_lr")["report"]  # doctest: +SKIP
    'sinus rhythm. normal ecg.'

    ```"""

    def __call__(self, ecg: Any, text: str | None = None, **kwargs) -> Any:
        """
        Args:
            ecg: recordings, see [`EcgPipeline`].
            text (`str`, *optional*): instruction or question; by default the instruction for a report in `language`.
            language (`str`, defaults to `"en"`): `"en"` or `"de"`, used if `text` is `None`.
            abstain (`bool`, defaults to `True`): abstain from reporting out-of-distribution recordings.
            max_new_tokens (`int`, *optional*), generate_kwargs (`dict`, *optional*): for `generate`.
            window_pooling, batch_size, sampling_rate, leads, units: see [`EcgPipeline`].

        Returns:
            for each recording a dictionary with `report`; its `statements`, each with `text` and `support`;
            `atypicality` (about 1 for recordings like those of training); and whether it `abstained`. The support of a
            statement is its zero-shot score against its opposite. It is not a probability, and not independent of the
            report, because the encoder is the same. It compares recordings for one statement; the supports of
            different statements are not comparable.

        Raises:
            ValueError: `language` is not supported.
            EcgError: a recording cannot be used.
        """
        return super().__call__(ecg, **kwargs, **({} if text is None else {"text": text}))

    def _sanitize_parameters(self, text=None, language=None, max_new_tokens=None, generate_kwargs=None, **kwargs):
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if language is not None and language not in INSTRUCTIONS:
            raise ValueError(f"language={language!r} is not one of {', '.join(INSTRUCTIONS)}.")
        if text is None and language is not None:
            text = INSTRUCTIONS[language]
        if text is not None:
            forward["text"] = text
        options = {**(generate_kwargs or {}), **({"max_new_tokens": max_new_tokens} if max_new_tokens else {})}
        if options:
            forward["options"] = options
        return preprocess, forward, postprocess

    def _postprocess_options(self, **kwargs) -> dict[str, Any]:
        options = {"abstain": kwargs.pop("abstain")} if "abstain" in kwargs else {}
        return super()._postprocess_options(**kwargs) | options

    def _represent(self, inputs):
        output = self.model.encode(**inputs)
        return torch.cat([output.last_hidden_state.flatten(1), output.pooler_output], dim=-1)

    def _forward(self, model_inputs, window_pooling="mean", text=None, options=None):
        pooled = super()._forward(model_inputs, window_pooling)
        prefix, features = pooled.to(self.model.dtype).tensor_split([-len(self.model.typical_mean)], dim=-1)
        prompt = self.processor.write([text] * len(pooled)).to(self.model.device)
        prefix = prefix.view(len(pooled), self.model.config.num_ecg_tokens, -1)
        generated = self.model.generate(**prompt, ecg_prefix=prefix, **(options or {}))
        reports = self.processor.read(generated[:, prompt["input_ids"].shape[1] :])
        atypical = self.model.atypicality(features).tolist(), self.model.abstains(features).tolist()
        statements = self._with_support([sentences(report) for report in reports], self.model.ecg_embeds(features))
        return list(zip(reports, statements, *atypical))

    def _with_support(self, reports: list[list[str]], ecg_embeds: torch.Tensor) -> list[list[dict[str, Any]]]:
        texts = sorted({sentence for statements in reports for sentence in statements})
        if not texts:
            return [[] for _ in reports]
        labels = embed_statements(self.model.merit, self.processor.merit_tokenizer, texts, self.processor.glossary)
        support = labels.logits(ecg_embeds).sigmoid()
        return [
            [{"text": sentence, "support": support[row, texts.index(sentence)].item()} for sentence in statements]
            for row, statements in enumerate(reports)
        ]

    def postprocess(self, outputs: list[tuple], abstain: bool = True) -> dict[str, Any]:
        report, statements, atypicality, abstained = outputs[0]
        if abstained and abstain:
            report, statements = CANNOT_TELL, []
        return {
            "report": report,
            "statements": statements,
            "atypicality": atypicality,
            "abstained": abstained and abstain,
        }


def sentences(report: str) -> list[str]:
    """
    Split a report into sentences at full stops and semicolons. Reports without them, as in German, are one sentence.

    Example:

    ```python
    >>> sentences("sinus rhythm. normal ecg.")
    ['sinus rhythm.', 'normal ecg.']

    ```"""
    return [sentence for sentence in re.split(r"(?<=[.;])\s+", report.strip()) if sentence]


def _ranked(labels: list[str], scores: torch.Tensor, top_k: int | None) -> list[dict[str, Any]]:
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k}.")
    order = scores.argsort(descending=True)[:top_k]
    return [{"label": labels[i], "score": scores[i].item()} for i in order.tolist()]


__all__ = [
    "EcgClassificationPipeline",
    "EcgFeatureExtractionPipeline",
    "EcgReportGenerationPipeline",
    "ZeroShotEcgClassificationPipeline",
]
