"""
MERIT: one ECG encoder, pretrained in two branches.

What is notable:
- The encoder is a plain pre-norm transformer over patches, with rotary time positions (an ECG is shift-equivariant).
- Visibility is one boolean per (lead, time patch) cell. Leads that were not recorded, padding, and the cells hidden by
  masked modelling are treated alike: these cells contribute nothing.
- The masked branch encodes visible tokens only; mask tokens exist in the decoder only.
- The objective is one function, `merit_objective`, with the symbols of the paper.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.utils.generic import ModelOutput, can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_merit import MeritConfig, MeritEcgConfig
from .typicality_merit import TypicalityMixin

# Weights of checkpoints that models without a text encoder ignore: all but those of the ECG encoder.
_IGNORED_BY_ENCODERS = [
    *(r"^decoder\.", r"^text_model\.", r"^text_projection\.", r"^ecg_projection\."),
    *(r"^logit_scale$", r"^label_weight$", r"^label_bias$", r"^calibration_"),
    *(r"^connector\.", r"^language_model\.", r"^typical_", r"^quality_"),
]


@dataclass
class MeritOutput(ModelOutput):
    """
    Output of [`MeritModel`].

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`, when `return_loss=True`): InfoNCE over the batch, in nats.
        logits_per_ecg (`torch.FloatTensor` of shape `(ecg_batch, text_batch)`): scaled cosine similarities.
        logits_per_text (`torch.FloatTensor` of shape `(text_batch, ecg_batch)`): its transpose.
        ecg_embeds (`torch.FloatTensor` of shape `(ecg_batch, projection_dim)`): of unit length.
        text_embeds (`torch.FloatTensor` of shape `(text_batch, projection_dim)`): of unit length.
        ecg_model_output (`BaseModelOutputWithPooling`): output of the ECG encoder.
        text_model_output (`BaseModelOutputWithPooling`): output of the text encoder.
    """

    loss: torch.Tensor | None = None
    logits_per_ecg: torch.Tensor | None = None
    logits_per_text: torch.Tensor | None = None
    ecg_embeds: torch.Tensor | None = None
    text_embeds: torch.Tensor | None = None
    ecg_model_output: BaseModelOutputWithPooling | None = None
    text_model_output: BaseModelOutputWithPooling | None = None

    def to_tuple(self):
        return tuple(value.to_tuple() if isinstance(value, ModelOutput) else value for value in self.values())


@dataclass
class MeritForPreTrainingOutput(ModelOutput):
    """
    Output of [`MeritForPreTraining`]. The information terms are lower bounds in nats, see [`merit_objective`].

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`): the negative weighted sum of the two information terms.
        alignment_information (`torch.FloatTensor` of shape `(1,)`): bound on I(Z;T) per recording.
        reconstruction_information (`torch.FloatTensor` of shape `(1,)`): bound on I(Z;X) per masked sample.
        ecg_embeds (`torch.FloatTensor` of shape `(batch, projection_dim)`): of unit length.
        text_embeds (`torch.FloatTensor` of shape `(batch, projection_dim)`): of unit length.
        pooler_output (`torch.FloatTensor` of shape `(batch, pooled_size)`): of the ECG encoder for the unmasked
            signal; in training only if `alignment_weight` is not 0.
        reconstruction (`torch.FloatTensor` of shape `(batch, leads, patches, patch_length)`): the predicted signal,
            each lead standardised; in training of every `reconstruction_stride`-th recording.
        target (`torch.FloatTensor` of the same shape): the signal, each lead standardised.
        hidden (`torch.BoolTensor` of shape `(batch, leads, patches)`): recorded cells that were masked.
    """

    loss: torch.Tensor | None = None
    alignment_information: torch.Tensor | None = None
    reconstruction_information: torch.Tensor | None = None
    ecg_embeds: torch.Tensor | None = None
    text_embeds: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    reconstruction: torch.Tensor | None = None
    target: torch.Tensor | None = None
    hidden: torch.Tensor | None = None


def alignment_information(
    z: torch.Tensor, t: torch.Tensor, logit_scale: torch.Tensor, same_report: torch.Tensor
) -> torch.Tensor:
    """
    InfoNCE bound on I(Z;T) in nats (van den Oord et al., arXiv 1807.03748, eq. 5), the mean of both directions.

    Args:
        z (`torch.FloatTensor` of shape `(batch, dim)`): ECG embeddings of unit length.
        t (`torch.FloatTensor` of shape `(batch, dim)`): report embeddings of unit length.
        logit_scale (`torch.FloatTensor`): inverse temperature.
        same_report (`torch.BoolTensor` of shape `(batch, batch)`): true where two reports have the same content; such
            pairs are positives of each other, with equal weights.

    Returns:
        `torch.FloatTensor` (scalar): at most log(batch); log(batch / k) if every report occurs k times.
    """
    logits = logit_scale * z @ t.T
    share = same_report.to(logits.dtype)
    share = share / share.sum(-1, keepdim=True)
    cross_entropy = (F.cross_entropy(logits, share) + F.cross_entropy(logits.T, share)) / 2
    return torch.log(torch.tensor(float(len(z)), device=z.device)) - cross_entropy


def reconstruction_information(
    x: torch.Tensor,
    x_hat: torch.Tensor,
    hidden: torch.Tensor,
    gather: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor,
) -> torch.Tensor:
    """
    Barber-Agakov bound on I(Z;X) in nats per masked sample, with a Gaussian decoder of one fitted variance.

    With x of unit variance, h(x) - E[-log q(x|z)] = -log(mse) / 2, up to the constant by which the entropy of x falls
    short of a Gaussian's (Barber and Agakov, NIPS 2003).

    Args:
        x (`torch.FloatTensor` of shape `(batch, leads, patches, patch_length)`): the signal, each lead standardised.
        x_hat (`torch.FloatTensor` of the same shape): its prediction.
        hidden (`torch.BoolTensor` of shape `(batch, leads, patches)`): the masked cells, which are predicted.
        gather: concatenates the rows of all ranks, since the error is that of the whole batch.

    Returns:
        `torch.FloatTensor` (scalar): at most 6.9, when the error is a thousandth of the signal; 0 if nothing is masked.
    """
    squared_error = (x_hat - x).square().mean(-1)
    total, count = gather(torch.stack([(squared_error * hidden).sum(), hidden.sum()])[None]).sum(0)
    return -0.5 * torch.log(torch.where(count > 0, total / count.clamp(min=1), 1.0).clamp(min=1e-6))


def merit_objective(
    information_zt: torch.Tensor | None,
    information_zx: torch.Tensor | None,
    alignment_weight: float,
    reconstruction_weight: float,
) -> torch.Tensor:
    """
    The objective of MERIT, as a loss.

    X is the signal, T its report, Z = f(X) the representation. Given X, T and Z are independent, so
    I(Z;X) = I(Z;T) + I(Z;X|T): what Z tells about the signal is what the report states plus what the report omits.
    Maximising I(Z;T) + beta I(Z;X|T) is maximising (1 - beta) I(Z;T) + beta I(Z;X), the two weights here, through two
    tractable lower bounds: [`alignment_information`] and [`reconstruction_information`]. Setting one weight to 0 (and
    passing None for its bound) gives either ablation.
    """
    weighted = ((alignment_weight, information_zt), (reconstruction_weight, information_zx))
    return -torch.stack([weight * information for weight, information in weighted if information is not None]).sum()


def gather_with_gradient(tensor: torch.Tensor) -> torch.Tensor:
    """Concatenate the tensors of all ranks along the first axis. Gradients reach the ranks that they come from."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return tensor
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(tensor.contiguous()))


