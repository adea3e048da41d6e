"""The Trainer of transformers for ECGs: a collator of its own for evaluation, and the information terms in its logs."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from transformers import EvalPrediction, Trainer, TrainerCallback

from ...modeling_merit.modeling_merit import report_keys
from ..batching.collator import SeededOrder
from .checkpoints import last_checkpoint
from .information import embedding_diagnostics, evaluation_diagnostics, gradient_norms


class EcgTrainer(Trainer):
    """
    The Trainer, with a collator of its own for what is evaluated: all of it, and nothing disturbed.

    Args:
        eval_collator: of the batches of evaluation and prediction.
    """

    def __init__(self, *args, eval_collator: Callable[..., dict[str, torch.Tensor]], **kwargs):
        super().__init__(*args, **kwargs)
        self.eval_collator = eval_collator

    def get_eval_dataloader(self, eval_dataset=None):
        with _set(self.args, dataloader_drop_last=False), _set(self, data_collator=self.eval_collator):
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset):
        with _set(self.args, dataloader_drop_last=False), _set(self, data_collator=self.eval_collator):
            return super().get_test_dataloader(test_dataset)


class MeritTrainer(EcgTrainer):
    """
    The Trainer, with the account of information in its logs, and a clear end where it cannot go on.

    Args:
        gradient_norms_every: steps after which the norms of both terms' gradients are logged; 0 for never.
    """

    def __init__(self, *args, gradient_norms_every: int = 0, **kwargs):
        super().__init__(*args, compute_metrics=self._account_of_split, **kwargs)
        self.gradient_norms_every = gradient_norms_every
        self.add_callback(_Steps(self))
        self._informations = defaultdict(list)
        self._last_batch: dict[str, torch.Tensor] = {}
        self._gradient_norms: dict[str, float] = {}
        self._rows: list[torch.Tensor] = []

    # What is seen

    def _get_train_sampler(self, train_dataset=None):
        return SeededOrder(self.train_dataset)  # type: ignore[arg-type]

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = dict(inputs)
        self._rows.append(inputs.pop("rows"))
        if self.gradient_norms_every and self.state.global_step % self.gradient_norms_every == 0:
            plain = self.accelerator.unwrap_model(model, keep_torch_compile=False)
            with self.accelerator.autocast():
                self._gradient_norms = gradient_norms(plain, inputs)
        outputs = model(**inputs)
        if not outputs.loss.isfinite():
            self.stop(f"the loss is {outputs.loss.item()}")
        for name in ("alignment_information", "reconstruction_information"):
            if outputs.get(name) is not None:
                self._informations[name].append(outputs[name].detach())
        if outputs.ecg_embeds is not None:
            self._last_batch = {name: outputs[name].detach() for name in ("ecg_embeds", "text_embeds")}
            self._last_batch["keys"] = _keys(inputs)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        inputs = self._prepare_inputs(inputs)
        rows = inputs.pop("rows")
        with torch.no_grad(), self.compute_loss_context_manager():
            outputs = model(**inputs)
        if not outputs.loss.isfinite():
            self._rows = [rows]
            self.stop(f"the loss is {outputs.loss.item()} in evaluation")
        predictions = {"features": outputs.pooler_output.float()}
        if outputs.ecg_embeds is not None:
            predictions |= {"ecg_embeds": outputs.ecg_embeds, "text_embeds": outputs.text_embeds}
        if outputs.hidden is not None:
            squared_error = (outputs.reconstruction.float() - outputs.target).square().mean(-1) * outputs.hidden
            predictions |= {"squared_error": squared_error.sum((1, 2)), "hidden": outputs.hidden.sum((1, 2))}
        return None, predictions, _keys(inputs)

    # What is logged

    def log(self, logs, *args, **kwargs):
        if "loss" in logs:
            found = {}
            for name, values in self._informations.items():
                found[name] = self.accelerator.reduce(torch.stack(values).mean(), "mean").item()
            self._informations.clear()
            if self._last_batch:
                batch: Any = {name: self.accelerator.gather(value) for name, value in self._last_batch.items()}
                found |= embedding_diagnostics(batch["ecg_embeds"].float(), batch["text_embeds"].float(), batch["keys"])
            found |= {**self._gradient_norms, "temperature": 1 / self.scale()}
            self._gradient_norms = {}
            logs.update({name: round(value, 4) for name, value in found.items()})
        super().log(logs, *args, **kwargs)

    def scale(self) -> float:
        """The inverse temperature, wherever its parameter lies."""
        model = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        return _whole(model.scale()).item()

    def _account_of_split(self, prediction: EvalPrediction) -> dict[str, float]:
        config = self.accelerator.unwrap_model(self.model, keep_torch_compile=False).config
        return evaluation_diagnostics(
            prediction.predictions,  # type: ignore[arg-type]
            prediction.label_ids,  # type: ignore[arg-type]
            self.scale(),
            self.args.per_device_eval_batch_size,
            config.alignment_weight,
            config.reconstruction_weight,
        )

    # Where it ends

    def stop(self, reason: str) -> NoReturn:
        """End the run, naming the step and the recordings."""
        dataset: Any = self.train_dataset if self.model.training else self.eval_dataset
        records = dataset.record_ids(torch.cat(self._rows).tolist())
        named = ", ".join(records[:8]) + (f" and {len(records) - 8} more" if len(records) > 8 else "")
        raise ValueError(
            f"Step {self.state.global_step + 1}: {reason}. The batch held {named}. "
            f"The last checkpoint is whole: {last_checkpoint(str(self.args.output_dir)) or 'there is none yet'}."
        )

    def _save_checkpoint(self, model, trial):
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:  # of the file system, torch and safetensors
            folder = Path(str(self.args.output_dir))
            name = f"checkpoint-{self.state.global_step}"
            shutil.rmtree(folder / name, ignore_errors=True)
            if is_lost_worker(error):  # raised by a signal, wherever the process stands
                raise
            free = shutil.disk_usage(folder).free / 2**20
            raise OSError(
                f"{folder / name} could not be written, with {free:.0f} MiB free there: {error}. The last "
                f"checkpoint is whole: {last_checkpoint(folder) or 'there is none yet'}. Make room and resume."
            ) from error


class _Steps(TrainerCallback):
    """What is done as steps and epochs begin."""

    def __init__(self, trainer: MeritTrainer):
        self.trainer = trainer

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.trainer.train_dataset.epoch = int(state.epoch or 0)  # type: ignore[union-attr]

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        trainer = self.trainer
        # In float16 steps with infinite gradients are left out, and the loss is scaled less.
        if model is not None and trainer.accelerator.scaler is None:
            norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
            if not norm.isfinite():
                trainer.stop(f"the norm of the gradient is {norm.item()}")
        trainer._rows.clear()


def _keys(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return inputs["keys"] if "keys" in inputs else report_keys(inputs["input_ids"], inputs.get("attention_mask"))


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of which each rank may hold a part."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[operator]


@contextmanager
def _set(thing: Any, **fields: Any) -> Iterator[None]:
    """Fields of an object, for a while."""
    before = {name: getattr(thing, name) for name in fields}
    vars(thing).update(fields)
    try:
        yield
    finally:
        vars(thing).update(before)


def is_lost_worker(error: BaseException | None) -> bool:
    """Whether torch's loader raised it, or what it raised broke something else off."""
    while error is not None and "DataLoader worker" not in str(error):
        error = error.__cause__ or error.__context__
    return error is not None
