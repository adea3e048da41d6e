"""MERIT model configuration."""

from copy import deepcopy

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from .hub_config_merit import HubConfig

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
TOKENIZATIONS = ("time", "lead_time")
POOLINGS = ("mean", "mean_max")
# Version of the names, shapes and meaning of weights and inputs. Raise it when older checkpoints would give other
# outputs.
LAYOUT_VERSION = 1
_SIZES = ("hidden_size", "num_attention_heads", "intermediate_size")


@strict
class MeritEcgConfig(HubConfig):
    r"""
    Configuration of [`MeritEcgModel`], a pre-norm transformer over patches of an ECG.

    Args:
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, hidden_act, layer_norm_eps,
        attention_dropout, hidden_dropout: as in other transformers of the library.
        patch_length (`int`): samples of one lead in a patch; 25 at 100 Hz is a quarter of a second.
        tokenization (`str`): `"time"` makes one token per time patch, the sum of lead-wise projections of the leads
            that are present; `"lead_time"` makes one token per lead and time patch, about twelve times as costly.
        stem_channels (`int`): channels of the convolutions between signal and tokens; 0 leaves the convolutions out
            and projects the patches directly.
        stem_num_layers (`int`): number of residual blocks of two convolutions, if `stem_channels` is not 0.
        stem_stride (`int`): samples from one step of the convolutions to the next; divides `patch_length`.
        pooled_layer (`int`): index into the hidden states (0 is the embedding, -1 the last) whose tokens are pooled
            into `pooler_output`.
        pooling (`str`): `"mean"` of the tokens, or `"mean_max"`, mean and maximum concatenated: a single abnormal beat
            among many hardly changes a mean.
        sampling_rate (`int`): samples per second that the model expects.
        lead_names (`list[str]`): the leads along the lead axis of `ecg_values`, in order.
        max_duration (`float`): longest input in seconds.
        rope_theta (`float`): base of the rotary time positions (Su et al., arXiv 2104.09864).

    Example:

    ```python
    >>> from merit import MeritEcgConfig, MeritEcgModel

    >>> model = MeritEcgModel(MeritEcgConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=2))
    >>> model.config.patch_length
    25

    ```"""

    model_type = "merit_ecg"
    base_config_key = "ecg_config"

    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    intermediate_size: int = 1024
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    attention_dropout: float | int = 0.0
    hidden_dropout: float | int = 0.0
    initializer_range: float = 0.02
    patch_length: int = 25
    tokenization: str = "time"
    stem_channels: int = 0
    stem_num_layers: int = 2
    stem_stride: int = 5
    pooled_layer: int = -1
    pooling: str = "mean"
    sampling_rate: int = 100
    lead_names: list[str] | tuple[str, ...] = STANDARD_LEADS
    max_duration: float | int = 60.0
    rope_theta: float | int = 1000.0

    def __post_init__(self, **kwargs):
        self.lead_names = list(self.lead_names)
        super().__post_init__(**kwargs)

    @property
    def pooled_size(self) -> int:
        """Length of `pooler_output`."""
        return self.hidden_size * (2 if self.pooling == "mean_max" else 1)

    @classmethod
    def get_config_dict(cls, *args, **kwargs):
        """As in transformers; the encoder of a report model is that of its dual encoder."""
        config_dict, kwargs = super().get_config_dict(*args, **kwargs)
        return config_dict.get(MeritConfig.base_config_key, config_dict), kwargs

    def validate_ecg(self):
        """Called by `@strict` after construction."""
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {POOLINGS}, not {self.pooling!r}.")
        if self.tokenization not in TOKENIZATIONS:
            raise ValueError(f"tokenization must be one of {TOKENIZATIONS}, not {self.tokenization!r}.")
        _require_positive(self, *_SIZES, "patch_length", "sampling_rate", "max_duration", "stem_stride")
        if min(self.stem_channels, self.stem_num_layers) < 0:
            raise ValueError("stem_channels and stem_num_layers must not be negative.")
        if self.stem_channels and self.patch_length % self.stem_stride:
            raise ValueError(f"stem_stride ({self.stem_stride}) must divide patch_length ({self.patch_length}).")
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of twice num_attention_heads "
                f"({self.num_attention_heads}): rotary positions turn pairs of channels."
            )
        if not -self.num_hidden_layers - 1 <= self.pooled_layer <= self.num_hidden_layers:
            raise ValueError(
                f"pooled_layer {self.pooled_layer} does not exist among {self.num_hidden_layers + 1} hidden states."
            )
        if not self.lead_names or len(set(self.lead_names)) != len(self.lead_names):
            raise ValueError(f"lead_names must name each lead once, not {self.lead_names}.")


