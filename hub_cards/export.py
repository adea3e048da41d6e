"""Export a model as a folder that loads with and without this package: weights, processor, code and card."""

import json
import shutil
from collections.abc import Iterable, Mapping
from copy import deepcopy
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoProcessor, PreTrainedConfig, PreTrainedModel, pipeline
from transformers.processing_utils import ProcessorMixin

from .. import modeling_merit, processing
from ..modeling_merit.modeling_merit import (
    MeritEcgModel,
    MeritForEcgClassification,
    MeritForPreTraining,
    MeritModel,
    ecg_encoder,
)
from ..modeling_merit.report_generation_merit import MeritForReportGeneration
from .card import write_card
from .onnx_files import write_onnx_files
from .replacement import write_whole

# Needed by a model that generates reports, and by no other.
_REPORT_CODE = "report_generation_merit.py"

_NESTED = ("merit_config", "ecg_config", "text_config")
# Labels for the example recording, if the checkpoint has no labels of its own.
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
    encoder_only: bool = False,
    onnx: bool = False,
    quantize_with: Iterable[Mapping[str, torch.Tensor]] | None = None,
) -> Path:
    """
    Write a complete folder in the layout of the Hub, with a card made from its result files.

    With `trust_remote_code=True`, the Auto classes and `pipeline` load it where this package is not installed. It is
    written under a temporary name and then renamed, and replaces an earlier export only then. A model that is loaded
    from an export and exported again with the same options, example and results gives the same bytes.

    Args:
        model: a `MeritModel`, `MeritForPreTraining`, `MeritForEcgClassification`, `MeritForReportGeneration` or
            `MeritEcgModel`.
        processor: its `MeritProcessor` or `MeritReportProcessor`.
        directory: the folder to write.
        dtype: the type of the stored weights, such as "float16"; by default half precision if it holds all weights
            exactly. The exported model is loaded in the type of `model`, because half precision is slow on most CPUs.
        max_shard_size: largest size of a file of weights, in bytes or such as "2GB".
        example: path of a WFDB record to include, with the model's answer to it; `merit publish` requires one.
        results: JSON result files to include in results/.
        encoder_only: export the ECG encoder of the model alone, a `MeritEcgModel`.
        onnx: add onnx/ with the encoder and the classifier, see `write_onnx_files`.
        quantize_with: batches of the feature extractor from recordings of training; adds an 8-bit encoder to onnx/.

    Raises:
        ValueError: `directory` is not an earlier export or holds other files, or an argument cannot be used.
        OSError: `directory` could not be written; it is as it was before.
    """
    directory = Path(directory)
    if encoder_only:
        model = deepcopy(ecg_encoder(model))  # saving changes its configuration, a part of that of the whole model
    stored = _exact_dtype(model) if dtype is None else _named_dtype(dtype)
    with write_whole(directory) as unfinished:
        _write_folder(unfinished, model, processor, stored, max_shard_size, example, results)
        if onnx or quantize_with is not None:
            write_onnx_files(model, unfinished / "onnx", quantize_with)
        write_card(unfinished)  # last, since it is made from the files above
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
    _set_dtype(folder / "config.json", str(model.dtype).removeprefix("torch."))
    for path in folder.rglob("tokenizer_config.json"):
        _remove(path, "is_local", "local_files_only")  # they describe this machine
    (folder / "LICENSE").write_text(_licence(), encoding="utf-8")
    _copy_results(results, folder / "results")
    if example is not None:
        _copy_example(Path(example), folder)


def load(folder: str | Path) -> tuple[PreTrainedModel, ProcessorMixin]:
    """
    Load the model of an exported folder, in the class that was saved, and its processor.

    Raises:
        ValueError: the folder holds no model of this package.
    """
    # Not with AutoConfig, which fails for model types that it does not know.
    architectures = PreTrainedConfig.get_config_dict(folder)[0].get("architectures") or []
    for model_class in (
        *(MeritForPreTraining, MeritModel, MeritForEcgClassification, MeritForReportGeneration, MeritEcgModel),
    ):
        if architectures == [model_class.__name__]:
            model: Any = model_class.from_pretrained(folder)
            return model, AutoProcessor.from_pretrained(folder)
    raise ValueError(f"{folder} holds no model of MERIT: its config.json names {architectures} as architectures.")


def _named_dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"{name!r} is no type of weights: name float32, bfloat16 or float16.")
    return dtype


def _exact_dtype(model: PreTrainedModel) -> torch.dtype:
    """Half precision if it holds all weights exactly, otherwise the type of the model."""
    weights = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    for dtype in (torch.float16, torch.bfloat16):
        if all(torch.equal(tensor, tensor.to(dtype).to(tensor.dtype)) for tensor in weights):
            return dtype
    return model.dtype


def _licence() -> str:
    """The licence file of the installed package."""
    # A source folder on the path is found as a distribution too, but without this file.
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
    """Copy a WFDB record into the folder and store the answer of the exported model to it."""
    files = sorted(record.parent.glob(f"{record.name}.*"))
    if f"{record.name}.hea" not in [path.name for path in files]:
        raise ValueError(f"{record} is no WFDB record: there is no {record.name}.hea.")
    (folder / "example").mkdir()
    for path in files:
        shutil.copyfile(path, folder / "example" / path.name)
    task = next(iter(json.loads((folder / "config.json").read_text(encoding="utf-8"))["custom_pipelines"]))
    options = {"candidate_labels": list(EXAMPLE_LABELS)} if task == "zero-shot-ecg-classification" else {}
    # With the stored weights, which may have a lower precision than those in memory.
    answers: Any = pipeline(task, model=str(folder), device="cpu")  # type: ignore[call-overload]
    answer = _rounded(answers(str(folder / "example" / record.name), **options))
    _write(folder / "example" / "answer.json", {"task": task, "options": options, "answer": answer})


def _rounded(answer: Any) -> Any:
    """An answer as JSON, with its numbers to six digits."""
    if isinstance(answer, np.ndarray):
        return _rounded(answer.tolist())
    if isinstance(answer, list):
        return [_rounded(part) for part in answer]
    if isinstance(answer, dict):
        return {name: _rounded(part) for name, part in answer.items()}
    return round(answer, 6) if isinstance(answer, float) else answer


def _set_dtype(path: Path, dtype: str) -> None:
    """Set the type that a model is loaded in, of all configurations in config.json."""

    def changed(config: dict[str, Any]) -> dict[str, Any]:
        nested = {name: changed(value) for name, value in config.items() if name in _NESTED}
        return config | nested | {"dtype": dtype}

    _write(path, changed(json.loads(path.read_text(encoding="utf-8"))))


def _remove(path: Path, *names: str) -> None:
    """Remove fields from a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    _write(path, {name: value for name, value in content.items() if name not in names})


def _write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
