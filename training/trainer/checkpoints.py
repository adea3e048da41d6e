"""Checkpoints of a run: where they are, which of them are complete, and how training resumes from the last one."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from transformers import Trainer

from ..results.atomic import atomic_write

CHECKPOINTS = "checkpoints"
# Names of the files that the Trainer, the model and the processor write into a checkpoint, their code included.
_CHECKPOINT_FILE = re.compile(
    r"(model|pytorch_model|adapter|optimizer|scheduler|scaler|rng_state|trainer_state|training_args|config|"
    r"generation_config|tokenizer|special_tokens|added_tokens|vocab|merges|preprocessor_config|processor_config|"
    r"README|\w+_merit)\w*([.-].*)?"
)


def checkpoint_folder(output_dir: str | Path, resume: bool) -> Path:
    """
    The folder for the checkpoints of a run.

    Raises:
        ValueError: it holds checkpoints of an earlier run, and `resume` is false.
    """
    checkpoints = Path(output_dir) / CHECKPOINTS
    if not resume and any(checkpoints.glob("checkpoint-*")):
        raise ValueError(f"{checkpoints} holds checkpoints of an earlier run: resume it, or name another folder.")
    return checkpoints


def last_checkpoint(folder: str | Path) -> Path | None:
    """The last complete checkpoint in a folder."""
    return next((path for path in reversed(_checkpoints(Path(folder))) if _is_complete(path)), None)


def step_of(checkpoint: Path) -> int:
    """The training step of a checkpoint."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def train_from_recipe(recipe: Mapping[str, Any], trainer: Trainer, checkpoints: Path) -> None:
    """Write recipe.yaml beside the checkpoints and train, see [`train_or_resume`]."""
    if trainer.args.should_save:
        with atomic_write(checkpoints.parent / "recipe.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(dict(recipe)), encoding="utf-8")
    train_or_resume(trainer, checkpoints)


def train_or_resume(trainer: Trainer, checkpoints: Path) -> None:
    """Train, from the last complete checkpoint if there is one."""
    last = last_checkpoint(checkpoints)
    if trainer.args.should_save:
        _remove_incomplete(checkpoints)
    trainer.train(resume_from_checkpoint=None if last is None else str(last))


def _checkpoints(folder: Path) -> list[Path]:
    """Folders of checkpoints, in the order of their steps."""
    named = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted((path for path in named if path.is_dir()), key=step_of)


def _is_complete(checkpoint: Path) -> bool:
    """Whether it has a readable trainer_state.json, which the Trainer writes last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _remove_incomplete(folder: Path) -> None:
    """Remove checkpoints that a killed run left incomplete, unless they hold files that training does not write."""
    for path in _checkpoints(folder):
        if not _is_complete(path) and all(_CHECKPOINT_FILE.fullmatch(entry.name) for entry in path.iterdir()):
            shutil.rmtree(path)
