"""Recipes: short YAML files of settings, one on top of another, that say all of a training."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml
from transformers import TrainingArguments

from .hardware import fast_loading, fast_precision


@dataclass(frozen=True)
class Kind:
    """
    The recipes of one command.

    Args:
        folder: where those that come with the package lie, a path or what `importlib.resources` has.
        groups: their fields that are groups of settings.
        values: those that are values.
    """

    folder: Any
    groups: tuple[str, ...]
    values: tuple[str, ...]

    @property
    def fields(self) -> list[str]:
        return sorted({*self.groups, *self.values, "extends"})

    @property
    def names(self) -> list[str]:
        """The recipes that come with the package."""
        return sorted(Path(entry.name).stem for entry in self.folder.iterdir() if entry.name.endswith(".yaml"))


_RECIPES = files("merit.training.trainer") / "recipes"
PRETRAINING = Kind(
    _RECIPES,
    groups=("model", "processor", "tokenizer", "augmentation", "training"),
    values=("text", "crop_seconds", "gradient_norms"),
)
REPORTS = Kind(
    _RECIPES / "reports",
    groups=("model", "tokenizer", "lora", "training"),
    values=("language_model", "languages", "max_length", "crop_seconds"),
)
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
    # Every parameter that is trained gets a gradient in every step.
    "ddp_find_unused_parameters": False,
    # What is not finite stops the run, see MeritTrainer.
    "logging_nan_inf_filter": False,
}


class _RecipeLoader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as everywhere but in YAML 1.1."""


_RecipeLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), [*"-+0123456789"])


def _read_yaml(text: str, name: str) -> Any:
    try:
        return yaml.load(text, _RecipeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {error}") from None


def load_recipe(name: str, overrides: Sequence[str] = (), kind: Kind = PRETRAINING) -> dict[str, Any]:
    """
    Read a recipe, and the one that it extends.

    Args:
        name: one of `kind.names`, or the path of a YAML file.
        overrides: settings such as "training.learning_rate=0.001", "model.ecg_config.hidden_size=128" or, for a recipe
            that extends another one, "extends=ptbxl-cpu".
        kind: what it is a recipe for.

    Raises:
        ValueError: for a recipe that does not exist or extends itself, a field that recipes do not have, a group of
            settings that is none, or a malformed override.

    Example:
        >>> load_recipe("demo", ["training.seed=7"])["training"]["seed"]
        7
    """
    settings: dict[str, Any] = {}
    for override in overrides:
        path, separator, value = override.partition("=")
        if not separator or not path:
            raise ValueError(f"{override!r} is no setting: write it as training.learning_rate=0.001.")
        *parents, last = path.split(".")
        node = settings
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ValueError(f"{override!r}: {parent} is a value, not a group of settings.")
        node[last] = _read_yaml(value, repr(override))
    return _merged(_extended(kind, name, (), settings.pop("extends", None)), settings, "--set", kind)


def _extended(kind: Kind, name: str, extending: tuple[str, ...], parent: str | None = None) -> dict[str, Any]:
    """A recipe on top of the one that it extends, or of `parent`."""
    if name in extending:
        raise ValueError(f"Recipe {name!r} extends itself: {' extends '.join([*extending, name])}.")
    source = kind.folder / f"{name}.yaml" if name in kind.names else Path(name)
    if not source.is_file():
        raise ValueError(f"There is no recipe {name!r}: name one of {', '.join(kind.names)}, or a YAML file.")
    recipe = _read_yaml(source.read_text(encoding="utf-8"), f"Recipe {name!r}") or {}
    if not isinstance(recipe, dict):
        raise ValueError(f"Recipe {name!r} has no fields; recipes have {', '.join(kind.fields)}.")
    parent = parent or recipe.pop("extends", None)
    recipe.pop("extends", None)
    below = {} if parent is None else _extended(kind, str(parent), (*extending, name))
    return _merged(below, recipe, f"Recipe {name!r}", kind)


def _merged(below: dict[str, Any], above: Mapping[str, Any], name: str, kind: Kind) -> dict[str, Any]:
    """One recipe on top of another, groups within groups."""
    if unknown := sorted(set(above) - set(kind.fields)):
        raise ValueError(f"{name} has {', '.join(unknown)}; recipes have {', '.join(kind.fields)}.")
    for field in kind.groups:
        if not isinstance(above.get(field, {}), dict):
            raise ValueError(f"{name}: {field} is a group of settings, not {above[field]!r}.")
    return _overlaid(below, above, name)


def _overlaid(below: dict[str, Any], above: Mapping[str, Any], name: str) -> dict[str, Any]:
    merged = dict(below)
    for field, value in above.items():
        old = merged.get(field)
        if isinstance(value, dict) and old is not None and not isinstance(old, dict):
            raise ValueError(f"{name}: {field} is a value, not a group of settings.")
        if isinstance(old, dict) and not isinstance(value, dict | NoneType):
            raise ValueError(f"{name}: {field} is a group of settings, not {value!r}.")
        merged[field] = _overlaid(old or {}, value, name) if isinstance(value, dict) else value
    return merged


def training_arguments(output_dir: str | Path, settings: Mapping[str, Any]) -> TrainingArguments:
    """TrainingArguments from a recipe's `training`, over the shared defaults and the hardware's best precision."""
    # YAML 1.1 reads no as false.
    settings = {
        name: "no" if value is False and name.endswith("_strategy") else value for name, value in settings.items()
    }
    types = get_type_hints(TrainingArguments)
    for name, value in settings.items():
        if name in types and not (str in get_args(types[name]) or matches_type(value, types[name])):
            raise ValueError(f"training.{name} cannot be {value!r}: it is {_described(types[name])}.")
    try:
        return TrainingArguments(
            output_dir=str(output_dir), **{**TRAINING_DEFAULTS, **fast_precision(), **fast_loading(), **settings}
        )
    except TypeError as error:
        raise ValueError(f"The recipe's training settings are not those of TrainingArguments: {error}") from None


def matches_type(value: Any, kind: Any) -> bool:
    """Whether a value from YAML may stand for this type of a field; a whole number is a float too, true is neither."""
    if get_origin(kind) in (Union, UnionType):
        return any(matches_type(value, option) for option in get_args(kind))
    kind = get_origin(kind) or kind
    if kind not in (bool, int, float, str, list, dict, NoneType):
        return kind is Any
    return isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) <= (kind is bool)


def _described(kind: Any) -> str:
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return " or ".join("null" if one is NoneType else getattr(one, "__name__", str(one)) for one in options)
