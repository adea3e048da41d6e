"""Training in several processes: which one prepares and writes, how the process group ends, and sharded models."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState
from transformers import Trainer

from ...modeling_merit.configuration_merit import MeritConfig
from ...modeling_merit.modeling_merit import MeritForPreTraining


@contextmanager
def main_process_first() -> Iterator[None]:
    """Run the block in the main process first, so that the other processes find what it has prepared."""
    with _process_state().main_process_first():
        yield


def is_main_process() -> bool:
    """Whether this process is the one that writes files."""
    return _process_state().is_main_process


def shut_down_process_group() -> None:
    """
    Wait for all processes and end the process group with its threads.

    A thread of the group that is alive when the interpreter exits can abort the process (PyTorch issue 190489), and the
    launcher would then stop the process that is still writing.
    """
    state = _process_state()
    state.wait_for_everyone()
    gc.collect()  # trainers and their models refer to the group, and so keep its threads alive
    state.destroy_process_group()


def _process_state() -> PartialState:
    """The processes that `torchrun` or `accelerate launch` started, or this one alone."""
    return PartialState(cpu=not torch.cuda.is_available())


def make_shardable(model: MeritForPreTraining) -> None:
    """Turn the scalar logit scale into an array of one element, since FSDP shards no scalars."""
    model.logit_scale = torch.nn.Parameter(model.logit_scale.detach()[None])


def whole_model(trainer: Trainer, model: MeritForPreTraining) -> MeritForPreTraining:
    """The trained model. If its weights are sharded over processes, they are gathered in the main process."""
    if not trainer.is_fsdp_enabled:
        return model
    weights: Any = trainer.accelerator.get_state_dict(trainer.model)
    return unsharded(model.config, weights) if weights else model


def unsharded(config: MeritConfig, weights: Mapping[str, torch.Tensor]) -> MeritForPreTraining:
    """A model with the gathered weights of one that [`make_shardable`] changed."""
    whole = MeritForPreTraining(config)
    whole.load_state_dict({**weights, "logit_scale": weights["logit_scale"].reshape(())})
    return whole