def report_keys(input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """A 64-bit hash of each row of tokens, equal for equal texts whatever their padding; shape `(batch,)`."""
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.to(input_ids.dtype)
    # A pseudo-random factor for each position: the finaliser of SplitMix64, with integer overflow.
    factors = mask.cumsum(-1) * -7046029254386353131
    factors = (factors ^ (factors >> 30)) * -4658895280553007687
    factors = (factors ^ (factors >> 27)) * -7723592293110705685
    return ((input_ids + 1) * mask * factors).sum(-1)


def num_visible(count, mask_ratio: float):
    """How many of `count` (a number or a tensor) stay visible. Halves are rounded up, in any precision."""
    return (count * (1 - mask_ratio) + 0.501) // 1


def random_visibility(
    recorded: torch.Tensor, time_mask_ratio: float, lead_mask_ratio: float, noise: torch.Tensor | None = None
) -> torch.Tensor:
    """
    Draw the cells that are visible to the masked branch.

    Time patches are masked in all leads first, then some leads of each other time patch: to predict the former, the
    encoder needs the course over time; to predict the latter, the correlation between leads.

    Args:
        recorded (`torch.BoolTensor` of shape `(batch, leads, patches)`): cells that exist.
        time_mask_ratio (`float`): share of the time patches that are masked in all leads.
        lead_mask_ratio (`float`): share of the recorded leads that are masked in each other time patch.
        noise (`torch.FloatTensor` of shape `(batch, leads, patches)`, *optional*): uniform in [0, 1), for reproducible
            masks.

    Returns:
        `torch.BoolTensor` of shape `(batch, leads, patches)`: a subset of `recorded`, not empty for a recording with
        at least one cell.
    """
    if noise is None:
        noise = torch.rand(recorded.shape, device=recorded.device)
    # Sums over leads and ranks within a time patch are independent enough: the same noise serves both choices.
    patch_recorded = recorded.any(1)
    time_rank = noise.sum(1).masked_fill(~patch_recorded, float("inf")).argsort(-1).argsort(-1)
    num_patches = patch_recorded.sum(-1, keepdim=True)
    keep_patches = num_visible(num_patches, time_mask_ratio).clamp(min=1)
    lead_rank = noise.masked_fill(~recorded, float("inf")).argsort(1).argsort(1)
    keep_leads = num_visible(recorded.sum(1, keepdim=True), lead_mask_ratio).clamp(min=1)
    return recorded & (time_rank < keep_patches)[:, None] & (lead_rank < keep_leads)


def standardise_leads(ecg_values: torch.Tensor, recorded: torch.Tensor) -> torch.Tensor:
    """Patches with each lead's mean removed and divided by its standard deviation over the recorded patches."""
    mask = recorded[..., None].to(ecg_values.dtype)
    count = (mask.sum((2, 3), keepdim=True) * ecg_values.shape[-1]).clamp(min=1)
    centred = (ecg_values - (ecg_values * mask).sum((2, 3), keepdim=True) / count) * mask
    variance = centred.square().sum((2, 3), keepdim=True) / count
    # Below a standard deviation of a microvolt, a lead has no waveform to predict.
    return centred / variance.clamp(min=1e-6).sqrt()


def rotary_embedding(positions: torch.Tensor, head_dim: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of shape `(batch, 1, tokens, head_dim)` for integer positions of shape `(batch, tokens)`."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim)
    angles = positions[..., None].float() * frequencies
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    return angles.cos(), angles.sin()


def apply_rotary(states: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    cos, sin = (part.to(states.dtype) for part in rotary)
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat([-second, first], dim=-1) * sin


def masked_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens where `mask` is true; `(batch, tokens, dim)` to `(batch, dim)`."""
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1)


def masked_max(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Maximum over the tokens where `mask` is true, 0 if there is none; shapes as in [`masked_mean`]."""
    highest = states.masked_fill(~mask[..., None], torch.finfo(states.dtype).min).amax(1)
    return highest.masked_fill(~mask.any(1, keepdim=True), 0.0)


def pooled(output: BaseModelOutputWithPooling) -> torch.Tensor:
    """`pooler_output`, which transformers declares optional and both encoders always return."""
    assert output.pooler_output is not None
    return output.pooler_output


class MeritConvolution(nn.Module):
    """Two convolutions over time with a residual connection. Masked steps contribute nothing."""

    def __init__(self, channels: int, kernel_size: int, hidden_act: str, layer_norm_eps: float):
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=layer_norm_eps)
        self.conv1 = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.activation = ACT2FN[hidden_act]
        self.conv2 = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`states` of shape `(batch, steps, channels)`, `mask` of shape `(batch, steps, 1)`."""
        changed = (self.norm(states) * mask).transpose(1, 2)
        changed = self.activation(self.conv1(changed)) * mask.transpose(1, 2)
        return states + self.conv2(changed).transpose(1, 2)


class MeritEcgEmbeddings(nn.Module):
    """
    From signal to tokens: lead-wise linear projections of patches, either summed over the visible leads of a time patch
    (`tokenization="time"`) or one token each (`"lead_time"`).

    With `stem_channels`, overlapping windows that are `stem_stride` samples apart are projected, convolutions over time
    follow, and the steps of a patch are projected to one token (Xiao et al., arXiv 2106.14881).
    """

    def __init__(self, config: MeritEcgConfig):
        super().__init__()
        self.tokenization = config.tokenization
        num_leads = len(config.lead_names)
        inputs = num_leads if self.tokenization == "time" else 1
        self.stride, self.window = config.patch_length, config.patch_length
        width, layers = config.hidden_size, 0
        if config.stem_channels:
            self.stride, self.window = config.stem_stride, 3 * config.stem_stride
            width, layers = config.stem_channels, config.stem_num_layers
        self.projection = nn.Linear(inputs * self.window, width, bias=False)
        self.lead_embedding = nn.Embedding(num_leads, width)
        self.convolutions = nn.ModuleList(
            [MeritConvolution(width, 5, config.hidden_act, config.layer_norm_eps) for _ in range(layers)]
        )
        steps = config.patch_length // self.stride
        self.joining = nn.Linear(steps * width, config.hidden_size) if config.stem_channels else None

    def forward(self, patches: torch.Tensor, visible: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Args:
            patches (`torch.FloatTensor` of shape `(batch, leads, patches, patch_length)`)
            visible (`torch.BoolTensor` of shape `(batch, leads, patches)`)

        Returns:
            tokens `(batch, tokens, hidden_size)`, their time positions `(batch, tokens)`, and a mask `(batch, tokens)`
            of the tokens with a visible cell.
        """
        batch, num_leads, num_patches, _ = patches.shape
        patches = (patches * visible[..., None]).to(self.projection.weight.dtype)
        positions = torch.arange(num_patches, device=patches.device).expand(batch, -1)
        leads = self.lead_embedding(torch.arange(num_leads, device=patches.device))
        if self.tokenization == "lead_time":
            # Each lead is embedded like a recording with one lead.
            single_leads = (patches.flatten(0, 1), visible.flatten(0, 1), leads.repeat(batch, 1))
            tokens = self.tokens(*(tensor[:, None] for tensor in single_leads))
            return tokens.view(batch, -1, tokens.shape[-1]), positions.repeat(1, num_leads), visible.flatten(1)
        return self.tokens(patches, visible, leads.expand(batch, -1, -1)), positions, visible.any(1)

    def tokens(self, patches: torch.Tensor, visible: torch.Tensor, leads: torch.Tensor) -> torch.Tensor:
        """One token per time patch, `(batch, patches, hidden_size)`; `leads` has shape `(batch, leads, width)`."""
        batch, num_leads, num_patches, _ = patches.shape
        per_patch = visible.transpose(1, 2).to(patches.dtype)
        # The variance of the sum is then the same for any number of visible leads.
        scale = (num_leads / per_patch.sum(-1, keepdim=True).clamp(min=1)).sqrt()
        if self.joining is None:
            return (self.projection(patches.transpose(1, 2).flatten(2)) + per_patch @ leads) * scale
        steps = patches.shape[-1] // self.stride
        per_step, scale = per_patch.repeat_interleave(steps, 1), scale.repeat_interleave(steps, 1)
        mask = per_step.any(-1, keepdim=True).to(patches.dtype)
        windows = F.pad(patches.flatten(2), (self.stride, self.stride)).unfold(-1, self.window, self.stride)
        states = self.projection(windows.transpose(1, 2).flatten(2)) + per_step @ leads
        states = states * scale * mask
        for convolution in self.convolutions:
            states = convolution(states, mask)
        return self.joining((states * mask).view(batch, num_patches, -1))


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    weights = torch.matmul(query, key.transpose(-1, -2)) * scaling
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = F.softmax(weights, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = F.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class MeritAttention(nn.Module):
    """Multi-headed self-attention with rotary time positions."""

    def __init__(self, config: MeritEcgConfig):
        super().__init__()
        self.config = config
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.qkv_proj = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        hidden_states: torch.Tensor,
        rotary: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        shape = hidden_states.shape[:-1]
        qkv = self.qkv_proj(hidden_states).view(*shape, 3, -1, self.head_dim).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        attention: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation or "eager", eager_attention_forward
        )
        output, weights = attention(
            self,
            apply_rotary(query, rotary),
            apply_rotary(key, rotary),
            value,
            attention_mask,
            scaling=self.scaling,
            dropout=self.config.attention_dropout if self.training else 0.0,
            **kwargs,
        )
        return self.out_proj(output.reshape(*shape, -1)), weights


class MeritMLP(nn.Module):
    def __init__(self, config: MeritEcgConfig):
        super().__init__()
        self.activation = ACT2FN[config.hidden_act]
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation(self.fc1(hidden_states)))


class MeritLayer(GradientCheckpointingLayer):
    def __init__(self, config: MeritEcgConfig):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = MeritAttention(config)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MeritMLP(config)
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(
        self,
        hidden_states: torch.Tensor,
        rotary: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None = None,
        **kwargs,
    ) -> torch.Tensor:
        attended, _ = self.attention(self.attention_norm(hidden_states), rotary, attention_mask, **kwargs)
        hidden_states = hidden_states + self.dropout(attended)
        return hidden_states + self.dropout(self.mlp(self.mlp_norm(hidden_states)))


class MeritEncoder(nn.Module):
    """Transformer layers over tokens with time positions, of the ECG encoder and of the decoder of masked modelling."""

    def __init__(self, config: MeritEcgConfig):
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList([MeritLayer(config) for _ in range(config.num_hidden_layers)])
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.gradient_checkpointing = False

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        token_mask: torch.Tensor,
        depth: int | None = None,
        **kwargs,
    ) -> list[torch.Tensor]:
        """
        The hidden states before the first and after each layer, the last ones normalised; with `depth`, those of the
        first `depth` layers, none of them normalised.
        """
        attention_mask = create_bidirectional_mask(self.config, inputs_embeds=tokens, attention_mask=token_mask)
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        rotary = rotary_embedding(positions, head_dim, self.config.rope_theta)
        states = [tokens]
        for layer in self.layers[:depth]:
            states.append(layer(states[-1], rotary, attention_mask, **kwargs))
        if depth is None:
            states[-1] = self.norm(states[-1])
        return states


