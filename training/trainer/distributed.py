"""Training in several processes: who prepares, who writes, how the group ends, and models in shards."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState

from ...modeling_merit.configuration_merit import MeritConfig
from ...modeling_merit.modeling_merit import MeritForPreTraining
from .trainer import MeritTrainer


def _processes() -> PartialState:
    """Those that `torchrun` started, or this one alone."""
    return PartialState(cpu=not torch.cuda.is_available())


@contextmanager
def main_process_first() -> Iterator[None]:
    """What the first of several processes of `torchrun` prepares, the others find."""
    with _processes().main_process_first():
        yield


def is_main_process() -> bool:
    """Whether this process is the one that writes."""
    return _processes().is_main_process


def shut_down_process_group() -> None:
    """
    End the group of processes and its threads, when all have come here. A thread that outlives it still lets go of
    tensors of Python, and aborts the process where the interpreter ends meanwhile (PyTorch issue 190489); the launcher
    would then stop the process that still writes.
    """
    state = _processes()
    state.wait_for_everyone()
    gc.collect()  # of trainers and their models, which hold the group, and so its threads
    state.destroy_process_group()


def make_shardable(model: MeritForPreTraining):
    """FSDP shards no scalars: until [`whole_model`], the scale is an array of one."""
    model.logit_scale = torch.nn.Parameter(model.logit_scale.detach()[None])


def whole_model(trainer: MeritTrainer, model: MeritForPreTraining) -> MeritForPreTraining:
    """The trained model; where ranks hold parts of it, put together on the first."""
    if not trainer.is_fsdp_enabled:
        return model
    weights: Any = trainer.accelerator.get_state_dict(trainer.model)
    return unsharded(model.config, weights) if weights else model


def unsharded(config: MeritConfig, weights: Mapping[str, torch.Tensor]) -> MeritForPreTraining:
    """A model of the whole weights of one that [`make_shardable`] changed."""
    whole = MeritForPreTraining(config)
    whole.load_state_dict({**weights, "logit_scale": weights["logit_scale"].reshape(())})
    return whole
