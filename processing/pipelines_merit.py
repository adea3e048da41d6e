"""Pipelines. Recordings longer than the model's window are cut into windows, and the outputs of these are pooled."""

import os
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Pipeline

from .answers_merit import DoNotRelyWarning, EcgAnswer, cautions, quality_of
from .explanation_merit import METHODS, Explanation, explain, log_odds
from .feature_extraction_merit import SETTINGS
from .inputs_merit import is_recording
from .processing_merit import INSTRUCTIONS
from .quality_merit import assess, signal_measures
from .recordings_merit import EcgError
from .zero_shot_merit import LabelEmbeddings, check_labels, check_unknown, embed_labels, embed_statements

# Arguments of a call that describe arrays, or say how files are checked. Files and rows describe themselves.
DESCRIPTION = ("sampling_rate", "leads", "units", "verify_checksums")
# The report of a recording for which the model abstains, with the reasons.
CANNOT_TELL = "Cannot tell: {}."
# Fast tokenizers raise "Already borrowed" if two threads set padding at the same time.
_TOKENIZER_LOCK = Lock()


@dataclass
class PreparedBatch:
    """
    A batch of recordings, ready for the model.

    Args:
        names: of the recordings, in messages.
        features: tensors of the recordings that can be used, with `record_index`; None if there is none.
        errors: of the others, by their position in the batch.
    """

    names: list[str]
    features: dict[str, torch.Tensor] | None
    errors: dict[int, EcgError]