def _checksum(tensor: torch.Tensor) -> float:
    return tensor.double().sum().item()


class MeritPreTrainedModel(PreTrainedModel):
    config: MeritConfig
    # So that every model loads an ECG encoder that was saved alone.
    base_model_prefix = "ecg_model"
    main_input_name = "ecg_values"
    input_modalities = ["time", "text"]
    # Losses are means over the batch, so the Trainer averages them over accumulated batches.
    accepts_loss_kwargs = False
    supports_gradient_checkpointing = True
    _no_split_modules = ["MeritEcgEmbeddings", "MeritLayer"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": MeritLayer, "attentions": MeritAttention}
    # The dual encoder of a report model.
    _key_mapping: dict[str, str] | None = {r"^merit\.": ""}

    @classmethod
    def from_pretrained(cls, *args, config=None, output_loading_info=False, **kwargs):
        if isinstance(config, MeritEcgConfig) and cls.config_class is MeritConfig:
            config = MeritConfig(**MeritConfig.around_encoder(config.to_dict()))
        kwargs = {"key_mapping": cls._key_mapping, **kwargs}
        loaded: Any = super().from_pretrained(*args, config=config, output_loading_info=True, **kwargs)
        model, info = loaded
        # Names of weights are translated when they are loaded, and not back when they are saved.
        model._weight_conversions = []
        # Loading replaces frozen parameters by new ones that require gradients.
        model.freeze()
        tensors = model.state_dict()
        missing = sorted(name for name in info["missing_keys"] if name in tensors and not tensors[name].is_meta)
        model._initialised = {name: _checksum(tensors[name]) for name in missing}
        return (model, info) if output_loading_info else model

    def untrained(self) -> list[str]:
        """
        Names of the tensors that the loaded checkpoint does not contain, as long as all of them have the values that
        loading initialised them with.
        """
        stored = self.__dict__.get("_initialised", {})
        tensors = self.state_dict()
        changed = any(not math.isclose(_checksum(tensors[name]), value, rel_tol=1e-6) for name, value in stored.items())
        return [] if changed else list(stored)

    def post_init(self):
        super().post_init()
        self.freeze()

    def freeze(self):
        """Turn off gradients of parameters that the configuration freezes or that no loss depends on."""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, MeritModel):
            init.constant_(module.logit_scale, module.config.logit_scale_init_value)
            if module.config.learned_labels:
                init.zeros_(module.label_weight)
                init.zeros_(module.label_bias)
            if module.config.calibration:
                init.zeros_(module.calibration_mean)
                init.copy_(module.calibration_covariance, torch.eye(len(module.calibration_mean)))
        elif isinstance(module, MeritDecoder):
            init.normal_(module.mask_token, std=self.config.initializer_range)
        if isinstance(module, TypicalityMixin):
            module.init_typicality()


