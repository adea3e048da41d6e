"""Physiology from features: what is linear in them is found, what is not there is not, and the truths are the truth."""

import numpy as np
import pandas as pd
import pytest

from merit.training.evaluation.physiology import QUANTITIES, measure, physiology, simulated_truths


def known(truths, noise=0.0, seed=0):
    """Features that hold every quantity linearly, beside others that hold nothing."""
    rng = np.random.default_rng(seed)
    angle = np.radians(truths["axis"])
    columns = [np.cos(angle), np.sin(angle), *(truths[name].fillna(0) for name in QUANTITIES if name != "axis")]
    columns = [(column - column.mean()) / column.std() for column in columns]
    signal = np.stack(columns, axis=1) + noise * rng.standard_normal((len(truths), len(columns)))
    mixed = signal @ np.random.default_rng(9).standard_normal((signal.shape[1], 24))
    return mixed + 1e-3 * rng.standard_normal(mixed.shape)


@pytest.fixture(scope="module")
def truths():
    """Of 900 simulated hearts."""
    ids = [f"records100/00000/{i:05d}_lr" for i in range(1, 901)]
    table = simulated_truths(ids, seed=0)
    return {"train": table[:500], "validation": table[500:650], "test": table[650:]}


def test_what_features_hold_linearly_is_explained_and_noise_is_not(truths):
    clear = physiology({split: known(table) for split, table in truths.items()}, truths, resamples=50)
    assert list(clear) == list(QUANTITIES)
    for name, found in clear.items():
        assert found["r2"]["value"] > (0.9 if name == "pr" else 0.95), name
        assert found["r2"]["low"] <= found["r2"]["value"] <= found["r2"]["high"]
        assert found["unit"] == QUANTITIES[name]
    rng = np.random.default_rng(1)
    empty = {split: rng.standard_normal((len(table), 24)) for split, table in truths.items()}
    for name, found in physiology(empty, truths, resamples=50).items():
        assert found["r2"]["value"] < 0.1, name
        assert found["penalty"] >= 0.1, name
    noisy = {split: known(table, 1.0, i) for i, (split, table) in enumerate(truths.items())}
    for name, found in physiology(noisy, truths, resamples=50).items():
        assert 0.1 < found["r2"]["value"] < clear[name]["r2"]["value"], name


def test_replicates_of_two_encoders_are_of_the_same_resamples(truths):
    features = {split: known(table, 0.5, i) for i, (split, table) in enumerate(truths.items())}
    one, same = (physiology(features, truths, resamples=50)["qrs"]["replicates"] for _ in range(2))
    scaled = {split: 3 * values - 1 for split, values in features.items()}
    np.testing.assert_array_equal(one, same)
    np.testing.assert_allclose(physiology(scaled, truths, resamples=50)["qrs"]["replicates"], one, atol=1e-9)
    assert one.shape == (50,)
    assert one.std() > 0


def test_r2_is_that_of_scikit_learn(truths):
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    features = {split: known(table, 0.5, i) for i, (split, table) in enumerate(truths.items())}
    found = physiology(features, truths, resamples=2)["qrs"]
    mean, deviation = features["train"].mean(0), features["train"].std(0)
    x = {split: (values - mean) / deviation for split, values in features.items()}
    fit = Ridge(alpha=found["penalty"] * 500).fit(x["train"], truths["train"]["qrs"])
    assert found["r2"]["value"] == pytest.approx(r2_score(truths["test"]["qrs"], fit.predict(x["test"])), abs=1e-5)


def test_the_axis_has_no_edge_at_180_degrees():
    angle = np.random.default_rng(0).uniform(150, 210, 600)
    table = pd.DataFrame({"axis": (angle + 180) % 360 - 180})
    features = np.stack([np.cos(np.radians(angle)), np.sin(np.radians(angle))], axis=1)
    truths = {"train": table[:300], "validation": table[300:450], "test": table[450:]}
    found = physiology(dict(zip(truths, np.split(features, [300, 450]))), truths, resamples=10)
    assert found["axis"]["r2"]["value"] > 0.99


def test_records_without_a_truth_are_left_out_and_counted(truths):
    features = {split: known(table) for split, table in truths.items()}
    found = physiology(features, truths, resamples=10)
    assert found["pr"]["records"] == {split: int(table["pr"].notna().sum()) for split, table in truths.items()}
    assert found["pr"]["records"]["test"] < found["qrs"]["records"]["test"] == 250
    nobody = {split: table.assign(pr=np.nan) for split, table in truths.items()}
    assert physiology(features, nobody, resamples=10)["pr"]["r2"]["value"] is None


def test_truths_of_other_records_are_refused(truths):
    features = {split: known(table) for split, table in truths.items()}
    with pytest.raises(ValueError, match="test: 250 features and 249 truths"):
        physiology(features, {**truths, "test": truths["test"][1:]})
    with pytest.raises(ValueError, match="none of heart_rate"):
        physiology(features, {split: table[[]] for split, table in truths.items()})


def test_simulated_truths_are_those_that_the_simulation_wrote_down(simulated):
    written = pd.read_csv(simulated / "simulation.csv")
    found = simulated_truths([f"records100/00000/{i:05d}_lr" for i in written["ecg_id"]], seed=0)
    columns = {"heart_rate": "heart_rate_bpm", "pr": "pr_ms", "qrs": "qrs_ms", "qt": "qt_ms"}
    for name, column in {**columns, "axis": "qrs_axis_degrees", "st_v5": "st_v5_mv"}.items():
        np.testing.assert_allclose(found[name], written[column], atol=0.051, err_msg=name)
    sokolow_lyon = written["sokolow_lyon_mv"]
    assert (found["s_v1"] + found["r_v5"] <= sokolow_lyon + 0.001).all()
    assert np.corrcoef(found["s_v1"] + found["r_v5"], sokolow_lyon)[0, 1] > 0.97


@pytest.mark.slow
def test_measuring_says_what_it_needs(dataset):
    try:
        import neurokit2  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match="in an environment of their own"):
            measure(dataset["validation"])
    else:
        found = measure(dataset["validation"])
        truth = simulated_truths(found["record_id"], seed=0)
        assert (found["heart_rate"] - truth["heart_rate"]).abs().median() < 2
        assert (found["qrs"] - truth["qrs"]).abs().median() < 40
        assert (found["axis"] - truth["axis"]).abs().median() < 5