class EcgPipeline(Pipeline):
    """
    Base class of the pipelines: processes recordings in batches and pools the outputs of the windows of each recording.

    Inputs are recordings in any form that [`MeritFeatureExtractor`] accepts, such as the path of a WFDB record or CSV
    table, an array `(leads, samples)` with `sampling_rate=`, `leads=` and `units=`, or a row of a data set; or a list,
    a generator, or a `datasets` data set or column of them. A list returns a list, a generator or data set returns an
    iterator, one recording returns one result.

    Arguments of the constructor, or of a call:
        sampling_rate, leads, units: describe arrays, and files that do not state them.
        verify_checksums (`bool`, defaults to `True`): whether a file with a wrong checksum is an error, or a warning.
        on_error (`str`, defaults to `"raise"`): `"raise"` raises the [`EcgError`] of a recording that cannot be used,
            `"return"` puts it in the place of the result. For a list it names the position in the list.
        window_pooling (`str`, defaults to `"mean"`): how to pool the outputs of the windows, `"mean"` or `"max"`.
        abstain (`bool`, defaults to `False`): if `quality` has a reason not to trust the answer, return an empty answer
            instead of the answer with a warning.
        per_window (`bool`, defaults to `False`): add the labels of each window of a recording, with its start and end
            in seconds, as the attribute `windows` of an [`EcgAnswer`] (classification only).
        explain (`bool` or `str`, defaults to `False`): add an [`Explanation`], as a dictionary, as the attribute
            `explanation` of an [`EcgAnswer`]: what each lead and each stretch of time contributes to the log-odds of
            the best label (`True`) or of the label that is named. Of a long recording, the window with the highest
            log-odds is explained (classification only).
        explain_method (`str`, defaults to `"occlusion"`): `"occlusion"` or `"integrated_gradients"`.
        batch_size (`int`, defaults to 1): recordings in a batch.
        num_workers (`int`, defaults to 0): has no effect, and a warning says so: recordings are read in this process.
        Fields of [`MeritFeatureExtractor`], such as `ignore_unknown_leads` or `max_amplitude`: override those of the
            model, except its `sampling_rate` and `lead_names`.

    The `quality` of a recording is a dictionary with

    - `abstained`: whether an answer was withheld;
    - `atypicality`: the distance from recordings of training, about 1 for recordings like those; None if the checkpoint
      does not know it, see `merit calibrate`;
    - `reasons` against trusting an answer, each with a `message` and a `code`: "out_of_distribution",
      "implausible_amplitude" (wrong units or gain?), "implausible_rate" (wrong sampling rate?), "exchanged_arms",
      "inconsistent_limb_leads", "inverted", "noise". Padding and a short duration are no reasons.
    """

    # PreTrainedModel does not declare the methods of our models.
    model: Any

    _load_processor = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    # Whether answers contain the quality of the recording.
    _assesses_quality = True
    # The pipeline takes any model that has this method or attribute; the description names such models in messages.
    _required_attribute, _required_model = "get_ecg_features", "an ECG encoder"

    def __init__(self, *args, **kwargs):
        for part in ("feature_extractor", "tokenizer"):
            if kwargs.get(part) is not None:
                raise ValueError(
                    f"{type(self).__name__} uses the {part} of its processor: leave out {part}=, and pass processor= "
                    "or single settings."
                )
        super().__init__(*args, **kwargs)
        if self.processor is None:
            raise ValueError(
                f"{type(self).__name__} needs the model's processor: give the model as a path or Hub id, or pass "
                "processor=AutoProcessor.from_pretrained(...)."
            )
        self._check_model()
        self.processor.feature_extractor.check_model(self.model.config)
        # The model's own feature extractor may crop; a pipeline processes the whole recording in windows.
        self.extractor = self.processor.feature_extractor.with_settings(long_recordings="window")

    def _check_model(self) -> None:
        """Refuse a model of another kind, or whose weights are not all from a checkpoint or from training."""
        untrained = self.model.untrained() if hasattr(self.model, "untrained") else []
        if hasattr(self.model, self._required_attribute) and not untrained:
            return
        name = next(iter(self.model.config.architectures or ()), type(self.model).__name__)
        kind = getattr(self.model.config, "model_kind", None)
        where = self.model.config.name_or_path or "the model that was passed"
        description = f"{kind.name if kind else 'another model'} ({name})"
        raise ValueError(
            f"{type(self).__name__} needs {self._required_model}, but {where} is {description}"
            + (f" without trained values for {', '.join(untrained[:3])}" if untrained else "")
            + (f"; call pipeline({kind.task!r}, model=...) or pass another model" if kind else "; pass another model")
        )

    def __call__(self, ecg: Any, **kwargs) -> Any:
        run: Any = super().__call__  # its declared return types leave out what pipelines return
        _check_count("batch_size", kwargs.get("batch_size") if "batch_size" in kwargs else self._batch_size)
        is_stream = isinstance(ecg, Iterable) and not isinstance(
            ecg, list | tuple | set | frozenset | str | bytes | Mapping | np.ndarray | torch.Tensor
        )
        if is_stream and not hasattr(ecg, "to_numpy"):  # a generator, a data set or a column of one, but no table
            return run((item for item in ecg), **kwargs)
        if not is_recording(ecg):
            items: list[Any] = list(ecg)
            return run(items, **kwargs) if items else []
        if isinstance(ecg, list | tuple):  # leads as lists of numbers, or what wfdb.rdsamp returns
            return run([ecg], **kwargs)[0]
        return run(ecg, **kwargs)

    def save_pretrained(self, save_directory, **kwargs):
        """Save the model, its processor and their code, see `Pipeline.save_pretrained`."""
        super().save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory)

    def _sanitize_parameters(self, **kwargs) -> tuple[dict, dict, dict]:
        preprocess = {name: kwargs.pop(name) for name in (*DESCRIPTION, *SETTINGS, "on_error") if name in kwargs}
        if preprocess.get("on_error", "raise") not in ("raise", "return"):
            raise ValueError(f'on_error must be "raise" or "return", not {preprocess["on_error"]!r}.')
        pooling = {"window_pooling": kwargs.pop("window_pooling")} if "window_pooling" in kwargs else {}
        if pooling.get("window_pooling", "mean") not in ("mean", "max"):
            raise ValueError(f'window_pooling must be "mean" or "max", not {pooling["window_pooling"]!r}.')
        _check_count("top_k", kwargs.get("top_k"))
        if kwargs.get("per_window") and preprocess.get("long_recordings", "window") != "window":
            raise ValueError(
                f'per_window=True needs long_recordings="window", not {preprocess["long_recordings"]!r}: leave it out.'
            )
        return preprocess, pooling, self._postprocess_options(**kwargs)

    def _postprocess_options(self, **kwargs) -> dict[str, Any]:
        if kwargs:
            raise TypeError(f"{type(self).__name__} has no argument {', '.join(kwargs)}.")
        return {}

    def get_iterator(self, inputs, num_workers, batch_size, preprocess_params, forward_params, postprocess_params):
        if num_workers:
            warnings.warn(
                f"num_workers={num_workers} has no effect: pipelines of MERIT read recordings in the process of the "
                "model. `merit predict --readers N` reads in others.",
                stacklevel=2,
            )
        # The feature extractor is vectorised over recordings, so batches are made before it.
        inputs, position = iter(inputs), 0
        while batch := list(islice(inputs, batch_size)):
            prepared = self.prepare(batch, position, **preprocess_params)
            position += len(batch)
            yield from self.answer(prepared, forward_params, postprocess_params)

    def prepare(self, recordings: list, position: int = 0, **options) -> PreparedBatch:
        """
        What a call does before the model, for a batch; it can run in another process.

        Args:
            recordings: in any form that a call accepts.
            position: of the first one, in messages about recordings without a name.
            options: of a call, such as `on_error`; by default those of the constructor.
        """
        options = {**self._preprocess_params, **options}
        errors: dict[int, EcgError] = {}
        try:
            features = self.preprocess(list(recordings), **options)
        except EcgError:
            features, errors = self._preprocess_one_by_one(recordings, position, options)
        names = [_name_of(recording, f"recording {position + row}") for row, recording in enumerate(recordings)]
        return PreparedBatch(names, features, errors)

    def answer(
        self, prepared: PreparedBatch, forward_options: Mapping | None = None, answer_options: Mapping | None = None
    ) -> list:
        """
        The answer to each recording of a prepared batch, or its error.

        Args:
            prepared: what `prepare` returned.
            forward_options, answer_options: options of a call; by default those of the constructor.
        """
        outputs: Any = ()
        if prepared.features is not None:
            outputs = self.forward(dict(prepared.features), **{**self._forward_params, **(forward_options or {})})
        options, done, answers = {**self._postprocess_params, **(answer_options or {})}, 0, []
        for row, name in enumerate(prepared.names):
            if row in prepared.errors:
                answers.append(prepared.errors[row])
            else:
                answers.append(self.postprocess(outputs[done : done + 1], **options))
                _warn_of_doubts(name, answers[-1])
                done += 1
        return answers

    def _preprocess_one_by_one(
        self, batch: list, position: int, preprocess_params: dict
    ) -> tuple[dict[str, torch.Tensor] | None, dict[int, EcgError]]:
        """Features of the rows that can be used, and errors of the others; raises if `on_error` says so."""
        good: list[dict[str, torch.Tensor]] = []
        errors = {}
        for row, recording in enumerate(batch):
            try:
                features = self.preprocess([recording], **preprocess_params)
                good.append(features | {"record_index": features["record_index"] + len(good)})
            except EcgError as error:
                # A recording without a name is named by its position in the list that the extractor got.
                errors[row] = EcgError(f"recording {position + row}: {str(error).removeprefix('recording 0: ')}")
                if preprocess_params.get("on_error", "raise") == "raise":
                    raise errors[row] from None
        return {name: torch.cat([part[name] for part in good]) for name in good[0]} if good else None, errors

    def run_single(self, inputs, preprocess_params, forward_params, postprocess_params):
        try:
            answer = super().run_single(inputs, preprocess_params, forward_params, postprocess_params)
        except EcgError as error:
            if preprocess_params.get("on_error", "raise") == "raise":
                raise
            return error
        _warn_of_doubts(_name_of(inputs, "the recording"), answer)
        return answer

    def preprocess(self, ecg: Any, on_error: str = "raise", **options) -> dict[str, torch.Tensor]:
        recordings = ecg if isinstance(ecg, list) else [ecg]
        description = {name: options.pop(name) for name in DESCRIPTION if name in options}
        extractor = self.extractor.with_settings(**options) if options else self.extractor
        features = dict(extractor(recordings, return_tensors="pt", padding="max_length", **description))
        if "record_index" not in features:  # with another value of long_recordings, one row per recording
            features["record_index"] = torch.arange(len(recordings))
            features["window_seconds"] = torch.full((len(recordings), 2), torch.nan)
        return features

    def _forward(
        self, model_inputs: dict[str, torch.Tensor], window_pooling: str = "mean", **options
    ) -> list[dict[str, Any]]:
        """
        For each recording `pooled` `(features,)`, `windows` `(windows, features)`, `seconds` `(windows, 2)` and, except
        for embeddings, its `quality`.
        """
        inputs = dict(model_inputs)
        index, seconds = inputs.pop("record_index"), inputs.pop("window_seconds")
        measures = None
        if self._assesses_quality:
            leads = self.extractor.lead_names
            measures = signal_measures(inputs["ecg_values"], inputs["lead_mask"], inputs["sample_mask"], leads)
        inputs["ecg_values"] = inputs["ecg_values"].to(self.model.dtype)
        encoded = self._encoder(**inputs, return_dict=True)
        per_window = self._represent(encoded, inputs, **options).float()
        outputs = []
        for record in range(int(index.max()) + 1):
            windows = per_window[index == record]
            pooled = windows.amax(0) if window_pooling == "max" else windows.mean(0)
            outputs.append({"pooled": pooled, "windows": windows, "seconds": seconds[index == record]})
            if measures is not None:
                features = encoded.pooler_output[index == record].float().mean(0)
                of_signal = measures[index == record].nanmedian(0).values
                whole = inputs["lead_mask"][index == record].all() and inputs["sample_mask"][index == record].all()
                leads = self.extractor.lead_names
                outputs[-1]["quality"] = assess(self.model, features, of_signal, leads, partial=not whole)
        return outputs

    @property
    def _encoder(self) -> Any:
        return self.model.ecg_model

    def _represent(self, encoded: Any, inputs: dict[str, torch.Tensor], **options) -> torch.Tensor:
        """
        The output of the model for each window, `(windows, features)`, before pooling.

        Args:
            encoded: output of the ECG encoder for `inputs`.
        """
        raise NotImplementedError


