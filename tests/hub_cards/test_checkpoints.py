"""The checkpoints of the repository: complete, small, with the current code, and cards that match their results."""

import json
import os
import re
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
import transformers
from transformers import AutoModel, AutoModelForMultimodalLM, AutoProcessor

from merit.hub_cards.card import check_card
from merit.hub_cards.export import export, load, travelling_files
from merit.hub_cards.folder import example_record
from merit.hub_cards.publish import check
from merit.processing.zero_shot_merit import resolve_labels, unknown_labels
from merit.training.data.catalogue import load_data
from merit.training.evaluation.evaluate import evaluate
from merit.training.evaluation.reports import generate_reports
from merit.training.learning.report_generation import reported
from merit.training.results.comparison import find_result
from merit.training.scoring.encoders import CheckpointEncoder, CheckpointReporter
from merit.training.trainer.recipe import PretrainingRecipe, ReportRecipe

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in ROOT.glob("hub_cards/*/config.json"))
ARCHITECTURES = {folder: json.loads((folder / "config.json").read_text())["architectures"] for folder in FOLDERS}
CLASSIFIERS = [folder for folder in FOLDERS if ARCHITECTURES[folder] == ["MeritForEcgClassification"]]
MEGABYTE = 10**6

every_checkpoint = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
every_classifier = pytest.mark.parametrize("folder", CLASSIFIERS, ids=lambda folder: folder.name)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_checkpoints_exist_and_keep_their_size_limits():
    sizes = {folder.name: sum(map(len, contents(folder).values())) for folder in FOLDERS}
    assert {"merit-ptbxl-small", "merit-ptbxl-tiny", "merit-ptbxl-report"} <= set(sizes)
    assert sizes["merit-ptbxl-tiny"] < 8 * MEGABYTE
    assert sum(sizes.values()) < 60 * MEGABYTE


@pytest.mark.slow
@every_checkpoint
def test_a_checkpoint_equals_a_new_export_of_itself(folder, tmp_path):
    """Code, configuration, processor, weights and card. After a change, `merit export DIR DIR` renews them."""
    writer = json.loads((folder / "config.json").read_text())["transformers_version"]
    if writer != transformers.__version__:
        pytest.skip(f"transformers {writer} wrote it, and other versions write other defaults into config.json")
    results = sorted(folder.glob("results/*.json"))
    again = contents(export(*load(folder), tmp_path / "again", example=example_record(folder), results=results))
    stored = contents(folder)
    # Another processor may round the example's scores otherwise; they are compared below.
    assert again.keys() == stored.keys()
    assert [name for name in stored if again[name] != stored[name] and name != "example/answer.json"] == []


@every_checkpoint
def test_the_code_and_the_glossary_of_a_checkpoint_are_linked_to_the_package(folder):
    reports = ARCHITECTURES[folder] == ["MeritForReportGeneration"]
    linked = {path.name: path for pattern in ("*.py", "*_merit.json") for path in folder.glob(pattern)}
    expected = [*travelling_files(reports), ROOT / "processing" / "glossary_merit.json"]
    assert linked.keys() == {path.name for path in expected}
    for path in expected:
        assert linked[path.name].is_symlink(), path.name
        assert not linked[path.name].readlink().is_absolute()
        assert linked[path.name].resolve(strict=True) == ROOT / path.parent.name / path.name


@pytest.mark.slow
@every_checkpoint
def test_a_checkpoint_that_is_exported_onto_itself_keeps_its_links(folder, tmp_path):
    """An export to another folder has real files."""
    place = tmp_path / "hub_cards" / folder.name
    shutil.copytree(folder, place, symlinks=True)
    for code in ("modeling_merit", "processing"):
        shutil.copytree(ROOT / code, tmp_path / code)
    results = sorted(folder.glob("results/*.json"))
    export(*load(folder), place, example=example_record(folder), results=results)
    links = {path.name: path.readlink() for path in folder.iterdir() if path.is_symlink()}
    assert {path.name: path.readlink() for path in place.iterdir() if path.is_symlink()} == links
    elsewhere = export(*load(folder), tmp_path / "elsewhere")
    assert [path for path in elsewhere.rglob("*") if path.is_symlink()] == []


