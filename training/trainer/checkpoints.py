"""Checkpoints of a run: where they lie, which of them are whole, and how training goes on from them."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from transformers import Trainer

CHECKPOINTS = "checkpoints"


def last_checkpoint(folder: str | Path) -> Path | None:
    """The last checkpoint in a folder that was written to its end; the Trainer writes its state last."""
    checkpoints = [path for path in Path(folder).glob("checkpoint-*") if path.name[11:].isdigit()]
    return next((path for path in sorted(checkpoints, key=step_of, reverse=True) if _is_whole(path)), None)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name[11:])


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


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


def train_from_recipe(recipe: Mapping[str, Any], trainer: Trainer, checkpoints: Path) -> None:
    """Write the recipe beside the checkpoints and train, from the last of them that is whole."""
    last = last_checkpoint(checkpoints)
    if trainer.args.should_save:
        _remove_unfinished(checkpoints)
        checkpoints.parent.mkdir(parents=True, exist_ok=True)
        (checkpoints.parent / "recipe.yaml").write_text(yaml.safe_dump(dict(recipe)), encoding="utf-8")
    trainer.train(resume_from_checkpoint=None if last is None else str(last))


def _remove_unfinished(folder: Path):
    """Checkpoints that a killed run did not write to their end."""
    for path in folder.glob("checkpoint-*"):
        if not _is_whole(path):
            shutil.rmtree(path)