class _LabelPipeline(EcgPipeline):
    """
    Base class of the pipelines that score labels: an [`EcgAnswer`] for each recording.

    Each label has a `score` and a `basis`, which says where the score comes from: `"learned"`, a classifier fitted to
    the findings in `reports` training reports; `"prompt"`, similarity to text, with the `auroc` of these prompts where
    it was measured; `"fine-tuned"`, training on labels; `"unknown"`, a constant for a label the model does not know.

    Arguments of the constructor, or of a call, besides those of [`EcgPipeline`]:
        top_k (`int`, *optional*): return only the labels with the highest scores.
        decisions (`bool`, defaults to `False`): add `present`, whether the probability of the label reaches its
            threshold, with the `sensitivity` and `specificity` measured at it, to labels with a threshold, see
            `merit calibrate`.
    """

    def _sanitize_parameters(self, explain=None, explain_method=None, **kwargs):
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if explain is not None and not isinstance(explain, bool | str):
            raise ValueError(f"explain must be True, False or a label, not {explain!r}.")
        if explain_method is not None and explain_method not in METHODS:
            raise ValueError(f"explain_method must be one of {', '.join(METHODS)}, not {explain_method!r}.")
        given = {"explain": explain, "explain_method": explain_method}
        forward.update({name: value for name, value in given.items() if value is not None})
        return preprocess, forward, postprocess

    def _forward(self, model_inputs, window_pooling="mean", explain=False, explain_method="occlusion", **options):
        outputs: list[dict[str, Any]] = super()._forward(model_inputs, window_pooling, **options)
        if explain:
            for record, output in enumerate(outputs):
                rows = model_inputs["record_index"] == record
                windows = {name: model_inputs[name][rows] for name in ("ecg_values", "lead_mask", "sample_mask")}
                output["explanation"] = self._explain(windows, output, explain, explain_method, options)
        return outputs

    def _explain(
        self, windows: dict[str, torch.Tensor], output: dict, label: str | bool, method: str, options: dict
    ) -> Explanation:
        """Explain a label, or the best one (`True`), for the window in which its log-odds are highest."""
        names = self._label_names(**options)
        if label is not True and label not in names:
            raise ValueError(f"explain={label!r} is not one of the labels: {', '.join(names)}.")
        index = self._best_label(output["pooled"], **options) if label is True else names.index(label)
        window = int(self._log_odds(output["windows"], index, **options).argmax())
        start = output["seconds"][window, 0].nan_to_num().item()
        inputs = {name: tensor[window : window + 1] for name, tensor in windows.items()}
        inputs["ecg_values"] = inputs["ecg_values"].to(self.model.dtype)

        def score(**inputs) -> torch.Tensor:
            encoded = self._encoder(**inputs, return_dict=True)
            return self._log_odds(self._represent(encoded, inputs, **options).float(), index, **options)

        encoder = getattr(self.model.config, "ecg_config", self.model.config)
        return explain(score, inputs, encoder, names[index], method, start=start)

    def _label_names(self, **options) -> list[str]:
        """The labels in the order of the logits."""
        return [self.model.config.id2label[index] for index in range(self.model.config.num_labels)]

    def _best_label(self, logits: torch.Tensor, **options) -> int:
        """The position of the first label of an answer."""
        return int(logits.argmax())

    def _log_odds(self, logits: torch.Tensor, index: int, **options) -> torch.Tensor:
        """The log-odds of a label, `(windows,)`, from logits `(windows, labels)`."""
        return log_odds(logits, index, self.model.config.problem_type or "single_label_classification")

    def _postprocess_options(self, **kwargs) -> dict[str, Any]:
        names = ("top_k", "per_window", "decisions", "abstain")
        options = {name: kwargs.pop(name) for name in names if name in kwargs}
        return super()._postprocess_options(**kwargs) | options

    def postprocess(
        self,
        outputs: list[dict[str, Any]],
        top_k: int | None = None,
        per_window: bool = False,
        abstain: bool = False,
        **options,
    ) -> EcgAnswer:
        output = outputs[0]
        quality = output["quality"]
        if abstain and quality["reasons"]:
            return EcgAnswer(quality=quality | {"abstained": True})
        windows = None
        if per_window:
            windows = [
                {"start": start, "end": end, "labels": self._labels(output, logits, **options)[:top_k]}
                for logits, (start, end) in zip(output["windows"], output["seconds"].tolist())
            ]
        explanation = output["explanation"].to_dict() if "explanation" in output else None
        labels = self._labels(output, output["pooled"], **options)[:top_k]
        return EcgAnswer(labels, quality=quality, windows=windows, explanation=explanation)

    def _labels(self, output: dict[str, Any], logits: torch.Tensor, **options) -> list[dict[str, Any]]:
        """The labels of a recording, or of a window of it, with what is known of them, by decreasing score."""
        raise NotImplementedError


