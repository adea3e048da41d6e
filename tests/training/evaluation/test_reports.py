"""Measures of models that report: right by construction, baselines, abstention, and the way into files and cards."""

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from transformers import pipeline

from merit import MeritProcessor
from merit.hub_cards.card import check_card
from merit.hub_cards.export import export
from merit.processing.inputs_merit import recording_of_row
from merit.processing.processing_merit import INSTRUCTIONS
from merit.training.evaluation.output import result_file
from merit.training.evaluation.report_measures import report_measures
from merit.training.evaluation.reports import evaluate_abstention, evaluate_reports, generate_reports
from merit.training.learning.report_generation import reported
from merit.training.results.comparison import comparison, read_results
from merit.training.results.result_files import write_json
from merit.training.scoring import encoders
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointReporter
from merit.training.scoring.perturbations import arms_exchanged, noise_only
from merit.training.scoring.protocol import patients_of


@pytest.fixture(scope="module")
def reporter(untrained_reporter):
    return CheckpointReporter(*untrained_reporter, name="untrained")


@pytest.fixture(scope="module")
def results(reporter, dataset):
    return [*evaluate_reports(reporter, dataset, resamples=50), *evaluate_abstention(reporter, dataset, resamples=50)]


def found(results, task, **setting):
    setting = {"reports": "generated", **setting}
    [result] = [one for one in results if one["task"] == task and setting.items() <= one["setting"].items()]
    return result


class Knowing(CheckpointReporter):
    """Says what was written."""

    def __init__(self, *args, written):
        super().__init__(*args)
        self.written = written

    def report(self, rows, text, **options):
        language = next(language for language, instruction in INSTRUCTIONS.items() if instruction == text)
        return [self.written[language].get(row["record_id"], "ekg") for row in rows], np.zeros(len(rows))


def test_who_says_what_was_written_scores_one(untrained_reporter, dataset):
    names = dataset["test"]["record_id"]
    written = {
        language: {names[row]: report for row, report in reported(dataset["test"], language).items()}
        for language in ("en", "de")
    }
    results = evaluate_reports(Knowing(*untrained_reporter, written=written), dataset, resamples=20)
    for language in ("en", "de"):
        generated = found(results, f"reports-{language}", reports="generated", decoding="greedy")
        assert generated["metrics"]["rouge_l"]["value"] == 1.0
        assert generated["metrics"]["bleu_1"]["value"] == 1.0
        as_written = found(results, f"reports-{language}", reports="as they were written")
        assert generated["metrics"] == as_written["metrics"]


@pytest.mark.slow
def test_baselines_are_the_most_frequent_report_and_that_of_the_nearest_recording(results, reporter, dataset):
    train, test = (reported(dataset[split], "en") for split in ("train", "test"))
    patients = patients_of(dataset["test"].select(list(test)))
    [(most_frequent, _)] = Counter(train.values()).most_common(1)
    features = {split: embed(reporter, dataset[split]) for split in ("train", "test")}
    known = features["train"][list(train)]
    mean, deviation = known.mean(0), known.std(0)
    nearest = []
    for one in features["test"][list(test)]:
        standardised = (known - mean) / deviation
        similarity = standardised @ ((one - mean) / deviation) / np.linalg.norm(standardised, axis=1)
        nearest.append(list(train.values())[similarity.argmax()])
    baselines = {"the most frequent of training": most_frequent, "of the nearest training recording": nearest}
    for who, text in baselines.items():
        texts = [text] * len(test) if isinstance(text, str) else text
        expected = report_measures(texts, list(test.values()), patients, resamples=50)
        metrics = found(results, "reports-en", reports=who)["metrics"]
        assert {name: metrics[name] for name in expected} == expected


def test_support_is_judged_by_what_the_labels_bear_out(untrained_reporter, dataset):
    """Of a statement that is right of half of the recordings: the AUROC of its zero-shot score."""
    test = dataset["test"]
    written = {"en": dict.fromkeys(test["record_id"], "sinus rhythm."), "de": {}}
    reporter = Knowing(*untrained_reporter, written=written)
    [result] = [r for r in evaluate_reports(reporter, dataset, ["en"], resamples=5) if r["method"] == "support"]
    rows = [test[i] for i in reported(test, "en")]
    classify = pipeline(
        "zero-shot-ecg-classification",
        model=reporter.model.merit,
        processor=MeritProcessor(reporter.processor.feature_extractor, reporter.processor.merit_tokenizer),
    )
    answers = classify(rows, candidate_labels={"SR": ["sinus rhythm."]}, multi_label=True)
    right = ["SR" in row["codes"] for row in rows]
    assert (result["statements"], result["right"]) == (len(rows), sum(right))
    expected = roc_auc_score(right, [answer[0]["score"] for answer in answers])
    for which in ("within", "over"):  # one statement
        assert result["metrics"][f"auroc_{which}_statements"]["value"] == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
def test_each_language_is_measured_greedy_and_by_beam_search_beside_its_baselines(results):
    for language in ("en", "de"):
        settings = [
            one["setting"]
            for one in results
            if (one["task"], one["method"]) == (f"reports-{language}", "report-generation")
        ]
        assert [setting.get("decoding") for setting in settings] == [None] * 3 + ["greedy", "beam search, 4 beams"]
    example = found(results, "reports-en", decoding="greedy")["examples"][0]
    assert set(example) == {"record_id", "written", "generated"}


