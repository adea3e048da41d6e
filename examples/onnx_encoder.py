"""Compute features with ONNX Runtime; needs the extra `onnx`.

    merit export hub_cards/merit-ptbxl-tiny exported --onnx
    python examples/onnx_encoder.py exported RECORDING

The processor prepares the recording and ONNX Runtime computes the encoder; the weights are not loaded into torch.
"""

import sys

import onnxruntime
from transformers import AutoProcessor

import merit  # noqa: F401  registers the processor

folder, recording = sys.argv[1:3]
processor = AutoProcessor.from_pretrained(folder)
encoder = onnxruntime.InferenceSession(f"{folder}/onnx/encoder.onnx")

batch = processor(ecg=[recording])
inputs = {node.name: batch[node.name].numpy() for node in encoder.get_inputs()}
tokens, features = encoder.run(["last_hidden_state", "pooler_output"], inputs)
print("features of", len(features), "window, first values", features[0, :4].round(3))
