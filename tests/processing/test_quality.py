"""Quality of recordings: measures of simulated ECGs and of what is wrong with them, and the answers of pipelines."""

import warnings

import numpy as np
import pytest
import torch
from transformers import pipeline

from merit.processing.answers_merit import DoNotRelyWarning
from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.leads_merit import STANDARD_LEADS
from merit.processing.quality_merit import MEASURES, signal_measures, signal_reasons

LABELS = ["normal ECG", "atrial fibrillation"]
ARRAY = {"sampling_rate": 100, "leads": list(STANDARD_LEADS), "units": "mV"}


@pytest.fixture(scope="module")
def ecg(dataset):
    """Simulated recordings of ordinary amplitude in millivolts, `(recordings, 12, 1000)`."""
    rows = dataset["test"].with_format("numpy")[:]
    signals = [np.asarray(signal, np.float32).reshape(12, -1) for signal in rows["signal"]]
    millivolts = np.stack([signal / gain[:, None] for signal, gain in zip(signals, rows["gain"])])
    spans = np.median(np.ptp(millivolts, axis=-1), axis=-1)
    return millivolts[(spans > 0.5) & (spans < 3)]


def measures(signals, **options):
    batch = MeritFeatureExtractor()(list(signals), return_tensors="pt", **{**ARRAY, **options})
    return signal_measures(batch["ecg_values"], batch["lead_mask"], batch["sample_mask"], STANDARD_LEADS)


def codes(signals, **options):
    """The codes of the reasons for each recording."""
    return [{one["code"] for one in signal_reasons(row, STANDARD_LEADS)} for row in measures(signals, **options)]


def with_arms_exchanged(signals):
    exchanged = signals.copy()
    exchanged[:, 0] *= -1
    exchanged[:, [1, 2, 3, 4]] = signals[:, [2, 1, 4, 3]]
    return exchanged


def white_noise(shape):
    return 0.3 * np.random.default_rng(0).normal(size=shape)


class TestReasons:
    def test_an_ecg_gives_no_reason(self, ecg):
        assert codes(ecg) == [set()] * len(ecg)

    @pytest.mark.parametrize("factor", [1000 / 50, 1 / 1000, 0.1])
    def test_wrong_units_are_told(self, ecg, factor):
        assert all("implausible_amplitude" in found for found in codes(ecg * factor))

    def test_exchanged_arms_are_told(self, ecg):
        assert sum("exchanged_arms" in found for found in codes(with_arms_exchanged(ecg))) > 0.8 * len(ecg)

    def test_a_recording_upside_down_is_told(self):
        r_waves = np.exp(-(((np.arange(1000) / 100 % 0.8 - 0.4) / 0.02) ** 2))
        heights = np.array([0.5, 0.8, 0.3, -0.65, 0.1, 0.55, -0.6, -0.3, 0.4, 1.2, 1.0, 0.8])
        beats = (heights[:, None] * r_waves)[None]
        assert codes(beats) == [set()]
        assert codes(-beats) == [{"inverted"}]

    def test_the_sign_of_a_recording_is_that_of_its_polarity(self, ecg):
        column = MEASURES.index("polarity")
        upright, inverted = measures(ecg)[:, column], measures(-ecg)[:, column]
        torch.testing.assert_close(inverted, -upright)
        assert (upright > 0).float().mean() > 0.8
        wandering = ecg + np.sin(np.arange(ecg.shape[-1]) / 20)
        torch.testing.assert_close(measures(wandering)[:, column], upright, rtol=0.1, atol=0.1)

    def test_leads_in_another_order_are_told(self, ecg):
        assert all("inconsistent_limb_leads" in found for found in codes(np.roll(ecg, 1, axis=1)))

    def test_noise_is_told(self, ecg):
        assert all("noise" in found for found in codes(white_noise(ecg.shape)))

    def test_noisy_leads_are_named(self, ecg):
        ecg = ecg.copy()
        ecg[:, 8] = white_noise(ecg[:, 8].shape)
        found = [[one["message"] for one in signal_reasons(row, STANDARD_LEADS)] for row in measures(ecg)]
        assert found.count(["V3 is noisy; check the electrodes"]) > 0.8 * len(ecg)

    @pytest.mark.parametrize("leads", [["I"], ["I", "II"], ["V1", "V2"], list(STANDARD_LEADS[:6])])
    def test_fewer_leads_are_no_reason(self, ecg, leads):
        positions = [STANDARD_LEADS.index(lead) for lead in leads]
        assert codes(ecg[:, positions], leads=leads) == [set()] * len(ecg)

    def test_padding_is_no_reason_and_changes_no_measure(self, ecg):
        batch = MeritFeatureExtractor()(list(ecg[..., :500]), return_tensors="pt", padding="max_length", **ARRAY)
        padded = signal_measures(batch["ecg_values"], batch["lead_mask"], batch["sample_mask"], STANDARD_LEADS)
        torch.testing.assert_close(padded, measures(ecg[..., :500]), rtol=0.02, atol=1e-3)
        assert not any(signal_reasons(row, STANDARD_LEADS) for row in padded)

    def test_a_measure_without_its_leads_is_nan(self, ecg):
        found = dict(zip(MEASURES, measures(ecg[:1, 6:8], leads=["V1", "V2"])[0].tolist()))
        assert {name for name, value in found.items() if np.isnan(value)} == {
            "limb_error",
            "arm_correlation",
            "polarity",
        }

    @pytest.mark.parametrize("samples", [0, 1, 2, 3])
    @pytest.mark.parametrize("padding", [0, 5])
    def test_a_window_of_fewer_than_two_samples_has_no_measure(self, samples, padding):
        values = torch.zeros(2, 12, samples + padding)
        values[..., :samples] = torch.arange(samples) + 1.0
        masks = torch.ones(2, 12, dtype=torch.bool), (torch.arange(samples + padding) < samples).expand(2, -1)
        found = signal_measures(values, *masks, STANDARD_LEADS)
        assert found.shape == (2, 5 + 12)
        assert bool(found.isnan().all()) == (samples < 2)
        assert bool(found.isnan().any()) == (samples < 2)


