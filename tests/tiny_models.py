"""Models and inputs that are as small as they can be, for the tests of modeling_merit."""

import pytest
import torch

from merit import MeritConfig, MeritEcgModel, MeritForEcgClassification, MeritForPreTraining, MeritModel

MODELS = (MeritEcgModel, MeritModel, MeritForPreTraining, MeritForEcgClassification)
# How signals become tokens and tokens a feature: as patches that are averaged, or by a stem, with maxima too. The fast
# tests take two that have all of these parts.
TOKENIZATIONS = (
    "time",
    *(pytest.param(tokenization, marks=pytest.mark.slow) for tokenization in ("lead_time", "time, stem")),
    "lead_time, stem",
)
STEM = {"stem_channels": 8, "stem_num_layers": 1, "pooling": "mean_max"}
ECG = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
TEXT = {**ECG, "vocab_size": 99, "max_position_embeddings": 16}


def tiny_config(tokenization: str = "time", ecg: dict | None = None, **fields) -> MeritConfig:
    tokenization, _, stem = tokenization.partition(", ")
    fields = {
        "ecg_config": {**ECG, "tokenization": tokenization, **(STEM if stem else {}), **(ecg or {})},
        "text_config": TEXT,
        "projection_dim": 16,
        "decoder_hidden_size": 16,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 24,
        "num_labels": 3,
        "problem_type": "multi_label_classification",
        **fields,
    }
    return MeritConfig(**fields)


def tiny_model(model_class=MeritEcgModel, tokenization: str = "time", seed: int = 0, **fields):
    """In eval mode, with weights (norms and biases too) so large that whatever is wrong shows in the output."""
    config = tiny_config(tokenization, **fields)
    torch.manual_seed(seed)
    model = model_class(config.ecg_config if model_class is MeritEcgModel else config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != "logit_scale":
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def tiny_signal(batch: int = 3, samples: int = 300, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, 12, samples, generator=torch.Generator().manual_seed(seed))


def tiny_inputs(model_class, batch: int = 3, samples: int = 300, seed: int = 1, labels: bool = False) -> dict:
    """Recordings of which one lacks leads and one ends early, with their reports."""
    lead_mask = torch.ones(batch, 12, dtype=torch.bool)
    lead_mask[0, 2:7] = False
    sample_mask = torch.ones(batch, samples, dtype=torch.bool)
    sample_mask[-1, samples - 40 :] = False
    inputs = {"ecg_values": tiny_signal(batch, samples, seed), "lead_mask": lead_mask, "sample_mask": sample_mask}
    generator = torch.Generator().manual_seed(seed)
    if issubclass(model_class, MeritModel):
        inputs["input_ids"] = torch.randint(1, 99, (batch, 6), generator=generator)
        inputs["attention_mask"] = (torch.arange(6) < torch.randint(3, 7, (batch, 1), generator=generator)).long()
    if model_class is MeritForPreTraining:
        inputs["noise"] = torch.rand(batch, 12, samples // 25, generator=generator)
    if model_class is MeritForEcgClassification and labels:
        inputs["labels"] = torch.randint(0, 2, (batch, 3), generator=generator).float()
    return inputs


def tensors(output) -> dict[str, torch.Tensor]:
    """All tensors of an output, nested ones by dotted name."""
    found = {}
    for name, value in output.items():
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif hasattr(value, "items"):
            found.update({f"{name}.{inner}": tensor for inner, tensor in tensors(value).items()})
        elif isinstance(value, tuple):
            found.update({f"{name}.{index}": tensor for index, tensor in enumerate(value) if tensor is not None})
    return found


def assert_same(output, expected, **tolerance):
    output, expected = tensors(output), tensors(expected)
    assert output.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(output[name], expected[name], msg=lambda m, name=name: f"{name}: {m}", **tolerance)
