"""Pretraining MERIT: a data set and a recipe in, a trained model and its processor out.

    dataset = load_data("path/to/ptbxl")
    model, processor = pretrain(dataset, load_recipe("ptbxl-cpu"), "runs/mine")

In the order of the steps: the data (`combine`, `records_with_reports`), the model and its processor (`build`), the
collators, and training (`pretrain`).
"""

import inspect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, concatenate_datasets
from huggingface_hub.errors import StrictDataclassError
from transformers import TrainingArguments, set_seed

from ...modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig
from ...modeling_merit.modeling_merit import MeritForPreTraining
from ...processing.feature_extraction_merit import MeritFeatureExtractor
from ...processing.processing_merit import MeritProcessor
from ..batching.augmentation import Augmentation
from ..batching.collator import MeritCollator, SeededRows, ecg_rows
from ..batching.report_text import TEXTS, with_text
from ..data.schema import SIGNAL_COLUMNS
from ..text.tokenizer import train_tokenizer
from ..trainer.checkpoints import checkpoint_folder, last_checkpoint, train_from_recipe
from ..trainer.distributed import make_shardable, whole_model
from ..trainer.hardware import fast_attention
from ..trainer.recipe import PretrainingRecipe, training_arguments
from ..trainer.trainer import MeritTrainer, is_lost_worker
from ..trainer.training_record import TrainingRecord


