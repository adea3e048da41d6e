"""Pretraining MERIT with the Trainer: a recipe, a data set, a folder that others load."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from datasets import Dataset, DatasetDict
from huggingface_hub.errors import StrictDataclassError
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from ..modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig
from ..modeling_merit.modeling_merit import MeritForPreTraining
from ..processing.feature_extraction_merit import MeritFeatureExtractor
from ..processing.processing_merit import MeritProcessor
from .collator import MeritCollator
from .tokenizer import train_tokenizer

RECIPES = files("merit.training") / "recipes"
RECIPE_FIELDS = {"model", "processor", "tokenizer", "crop_seconds", "training"}
SIGNAL_COLUMNS = ["record_id", "signal", "gain", "baseline", "sampling_rate", "lead_names"]

# What every recipe shares; a recipe or the command line overrides any of it.
TRAINING_DEFAULTS = {
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,
    "weight_decay": 0.05,
    "adam_beta2": 0.98,
    "max_grad_norm": 5.0,
    "per_device_eval_batch_size": 256,
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "save_total_limit": 2,
    "logging_steps": 10,
    "report_to": "none",
    # The negatives of a contrastive loss are the rest of the batch: a short last batch would weigh too much.
    "dataloader_drop_last": True,
    "remove_unused_columns": False,
}


class _RecipeLoader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as everywhere but in YAML 1.1."""


_RecipeLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), [*"-+0123456789"])


