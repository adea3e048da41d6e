"""Figures that are known beforehand: what knows everything scores 1, what knows nothing scores one half."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoProcessor

from merit.training import evaluation
from merit.training.evaluation import aucs, embed, evaluate, linear_probe, zero_shot
from merit.training.ptbxl import label_names

LABELS = ["A", "B", "C"]
SPLITS = {"train": 600, "validation": 200, "test": 400}


def random_targets(seed=0):
    """Every record with one or more of the three labels."""
    rng = np.random.default_rng(seed)
    targets = {split: (rng.random((size, 3)) < 0.3).astype(np.uint8) for split, size in SPLITS.items()}
    for values in targets.values():
        values[np.arange(len(values)), rng.integers(0, 3, len(values))] = 1
    return targets


def with_noise(targets, noise, seed=1):
    rng = np.random.default_rng(seed)
    return {split: np.hstack([values, noise * rng.normal(size=values.shape)]) for split, values in targets.items()}


def test_scores_that_are_the_labels_have_auc_one():
    targets = random_targets()["test"]
    assert aucs(targets, targets.astype(float), LABELS) == {"macro": 1.0, "A": 1.0, "B": 1.0, "C": 1.0}
    assert aucs(targets, -targets.astype(float), LABELS)["macro"] == 0.0


def test_constant_scores_have_auc_one_half():
    targets = random_targets()["test"]
    assert aucs(targets, np.ones(targets.shape), LABELS)["macro"] == 0.5


def test_scores_of_other_records_have_auc_about_one_half():
    targets = np.vstack([random_targets(seed)["test"] for seed in range(5)])
    shuffled = np.random.default_rng(0).permutation(targets).astype(float)
    assert abs(aucs(targets, shuffled, LABELS)["macro"] - 0.5) < 0.05


def test_macro_is_the_mean_over_the_labels():
    targets = random_targets()["test"]
    result = aucs(targets, np.random.default_rng(0).normal(size=targets.shape), LABELS)
    assert result["macro"] == pytest.approx(np.mean([result[label] for label in LABELS]))


def test_auc_is_the_share_of_pairs_in_the_right_order():
    targets = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    scores = np.array([[3.0, 0], [1.0, 0], [2.0, 0], [0.0, 0]])
    assert aucs(targets, scores, ["A", "B"])["A"] == 0.75


def test_records_without_a_label_of_the_task_are_left_out():
    targets = random_targets()["test"]
    scores = np.random.default_rng(0).normal(size=targets.shape)
    empty, misleading = np.zeros((50, 3), np.uint8), np.full((50, 3), 99.0)
    both = aucs(np.vstack([targets, empty]), np.vstack([scores, misleading]), LABELS)
    assert both == aucs(targets, scores, LABELS)


def test_labels_that_nobody_or_everybody_has_are_left_out():
    targets = random_targets()["test"]
    targets[:, 0], targets[:, 2] = 0, 1
    assert set(aucs(targets, targets.astype(float), LABELS)) == {"macro", "B"}


def test_a_probe_of_the_labels_themselves_has_auc_one():
    targets = random_targets()
    assert linear_probe(with_noise(targets, 0.0001), targets, LABELS)["macro"] == 1.0


def test_a_probe_of_noise_has_auc_about_one_half():
    targets = random_targets()
    noise = {split: values[:, 3:] for split, values in with_noise(targets, 1.0).items()}
    assert abs(linear_probe(noise, targets, LABELS)["macro"] - 0.5) < 0.06


def test_a_probe_of_constant_features_has_auc_one_half():
    targets = random_targets()
    constant = {split: np.ones((size, 4)) for split, size in SPLITS.items()}
    assert linear_probe(constant, targets, LABELS)["macro"] == 0.5


def test_a_probe_is_trained_on_records_that_have_a_label():
    targets = random_targets()
    features = with_noise(targets, 1.0)
    expected = linear_probe(features, targets, LABELS)
    extra = {**targets, "train": np.vstack([targets["train"], np.zeros((300, 3), np.uint8)])}
    # StandardScaler sees all training signals, labelled or not, so the added ones repeat the distribution.
    more = {**features, "train": np.vstack([features["train"], features["train"][:300]])}
    assert linear_probe(more, extra, LABELS)["macro"] == pytest.approx(expected["macro"], abs=0.005)


class Recorder:
    """A stand-in for `aucs` that remembers the scores it was asked to judge."""

    def __init__(self):
        self.scores = []

    def __call__(self, targets, scores, labels):
        self.scores.append(scores)
        return aucs(targets, scores, labels)


@pytest.fixture
def overfitting():
    """Features among which so many are noise that the penalty matters."""
    targets, rng = random_targets(), np.random.default_rng(2)
    return {
        split: np.hstack([values + rng.normal(size=values.shape), rng.normal(size=(len(values), 400))])
        for split, values in targets.items()
    }


def predictions(monkeypatch, features, targets, penalties=evaluation.RIDGE_PENALTIES):
    """All scores that `linear_probe` judged: of each penalty on validation, then on test."""
    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "aucs", recorder := Recorder())
        patched.setattr(evaluation, "RIDGE_PENALTIES", penalties)
        linear_probe(features, targets, LABELS)
    return recorder.scores


def test_the_penalty_is_chosen_without_the_test_labels(monkeypatch, overfitting):
    targets = random_targets()
    shuffled = {**targets, "test": np.random.default_rng(3).permutation(targets["test"])}
    expected = predictions(monkeypatch, overfitting, targets)[-1]
    assert np.array_equal(predictions(monkeypatch, overfitting, shuffled)[-1], expected)


def test_the_penalty_is_that_with_the_best_auc_on_validation(monkeypatch, overfitting):
    targets = random_targets()
    *validation, chosen = predictions(monkeypatch, overfitting, targets)
    macros = [aucs(targets["validation"], scores, LABELS)["macro"] for scores in validation]
    best = evaluation.RIDGE_PENALTIES[int(np.argmax(macros))]
    assert len(set(macros)) == len(macros) == len(evaluation.RIDGE_PENALTIES)
    assert np.allclose(predictions(monkeypatch, overfitting, targets, (best,))[-1], chosen)
    assert best != evaluation.RIDGE_PENALTIES[0]


def test_a_model_is_evaluated_on_every_split_and_task(model_folder, dataset):
    model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
    results = evaluate(model, processor, dataset, ["super"])
    assert set(results) == {"zero_shot", "zero_shot_validation", "linear_probe"}
    for result in results.values():
        assert set(result) == {"super"}
        assert set(result["super"]) <= {"macro", *label_names(dataset["train"], "super")}
        assert all(0 <= value <= 1 for value in result["super"].values())


def test_embeddings_do_not_depend_on_the_batch(model_folder, dataset, monkeypatch):
    monkeypatch.setattr(evaluation, "fast_precision", lambda: {"bf16": False})
    model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
    rows = dataset["test"]
    features, embeds = embed(model, processor, rows)
    assert features.shape == (len(rows), 32)
    assert embeds.dtype == features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeds, axis=1), 1, rtol=1e-5)
    for one, other in zip((features, embeds), embed(model, processor, rows, batch_size=3)):
        np.testing.assert_allclose(one, other, atol=1e-5)
    batch = processor(ecg=list(rows.with_format("numpy")))
    with torch.inference_mode():
        expected = model.get_ecg_features(**batch).pooler_output
    np.testing.assert_allclose(torch.nn.functional.normalize(expected).numpy(), embeds, atol=1e-5)


def test_recordings_at_the_labels_directions_have_zero_shot_auc_one(model_folder):
    model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
    labels = ["AFIB", "CLBBB", "LVH"]
    directions = evaluation.embed_labels(model, processor.tokenizer, labels).directions
    corners = torch.linalg.pinv(directions).T.numpy()  # each along its label and across the others
    targets = np.eye(3, dtype=np.uint8)[np.arange(60) % 3]
    embeds = (targets @ corners).astype(np.float32)
    assert zero_shot(model, processor, embeds, targets, labels)["macro"] == 1.0
    assert zero_shot(model, processor, -embeds, targets, labels)["macro"] == 0.0
