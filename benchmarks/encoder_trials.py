"""Ideas for a better encoder, each in a small run judged on fold 9; fold 10 is not read.

    python benchmarks/encoder_trials.py --data PTBXL [--only NAME ...] [--steps 660] [--sentence-encoder FOLDER]

Every trial changes one thing of the recipe ptbxl-tiny and trains for the same number of steps:

    as-it-is           the recipe
    sigmoid            the sigmoid loss of SigLIP in place of InfoNCE
    soft-positives     reports that state mostly the same findings, by their text, are weaker positives of each other
    corruptions        baseline wander and muscle noise in most recordings, stronger, and more leads removed
    sentence-encoder   the sentence encoder MiniLM, frozen, in place of the text encoder; English reports
    state-space-hybrid diagonal state spaces in place of the attention in the lower half of the encoder's layers

--sentence-encoder is a folder of sentence-transformers/all-MiniLM-L6-v2 with its weights and tokenizer. As in
search_recipes.py, folds 1 to 7 train and fold 8 selects the penalty of the linear probe. "noise" is the probe on fold 9
with white noise of 6 dB. Trials whose result file exists are skipped.
"""

import math
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from datasets import DatasetDict
from options import data_parser, missing_results
from search_recipes import embed_all, evaluate, folds_of_search
from torch import nn
from transformers import AutoModel, AutoTokenizer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from merit.modeling_merit.modeling_merit import MeritEncoder, MeritForPreTraining, masked_mean, report_keys
from merit.processing.zero_shot_merit import embed_texts
from merit.training.batching.collator import text_key
from merit.training.data.catalogue import load_data
from merit.training.learning import pretraining
from merit.training.results.result_files import provenance, write_json
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.scoring.perturbations import Perturbation
from merit.training.scoring.probes import linear_probe
from merit.training.scoring.protocol import protocol_of
from merit.training.text.statements import STATEMENTS, findings_in
from merit.training.trainer.recipe import load_recipe

SETTINGS: dict[str, list[str]] = {
    "as-it-is": [],
    "sigmoid": ["model.logit_scale_init_value=2.3"],
    "soft-positives": [],
    "corruptions": [
        "augmentation.lead_dropout={probability: 0.7, strength: 0.9}",
        "augmentation.baseline_wander={probability: 0.8, strength: 0.4}",
        "augmentation.muscle={probability: 0.8, strength: 0.1}",
    ],
    "sentence-encoder": ["text=english", "model.text_config={hidden_size: 384, num_hidden_layers: 1}"],
    "state-space-hybrid": [],
}
SENTENCE_ENCODER = "sentence-encoder"
WHITE_NOISE = Perturbation(noise="white", noise_db=6.0)
# Share of common findings from which reports are soft positives, and their weight beside the own report's.
COMMON, SOFT = 0.5, 0.5


class Sigmoid(MeritForPreTraining):
    """Every pair of the batch is judged by itself (Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023)."""

    def build(self, config):
        super().build(config)
        self.logit_bias = torch.nn.Parameter(torch.tensor(-10.0))

    def alignment(self, ecg_embeds, text_embeds, keys):
        with torch.autocast(ecg_embeds.device.type, enabled=False):
            logits = self.scale().float() * ecg_embeds.float() @ text_embeds.float().T + self.logit_bias
            sign = torch.where(keys[:, None] == keys, 1.0, -1.0)
            return F.logsigmoid(sign * logits).sum() / len(keys)


class SoftPositives(MeritForPreTraining):
    """The cross entropy is taken against the own report and, with less weight, those that state similar findings."""

    findings: dict[int, np.ndarray]

    def alignment(self, ecg_embeds, text_embeds, keys):
        stated = torch.from_numpy(np.stack([self.findings[key] for key in keys.tolist()]))
        common = stated @ stated.T
        union = stated.sum(1)[:, None] + stated.sum(1) - common
        similar = torch.where(union > 0, common / union.clamp(min=1), 0.0)
        share = torch.where(keys[:, None] == keys, 1.0, SOFT * similar * (similar >= COMMON))
        share = share / share.sum(-1, keepdim=True)
        with torch.autocast(ecg_embeds.device.type, enabled=False):
            logits = self.scale().float() * ecg_embeds.float() @ text_embeds.float().T
            cross_entropy = (F.cross_entropy(logits, share) + F.cross_entropy(logits.T, share)) / 2
        return np.log(len(keys)) - cross_entropy


