"""The folder that others load: weights, configuration, processor, and the code that reads them."""

import json
import shutil
from pathlib import Path

from transformers import PreTrainedModel
from transformers.processing_utils import ProcessorMixin

from .. import modeling_merit, processing

# Files of the package that travel: each imports its siblings and public libraries only, so a flat folder holds them.
CODE = {
    modeling_merit: ("configuration_merit.py", "modeling_merit.py"),
    processing: (
        "recordings_merit.py",
        "feature_extraction_merit.py",
        "processing_merit.py",
        "prompts_merit.py",
        "zero_shot_merit.py",
        "pipelines_merit.py",
    ),
}

MODEL_CLASSES = {
    "AutoConfig": "configuration_merit.MeritConfig",
    "AutoModel": "modeling_merit.MeritModel",
    "AutoModelForPreTraining": "modeling_merit.MeritForPreTraining",
    "AutoModelForSequenceClassification": "modeling_merit.MeritForEcgClassification",
    "AutoModelForAudioClassification": "modeling_merit.MeritForEcgClassification",
}
# One pipeline for each kind of checkpoint, so that pipeline(model=...) knows which is meant.
ZERO_SHOT = {
    "zero-shot-ecg-classification": {
        "impl": "pipelines_merit.ZeroShotEcgClassificationPipeline",
        "pt": ["AutoModel"],
        "type": "multimodal",
    }
}
CLASSIFICATION = {
    "ecg-classification": {
        "impl": "pipelines_merit.EcgClassificationPipeline",
        "pt": ["AutoModelForSequenceClassification"],
        "type": "multimodal",
    }
}


def export(model: PreTrainedModel, processor: ProcessorMixin, directory: str | Path) -> Path:
    """
    Write a complete folder in the layout of the Hub.

    With `trust_remote_code=True` it serves the Auto classes and its pipeline where this package is not installed. It is
    written under a temporary name and put in place whole; a folder that was there before is replaced only then.

    Args:
        model: a `MeritModel`, `MeritForPreTraining` or `MeritForEcgClassification`.
        processor: its `MeritProcessor`.
        directory: where to.

    Raises:
        ValueError: when `directory` holds something that is no exported model.
    """
    directory = Path(directory)
    if directory.exists() and any(directory.iterdir()) and not (directory / "config.json").is_file():
        raise ValueError(f"{directory} is not empty and holds no model: name another folder.")
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    processor.save_pretrained(unfinished)
    for package, names in CODE.items():
        for name in names:
            shutil.copyfile(Path(package.__path__[0]) / name, unfinished / name)
    pipelines = CLASSIFICATION if hasattr(model, "classifier") else ZERO_SHOT
    dtype = {"dtype": str(model.dtype).removeprefix("torch.")}
    _add(
        unfinished / "config.json",
        auto_map=MODEL_CLASSES,
        custom_pipelines=pipelines,
        ecg_config=dtype,
        text_config=dtype,
    )
    _add(
        unfinished / "processor_config.json",
        auto_map={"AutoProcessor": "processing_merit.MeritProcessor"},
        # transformers 5 keeps the feature extractor's configuration here and looks for its class beside it.
        feature_extractor={"auto_map": {"AutoFeatureExtractor": "feature_extraction_merit.MeritFeatureExtractor"}},
    )
    _remove(unfinished / "tokenizer_config.json", "is_local", "local_files_only")  # how it was loaded here
    if directory.exists():
        replaced = directory.with_name(f"{directory.name}.replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        directory.rename(replaced)
        unfinished.rename(directory)
        shutil.rmtree(replaced)
    else:
        unfinished.rename(directory)
    return directory


def _add(path: Path, **fields) -> None:
    """Add fields to a JSON file, groups of them to groups that are there."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, value in fields.items():
        content[name] = content.get(name, {}) | value
    _write(path, content)


def _remove(path: Path, *names: str) -> None:
    """Remove fields from a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    _write(path, {name: value for name, value in content.items() if name not in names})


def _write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
