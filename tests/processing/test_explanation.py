"""Explanations find the parts of a recording that a score depends on."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_models import TOKENIZATIONS, tiny_model, tiny_signal
from transformers import pipeline

from merit import MeritForEcgClassification
from merit.processing.explanation_merit import CAPTION, METHODS, Explanation, explain, log_odds
from merit.training.simulation.heart import simulate_ecg
from merit.training.simulation.parameters import sample_parameters

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
CONFIG = SimpleNamespace(lead_names=LEADS, patch_length=25, sampling_rate=100)


def inputs(seconds: int = 5, leads: tuple[int, ...] = tuple(range(12)), padding: int = 0) -> dict[str, torch.Tensor]:
    lead_mask = torch.zeros(1, 12, dtype=torch.bool)
    lead_mask[:, list(leads)] = True
    sample_mask = torch.ones(1, 100 * seconds, dtype=torch.bool)
    sample_mask[:, 100 * seconds - padding :] = False
    return {"ecg_values": torch.ones(1, 12, 100 * seconds), "lead_mask": lead_mask, "sample_mask": sample_mask}


def area_in_v2_from_2_to_3_seconds(ecg_values, lead_mask, sample_mask, cell_mask):
    there = cell_mask.repeat_interleave(25, 2) & lead_mask[..., None]
    return (ecg_values * there)[:, 7, 200:300].sum(1) / 100


@pytest.mark.parametrize("method", METHODS)
def test_the_whole_contribution_lies_where_the_score_looks(method):
    explanation = explain(area_in_v2_from_2_to_3_seconds, inputs(), CONFIG, "a finding", method)
    assert explanation.log_odds == pytest.approx(1)
    assert dict(zip(explanation.lead_names, explanation.leads)) == pytest.approx(dict.fromkeys(LEADS, 0) | {"V2": 1})
    assert explanation.edges == pytest.approx([i / 2 for i in range(11)])
    assert explanation.stretches == pytest.approx([0] * 4 + [0.5] * 2 + [0] * 4)
    cells = torch.tensor(explanation.cells)
    assert cells[7].tolist() == pytest.approx(explanation.stretches)
    assert cells.abs().sum() == pytest.approx(1)


def test_windows_have_the_length_that_was_asked_for():
    explanation = explain(area_in_v2_from_2_to_3_seconds, inputs(), CONFIG, "a finding", window=1.0, start=30.0)
    assert explanation.edges == [30, 31, 32, 33, 34, 35]
    assert explanation.stretches == pytest.approx([0, 0, 1, 0, 0])


def test_absent_leads_and_padding_are_left_out():
    part = inputs(leads=(1, 7), padding=150)
    explanation = explain(area_in_v2_from_2_to_3_seconds, part, CONFIG, "a finding")
    assert explanation.lead_names == ["II", "V2"]
    assert explanation.edges[-1] == 3.5
    assert len(explanation.cells) == 2
    assert len(explanation.cells[0]) == len(explanation.stretches) == 7


def test_a_signal_of_less_than_a_patch_has_no_stretches_and_no_beats():
    def score(ecg_values, **masks):
        assert len(ecg_values)
        return area_in_v2_from_2_to_3_seconds(ecg_values, **masks)

    explanation = explain(score, inputs(padding=490), CONFIG, "a finding")
    assert (explanation.stretches, explanation.beats) == ([], [])
    assert explanation.leads == pytest.approx([explanation.log_odds] * 12)


def test_a_beat_is_hidden_as_a_whole():
    spikes = inputs()
    spikes["ecg_values"] = torch.zeros(1, 12, 500)
    spikes["ecg_values"][:, :, [60, 160, 250, 360, 460]] = 1.0
    explanation = explain(area_in_v2_from_2_to_3_seconds, spikes, CONFIG, "a finding")
    assert explanation.beat_times == pytest.approx([0.6, 1.6, 2.5, 3.6, 4.6], abs=0.05)
    assert explanation.beats == pytest.approx([0, 0, 0.01, 0, 0])


@pytest.mark.parametrize("tokenization", TOKENIZATIONS)
def test_occlusion_is_the_answer_of_the_model_without_the_part(tokenization):
    model = tiny_model(MeritForEcgClassification, tokenization)
    signal = tiny_signal(1, 300)
    lead_mask = torch.ones(1, 12, dtype=torch.bool)

    def score(**inputs):
        return log_odds(model(**inputs).logits, 1, "single_label_classification")

    explanation = explain(score, {"ecg_values": signal, "lead_mask": lead_mask}, model.config.ecg_config, "a finding")
    lead_mask[:, 3] = False
    with torch.no_grad():
        without = score(ecg_values=signal, lead_mask=lead_mask).item()
    assert explanation.leads[3] == pytest.approx(explanation.log_odds - without, abs=1e-4)
    assert max(map(abs, explanation.stretches)) > 1e-3


def test_integrated_gradients_add_up_to_the_difference_to_a_flat_line():
    model = tiny_model(MeritForEcgClassification, "time, stem")
    signal = 0.1 * tiny_signal(1, 300)

    def score(**inputs):
        return model(**inputs).logits[:, 0]

    parts = {"ecg_values": signal, "lead_mask": torch.ones(1, 12, dtype=torch.bool)}
    explanation = explain(score, parts, model.config.ecg_config, "a finding", "integrated_gradients")
    with torch.no_grad():
        difference = explanation.log_odds - score(ecg_values=0 * signal).item()
    assert sum(explanation.leads) == pytest.approx(difference, rel=0.02)
    assert sum(explanation.stretches) == pytest.approx(sum(explanation.leads), rel=1e-3)


def test_the_only_lead_carries_all_log_odds():
    explanation = explain(area_in_v2_from_2_to_3_seconds, inputs(leads=(7,)), CONFIG, "a finding")
    assert explanation.leads == [explanation.log_odds]


def test_competing_labels_have_the_odds_of_one_against_all_others():
    logits = torch.tensor([[2.0, 1.0, -1.0]])
    probability = logits.softmax(-1)[0, 1]
    expected = (probability / (1 - probability)).log().item()
    assert log_odds(logits, 1, "single_label_classification").item() == pytest.approx(expected)
    assert log_odds(logits, 1, "multi_label_classification").item() == 1.0


def test_an_explanation_survives_json_and_says_that_it_is_no_evidence():
    explanation = explain(area_in_v2_from_2_to_3_seconds, inputs(), CONFIG, "a finding")
    assert Explanation(**json.loads(json.dumps(explanation.to_dict()))) == explanation
    assert "no evidence" in CAPTION
    assert explanation.to_dict()["caption"] == CAPTION


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "attention"}, "method must be one of occlusion, integrated_gradients, not 'attention'"),
        ({"window": 0.1}, r"window must be 0.2 to 1.0 seconds, not 0.1"),
        ({"window": "long"}, "not 'long'"),
    ],
)
def test_other_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        explain(area_in_v2_from_2_to_3_seconds, inputs(), CONFIG, "a finding", **options)


@pytest.fixture(scope="module")
def classify(model_folder):
    return pipeline("zero-shot-ecg-classification", model=str(model_folder))


def described(seconds: float, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    signal = simulate_ecg(sample_parameters(rng), seconds, 100, rng=rng).signal
    return {"signal": signal, "sampling_rate": 100, "leads": LEADS, "units": "mV"}


@pytest.mark.parametrize("method", METHODS)
def test_a_pipeline_explains_the_best_label(classify, method):
    labels = ["normal ECG", "atrial fibrillation", "Osborn waves"]
    for multi_label in (True, False):
        answer = classify(
            described(3), candidate_labels=labels, multi_label=multi_label, explain=True, explain_method=method
        )
        explanation = Explanation(**answer.explanation)
        assert (explanation.label, explanation.method) == (answer[0]["label"], method)
        assert 1 / (1 + math.exp(-explanation.log_odds)) == pytest.approx(answer[0]["score"], abs=1e-3)
        assert max(map(abs, explanation.leads)) > 0
    assert classify(described(3), candidate_labels=labels).explanation is None


def test_a_pipeline_explains_each_recording_of_a_batch_for_a_label(classify):
    recordings = [described(3, seed) for seed in (0, 1)]
    options = {"candidate_labels": ["AFIB", "PVC"], "multi_label": True, "explain": "PVC"}
    together = classify(recordings, batch_size=2, **options)
    alone = [classify(recording, **options) for recording in recordings]
    for one, other in zip(together, alone):
        assert one.explanation["label"] == "PVC"
        assert one.explanation["leads"] == pytest.approx(other.explanation["leads"], abs=1e-4)
    with pytest.raises(ValueError, match="explain='LBBB' is not one of the labels: AFIB, PVC"):
        classify(recordings[0], candidate_labels=["AFIB", "PVC"], explain="LBBB")


def test_the_window_with_the_highest_odds_of_a_long_recording_is_explained(classify):
    options = {"candidate_labels": ["AFIB", "PVC"], "multi_label": True, "per_window": True}
    answer = classify(described(25), explain="AFIB", **options)
    odds = [{entry["label"]: entry["score"] for entry in window["labels"]}["AFIB"] for window in answer.windows]
    best = answer.windows[int(np.argmax(odds))]
    assert answer.explanation["edges"][0] == pytest.approx(best["start"])
    assert answer.explanation["edges"][-1] == pytest.approx(best["end"])


def test_a_fine_tuned_classifier_explains_its_labels(classifier_folder):
    answer = pipeline("ecg-classification", model=str(classifier_folder))(described(3), explain="MI")
    assert answer.explanation["label"] == "MI"
    assert 1 / (1 + math.exp(-answer.explanation["log_odds"])) == pytest.approx(
        {entry["label"]: entry["score"] for entry in answer}["MI"], abs=1e-4
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [({"explain": 3}, "explain must be True, False or a label"), ({"explain_method": "x"}, "explain_method must be")],
)
def test_a_pipeline_refuses_other_ways_to_explain(classify, options, message):
    with pytest.raises(ValueError, match=message):
        classify(described(3), candidate_labels=["AFIB"], **options)
