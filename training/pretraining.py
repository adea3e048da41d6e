"""Pretraining MERIT with the Trainer: a recipe, a data set, a folder that others load."""

import gc
import inspect
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import yaml
from accelerate import PartialState
from datasets import Dataset, DatasetDict, concatenate_datasets
from huggingface_hub.errors import StrictDataclassError
from transformers import EvalPrediction, Trainer, TrainerCallback, set_seed

from ..modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig
from ..modeling_merit.modeling_merit import MeritForPreTraining, report_keys
from ..processing.feature_extraction_merit import MeritFeatureExtractor
from ..processing.processing_merit import MeritProcessor
from .augmentation import Augmentation
from .collator import SIGNAL_COLUMNS, MeritCollator, SeededOrder, SeededRows, ecg_rows
from .hardware import fast_attention
from .information import account, evaluation_account, gradient_norms
from .open_datasets import OPEN_DATASETS
from .recipe import fits, training_arguments
from .results import FORMAT, provenance, write_json
from .tokenizer import train_tokenizer

TRAINING_RECORD = "training.json"
CHECKPOINTS = "checkpoints"
# Columns that the recipe's `text` stands for; "mixed" draws one for each recording anew in every epoch.
TEXTS = {"original": ["report"], "english": ["report_en"], "mixed": ["report", "report_en"]}


def with_text(dataset: Dataset, column: str = "report") -> Dataset:
    """The recordings whose report says something."""
    return dataset.select(np.flatnonzero([bool(report) for report in dataset[column]]))


def combine(datasets: Sequence[DatasetDict]) -> DatasetDict:
    """
    Several data sets as one to pretrain on: their recordings and reports, without labels.

    Args:
        datasets: each as `load_data` returns it; not every one needs every split.
    """
    if len(datasets) == 1:
        return datasets[0]
    columns = [*SIGNAL_COLUMNS, "source", "report", "report_en"]
    parts = defaultdict(list)
    for dataset in datasets:
        for split, rows in dataset.items():
            parts[split].append(rows.select_columns(columns))
    return DatasetDict({split: concatenate_datasets(rows) for split, rows in parts.items()})


def _processes() -> PartialState:
    """Those that `torchrun` started, or this one alone."""
    return PartialState(cpu=not torch.cuda.is_available())


@contextmanager
def taking_turns() -> Iterator[None]:
    """What the first of several processes of `torchrun` prepares, the others find."""
    with _processes().main_process_first():
        yield


def first_process() -> bool:
    """Whether this process is the one that writes."""
    return _processes().is_main_process


def end_together() -> None:
    """
    End the group of processes and its threads, when all have come here. A thread that outlives it still lets go of
    tensors of Python, and aborts the process where the interpreter ends meanwhile (PyTorch issue 190489); the launcher
    would then stop the process that still writes.
    """
    state = _processes()
    state.wait_for_everyone()
    gc.collect()  # of trainers and their models, which hold the group, and so its threads
    state.destroy_process_group()


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
                found |= account(batch["ecg_embeds"].float(), batch["text_embeds"].float(), batch["keys"])
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
        return evaluation_account(
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
            if _of_a_vanished_worker(error):  # raised by a signal, wherever the process stands
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


def last_checkpoint(folder: str | Path) -> Path | None:
    """The last checkpoint in a folder that was written to its end; the Trainer writes its state last."""
    checkpoints = [path for path in Path(folder).glob("checkpoint-*") if path.name[11:].isdigit()]
    return next((path for path in sorted(checkpoints, key=_step, reverse=True) if _is_whole(path)), None)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name[11:])


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def build(recipe: Mapping[str, Any], reports: Sequence[str]) -> tuple[MeritForPreTraining, MeritProcessor]:
    """A new model and its processor by a recipe, the tokenizer trained on `reports`."""
    settings = recipe.get("tokenizer", {})
    known = [name for name in inspect.signature(train_tokenizer).parameters if name != "reports"]
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"The recipe's tokenizer has {name}, which it does not have; it has {', '.join(known)}.")
        if not fits(value, int) or value < 1:
            raise ValueError(f"tokenizer.{name} must be a whole number above 0, not {value!r}.")
    tokenizer = train_tokenizer(reports, **settings)
    try:
        feature_extractor = MeritFeatureExtractor(**recipe.get("processor", {}))
    except TypeError as error:
        raise ValueError(f"The recipe's processor settings are not those of MeritFeatureExtractor: {error}") from None
    processor = MeritProcessor(feature_extractor=feature_extractor, tokenizer=tokenizer)
    model = recipe.get("model", {})
    for name in ("ecg_config", "text_config"):
        if not isinstance(model.get(name, {}), Mapping):
            raise ValueError(f"The recipe's model.{name} is a group of settings, not {model[name]!r}.")
    text_config = {
        **model.get("text_config", {}),
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
    }
    for name, fields, kind in (
        ("model", model, MeritConfig),
        ("ecg_config", model.get("ecg_config", {}), MeritEcgConfig),
    ):
        if unknown := sorted(set(fields) - set(kind.__dataclass_fields__)):
            raise ValueError(f"The recipe's {name} has {', '.join(unknown)}, which {kind.__name__} does not have.")
    try:
        config = MeritConfig(**{**model, "text_config": text_config})
    except StrictDataclassError as error:
        raise ValueError(f"The recipe's model settings are not those of MeritConfig: {error}") from None
    for name in ("sampling_rate", "lead_names"):
        of_processor, of_model = getattr(feature_extractor, name), getattr(config.ecg_config, name)
        if of_processor != of_model:
            raise ValueError(
                f"The recipe's processor has {name} {of_processor}, its model {of_model}: give both the same {name}."
            )
    return MeritForPreTraining(config), processor