class TestAnswers:
    @pytest.fixture(scope="class")
    def classify(self, model_folder):
        return pipeline("zero-shot-ecg-classification", model=str(model_folder))

    def test_a_good_recording_has_no_reasons_and_gives_no_warning(self, classify, ecg):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answer = classify(ecg[0], LABELS, **ARRAY)
        assert answer.quality == {"abstained": False, "atypicality": None, "reasons": []}

    def test_each_bad_recording_gives_an_answer_with_one_warning(self, classify, ecg):
        bad = {"record_id": "bad", "signal": white_noise((12, 1000)), **ARRAY}
        with pytest.warns(DoNotRelyWarning, match="do not rely on this answer") as caught:
            answers = classify([ecg[0], bad, white_noise((12, 1000))], LABELS, batch_size=2, **ARRAY)
        assert [str(one.message).split(":")[0] for one in caught] == ["bad", "recording 2"]
        assert [len(answer) for answer in answers] == [2, 2, 2]
        assert [bool(answer.quality["reasons"]) for answer in answers] == [False, True, True]

    def test_abstain_gives_an_empty_answer_with_the_reasons_and_no_warning(self, classify, ecg):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            good, bad = classify([ecg[0], white_noise((12, 1000))], LABELS, abstain=True, per_window=True, **ARRAY)
        assert len(good) == 2
        assert not good.quality["abstained"]
        assert bad == []
        assert bad.windows is None
        assert bad.quality["abstained"]
        assert {"noise"} <= {reason["code"] for reason in bad.quality["reasons"]}

    def test_a_classifier_tells_the_quality_too(self, classifier_folder, ecg):
        classify = pipeline("ecg-classification", model=str(classifier_folder))
        assert classify(ecg[0], **ARRAY).quality["reasons"] == []
        assert classify(ecg[0] * 20, abstain=True, **ARRAY) == []

    def test_the_windows_of_a_recording_are_judged_together(self, classify, ecg):
        long = np.concatenate([ecg[0], ecg[0], white_noise((12, 100))], axis=1)
        assert classify(long, LABELS, abstain=True, **ARRAY).quality["reasons"] == []