class ZeroShotEcgClassificationPipeline(_LabelPipeline):
    """
    Zero-shot classification of recordings with labels in plain text.

    Example:

    ```python
    >>> from transformers import pipeline
    >>> classify = pipeline("zero-shot-ecg-classification", model="org/merit", trust_remote_code=True)  # doctest: +SKIP
    >>> classify("00001_lr", candidate_labels=["normal ECG", "atrial fibrillation"])  # doctest: +SKIP
    [{'label': 'normal ECG', 'score': 0.93}, {'label': 'atrial fibrillation', 'score': 0.07}]

    ```"""

    _required_attribute, _required_model = "get_text_features", "an ECG encoder and a text encoder"
    _last_labels: tuple[str, LabelEmbeddings | None] = ("", None)

    def __call__(self, ecg: Any, candidate_labels=None, **kwargs) -> Any:
        """
        Args:
            ecg: recordings, see [`EcgPipeline`].
            candidate_labels (`list[str]`, `str` with commas, or `dict[str, list[str]]`): labels in plain text, or a
                mapping from label to its prompts. A label that the glossary contains, by name or code, is scored with
                its report-supervised classifier if the model has one, else with the prompts of the glossary; any other
                label is its own prompt.
            hypothesis_template (`str` or `list[str]`, defaults to `"{}"`): text in which {} is replaced by the label.
            multi_label (`bool`, defaults to `False`): score each label independently; otherwise the scores sum to 1
                (a single finding is judged by itself). With it, a label may negate a finding ("no atrial
                fibrillation"): its score is 1 minus the finding's.
            on_unknown_label (`str`, defaults to `"warn"`): `"error"` refuses labels that are no finding of the glossary
                and not made of words that reports use for findings.
            top_k, decisions, per_window: see [`EcgPipeline`] and [`EcgAnswer`].
            window_pooling (`str`, defaults to `"mean"`): `"max"` finds what is visible in one window only of a long
                recording.
            on_error, batch_size, sampling_rate, leads, units, and others: see [`EcgPipeline`].

        Returns:
            an [`EcgAnswer`] for each recording: `[{"label": ..., "score": ..., "basis": ...}, ...]` by decreasing
            score.

        Raises:
            ValueError: no candidate labels, or duplicate ones, or a negation without `multi_label`.
            EcgError: a recording cannot be used.
        """
        if candidate_labels is not None:
            kwargs["candidate_labels"] = candidate_labels
        return super().__call__(ecg, **kwargs)

    def _sanitize_parameters(
        self, candidate_labels=None, hypothesis_template=None, multi_label=None, on_unknown_label=None, **kwargs
    ):
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if multi_label is not None:
            forward["multi_label"] = postprocess["multi_label"] = multi_label
        if candidate_labels is not None:
            forward["candidate_labels"] = check_labels(candidate_labels)
        if hypothesis_template is not None:
            forward["hypothesis_template"] = hypothesis_template
        if on_unknown_label is not None:
            forward["on_unknown_label"] = check_unknown(on_unknown_label)
        return preprocess, forward, postprocess

    def _embed_labels(self, *arguments) -> LabelEmbeddings:
        # Other threads may replace the stored embeddings at any time: they are read once, with their key.
        key = repr(arguments)
        stored_key, labels = self._last_labels
        if labels is None or stored_key != key:
            with _TOKENIZER_LOCK:
                labels = embed_labels(
                    self.model, self.processor.tokenizer, *arguments, glossary=self.processor.glossary
                )
            self._last_labels = (key, labels)
        return labels

    def _forward(
        self,
        model_inputs,
        candidate_labels=None,
        hypothesis_template="{}",
        multi_label=False,
        on_unknown_label="warn",
        **options,
    ):
        if candidate_labels is None:
            raise ValueError('Pass candidate_labels, such as candidate_labels=["normal ECG", "atrial fibrillation"].')
        labels = self._embed_labels(candidate_labels, hypothesis_template, multi_label, on_unknown_label)
        outputs = super()._forward(model_inputs, labels=labels, multi_label=multi_label, **options)
        return [{**output, "labels": labels} for output in outputs]

    def _represent(self, encoded, inputs, labels, multi_label):
        embeds = F.normalize(self.model.ecg_projection(encoded.pooler_output).float(), dim=-1)
        return labels.logits(embeds)

    def _label_names(self, labels, multi_label):
        return labels.labels

    def _best_label(self, logits, labels, multi_label):
        return labels.labels.index(labels.ranked(logits, multi_label)[0]["label"])

    def _log_odds(self, logits, index, labels, multi_label):
        return labels.log_odds(logits, multi_label)[:, index]

    def _labels(self, output, logits, multi_label=False, decisions=False):
        return output["labels"].ranked(logits, multi_label, decisions)

    def postprocess(self, outputs, multi_label=False, **options):
        answer = super().postprocess(outputs, multi_label=multi_label, **options)
        if answer:
            answer.caution = outputs[0]["labels"].caution(outputs[0]["pooled"], multi_label)
        return answer