class FrozenSentences(MeritForPreTraining):
    """The text encoder is a table of sentence embeddings, by the hash of a report's tokens."""

    rows: dict[int, int]
    vectors: torch.Tensor

    def get_text_features(self, input_ids, attention_mask=None, **kwargs):
        keys = report_keys(input_ids, attention_mask).tolist()
        found = self.vectors[[self.rows[key] for key in keys]]
        return BaseModelOutputWithPooling(pooler_output=self.text_projection(found))


class StateSpace(nn.Module):
    """
    In place of attention: S4D-Lin, forward and backward in time (Gu et al., On the Parameterization and Initialization
    of Diagonal State Space Models, 2022). Each channel u is the input of x' = Ax + u with a diagonal A, discretised by
    zero-order hold; y = 2 Re(Cx) + Du, and a gated linear layer mixes the channels.

    There is at most one token per time step. A step whose token is absent or hidden has the input 0.
    """

    def __init__(self, width: int, num_states: int = 32):
        super().__init__()
        # Time constants, 2 / step, are 2 to 100 tokens: half a second to 25 s.
        self.log_step = nn.Parameter(torch.empty(width).uniform_(math.log(0.02), math.log(1.0)))
        self.log_decay = nn.Parameter(torch.full((width, num_states), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(num_states).repeat(width, 1))
        self.C = nn.Parameter(torch.randn(2, width, num_states, 2) / math.sqrt(2))
        self.D = nn.Parameter(torch.randn(width))
        self.out_proj = nn.Linear(width, 2 * width)

    def kernels(self, length: int) -> torch.Tensor:
        """The response to an impulse after 0 to `length - 1` steps, `(2, width, length)`: forward and backward."""
        A = torch.complex(-self.log_decay.exp(), self.frequency)
        exponent = A * self.log_step.exp()[:, None]
        B = (exponent.exp() - 1) / A
        powers = (exponent[..., None] * torch.arange(length, device=A.device)).exp()
        return 2 * torch.einsum("dhn,hnl->dhl", torch.view_as_complex(self.C) * B, powers).real

    def forward(self, hidden_states, rotary, attention_mask=None, *, steps, present, **kwargs):
        u = hidden_states * present[..., None]
        length = int(steps.max()) + 1
        at = steps[..., None].expand_as(u)
        by_time = u.new_zeros(len(u), length, u.shape[-1]).scatter(1, at, u)
        # For 20 to 40 steps, a product with a Toeplitz matrix is faster than an FFT on a CPU.
        times = torch.arange(length, device=u.device)
        forward, backward = self.kernels(length)[..., (times[:, None] - times).abs()]
        y = torch.einsum("hij,bjh->bih", forward.tril() + backward.triu(), by_time).gather(1, at) + self.D * u
        return F.glu(self.out_proj(F.gelu(y)), dim=-1), None


class HybridEncoder(MeritEncoder):
    """Layers with state spaces in the lower half, with attention in the upper half."""

    def __init__(self, config):
        super().__init__(config)
        for layer in self.layers[: len(self.layers) // 2]:
            layer.attention = StateSpace(config.hidden_size)

    def forward(self, tokens, positions, token_mask, depth=None, **kwargs):
        return super().forward(tokens, positions, token_mask, depth, steps=positions, present=token_mask, **kwargs)


class StateSpaceHybrid(MeritForPreTraining):
    """The ECG encoder is a [`HybridEncoder`]; the decoder of the masked branch is unchanged."""

    def build(self, config):
        super().build(config)
        self.ecg_model.encoder = HybridEncoder(self.ecg_model.config)


VARIANTS = {
    "sigmoid": Sigmoid,
    "soft-positives": SoftPositives,
    SENTENCE_ENCODER: FrozenSentences,
    "state-space-hybrid": StateSpaceHybrid,
}


class SentenceEncoder:
    """all-MiniLM-L6-v2: the mean over tokens, of unit length."""

    def __init__(self, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()

        self.device = self.model.device

    def get_text_features(self, input_ids, attention_mask, **kwargs) -> BaseModelOutputWithPooling:
        states = self.model(input_ids=input_ids, attention_mask=attention_mask, **kwargs).last_hidden_state
        return BaseModelOutputWithPooling(pooler_output=masked_mean(states, attention_mask))

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        with torch.no_grad():
            return embed_texts(self, self.tokenizer, texts, batch_size=64)


class WithSentences(CheckpointEncoder):
    """A trial whose prompts are embedded by the sentence encoder."""

    sentences: SentenceEncoder

    @torch.inference_mode()
    def embed_texts(self, texts, batch_size: int = 64) -> np.ndarray:
        return F.normalize(self.model.text_projection(self.sentences(texts)), dim=-1).numpy()


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, help="names of trials (default: all)")
    parser.add_argument("--steps", type=int, default=660, help="of training (default: 660, ten epochs)")
    parser.add_argument("--sentence-encoder", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "encoder-trials")
    args = parser.parse_args()
    names = args.only or [name for name in SETTINGS if name != SENTENCE_ENCODER or args.sentence_encoder]
    if SENTENCE_ENCODER in names and not args.sentence_encoder:
        parser.error("name the folder of all-MiniLM-L6-v2 with --sentence-encoder")
    dataset = folds_of_search(load_data(args.data))
    for name, path in missing_results(args.output, names):
        settings = [*SETTINGS[name], f"training.max_steps={args.steps}", "training.seed=0"]
        content = trial(name, settings, dataset, args.sentence_encoder)
        write_json(path, {**provenance(), "recipe": "ptbxl-tiny", "settings": settings, **content})
        print(f"{path} written", flush=True)


def trial(name: str, settings: list[str], dataset: DatasetDict, folder: Path | None) -> dict[str, Any]:
    """Train and evaluate one trial: seconds of training, and macro AUROC by method and task."""
    recipe = load_recipe("ptbxl-tiny", [*settings, "training.save_strategy=no", "training.eval_strategy=no"])
    variant = VARIANTS.get(name, MeritForPreTraining)
    sentences = SentenceEncoder(folder) if folder and name == SENTENCE_ENCODER else None
    build = pretraining.build

    def with_texts(recipe, reports):
        model, processor = build(recipe, reports)
        texts = sorted(set(dataset["train"]["report_en"]))
        if isinstance(model, SoftPositives):
            model.findings = {text_key(text): findings_vector(text) for text in texts}
        if isinstance(model, FrozenSentences):
            keys = keys_of(processor.tokenizer, texts)
            model.rows, model.vectors = {key: row for row, key in enumerate(keys)}, sentences(texts)
        return model, processor

    started = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as scratch,
        mock.patch.object(pretraining, "MeritForPreTraining", variant),
        mock.patch.object(pretraining, "build", with_texts),
    ):
        model, processor = pretraining.pretrain(dataset, recipe, scratch)
    seconds = time.perf_counter() - started
    if sentences:
        encoder: CheckpointEncoder = WithSentences(model, processor)
        encoder.sentences = sentences
    else:
        encoder = CheckpointEncoder(model, processor)
    features = embed_all(encoder, dataset)
    figures = evaluate(encoder, dataset, features)
    return {"seconds": round(seconds, 1), "macro_auc": {**figures, "noise": under_noise(encoder, dataset, features)}}


def keys_of(tokenizer, texts: Iterable[str]) -> list[int]:
    keys = []
    for text in texts:
        batch = tokenizer([text], truncation=True, return_tensors="pt")
        keys += report_keys(batch["input_ids"], batch["attention_mask"]).tolist()
    return keys


def findings_vector(report: str) -> np.ndarray:
    stated = findings_in(report)
    return np.array([code in stated for code in STATEMENTS], np.float32)


def under_noise(encoder: CheckpointEncoder, dataset: DatasetDict, features: dict[str, np.ndarray]) -> dict[str, float]:
    """Macro AUROC of linear probes on recordings of "test" with noise."""
    noisy = embed(encoder, dataset["test"], WHITE_NOISE, name="with noise")
    found = {}
    for task in ("all", "super"):
        protocol = protocol_of(dataset, task, resamples=0)
        found[task] = protocol.macro_auroc("test", linear_probe(features, protocol)(noisy))
    return found


if __name__ == "__main__":
    main()
