"""Find a checkpoint by folder, Hub id or name in hub_cards, and check that it fits a task before it is loaded."""

import json
from pathlib import Path
from typing import Any

from . import hub_cards
from .hub_cards.folder import moved_away
from .modeling_merit.hub_config_merit import CLASSIFIER, DUAL_ENCODER, KINDS, REPORT_MODEL, ModelKind

# The command that uses a checkpoint.
USAGE = {
    DUAL_ENCODER: "`merit classify` with --labels",
    CLASSIFIER: "`merit classify` without --labels",
    REPORT_MODEL: "`merit report`",
}


def shipped() -> dict[str, Path]:
    """The checkpoints in hub_cards of a checkout, by name; an installed wheel has none."""
    return {path.parent.name: path.parent for path in sorted(Path(hub_cards.__path__[0]).glob("merit-*/config.json"))}


def find(model: str | Path) -> str:
    """
    The folder or Hub id of a checkpoint, as `from_pretrained` takes it.

    Args:
        model: a folder, the name of a checkpoint in hub_cards, or a Hub id.

    Raises:
        ValueError: it is none of these.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    path = Path(model)
    if path.is_file():
        raise ValueError(f"{model} is a file, and a checkpoint is a folder: pass the folder with its config.json.")
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ValueError(f"{path} is not a checkpoint: the folder has no config.json.")
        return str(model)
    if str(path.parent) in (".", "hub_cards") and path.name in (known := shipped()):
        return str(known[path.name])
    if earlier := moved_away(path):
        raise ValueError(
            f"There is no folder {model}: an export to it was killed. Rename {earlier}, the earlier export, to "
            f"{path.name}, or export again."
        )
    try:
        validate_repo_id(str(model))
    except HFValidationError:
        raise ValueError(f"There is no folder {model}, and it is not a Hub id such as org/merit-ptbxl-small.") from None
    return str(model)


def kind_of(model: str | Path) -> ModelKind:
    """
    What a checkpoint is, by its config.json.

    Raises:
        ValueError: there is no such checkpoint, it is not one of MERIT, or a file of its folder is missing or damaged.
    """
    from transformers import PreTrainedConfig

    source = find(model)
    try:
        architectures = PreTrainedConfig.get_config_dict(source)[0].get("architectures") or []
    except OSError as error:
        reason = str(error).splitlines()[0]
        if Path(source).is_dir():
            raise ValueError(f"{model} is not a checkpoint: {reason}") from None
        raise ValueError(f"There is no folder {model}, and the Hub did not provide a model {model}: {reason}") from None
    kind = KINDS.get(architectures[0]) if len(architectures) == 1 else None
    if kind not in USAGE:
        raise ValueError(
            f"{model} is not a checkpoint for this command: its config.json names the architectures {architectures}, "
            f"not one of {', '.join(name for name, kind in KINDS.items() if kind in USAGE)}."
        )
    if Path(source).is_dir():
        _check_files(Path(source))
    return kind


def _check_files(folder: Path) -> None:
    """Refuse a folder without a file that every checkpoint has, or whose weights are damaged."""
    from safetensors import SafetensorError, safe_open

    index, weights = folder / "model.safetensors.index.json", ["model.safetensors"]
    if index.is_file():
        try:
            weights = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{index} is damaged: it names no files of weights; save or copy it again.") from None
    elif any(folder.glob("pytorch_model*.bin")):
        weights = []
    names = [*weights, "processor_config.json", "tokenizer.json"]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ValueError(
            f"{folder} is not a complete checkpoint: it has no {', '.join(missing)}; save or copy it again."
        )
    for name in weights:
        try:
            with safe_open(folder / name, "np"):  # reads the header and compares it with the size of the file
                pass
        except SafetensorError as error:
            raise ValueError(f"{folder / name} is damaged ({error}); save or copy it again.") from None


def require(model: str | Path, *kinds: ModelKind) -> ModelKind:
    """
    The kind of a checkpoint, which must be one of `kinds`.

    Raises:
        ValueError: it is another kind; the message names the command for it.
    """
    if (kind := kind_of(model)) not in kinds:
        needed = " or ".join(one.name for one in kinds)
        raise ValueError(f"{model} is {kind.name}, and {needed} is needed here. Use it with {USAGE[kind]}.")
    return kind


def load_pipeline(model: str | Path, *kinds: ModelKind, **options: Any) -> Any:
    """
    The pipeline of a checkpoint.

    Args:
        model: folder, name in hub_cards, or Hub id.
        kinds: that are accepted.
        options: of the constructor of the pipeline.

    Raises:
        ValueError: the checkpoint is of another kind, or a tensor is missing in it.
    """
    from transformers import pipeline

    return pipeline(require(model, *kinds).task, model=find(model), **options)  # type: ignore[call-overload]
