"""Metrics equal those of scikit-learn on every resample, and intervals hold their figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from merit.training.scoring import metrics

SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 40))]


def random_case(seed, records=120, labels=4, digits=1):
    """Targets, scores with many ties, patients with several records."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((records, labels)) < rng.uniform(0.02, 0.6, labels)).astype(np.uint8)
    scores = np.round(rng.normal(size=targets.shape) + targets, digits)
    return targets, scores, rng.integers(0, records // 2, records)


@pytest.mark.parametrize("seed", SEEDS)
def test_ranking_figures_are_those_of_scikit_learn_on_every_resample(seed):
    targets, scores, patients = random_case(seed, digits=seed % 9)
    counts = metrics.resample_counts(patients, resamples=10, seed=seed)
    auroc, precision = metrics.ranking(targets, scores, counts)
    for label in range(targets.shape[1]):
        for column in range(counts.shape[1]):
            rows = np.repeat(np.arange(len(targets)), counts[:, column].astype(int))
            target, score = targets[rows, label], scores[rows, label]
            if 0 < target.sum() < len(target):
                assert auroc[label, column] == pytest.approx(roc_auc_score(target, score), abs=1e-12)
                assert precision[label, column] == pytest.approx(average_precision_score(target, score), abs=1e-12)
            else:
                assert np.isnan(auroc[label, column])
                assert np.isnan(precision[label, column])


def test_the_quick_auroc_is_that_of_the_first_resample():
    targets, scores, patients = random_case(5)
    found, _ = metrics.ranking(targets, scores, metrics.resample_counts(patients, 1))
    np.testing.assert_allclose(metrics.auroc(targets, scores), found[:, 0])
    assert np.isnan(metrics.auroc(np.ones_like(targets), scores)).all()


def test_thresholded_figures_are_those_of_scikit_learn_on_every_resample():
    targets, scores, patients = random_case(3)
    counts = metrics.resample_counts(patients, resamples=20)
    thresholds = np.array([0.0, 0.5, 1.0, 99.0])
    found = metrics.at_thresholds(targets, scores, thresholds, counts)
    for label in range(4):
        for column in range(21):
            weight, target = counts[:, column], targets[:, label]
            called = scores[:, label] >= thresholds[label]
            if target @ weight:
                f1 = f1_score(target, called, sample_weight=weight, zero_division=0)
                assert found["f1"][label, column] == pytest.approx(f1)
                recall = recall_score(target, called, sample_weight=weight)
                assert found["sensitivity"][label, column] == pytest.approx(recall)
            specificity = recall_score(1 - target, ~called, sample_weight=weight)
            assert found["specificity"][label, column] == pytest.approx(specificity)


def test_a_resample_holds_all_records_of_a_patient_equally_often():
    patients = np.array([7, 7, 8, 9, 9, 9])
    counts = metrics.resample_counts(patients, resamples=200)
    assert np.array_equal(counts[:, 0], np.ones(6))
    assert np.array_equal(counts[0], counts[1])
    assert np.array_equal(counts[3], counts[5])
    drawn = counts[[0, 2, 3], 1:]
    assert np.array_equal(drawn.sum(0), np.full(200, 3))
    assert drawn.std() > 0.5


def test_resamples_are_the_same_every_time():
    units = np.arange(50)
    assert np.array_equal(metrics.resample_counts(units, 5), metrics.resample_counts(units, 5))
    assert not np.array_equal(metrics.resample_counts(units, 5), metrics.resample_counts(units, 5, seed=1))


def test_a_label_without_positives_or_negatives_has_no_ranking():
    targets = np.array([[0, 1], [0, 1]], np.uint8)
    auroc, precision = metrics.ranking(
        targets, np.random.default_rng(0).normal(size=(2, 2)), np.ones((2, 1), np.float32)
    )
    assert np.isnan(auroc).all()
    assert np.isnan(precision).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_threshold_has_a_higher_f1_than_the_best(seed):
    targets, scores, _ = random_case(seed, records=40)
    thresholds = metrics.best_f1_thresholds(targets, scores)
    for label in range(4):
        target, score = targets[:, label], scores[:, label]
        if target.any():
            every = [f1_score(target, score >= threshold) for threshold in np.unique(score)]
            assert f1_score(target, score >= thresholds[label]) == pytest.approx(max(every))
        else:
            assert thresholds[label] == np.inf


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), specificity=st.sampled_from([0.5, 0.8, 0.9]))
def test_the_specificity_asked_for_is_reached_and_no_lower_threshold_would_reach_it(seed, specificity):
    targets, scores, _ = random_case(seed, records=40)
    thresholds = metrics.specificity_thresholds(targets, scores, specificity)
    for target, score, threshold in zip(targets.T, scores.T, thresholds):
        negatives = score[target == 0]
        assert (negatives < threshold).mean() >= specificity - 1e-9
        if len(below := np.unique(score[score < threshold])):
            assert (negatives < below[-1]).mean() < specificity


