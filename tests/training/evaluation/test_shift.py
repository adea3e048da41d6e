"""Scores on another data set, on the labels in common."""

from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, DatasetDict, List, concatenate_datasets
from oracle import Oracle

from merit.training.data.catalogue import open_source
from merit.training.data.preparation import load_prepared, prepare
from merit.training.data.schema import label_names
from merit.training.evaluation.context import EvaluationContext
from merit.training.evaluation.evaluate import evaluate
from merit.training.evaluation.shift import shift


def renamed(rows, task, labels, columns):
    """A data set with the single task cpsc2018, whose labels are columns of another task."""
    values = np.asarray(rows[f"labels_{task}"])[:, columns]
    kept = rows.select_columns(["record_id", "patient_id", "signal", "gain", "baseline", "sampling_rate", "lead_names"])
    names = "cpsc2018"
    kept = kept.add_column(names, [np.flatnonzero(row).tolist() for row in values])
    kept = kept.cast_column(names, List(ClassLabel(names=labels)))
    return kept.add_column(f"labels_{names}", values.tolist())


def test_shift_scores_the_labels_that_two_data_sets_share(dataset):
    oracle = Oracle(dataset, "super")
    known = label_names(dataset["test"], "super")
    columns = [known.index("NORM"), known.index("CD")]
    other = DatasetDict({"test": renamed(dataset["test"], "super", ["NORM", "1AVB"], columns)})
    [result] = [
        result
        for result in evaluate(oracle, dataset, ["super"], ["linear-probe"], shift_to=[other], resamples=5)
        if "shift" in result["setting"]
    ]
    assert result["setting"] == {"shift": "super > cpsc2018"}
    assert result["task"] == "cpsc2018"
    assert set(result["labels"]) == {"NORM", "1AVB"}
    assert result["metrics"]["auroc"]["value"] > 0.98


def test_shift_is_measured_zero_shot_too(encoder, dataset):
    known = label_names(dataset["test"], "super")
    other = DatasetDict(
        {"test": renamed(dataset["test"], "super", ["NORM", "1AVB"], [known.index("NORM"), known.index("CD")])}
    )
    source = DatasetDict({split: dataset[split] for split in ("validation", "test")})
    found = list(shift(EvaluationContext(encoder, source, ["super"], resamples=5), other))
    assert [(result["method"], result["setting"]["shift"]) for result in found] == [("zero-shot", "super > cpsc2018")]


@pytest.fixture(scope="module")
def real_samples(tmp_path_factory):
    """All real sample records of CPSC2018 and CSN in every split: too few for results, enough to run the code."""
    folder = Path(__file__).parents[4] / "shared" / "external"
    if not (folder / "cpsc2018").is_dir():
        pytest.skip("the real samples are not on this machine")
    data_sets = {}
    for name, source in (("cpsc2018", "cpsc2018"), ("csn", "chapman_shaoxing_ningbo")):
        output = tmp_path_factory.mktemp("prepared") / name
        prepared = load_prepared(prepare(open_source(name, folder / source), output))
        whole = concatenate_datasets(list(prepared.values()))
        data_sets[name] = DatasetDict(dict.fromkeys(("train", "validation", "test"), whole))
    return data_sets


@pytest.mark.slow
def test_real_samples_run_through_zero_shot_and_all_six_shifts(encoder, dataset, real_samples):
    sets = {"super": dataset, "cpsc2018": real_samples["cpsc2018"], "csn-clean": real_samples["csn"]}
    found, scored = {}, {}
    for task, source in sets.items():
        others = [other for name, other in sets.items() if name != task]
        for result in evaluate(encoder, source, [task], ["zero-shot"], shift_to=others, resamples=20):
            if "shift" in result["setting"]:
                found.setdefault(result["setting"]["shift"], {})[result["method"]] = result
            elif not result["setting"]:
                scored[task] = result
    pairs = {(a, b) for a in ("super", "cpsc2018", "csn") for b in ("super", "cpsc2018", "csn")} - {
        (a, a) for a in ("super", "cpsc2018", "csn")
    }
    assert {tuple(name.partition("-")[0] for name in shift.split(" > ")) for shift in found} == pairs
    for ways in found.values():
        assert set(ways) == {"zero-shot", "linear-probe"}
        assert ways["zero-shot"]["records"] == ways["linear-probe"]["records"]
        assert ways["zero-shot"]["metrics"]["auroc"]["value"] is not None
    assert scored["cpsc2018"]["records"] == 60
    assert len(scored["cpsc2018"]["labels"]) == 9
