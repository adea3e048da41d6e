"""The hash of weights, by which result files identify their model and a card finds its results."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch


def answering(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What results are measured with: all weights but those of pretraining, the scale of scores and quality checks."""
    left_out = ("decoder.", "calibration_", "typical_", "quality_")
    return {name: tensor for name, tensor in weights.items() if not name.startswith(left_out)}


def own_weights(model: Any) -> dict[str, torch.Tensor]:
    """The tensors of a model that are not tied to others."""
    return {name: tensor for name, tensor in model.state_dict().items() if name not in model.all_tied_weights_keys}


def stored_weights(model: Any) -> dict[str, torch.Tensor]:
    """The weights of a model by which result files identify it: those that answer and are not tied to others."""
    return answering(own_weights(model))


def weights_sha256(weights: Mapping[str, torch.Tensor]) -> str:
    """Hash of names, shapes and values of weights such as a state dict: the same in any type that holds them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().to(torch.float64).contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
