"""Engines other than torch compute what torch computes, from files that the export writes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from merit import MeritEcgModel
from merit.backends import BACKENDS, use_backend
from merit.hub_cards.export import export, load
from merit.hub_cards.onnx_files import CLASSIFIER, ENCODER, INT8_ENCODER, example_inputs, quantize, write_onnx_files
from merit.modeling_merit.modeling_merit import ecg_encoder

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(classifier_folder, tmp_path_factory):
    """A classifier with its ONNX files."""
    model, processor = load(classifier_folder)
    inputs = [example_inputs(model.config.ecg_config, 8, 1000)]
    return export(model, processor, tmp_path_factory.mktemp("exported") / "onnx", quantize_with=inputs)


@pytest.fixture(scope="module")
def inputs(exported):
    """Recordings of a length that no file was made with, which ends within a patch."""
    return example_inputs(load(exported)[0].config.ecg_config, 5, 787)


@pytest.mark.parametrize(
    ("backend", "tolerance"),
    [
        ("torch", 0),
        ("bf16", 0.1),
        ("onnx", 1e-4),
        ("onnx-int8", 0.2),
        ("openvino", 0.1),  # bfloat16 on processors that have it
        ("openvino-int8", 0.2),
    ],
)
def test_a_backend_answers_as_torch_does(exported, inputs, backend, tolerance):
    if backend.startswith("openvino"):
        pytest.importorskip("openvino", reason="needs openvino")
    model = load(exported)[0].eval()
    with torch.inference_mode():
        expected = model(**inputs).logits
        features = model.ecg_model(**inputs).pooler_output
        use_backend(model, backend)
        found = model(**inputs).logits
        changed = model.ecg_model(**inputs).pooler_output
    assert (changed - features).abs().max() <= tolerance * features.abs().max()
    assert (found - expected).abs().max() <= 2 * tolerance * expected.abs().max()
    assert (backend == "torch") == torch.equal(changed, features)


def test_an_artefact_among_the_recordings_that_give_the_ranges_changes_no_others(exported, inputs, tmp_path):
    encoder = load(exported)[0].ecg_model.eval()
    wild = example_inputs(encoder.config, 8, 1000)
    wild["ecg_values"][3] *= 100
    quantize(exported / "onnx" / ENCODER, tmp_path / INT8_ENCODER, [wild])
    with torch.inference_mode():
        features = encoder(**inputs).pooler_output
        use_backend(encoder, "onnx-int8", tmp_path)
        changed = encoder(**inputs).pooler_output
    assert (changed - features).abs().max() <= 0.05 * features.abs().max()


def test_the_classifier_file_gives_log_odds_for_any_duration(exported):
    model = load(exported)[0].eval()
    session = onnxruntime.InferenceSession(exported / "onnx" / CLASSIFIER)
    inputs = example_inputs(model.config.ecg_config, 2, 1500)
    [logits] = session.run(["logits"], {name: tensor.numpy() for name, tensor in inputs.items()})
    with torch.inference_mode():
        np.testing.assert_allclose(logits, model(**inputs).logits.numpy(), atol=1e-4)


def test_a_backend_without_its_file_says_how_to_write_it(model_folder, exported):
    model = load(model_folder)[0]
    with pytest.raises(ValueError, match="merit export MODEL DIR --onnx"):
        use_backend(model, "onnx")
    with pytest.raises(ValueError, match="merit export MODEL DIR --quantize-with PTBXL"):
        use_backend(model, "openvino-int8")
    with pytest.raises(ValueError, match=f"backend must be one of {', '.join(BACKENDS)}, not 'tensorrt'"):
        use_backend(model, "tensorrt")
    assert isinstance(load(exported)[0].ecg_model, MeritEcgModel)
    assert (exported / "onnx" / ENCODER).is_file()


def test_an_archive_is_predicted_by_onnx_as_by_torch(exported, simulated, tmp_path):
    import pandas as pd

    from merit.predict import predict

    for backend in ("torch", "onnx"):
        predict([simulated / "records100" / "00000" / "0000*"], exported, tmp_path / backend, backend=backend)
    one, other = (pd.read_parquet(tmp_path / backend) for backend in ("torch", "onnx"))
    pd.testing.assert_frame_equal(one, other, atol=1e-4)


def test_the_projection_of_the_signal_stays_in_float_wherever_it_stands_in_the_graph(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
    model, _ = load(Path(__file__).parents[2] / "hub_cards" / "merit-ptbxl-tiny")
    encoder = ecg_encoder(model)
    batches = [example_inputs(encoder.config, 4, 500)]
    [file] = write_onnx_files(encoder, tmp_path)
    content = onnx.load(str(file))
    helper = onnx.helper
    weight = onnx.numpy_helper.from_array(np.ones((1, 12), np.float32), "other_weight")
    content.graph.initializer.append(weight)
    content.graph.node.append(helper.make_node("MatMul", ["other_weight", "ecg_values"], ["other"], "other"))
    content.graph.output.append(helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, ["batch", 1, "samples"]))
    onnx.save(content, str(file))
    quantize(file, tmp_path / INT8_ENCODER, batches)
    graph = onnx.load(str(tmp_path / INT8_ENCODER)).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    inputs = {node.name: [made_by.get(name) for name in node.input] for node in graph.node if node.op_type == "MatMul"}
    in_float = {name for name, makers in inputs.items() if "DequantizeLinear" not in makers}
    assert "node_linear" in in_float
    assert "other" not in in_float
    for entry in list(content.graph.node):
        del entry.metadata_props[:]
    onnx.save(content, str(file))
    with pytest.raises(ValueError, match=r"names no product of embeddings\.projection"):
        quantize(file, tmp_path / INT8_ENCODER, batches)