@strict
class MeritConfig(HubConfig):
    r"""
    Configuration of [`MeritModel`] and its heads: an ECG encoder, a text encoder, and how they are trained together.

    Args:
        ecg_config (`MeritEcgConfig` or `dict`): the ECG encoder.
        text_config (`PreTrainedConfig` or `dict`): any text encoder of transformers; a small BERT by default.
        projection_dim (`int`): size of the space that ECG and text share.
        logit_scale_init_value (`float`): initial log of the inverse temperature.
        max_logit_scale (`float`): upper limit of the inverse temperature.
        alignment_weight (`float`): weight of the bound on I(Z;T); 0 trains by reconstruction only.
        reconstruction_weight (`float`): weight of the bound on I(Z;X); 0 trains by alignment only.
        reconstruction_stride (`int`): reconstruct every n-th recording of a training batch only. Alignment needs a
            large batch, for its negatives; reconstruction does not.
        reconstruction_depth (`int`): number of encoder layers in the masked branch, all of them if `None`. The layers
            above are trained by alignment only.
        time_mask_ratio (`float`): share of the time patches that are masked in all leads.
        lead_mask_ratio (`float`): share of the leads that are masked in each of the other time patches.
        decoder_hidden_size, decoder_num_hidden_layers, decoder_num_attention_heads, decoder_intermediate_size:
            the decoder that predicts the masked signal; used in pretraining only.
        freeze_encoder (`bool`): heads train on a frozen encoder (a linear probe) when true.
        learned_labels (`list[str]`): codes of the findings that the model has a linear classifier for, fitted to the
            reports by `merit learn-labels`; zero-shot classification scores other findings with text prompts.
        calibration (`dict`, *optional*): the scale of zero-shot scores and the thresholds of decisions, as
            `merit calibrate` fits them: `"learned"` and `"prompts"` by code of a finding, `"other"` for other labels.
        abstention_threshold (`float`, *optional*): a recording of higher atypicality is out of distribution; with it, a
            checkpoint contains the distribution of the features of training recordings, see `merit calibrate`.
        abstention_threshold_partial (`float`, *optional*): the same for recordings that are short or lack leads; by
            default `abstention_threshold`.
        quality_checks (`list[str]`): codes of the faults that the checkpoint has a linear check for.
        layout_version (`int`): version of the checkpoint layout; a checkpoint of another version is refused.

    Example:

    ```python
    >>> from merit import MeritConfig, MeritModel

    >>> config = MeritConfig(ecg_config={"num_hidden_layers": 2}, text_config={"num_hidden_layers": 1})
    >>> model = MeritModel(config)
    >>> model.config.text_config.model_type
    'bert'

    ```"""

    model_type = "merit"
    base_config_key = "merit_config"
    sub_configs = {"ecg_config": MeritEcgConfig, "text_config": AutoConfig}  # type: ignore[assignment]

    ecg_config: dict | PreTrainedConfig | None = None
    text_config: dict | PreTrainedConfig | None = None
    projection_dim: int = 256
    logit_scale_init_value: float | int = 2.6593
    max_logit_scale: float | int = 100.0
    alignment_weight: float | int = 1.0
    reconstruction_weight: float | int = 10.0
    reconstruction_stride: int = 1
    reconstruction_depth: int | None = None
    time_mask_ratio: float | int = 0.5
    lead_mask_ratio: float | int = 0.5
    decoder_hidden_size: int = 128
    decoder_num_hidden_layers: int = 1
    decoder_num_attention_heads: int = 4
    decoder_intermediate_size: int = 512
    freeze_encoder: bool = False
    learned_labels: list[str] | tuple[str, ...] = ()
    calibration: dict | None = None
    abstention_threshold: float | None = None
    abstention_threshold_partial: float | None = None
    quality_checks: list[str] | tuple[str, ...] = ()
    layout_version: int = LAYOUT_VERSION
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs):
        _require_layout(self.layout_version)
        if not isinstance(self.ecg_config, PreTrainedConfig):
            self.ecg_config = MeritEcgConfig(**(self.ecg_config or {}))
        if not isinstance(self.text_config, PreTrainedConfig):
            self.text_config = _sub_config("bert", _SMALL_BERT, **(self.text_config or {}))
        self.learned_labels = list(self.learned_labels)
        self.quality_checks = list(self.quality_checks)
        super().__post_init__(**kwargs)

    @classmethod
    def get_config_dict(cls, *args, **kwargs):
        """As in transformers; the configuration of an ECG encoder that was saved alone becomes `ecg_config`."""
        config_dict, kwargs = super().get_config_dict(*args, **kwargs)
        if config_dict.get("model_type") == MeritEcgConfig.model_type:
            config_dict = cls.around_encoder(config_dict)
        return config_dict, kwargs

    @classmethod
    def around_encoder(cls, ecg_config: dict) -> dict:
        """The fields of a `MeritConfig` for a head on an encoder with the fields `ecg_config` of a `MeritEcgConfig`."""
        of_head = ("architectures", "id2label", "label2id", "problem_type", "dtype", "_commit_hash")
        of_encoder = MeritEcgConfig.__annotations__
        head = {name: ecg_config[name] for name in of_head if name in ecg_config}
        encoder = {name: ecg_config[name] for name in of_encoder if name in ecg_config}
        return {"model_type": cls.model_type, "ecg_config": encoder, **head}

    def decoder_config(self) -> MeritEcgConfig:
        """The configuration of the decoder: a smaller transformer over the same patches."""
        config: MeritEcgConfig = deepcopy(self.ecg_config)  # type: ignore[assignment]
        config.hidden_size = self.decoder_hidden_size
        config.num_hidden_layers = self.decoder_num_hidden_layers
        config.num_attention_heads = self.decoder_num_attention_heads
        config.intermediate_size = self.decoder_intermediate_size
        config.pooled_layer = -1
        return config

    def validate_objective(self):
        """Called by `@strict` after construction."""
        _require_positive(self, "projection_dim", "reconstruction_stride", *(f"decoder_{size}" for size in _SIZES))
        self.decoder_config().validate_ecg()
        layers = self.ecg_config.num_hidden_layers
        if self.reconstruction_depth is not None and not 0 < self.reconstruction_depth < layers:
            raise ValueError(
                f"reconstruction_depth must be above 0 and below num_hidden_layers ({layers}), or None for all, "
                f"not {self.reconstruction_depth}."
            )
        if min(self.alignment_weight, self.reconstruction_weight) < 0:
            raise ValueError("alignment_weight and reconstruction_weight must not be negative.")
        if self.alignment_weight == self.reconstruction_weight == 0:
            raise ValueError("alignment_weight and reconstruction_weight are both 0: nothing would be trained.")
        for name in ("time_mask_ratio", "lead_mask_ratio"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}.")
        if self.reconstruction_weight and self.time_mask_ratio == self.lead_mask_ratio == 0:
            raise ValueError("time_mask_ratio and lead_mask_ratio are both 0: nothing is hidden to be reconstructed.")
        if len(set(self.learned_labels)) != len(self.learned_labels):
            raise ValueError(f"learned_labels must name each label once, not {self.learned_labels}.")


