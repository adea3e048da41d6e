"""Opening data sets by name or by folder."""

import pytest
from simulated_trees import write_challenge, write_mimic

from merit.training.data.catalogue import SOURCES, load_data, open_source
from merit.training.data.preparation import prepare
from merit.training.data.sources.challenge import Challenge
from merit.training.data.sources.folder import Folder
from merit.training.data.sources.mimic import MimicIvEcg
from merit.training.data.sources.ptbxl import PtbXl


def test_every_data_set_opens_by_its_name(simulated, tmp_path):
    write_mimic(tmp_path / "mimic", 3, samples=20)
    write_challenge(tmp_path / "own/A0001", 0)
    (tmp_path / "own/records.csv").write_text("path,report\nA0001,normal ecg\n")
    roots = {"ptbxl": simulated, "mimic-iv-ecg": tmp_path / "mimic"}
    opened = {name: open_source(name, roots.get(name, tmp_path / "own")) for name in SOURCES}
    assert {name: type(source) for name, source in opened.items()} == {
        "ptbxl": PtbXl,
        "cpsc2018": Challenge,
        "csn": Challenge,
        "georgia": Challenge,
        "mimic-iv-ecg": MimicIvEcg,
        "folder": Folder,
    }
    names = {name: name for name in SOURCES} | {"ptbxl": "simulated", "folder": "own"}
    assert {name: source.name for name, source in opened.items()} == names
    assert {name: source.count for name, source in opened.items()} == {
        "ptbxl": 120,
        "cpsc2018": 1,
        "csn": 1,
        "georgia": 1,
        "mimic-iv-ecg": None,
        "folder": 1,
    }


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ptb", {}, "There is no data set 'ptb'; there are ptbxl, cpsc2018, csn, georgia, mimic-iv-ecg, folder"),
        ("georgia", {"splits": "lists"}, "Row lists are published for cpsc2018 and csn, not for georgia"),
        ("csn", {"table": "records.csv"}, "table and labels apply to the data set 'folder' only, not to csn"),
        ("ptbxl", {"labels": ["MI"]}, "table and labels apply to the data set 'folder' only, not to ptbxl"),
        ("ptbxl", {"sampling_rate": 250}, "100 and 500 Hz, not at 250 Hz"),
    ],
)
def test_arguments_that_do_not_apply_are_refused(tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        open_source(name, tmp_path, **options)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        open_source("csn", tmp_path / "nowhere")


def test_a_prepared_folder_and_the_folder_of_ptbxl_give_the_same_rows(simulated, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    prepared = load_data(prepare(open_source("ptbxl", simulated), tmp_path / "out", processes=1))
    tree = load_data(simulated)
    assert list(prepared) == list(tree) == ["train", "validation", "test"]
    for split, rows in tree.items():
        assert prepared[split].features == rows.features
        assert prepared[split][:] == rows[:]


def test_a_folder_without_data_is_named(tmp_path):
    message = r"holds neither prepared\.json nor ptbxl_database\.csv; pass the output of `merit prepare`, or PTB-XL"
    with pytest.raises(FileNotFoundError, match=message):
        load_data(tmp_path)
