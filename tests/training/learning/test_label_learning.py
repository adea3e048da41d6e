"""Report-supervised labels: learning, saving, evaluation, results that stay valid, and the command."""

import json
import sys

import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset
from transformers import AutoModel, AutoModelForSequenceClassification, AutoProcessor, pipeline

from merit.commands import main
from merit.modeling_merit.configuration_merit import MeritConfig
from merit.modeling_merit.modeling_merit import MeritForPreTraining, MeritModel
from merit.processing.glossary_merit import Glossary
from merit.training.batching.report_text import with_text
from merit.training.data.catalogue import load_data
from merit.training.evaluation.evaluate import evaluate
from merit.training.learning.label_learning import learn_labels, results_that_hold, statements_in, statements_of
from merit.training.results.result_files import FORMAT, write_json
from merit.training.results.weights import answering, weights_sha256
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.scoring.zero_shot import label_embeddings

LEAST = 8


@pytest.fixture(scope="module")
def recordings(dataset):
    return with_text(dataset["train"])


@pytest.fixture(scope="module")
def plain(untrained):
    """A fresh copy of the model, since other tests may have changed its attention implementation."""
    model, processor = untrained
    copied = type(model)(MeritConfig(**model.config.to_dict()))
    copied.load_state_dict(model.state_dict())
    return copied, processor


@pytest.fixture(scope="module")
def learned(plain, recordings):
    return learn_labels(*plain, recordings, least=LEAST)


@pytest.fixture(scope="module")
def folder(learned, plain, tmp_path_factory):
    path = tmp_path_factory.mktemp("learned") / "model"
    learned[0].save_pretrained(path)
    plain[1].save_pretrained(path)
    return path


def test_a_class_covers_the_statements_of_its_members():
    assert statements_of("CLBBB") == {"CLBBB"}
    assert {"AMI", "IMI", "ASMI"} <= statements_of("MI")
    assert statements_of("NORM") == {"NORM"}
    findings = Glossary.default().findings
    assert all(statements_of(member) <= statements_of(code) for code in findings for member in findings[code].members)


def test_statements_are_found_in_both_texts_of_a_recording():
    texts = {
        "report": ["sinusrhythmus.", "", "vorhofflimmern."],
        "report_en": ["sinus rhythm.", "", "left bundle branch block."],
    }
    assert statements_in(Dataset.from_dict(texts)) == [{"SR"}, frozenset(), {"AFIB", "CLBBB"}]


def test_learned_labels_score_the_recordings_whose_reports_mention_them_higher(learned, plain, recordings):
    model, stated = learned.model, learned.stated
    encoder = CheckpointEncoder(model, plain[1])
    embeds = torch.from_numpy(encoder.project(embed(encoder, recordings)))
    found = statements_in(recordings)
    assert len(stated) >= 5
    for code, (weight, bias) in model.learned_labels.items():
        states = torch.tensor([not statements_of(code).isdisjoint(one) for one in found])
        assert stated[code] == states.sum() >= LEAST
        scores = embeds @ weight + bias
        assert scores[states].mean() > scores[~states].mean(), code
        # The mean probability is the share of reports that mention the label.
        assert scores.sigmoid().mean() == pytest.approx(states.float().mean().item(), abs=0.02), code


def test_learning_labels_changes_no_other_weights(learned, plain):
    before, after = plain[0].state_dict(), learned[0].state_dict()
    assert after.keys() - before.keys() == {"label_weight", "label_bias"}
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert plain[0].learned_labels == {}


def test_learned_labels_are_saved_and_loaded(learned, folder):
    model = learned[0]
    for kind in (AutoModel, MeritForPreTraining):
        loaded = kind.from_pretrained(folder)
        assert list(loaded.learned_labels) == list(model.learned_labels) == model.config.learned_labels
        assert torch.equal(loaded.label_weight, model.label_weight)
        assert torch.equal(loaded.label_bias, model.label_bias)