def collators(recipe: Mapping[str, Any], processor: MeritProcessor, patch_length: int) -> dict[str, MeritCollator]:
    """
    Of "train" and "validation" batches; the latter are cropped and masked alike at each evaluation, and not disturbed.

    Raises:
        ValueError: for a `text`, `crop_seconds` or `augmentation` that cannot be.
    """
    extractor = processor.feature_extractor
    crop, text = recipe.get("crop_seconds"), recipe.get("text", "original")
    if text not in TEXTS:
        raise ValueError(f"text must be one of {', '.join(TEXTS)}, not {text!r}.")
    if crop is not None and not fits(crop, float):
        raise ValueError(f"crop_seconds must be a number or null, not {crop!r}.")
    if crop is not None and not patch_length / extractor.sampling_rate <= crop <= extractor.duration:
        raise ValueError(
            f"crop_seconds is {crop}; it must be between a patch ({patch_length / extractor.sampling_rate:g} s) and "
            f"the processor's window ({extractor.duration:g} s)."
        )
    augmentation = Augmentation(recipe.get("augmentation", {}), extractor)
    columns = TEXTS[text]
    plain = MeritCollator(
        processor, columns if len(columns) > 1 else columns[0], crop_seconds=crop, patch_length=patch_length
    )
    return {"train": replace(plain, augmentation=augmentation if augmentation.effects else None), "validation": plain}


def checkpoint_folder(output_dir: str | Path, resume: bool) -> Path:
    """
    Where the checkpoints of a run go.

    Raises:
        ValueError: an earlier run's lie there, and it is not to be resumed.
    """
    checkpoints = Path(output_dir) / CHECKPOINTS
    if not resume and any(checkpoints.glob("checkpoint-*")):
        raise ValueError(f"{checkpoints} holds checkpoints of an earlier run: resume it, or name another folder.")
    return checkpoints


def require_splits(dataset: Mapping[Any, Dataset]) -> None:
    """A training needs records to learn from and others to be judged by."""
    if missing := [name for name in ("train", "validation") if name not in dataset]:
        raise ValueError(f"The data set has no records in split {', '.join(missing)}: folds 1 to 8 train, 9 validates.")


def train_by(recipe: Mapping[str, Any], trainer: Trainer, checkpoints: Path) -> None:
    """Write the recipe beside the checkpoints and train, from the last of them that is whole."""
    last = last_checkpoint(checkpoints)
    if trainer.args.should_save:
        _remove_unfinished(checkpoints)
        checkpoints.parent.mkdir(parents=True, exist_ok=True)
        (checkpoints.parent / "recipe.yaml").write_text(yaml.safe_dump(dict(recipe)), encoding="utf-8")
    trainer.train(resume_from_checkpoint=None if last is None else str(last))