def _read_yaml(text: str, name: str) -> Any:
    try:
        return yaml.load(text, _RecipeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {error}") from None


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(Path(entry.name).stem for entry in RECIPES.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """
    Read a recipe.

    Args:
        name: one of [`recipe_names`], or the path of a YAML file.
        overrides: settings such as "training.learning_rate=0.001" or "model.ecg_config.hidden_size=128".

    Raises:
        ValueError: for a recipe that does not exist, a field that recipes do not have, or a malformed override.

    Example:
        >>> load_recipe("demo", ["training.seed=7"])["training"]["seed"]
        7
    """
    source = RECIPES / f"{name}.yaml" if name in recipe_names() else Path(name)
    if not source.is_file():
        raise ValueError(f"There is no recipe {name!r}: name one of {', '.join(recipe_names())}, or a YAML file.")
    recipe = _read_yaml(source.read_text(encoding="utf-8"), f"Recipe {name!r}") or {}
    if not isinstance(recipe, dict):
        raise ValueError(f"Recipe {name!r} has no fields; recipes have {', '.join(sorted(RECIPE_FIELDS))}.")
    for override in overrides:
        path, separator, value = override.partition("=")
        if not separator or not path:
            raise ValueError(f"{override!r} is no setting: write it as training.learning_rate=0.001.")
        *parents, last = path.split(".")
        node = recipe
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ValueError(f"{override!r}: {parent} is a value, not a group of settings.")
        node[last] = _read_yaml(value, repr(override))
    if unknown := sorted(set(recipe) - RECIPE_FIELDS):
        raise ValueError(f"Recipe {name!r} has {', '.join(unknown)}; recipes have {', '.join(sorted(RECIPE_FIELDS))}.")
    return recipe


def fast_precision() -> dict[str, bool]:
    """bf16 where the hardware multiplies it natively, on GPU or CPU; the Trainer's arguments for it."""
    if torch.cuda.is_available():
        return {"bf16": torch.cuda.is_bf16_supported()}
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return {"bf16": native, "use_cpu": True}


def fast_attention() -> str:
    """On a CPU the backward pass of torch's fused attention costs more than all else for sequences this short."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def training_arguments(output_dir: str | Path, settings: Mapping[str, Any]) -> TrainingArguments:
    """TrainingArguments from a recipe's `training`, over the shared defaults and the hardware's best precision."""
    try:
        return TrainingArguments(output_dir=str(output_dir), **{**TRAINING_DEFAULTS, **fast_precision(), **settings})
    except TypeError as error:
        raise ValueError(f"The recipe's training settings are not those of TrainingArguments: {error}") from None


def with_text(dataset: Dataset) -> Dataset:
    """The recordings whose report says something."""
    return dataset.select(np.flatnonzero([bool(report) for report in dataset["report"]]))


class MeritTrainer(Trainer):
    """The Trainer, logging both informations beside the loss."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._informations = defaultdict(list)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        for name in ("alignment_information", "reconstruction_information"):
            if outputs.get(name) is not None:
                self._informations[name].append(outputs[name].detach())
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def _mean_informations(self) -> dict[str, float]:
        means = {name: torch.stack(values).mean().item() for name, values in self._informations.items()}
        self._informations.clear()
        return means

    def log(self, logs, *args, **kwargs):
        if "loss" in logs:
            logs.update({name: round(value, 4) for name, value in self._mean_informations().items()})
            logs["temperature"] = round(1 / self.accelerator.unwrap_model(self.model).scale().item(), 4)
        super().log(logs, *args, **kwargs)

    def evaluate(self, *args, metric_key_prefix="eval", **kwargs):
        training_so_far, self._informations = self._informations, defaultdict(list)
        metrics = super().evaluate(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        means = {f"{metric_key_prefix}_{name}": value for name, value in self._mean_informations().items()}
        self._informations = training_so_far
        self.log(dict(means))
        return metrics | means


def build(recipe: Mapping[str, Any], reports: Sequence[str]) -> tuple[MeritForPreTraining, MeritProcessor]:
    """A new model and its processor by a recipe, the tokenizer trained on `reports`."""
    tokenizer = train_tokenizer(reports, **recipe.get("tokenizer", {}))
    feature_extractor = MeritFeatureExtractor(**recipe.get("processor", {}))
    processor = MeritProcessor(feature_extractor=feature_extractor, tokenizer=tokenizer)
    model = recipe.get("model", {})
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
    if config.ecg_config.sampling_rate != feature_extractor.sampling_rate:
        raise ValueError(
            f"The recipe's processor works at {feature_extractor.sampling_rate} Hz, "
            f"its model at {config.ecg_config.sampling_rate} Hz: give both the same sampling_rate."
        )
    return MeritForPreTraining(config), processor


def pretrain(
    dataset: DatasetDict, recipe: Mapping[str, Any], output_dir: str | Path, resume: bool = False
) -> tuple[MeritForPreTraining, MeritProcessor]:
    """
    Pretrain on the split "train", evaluate on "validation"; checkpoints go to `output_dir`/checkpoints.

    Labels are not used: signals and cleaned reports only.

    Args:
        dataset: as `load_ptbxl` returns it.
        recipe: as [`load_recipe`] returns it.
        output_dir: folder of the run.
        resume: go on from the last checkpoint in it.

    Raises:
        ValueError: `output_dir` holds checkpoints and `resume` is false.
    """
    checkpoints = Path(output_dir) / "checkpoints"
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    if last and not resume:
        raise ValueError(f"{checkpoints} holds checkpoints of an earlier run: resume it, or name another folder.")
    arguments = training_arguments(checkpoints, recipe.get("training", {}))
    set_seed(arguments.seed)
    if missing := [name for name in ("train", "validation") if name not in dataset]:
        raise ValueError(f"The data set has no records in split {', '.join(missing)}: folds 1 to 8 train, 9 validates.")
    splits = {name: with_text(dataset[name]) for name in ("train", "validation")}
    if len(splits["train"]) < arguments.train_batch_size:
        raise ValueError(
            f"There are {len(splits['train'])} recordings with a report to train on, fewer than a batch of "
            f"{arguments.train_batch_size}: set training.per_device_train_batch_size lower."
        )
    # Evaluation drops the last batch too, if it is not full: with few recordings that must not be all of them.
    eval_batch_size = min(arguments.per_device_eval_batch_size, len(splits["validation"]))
    arguments.per_device_eval_batch_size = max(1, eval_batch_size)
    model, processor = build(recipe, splits["train"]["report"])
    model.set_attn_implementation(fast_attention())
    columns = [*SIGNAL_COLUMNS, "report"]
    trainer = MeritTrainer(
        model=model,
        args=arguments,
        train_dataset=splits["train"].with_format("numpy", columns=columns),
        eval_dataset=splits["validation"].with_format("numpy", columns=columns),
        data_collator=MeritCollator(processor, crop_seconds=recipe.get("crop_seconds")),
    )
    trainer.train(resume_from_checkpoint=last)
    trainer.save_state()
    return model, processor
