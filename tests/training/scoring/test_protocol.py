"""Perfect scores give 1, random scores 0.5, and nothing is fitted to the test records."""

import numpy as np
import pytest
from random_values import LABELS, random_targets
from sklearn.metrics import roc_auc_score

from merit.training.scoring.protocol import Protocol


@pytest.fixture
def targets():
    return random_targets()


@pytest.fixture
def protocol(targets):
    return Protocol(LABELS, targets)


def score(protocol, validation, test, detail=True):
    return protocol.score(test, None if validation is None else protocol.fit(validation), detail)


def noisy(targets, noise=1.0, seed=1):
    rng = np.random.default_rng(seed)
    return {split: values + noise * rng.normal(size=values.shape) for split, values in targets.items()}


def test_scores_that_are_the_labels_are_perfect(protocol, targets):
    figures = score(protocol, targets["validation"].astype(float), targets["test"].astype(float))
    for metric in ("auroc", "auprc", "f1", "f1_oracle_threshold", "auroc_weighted"):
        assert figures["metrics"][metric] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert figures["metrics"]["brier"]["value"] < 0.01
    assert figures["labels"]["A"]["auroc"]["value"] == 1.0


def test_constant_scores_have_auroc_one_half(protocol, targets):
    figures = score(protocol, np.ones_like(targets["validation"], float), np.ones_like(targets["test"], float))
    assert figures["metrics"]["auroc"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert figures["metrics"]["ece"]["value"] < 0.1


def test_shuffled_labels_have_auroc_one_half_within_the_interval(protocol, targets):
    inside = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores = {split: rng.permutation(values).astype(float) for split, values in targets.items()}
        auroc = score(protocol, scores["validation"], scores["test"], detail=False)["metrics"]["auroc"]
        assert auroc["low"] < auroc["value"] < auroc["high"]
        inside += auroc["low"] <= 0.5 <= auroc["high"]
    assert inside >= 16


def test_macro_is_the_mean_of_scikit_learns_figures(protocol, targets):
    scores = noisy(targets)
    figures = score(protocol, scores["validation"], scores["test"])
    expected = [roc_auc_score(targets["test"][:, i], scores["test"][:, i]) for i in range(3)]
    assert figures["metrics"]["auroc"]["value"] == pytest.approx(np.mean(expected), abs=1e-5)
    weights = targets["test"].sum(0)
    assert figures["metrics"]["auroc_weighted"]["value"] == pytest.approx(
        np.average(expected, weights=weights), abs=1e-5
    )
    assert [figures["labels"][label]["auroc"]["value"] for label in LABELS] == pytest.approx(expected, abs=1e-5)


def test_the_interval_is_that_of_resampled_patients():
    """Each patient thrice is no more evidence than each patient once: the interval must not shrink."""
    once = random_targets(splits={"validation": 150, "test": 150})
    scores = noisy(once, 2.0)
    single = score(Protocol(LABELS, once), scores["validation"], scores["test"], detail=False)["metrics"]["auroc"]
    thrice = {split: np.repeat(values, 3, 0) for split, values in once.items()}
    repeated = np.repeat(scores["validation"], 3, 0), np.repeat(scores["test"], 3, 0)
    patients = np.repeat(np.arange(150), 3)
    clustered = score(Protocol(LABELS, thrice, patients), *repeated, detail=False)["metrics"]["auroc"]
    naive = score(Protocol(LABELS, thrice), *repeated, detail=False)["metrics"]["auroc"]
    assert clustered == single
    assert naive["high"] - naive["low"] < 0.7 * (single["high"] - single["low"])


def test_records_without_a_label_of_the_task_are_left_out(targets):
    scores = noisy(targets)
    expected = score(Protocol(LABELS, targets), scores["validation"], scores["test"])
    more = {split: np.vstack([values, np.zeros((50, 3), np.uint8)]) for split, values in targets.items()}
    misleading = {split: np.vstack([values, np.full((50, 3), 99.0)]) for split, values in scores.items()}
    found = score(Protocol(LABELS, more), misleading["validation"], misleading["test"])
    np.testing.assert_equal(found, expected)


def test_thresholds_and_calibration_never_see_test(targets):
    scores = noisy(targets)
    figures = score(Protocol(LABELS, targets), scores["validation"], scores["test"])
    flipped = {**targets, "test": np.where(np.arange(len(targets["test"]))[:, None] % 2, targets["test"], 1)}
    other = score(Protocol(LABELS, flipped), scores["validation"], scores["test"])
    # Where the model calls and how sure it is do not depend on what the test records have.
    assert figures["reliability"]["predicted"] == other["reliability"]["predicted"]
    assert figures["reliability"]["number"] == other["reliability"]["number"]
    assert figures["reliability"]["observed"] != other["reliability"]["observed"]


def test_oracle_thresholds_flatter(protocol, targets):
    gaps = []
    for seed in range(10):
        scores = noisy(targets, 3.0, seed)
        found = score(protocol, scores["validation"], scores["test"])["metrics"]
        gaps.append(found["f1_oracle_threshold"]["value"] - found["f1"]["value"])
    assert min(gaps) >= 0
    assert np.mean(gaps) > 0.001


def test_a_softmax_over_labels_distorts_the_ranking_of_a_multi_label_task(protocol, targets):
    """Records with one label more or less: the same evidence for A counts less where B is there too."""
    scores = {split: 4.0 * values for split, values in targets.items()}
    soft = {split: np.exp(values) / np.exp(values).sum(1, keepdims=True) for split, values in scores.items()}
    assert score(protocol, scores["validation"], scores["test"], False)["metrics"]["auroc"]["value"] == 1.0
    rng = np.random.default_rng(0)
    level = {split: rng.normal(size=(len(values), 1)) * 4 + scores[split] for split, values in targets.items()}
    # A shift of all scores of a record is invisible to the softmax, and decides the ranking without it.
    unshifted = {split: np.exp(values) / np.exp(values).sum(1, keepdims=True) for split, values in level.items()}
    np.testing.assert_allclose(unshifted["test"], soft["test"])
    plain = score(protocol, level["validation"], level["test"], False)["metrics"]["auroc"]["value"]
    distorted = score(protocol, soft["validation"], soft["test"], False)["metrics"]["auroc"]["value"]
    assert abs(plain - distorted) > 0.1


def test_rare_labels_are_reported_apart_and_count_in_the_macro(targets):
    targets["test"][:, 2] = 0
    targets["test"][:5, 2] = 1
    kept = targets["test"].any(1)
    scores = noisy(targets)
    figures = score(Protocol(LABELS, targets), scores["validation"], scores["test"])
    assert figures["positives"]["C"] == 5
    assert figures["rare_labels"]["labels"] == 1
    assert figures["other_labels"]["labels"] == 2
    assert figures["records"] == kept.sum()
    of = {label: figures["labels"][label]["auroc"]["value"] for label in LABELS}
    assert figures["rare_labels"]["metrics"]["auroc"]["value"] == of["C"]
    assert figures["other_labels"]["metrics"]["auroc"]["value"] == pytest.approx((of["A"] + of["B"]) / 2, abs=1e-5)
    assert figures["metrics"]["auroc"]["value"] == pytest.approx(sum(of.values()) / 3, abs=1e-5)


def test_without_validation_only_figures_that_need_no_threshold_are_given(targets):
    protocol = Protocol(LABELS, {"test": targets["test"]})
    figures = score(protocol, None, noisy(targets)["test"])
    assert set(figures["metrics"]) == {"auroc", "auprc", "auroc_weighted"}
    assert set(figures["replicates"]) == {"auroc"}
    assert "reliability" not in figures


def test_judging_some_labels_leaves_out_no_other_records(targets):
    scores = noisy(targets)
    whole = score(Protocol(LABELS, targets), scores["validation"], scores["test"])
    part = score(Protocol(LABELS, targets, only=["B"]), scores["validation"][:, [1]], scores["test"][:, [1]])
    assert part["records"] == whole["records"]
    assert part["labels"]["B"]["auroc"] == whole["labels"]["B"]["auroc"]
    assert set(part["labels"]) == {"B"}


def test_scores_that_are_no_numbers_are_refused(protocol, targets):
    scores = noisy(targets)
    scores["test"][0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        score(protocol, scores["validation"], scores["test"])


def test_a_split_in_which_nobody_has_a_label_is_named(targets):
    with pytest.raises(ValueError, match="validation"):
        Protocol(LABELS, {**targets, "validation": np.zeros((5, 3), np.uint8)})
