"""Probes of features that know everything, nothing, or mostly noise; what is chosen is chosen on validation."""

import numpy as np
import pytest
import torch
from random_values import LABELS, SPLITS, random_targets
from sklearn.model_selection import train_test_split

from merit.training.scoring import probes
from merit.training.scoring.probes import (
    Linear,
    best_probe,
    linear_probe,
    nearest_neighbours,
    published_probe,
    train_rows,
)
from merit.training.scoring.protocol import Protocol


def features_of(targets, noise, more=0, seed=1):
    rng = np.random.default_rng(seed)
    return {
        split: np.hstack([values + noise * rng.normal(size=values.shape), rng.normal(size=(len(values), more))]).astype(
            np.float32
        )
        for split, values in targets.items()
    }


@pytest.fixture(scope="module")
def targets():
    return random_targets()


@pytest.fixture(scope="module")
def protocol(targets):
    return Protocol(LABELS, targets, resamples=10)


@pytest.fixture(scope="module")
def noise(targets):
    return features_of({split: 0 * values for split, values in targets.items()}, 1.0, 100)


@pytest.mark.parametrize("fraction", [0.1, 1.0])
def test_a_probe_of_the_labels_themselves_is_perfect(targets, protocol, fraction):
    features = features_of(targets, 0.01)
    probe = linear_probe(features, protocol, fraction)
    assert protocol.macro_auroc("test", probe(features["test"])) == pytest.approx(1.0, abs=1e-3)


def test_a_probe_is_a_linear_layer_over_features_as_they_are(targets, protocol):
    features = {split: 3 * values + 7 for split, values in features_of(targets, 0.5, 4).items()}
    probe = linear_probe(features, protocol)
    weight, bias = probe.as_linear()
    assert weight.shape == (3, 7)
    scores = torch.from_numpy(features["test"]) @ weight.T + bias
    np.testing.assert_allclose(scores, probe(features["test"]), atol=1e-4)


def test_a_probe_with_few_labels_stays_near_its_start(targets, protocol):
    """Of three features among two hundred of noise, a start knows what twelve records cannot teach."""
    features = {split: 3 * values + 7 for split, values in features_of(targets, 0.3, 200).items()}
    known = Linear(torch.eye(3, 203), torch.full((3,), -8.5))
    auroc = {
        start is None: protocol.macro_auroc("test", linear_probe(features, protocol, 0.02, start)(features["test"]))
        for start in (None, known)
    }
    assert auroc[False] > 0.99
    assert auroc[True] < 0.9


def test_an_overwhelming_penalty_leaves_the_weights_of_the_start(targets, protocol, monkeypatch):
    monkeypatch.setattr(probes, "PENALTIES", (100.0,))
    features = {split: 3 * values + 7 for split, values in features_of(targets, 0.5, 4).items()}
    start = Linear(torch.randn(3, 7), torch.randn(3))
    weight, bias = linear_probe(features, protocol, start=start).as_linear()
    torch.testing.assert_close(weight, start.weight, atol=1e-2, rtol=1e-2)
    # The bias is free: as many are called as have the label.
    called = torch.sigmoid(torch.from_numpy(features["train"]) @ weight.T + bias).mean(0)
    torch.testing.assert_close(called, torch.from_numpy(targets["train"]).float().mean(0), atol=1e-2, rtol=1e-2)


def test_a_start_changes_little_where_all_labels_are_there(targets, protocol):
    features = features_of(targets, 1.0, 20)
    wrong = Linear(-torch.eye(3, 23), torch.zeros(3))
    from_nothing, from_there = (linear_probe(features, protocol, start=start) for start in (None, wrong))
    auroc = [protocol.macro_auroc("test", probe(features["test"])) for probe in (from_nothing, from_there)]
    assert auroc[1] == pytest.approx(auroc[0], abs=0.01)


def test_of_several_starts_the_best_on_validation_is_taken(targets, protocol):
    features = features_of(targets, 0.3, 200)
    rows = train_rows(protocol, 0.02)
    right, wrong = (Linear(sign * 5 * torch.eye(3, 203), torch.zeros(3)) for sign in (1, -1))
    fitted = features["train"][rows], targets["train"][rows], features["validation"], protocol
    for starts in ([wrong, right], [right, wrong]):
        assert protocol.macro_auroc("test", best_probe(*fitted, starts)(features["test"])) > 0.99