class MeritEcgModel(MeritPreTrainedModel):
    """
    The ECG encoder. Takes any non-empty subset of its leads and any duration up to `config.max_duration`.

    Example:

    ```python
    >>> import torch
    >>> from merit import MeritEcgConfig, MeritEcgModel

    >>> model = MeritEcgModel(MeritEcgConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=2)).eval()
    >>> lead_mask = torch.zeros(1, 12, dtype=torch.bool)
    >>> lead_mask[:, :2] = True
    >>> model(torch.randn(1, 12, 500), lead_mask=lead_mask).pooler_output.shape
    torch.Size([1, 64])

    ```"""

    # save_pretrained and push_to_hub then include the code, so that it loads where this package is not installed.
    _auto_class = "AutoModel"

    config: MeritEcgConfig
    input_modalities = ["time"]
    _keys_to_ignore_on_load_unexpected = [*_IGNORED_BY_ENCODERS, r"^norm\.", r"^classifier\."]

    def __init__(self, config: MeritEcgConfig):
        super().__init__(config)
        self.embeddings = MeritEcgEmbeddings(config)
        self.encoder = MeritEncoder(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.projection

    def set_input_embeddings(self, value: nn.Module):
        self.embeddings.projection = value

    @property
    def pooled_depth(self) -> int:
        """The number of layers that `pooler_output` depends on."""
        return self.config.pooled_layer % (self.config.num_hidden_layers + 1)

    def freeze_above(self, depth: int):
        """Freeze the layers above `depth`, for losses that do not depend on them."""
        if depth < len(self.encoder.layers):
            self.encoder.layers[depth:].requires_grad_(False)
            self.encoder.norm.requires_grad_(False)

    def patchify(
        self,
        ecg_values: torch.Tensor,
        lead_mask: torch.Tensor | None = None,
        sample_mask: torch.Tensor | None = None,
        cell_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Cut the signal into patches; an incomplete patch at the end is dropped.

        Returns:
            patches `(batch, leads, patches, patch_length)`, zero where nothing was recorded, and `recorded`
            `(batch, leads, patches)`: true if the lead and all samples of the patch were recorded and no mask hides
            them.
        """
        batch, num_leads, num_samples = ecg_values.shape
        length, limit = self.config.patch_length, self.config.max_duration * self.config.sampling_rate
        if num_leads != len(self.config.lead_names):
            raise ValueError(
                f"ecg_values has {num_leads} leads, the model expects {len(self.config.lead_names)} "
                f"({', '.join(self.config.lead_names)}): put each lead in its place, leave the others 0 and pass "
                "lead_mask."
            )
        if not length <= num_samples <= limit:
            raise ValueError(
                f"ecg_values has {num_samples} samples, the model takes {length} to {limit:.0f} "
                f"({self.config.max_duration:g} s at {self.config.sampling_rate} Hz)."
            )
        num_patches = num_samples // length
        patches = ecg_values[..., : num_patches * length].reshape(batch, num_leads, num_patches, length)
        recorded = torch.ones(batch, num_leads, num_patches, dtype=torch.bool, device=ecg_values.device)
        if lead_mask is not None:
            recorded = recorded & lead_mask.bool()[..., None]
        if sample_mask is not None:
            complete = sample_mask[:, : num_patches * length].bool().reshape(batch, num_patches, length).all(-1)
            recorded = recorded & complete[:, None]
        if cell_mask is not None:
            recorded = recorded & cell_mask.bool()
        # Filled instead of multiplied, because values where nothing was recorded may be NaN.
        return patches.masked_fill(~recorded[..., None], 0.0), recorded

    def token_mask(
        self, ecg_values: torch.Tensor, lead_mask: torch.Tensor | None = None, sample_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mask of the tokens of `last_hidden_state` with a recorded cell, `(batch, tokens)`."""
        _, recorded = self.patchify(ecg_values, lead_mask, sample_mask)
        return recorded.any(1) if self.config.tokenization == "time" else recorded.flatten(1)

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        ecg_values: torch.FloatTensor,
        lead_mask: torch.BoolTensor | None = None,
        sample_mask: torch.BoolTensor | None = None,
        cell_mask: torch.BoolTensor | None = None,
        **kwargs,
    ) -> BaseModelOutputWithPooling:
        r"""
        Args:
            ecg_values (`torch.FloatTensor` of shape `(batch, leads, samples)`): millivolts, leads as in
                `config.lead_names`, at `config.sampling_rate`.
            lead_mask (`torch.BoolTensor` of shape `(batch, leads)`, *optional*): true where a lead was recorded.
            sample_mask (`torch.BoolTensor` of shape `(batch, samples)`, *optional*): false for padding.
            cell_mask (`torch.BoolTensor` of shape `(batch, leads, samples // config.patch_length)`, *optional*): false
                for patches of a lead that are hidden, as if they had not been recorded.

        Returns:
            `last_hidden_state` of shape `(batch, tokens, hidden_size)`; `pooler_output` of shape
            `(batch, config.pooled_size)`, the mean over tokens with a recorded cell, or mean and maximum concatenated.

        Raises:
            ValueError: for a wrong number of leads, or a duration outside the model's limits.
        """
        # The batch of a processor may hold the mask of a text too.
        kwargs.pop("attention_mask", None)
        patches, recorded = self.patchify(ecg_values, lead_mask, sample_mask, cell_mask)
        tokens, positions, token_mask = self.embeddings(patches, recorded)
        states = self.encoder(tokens, positions, token_mask, **kwargs)
        of_pooled_layer = states[self.config.pooled_layer]
        pooler_output = masked_mean(of_pooled_layer, token_mask)
        if self.config.pooling == "mean_max":
            pooler_output = torch.cat([pooler_output, masked_max(of_pooled_layer, token_mask)], dim=-1)
        return BaseModelOutputWithPooling(last_hidden_state=states[-1], pooler_output=pooler_output)

    def get_ecg_features(self, ecg_values: torch.FloatTensor, **kwargs) -> BaseModelOutputWithPooling:
        """The same as [`forward`], for code that takes this model or [`MeritModel`]."""
        return self(ecg_values, **kwargs)


def ecg_encoder(model: Any) -> MeritEcgModel:
    """The ECG encoder of any model of this package."""
    model = getattr(model, "merit", model)  # of a model that generates reports
    return getattr(model, "ecg_model", model)


class MeritModel(TypicalityMixin, MeritPreTrainedModel):
    """
    The dual encoder, which embeds ECGs and texts in one space.

    Example:

    ```python
    >>> import torch
    >>> from merit import MeritConfig, MeritModel

    >>> config = MeritConfig(ecg_config={"num_hidden_layers": 1}, text_config={"num_hidden_layers": 1})
    >>> model = MeritModel(config).eval()
    >>> output = model(ecg_values=torch.randn(2, 12, 1000), input_ids=torch.tensor([[5, 6, 7]]))
    >>> output.logits_per_ecg.shape
    torch.Size([2, 1])

    ```"""

    _auto_class = "AutoModel"

    _keys_to_ignore_on_load_unexpected = [
        *(r"^decoder\.", r"^connector\.", r"^language_model\.", r"^typical_", r"^quality_")
    ]

    label_weight: torch.Tensor
    label_bias: torch.Tensor
    calibration_mean: torch.Tensor
    calibration_covariance: torch.Tensor

    def __init__(self, config: MeritConfig):
        super().__init__(config)
        self.build(config)
        self.post_init()

    def build(self, config: MeritConfig):
        """Create the modules. Subclasses add theirs here, before the weights are initialised."""
        self.ecg_model = MeritEcgModel._from_config(config.ecg_config)
        # The parameters of an unused pooler would get no gradient.
        text_class = MODEL_MAPPING[type(config.text_config)]  # type: ignore[index]
        has_pooler = "add_pooling_layer" in signature(text_class.__init__).parameters
        self.text_model = AutoModel.from_config(
            config.text_config, **({"add_pooling_layer": False} if has_pooler else {})
        )
        self.ecg_projection = nn.Linear(config.ecg_config.pooled_size, config.projection_dim, bias=False)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(float(config.logit_scale_init_value)))
        if config.learned_labels:  # buffers, because they are not trained together with the encoders
            self.register_buffer("label_weight", torch.zeros(len(config.learned_labels), config.projection_dim))
            self.register_buffer("label_bias", torch.zeros(len(config.learned_labels)))
        if config.calibration:  # mean and covariance of the embeddings of the recordings that it was fitted to
            self.register_buffer("calibration_mean", torch.zeros(config.projection_dim))
            self.register_buffer("calibration_covariance", torch.eye(config.projection_dim))
        self.register_typicality(config.ecg_config.pooled_size)

    def freeze(self):
        self.ecg_model.freeze_above(self.ecg_model.pooled_depth)

    def get_input_embeddings(self) -> nn.Module:
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module):
        self.text_model.set_input_embeddings(value)

    @can_return_tuple
    def get_ecg_features(
        self,
        ecg_values: torch.FloatTensor,
        lead_mask: torch.BoolTensor | None = None,
        sample_mask: torch.BoolTensor | None = None,
        **kwargs,
    ) -> BaseModelOutputWithPooling:
        """The ECG encoder's output with a projected `pooler_output`, `(batch, projection_dim)`, not of unit length."""
        kwargs["return_dict"] = True
        output = self.ecg_model(ecg_values, lead_mask=lead_mask, sample_mask=sample_mask, **kwargs)
        output.pooler_output = self.ecg_projection(output.pooler_output)
        return output

    @can_return_tuple
    def get_text_features(
        self, input_ids: torch.LongTensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> BaseModelOutputWithPooling:
        """The text encoder's output; `pooler_output` is the projected mean over tokens, not of unit length."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        kwargs["return_dict"] = True
        output = self.text_model(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        mean = masked_mean(output.last_hidden_state, attention_mask)
        return BaseModelOutputWithPooling(
            last_hidden_state=output.last_hidden_state,
            pooler_output=self.text_projection(mean),
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def scale(self) -> torch.Tensor:
        """The inverse temperature."""
        return self.logit_scale.exp().clamp(max=self.config.max_logit_scale)

    @property
    def learned_labels(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """
        Linear classifiers of findings, fitted to the findings mentioned in reports, by code: weight `(projection_dim,)`
        and bias. For an embedding of unit length they give the log-odds that its report mentions the finding.
        """
        if not self.config.learned_labels:
            return {}
        classifiers = zip(self.label_weight.float(), self.label_bias.float())
        return dict(zip(self.config.learned_labels, classifiers))

    def gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """In training, the rows of all ranks, which together are the batch. Each rank evaluates its own rows."""
        return gather_with_gradient(tensor) if self.training else tensor

    def alignment(self, ecg_embeds: torch.Tensor, text_embeds: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[`alignment_information`] of pairs of embeddings of unit length; equal keys stand for equal reports."""
        z, t, keys = self.gather(ecg_embeds), self.gather(text_embeds), self.gather(keys)
        with torch.autocast(z.device.type, enabled=False):
            return alignment_information(z.float(), t.float(), self.scale().float(), keys[:, None] == keys)

    @can_return_tuple
    def forward(
        self,
        ecg_values: torch.FloatTensor | None = None,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        lead_mask: torch.BoolTensor | None = None,
        sample_mask: torch.BoolTensor | None = None,
        return_loss: bool | None = None,
        **kwargs,
    ) -> MeritOutput:
        """
        Similarities of every ECG to every text; see [`MeritEcgModel.forward`] for the ECG's arguments.

        Args:
            return_loss (`bool`, *optional*): add the InfoNCE loss; the texts must then be the ECGs' own reports.
        """
        if ecg_values is None or input_ids is None:
            raise ValueError(
                "MeritModel compares ECGs with texts and needs both ecg_values and input_ids; "
                "for one of them use get_ecg_features or get_text_features."
            )
        kwargs["return_dict"] = True
        ecg = self.get_ecg_features(ecg_values, lead_mask=lead_mask, sample_mask=sample_mask, **kwargs)
        text = self.get_text_features(input_ids, attention_mask=attention_mask, **kwargs)
        ecg_embeds, text_embeds = F.normalize(pooled(ecg), dim=-1), F.normalize(pooled(text), dim=-1)
        logits_per_ecg = self.scale() * ecg_embeds @ text_embeds.T.to(ecg_embeds.device)
        loss = None
        if return_loss:
            information = self.alignment(ecg_embeds, text_embeds, report_keys(input_ids, attention_mask))
            loss = merit_objective(information, None, 1.0, 0.0)
        return MeritOutput(
            loss=loss,
            logits_per_ecg=logits_per_ecg,
            logits_per_text=logits_per_ecg.T,
            ecg_embeds=ecg_embeds,
            text_embeds=text_embeds,
            ecg_model_output=ecg,
            text_model_output=text,
        )


class MeritDecoder(MeritPreTrainedModel):
    """Predicts the signal of every cell from the encoded visible tokens."""

    config: MeritEcgConfig
    input_modalities = ["time"]

    def __init__(self, config: MeritEcgConfig, encoder_hidden_size: int):
        super().__init__(config)
        self.num_leads = len(config.lead_names) if config.tokenization == "time" else 1
        self.embedding = nn.Linear(encoder_hidden_size, config.hidden_size)
        self.mask_token = nn.Parameter(torch.zeros(config.hidden_size))
        self.lead_embedding = nn.Embedding(len(config.lead_names), config.hidden_size) if self.num_leads == 1 else None
        self.encoder = MeritEncoder(config)
        self.prediction = nn.Linear(config.hidden_size, self.num_leads * config.patch_length)
        self.post_init()

    def forward(
        self, hidden_states: torch.Tensor, seen: torch.Tensor, kept: torch.Tensor, recorded: torch.Tensor
    ) -> torch.Tensor:
        """
        Args:
            hidden_states (`torch.FloatTensor` of shape `(batch, kept, hidden_size)`): the encoder's output.
            seen (`torch.BoolTensor` of shape `(batch, kept)`): true for tokens with a visible cell.
            kept (`torch.LongTensor` of shape `(batch, kept)`): their indices among all tokens.
            recorded (`torch.BoolTensor` of shape `(batch, leads, patches)`): cells that exist.

        Returns:
            `torch.FloatTensor` of shape `(batch, leads, patches, patch_length)`.
        """
        batch, num_leads, num_patches = recorded.shape
        # A token is a time patch of all leads, or with lead_time a single cell.
        token_mask = recorded.any(1) if self.lead_embedding is None else recorded.flatten(1)
        hidden_states = self.embedding(hidden_states)
        mask_token = self.mask_token.to(hidden_states.dtype)
        tokens = mask_token.expand(batch, token_mask.shape[1], -1)
        hidden_states = torch.where(seen[..., None], hidden_states, mask_token)
        tokens = tokens.scatter(1, kept[..., None].expand_as(hidden_states), hidden_states)
        positions = torch.arange(token_mask.shape[1], device=tokens.device).expand(batch, -1) % num_patches
        if self.lead_embedding is not None:
            leads = self.lead_embedding(torch.arange(num_leads, device=tokens.device))
            tokens = tokens + leads.repeat_interleave(num_patches, 0)
        predicted = self.prediction(self.encoder(tokens, positions, token_mask)[-1])
        if self.lead_embedding is None:
            return predicted.view(batch, num_patches, num_leads, -1).transpose(1, 2)
        return predicted.view(batch, num_leads, num_patches, -1)


class MeritForPreTraining(MeritModel):
    """
    MERIT with its objective: one branch reconstructs a masked signal, the other aligns the signal with its report.

    Example:

    ```python
    >>> import torch
    >>> from merit import MeritConfig, MeritForPreTraining

    >>> config = MeritConfig(ecg_config={"num_hidden_layers": 1}, text_config={"num_hidden_layers": 1})
    >>> model = MeritForPreTraining(config)
    >>> output = model(ecg_values=torch.randn(4, 12, 1000), input_ids=torch.arange(12).view(4, 3))
    >>> bool(output.alignment_information < torch.tensor(4.0).log())
    True

    ```"""

    _auto_class = "AutoModelForPreTraining"

    def build(self, config: MeritConfig):
        super().build(config)
        if config.reconstruction_weight:
            self.decoder = MeritDecoder._from_config(
                config.decoder_config(), encoder_hidden_size=config.ecg_config.hidden_size
            )

    def freeze(self):
        reconstruction_depth = self.config.reconstruction_depth or self.config.ecg_config.num_hidden_layers
        depths = [
            self.ecg_model.pooled_depth if self.config.alignment_weight else 0,
            reconstruction_depth if self.config.reconstruction_weight else 0,
        ]
        self.ecg_model.freeze_above(max(depths))
        if not self.config.alignment_weight:
            for module in (self.text_model, self.text_projection, self.ecg_projection, self.logit_scale):
                module.requires_grad_(False)

    def set_attn_implementation(self, *args, **kwargs):
        super().set_attn_implementation(*args, **kwargs)
        if self.config.reconstruction_weight:
            # transformers 5.17 marks the decoder's configuration as changed and would skip it the next time.
            vars(self.decoder.config).pop("_attn_was_changed", None)

    def reconstruct(
        self,
        ecg_values: torch.Tensor,
        lead_mask: torch.Tensor | None = None,
        sample_mask: torch.Tensor | None = None,
        noise: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        The masked branch.

        Returns:
            the standardised signal and its prediction, both `(batch, leads, patches, patch_length)`, and `hidden`,
            `(batch, leads, patches)`: recorded cells that were masked.
        """
        patches, recorded = self.ecg_model.patchify(ecg_values, lead_mask, sample_mask)
        visible = random_visibility(recorded, self.config.time_mask_ratio, self.config.lead_mask_ratio, noise)
        tokens, positions, token_mask = self.ecg_model.embeddings(patches, visible)
        # The encoder gets the visible tokens only, the same number for all recordings of a batch.
        num_kept = max(1, int(num_visible(recorded.shape[2], self.config.time_mask_ratio)))
        if self.config.ecg_config.tokenization == "lead_time":
            num_kept *= max(1, int(num_visible(recorded.shape[1], self.config.lead_mask_ratio)))
        kept = token_mask.int().argsort(dim=-1, descending=True, stable=True)[:, :num_kept]
        tokens = tokens.gather(1, kept[..., None].expand(-1, -1, tokens.shape[-1]))
        seen = token_mask.gather(1, kept)
        depth = self.config.reconstruction_depth
        states = self.ecg_model.encoder(tokens, positions.gather(1, kept), seen, depth)
        x_hat = self.decoder(states[-1], seen, kept, recorded)
        return standardise_leads(patches.float(), recorded), x_hat, recorded & ~visible

    @can_return_tuple
    def forward(
        self,
        ecg_values: torch.FloatTensor | None = None,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        lead_mask: torch.BoolTensor | None = None,
        sample_mask: torch.BoolTensor | None = None,
        noise: torch.FloatTensor | None = None,
        keys: torch.LongTensor | None = None,
        return_loss: bool = True,
        **kwargs,
    ) -> MeritForPreTrainingOutput:
        """
        Args:
            noise (`torch.FloatTensor` of shape `(batch, leads, patches)`, *optional*): determines the mask, see
                [`random_visibility`]; drawn anew by default.
            keys (`torch.LongTensor` of shape `(batch,)`, *optional*): equal for reports with the same content, such as
                a report and its translation; by default equal for reports with the same tokens.

        Other arguments as in [`MeritModel.forward`]; `input_ids` may be left out when `alignment_weight` is 0.
        """
        if ecg_values is None:
            raise ValueError("ecg_values are missing.")
        features = ecg_embeds = text_embeds = information_zt = information_zx = x = x_hat = hidden = None
        if self.config.alignment_weight or not self.training:
            features = pooled(self.ecg_model(ecg_values, lead_mask, sample_mask, return_dict=True))
        if self.config.alignment_weight:
            if input_ids is None:
                raise ValueError("input_ids are missing: alignment_weight is not 0, so each ECG needs its report.")
            text = pooled(self.get_text_features(input_ids, attention_mask, return_dict=True))
            ecg_embeds = F.normalize(self.ecg_projection(features).float(), dim=-1)
            text_embeds = F.normalize(text.float(), dim=-1)
            same = report_keys(input_ids, attention_mask) if keys is None else keys
            information_zt = self.alignment(ecg_embeds, text_embeds, same)
        if self.config.reconstruction_weight:
            every = slice(None, None, self.config.reconstruction_stride if self.training else 1)
            others = (None if tensor is None else tensor[every] for tensor in (lead_mask, sample_mask, noise))
            x, x_hat, hidden = self.reconstruct(ecg_values[every], *others)
            information_zx = reconstruction_information(x, x_hat.float(), hidden, self.gather)
        loss = merit_objective(
            information_zt, information_zx, self.config.alignment_weight, self.config.reconstruction_weight
        )
        return MeritForPreTrainingOutput(
            loss=loss if return_loss else None,
            alignment_information=information_zt,
            reconstruction_information=information_zx,
            ecg_embeds=ecg_embeds,
            text_embeds=text_embeds,
            pooler_output=features,
            reconstruction=x_hat,
            target=x,
            hidden=hidden,
        )


class MeritForEcgClassification(TypicalityMixin, MeritPreTrainedModel):
    """
    The ECG encoder with a linear head: multi-label, single-label or regression by `config.problem_type`, fine-tuned in
    full or, with `config.freeze_encoder`, as a linear probe.

    Example:

    ```python
    >>> import torch
    >>> from merit import MeritConfig, MeritForEcgClassification

    >>> config = MeritConfig(num_labels=5, problem_type="multi_label_classification")
    >>> model = MeritForEcgClassification(config)
    >>> model(torch.randn(2, 12, 1000), labels=torch.zeros(2, 5)).logits.shape
    torch.Size([2, 5])

    ```"""

    _auto_class = "AutoModelForSequenceClassification"

    input_modalities = ["time"]
    _keys_to_ignore_on_load_unexpected = _IGNORED_BY_ENCODERS

    def __init__(self, config: MeritConfig):
        if type(self).__name__ not in (config.architectures or [type(self).__name__]):
            # The encoder of another model is trained further here, and its features change.
            config.abstention_threshold, config.abstention_threshold_partial, config.quality_checks = None, None, []
        super().__init__(config)
        self.loss_type = "ForSequenceClassification"
        self.num_labels: int = config.num_labels  # type: ignore[assignment]
        self.ecg_model = MeritEcgModel._from_config(config.ecg_config)
        self.norm = nn.LayerNorm(config.ecg_config.pooled_size, eps=config.ecg_config.layer_norm_eps)
        self.classifier = nn.Linear(config.ecg_config.pooled_size, self.num_labels)
        self.register_typicality(config.ecg_config.pooled_size)
        self.post_init()

    def freeze(self):
        if self.config.freeze_encoder:
            self.ecg_model.requires_grad_(False)
        self.ecg_model.freeze_above(self.ecg_model.pooled_depth)

    def classify(self, pooler_output: torch.Tensor) -> torch.Tensor:
        """Logits `(batch, num_labels)` of features `(batch, pooled_size)` of the ECG encoder."""
        return self.classifier(self.norm(pooler_output))

    @can_return_tuple
    def forward(
        self,
        ecg_values: torch.FloatTensor,
        lead_mask: torch.BoolTensor | None = None,
        sample_mask: torch.BoolTensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        """
        Args:
            labels (`torch.Tensor`, *optional*): `(batch, num_labels)` of 0 and 1 for multi-label classification and of
                values for regression, `(batch,)` of class indices for single-label classification.

        Other arguments as in [`MeritEcgModel.forward`]. `logits` has shape `(batch, num_labels)`.
        """
        kwargs["return_dict"] = True
        output = self.ecg_model(ecg_values, lead_mask=lead_mask, sample_mask=sample_mask, **kwargs)
        logits = self.classify(pooled(output))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=output.hidden_states, attentions=output.attentions
        )


__all__ = [
    "MeritEcgModel",
    "MeritForEcgClassification",
    "MeritForPreTraining",
    "MeritModel",
    "MeritPreTrainedModel",
]
