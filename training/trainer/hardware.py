"""Settings that train fast on this machine."""

from typing import Any

import torch


def fast_precision() -> dict[str, Any]:
    """Arguments of the Trainer for bf16 where the GPU or CPU multiplies it natively."""
    if torch.cuda.is_available():
        return {"bf16": torch.cuda.is_bf16_supported()}
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return {"bf16": native, "use_cpu": True}


def fast_loading() -> dict[str, int]:
    """Arguments of the Trainer for loader workers: used with a GPU only, since on a CPU training needs every core."""
    return {"dataloader_num_workers": 4} if torch.cuda.is_available() else {}


def fast_device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_attention() -> str:
    """
    The faster attention implementation.

    On a CPU that is "eager": for sequences this short, the backward pass of torch's fused attention dominates the
    training step.
    """
    return "sdpa" if torch.cuda.is_available() else "eager"
