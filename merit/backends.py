"""
Engines that run the ECG encoder of a model: torch in float32 or bfloat16, compiled, ONNX Runtime and OpenVINO, both of
these with 8-bit matrices too.

benchmarks/bench_backends.py compares their speed and what they change.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .hub_cards.onnx_files import ENCODER, INT8_ENCODER, OUTPUTS
from .modeling_merit.modeling_merit import ecg_encoder

BACKENDS = ("torch", "bf16", "compile", "onnx", "onnx-int8", "openvino", "openvino-int8")
# The file in the folder onnx/ of a checkpoint that a backend reads.
_FILES = {"onnx": ENCODER, "onnx-int8": INT8_ENCODER, "openvino": ENCODER, "openvino-int8": INT8_ENCODER}


def use_backend(model: Any, backend: str, folder: str | Path | None = None) -> None:
    """
    Let a backend compute the ECG encoder of a model, for inference. The rest of the model stays with torch.

    Args:
        model: any MERIT model, such as `pipeline.model`.
        backend: "torch" (as the model is), "bf16" (weights and activations in bfloat16), "compile" (`torch.compile`),
            "onnx" and "onnx-int8" (ONNX Runtime), "openvino" and "openvino-int8".
        folder: with the ONNX files; by default the folder onnx/ of the checkpoint, which `merit export --onnx` writes,
            the 8-bit one with `--quantize-with`.

    Raises:
        ValueError: there is no such backend, or the folder has no file for it.

    Example:

    ```python
    >>> classify = pipeline("zero-shot-ecg-classification", model="exported")  # doctest: +SKIP
    >>> use_backend(classify.model, "onnx")  # doctest: +SKIP

    ```"""
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}.")
    encoder: Any = ecg_encoder(model)
    if backend == "bf16":
        encoder.forward = _in_bfloat16(encoder)
    elif backend == "compile":
        encoder.compile(dynamic=True)
    elif backend != "torch":
        folder = Path(model.config.name_or_path, "onnx") if folder is None else Path(folder)
        if not (file := folder / _FILES[backend]).is_file():
            how = "--onnx" if file.name == ENCODER else "--quantize-with PTBXL"
            raise ValueError(
                f"The backend {backend} needs {file}: write it by `merit export MODEL DIR {how}` and take DIR as the "
                "model."
            )
        run = (_openvino if backend.startswith("openvino") else _onnx_runtime)(file)
        encoder.forward = _run_by(run, encoder.config.patch_length)


def _in_bfloat16(encoder: Any) -> Callable:
    """The `forward` of a copy in bfloat16; the type of the model, by which its inputs are cast, stays."""
    copy = deepcopy(encoder).to(torch.bfloat16)

    def forward(ecg_values: torch.Tensor, *arguments: Any, **options: Any) -> BaseModelOutputWithPooling:
        found = copy(ecg_values.to(torch.bfloat16), *arguments, **options)
        return BaseModelOutputWithPooling(
            last_hidden_state=found.last_hidden_state.to(ecg_values.dtype),
            pooler_output=found.pooler_output.to(ecg_values.dtype),
        )

    return forward


def _run_by(run: Callable[[dict[str, np.ndarray]], Any], patch_length: int) -> Callable:
    """The `forward` of an encoder that another engine computes."""

    def forward(
        ecg_values: torch.Tensor,
        lead_mask: torch.Tensor | None = None,
        sample_mask: torch.Tensor | None = None,
        **options: Any,
    ) -> BaseModelOutputWithPooling:
        batch, leads, samples = ecg_values.shape
        samples -= samples % patch_length  # an incomplete patch at the end is dropped
        lead_mask = torch.ones(batch, leads, dtype=torch.bool) if lead_mask is None else lead_mask.bool()
        sample_mask = torch.ones(batch, samples, dtype=torch.bool) if sample_mask is None else sample_mask.bool()
        inputs = {
            "ecg_values": ecg_values[..., :samples].float().contiguous(),
            "lead_mask": lead_mask,
            "sample_mask": sample_mask[:, :samples].contiguous(),
        }
        states, features = run({name: tensor.cpu().numpy() for name, tensor in inputs.items()})
        return BaseModelOutputWithPooling(
            last_hidden_state=torch.from_numpy(states).to(ecg_values.device, ecg_values.dtype),
            pooler_output=torch.from_numpy(features).to(ecg_values.device, ecg_values.dtype),
        )

    return forward


def _onnx_runtime(file: Path) -> Callable[[dict[str, np.ndarray]], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(list(OUTPUTS), inputs)


def _openvino(file: Path) -> Callable[[dict[str, np.ndarray]], Any]:
    import openvino

    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.compile_model(str(file), "CPU", settings)
    queue = openvino.AsyncInferQueue(compiled)  # of the size that suits the processor

    def run(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Parts of a batch are computed side by side, which is faster than one after the other with more threads."""
        rows = np.array_split(np.arange(len(inputs["ecg_values"])), min(len(queue), len(inputs["ecg_values"])))
        found: list[Any] = [None] * len(rows)

        def keep(request: Any, part: int) -> None:
            found[part] = [request.get_tensor(name).data.copy() for name in OUTPUTS]

        queue.set_callback(keep)
        for part, some in enumerate(rows):
            queue.start_async({name: array[some[0] : some[-1] + 1] for name, array in inputs.items()}, part)
        queue.wait_all()
        return [np.concatenate(parts) for parts in zip(*found)]

    return run


__all__ = ["BACKENDS", "use_backend"]
