"""Fitting what a model needs to tell recordings that are out of distribution or at a wrong rate."""

import json
import sys

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoProcessor, pipeline

from merit.commands import main
from merit.hub_cards.export import load
from merit.modeling_merit.report_generation_merit import MeritForReportGeneration
from merit.processing.leads_merit import STANDARD_LEADS
from merit.training.learning.finetuning import fine_tune
from merit.training.learning.typicality import CHECKS, FALSE_ABSTENTIONS, PlayedAt, learn_quality
from merit.training.results.result_files import FORMAT, write_json
from merit.training.results.weights import stored_weights, weights_sha256
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointFeatures
from merit.training.scoring.perturbations import noise_only
from merit.training.scoring.protocol import protocol_of

ARRAY = {"sampling_rate": 100, "leads": list(STANDARD_LEADS), "units": "mV"}


@pytest.fixture(scope="module")
def fitted(untrained, dataset):
    model, processor = untrained
    return learn_quality(model, processor, dataset["train"], dataset["validation"]), processor


def atypicality(model, processor, rows, perturbation=None):
    features = embed(CheckpointFeatures(model, processor), rows, perturbation)
    return model.atypicality(torch.from_numpy(features))


class TestLearnQuality:
    def test_recordings_of_training_are_typical_and_noise_is_not(self, fitted, dataset):
        own = atypicality(*fitted, dataset["train"])
        noise = atypicality(*fitted, dataset["train"], lambda rows: noise_only(rows, 0.3))
        assert own.square().mean().sqrt() == pytest.approx(1, abs=0.4)
        assert noise.min() > own.median()

    def test_the_threshold_is_a_quantile_of_the_validation_recordings(self, fitted, dataset):
        values = atypicality(*fitted, dataset["validation"]).numpy()
        threshold = fitted[0].config.abstention_threshold
        assert threshold == pytest.approx(np.quantile(values, 1 - FALSE_ABSTENTIONS), abs=1e-3)
        assert fitted[0].config.abstention_threshold_partial >= threshold

    def test_checks_separate_recordings_at_a_wrong_rate(self, fitted, dataset):
        model, processor = fitted
        encoder = CheckpointFeatures(model, processor)
        usual = model.quality_logits(torch.from_numpy(embed(encoder, dataset["train"])))
        for column, fault in enumerate(CHECKS.values()):
            faulty = model.quality_logits(torch.from_numpy(embed(encoder, dataset["train"], fault)))
            above = (faulty[:, column, None] > usual[:, column]).float().mean()
            assert above > 0.7

    def test_no_validation_recording_fails_a_check(self, fitted, dataset):
        features = embed(CheckpointFeatures(*fitted), dataset["validation"])
        failed = fitted[0].quality_logits(torch.from_numpy(features)) > 0
        assert failed.sum(0).max() <= 1  # half precision may move the highest score across its threshold

    def test_the_model_that_was_given_is_unchanged(self, untrained, fitted):
        assert untrained[0].config.abstention_threshold is None
        assert not untrained[0].has_typicality

    def test_too_few_recordings_are_refused(self, untrained, dataset):
        with pytest.raises(ValueError, match="1 recordings for training"):
            learn_quality(*untrained, dataset["train"].select([0]), dataset["validation"])

    def test_recordings_that_a_change_makes_unusable_are_left_out(self, untrained, dataset):
        """Lead II alone, stated at a rate of which the half is too low: no lead I, and no slow motion."""

        def lead_ii(row):
            lead = np.reshape(row["signal"], (len(row["lead_names"]), -1))[row["lead_names"].index("II")]
            alone = {name: [row[name][row["lead_names"].index("II")]] for name in ("gain", "baseline", "lead_names")}
            return {"signal": lead, "sampling_rate": 60.0, **alone}

        train, validation = (dataset[split].map(lead_ii) for split in ("train", "validation"))
        fitted = learn_quality(*untrained, train, validation)
        assert fitted.config.quality_checks == ["fast_motion"]
        assert 0 < fitted.config.abstention_threshold <= fitted.config.abstention_threshold_partial
        classify = pipeline("zero-shot-ecg-classification", model=fitted, processor=untrained[1])
        assert len(classify(validation[0], ["normal ECG", "atrial fibrillation"])) == 2

    def test_a_rate_is_stated_wrongly_without_changing_the_rows(self):
        rows = [{"sampling_rate": 100.0}]
        assert PlayedAt(0.5)(rows) == [{"sampling_rate": 50.0}]
        assert rows == [{"sampling_rate": 100.0}]


