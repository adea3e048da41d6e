"""The folder that others load: weights, configuration, processor, and the code that reads them."""

import json
import shutil
from collections.abc import Iterable
from copy import deepcopy
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor, PreTrainedModel, pipeline
from transformers.processing_utils import ProcessorMixin

from .. import modeling_merit, processing
from ..modeling_merit.configuration_merit import MeritConfig
from ..modeling_merit.modeling_merit import MeritForEcgClassification, MeritForPreTraining, MeritModel
from ..modeling_merit.report_generation_merit import MeritForReportGeneration
from .card import write_card
from .replacement import write_whole

# Needed by a model that generates reports, and by no other.
_REPORT_CODE = "report_generation_merit.py"

MODEL_CLASSES = {
    "AutoConfig": "configuration_merit.MeritConfig",
    "AutoModel": "modeling_merit.MeritModel",
    "AutoModelForPreTraining": "modeling_merit.MeritForPreTraining",
    "AutoModelForSequenceClassification": "modeling_merit.MeritForEcgClassification",
    "AutoModelForAudioClassification": "modeling_merit.MeritForEcgClassification",
}
REPORT_CLASSES = {
    "AutoConfig": "configuration_merit.MeritReportConfig",
    "AutoModelForMultimodalLM": "report_generation_merit.MeritForReportGeneration",
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
REPORT_GENERATION = {
    "ecg-report-generation": {
        "impl": "pipelines_merit.EcgReportGenerationPipeline",
        "pt": ["AutoModelForMultimodalLM"],
        "type": "multimodal",
    }
}
# What the example recording is asked, where the checkpoint has no classes of its own.
EXAMPLE_LABELS = ("normal ECG", "atrial fibrillation", "myocardial infarction", "conduction disturbance", "hypertrophy")


def export(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    directory: str | Path,
    *,
    dtype: str | None = None,
    max_shard_size: int | str = "5GB",
    example: str | Path | None = None,
    results: Iterable[str | Path] = (),
) -> Path:
    """
    Write a complete folder in the layout of the Hub, with a card made from its result files.

    With `trust_remote_code=True` it serves the Auto classes and its pipeline where this package is not installed. It is
    written under a temporary name and put in place whole; a folder that was there before is replaced only then. What
    was loaded from an export and is exported again alike, with the same example and results, has the same bytes.

    Args:
        model: a `MeritModel`, `MeritForPreTraining`, `MeritForEcgClassification` or `MeritForReportGeneration`.
        processor: its `MeritProcessor` or `MeritReportProcessor`.
        directory: where to.
        dtype: that weights are stored in, such as "float16"; by default one that holds all of them exactly, half
            precision if it does. The model stays as it is, and is loaded in the type that it has here: half precision
            is slow to compute with on most CPUs.
        max_shard_size: largest size of a file of weights, in bytes or such as "2GB".
        example: path of a WFDB record that goes along, with the folder's answer to it; `merit publish` asks for one.
        results: result files, JSON, that go along in results/.

    Raises:
        ValueError: `directory` holds something that is no exported model, or an argument cannot be used.
    """
    directory = Path(directory)
    stored = _exact_dtype(model) if dtype is None else _named_dtype(dtype)
    with write_whole(directory) as unfinished:
        _write_folder(unfinished, model, processor, stored, max_shard_size, example, results)
    return directory


def travelling_files(reports: bool) -> list[Path]:
    """
    The files of the package that an exported folder holds, so that it loads where the package is not installed.

    They import their siblings and public libraries only, so that they work side by side in one folder.

    Args:
        reports: whether the model generates reports.
    """
    folders = [Path(package.__path__[0]) for package in (modeling_merit, processing)]
    paths = [path for folder in folders for path in sorted(folder.glob("*_merit.py"))]
    return [path for path in paths if reports or path.name != _REPORT_CODE]


def _write_folder(
    folder: Path,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    stored: torch.dtype,
    max_shard_size: int | str,
    example: str | Path | None,
    results: Iterable[str | Path],
) -> None:
    written: Any = model if stored == model.dtype else deepcopy(model).to(stored)  # type: ignore[arg-type]
    written.save_pretrained(folder, max_shard_size=max_shard_size)
    processor.save_pretrained(folder)
    reports = isinstance(model, MeritForReportGeneration)
    for path in travelling_files(reports):
        shutil.copyfile(path, folder / path.name)
    loaded = {"dtype": str(model.dtype).removeprefix("torch.")}
    if reports:
        added = {"auto_map": REPORT_CLASSES, "custom_pipelines": REPORT_GENERATION, "text_config": loaded}
        added["merit_config"] = loaded | {"ecg_config": loaded, "text_config": loaded}
    else:
        pipelines = CLASSIFICATION if hasattr(model, "classifier") else ZERO_SHOT
        added = {"auto_map": MODEL_CLASSES, "custom_pipelines": pipelines, "ecg_config": loaded, "text_config": loaded}
    _add(folder / "config.json", **loaded, **added)
    for path in folder.rglob("tokenizer_config.json"):
        _remove(path, "is_local", "local_files_only")  # how it was loaded here
    (folder / "LICENSE").write_text(_licence(), encoding="utf-8")
    _copy_results(results, folder / "results")
    if example is not None:
        _copy_example(Path(example), folder)
    write_card(folder)  # last, for it is made from the files above


def load(folder: str | Path) -> tuple[PreTrainedModel, ProcessorMixin]:
    """
    The model that an exported folder holds, of the class that it was saved as, and its processor.

    Raises:
        ValueError: the folder holds no model of this package.
    """
    # Not through AutoConfig: what another type of model is, need not be known.
    architectures = MeritConfig.get_config_dict(folder)[0].get("architectures") or []
    for kind in (MeritForPreTraining, MeritModel, MeritForEcgClassification, MeritForReportGeneration):
        if architectures == [kind.__name__]:
            return kind.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    raise ValueError(f"{folder} holds no model of MERIT: its config.json names {architectures} as architectures.")


def _named_dtype(name: str) -> torch.dtype:
    kind = getattr(torch, name, None)
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
        raise ValueError(f"{name!r} is no type of weights: name float32, bfloat16 or float16.")
    return kind


def _exact_dtype(model: PreTrainedModel) -> torch.dtype:
    """Half precision where it holds all weights exactly, as those that were loaded from it; else the model's own."""
    weights = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    for kind in (torch.float16, torch.bfloat16):
        if all(torch.equal(tensor, tensor.to(kind).to(tensor.dtype)) for tensor in weights):
            return kind
    return model.dtype


def _licence() -> str:
    """The licence as the installed package has it."""
    # A source folder on the path is a distribution as well, without this file.
    for distribution in distributions(name="merit-ecg"):
        if text := distribution.read_text("licenses/LICENSE"):
            return text
    raise FileNotFoundError("The installed package merit-ecg has no LICENSE file: install it again.")


def _copy_results(results: Iterable[str | Path], folder: Path) -> None:
    for path in map(Path, results):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is no result file: {error}") from None
        folder.mkdir(exist_ok=True)
        if (folder / path.name).exists():
            raise ValueError(f"Two result files are named {path.name}: give one of them another name.")
        shutil.copyfile(path, folder / path.name)


def _copy_example(record: Path, folder: Path) -> None:
    """Copy a WFDB record into the folder and store what the folder answers to it."""
    files = sorted(record.parent.glob(f"{record.name}.*"))
    if f"{record.name}.hea" not in [path.name for path in files]:
        raise ValueError(f"{record} is no WFDB record: there is no {record.name}.hea.")
    (folder / "example").mkdir()
    for path in files:
        shutil.copyfile(path, folder / "example" / path.name)
    task = next(iter(json.loads((folder / "config.json").read_text(encoding="utf-8"))["custom_pipelines"]))
    options = {"candidate_labels": list(EXAMPLE_LABELS)} if task in ZERO_SHOT else {}
    # By the weights as they are stored, not as they were in training: so that the answer stays when it is loaded again.
    answers: Any = pipeline(task, model=str(folder), device="cpu")  # type: ignore[call-overload]
    answer = _rounded(answers(str(folder / "example" / record.name), **options))
    _write(folder / "example" / "answer.json", {"task": task, "options": options, "answer": answer})


def _rounded(answer: Any) -> Any:
    """An answer with its numbers to six digits."""
    if isinstance(answer, list):
        return [_rounded(part) for part in answer]
    if isinstance(answer, dict):
        return {name: _rounded(part) for name, part in answer.items()}
    return round(answer, 6) if isinstance(answer, float) else answer


def _add(path: Path, **fields) -> None:
    """Add fields to a JSON file, groups of them to groups that are there."""
    _write(path, _joined(json.loads(path.read_text(encoding="utf-8")), fields))


def _joined(content: dict, added: dict) -> dict:
    nested = {name: _joined(content.get(name, {}), value) for name, value in added.items() if isinstance(value, dict)}
    return content | added | nested


def _remove(path: Path, *names: str) -> None:
    """Remove fields from a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    _write(path, {name: value for name, value in content.items() if name not in names})


def _write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