def test_abstention_is_measured_on_recordings_that_are_none(results, reporter, dataset):
    abstention = {one["setting"]["recordings"]: one for one in results if one["method"] == "abstention"}
    assert len(abstention) == 4
    features = torch.from_numpy(embed(reporter, dataset["test"], lambda rows: noise_only(rows, 0.2)))
    atypical = reporter.model.atypicality(features).numpy()
    real = reporter.model.atypicality(torch.from_numpy(embed(reporter, dataset["test"]))).numpy()
    told = (atypical[:, None] > real).mean() + (atypical[:, None] == real).mean() / 2
    metrics = abstention["noise of 0.2 mV"]["metrics"]
    assert metrics["auroc_by_atypicality"]["value"] == pytest.approx(told, abs=1e-4)
    assert metrics["abstained"]["value"] == 0.0  # it has no threshold
    assert "auroc_by_atypicality" not in abstention["as they are"]["metrics"]


@pytest.mark.parametrize("beams", [1, 3])
def test_probabilities_are_those_of_the_tokens_that_were_said(reporter, dataset, beams, monkeypatch):
    monkeypatch.setattr(encoders, "fast_precision", lambda: {"bf16": False})
    rows = dataset["test"].select(range(3))
    reports, likely = generate_reports(reporter, rows, num_beams=beams, max_new_tokens=6)
    batch = reporter.processor(ecg=[rows[i] for i in range(3)])
    prompt = batch["input_ids"].shape[1]
    tokens = reporter.model.generate(**batch, num_beams=beams, max_new_tokens=6)
    mask = torch.cat([batch["attention_mask"], torch.ones_like(tokens[:, prompt:])], dim=1)
    with torch.no_grad():
        logits = reporter.model(**{**batch, "input_ids": tokens, "attention_mask": mask}).logits.log_softmax(-1)
    end = reporter.processor.tokenizer.eos_token_id
    for row in range(3):
        own = tokens[row, prompt:].tolist()
        own = own[: own.index(end) + 1] if end in own else own
        expected = np.mean([logits[row, prompt + i - 1, token].item() for i, token in enumerate(own)])
        assert likely[row] == pytest.approx(expected, abs=1e-5)
    assert reports == reporter.processor.read(tokens[:, prompt:])


def test_a_result_file_belongs_to_the_exported_weights(results, reporter, untrained_reporter, dataset, tmp_path):
    content = result_file(reporter, dataset, "simulated", 0, results)
    write_json(tmp_path / "evaluation.json", content)
    folder = export(*untrained_reporter, tmp_path / "model", results=[tmp_path / "evaluation.json"])
    check_card(folder)
    [table] = [
        part
        for part in comparison(read_results([tmp_path / "evaluation.json"])).split("### ")
        if "greedy: BLEU-4" in part
    ]
    assert "| untrained |" in table
    assert "| reports-en | reports-de |" in table
    card = (folder / "README.md").read_text()
    assert "**simulated, reports-en: report-generation**" in card
    assert "| reports, generated, greedy |" in card


def test_a_data_set_without_training_reports_is_refused(reporter, dataset):
    with pytest.raises(ValueError, match="no split train"):
        evaluate_reports(reporter, {"test": dataset["test"], "validation": dataset["validation"]})
    with pytest.raises(ValueError, match="no reports in sv in both splits; there are in en, de"):
        evaluate_reports(reporter, dataset, languages=["sv"])


def test_a_data_set_of_english_reports_is_measured_in_english(reporter, dataset):
    english = dataset.map(lambda row: {"language": "en", "report": row["report_en"]})
    results = evaluate_reports(reporter, english, resamples=5)
    assert {result["task"] for result in results} == {"reports-en"}


def test_exchanging_the_arms_twice_changes_nothing_and_once_the_limb_leads(dataset):
    row = dataset["test"][0]
    once = arms_exchanged([row])
    assert arms_exchanged(once)[0]["signal"].tolist() == list(row["signal"])
    before, after = (dict(zip(one["lead_names"], recording_of_row(one).physical())) for one in (row, once[0]))
    np.testing.assert_allclose(after["I"], -before["I"])
    np.testing.assert_allclose(after["II"], before["III"])
    np.testing.assert_allclose(after["aVL"], before["aVR"])
    for lead in ("aVF", "V1", "V6"):
        np.testing.assert_allclose(after[lead], before[lead])
    # As Einthoven has it: II is I and III.
    np.testing.assert_allclose(after["II"], after["I"] + after["III"], atol=0.003)


def test_noise_replaces_a_recording_alike_in_every_run(dataset):
    rows = [dataset["test"][0], dataset["test"][1]]
    noise = noise_only(rows, 0.1, seed=1)
    physical = [recording_of_row(row).physical() for row in noise]
    assert np.std(physical[0]) == pytest.approx(0.1, rel=0.05)
    assert noise_only(rows[1:], 0.1, seed=1)[0]["signal"].tolist() == noise[1]["signal"].tolist()
    assert abs(np.corrcoef(physical[0].ravel(), physical[1].ravel())[0, 1]) < 0.05
    assert noise_only(rows, 0.1, seed=2)[0]["signal"].tolist() != noise[0]["signal"].tolist()
