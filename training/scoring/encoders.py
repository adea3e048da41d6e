"""The interfaces of the models that can be evaluated, and MERIT checkpoints behind these interfaces.

Any encoder can be evaluated. The only method to write is `embed`, from rows of a data set to features:

    >>> class MyEncoder:
    ...     name = "mine"
    ...     fingerprint = None  # or a string that identifies weights and processing, to cache the embeddings
    ...     def embed(self, rows):
    ...         ecg = torch.from_numpy(np.stack([recording_of_row(row).physical() for row in rows])).float()
    ...         return torch_model(ecg).numpy()
    >>> evaluate(MyEncoder(), load_ptbxl("path/to/ptbxl"), ["super"])  # doctest: +SKIP

Zero-shot classification and retrieval also need the methods of [`TextEncoder`]; fine-tuning needs a [`Finetunable`].
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F

from ...modeling_merit.modeling_merit import ecg_encoder
from ...processing.glossary_merit import Glossary
from ...processing.zero_shot_merit import embed_texts
from ..batching.first_warnings import FirstWarnings
from ..results.weights import stored_weights, weights_sha256
from ..trainer.hardware import fast_device, fast_precision

Rows = list[dict[str, Any]]


class EcgEncoder(Protocol):
    """A model that turns recordings into features."""

    name: str
    fingerprint: str | None

    def embed(self, rows: Rows) -> np.ndarray:
        """Features of rows of a data set (signal, gain, baseline, sampling_rate, lead_names), `(rows, dim)`."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """An encoder that shares an embedding space with text."""

    def project(self, features: np.ndarray) -> np.ndarray:
        """Features in the shared space, of unit length, `(records, projection_dim)`."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts in the shared space, of unit length, `(texts, projection_dim)`."""
        ...


@runtime_checkable
class ReportSupervised(Protocol):
    """An encoder with report-supervised labels, see `merit learn-labels`."""

    @property
    def learned_labels(self) -> Mapping[str, tuple[torch.Tensor, torch.Tensor]]:
        """Weight and bias of each learned label in the shared space, by its code."""
        ...


@runtime_checkable
class Finetunable(Protocol):
    """A MERIT model with its processor, which can be fine-tuned."""

    model: Any
    processor: Any


class _Checkpoint:
    """A model on the fastest device of the machine, with its processor, and the facts that a result file names."""

    def __init__(self, model, processor, name: str = "MERIT"):
        self.model, self.processor, self.name = model.eval().to(fast_device()), processor, name
        self.weights_sha256 = weights_sha256(stored_weights(model))
        self.parameters = model.num_parameters()
        self.first_warnings = FirstWarnings()

    def _output(self, module, rows: Rows):
        """The output of a module of the model for rows of a data set, in the fast precision of the hardware."""
        with self.first_warnings.only():
            batch = self.processor.feature_extractor(rows, return_tensors="pt").to(self.model.device)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=fast_precision()["bf16"]):
            return module(**batch)


class CheckpointFeatures(_Checkpoint):
    """
    The ECG encoder of any checkpoint as an [`EcgEncoder`].

    Args:
        model: a `MeritModel`, `MeritForEcgClassification` or `MeritForReportGeneration`.
        processor: its processor.
        name: its name in tables.
    """

    def __init__(self, model, processor, name: str = "MERIT"):
        super().__init__(model, processor, name)
        self.encoder = ecg_encoder(model)
        processing = json.dumps(processor.feature_extractor.to_dict(), sort_keys=True, default=str)
        weights = weights_sha256(self.encoder.state_dict())
        # Machines differ in precision: some compute in bfloat16.
        precision = f"{model.dtype} {fast_precision()}"
        facts = f"{weights} {processing} {self.encoder.config.to_json_string()} {precision}"
        self.fingerprint: str | None = hashlib.sha256(facts.encode()).hexdigest()

    @torch.inference_mode()
    def embed(self, rows: Rows) -> np.ndarray:
        """The pooled output of the ECG encoder, `(rows, pooled_size)`."""
        return self._output(self.encoder, rows).pooler_output.float().cpu().numpy()


class CheckpointEncoder(CheckpointFeatures):
    """
    A MERIT checkpoint as an [`EcgEncoder`], [`TextEncoder`], [`ReportSupervised`] and [`Finetunable`].

    Args:
        model: a `MeritModel`.
        processor: its `MeritProcessor`.
        name: its name in tables.
    """

    @torch.inference_mode()
    def project(self, features: np.ndarray) -> np.ndarray:
        """Features in the space shared with text, of unit length, `(records, projection_dim)`."""
        projected = self.model.ecg_projection(torch.from_numpy(features).to(self.model.device, self.model.dtype))
        return F.normalize(projected.float(), dim=-1).cpu().numpy()

    @property
    def learned_labels(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """The report-supervised labels of the model, in units of similarity."""
        scale = self.model.scale().item()
        known = self.model.learned_labels
        return {code: (weight.cpu() / scale, bias.cpu() / scale) for code, (weight, bias) in known.items()}

    @property
    def glossary(self) -> Glossary:
        """Of the processor."""
        return self.processor.glossary

    def embed_texts(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """Texts in the shared space, of unit length, `(texts, projection_dim)`."""
        return embed_texts(self.model, self.processor.tokenizer, texts, batch_size).cpu().numpy()


class CheckpointClassifier(_Checkpoint):
    """
    A fine-tuned checkpoint as an [`EcgEncoder`] whose features are the log-odds of its labels.

    Args:
        model: a `MeritForEcgClassification`.
        processor: its `MeritProcessor`.
        name: its name in tables.
    """

    fingerprint: str | None = None  # its scores are not cached

    def __init__(self, model, processor, name: str = "MERIT"):
        super().__init__(model, processor, name)
        self.labels = [model.config.id2label[i] for i in range(model.config.num_labels)]

    @torch.inference_mode()
    def embed(self, rows: Rows) -> np.ndarray:
        """Log-odds of the labels, `(rows, labels)`."""
        return self._output(self.model, rows).logits.float().cpu().numpy()


class CheckpointReporter(CheckpointFeatures):
    """
    A report generator as an [`EcgEncoder`] whose features are those of its ECG encoder.

    Args:
        model: a `MeritForReportGeneration`.
        processor: its `MeritReportProcessor`.
        name: its name in tables.
    """

    @torch.inference_mode()
    def report(self, rows: Rows, text: str, **options) -> tuple[list[str], np.ndarray]:
        """
        Generate a report of each row, prompted by `text`, with options of `generate`.

        Returns:
            the reports, and the mean log-probability of the tokens of each, `(rows,)`.
        """
        encoded = self._output(self.model.encode, rows)
        prompt = self.processor.write([text] * len(rows)).to(self.model.device)
        prefix = encoded.last_hidden_state.to(self.model.dtype)
        options = {"output_scores": True, "return_dict_in_generate": True, **options}
        found = self.model.generate(**prompt, ecg_prefix=prefix, **options)
        written = found.sequences[:, prompt["input_ids"].shape[1] :]
        scores = self.model.compute_transition_scores(
            found.sequences, found.scores, found.get("beam_indices"), normalize_logits=found.get("beam_indices") is None
        )
        # Tokens after the first end-of-text token are padding.
        end = self.processor.tokenizer.eos_token_id
        valid = ((written == end).cumsum(-1) - (written == end).int() == 0)[:, : scores.shape[1]]
        log_probability = scores.masked_fill(~valid, 0).sum(-1) / valid.sum(-1)
        return self.processor.read(written), log_probability.float().cpu().numpy()
