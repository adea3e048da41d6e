"""
MERIT with a language model, which writes the report of an ECG.

The frozen dual encoder encodes the recording. A connector turns its tokens into a few input embeddings of a causal
language model, which continues them with text. The text encoder is kept, so that every generated sentence can be
compared with the recording as in zero-shot classification.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from .configuration_merit import MeritReportConfig
from .modeling_merit import MeritModel, MeritPreTrainedModel
from .typicality_merit import TypicalityMixin

_ECG_INPUTS = ("ecg_values", "lead_mask", "sample_mask", "ecg_prefix")


class MeritConnector(nn.Module):
    """
    From the encoder's tokens to a fixed number of input embeddings of the language model: learned queries attend to the
    tokens (Jaegle et al., arXiv 2107.14795), and an MLP projects the result to the hidden size of the language model.
    """

    def __init__(self, config: MeritReportConfig):
        super().__init__()
        ecg = config.merit_config.ecg_config
        width, self.num_heads = ecg.hidden_size, config.connector_num_attention_heads
        self.queries = nn.Parameter(torch.zeros(config.num_ecg_tokens, width))
        self.norm = nn.LayerNorm(width, eps=ecg.layer_norm_eps)
        self.query_proj = nn.Linear(width, width)
        self.key_proj = nn.Linear(width, width)
        self.value_proj = nn.Linear(width, width)
        self.fc1 = nn.Linear(width, config.text_config.hidden_size)
        self.fc2 = nn.Linear(config.text_config.hidden_size, config.text_config.hidden_size)

    def forward(self, tokens: torch.Tensor, token_mask: torch.Tensor) -> torch.Tensor:
        """Tokens `(batch, tokens, width)` and their mask to embeddings `(batch, num_ecg_tokens, hidden_size)`."""
        batch, width = len(tokens), tokens.shape[-1]
        states = self.norm(tokens)
        projected = self.query_proj(self.queries).expand(batch, -1, -1), self.key_proj(states), self.value_proj(states)
        query, key, value = (
            part.view(batch, -1, self.num_heads, width // self.num_heads).transpose(1, 2) for part in projected
        )
        attended = F.scaled_dot_product_attention(query, key, value, token_mask[:, None, None])
        return self.fc2(F.gelu(self.fc1(attended.transpose(1, 2).flatten(2))))


class MeritForReportGeneration(TypicalityMixin, MeritPreTrainedModel, GenerationMixin):
    """
    Generates reports of ECGs: `generate` takes the output of the processor for recordings and an instruction.

    Example:

    ```python
    >>> import torch
    >>> from merit import MeritForReportGeneration, MeritReportConfig

    >>> model = MeritForReportGeneration(MeritReportConfig(num_ecg_tokens=2, ecg_token_id=5)).eval()
    >>> input_ids = torch.tensor([[5, 5, 7, 8]])
    >>> model.generate(input_ids=input_ids, ecg_values=torch.randn(1, 12, 1000), max_new_tokens=3).shape
    torch.Size([1, 7])

    ```"""

    _auto_class = "AutoModelForMultimodalLM"

    config: MeritReportConfig
    config_class = MeritReportConfig
    base_model_prefix = ""
    _key_mapping = None
    main_input_name = "input_ids"

    def __init__(
        self,
        config: MeritReportConfig,
        merit: MeritModel | None = None,
        language_model: PreTrainedModel | None = None,
    ):
        """`merit` and `language_model` may be passed if they are loaded already; `config` has their configurations."""
        super().__init__(config)
        self.merit = MeritModel._from_config(config.merit_config) if merit is None else merit
        self.connector = MeritConnector(config)
        self.language_model = language_model or AutoModelForCausalLM.from_config(config.text_config)
        self.register_typicality(config.merit_config.ecg_config.pooled_size, always=True)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, MeritConnector):
            init.normal_(module.queries, std=1.0)

    def freeze(self):
        self.merit.requires_grad_(False)
        if not self.config.freeze_encoder:
            self.merit.ecg_model.requires_grad_(True)

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module):
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        return self.language_model.get_output_embeddings()

    def encode(
        self,
        ecg_values: torch.Tensor,
        lead_mask: torch.Tensor | None = None,
        sample_mask: torch.Tensor | None = None,
    ) -> BaseModelOutputWithPooling:
        """
        Encode recordings for the language model, see [`MeritEcgModel.forward`] for the arguments.

        Returns:
            `last_hidden_state` of shape `(batch, num_ecg_tokens, text hidden_size)`, to pass as `ecg_prefix`;
            `pooler_output` of shape `(batch, pooled_size)`, for `atypicality` and `ecg_embeds`.
        """
        output = self.merit.ecg_model(ecg_values, lead_mask, sample_mask, return_dict=True)
        prefix = self.connect(output, ecg_values, lead_mask, sample_mask)
        return BaseModelOutputWithPooling(last_hidden_state=prefix, pooler_output=output.pooler_output)

    def connect(
        self,
        encoded: BaseModelOutputWithPooling,
        ecg_values: torch.Tensor,
        lead_mask: torch.Tensor | None = None,
        sample_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Embeddings `(batch, num_ecg_tokens, text hidden_size)` from the encoder's output for these recordings."""
        token_mask = self.merit.ecg_model.token_mask(ecg_values, lead_mask, sample_mask)
        return self.connector(encoded.last_hidden_state, token_mask)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        ecg_values: torch.Tensor | None = None,
        lead_mask: torch.Tensor | None = None,
        sample_mask: torch.Tensor | None = None,
        ecg_prefix: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        **kwargs,
    ) -> CausalLMOutputWithPast:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch, length)`): text with `num_ecg_tokens` placeholders
                `config.ecg_token_id` in every row, as the processor returns it.
            ecg_prefix (`torch.FloatTensor`, *optional*): the output of [`encode`], instead of the recordings.
            labels (`torch.LongTensor` of shape `(batch, length)`, *optional*): target tokens, -100 for ignored ones.

        Other arguments are those of the encoder and of the language model.

        Raises:
            ValueError: the number of placeholders is not that of the connector's tokens.
        """
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
            if ecg_prefix is None and ecg_values is not None:
                ecg_prefix = self.encode(ecg_values, lead_mask, sample_mask).last_hidden_state
            if ecg_prefix is not None:
                placeholders = input_ids == self.config.ecg_token_id
                counts = placeholders.sum(-1)
                if (counts != ecg_prefix.shape[1]).any():
                    raise ValueError(
                        f"The text has {sorted(set(counts.tolist()))} places for the ECG where the model has "
                        f"{ecg_prefix.shape[1]} tokens: prepare both with this model's own processor."
                    )
                prefix = ecg_prefix.to(inputs_embeds.dtype)
                inputs_embeds = inputs_embeds.masked_scatter(placeholders[..., None], prefix)
        kwargs["return_dict"] = True
        return self.language_model(inputs_embeds=inputs_embeds, attention_mask=attention_mask, labels=labels, **kwargs)

    def generate(self, *args, ecg_values=None, lead_mask=None, sample_mask=None, ecg_prefix=None, **kwargs):
        """As `GenerationMixin.generate`; recordings are encoded once for any number of tokens and beams."""
        if ecg_prefix is None and ecg_values is not None:
            with torch.no_grad():
                ecg_prefix = self.encode(ecg_values, lead_mask, sample_mask).last_hidden_state
        return super().generate(*args, ecg_prefix=ecg_prefix, **kwargs)

    def prepare_inputs_for_generation(self, input_ids, is_first_iteration=False, **kwargs):
        inputs = super().prepare_inputs_for_generation(input_ids, is_first_iteration=is_first_iteration, **kwargs)
        if not is_first_iteration and kwargs.get("use_cache", True):
            inputs = {name: value for name, value in inputs.items() if name not in _ECG_INPUTS}
        return inputs

    def ecg_embeds(self, pooler_output: torch.Tensor) -> torch.Tensor:
        """Features in the joint space of ECGs and texts, of unit length, `(batch, projection_dim)`."""
        return F.normalize(self.merit.ecg_projection(pooler_output).float(), dim=-1)


__all__ = ["MeritForReportGeneration"]
