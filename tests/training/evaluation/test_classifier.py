"""Evaluation of fine-tuned classifiers, by function and by command."""

import json

import pytest
from transformers import AutoModel

from merit import MeritConfig, MeritForEcgClassification
from merit.commands import main
from merit.training.evaluation.classifier import evaluate_classifier
from merit.training.learning.finetuning import SHARES
from merit.training.results.weights import weights_sha256
from merit.training.scoring.encoders import CheckpointClassifier


def test_a_classifier_of_other_labels_is_refused(encoder, dataset):
    model = MeritForEcgClassification(MeritConfig(**{**encoder.model.config.to_dict(), "num_labels": 2}))
    with pytest.raises(ValueError, match="knows LABEL_0, LABEL_1, which are not the labels of"):
        evaluate_classifier(CheckpointClassifier(model, encoder.processor), dataset)


@pytest.mark.slow
def test_a_model_is_fine_tuned_and_evaluated_by_commands(model_folder, simulated, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    classifier, output = tmp_path / "classifier", tmp_path / "results.json"

    def run(*command):
        monkeypatch.setattr("sys.argv", ["merit", *map(str, command)])
        return main(), capsys.readouterr()

    data = ("--data", simulated)
    status, printed = run("finetune", model_folder, *data, "--task", "supper", "--output", classifier)
    assert status == 1
    assert "has no task supper; it has all" in printed.err
    assert run("finetune", model_folder, *data, "--task", "super", "--output", classifier, "--epochs", "1")[0] == 0
    status, printed = run("evaluate", classifier, *data, "--output", output, "--only", "knn")
    assert status == 1
    assert "is a classifier, which is evaluated on its own labels: leave out --only." in printed.err
    assert run("evaluate", classifier, *data, "--output", output)[0] == 0
    content = json.loads(output.read_text())
    assert [(result["task"], result["method"]) for result in content["results"]] == [("super", "fine-tuned")]
    assert run("export", classifier, tmp_path / "release", "--results", output)[0] == 0
    assert "| fine-tuned |" in (tmp_path / "release" / "README.md").read_text()
    record = json.loads((classifier / "results" / "training.json").read_text())["training"]
    start = weights_sha256(AutoModel.from_pretrained(model_folder).state_dict())
    assert (record["recipe"]["task"], record["recipe"]["start"]["weights_sha256"]) == ("super", start)
    assert record["recipe"]["training"]["num_train_epochs"] == record["log"][0]["epoch"] == 1
    assert [entry["share"] for entry in record["log"] if "share" in entry] == list(SHARES)
    assert set(record["data"][0]["splits"]) == {"train", "validation"}
    card = (classifier / "README.md").read_text()
    assert f'Fine-tuned from {model_folder.name} (weights {start[:12]}) on the labels of task "super".' in card
