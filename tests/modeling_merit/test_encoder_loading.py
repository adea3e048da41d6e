"""Every head loads an ECG encoder that was saved alone, and the encoder loads from the folder of every head."""

import logging

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import ECG, tiny_config, tiny_model, tiny_signal
from transformers import AutoModel, AutoModelForAudioClassification, AutoModelForSequenceClassification

from merit import (
    MeritEcgModel,
    MeritForEcgClassification,
    MeritForPreTraining,
    MeritForReportGeneration,
    MeritModel,
    MeritReportConfig,
)

HEADS = (MeritForEcgClassification, MeritModel, MeritForPreTraining)
# Unlike the defaults, so that sizes taken from defaults show.
SIZES = {**ECG, "num_hidden_layers": 3, "pooled_layer": 2}


def report_model():
    language_model = {**ECG, "vocab_size": 99}
    config = MeritReportConfig(
        merit_config=tiny_config(ecg=SIZES).to_dict(),
        text_config=language_model,
        num_ecg_tokens=2,
        connector_num_attention_heads=2,
    )
    torch.manual_seed(0)
    return MeritForReportGeneration(config)


def encoder_of(model):
    if isinstance(model, MeritEcgModel):
        return model
    return model.merit.ecg_model if isinstance(model, MeritForReportGeneration) else model.ecg_model


def assert_equal_weights(model, expected):
    weights, expected = model.state_dict(), expected.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


@pytest.fixture(scope="module")
def encoder():
    return tiny_model(MeritModel, ecg=SIZES).ecg_model


@pytest.fixture(scope="module")
def encoder_folder(encoder, tmp_path_factory):
    """Written by `model.ecg_model.save_pretrained`."""
    folder = tmp_path_factory.mktemp("saved") / "encoder"
    encoder.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("head", HEADS)
def test_a_head_builds_on_a_saved_encoder_and_reports_its_new_tensors(head, encoder, encoder_folder):
    model, info = head.from_pretrained(encoder_folder, output_loading_info=True)
    assert_equal_weights(model.ecg_model, encoder)
    assert model.config.ecg_config.num_hidden_layers == 3
    expected = {name for name in model.state_dict() if not name.startswith("ecg_model.")}
    assert set(info["missing_keys"]) == expected
    assert not info["unexpected_keys"]


def test_new_tensors_are_logged_as_transformers_does(encoder_folder, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    MeritForEcgClassification.from_pretrained(encoder_folder)
    assert "classifier.weight" in caplog.text
    assert "MISSING" in caplog.text
    assert "ecg_model" not in caplog.text


@pytest.mark.parametrize("auto", [AutoModelForSequenceClassification, AutoModelForAudioClassification])
def test_a_classifier_on_a_saved_encoder_has_the_labels_that_are_asked_for(auto, encoder, encoder_folder, tmp_path):
    names = {0: "yes", 1: "no", 2: "maybe"}
    model = auto.from_pretrained(encoder_folder, id2label=names, problem_type="multi_label_classification")
    assert isinstance(model, MeritForEcgClassification)
    assert_equal_weights(model.ecg_model, encoder)
    model.save_pretrained(tmp_path)
    again = auto.from_pretrained(tmp_path)
    assert (again.config.id2label, again.config.problem_type) == (names, "multi_label_classification")
    assert again.config.ecg_config.id2label != names
    signal = tiny_signal()
    torch.testing.assert_close(again(signal).logits, model(signal).logits)
    assert auto.from_pretrained(encoder_folder, num_labels=4).config.num_labels == 4


@pytest.mark.parametrize("kind", [MeritEcgModel, *HEADS, MeritForReportGeneration])
def test_the_encoder_loads_from_the_folder_of_every_model(kind, tmp_path):
    if kind is MeritForReportGeneration:
        model = report_model()
    else:
        model = encoder_of(tiny_model(kind, ecg=SIZES)) if kind is MeritEcgModel else tiny_model(kind, ecg=SIZES)
    model.save_pretrained(tmp_path / "model")
    encoder, info = MeritEcgModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert_equal_weights(encoder, encoder_of(model))
    assert not any(info.values()), info
    encoder.save_pretrained(tmp_path / "encoder")
    assert load_file(tmp_path / "encoder" / "model.safetensors").keys() == encoder.state_dict().keys()
    assert_equal_weights(AutoModel.from_pretrained(tmp_path / "encoder"), encoder)


def test_the_dual_encoder_loads_from_the_folder_of_a_report_model(tmp_path):
    model = report_model()
    model.save_pretrained(tmp_path)
    merit, info = MeritModel.from_pretrained(tmp_path, output_loading_info=True)
    assert_equal_weights(merit, model.merit)
    assert not any(info.values()), info
    again, info = MeritForReportGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert_equal_weights(again, model)
    assert not any(info.values()), info


def test_an_encoder_gives_features_like_a_dual_encoder(encoder):
    signal = tiny_signal()
    torch.testing.assert_close(encoder.get_ecg_features(signal).pooler_output, encoder(signal).pooler_output)
    assert encoder.get_ecg_features(signal, return_dict=True).pooler_output.shape == (3, 32)