def test_a_fine_tuned_classifier_has_no_learned_labels(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    assert not [name for name in model.state_dict() if name.startswith("label_")]


def test_learning_again_from_the_same_reports_replaces_every_label(learned, plain, recordings):
    again = learn_labels(learned.model, plain[1], recordings, least=LEAST)
    assert again.stated == learned.stated
    assert again.replaced == list(learned.stated)
    assert again.kept == learned.replaced == learned.kept == []
    torch.testing.assert_close(again.model.label_weight, learned.model.label_weight)


def test_labels_learned_before_are_kept_or_replaced_one_by_one(learned, plain, recordings):
    least = sorted(learned.stated.values())[len(learned.stated) // 2]
    # Other recordings, so that what is learned again differs.
    again = learn_labels(learned.model, plain[1], recordings.select(range(len(recordings) - 8)), least=least)
    assert again.replaced == list(again.stated)
    assert 0 < len(again.stated) < len(learned.stated)
    assert sorted([*again.kept, *again.stated]) == sorted(learned.stated)
    before, after = learned.model.learned_labels, again.model.learned_labels
    assert list(after) == list(before) == again.model.config.learned_labels
    for code, (weight, bias) in after.items():
        same = torch.equal(weight, before[code][0]) and torch.equal(bias, before[code][1])
        assert same == (code in again.kept), code


def test_the_pipeline_scores_with_learned_labels(learned, folder, simulated):
    record = next((simulated / "records100").rglob("*.hea")).with_suffix("")
    classify = pipeline("zero-shot-ecg-classification", model=str(folder))
    model, processor = learned[0], AutoProcessor.from_pretrained(folder)
    with torch.inference_mode():
        embeds = F.normalize(model.get_ecg_features(**processor(ecg=[str(record)])).pooler_output)[0]
    codes = list(model.learned_labels)[:3]
    logits = torch.stack([embeds @ weight + bias for weight, bias in map(model.learned_labels.get, codes)])
    single = {one["label"]: one["score"] for one in classify(str(record), candidate_labels=codes, multi_label=True)}
    together = {one["label"]: one["score"] for one in classify(str(record), candidate_labels=codes)}
    assert [single[code] for code in codes] == pytest.approx(logits.sigmoid().tolist(), abs=1e-5)
    assert [together[code] for code in codes] == pytest.approx(logits.softmax(-1).tolist(), abs=1e-5)


def test_labels_that_a_checkpoint_names_but_does_not_hold_get_zero_weights(plain, tmp_path):
    plain[0].save_pretrained(tmp_path)
    loaded, told = MeritModel.from_pretrained(tmp_path, learned_labels=["AFIB"], output_loading_info=True)
    assert told["missing_keys"] == {"label_weight", "label_bias"}
    assert not loaded.label_weight.any()
    assert not loaded.label_bias.any()


def test_evaluation_measures_learned_labels_and_prompts_separately(learned, plain, dataset):
    without, with_labels = (CheckpointEncoder(model, plain[1]) for model in (plain[0], learned[0]))
    splits = {split: dataset[split] for split in ("validation", "test")}
    scored_with_labels, scored_with_prompts = (
        {result["setting"].get("language"): result["metrics"] for result in results}
        for results in (
            evaluate(encoder, type(dataset)(splits), ["super"], ["zero-shot"], resamples=2)
            for encoder in (with_labels, without)
        )
    )
    assert list(scored_with_labels) == [None, "both", "en", "de"]
    assert list(scored_with_prompts) == [None, "en", "de"]
    assert scored_with_labels["both"] == scored_with_prompts[None]
    assert scored_with_labels[None] != scored_with_prompts[None]
    scale = learned[0].scale()
    code = next(iter(learned[1]))
    directions = label_embeddings(with_labels, "all", [code])
    torch.testing.assert_close(directions.directions[0] * scale, learned[0].learned_labels[code][0])
    torch.testing.assert_close(directions.biases[0] * scale, learned[0].learned_labels[code][1])


def test_too_few_reports_are_refused(plain, recordings):
    with pytest.raises(ValueError, match="No finding is mentioned in 10 of the 9 reports"):
        learn_labels(*plain, recordings.select(range(9)))
    with pytest.raises(ValueError, match="least must be at least 1, not 0"):
        learn_labels(*plain, recordings, least=0)


def test_results_stay_valid_except_those_of_learned_labels(tmp_path):
    def result(method, **setting):
        return {"method": method, "setting": setting}

    own, other = {"name": "mine", "weights_sha256": "before"}, {"name": "untrained", "weights_sha256": "other"}
    of_labels, by_prompts, probe = result("zero-shot"), result("zero-shot", language="de"), result("linear-probe")
    for name, content in {
        "evaluation": {"model": own, "results": [of_labels, by_prompts, probe]},
        "labels": {"model": own, "results": [of_labels]},
        "untrained": {"model": other, "results": [of_labels, probe]},
        "training": {"training": {}},
    }.items():
        write_json(tmp_path / "results" / f"{name}.json", {"format": FORMAT, **content})
    now = {"name": "mine", "weights_sha256": "after", "measured_with": "before"}
    assert dict(results_that_hold(tmp_path, "before", "after")) == {
        "evaluation.json": {"format": FORMAT, "model": now, "results": [by_prompts, probe]},
        "untrained.json": {"format": FORMAT, "model": other, "results": [of_labels, probe]},
    }
    write_json(tmp_path / "results" / "evaluation.json", {"format": FORMAT, "model": now, "results": [probe]})
    again = dict(results_that_hold(tmp_path, "after", "last"))["evaluation.json"]["model"]
    assert again == {"name": "mine", "weights_sha256": "last", "measured_with": "before"}


@pytest.mark.slow
def test_the_command_learns_labels_and_records_their_source(plain, simulated, tmp_path, capsys, monkeypatch):
    model, processor = plain
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    command = ["merit", "learn-labels", tmp_path / "model", "--data", simulated, "--output", tmp_path / "learned"]
    command += ["--least", LEAST]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    assert main() == 0
    assert f"model in {tmp_path / 'learned'}" in capsys.readouterr().out
    record = json.loads((tmp_path / "learned/results/learned-labels.json").read_text())["learned_labels"]
    loaded = AutoModel.from_pretrained(tmp_path / "learned")
    assert list(record["stated"]) == list(loaded.learned_labels)
    assert record["least"] == LEAST
    assert record["reports"] == len(with_text(load_data(simulated)["train"]))
    assert record["start"] == {"name": "model", "weights_sha256": weights_sha256(answering(model.state_dict()))}
    card = (tmp_path / "learned/README.md").read_text()
    assert f"For {len(record['stated'])} findings, `merit learn-labels` then fitted a linear classifier" in card
    assert record["kept"] == []

    # Fewer labels are mentioned often enough now: the others are kept.
    least = sorted(record["stated"].values())[len(record["stated"]) // 2]
    command = ["merit", "learn-labels", tmp_path / "learned", "--data", simulated, "--output", tmp_path / "again"]
    monkeypatch.setattr(sys, "argv", list(map(str, [*command, "--least", least])))
    assert main() == 0
    again = json.loads((tmp_path / "again/results/learned-labels.json").read_text())["learned_labels"]
    count, kept = len(again["stated"]), len(again["kept"])
    assert 0 < count < count + kept == len(record["stated"])
    printed = capsys.readouterr().out
    assert f"{count} labels learned, {count} of them replace earlier ones; {kept} earlier labels kept" in printed
    assert list(AutoModel.from_pretrained(tmp_path / "again").learned_labels) == list(loaded.learned_labels)
