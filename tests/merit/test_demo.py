"""The demo, with few recordings."""

import json

import pytest
from transformers import AutoModelForSequenceClassification

from merit import demo


@pytest.mark.slow
def test_the_demo_classifies_draws_and_fine_tunes_and_writes_all_results(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(demo, "EVALUATION_RECORDS", 150)
    monkeypatch.setattr(demo, "FINE_TUNING_EPOCHS", 1)
    demo.run(None, str(tmp_path / "demo"))
    printed = capfd.readouterr().out
    assert "normal ECG" in printed
    assert "not a medical device" in printed
    assert (tmp_path / "demo" / "classified.png").read_bytes()[1:4] == b"PNG"
    results = json.loads((tmp_path / "demo" / "results.json").read_text())
    assert results["model"] == "merit-ptbxl-tiny"
    assert set(results["auc"]) == {"zero_shot", "linear_probe", "fine_tuned"}
    # The checkpoint was trained on real recordings only, and still recognises simulated disease.
    assert results["auc"]["zero_shot"]["macro"] > 0.6
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "demo" / "fine-tuned")
    assert set(classifier.config.id2label.values()) == set(results["auc"]["fine_tuned"]) - {"macro"}
