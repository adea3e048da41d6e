"""Pretraining MERIT with the Trainer: a recipe, a data set, a folder that others load."""

import inspect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, concatenate_datasets
from huggingface_hub.errors import StrictDataclassError
from transformers import set_seed

from ...modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig
from ...modeling_merit.modeling_merit import MeritForPreTraining
from ...processing.feature_extraction_merit import MeritFeatureExtractor
from ...processing.processing_merit import MeritProcessor
from ..batching.augmentation import Augmentation
from ..batching.collator import SIGNAL_COLUMNS, MeritCollator, SeededRows, ecg_rows
from ..batching.report_text import TEXTS, with_text
from ..text.tokenizer import train_tokenizer
from ..trainer.checkpoints import checkpoint_folder, last_checkpoint, train_from_recipe
from ..trainer.distributed import make_shardable, whole_model
from ..trainer.hardware import fast_attention
from ..trainer.recipe import matches_type, training_arguments
from ..trainer.trainer import MeritTrainer, is_lost_worker
from ..trainer.training_record import TrainingRecord


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


def build(recipe: Mapping[str, Any], reports: Sequence[str]) -> tuple[MeritForPreTraining, MeritProcessor]:
    """A new model and its processor by a recipe, the tokenizer trained on `reports`."""
    settings = recipe.get("tokenizer", {})
    known = [name for name in inspect.signature(train_tokenizer).parameters if name != "reports"]
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"The recipe's tokenizer has {name}, which it does not have; it has {', '.join(known)}.")
        if not matches_type(value, int) or value < 1:
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
    if crop is not None and not matches_type(crop, float):
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


def require_splits(dataset: Mapping[Any, Dataset]) -> None:
    """A training needs records to learn from and others to be judged by."""
    if missing := [name for name in ("train", "validation") if name not in dataset]:
        raise ValueError(f"The data set has no records in split {', '.join(missing)}: folds 1 to 8 train, 9 validates.")


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
    if not matches_type(every, int) or every < 0:
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
        train_from_recipe(recipe, trainer, checkpoints)
    except Exception as error:
        if not is_lost_worker(error):
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