class EcgClassificationPipeline(_LabelPipeline):
    """
    Classification of recordings with a fine-tuned [`MeritForEcgClassification`].

    Example:

    ```python
    >>> from transformers import pipeline
    >>> classify = pipeline("ecg-classification", model="org/merit-super", trust_remote_code=True)  # doctest: +SKIP
    >>> classify("00001_lr", top_k=1)  # doctest: +SKIP
    [{'label': 'NORM', 'score': 0.98}]

    ```"""

    _required_attribute, _required_model = "classifier", "a fine-tuned classifier"

    def _represent(self, encoded, inputs):
        return self.model.classify(encoded.pooler_output)

    def _labels(self, output, logits, decisions=False):
        config = self.model.config
        if config.problem_type == "multi_label_classification":
            scores = logits.sigmoid()
        elif config.problem_type == "regression" or config.num_labels == 1:
            scores = logits
        else:
            scores = logits.softmax(-1)
        known = (config.calibration or {}).get("labels", {}) if decisions else {}
        answer = []
        for i, score in enumerate(scores.tolist()):
            facts = dict(known.get(config.id2label[i], {}))
            decision = {"present": score >= facts.pop("threshold"), **facts} if facts else {}
            answer.append({"label": config.id2label[i], "score": score, "basis": "fine-tuned", **decision})
        return sorted(answer, key=lambda one: -one["score"])


