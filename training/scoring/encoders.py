"""Encoders as evaluation sees them, and their embeddings, computed once and kept in safetensors.

Any encoder can be evaluated. What has to be written is `embed`, from rows of a data set to features:

    >>> class MyEncoder:
    ...     name = "mine"
    ...     fingerprint = None  # or what identifies weights and processing, to keep the embeddings
    ...     def embed(self, rows):
    ...         ecg = torch.from_numpy(np.stack([recording_of_row(row).physical() for row in rows])).float()
    ...         return torch_model(ecg).numpy()
    >>> evaluate(MyEncoder(), load_ptbxl("path/to/ptbxl"), ["super"])  # doctest: +SKIP

Encoders that share a space with text have `project` and `embed_texts` too, see [`CheckpointEncoder`].
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from ..results.weights import weights_sha256
from ..trainer.hardware import fast_device, fast_precision

Rows = list[dict[str, Any]]


class Encoder(Protocol):
    """What evaluation needs of a model."""

    name: str
    fingerprint: str | None

    def embed(self, rows: Rows) -> np.ndarray:
        """Features of rows of a data set (signal, gain, baseline, sampling_rate, lead_names), `(rows, dim)`."""
        ...


class _Checkpoint:
    """What result files say of a model and its processor, and how it computes: the model goes to a GPU where one is."""

    def __init__(self, model, processor, name: str = "MERIT"):
        self.model, self.processor, self.name = model.eval().to(fast_device()), processor, name
        # Weights that are tied to others are not stored.
        weights = {key: value for key, value in model.state_dict().items() if key not in model.all_tied_weights_keys}
        self.weights_sha256 = weights_sha256(weights)
        self.parameters = model.num_parameters()

    def _output(self, module, rows: Rows):
        """What a module of the model makes of rows of a data set, in the hardware's fast precision."""
        batch = self.processor.feature_extractor(rows, return_tensors="pt").to(self.model.device)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=fast_precision()["bf16"]):
            return module(**batch)


class CheckpointEncoder(_Checkpoint):
    """
    A MERIT checkpoint as evaluation sees it.

    Args:
        model: a `MeritModel`.
        processor: its `MeritProcessor`.
        name: what tables call it.
    """

    def __init__(self, model, processor, name: str = "MERIT"):
        super().__init__(model, processor, name)
        processing = json.dumps(processor.feature_extractor.to_dict(), sort_keys=True, default=str)
        # What is computed in bfloat16 on one machine is not on another.
        precision = f"{model.dtype} {fast_precision()}"
        facts = f"{self.weights_sha256} {processing} {model.config.ecg_config.to_json_string()} {precision}"
        self.fingerprint: str | None = hashlib.sha256(facts.encode()).hexdigest()

    @torch.inference_mode()
    def embed(self, rows: Rows) -> np.ndarray:
        """The encoder's pooled output, `(rows, hidden_size)`."""
        return self._output(self.model.ecg_model, rows).pooler_output.float().cpu().numpy()

    @torch.inference_mode()
    def project(self, features: np.ndarray) -> np.ndarray:
        """Features in the space shared with text, of unit length, `(records, projection_dim)`."""
        projected = self.model.ecg_projection(torch.from_numpy(features).to(self.model.device, self.model.dtype))
        return F.normalize(projected.float(), dim=-1).cpu().numpy()

    @property
    def learned_labels(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Those of the model, in units of similarity."""
        scale = self.model.scale().item()
        known = self.model.learned_labels
        return {code: (weight.cpu() / scale, bias.cpu() / scale) for code, (weight, bias) in known.items()}

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """Texts in the shared space, of unit length, `(texts, projection_dim)`."""
        order = np.argsort([len(text) for text in texts], kind="stable")  # little padding
        embeds = np.empty((len(texts), self.model.config.projection_dim), np.float32)
        for part in (order[start : start + batch_size] for start in range(0, len(order), batch_size)):
            batch = self.processor(text=[texts[i] for i in part]).to(self.model.device)
            features = self.model.get_text_features(**batch).pooler_output
            embeds[part] = F.normalize(features.float(), dim=-1).cpu().numpy()
        return embeds


class CheckpointClassifier(_Checkpoint):
    """
    A fine-tuned checkpoint as evaluation sees it: its features are the log-odds of its labels.

    Args:
        model: a `MeritForEcgClassification`.
        processor: its `MeritProcessor`.
        name: what tables call it.
    """

    fingerprint: str | None = None  # what it says is not kept

    def __init__(self, model, processor, name: str = "MERIT"):
        super().__init__(model, processor, name)
        self.labels = [model.config.id2label[i] for i in range(model.config.num_labels)]

    @torch.inference_mode()
    def embed(self, rows: Rows) -> np.ndarray:
        """Scores `(rows, labels)`."""
        return self._output(self.model, rows).logits.float().cpu().numpy()


class CheckpointReporter(_Checkpoint):
    """
    A checkpoint that reports as evaluation sees it; its features are those of its encoder.

    Args:
        model: a `MeritForReportGeneration`.
        processor: its `MeritReportProcessor`.
        name: what tables call it.
    """

    fingerprint: str | None = None

    @torch.inference_mode()
    def embed(self, rows: Rows) -> np.ndarray:
        """The encoder's pooled output, `(rows, pooled_size)`."""
        return self._output(self.model.merit.ecg_model, rows).pooler_output.float().cpu().numpy()

    @torch.inference_mode()
    def report(self, rows: Rows, text: str, **options) -> tuple[list[str], np.ndarray]:
        """
        What the model says of rows, asked `text`, with options of `generate`.

        Returns:
            the reports, and for each the mean log-probability of its tokens, `(rows,)`.
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
        # What follows the end of a report is padding.
        end = self.processor.tokenizer.eos_token_id
        said = ((written == end).cumsum(-1) - (written == end).int() == 0)[:, : scores.shape[1]]
        likely = scores.masked_fill(~said, 0).sum(-1) / said.sum(-1)
        return self.processor.read(written), likely.float().cpu().numpy()