@strict
class MeritReportConfig(HubConfig):
    r"""
    Configuration of [`MeritForReportGeneration`]: a MERIT dual encoder and a language model that writes reports.

    Args:
        merit_config (`MeritConfig` or `dict`): the dual encoder.
        text_config (`PreTrainedConfig` or `dict`): any causal language model of transformers; a small Llama by default.
        num_ecg_tokens (`int`): number of tokens per recording that the connector returns, independent of its duration.
        ecg_token_id (`int`): id of the placeholder token in the text that they replace.
        connector_num_attention_heads (`int`): number of attention heads of the connector.
        freeze_encoder (`bool`): train the connector and the language model only. An ECG encoder that is trained further
            no longer matches the text encoder, which the support of statements is computed with.
        abstention_threshold (`float`, *optional*): the model abstains if the atypicality of a recording is higher.
        abstention_threshold_partial, quality_checks: as of [`MeritConfig`].
        layout_version (`int`): version of the checkpoint layout; a checkpoint of another version is refused.

    Example:

    ```python
    >>> from merit import MeritReportConfig

    >>> MeritReportConfig(text_config={"model_type": "gpt2", "n_layer": 2}).text_config.num_hidden_layers
    2

    ```"""

    model_type = "merit_report"
    sub_configs = {"merit_config": MeritConfig, "text_config": AutoConfig}  # type: ignore[assignment]

    merit_config: dict | PreTrainedConfig | None = None
    text_config: dict | PreTrainedConfig | None = None
    num_ecg_tokens: int = 16
    ecg_token_id: int = 0
    connector_num_attention_heads: int = 4
    freeze_encoder: bool = True
    abstention_threshold: float | None = None
    abstention_threshold_partial: float | None = None
    quality_checks: list[str] | tuple[str, ...] = ()
    layout_version: int = LAYOUT_VERSION
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs):
        _require_layout(self.layout_version)
        if not isinstance(self.merit_config, PreTrainedConfig):
            self.merit_config = MeritConfig(**(self.merit_config or {}))
        if not isinstance(self.text_config, PreTrainedConfig):
            self.text_config = _sub_config("llama", _SMALL_LLAMA, **(self.text_config or {}))
        self.quality_checks = list(self.quality_checks)
        super().__post_init__(**kwargs)

    def validate_report(self):
        """Called by `@strict` after construction."""
        _require_positive(self, "num_ecg_tokens", "connector_num_attention_heads")
        width = self.merit_config.ecg_config.hidden_size
        if width % self.connector_num_attention_heads:
            raise ValueError(
                f"The encoder's hidden_size ({width}) must be a multiple of connector_num_attention_heads "
                f"({self.connector_num_attention_heads})."
            )
        if not 0 <= self.ecg_token_id < self.text_config.vocab_size:
            raise ValueError(
                f"ecg_token_id {self.ecg_token_id} is none of the {self.text_config.vocab_size} tokens of the language "
                "model."
            )