def test_a_probe_of_constant_features_knows_nothing(targets, protocol):
    features = {split: np.ones((len(values), 5), np.float32) for split, values in targets.items()}
    assert protocol.macro_auroc("test", linear_probe(features, protocol)(features["test"])) == 0.5
    assert protocol.macro_auroc("test", nearest_neighbours(features, protocol)[0]["test"]) == 0.5


def test_a_probe_of_noise_knows_nothing(noise, protocol):
    assert abs(protocol.macro_auroc("test", linear_probe(noise, protocol)(noise["test"])) - 0.5) < 0.05


def test_the_weakest_penalty_is_not_taken_where_features_are_mostly_noise(targets, protocol, monkeypatch):
    features = features_of(targets, 2.0, 500)
    auroc = {}
    for penalty in probes.PENALTIES:
        with monkeypatch.context() as patched:
            patched.setattr(probes, "PENALTIES", (penalty,))
            auroc[penalty] = protocol.macro_auroc(
                "validation", linear_probe(features, protocol)(features["validation"])
            )
    chosen = protocol.macro_auroc("validation", linear_probe(features, protocol)(features["validation"]))
    assert chosen > auroc[probes.PENALTIES[-1]] + 0.01
    assert chosen == pytest.approx(max(auroc.values()), abs=0.01)


def test_test_has_no_influence_on_a_probe(targets):
    features = features_of(targets, 1.0, 50)
    shuffled = {**targets, "test": np.random.default_rng(3).permutation(targets["test"])}
    one = linear_probe(features, Protocol(LABELS, targets, resamples=1))
    other = linear_probe({**features, "test": -features["test"]}, Protocol(LABELS, shuffled, resamples=1))
    assert np.array_equal(one.weight, other.weight)
    assert np.array_equal(one.bias, other.bias)


def test_validation_has_influence_on_a_probe(targets, noise, protocol):
    other = {**targets, "validation": np.random.default_rng(3).permutation(targets["validation"])}
    chosen = {
        float(np.abs(linear_probe(noise, Protocol(LABELS, t, resamples=1)).weight).sum()) for t in (targets, other)
    }
    assert len(chosen) == 2


def test_the_part_of_the_labels_is_drawn_as_published():
    targets = random_targets()
    targets["train"][:40] = 0
    protocol = Protocol(LABELS, targets, resamples=1)
    expected = train_test_split(np.arange(40, 600), train_size=0.1, random_state=42)[0]
    assert np.array_equal(train_rows(protocol, 0.1), expected)
    assert np.array_equal(train_rows(protocol), np.arange(40, 600))
    with pytest.raises(ValueError, match="larger fraction"):
        train_rows(protocol, 0.001)


def test_a_label_that_the_training_records_lack_does_not_stop_a_probe():
    targets = random_targets()
    targets["train"][:, 2] = 0
    features = features_of(targets, 0.5)
    scores = linear_probe(features, Protocol(LABELS, targets, resamples=1))(features["test"])
    assert np.isfinite(scores).all()
    assert scores[:, 2].max() < scores[:, :2].mean()


def test_neighbours_of_the_labels_themselves_are_perfect(targets, protocol):
    scores, number = nearest_neighbours(features_of(targets, 0.05), protocol)
    assert protocol.macro_auroc("test", scores["test"]) > 0.999
    assert number in probes.NEIGHBOURS


def test_there_are_no_more_neighbours_than_training_records():
    targets = random_targets(splits={"train": 7, "validation": 20, "test": 20})
    scores, number = nearest_neighbours(features_of(targets, 0.1), Protocol(LABELS, targets, resamples=1))
    assert number <= 7
    assert np.isfinite(scores["test"]).all()


def test_selection_on_test_flatters_where_there_is_nothing_to_know(noise, protocol):
    by = published_probe(noise, protocol, epochs=20)
    on_test = protocol.macro_auroc("test", by["test"]["test"])
    on_validation = protocol.macro_auroc("test", by["validation"]["test"])
    assert on_test > on_validation
    assert by["validation"]["test"].shape == (SPLITS["test"], 3)


@pytest.mark.slow
def test_the_published_probe_learns(targets, protocol):
    features = features_of(targets, 0.1)
    by = published_probe(features, protocol)
    assert protocol.macro_auroc("test", by["validation"]["test"]) > 0.99