def test_calibration_recovers_the_probabilities_that_made_the_labels():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20_000, 1))
    truth = 1 / (1 + np.exp(-(2 * scores - 1)))
    slope, intercept = metrics.fit_calibration((rng.random(truth.shape) < truth).astype(np.uint8), scores)
    assert slope[0] == pytest.approx(2, abs=0.1)
    assert intercept[0] == pytest.approx(-1, abs=0.1)


def test_a_label_nobody_has_gets_a_small_probability_whatever_the_score():
    slope, intercept = metrics.fit_calibration(np.zeros((99, 1), np.uint8), np.arange(99.0)[:, None])
    assert slope[0] == 0
    assert 1 / (1 + np.exp(-intercept[0])) == pytest.approx(0.005)


def test_calibration_error_is_the_gap_between_said_and_seen():
    targets = np.array([[1], [1], [1], [0]])
    ones = np.ones((4, 1), np.float32)
    found = metrics.calibration(targets, np.full((4, 1), 0.95), ones)
    assert found["ece"][0, 0] == pytest.approx(0.2)
    assert found["brier"][0, 0] == pytest.approx((3 * 0.05**2 + 0.95**2) / 4)
    assert metrics.calibration(targets, np.full((4, 1), 0.75), ones)["ece"][0, 0] == pytest.approx(0)


def test_the_median_of_a_resample_is_that_of_its_records():
    values, counts = np.array([5.0, 1.0, 3.0]), np.array([[1, 0, 2], [1, 2, 0], [1, 1, 0]], np.float32)
    assert metrics.median(values, counts).tolist() == [3.0, 1.0, 5.0]


def test_macro_leaves_out_labels_that_a_resample_does_not_define():
    values = np.array([[0.5, np.nan], [1.0, 0.75]])
    assert metrics.mean_over_labels(values).tolist() == [0.75, 0.75]
    assert metrics.mean_over_labels(values, np.array([[3.0, 1.0], [1.0, 1.0]])).tolist() == [0.625, 0.75]


def test_an_interval_is_moved_so_that_its_median_lies_on_the_figure():
    replicates = np.linspace(0.3, 0.5, 201)
    assert metrics.interval(np.append(0.4, replicates)) == {"value": 0.4, "low": 0.305, "high": 0.495}
    assert metrics.interval(np.append(0.25, replicates)) == {"value": 0.25, "low": 0.155, "high": 0.345}


def test_the_interval_of_an_auroc_is_the_percentiles_of_its_replicates():
    values = np.append(0.4, np.linspace(0.3, 0.6, 201))
    percentiles = {"value": 0.4, "low": 0.3075, "high": 0.5925}
    assert metrics.interval(values, "auroc") == metrics.interval(values, "auroc_weighted") == percentiles
    moved = {"value": 0.4, "low": 0.2575, "high": 0.5425}
    assert metrics.intervals({"auroc": values, "f1": values}) == {"auroc": percentiles, "f1": moved}


def test_an_interval_stays_between_the_limits_of_its_figure():
    assert metrics.interval(np.append(0.01, np.linspace(0.0, 0.2, 201)))["low"] == 0.0
    assert metrics.interval(np.append(0.99, np.linspace(0.8, 1.0, 201)))["high"] == 1.0
    assert metrics.interval(np.append(-0.1, np.linspace(-0.4, 0.0, 201)))["low"] == pytest.approx(-0.29)
    assert metrics.interval(np.append(26.0, np.linspace(20, 30, 201)))["high"] == pytest.approx(30.75)


def test_a_figure_without_replicates_has_no_interval():
    undefined = {"value": 0.5, "low": None, "high": None}
    assert metrics.interval(np.array([0.5])) == metrics.interval(np.array([0.5, np.nan, np.nan])) == undefined


@pytest.mark.parametrize("metric", ["auprc", "ece"])
def test_intervals_of_figures_that_resampling_biases_hold_them(metric):
    """Percentiles of replicates miss the average precision of rare labels and the calibration error altogether."""
    rng = np.random.default_rng(1)
    prevalence = 0.004 if metric == "auprc" else 0.05
    targets = (rng.random((600, 100)) < prevalence).astype(np.uint8)
    counts = metrics.resample_counts(np.arange(600), 100)
    if metric == "auprc":
        figures = metrics.ranking(targets, rng.normal(size=targets.shape) + 2 * targets, counts)[1]
    else:
        figures = metrics.calibration(targets, np.full(targets.shape, prevalence), counts)["ece"]
    macro = metrics.mean_over_labels(figures)
    low, high = np.percentile(macro[1:], (2.5, 97.5))
    assert not low <= macro[0] <= high
    found = metrics.interval(macro, metric)
    assert found["low"] < found["value"] < found["high"]
    assert found["high"] - found["low"] == pytest.approx(high - low, rel=0.6)
