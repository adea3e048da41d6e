"""Evaluation of any encoder, end to end, by function and by command."""

import json

import pytest
import torch
from datasets import Dataset, DatasetDict
from oracle import Oracle

from merit.commands import main
from merit.processing.inputs_merit import recording_of_row
from merit.processing.leads_merit import STANDARD_LEADS
from merit.training.batching.collator import ecg_rows
from merit.training.evaluation.evaluate import ALL_METHODS, evaluate
from merit.training.scoring.embeddings import embed
from merit.training.scoring.perturbations import Perturbation
from merit.training.scoring.probes import linear_probe
from merit.training.scoring.protocol import protocol_of
from merit.training.scoring.zero_shot import label_embeddings, linear_start


class TorchEncoder:
    """Any convolutional network behind the interface of an encoder."""

    name, fingerprint = "someone else's", None

    def __init__(self):
        torch.manual_seed(0)
        self.network = torch.nn.Sequential(
            torch.nn.Conv1d(12, 16, 15, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool1d(4), torch.nn.Flatten()
        )

    @torch.inference_mode()
    def embed(self, rows):
        ecg = torch.zeros(len(rows), 12, 1000)  # missing leads are zero
        for i, row in enumerate(rows):
            signal = torch.from_numpy(recording_of_row(row).physical()).float()
            ecg[i, [STANDARD_LEADS.index(name) for name in row["lead_names"]], : signal.shape[1]] = signal
        return self.network(ecg).numpy()


def test_an_encoder_whose_features_are_the_labels_scores_one(dataset):
    results = evaluate(Oracle(dataset, "super"), dataset, ["super"], ["linear-probe", "knn"], resamples=20)
    whole = [result for result in results if not result["setting"]]
    assert [result["method"] for result in whole] == ["linear-probe", "knn"]
    for result in whole:
        assert result["metrics"]["auroc"]["value"] > 0.99
    # One per cent of these few recordings is less than one.
    assert {result["setting"].get("train_fraction") for result in results} == {None, 0.1}


def test_probes_are_fitted_to_the_fractions_that_are_requested(dataset):
    oracle = Oracle(dataset, "super")
    results = evaluate(oracle, dataset, ["super"], ["linear-probe"], fractions=[0.25, 0.5], resamples=5)
    assert [result["setting"] for result in results] == [{"train_fraction": 0.25}, {"train_fraction": 0.5}]


def test_any_torch_network_can_be_evaluated(dataset):
    results = evaluate(TorchEncoder(), dataset, ["super"], ["linear-probe", "zero-shot", "robustness"], resamples=5)
    assert {result["method"] for result in results} == {"linear-probe"}  # it reads no text
    assert sum(1 for result in results if "noise" not in result["setting"]) >= 3
    assert all(0 <= result["metrics"]["auroc"]["value"] <= 1 for result in results)


def test_lead_sets_that_a_recording_lacks_are_left_out_with_a_warning(dataset):
    rows = dataset["test"].to_list()
    rows[1] |= Perturbation(leads=("V1", "V2"))([ecg_rows(dataset["test"])[1]])[0]
    some = DatasetDict({**dataset, "test": Dataset.from_list(rows, features=dataset["test"].features)})
    with pytest.warns(UserWarning, match="no figures with leads I, II alone: some test recordings have none of them"):
        results = evaluate(TorchEncoder(), some, ["super"], ["linear-probe", "robustness"], resamples=5)
    assert [result["setting"]["leads"] for result in results if "leads" in result["setting"]] == [["I", "II", "V2"]]


@pytest.mark.slow
def test_every_method_but_fine_tuning_runs_on_a_model(encoder, dataset, tmp_path):
    logged = []
    results = evaluate(
        encoder, dataset, ["super", "rhythm"], cache=tmp_path, published_protocol=False, resamples=5, log=logged.append
    )
    assert logged == results
    # Robustness results have the method of their scores; the initialisation of a probe is a setting.
    others = {"fine-tuned", "robustness", "linear-probe-from-zero-shot"}
    assert {result["method"] for result in results} == set(ALL_METHODS) - others
    assert {"start": "zero-shot"} in [result["setting"] for result in results]
    settings = [result["setting"] for result in results if (result["task"], result["method"]) == ("super", "zero-shot")]
    assert settings[:3] == [{}, {"language": "en"}, {"language": "de"}]
    assert {"leads": ["I"]} in settings
    assert {"noise": "white", "noise_db": 0.0} in settings
    assert all(result["split"] == "test" for result in results)


def test_results_of_the_published_protocol_are_marked_as_such(encoder, dataset):
    methods = ["zero-shot", "linear-probe"]
    results = evaluate(encoder, dataset, ["super"], methods, published_protocol=True, fractions=[1.0], resamples=5)
    settings = [result["setting"] for result in results]
    assert {"scores": "softmax"} in settings
    by = {
        result["setting"]["selection"]: result["metrics"]["auroc"]["value"]
        for result in results
        if result["setting"].get("protocol") == "published"
    }
    assert by["test"] >= by["validation"]


@pytest.mark.slow
def test_probes_initialised_from_zero_shot_are_measured_too(encoder, dataset):
    methods = ["linear-probe", "linear-probe-from-zero-shot"]
    results = evaluate(encoder, dataset, ["super"], methods, fractions=[0.25, 1.0], resamples=5)
    settings = [result["setting"] for result in results]
    from_zero_shot = {"start": "zero-shot"}
    assert settings == [{"train_fraction": 0.25}, {"train_fraction": 0.25, **from_zero_shot}, {}, from_zero_shot]
    features = {split: embed(encoder, rows) for split, rows in dataset.items()}
    protocol = protocol_of(dataset, "super", 5)
    start = linear_start(encoder, label_embeddings(encoder, "super", protocol.labels), features["train"])
    expected = protocol.macro_auroc("test", linear_probe(features, protocol, 0.25, start)(features["test"]))
    assert results[1]["metrics"]["auroc"]["value"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": ["supper"]}, "supper"),
        ({"methods": ["zeroshot"]}, "zeroshot"),
        ({"fractions": [0.5, 2.0]}, r"at most 1, in ascending order, not \[0.5, 2.0\]"),
        ({"fractions": [1.0, 0.5]}, "ascending order"),
        ({"fractions": []}, "ascending order"),
    ],
)
def test_unknown_tasks_and_methods_and_invalid_fractions_are_named(encoder, dataset, arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluate(encoder, dataset, **arguments)


def test_zero_shot_needs_no_training_records(encoder, dataset):
    splits = DatasetDict({split: dataset[split] for split in ("validation", "test")})
    assert len(evaluate(encoder, splits, ["super"], ["zero-shot"], resamples=5)) == 3


def test_a_missing_split_is_named(encoder, dataset):
    with pytest.raises(ValueError, match="train"):
        evaluate(encoder, DatasetDict({"test": dataset["test"]}), ["super"], ["linear-probe"])


@pytest.mark.slow
def test_the_command_writes_the_same_file_twice(model_folder, simulated, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    output = tmp_path / "results.json"
    command = ["merit", "evaluate", model_folder, "--data", simulated, "--output", output, "--tasks", "super"]
    command += ["--only", "zero-shot", "linear-probe", "retrieval", "--cache", tmp_path / "cache"]
    monkeypatch.setattr("sys.argv", list(map(str, command)))
    assert main() == 0
    first = output.read_bytes()
    assert main() == 0
    assert output.read_bytes() == first
    for cached in (tmp_path / "cache").iterdir():
        cached.unlink()
    assert main() == 0
    assert output.read_bytes() == first
    assert "super zero-shot: auroc 0." in capsys.readouterr().out
    content = json.loads(first)
    assert content["format"] == 2
    assert set(content["data"]["splits"]) == {"train", "validation", "test"}
    assert content["command"].startswith("merit evaluate model --data")
    assert str(tmp_path) not in first.decode()
    for value in (
        content["model"]["weights_sha256"],
        content["data"]["sha256"],
        content["commit"],
        content["versions"],
    ):
        assert value
