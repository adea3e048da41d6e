"""
Recipes: YAML files that hold all settings of a training run.

A recipe may extend another one, and the command line overrides single fields:

    # mine.yaml
    extends: ptbxl-small
    training: {num_train_epochs: 20}

    merit pretrain --recipe mine.yaml --set training.learning_rate=0.001 ...

OmegaConf merges the layers and checks the types of the fields; this file adds `extends` and messages that name the
recipe. Groups such as `model` hold arguments of a class, which checks them itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from transformers import TrainingArguments

from .hardware import fast_loading, fast_precision

RECIPES = files("merit.training.trainer") / "recipes"
# Every run starts from these arguments of TrainingArguments; a recipe overrides them.
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
    # A short last batch has fewer negatives, so its contrastive loss is on another scale.
    "dataloader_drop_last": True,
    "remove_unused_columns": False,
    # Every trained parameter gets a gradient in every step.
    "ddp_find_unused_parameters": False,
    # MeritTrainer stops at a loss that is not finite, so it must not be filtered out of the log.
    "logging_nan_inf_filter": False,
}


@dataclass
class Recipe:
    """
    Settings of any training run.

    Args:
        model: arguments of the model's configuration.
        tokenizer: arguments of the function that trains the tokenizer.
        crop_seconds: length of the random crops to train on; None for whole recordings.
        training: arguments of `TrainingArguments`, over `TRAINING_DEFAULTS`.

    Raises:
        ValueError: a nested configuration is not a group of settings, or `training` has an unknown field or a value of
            the wrong type.
    """

    # Where the recipes of the package lie.
    folder: ClassVar[Any]

    model: dict[str, Any] = field(default_factory=dict)
    tokenizer: dict[str, int] = field(default_factory=dict)
    crop_seconds: float | None = None
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for name, value in self.model.items():
            if name.endswith("_config") and not isinstance(value, dict):
                raise ValueError(f"model.{name} is a group of settings, not {value!r}.")
        types = get_type_hints(TrainingArguments)
        if unknown := sorted(set(self.training) - set(types)):
            raise ValueError(f"training has {', '.join(unknown)}, which TrainingArguments does not have.")
        for name, value in self.training.items():
            if not (str in get_args(types[name]) or _matches_type(value, types[name])):
                raise ValueError(f"training.{name} cannot be {value!r}: it is {_describe_type(types[name])}.")


@dataclass
class PretrainingRecipe(Recipe):
    """
    Settings of `merit pretrain`.

    Args:
        processor: arguments of `MeritFeatureExtractor`.
        augmentation: probability and strength of each augmentation, see `training.batching.augmentation`.
        text: "original", "english" or "mixed": which reports to train on, see `training.batching.report_text`.
        gradient_norms: log the gradient norms of both terms of the loss every so many steps; 0 for never.
    """

    folder: ClassVar[Any] = RECIPES

    processor: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    text: str = "original"
    gradient_norms: int = 0


@dataclass
class ReportRecipe(Recipe):
    """
    Settings of `merit train-reports`.

    Args:
        language_model: Hub id or folder of a causal language model; None to train one from scratch.
        languages: languages to report in, of "en" and "de".
        max_length: tokens after which reports are truncated, the instruction included.
        lora: arguments of `peft.LoraConfig`; empty to train all weights of the language model.
    """

    folder: ClassVar[Any] = RECIPES / "reports"

    language_model: str | None = None
    languages: list[str] = field(default_factory=lambda: ["en"])
    max_length: int | None = None
    lora: dict[str, Any] = field(default_factory=dict)


RecipeType = TypeVar("RecipeType", bound=Recipe)


def recipe_names(kind: type[Recipe] = PretrainingRecipe) -> list[str]:
    """Names of the recipes in the package."""
    return sorted(Path(entry.name).stem for entry in kind.folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(
    name: str,
    overrides: Sequence[str] = (),
    kind: type[RecipeType] = PretrainingRecipe,  # type: ignore[assignment]
) -> RecipeType:
    """
    Read a recipe, the recipes that it extends, and overrides.

    Args:
        name: one of `recipe_names(kind)`, or the path of a YAML file.
        overrides: settings such as "training.learning_rate=0.001" or "model.ecg_config.hidden_size=128".
            "extends=ptbxl-cpu" replaces the recipe that `name` extends.
        kind: `PretrainingRecipe` or `ReportRecipe`.

    Raises:
        ValueError: the recipe does not exist, is not valid YAML or extends itself, or a field is unknown or has a
            value of the wrong type.

    Example:
        >>> load_recipe("demo", ["training.seed=7"]).training["seed"]
        7
    """
    settings = _read_overrides(overrides)
    extends = settings.pop("extends", None)
    layers, chain = [("--set", settings)], []
    while name is not None:
        if name in chain:
            raise ValueError(f"Recipe {name!r} extends itself: {' extends '.join([*chain, name])}.")
        chain.append(name)
        layer = _read_recipe(name, kind)
        parent = layer.pop("extends", None)
        layers.append((f"Recipe {name!r}", layer))
        name, extends = extends or parent, None
    recipe = OmegaConf.structured(kind)
    for source, layer in reversed(layers):
        recipe = _merge(recipe, layer, source)
    return OmegaConf.to_object(recipe)  # type: ignore[return-value]


def _read_overrides(overrides: Sequence[str]) -> DictConfig:
    settings = OmegaConf.create()
    for override in overrides:
        field_name, separator, _ = override.partition("=")
        if not separator or not field_name:
            raise ValueError(f"{override!r} is not a setting: write it like training.learning_rate=0.001.")
        try:
            settings.merge_with_dotlist([override])
        except yaml.YAMLError as error:
            raise ValueError(f"{override!r} is not YAML: {error}") from None
    return settings


def _read_recipe(name: str, kind: type[Recipe]) -> DictConfig:
    names = recipe_names(kind)
    source = kind.folder / f"{name}.yaml" if name in names else Path(name)
    if not source.is_file():
        raise ValueError(f"There is no recipe {name!r}: name one of {', '.join(names)}, or a YAML file.")
    try:
        layer = OmegaConf.create(source.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"Recipe {name!r} is not YAML: {error}") from None
    if not isinstance(layer, DictConfig):
        raise ValueError(f"Recipe {name!r} has no fields; recipes have {', '.join(_field_names(kind))}.")
    return layer


def _merge(recipe: DictConfig, layer: DictConfig, source: str) -> DictConfig:
    """A layer of settings over a recipe; `source` names the layer in errors."""
    known = _field_names(OmegaConf.get_type(recipe))  # type: ignore[arg-type]
    if unknown := sorted(set(map(str, layer)) - set(known)):
        raise ValueError(f"{source} has {', '.join(unknown)}; recipes have {', '.join(known)}.")
    try:
        return OmegaConf.merge(recipe, layer)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        value, reason = OmegaConf.select(layer, str(error.full_key)), str(error).partition("\n")[0]
        raise ValueError(f"{source}: {error.full_key} cannot be {value!r}: {reason}") from None


def _field_names(kind: type[Recipe]) -> list[str]:
    return sorted(["extends", *(one.name for one in fields(kind))])


def training_arguments(output_dir: str | Path, settings: Mapping[str, Any]) -> TrainingArguments:
    """`TrainingArguments` from the group `training` of a recipe, over the defaults and what is fast on this machine."""
    # YAML 1.1 reads "no" as false.
    settings = {
        name: "no" if value is False and name.endswith("_strategy") else value for name, value in settings.items()
    }
    return TrainingArguments(
        output_dir=str(output_dir), **{**TRAINING_DEFAULTS, **fast_precision(), **fast_loading(), **settings}
    )


def _matches_type(value: Any, kind: Any) -> bool:
    """Whether a value from YAML fits a field's type: an integer is also a float, a boolean is only a boolean."""
    if get_origin(kind) in (Union, UnionType):
        return any(_matches_type(value, option) for option in get_args(kind))
    kind = get_origin(kind) or kind
    if kind not in (bool, int, float, str, list, dict, NoneType):
        return kind is Any
    return isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) <= (kind is bool)


def _describe_type(kind: Any) -> str:
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return " or ".join("null" if one is NoneType else getattr(one, "__name__", str(one)) for one in options)
