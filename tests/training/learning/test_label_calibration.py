"""Calibration: one scale for learned labels and prompts, thresholds of decisions, and the command."""

import json
import sys
from copy import deepcopy

import numpy as np
import pytest
import torch
from datasets import DatasetDict
from sklearn.metrics import roc_auc_score
from transformers import AutoModel, AutoModelForSequenceClassification, AutoProcessor, pipeline

from merit.commands import main
from merit.hub_cards.export import export
from merit.processing.zero_shot_merit import LabelEmbeddings, embed_labels, logit
from merit.training.batching.report_text import with_text
from merit.training.data.schema import label_names
from merit.training.learning.label_calibration import (
    _calibrate_prompts,
    calibrate_labels,
    decide_labels,
    findings_of_records,
)
from merit.training.learning.label_learning import learn_labels
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder

LEAST = 8


@pytest.fixture(scope="module")
def learned(untrained, dataset):
    model, shared = untrained
    processor = deepcopy(shared)  # a tokenizer remembers how it was last used, and would be exported otherwise
    return learn_labels(model, processor, with_text(dataset["train"]), least=LEAST), processor


@pytest.fixture(scope="module")
def calibrated(learned, dataset):
    (model, stated, *_), processor = learned
    return calibrate_labels(model, processor, dataset, stated)


@pytest.fixture(scope="module")
def embeds(learned, dataset):
    (model, *_), processor = learned
    encoder = CheckpointEncoder(model, processor)
    return {split: torch.from_numpy(encoder.project(embed(encoder, dataset[split]))) for split in dataset}


def probabilities(model, processor, codes, embeds):
    labels = embed_labels(model, processor.tokenizer, codes, multi_label=True, glossary=processor.glossary)
    return labels.logits(embeds).sigmoid().numpy()


def test_labels_of_all_tasks_are_findings_of_the_records(learned, dataset):
    findings = findings_of_records(dataset, learned[1].glossary)
    assert findings.keys() == dataset.keys()
    test = dataset["test"]
    names = test.features["all"].feature.names
    statements = np.asarray(test["labels_all"]).astype(bool)
    assert np.array_equal(findings["test"]["AFIB"], statements[:, names.index("AFIB")])
    # A class has the records of its members.
    assert (findings["test"]["MI"] >= statements[:, names.index("IMI")]).all()


def test_mean_probabilities_are_the_prevalence_of_findings(learned, embeds, dataset):
    (model, *_), processor = learned
    larger = DatasetDict(validation=dataset["train"], test=dataset["test"])
    calibrated = calibrate_labels(model, processor, larger)
    findings = findings_of_records(dataset, processor.glossary)["train"]
    codes = [code for code in calibrated.config.calibration["prompts"] if findings[code].sum() >= 10]
    observed = [findings[code].mean() for code in codes]
    assert max(observed) > 0.3 > 0.15 > min(observed)
    assert probabilities(calibrated, processor, codes, embeds["train"]).mean(0) == pytest.approx(observed, abs=0.05)
    prompts_alone = learned_nothing(calibrated)
    assert probabilities(prompts_alone, processor, codes, embeds["train"]).mean(0) == pytest.approx(observed, abs=0.1)


def learned_nothing(model):
    """The model without its learned labels, so that all are scored with prompts."""
    without = deepcopy(model)
    without.config.learned_labels = []
    return without


def test_calibration_ranks_recordings_as_before(learned, calibrated, embeds):
    (model, *_), processor = learned
    codes = list(processor.glossary.findings)
    before = probabilities(model, processor, codes, embeds["test"])
    after = probabilities(calibrated, processor, codes, embeds["test"])
    for i, code in enumerate(codes):
        high = before[:, i] > np.median(before[:, i])
        assert roc_auc_score(high, after[:, i]) == 1, code


