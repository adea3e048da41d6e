"""ONNX files of a checkpoint: encoder and classifier for any number of recordings of any duration."""

import ast
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..modeling_merit.modeling_merit import MeritForEcgClassification, ecg_encoder
from ..training.results.atomic import atomic_write

ENCODER, CLASSIFIER, INT8_ENCODER = "encoder.onnx", "classifier.onnx", "encoder-int8.onnx"
OUTPUTS = ("last_hidden_state", "pooler_output")  # of the encoder
_PRODUCTS = ["MatMul", "Gemm", "Conv"]  # of activations and weights
_IN_FLOAT = "embeddings.projection"  # the module of the encoder that an 8-bit variant leaves as it is
# Largest difference between ONNX Runtime and torch.
TOLERANCE = 1e-3


def write_onnx_files(
    model: Any, folder: str | Path, quantize_with: Iterable[Mapping[str, torch.Tensor]] | None = None
) -> list[Path]:
    """
    Write the encoder of a model and, of a fine-tuned classifier, the whole model; needs the extra `onnx`.

    Inputs are `ecg_values` `(batch, leads, samples)` float32, `lead_mask` `(batch, leads)` and `sample_mask`
    `(batch, samples)` bool; a whole number of patches, up to the model's longest duration. Outputs of the encoder are
    `last_hidden_state` and `pooler_output`, that of a classifier is `logits`.

    Args:
        model: any MERIT model.
        folder: of the files.
        quantize_with: batches of the feature extractor, from which [`quantize`] writes an 8-bit encoder, too.

    Raises:
        ValueError: ONNX Runtime does not answer as torch does.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    encoder = ecg_encoder(model)
    written = [folder / ENCODER]
    _write(encoder, encoder.config, OUTPUTS, written[0])
    if quantize_with is not None:
        written.append(folder / INT8_ENCODER)
        quantize(written[0], written[-1], quantize_with)
    if isinstance(model, MeritForEcgClassification):
        written.append(folder / CLASSIFIER)
        _write(model, encoder.config, ("logits",), written[-1])
    return written


def quantize(encoder: str | Path, path: str | Path, batches: Iterable[Mapping[str, torch.Tensor]]) -> None:
    """
    Write a variant of an encoder that multiplies with 8-bit weights.

    Attention between tokens stays as it is, and so does the projection of the signal: few recordings have large
    amplitudes, and with a range that holds them, steps of 8 bits are too coarse for all others.

    Args:
        encoder: as [`write_onnx_files`] writes it.
        path: of the variant.
        batches: of the feature extractor, from recordings of training; they give the ranges of the activations.

    Raises:
        ValueError: the file does not say which product is the projection of the signal.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class CalibrationBatches(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(batches)

        def get_next(self) -> Any:
            batch = next(self.batches, None)
            return batch and {name: tensor.numpy() for name, tensor in batch.items()}

    with tempfile.TemporaryDirectory() as scratch, atomic_write(path) as temporary:
        # Only the file of the exporter tells which module a product belongs to.
        in_float = {node.name for node in onnx.load(str(encoder)).graph.node if _IN_FLOAT in _modules(node)}
        ready = Path(scratch) / ENCODER
        quant_pre_process(str(encoder), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        weights = {tensor.name for tensor in graph.initializer}
        products = [node.name for node in graph.node if node.op_type in _PRODUCTS and weights & set(node.input)]
        if not in_float & set(products):
            raise ValueError(f"{encoder} names no product of {_IN_FLOAT}, which must stay in float: export it again.")
        quantize_static(
            ready,
            temporary,
            CalibrationBatches(),
            nodes_to_quantize=[name for name in products if name not in in_float],
            op_types_to_quantize=_PRODUCTS,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            # What a product gives stays in float, so that only what enters the next one is rounded.
            extra_options={"ActivationSymmetric": True, "OpTypesToExcludeOutputQuantization": _PRODUCTS},
        )


def _modules(node: Any) -> list[str]:
    """The names of the modules of the encoder in which a node is computed, from the outermost one."""
    scopes = {entry.key: entry.value for entry in node.metadata_props}.get("pkg.torch.onnx.name_scopes", "[]")
    return ast.literal_eval(scopes)


def example_inputs(config: Any, batch: int, samples: int) -> dict[str, torch.Tensor]:
    """Noise as recordings, the first with three leads, the last one of half the length."""
    leads = len(config.lead_names)
    ecg_values = torch.randn(batch, leads, samples, generator=torch.Generator().manual_seed(batch))
    lead_mask = torch.ones(batch, leads, dtype=torch.bool)
    sample_mask = torch.ones(batch, samples, dtype=torch.bool)
    lead_mask[0, 3:] = False
    sample_mask[-1, samples // 2 :] = False
    return {"ecg_values": ecg_values, "lead_mask": lead_mask, "sample_mask": sample_mask}


def _write(model: Any, config: Any, outputs: Sequence[str], path: Path) -> None:
    import onnxruntime

    length, rate = config.patch_length, config.sampling_rate
    batch = torch.export.Dim("batch")
    samples = torch.export.Dim("samples", min=2 * length, max=int(config.max_duration * rate))
    was_training, dtype = model.training, model.dtype
    model = model.eval().float()
    with atomic_write(path) as temporary:
        try:
            torch.onnx.export(
                model,
                kwargs=example_inputs(config, 2, 40 * length),
                dynamo=True,
                verbose=False,
                dynamic_shapes={
                    "ecg_values": {0: batch, 2: samples},
                    "lead_mask": {0: batch},
                    "sample_mask": {0: batch, 1: samples},
                },
                output_names=list(outputs),
            ).save(str(temporary))
            session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
            for batch_size, patches in ((3, 100), (1, 31)):
                inputs = example_inputs(config, batch_size, patches * length)
                found = session.run(list(outputs), {name: tensor.numpy() for name, tensor in inputs.items()})
                with torch.inference_mode():
                    expected = model(**inputs)
                for name, values in zip(outputs, found):
                    difference = float(np.abs(np.asarray(values) - expected[name].numpy()).max())
                    if not difference <= TOLERANCE:
                        raise ValueError(
                            f"{path.name}: {name} differs from torch by {difference:.2g}; it is not written"
                        )
        finally:
            model.train(was_training).to(dtype)