def combine(datasets: Sequence[DatasetDict]) -> DatasetDict:
    """
    Concatenate data sets for pretraining: signals and reports, without labels.

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


def require_splits(dataset: Mapping[Any, Dataset]) -> None:
    """
    Raises:
        ValueError: there is no split "train" or "validation".
    """
    if missing := [name for name in ("train", "validation") if name not in dataset]:
        raise ValueError(f"The data set has no records in split {', '.join(missing)}: folds 1 to 8 train, 9 validates.")


def report_columns(text: str) -> list[str]:
    """
    The columns of the reports to train on, by the field `text` of a recipe.

    Raises:
        ValueError: there is no such text.
    """
    if text not in TEXTS:
        raise ValueError(f"text must be one of {', '.join(TEXTS)}, not {text!r}.")
    return TEXTS[text]


def records_with_reports(dataset: DatasetDict, columns: Sequence[str], batch_size: int) -> dict[str, Dataset]:
    """
    The records of "train" and "validation" that have a report.

    Raises:
        ValueError: a split or column is missing, or there are fewer training records than a batch takes.
    """
    require_splits(dataset)
    if missing := [column for column in columns if column not in dataset["train"].column_names]:
        raise ValueError(f"The data set has no column {', '.join(missing)}: prepare it anew, or choose another text.")
    splits = {name: with_text(dataset[name], columns[-1]) for name in ("train", "validation")}
    if len(splits["train"]) < batch_size:
        raise ValueError(
            f"There are {len(splits['train'])} recordings with a report to train on, fewer than a batch of "
            f"{batch_size}: set training.per_device_train_batch_size lower."
        )
    if not len(splits["validation"]):
        raise ValueError("No recording of split validation has a report.")
    return splits


def build(recipe: PretrainingRecipe, reports: Sequence[str]) -> tuple[MeritForPreTraining, MeritProcessor]:
    """
    Build the untrained model of a recipe and its processor, and train the tokenizer on `reports`.

    Raises:
        ValueError: the settings of model, processor or tokenizer are unknown, invalid or contradict each other.
    """
    known = [name for name in inspect.signature(train_tokenizer).parameters if name != "reports"]
    for name, value in recipe.tokenizer.items():
        if name not in known:
            raise ValueError(f"The recipe's tokenizer has {name}; it can have {', '.join(known)}.")
        if value < 1:
            raise ValueError(f"tokenizer.{name} must be a whole number above 0, not {value!r}.")
    tokenizer = train_tokenizer(reports, **recipe.tokenizer)
    try:
        feature_extractor = MeritFeatureExtractor(**recipe.processor)
    except TypeError as error:
        raise ValueError(f"The recipe's processor settings are not those of MeritFeatureExtractor: {error}") from None
    processor = MeritProcessor(feature_extractor=feature_extractor, tokenizer=tokenizer)

    model = recipe.model
    for name, fields, kind in (
        ("model", model, MeritConfig),
        ("model.ecg_config", model.get("ecg_config", {}), MeritEcgConfig),
    ):
        if unknown := sorted(set(fields) - set(kind.__dataclass_fields__)):
            raise ValueError(f"The recipe's {name} has {', '.join(unknown)}, which {kind.__name__} does not have.")
    tokens = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    try:
        config = MeritConfig(**{**model, "text_config": {**model.get("text_config", {}), **tokens}})
    except StrictDataclassError as error:
        raise ValueError(f"The recipe's model settings are not those of MeritConfig: {error}") from None
    feature_extractor.check_model(config)
    return MeritForPreTraining(config), processor


def collators(recipe: PretrainingRecipe, processor: MeritProcessor, patch_length: int) -> dict[str, MeritCollator]:
    """
    The collators of "train" and "validation".

    Validation batches are not augmented; their crops and masks are the same in every evaluation, see
    [`SeededRows`].

    Args:
        patch_length: samples in a patch of the model.

    Raises:
        ValueError: the recipe's `text`, `crop_seconds` or `augmentation` is invalid.
    """
    extractor, crop = processor.feature_extractor, recipe.crop_seconds
    shortest = patch_length / extractor.sampling_rate
    if crop is not None and not shortest <= crop <= extractor.duration:
        raise ValueError(
            f"crop_seconds is {crop:g}; it must be between a patch ({shortest:g} s) and the processor's window "
            f"({extractor.duration:g} s)."
        )
    augmentation = Augmentation(recipe.augmentation, extractor)
    columns = report_columns(recipe.text)
    text_column = columns if len(columns) > 1 else columns[0]
    validation = MeritCollator(processor, text_column, crop_seconds=crop, patch_length=patch_length)
    train = replace(validation, augmentation=augmentation if augmentation.effects else None)
    return {"train": train, "validation": validation}


def pretrain(
    dataset: DatasetDict, recipe: PretrainingRecipe, output_dir: str | Path, resume: bool = False
) -> tuple[MeritForPreTraining, MeritProcessor]:
    """
    Pretrain on the split "train" and evaluate on "validation".

    Only signals and cleaned reports are used, no labels. Checkpoints go to `output_dir`/checkpoints, the recipe to
    recipe.yaml and the record of the run to training.json. Under `torchrun` or `accelerate launch` every process calls
    this and returns the same model.

    Args:
        dataset: as `load_data` or [`combine`] returns it.
        recipe: as [`load_recipe`] returns it.
        output_dir: folder of the run.
        resume: continue from the last checkpoint in it; the weights at the end are those of an uninterrupted run.

    Returns:
        The model after the last step, or after the best evaluation with `training.load_best_model_at_end`, and its
        processor.

    Raises:
        ValueError: `output_dir` holds checkpoints and `resume` is false, the recipe or the data set is invalid, or the
            loss is not finite.
        OSError: a checkpoint cannot be written, or a loader worker was killed (`ChildProcessError`).
    """
    checkpoints = checkpoint_folder(output_dir, resume)
    arguments = training_arguments(checkpoints, recipe.training)
    _check_run(recipe, arguments)
    set_seed(arguments.seed)

    columns = report_columns(recipe.text)
    splits = records_with_reports(dataset, columns, arguments.train_batch_size * arguments.world_size)

    model, processor = build(recipe, [text for column in columns for text in splits["train"][column]])
    model.set_attn_implementation(fast_attention())
    if arguments.fsdp:
        make_shardable(model)

    collate = collators(recipe, processor, model.config.ecg_config.patch_length)
    for collator in collate.values():
        collator.pad_text = arguments.torch_compile

    record = TrainingRecord(splits, asdict(recipe), Path(output_dir))
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
        gradient_norms_every=recipe.gradient_norms,
    )
    try:
        train_from_recipe(asdict(recipe), trainer, checkpoints)
    except Exception as error:
        if not is_lost_worker(error):
            raise
        raise ChildProcessError(
            f"Step {trainer.state.global_step + 1}: a loader worker was killed, as happens when memory runs out: "
            f"{error} The last complete checkpoint is {last_checkpoint(checkpoints) or 'not written yet'}. Resume, "
            "perhaps with a lower training.dataloader_num_workers."
        ) from error
    trainer.save_state()
    if arguments.should_save:
        record.write(trainer.state.log_history)
    return whole_model(trainer, model), processor


def _check_run(recipe: PretrainingRecipe, arguments: TrainingArguments) -> None:
    """
    Raises:
        ValueError: the recipe asks for something that this machine or the Trainer cannot do.
    """
    if arguments.n_gpu > 1:
        raise ValueError(f"A process trains on one GPU: start it with torchrun --nproc-per-node {arguments.n_gpu}.")
    if arguments.fsdp and arguments.use_cpu:
        raise ValueError("accelerate shards models on GPUs only: leave training.fsdp out, or run where there are some.")
    if recipe.gradient_norms < 0:
        raise ValueError(f"gradient_norms is a number of steps, or 0 for never, not {recipe.gradient_norms}.")
    if recipe.gradient_norms and arguments.fsdp:
        raise ValueError("gradient_norms needs whole gradients, which fsdp does not have: set it to 0.")
