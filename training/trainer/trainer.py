"""The Trainer of transformers for ECGs."""

import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from transformers import EvalPrediction, PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from ...modeling_merit.modeling_merit import report_keys
from ..batching.collator import SeededOrder
from ..results.progress import progress_bar
from .checkpoints import last_checkpoint
from .information import embedding_diagnostics, evaluation_diagnostics, gradient_norms


class EcgTrainer(Trainer):
    """
    The Trainer with a second collator for evaluation and prediction, which neither crops nor augments.

    Args:
        eval_collator: collator for evaluation and prediction; no record is dropped there.

    Raises:
        ValueError: the processor of a collator has another sampling rate or other leads than the model.
    """

    def __init__(self, *args, eval_collator: Callable[..., dict[str, torch.Tensor]], **kwargs):
        super().__init__(*args, **kwargs)
        self.eval_collator = eval_collator
        self.remove_callback(PrinterCallback)
        if self.pop_callback(ProgressCallback):
            self.add_callback(_TrainingBar())
        for collator in (self.data_collator, eval_collator):
            if processor := getattr(collator, "processor", None):
                processor.feature_extractor.check_model(self.model.config)

    def get_eval_dataloader(self, eval_dataset=None):
        with self._loading_for_evaluation():
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset):
        with self._loading_for_evaluation():
            return super().get_test_dataloader(test_dataset)

    @contextmanager
    def _loading_for_evaluation(self) -> Iterator[None]:
        drop_last, collator = self.args.dataloader_drop_last, self.data_collator
        self.args.dataloader_drop_last, self.data_collator = False, self.eval_collator
        try:
            yield
        finally:
            self.args.dataloader_drop_last, self.data_collator = drop_last, collator


class MeritTrainer(EcgTrainer):
    """
    Trains [`MeritForPreTraining`].

    Both information terms of the loss and diagnostics of the embeddings are logged. A loss or gradient that is not
    finite ends the run with an error that names the step and the records of the batch.

    Args:
        gradient_norms_every: log the gradient norms of both terms every so many steps; 0 for never.
    """

    def __init__(self, *args, gradient_norms_every: int = 0, **kwargs):
        super().__init__(*args, compute_metrics=self._evaluation_metrics, **kwargs)
        self.gradient_norms_every = gradient_norms_every
        self.add_callback(_StepCallback(self))
        self._informations = defaultdict(list)  # since the last log
        self._last_batch: dict[str, torch.Tensor] = {}
        self._gradient_norms: dict[str, float] = {}
        self._rows: list[torch.Tensor] = []  # of the batches of the current step

    def _get_train_sampler(self, train_dataset=None):
        return SeededOrder(self.train_dataset)  # type: ignore[arg-type]

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = dict(inputs)
        self._rows.append(inputs.pop("rows"))
        if self.gradient_norms_every and self.state.global_step % self.gradient_norms_every == 0:
            unwrapped = self.accelerator.unwrap_model(model, keep_torch_compile=False)
            with self.accelerator.autocast():
                self._gradient_norms = gradient_norms(unwrapped, inputs)
        outputs = model(**inputs)
        if not outputs.loss.isfinite():
            self.stop(f"the loss is {outputs.loss.item()}")
        for name in ("alignment_information", "reconstruction_information"):
            if outputs.get(name) is not None:
                self._informations[name].append(outputs[name].detach())
        if outputs.ecg_embeds is not None:
            self._last_batch = {name: outputs[name].detach() for name in ("ecg_embeds", "text_embeds")}
            self._last_batch["keys"] = _report_keys(inputs)
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
        return None, predictions, _report_keys(inputs)

    def _evaluation_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        config = self.accelerator.unwrap_model(self.model, keep_torch_compile=False).config
        return evaluation_diagnostics(
            prediction.predictions,  # type: ignore[arg-type]
            prediction.label_ids,  # type: ignore[arg-type]
            self.logit_scale(),
            self.args.per_device_eval_batch_size,
            config.alignment_weight,
            config.reconstruction_weight,
        )

    def log(self, logs, *args, **kwargs):
        if "loss" in logs:
            found = {}
            for name, values in self._informations.items():
                found[name] = self.accelerator.reduce(torch.stack(values).mean(), "mean").item()
            self._informations.clear()
            if self._last_batch:
                batch: Any = {name: self.accelerator.gather(value) for name, value in self._last_batch.items()}
                found |= embedding_diagnostics(batch["ecg_embeds"].float(), batch["text_embeds"].float(), batch["keys"])
            found |= {**self._gradient_norms, "temperature": 1 / self.logit_scale()}
            self._gradient_norms = {}
            logs.update({name: round(value, 4) for name, value in found.items()})
        super().log(logs, *args, **kwargs)

    def logit_scale(self) -> float:
        """The learned inverse temperature, gathered if the model is sharded."""
        scale = self.accelerator.unwrap_model(self.model, keep_torch_compile=False).scale()
        return (scale.full_tensor() if hasattr(scale, "full_tensor") else scale).item()

    def stop(self, reason: str) -> NoReturn:
        """End the run with an error that names the step and the records of the batch."""
        dataset: Any = self.train_dataset if self.model.training else self.eval_dataset
        records = dataset.record_ids(torch.cat(self._rows).tolist())
        named = ", ".join(records[:8]) + (f" and {len(records) - 8} more" if len(records) > 8 else "")
        raise ValueError(
            f"Step {self.state.global_step + 1}: {reason}. The batch holds {named}. "
            f"The last complete checkpoint is {last_checkpoint(str(self.args.output_dir)) or 'not written yet'}."
        )

    def _save_checkpoint(self, model, trial):
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:  # by the file system, torch or safetensors
            folder = Path(str(self.args.output_dir))
            name = f"checkpoint-{self.state.global_step}"
            shutil.rmtree(folder / name, ignore_errors=True)
            if is_lost_worker(error):  # a signal handler raises it, whatever the process is doing
                raise
            free = shutil.disk_usage(folder).free / 2**20
            raise OSError(
                f"{folder / name} could not be written, with {free:.0f} MiB free there: {error}. The last complete "
                f"checkpoint is {last_checkpoint(folder) or 'not written yet'}. Make room and resume."
            ) from error