def test_a_learned_label_stays_learned_beside_a_prompt(learned, calibrated, embeds):
    (model, *_), processor = learned
    code = model.config.learned_labels[0]
    other = next(name for name in processor.glossary.findings if name not in model.config.learned_labels)
    options = {"multi_label": False, "glossary": processor.glossary}
    beside = embed_labels(calibrated, processor.tokenizer, [code, other], **options)
    alone = embed_labels(calibrated, processor.tokenizer, [code], **options)
    assert [facts["basis"] for facts in beside.facts] == ["learned", "prompt"]
    torch.testing.assert_close(beside.logits(embeds["test"])[:, :1], alone.logits(embeds["test"]))
    assert [facts["basis"] for facts in embed_labels(model, processor.tokenizer, [code, other], **options).facts] == [
        "prompt",
        "prompt",
    ]


def test_facts_of_a_learned_label_name_its_reports_and_of_a_prompt_its_auroc(learned, calibrated, embeds, dataset):
    (_, stated, *_), processor = learned
    calibration = calibrated.config.calibration
    assert {code: facts["reports"] for code, facts in calibration["learned"].items()} == stated
    findings = findings_of_records(dataset, processor.glossary)["test"]
    code = next(code for code, facts in calibration["prompts"].items() if "auroc" in facts and code not in stated)
    scores = probabilities(calibrated, processor, [code], embeds["test"])[:, 0]
    assert calibration["prompts"][code]["auroc"] == pytest.approx(roc_auc_score(findings[code], scores), abs=1e-3)


def test_a_text_that_names_no_finding_has_the_prior_of_the_rarest(learned, calibrated):
    _, processor = learned
    calibration = calibrated.config.calibration
    priors = {code: facts["prior"] for code, facts in calibration["prompts"].items()}
    # The data set is small; in a larger one the rarest finding is rarer.
    assert min(priors.values()) > calibration["other"]["prior"] == 0.001
    assert _prior_of_the_rarest(10000, 3) == pytest.approx(3.5 / 10001, abs=1e-4)

    code = max(priors, key=priors.__getitem__)
    prompt = processor.glossary.findings[code].prompts("en")[0]
    given = {code: [prompt], "a text of the user": [prompt]}
    labels = embed_labels(calibrated, processor.tokenizer, given, multi_label=True, glossary=processor.glossary)
    assert labels.directions[0].equal(labels.directions[1])
    assert (labels.biases[0] - labels.biases[1]).item() == pytest.approx(logit(priors[code]) - logit(0.001), abs=1e-3)


def _prior_of_the_rarest(records, positives):
    present = np.arange(records) < positives
    common = np.arange(records) < records // 2
    scores = {"AFIB": np.random.default_rng(0).normal(size=records), "NORM": common.astype(float)}
    split = {"AFIB": present, "NORM": common}
    both = dict.fromkeys(("validation", "test"))
    fitted = _calibrate_prompts(dict.fromkeys(both, scores), dict.fromkeys(both, split), list(split))
    return fitted["other"]["prior"]


def test_a_learned_label_that_the_glossary_lacks_is_named(learned, dataset):
    (model, *_), processor = learned
    other = deepcopy(model)
    other.config.learned_labels = ["WIDE-T", *model.config.learned_labels[1:]]
    with pytest.raises(ValueError, match="learned the label WIDE-T, which the glossary of its processor does not"):
        calibrate_labels(other, processor, dataset)


def test_a_calibrated_model_is_saved_and_gives_the_same_answers(learned, calibrated, embeds, tmp_path):
    processor = learned[1]
    folder = export(calibrated, processor, tmp_path / "model")
    loaded, own = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    codes = list(calibrated.config.calibration["prompts"])[:5]
    expected = probabilities(calibrated, processor, codes, embeds["test"])
    np.testing.assert_allclose(probabilities(loaded, own, codes, embeds["test"]), expected, atol=1e-4)
    classifier = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    assert not [name for name in classifier.state_dict() if name.startswith("calibration_")]


def test_learning_labels_again_drops_the_calibration(calibrated, learned, dataset):
    again = learn_labels(calibrated, learned[1], with_text(dataset["train"]), least=LEAST).model
    assert again.config.calibration is None
    assert not [name for name in again.state_dict() if name.startswith("calibration_")]