class EcgFeatureExtractionPipeline(EcgPipeline):
    """Embeddings of recordings in the space shared with texts, as `numpy.ndarray` of shape `(projection_dim,)`."""

    _assesses_quality = False

    @property
    def _encoder(self):
        return self.model.get_ecg_features

    def _represent(self, encoded, inputs):
        return encoded.pooler_output

    def postprocess(self, outputs: list[dict[str, Any]]) -> np.ndarray:
        return outputs[0]["pooled"].numpy()


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

    _required_attribute, _required_model = "ecg_embeds", "a model that generates reports"

    def __call__(self, ecg: Any, text: str | None = None, **kwargs) -> Any:
        """
        Args:
            ecg: recordings, see [`EcgPipeline`].
            text (`str`, *optional*): instruction or question; by default the instruction for a report in `language`.
            language (`str`, defaults to `"en"`): `"en"` or `"de"`, used if `text` is `None`.
            abstain (`bool`, defaults to `True`): abstain where `quality` has a reason, such as a recording that is out
                of distribution.
            max_new_tokens (`int`, *optional*), generate_kwargs (`dict`, *optional*): for `generate`.
            on_error, window_pooling, batch_size, sampling_rate, leads, units, and others: see [`EcgPipeline`].

        Returns:
            for each recording a dictionary with `report`; its `statements`, each with `text` and `support`;
            `atypicality` (about 1 for recordings like those of training); whether it `abstained`; and the `quality` of
            the recording, see [`EcgPipeline`]. The support of a statement is its zero-shot score against its opposite.
            It is not a probability, and not independent of the report, because the encoder is the same. It compares
            recordings for one statement; the supports of different statements are not comparable.

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

    @property
    def _encoder(self):
        return self.model.merit.ecg_model

    def _represent(self, encoded, inputs):
        prefix = self.model.connect(encoded, **inputs)
        return torch.cat([prefix.flatten(1), encoded.pooler_output], dim=-1)

    def _forward(self, model_inputs, window_pooling="mean", text=None, options=None):
        outputs = super()._forward(model_inputs, window_pooling)
        pooled = torch.stack([output["pooled"] for output in outputs])
        prefix, features = pooled.to(self.model.dtype).tensor_split([-len(self.model.typical_mean)], dim=-1)
        with _TOKENIZER_LOCK:
            prompt = self.processor.write([text] * len(pooled)).to(self.model.device)
        prefix = prefix.view(len(pooled), self.model.config.num_ecg_tokens, -1)
        generated = self.model.generate(**prompt, ecg_prefix=prefix, **(options or {}))
        reports = self.processor.read(generated[:, prompt["input_ids"].shape[1] :])
        statements = self._with_support([sentences(report) for report in reports], self.model.ecg_embeds(features))
        return list(zip(reports, statements, [output["quality"] for output in outputs]))

    def _with_support(self, reports: list[list[str]], ecg_embeds: torch.Tensor) -> list[list[dict[str, Any]]]:
        texts = sorted({sentence for statements in reports for sentence in statements})
        if not texts:
            return [[] for _ in reports]
        with _TOKENIZER_LOCK:
            labels = embed_statements(self.model.merit, self.processor.merit_tokenizer, texts, self.processor.glossary)
        support = labels.logits(ecg_embeds).sigmoid()
        return [
            [{"text": sentence, "support": support[row, texts.index(sentence)].item()} for sentence in statements]
            for row, statements in enumerate(reports)
        ]

    def postprocess(self, outputs: list[tuple], abstain: bool = True) -> dict[str, Any]:
        report, statements, quality = outputs[0]
        abstained = abstain and bool(quality["reasons"])
        if abstained:
            reasons = "; ".join(reason["message"] for reason in quality["reasons"])
            report, statements = CANNOT_TELL.format(reasons), []
        return {
            "report": report,
            "statements": statements,
            "atypicality": quality["atypicality"],
            "abstained": abstained,
            "quality": quality | {"abstained": abstained},
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


def _check_count(name: str, value: Any) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}.")


def _name_of(recording: Any, otherwise: str) -> str:
    """A recording in messages: its path or record_id if it has one."""
    if isinstance(recording, str | os.PathLike):
        return str(recording)
    return str(recording.get("record_id", otherwise)) if isinstance(recording, Mapping) else otherwise


def _warn_of_doubts(name: str, answer: Any) -> None:
    """Warn of an answer that is given although there are reasons against trusting it."""
    found = cautions(answer)
    if found and not quality_of(answer).get("abstained"):
        warnings.warn(f"{name}: do not rely on this answer: {'; '.join(found)}", DoNotRelyWarning, stacklevel=2)


__all__ = [
    "EcgClassificationPipeline",
    "EcgFeatureExtractionPipeline",
    "EcgReportGenerationPipeline",
    "ZeroShotEcgClassificationPipeline",
]