@pytest.mark.slow
@every_checkpoint
def test_a_checkpoint_answers_without_the_package_and_its_card_agrees_with_its_results(folder):
    check(folder)
    check_card(folder)


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f not in CLASSIFIERS], ids=lambda folder: folder.name)
def test_the_training_record_of_a_checkpoint_names_reports_only(folder):
    record = json.loads((folder / "results" / "training.json").read_text())["training"]
    assert [data["name"] for data in record["data"]] == ["ptbxl"]
    # No recipe field names labels.
    assert set(record["recipe"]) <= {field.name for kind in (PretrainingRecipe, ReportRecipe) for field in fields(kind)}
    assert "dirty" not in record["commit"]
    assert len(record["log"]) > 100


@pytest.mark.parametrize("name", ["merit-ptbxl-small", "merit-ptbxl-tiny"])
def test_the_findings_that_the_page_of_labels_calls_unknown_are_unknown(name):
    page = (ROOT / "docs" / "how-to" / "labels.md").read_text(encoding="utf-8")
    [item] = re.findall(r"\*\*Findings that the reports of PTB-XL hardly name\*\*(.+?)constant", page, re.DOTALL)
    labels = re.findall(r"`([^`]+)`", item)
    assert {"pericarditis", "sinus arrest", "artifact"} <= set(labels)
    processor = AutoProcessor.from_pretrained(ROOT / "hub_cards" / name)
    assert all(unknown_labels(resolve_labels(labels), processor.tokenizer, processor.glossary))


@every_classifier
def test_the_training_record_of_a_classifier_names_its_start_and_its_labels(folder):
    record = json.loads((folder / "results" / "training.json").read_text())["training"]
    start = ROOT / "hub_cards" / record["recipe"]["start"]["name"]
    evaluation = json.loads((start / "results" / "evaluation.json").read_text())
    measured = evaluation["model"]
    # Labels may have been learned anew since.
    assert record["recipe"]["start"]["weights_sha256"] in (measured["weights_sha256"], measured.get("measured_with"))
    assert "dirty" not in record["commit"]
    [own] = json.loads((folder / "results" / "evaluation.json").read_text())["results"]
    assert own["task"] == record["recipe"]["task"]
    best = find_result(evaluation, own["task"], "linear-probe", {})
    assert own["metrics"]["auroc"]["value"] > best["metrics"]["auroc"]["value"]  # it earns its place


@pytest.mark.slow
@pytest.mark.skipif("PTBXL_ROOT" not in os.environ, reason="PTBXL_ROOT names no PTB-XL")
def test_the_results_of_the_tiny_checkpoint_are_reproducible():
    folder = ROOT / "hub_cards" / "merit-ptbxl-tiny"
    dataset = load_data(os.environ["PTBXL_ROOT"])
    encoder = CheckpointEncoder(AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder))
    splits = {split: dataset[split] for split in ("validation", "test")}
    found = evaluate(encoder, type(dataset)(splits), ["super", "rhythm"], ["zero-shot"], resamples=10)
    stored = json.loads((folder / "results" / "evaluation.json").read_text())
    assert stored["model"]["weights_sha256"] == encoder.weights_sha256
    for result in found:
        expected = find_result(stored, result["task"], result["method"], result["setting"])
        # Another processor computes in another precision.
        value = expected["metrics"]["auroc"]["value"]
        assert result["metrics"]["auroc"]["value"] == pytest.approx(value, abs=0.003), result["setting"]


@pytest.mark.slow
@pytest.mark.skipif("PTBXL_ROOT" not in os.environ, reason="PTBXL_ROOT names no PTB-XL")
def test_the_reports_of_the_report_checkpoint_are_reproducible():
    folder = ROOT / "hub_cards" / "merit-ptbxl-report"
    test = load_data(os.environ["PTBXL_ROOT"])["test"]
    reporter = CheckpointReporter(
        AutoModelForMultimodalLM.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    )
    stored = json.loads((folder / "results" / "evaluation.json").read_text())
    assert stored["model"]["weights_sha256"] == reporter.weights_sha256
    rows = test.select(list(reported(test, "en"))[:5])
    generated_now, _ = generate_reports(reporter, rows)
    result = find_result(stored, "reports-en", "report-generation", {"reports": "generated", "decoding": "greedy"})
    assert [example["record_id"] for example in result["examples"]] == rows["record_id"][:]
    # Another processor computes in another precision, and may write another word.
    assert sum(example["generated"] == text for example, text in zip(result["examples"], generated_now)) >= 4