class TestCheckpoints:
    @pytest.fixture(scope="class")
    def folder(self, fitted, tmp_path_factory):
        folder = tmp_path_factory.mktemp("fitted")
        for part in fitted:
            part.save_pretrained(folder)
        return folder

    def test_a_saved_model_tells_the_same(self, fitted, folder):
        loaded = AutoModel.from_pretrained(folder)
        assert loaded.untrained() == []
        assert loaded.config.quality_checks == list(CHECKS)
        # Of the same features: few recordings make a distance that multiplies the rounding of the encoder.
        features = torch.randn(10, loaded.config.ecg_config.pooled_size, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(loaded.atypicality(features), fitted[0].atypicality(features))
        torch.testing.assert_close(loaded.quality_logits(features), fitted[0].quality_logits(features))

    def test_a_checkpoint_without_it_still_loads(self, model_folder):
        model = AutoModel.from_pretrained(model_folder)
        assert model.untrained() == []
        assert not model.has_typicality

    def test_the_pipeline_tells_a_recording_that_is_out_of_distribution(self, fitted):
        model, processor = fitted
        classify = pipeline("zero-shot-ecg-classification", model=model, processor=processor)
        far = 3 * np.random.default_rng(0).normal(size=(12, 1000))
        with pytest.warns(UserWarning, match="unlike those that the model has learned from"):
            quality = classify(far, ["normal ECG"], **ARRAY).quality
        assert quality["atypicality"] > model.config.abstention_threshold
        assert "out_of_distribution" in {reason["code"] for reason in quality["reasons"]}

    def test_a_classifier_on_the_encoder_does_not_take_it_over(self, fitted, folder):
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
        assert not model.has_typicality
        assert model.config.quality_checks == []

    @pytest.mark.slow
    def test_a_fine_tuned_classifier_does_not_take_it_over(self, fitted, dataset):
        protocol = protocol_of(dataset, "super", resamples=0)
        tuned = fine_tune(*fitted, dataset, "super", protocol, num_train_epochs=1)
        assert not tuned.model.has_typicality

    @pytest.mark.slow
    def test_a_classifier_and_a_report_model_learn_their_own(
        self, classifier_folder, reporter_folder, untrained_reporter, dataset, tmp_path
    ):
        classifier = AutoModelForSequenceClassification.from_pretrained(classifier_folder)
        processor = AutoProcessor.from_pretrained(classifier_folder)
        reporter = MeritForReportGeneration.from_pretrained(reporter_folder)
        for model, own in ((classifier, processor), (reporter, untrained_reporter[1])):
            learned = learn_quality(model, own, dataset["train"], dataset["validation"])
            learned.save_pretrained(tmp_path)
            again = type(model).from_pretrained(tmp_path)
            assert again.untrained() == []
            assert again.config.abstention_threshold == learned.config.abstention_threshold


@pytest.mark.slow
def test_the_command_calibrates_a_checkpoint_and_keeps_the_results_that_hold(
    untrained, simulated, tmp_path, monkeypatch
):
    model, processor = untrained
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    figures = {"records": 10, "split": "test", "metrics": {"auroc": {"value": 0.7, "low": 0.6, "high": 0.8}}}
    results = [
        {"task": "super", "method": method, "setting": {}, **figures} for method in ("linear-probe", "abstention")
    ]
    facts = {"name": "mine", "weights_sha256": weights_sha256(stored_weights(model))}
    content = {"format": FORMAT, "model": facts, "data": {"name": "simulated", "sha256": "0", "records": 10}}
    write_json(tmp_path / "model/results/evaluation.json", {**content, "results": results})
    write_json(tmp_path / "model/results/training.json", {"training": {}})
    command = ["merit", "calibrate", tmp_path / "model", "--data", simulated, "--output", tmp_path / "calibrated"]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    assert main() == 0
    calibrated, _ = load(tmp_path / "calibrated")
    assert calibrated.has_typicality
    kept = json.loads((tmp_path / "calibrated/results/evaluation.json").read_text())
    assert kept["results"] == results[:1]
    assert kept["model"]["weights_sha256"] == weights_sha256(stored_weights(calibrated))
    assert (tmp_path / "calibrated/results/training.json").is_file()
