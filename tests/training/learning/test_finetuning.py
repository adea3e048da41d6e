"""Fine-tuning starts from the best linear probe and is selected on validation."""

import numpy as np
import pytest
import torch

from merit.training.evaluation.classifier import evaluate_classifier
from merit.training.learning.finetuning import SHARES, fine_tune, interpolate_weights
from merit.training.results.weights import weights_sha256
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointClassifier
from merit.training.scoring.probes import best_probe, train_rows
from merit.training.scoring.protocol import protocol_of
from merit.training.scoring.zero_shot import label_embeddings, linear_start


def test_fine_tuning_trains_a_copy_of_the_model(encoder, dataset):
    before = weights_sha256(encoder.model.state_dict())
    protocol = protocol_of(dataset, "super", 5)
    settings = {"num_train_epochs": 2, "disable_tqdm": True}
    model, scores, log = fine_tune(encoder.model, encoder.processor, dataset, "super", protocol, **settings)
    assert list(model.config.id2label.values()) == protocol.labels
    assert scores["test"].shape == (len(dataset["test"]), len(protocol.labels))
    assert scores["validation"].shape == (len(dataset["validation"]), len(protocol.labels))
    assert np.isfinite(scores["test"]).all()
    assert [entry["epoch"] for entry in log if "eval_auroc" in entry] == [1.0, 2.0]
    assert weights_sha256(encoder.model.state_dict()) == before
    [result] = evaluate_classifier(CheckpointClassifier(model, encoder.processor), dataset, resamples=5)
    assert (result["task"], result["method"], result["setting"]) == ("super", "fine-tuned", {})
    assert result["metrics"]["auroc"]["value"] == pytest.approx(protocol.macro_auroc("test", scores["test"]), abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.2, 1.0])
def test_fine_tuning_starts_from_the_linear_probe_that_is_best_on_validation(encoder, dataset, fraction):
    protocol = protocol_of(dataset, "super", 5)
    settings = {"num_train_epochs": 1, "learning_rate": 0.0, "bf16": False, "disable_tqdm": True}
    model, _, _ = fine_tune(encoder.model, encoder.processor, dataset, "super", protocol, fraction, **settings)
    normed = {}
    rows = train_rows(protocol, fraction)
    for split, part in (("train", dataset["train"].select(rows)), ("validation", dataset["validation"])):
        features = torch.from_numpy(embed(encoder, part))
        normed[split] = torch.nn.functional.layer_norm(features, features.shape[1:]).numpy()
    start = linear_start(encoder, label_embeddings(encoder, "super", protocol.labels), normed["train"])
    targets = protocol.train_targets(rows)
    probe = best_probe(normed["train"], targets, normed["validation"], protocol, [None, start])
    weight, bias = probe.as_linear()
    torch.testing.assert_close(model.classifier.weight.detach(), weight, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(model.classifier.bias.detach(), bias, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_fine_tuning_selects_the_interpolation_that_is_best_on_validation(encoder, dataset):
    protocol = protocol_of(dataset, "super", 5)
    settings = {"num_train_epochs": 1, "bf16": False, "disable_tqdm": True}
    start, harmed = (
        fine_tune(encoder.model, encoder.processor, dataset, "super", protocol, learning_rate=rate, **settings)
        for rate in (0.0, 30.0)
    )
    auroc = {entry["share"]: entry["auroc"] for entry in harmed.log if "share" in entry}
    assert list(auroc) == list(SHARES)
    assert auroc[0.0] > max(auroc[share] for share in SHARES[1:])
    for name, weights in start.model.state_dict().items():
        torch.testing.assert_close(harmed.model.state_dict()[name], weights, msg=name)
    np.testing.assert_allclose(harmed.scores["test"], start.scores["test"], atol=1e-5)


def test_weights_are_interpolated_linearly():
    start, end = {"a": torch.tensor([0.0, 4.0])}, {"a": torch.tensor([8.0, 0.0])}
    assert [interpolate_weights(start, end, share)["a"].tolist() for share in (0.0, 0.25, 1.0)] == [
        [0, 4],
        [2, 3],
        [8, 0],
    ]