class _TrainingBar(ProgressCallback):
    """Shows the loss and the latest evaluation beside the bar instead of a line for every log."""

    def __init__(self):
        super().__init__()
        self.figures: dict[str, str] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        self.current_step = state.global_step
        if state.is_world_process_zero:
            self.training_bar = progress_bar(state.max_steps, "Training", "steps", initial=state.global_step)

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **kwargs):
        if state.is_world_process_zero and self.prediction_bar is None:
            # In a log file, evaluations during training have no lines of their own.
            hidden = self.training_bar is not None and not sys.stderr.isatty()
            self.prediction_bar = progress_bar(
                len(eval_dataloader or ()), "Evaluating", "batches", leave=False, disable=hidden
            )
        if self.prediction_bar is not None:
            self.prediction_bar.update()

    def on_log(self, args, state, control, logs=None, **kwargs):
        shown = ("loss", f"eval_{(args.metric_for_best_model or 'loss').removeprefix('eval_')}")
        self.figures |= {name: f"{value:.4g}" for name, value in (logs or {}).items() if name in shown}
        if self.training_bar is not None:
            self.training_bar.set_postfix(self.figures, refresh=False)


class _StepCallback(TrainerCallback):
    """Tells the data set which epoch begins, and stops at a gradient that is not finite before weights change."""

    def __init__(self, trainer: MeritTrainer):
        self.trainer = trainer

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.trainer.train_dataset.epoch = int(state.epoch or 0)  # type: ignore[union-attr]

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        trainer = self.trainer
        # In float16 the gradient scaler skips steps with infinite gradients and lowers its scale.
        if model is not None and trainer.accelerator.scaler is None:
            norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
            if not norm.isfinite():
                trainer.stop(f"the norm of the gradient is {norm.item()}")
        trainer._rows.clear()


def _report_keys(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return inputs["keys"] if "keys" in inputs else report_keys(inputs["input_ids"], inputs.get("attention_mask"))


def is_lost_worker(error: BaseException | None) -> bool:
    """Whether an error comes from a DataLoader worker that was killed, directly or as its cause or context."""
    while error is not None and "DataLoader worker" not in str(error):
        error = error.__cause__ or error.__context__
    return error is not None