# The default text encoder, small enough to be trained from scratch on the reports.
_SMALL_BERT = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "max_position_embeddings": 128,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


# The default language model, as small as the text encoder.
_SMALL_LLAMA = {
    "vocab_size": 2048,
    "hidden_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}


def _sub_config(default_type: str, defaults: dict, model_type: str | None = None, **fields) -> PreTrainedConfig:
    """The configuration of a text model; the defaults are those of the default type."""
    model_type = model_type or default_type
    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"text_config: transformers knows no model type {model_type!r}.")
    return CONFIG_MAPPING[model_type](**{**(defaults if model_type == default_type else {}), **fields})


def _require_layout(version: int):
    if version != LAYOUT_VERSION:
        which = "a newer" if version > LAYOUT_VERSION else "an earlier"
        raise ValueError(
            f"The checkpoint has layout {version} and this version of MERIT reads {LAYOUT_VERSION}: "
            f"install {which} version of merit, or use an environment without merit, where trust_remote_code=True "
            "loads the checkpoint with the code in its folder."
        )


def _require_positive(config: PreTrainedConfig, *names: str):
    for name in names:
        if getattr(config, name) <= 0:
            raise ValueError(f"{name} must be positive, not {getattr(config, name)}.")


__all__ = ["MeritConfig", "MeritEcgConfig", "MeritReportConfig"]
