"""Embeddings and their cache."""

import copy

import numpy as np
import pytest
import torch
from datasets import Dataset

from merit.training.scoring import encoders
from merit.training.scoring.embeddings import batches, embed, fingerprint
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.scoring.perturbations import Perturbation


def test_embeddings_do_not_depend_on_the_batch(encoder, dataset, monkeypatch):
    monkeypatch.setattr(encoders, "fast_precision", lambda: {"bf16": False})
    rows = dataset["test"]
    features = embed(encoder, rows)
    assert features.shape == (len(rows), 32)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, embed(encoder, rows, batch_size=3), atol=1e-5)
    with torch.inference_mode():
        expected = encoder.model.get_ecg_features(**encoder.processor(ecg=next(batches(rows)))).pooler_output
    expected = torch.nn.functional.normalize(expected, dim=-1).numpy()
    np.testing.assert_allclose(encoder.project(features), expected, atol=1e-5)


def test_cached_embeddings_depend_on_weights_records_and_perturbation(encoder, dataset, tmp_path):
    first = embed(encoder, dataset["test"], cache=tmp_path)
    [cached] = tmp_path.iterdir()
    used = copy.copy(encoder)
    used.embed = None  # must not be called
    assert np.array_equal(embed(used, dataset["test"], cache=tmp_path), first)
    embed(encoder, dataset["validation"], cache=tmp_path)
    embed(encoder, dataset["test"], Perturbation(leads=("I",)), cache=tmp_path)
    other = CheckpointEncoder(copy.deepcopy(encoder.model), encoder.processor)
    assert other.fingerprint == encoder.fingerprint
    other.model.ecg_model.embeddings.projection.weight.data += 1
    other = CheckpointEncoder(other.model, encoder.processor)
    assert not np.array_equal(embed(other, dataset["test"], cache=tmp_path), first)
    assert len(list(tmp_path.iterdir())) == 4
    assert cached.suffix == ".safetensors"


def test_an_interrupted_embedding_leaves_no_file(encoder, dataset, tmp_path):
    class Broken:
        name, fingerprint = "broken", "broken"

        def embed(self, rows):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(Broken(), dataset["test"], cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_fingerprint_depends_on_content_and_order_only(dataset):
    rows = dataset["test"]
    columns = ["record_id", "labels_super", "signal"]
    same = Dataset.from_list(rows.to_list(), features=rows.features)
    assert fingerprint(rows, columns) == fingerprint(same, columns)
    assert fingerprint(rows, columns) != fingerprint(rows.select(range(len(rows) - 1)), columns)
    assert fingerprint(rows, columns) != fingerprint(rows.select(list(range(len(rows)))[::-1]), columns)