def pretrain(
    dataset: DatasetDict, recipe: Mapping[str, Any], output_dir: str | Path, resume: bool = False
) -> tuple[MeritForPreTraining, MeritProcessor]:
    """
    Pretrain on the split "train", evaluate on "validation"; checkpoints go to `output_dir`/checkpoints, what was done
    to `output_dir`/training.json.

    Labels are not used: signals and cleaned reports only. Started by `torchrun` or `accelerate launch`, every process
    calls this and returns the same model.

    Args:
        dataset: as `load_data` or [`combine`] returns it.
        recipe: as [`load_recipe`] returns it.
        output_dir: folder of the run.
        resume: go on from the last checkpoint in it, to the weights that the run would have had without a break.

    Returns:
        the model at the end, or with `training.load_best_model_at_end` that of the best evaluation; and its processor.

    Raises:
        ValueError: `output_dir` holds checkpoints and `resume` is false, the recipe or the data set cannot be used, or
            the loss is not finite.
        OSError: a checkpoint cannot be written, or a loader worker vanished (`ChildProcessError`).
    """
    checkpoints = checkpoint_folder(output_dir, resume)
    arguments = training_arguments(checkpoints, recipe.get("training", {}))
    if arguments.n_gpu > 1:
        raise ValueError(f"A process trains on one GPU: start it with torchrun --nproc-per-node {arguments.n_gpu}.")
    if arguments.fsdp and arguments.use_cpu:
        raise ValueError("accelerate shards models on GPUs only: leave training.fsdp out, or run where there are some.")
    set_seed(arguments.seed)
    require_splits(dataset)
    columns = TEXTS.get(recipe.get("text", "original"), ["report"])
    if missing := [column for column in columns if column not in dataset["train"].column_names]:
        raise ValueError(f"The data set has no column {', '.join(missing)}: prepare it anew, or choose another text.")
    splits = {name: with_text(dataset[name], columns[-1]) for name in ("train", "validation")}
    if len(splits["train"]) < arguments.train_batch_size * arguments.world_size:
        raise ValueError(
            f"There are {len(splits['train'])} recordings with a report to train on, fewer than a batch of "
            f"{arguments.train_batch_size * arguments.world_size}: set training.per_device_train_batch_size lower."
        )
    if not len(splits["validation"]):
        raise ValueError("No recording of split validation has a report.")
    model, processor = build(recipe, [text for column in columns for text in splits["train"][column]])
    model.set_attn_implementation(fast_attention())
    if arguments.fsdp:
        make_shardable(model)
    collate = collators(recipe, processor, model.config.ecg_config.patch_length)
    for collator in collate.values():
        collator.pad_text = arguments.torch_compile
    every = recipe.get("gradient_norms", 0)
    if not fits(every, int) or every < 0:
        raise ValueError(f"gradient_norms is a number of steps, or 0 for never, not {every!r}.")
    if every and arguments.fsdp:
        raise ValueError("gradient_norms needs whole gradients, which fsdp does not have: set it to 0.")
    record = TrainingRecord(splits, recipe, Path(output_dir))
    if arguments.num_train_epochs <= 0 and arguments.max_steps <= 0:
        if arguments.should_save:
            record.write([])
        return model, processor
    trainer = MeritTrainer(
        model=model,
        args=arguments,
        train_dataset=SeededRows(ecg_rows(splits["train"], *columns), arguments.seed),
        eval_dataset=SeededRows(ecg_rows(splits["validation"], *columns), arguments.seed),
        data_collator=collate["train"],
        eval_collator=collate["validation"],
        gradient_norms_every=every,
    )
    try:
        train_by(recipe, trainer, checkpoints)
    except Exception as error:
        if not _of_a_vanished_worker(error):
            raise
        raise ChildProcessError(
            f"Step {trainer.state.global_step + 1}: a loader worker vanished, as happens when memory runs out: {error} "
            f"The last checkpoint is whole: {last_checkpoint(checkpoints) or 'there is none yet'}. Resume, perhaps "
            "with a lower training.dataloader_num_workers."
        ) from error
    trainer.save_state()
    if arguments.should_save:
        record.write(trainer.state.log_history)
    return whole_model(trainer, model), processor


class TrainingRecord:
    """
    The file training.json of a run: the data it saw and their terms, recipe, command, commit, versions, and the log; of
    one that goes on with what another process began, the step where it does.

    It goes along with the model into results/, where the card finds it.

    Args:
        splits: what was trained and evaluated on, with the column "source".
        recipe: of the run.
        folder: of the run.
    """

    def __init__(self, splits: Mapping[str, Dataset], recipe: Mapping[str, Any], folder: Path):
        counts = {split: Counter(rows["source"]) for split, rows in splits.items()}
        self.data = [
            {
                "name": source,
                "published": asdict(OPEN_DATASETS[source]) if source in OPEN_DATASETS else None,
                "splits": {split: {"records": count[source]} for split, count in counts.items() if count[source]},
            }
            for source in sorted(set().union(*counts.values()))
        ]
        # As they are when the run begins: it may outlast the commit.
        self.provenance: dict[str, Any] = provenance()
        if last := last_checkpoint(folder / CHECKPOINTS):
            self.provenance["resumed_at_step"] = _step(last)
        self.recipe, self.path = recipe, folder / TRAINING_RECORD

    def write(self, log: Sequence[Mapping[str, Any]]) -> None:
        """Write the file, with the Trainer's log of the whole run."""
        facts = {"data": self.data, "recipe": dict(self.recipe), **self.provenance, "log": list(log)}
        write_json(self.path, {"format": FORMAT, "training": facts})


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


def _of_a_vanished_worker(error: BaseException | None) -> bool:
    """Whether torch's loader raised it, or what it raised broke something else off."""
    while error is not None and "DataLoader worker" not in str(error):
        error = error.__cause__ or error.__context__
    return error is not None


def _remove_unfinished(folder: Path):
    """Checkpoints that a killed run did not write to their end."""
    for path in folder.glob("checkpoint-*"):
        if not _is_whole(path):
            shutil.rmtree(path)
