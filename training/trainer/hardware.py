"""What trains fast on this machine."""

import torch


def fast_precision() -> dict[str, bool]:
    """bf16 where the hardware multiplies it natively, on GPU or CPU; the Trainer's arguments for it."""
    if torch.cuda.is_available():
        return {"bf16": torch.cuda.is_bf16_supported()}
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return {"bf16": native, "use_cpu": True}


def fast_loading() -> dict[str, int]:
    """Processes that load, where a GPU would wait for batches; the cores of a CPU are busy enough with training."""
    return {"dataloader_num_workers": 4} if torch.cuda.is_available() else {}


def fast_device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_attention() -> str:
    """On a CPU the backward pass of torch's fused attention costs more than all else for sequences this short."""
    return "sdpa" if torch.cuda.is_available() else "eager"
