"""Fixtures of the training package."""

import pytest
from transformers import AutoModel, AutoProcessor

from merit.training.scoring.encoders import CheckpointEncoder


@pytest.fixture(scope="module")
def encoder(model_folder):
    """The tiny checkpoint as an encoder."""
    model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
    return CheckpointEncoder(model, processor, "tiny")
