"""Result files say where they come from, and nothing of the machine's folders."""

import hashlib
import json
import sys

import pytest

from merit.training.results.result_files import provenance, write_json


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
