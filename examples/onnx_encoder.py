"""Export the ECG encoder to ONNX and compare its features with those of torch; needs the extra `onnx`.

    python examples/onnx_encoder.py MODEL FILE.onnx

The exported encoder takes any number of recordings. The processor, which turns files into tensors, is not part of it.
"""

import sys

import numpy as np
import onnxruntime
import torch
from transformers import AutoModel

model_folder, file = sys.argv[1:3]
encoder = AutoModel.from_pretrained(model_folder, dtype=torch.float32, trust_remote_code=True).ecg_model


def recordings(number):
    """Ten seconds at 100 Hz, the first recording with three leads, the last one of five seconds."""
    ecg_values = torch.randn(number, 12, 1000)
    lead_mask = torch.ones(number, 12, dtype=torch.bool)
    sample_mask = torch.ones(number, 1000, dtype=torch.bool)
    lead_mask[0, 3:] = False
    sample_mask[-1, 500:] = False
    return {"ecg_values": ecg_values, "lead_mask": lead_mask, "sample_mask": sample_mask}


inputs, batch = recordings(2), torch.export.Dim("batch")
torch.onnx.export(
    encoder,
    kwargs=inputs,
    dynamo=True,
    dynamic_shapes={name: {0: batch} for name in inputs},
    output_names=["last_hidden_state", "pooler_output"],
).save(file)

session, inputs = onnxruntime.InferenceSession(file), recordings(7)
features = session.run(["pooler_output"], {name: values.numpy() for name, values in inputs.items()})[0]
with torch.inference_mode():
    expected = encoder(**inputs).pooler_output.numpy()
np.testing.assert_allclose(features, expected, atol=1e-4)
print("features", features.shape, "differ from torch by", abs(features - expected).max())
