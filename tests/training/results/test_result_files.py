"""Result files name their origin without the folders of the machine, and hold the figures that are shown."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

from merit.training.results.result_files import compact_result, provenance, results_of, write_json


def test_the_command_is_written_as_another_person_would_type_it(monkeypatch):
    monkeypatch.setenv("PTBXL_ROOT", "/somewhere/ptbxl")
    arguments = ["demo", "--data", "/somewhere/ptbxl", "--output", "/elsewhere/run"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/merit", *arguments])
    assert provenance()["command"] == "merit demo --data $PTBXL_ROOT --output run"
    monkeypatch.setattr(sys, "argv", ["/home/me/checkout/benchmarks/bench.py", "--records", "3"])
    assert provenance()["command"] == "python benchmarks/bench.py --records 3"


def test_the_data_set_is_named_by_the_hash_of_its_database(simulated):
    facts = provenance(simulated)
    assert facts["data"]["records"] == 120
    database = (simulated / "ptbxl_database.csv").read_bytes()
    assert facts["data"]["database_sha256"] == hashlib.sha256(database).hexdigest()


def test_a_result_file_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "new" / "results.json"
    write_json(file, {"auc": 0.5})
    with pytest.raises(TypeError):
        write_json(file, {"auc": object()})
    assert json.loads(file.read_text()) == {"auc": 0.5}
    assert [path.name for path in file.parent.iterdir()] == ["results.json"]


def test_the_machine_is_named_with_its_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "gpu" not in provenance()["machine"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    assert provenance()["machine"]["gpu"] == "NVIDIA H100 80GB HBM3"


def test_a_json_file_is_read_back_and_has_short_entries_on_one_line(tmp_path):
    figure = {"value": 0.5, "low": 0.4, "high": None}
    content = {"a": {}, "b": [], "figures": {str(i): figure for i in range(9)}, "long": list(range(99)), "c": "\u00b5"}
    write_json(tmp_path / "a.json", content)
    assert json.loads((tmp_path / "a.json").read_text()) == content
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert '  "8": {"value": 0.5, "low": 0.4, "high": null}' in lines
    assert len(lines) == 17


def test_a_result_file_keeps_what_is_shown():
    label = {"auroc": {"value": 0.9, "low": 0.8, "high": 1.0}, "f1": 0.5, "brier": 0.1}
    result = {
        "task": "super",
        "method": "knn",
        "setting": {},
        "split": "test",
        "records": 3,
        "chosen": {"neighbours": 5},
    }
    result |= {
        "metrics": {"auroc": label["auroc"], "f1": label["auroc"]},
        "positives": {"A": 1},
        "labels": {"A": label},
    }
    result |= {"reliability": {"number": [1]}, "scores": object(), "replicates": object(), "rare_labels": {}}
    kept = compact_result(result)
    assert set(result) - set(kept) == {"positives", "scores", "replicates", "rare_labels"}
    assert kept["labels"] == {"A": {"positives": 1, **{key: label[key] for key in ("auroc", "f1")}}}
    few = compact_result({**result, "setting": {"train_fraction": 0.1}})
    assert set(few) == {"task", "method", "setting", "split", "records", "chosen", "metrics"}
    assert few["metrics"] == result["metrics"]
    assert set(compact_result({**result, "setting": {"leads": ["I"]}})["metrics"]) == {"auroc"}


def test_result_files_that_ship_have_at_most_200_kilobytes():
    root = Path(__file__).parents[3]
    files = [*root.glob("hub_cards/*/results/*.json"), *root.glob("benchmarks/results/**/*.json")]
    assert len(files) > 40
    assert {path.name: path.stat().st_size for path in files if path.stat().st_size > 200_000} == {}


def test_files_without_a_format_are_left_out_and_later_formats_are_refused(tmp_path):
    write_json(tmp_path / "results" / "speed.json", {"rate": 1})
    write_json(tmp_path / "results" / "old.json", {"format": 1})
    assert list(results_of(tmp_path)) == ["results/old.json"]
    write_json(tmp_path / "results" / "later.json", {"format": 3})
    with pytest.raises(ValueError, match=r"later\.json .* it has format 3, not one of 1, 2"):
        results_of(tmp_path)