def test_thresholds_of_a_classifier_give_decisions_with_their_measured_rates(
    model_folder, untrained, dataset, tmp_path
):
    names = label_names(dataset["test"], "super")
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(
        model_folder,
        num_labels=len(names),
        problem_type="multi_label_classification",
        id2label=dict(enumerate(names)),
    )
    torch.nn.init.normal_(model.classifier.weight)
    larger = DatasetDict(validation=dataset["train"], test=dataset["test"])
    decided = decide_labels(model, untrained[1], larger)
    assert model.config.calibration is None
    assert "threshold" in decided.config.calibration["labels"]["NORM"]
    classify = pipeline("ecg-classification", model=str(export(decided, untrained[1], tmp_path / "decided")))
    answers = classify(dataset["test"], decisions=True, batch_size=16)
    named = [{entry["label"]: entry for entry in answer}["NORM"] for answer in answers]
    assert {entry["basis"] for entry in named} == {"fine-tuned"}
    present = np.array([entry["present"] for entry in named])
    normal = np.asarray(dataset["test"]["labels_super"])[:, names.index("NORM")].astype(bool)
    assert named[0]["sensitivity"] == pytest.approx(present[normal].mean(), abs=1e-3)
    assert named[0]["specificity"] == pytest.approx((~present[~normal]).mean(), abs=1e-3)
    assert all(entry.keys() == {"label", "score", "basis"} for entry in classify(dataset["test"][0]))


@pytest.mark.slow
def test_the_command_calibrates_a_folder_and_keeps_its_results(learned, simulated, tmp_path, monkeypatch, capsys):
    (model, stated, *_), processor = learned
    folder = export(model, processor, tmp_path / "model")
    (folder / "results").mkdir()
    record = {"format": 2, "learned_labels": {"stated": stated}}
    (folder / "results/learned-labels.json").write_text(json.dumps(record))
    arguments = ["calibrate", str(folder), "--data", str(simulated), "--output", str(tmp_path / "calibrated")]
    monkeypatch.setattr(sys, "argv", ["merit", *arguments])
    assert main() == 0
    assert "calibrated" in capsys.readouterr().out
    config = json.loads((tmp_path / "calibrated/config.json").read_text())
    code, reports = next(iter(stated.items()))
    assert config["calibration"]["learned"][code]["reports"] == reports
    assert json.loads((tmp_path / "calibrated/results/learned-labels.json").read_text()) == record


def labels(*logits, basis=None, biases=None):
    number = len(logits)
    return LabelEmbeddings(
        [f"label {i}" for i in range(number)],
        torch.eye(number),
        torch.zeros(number),
        [{"basis": one} for one in basis or ["learned"] * number],
    ), torch.tensor(logits)


def test_competing_labels_share_their_odds():
    some, logits = labels(0.0, np.log(3.0))
    assert [one["score"] for one in some.ranked(logits, multi_label=False)] == pytest.approx([0.75, 0.25])


def test_a_single_label_is_judged_by_itself():
    some, logits = labels(-2.0)
    assert some.ranked(logits, multi_label=False)[0]["score"] == pytest.approx(1 / (1 + np.exp(2)))


def test_an_unknown_label_comes_last_with_its_prior_and_does_not_compete():
    some, logits = labels(-9.0, -4.0, -8.0, basis=["learned", "unknown", "prompt"])
    for multi_label in (True, False):
        answer = some.ranked(logits, multi_label)
        assert [one["label"] for one in answer] == ["label 2", "label 0", "label 1"]
        assert answer[-1] == {"label": "label 1", "score": pytest.approx(1 / (1 + np.exp(4))), "basis": "unknown"}
    assert sum(one["score"] for one in answer) == pytest.approx(1)


def test_two_names_of_one_finding_have_one_score_and_compete_once():
    some, _ = labels(0.0, 0.0, 0.0)
    some.directions[1] = some.directions[0]
    scores = some.log_odds(torch.tensor([1.0, 1.0, 0.0]), multi_label=False).sigmoid()
    alone, _ = labels(0.0, 0.0)
    expected = alone.log_odds(torch.tensor([1.0, 0.0]), multi_label=False).sigmoid()
    assert scores.tolist() == pytest.approx([expected[0].item(), expected[0].item(), expected[1].item()])
