"""Data sets in the form of the PhysioNet/CinC Challenges, simulated and real."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import wfdb
from simulated_trees import noise, write_challenge
from wfdb_files import write_record

from merit.processing.inputs_merit import recording_of_row
from merit.processing.recordings_merit import EcgError
from merit.training.data.catalogue import load_data, open_source
from merit.training.data.preparation import describe, prepare
from merit.training.data.schema import fold_of, label_names
from merit.training.data.sources.challenge import Challenge, read_comments
from merit.training.data.tasks import snomed_tasks, unmapped

EXTERNAL = Path(__file__).parents[4] / "shared" / "external"
needs_samples = pytest.mark.skipif(not EXTERNAL.is_dir(), reason="the sample recordings and row lists are not here")


@pytest.fixture
def root(tmp_path):
    """Records in nested folders, as CSN has them."""
    root = tmp_path / "csn"
    write_challenge(root / "01/010/JS00001", 1)
    write_challenge(root / "01/010/JS00002", 2, ("#Age: NaN", "#Sex: Unknown", "#Dx: 426783006", "#Rx: Unknown"))
    write_challenge(root / "01/011/JS00003", 3, ("Age: 9", "Sex: M", "Dx: 59118001, 164889003 ,"), samples=1500)
    write_challenge(root / "02/020/JS00004", 4, ("Age: 130", "Sex: F", "Dx: Unknown"))
    return root


def prepared(source, tmp_path, **options):
    return load_data(prepare(source, tmp_path / "out", processes=1, **options))


def rows_by_id(data):
    return {row["record_id"]: row for rows in data.values() for row in rows}


def test_headers_say_age_sex_and_diagnoses(root, tmp_path):
    data = prepared(Challenge("csn", root), tmp_path)
    rows = rows_by_id(data)
    assert sorted(rows) == ["01/010/JS00001", "01/010/JS00002", "01/011/JS00003", "02/020/JS00004"]
    known = {Path(name).name: (row["age"], row["sex"], row["codes"]) for name, row in rows.items()}
    assert known == {
        "JS00001": (74, 1, ["426177001", "164889003"]),
        "JS00002": (None, None, ["426783006"]),
        "JS00003": (9, 0, ["59118001", "164889003"]),
        "JS00004": (130, 1, []),
    }
    for name, row in rows.items():
        assert row["patient_id"] == Path(name).name
        assert row["fold"] == fold_of("csn", row["patient_id"])
        assert (row["report_raw"], row["report"], row["language"], row["report_en"]) == ("", "", "", "")
        assert (row["source"], row["sampling_rate"]) == ("csn", 500)


def test_signals_are_read_past_the_head_of_the_mat_file(root, tmp_path):
    rows = rows_by_id(prepared(Challenge("csn", root), tmp_path))
    for seed, name, samples in ((1, "01/010/JS00001", 1250), (3, "01/011/JS00003", 1500)):
        np.testing.assert_array_equal(np.reshape(rows[name]["signal"], (12, samples)), noise(seed, samples))
        physical = wfdb.rdrecord(str(root / name)).p_signal.T
        np.testing.assert_array_equal(recording_of_row(rows[name]).physical(), physical)


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("cpsc2018", ["cpsc2018", "challenge"]),
        ("csn", ["csn-clean", "csn-merl", "challenge"]),
        ("georgia", ["challenge"]),
    ],
)
def test_each_data_set_has_its_own_tasks(root, tmp_path, name, tasks):
    data = prepared(open_source(name, root), tmp_path)
    row = rows_by_id(data)["01/011/JS00003"]
    columns = next(iter(data.values())).features
    assert [column.removeprefix("labels_") for column in columns if column.startswith("labels_")] == tasks
    for task in tasks:
        expected = snomed_tasks()[task].encode(["59118001", "164889003"]).tolist()
        assert row[f"labels_{task}"] == expected
        assert sum(expected) >= 2
        assert row[task] == np.flatnonzero(expected).tolist()
        assert label_names(next(iter(data.values())), task) == list(snomed_tasks()[task].labels)


def test_acronyms_of_cpsc2018_are_read_too(tmp_path):
    write_challenge(tmp_path / "cpsc/A0001", 1, ("Age: 50", "Sex: Male", "Dx: AF,I-AVB"))
    (row,) = rows_by_id(prepared(Challenge("cpsc2018", tmp_path / "cpsc"), tmp_path)).values()
    names = np.array(snomed_tasks()["cpsc2018"].labels)
    assert set(names[row["cpsc2018"]]) == {"1AVB", "AFIB"}
    assert row["codes"] == ["AF", "I-AVB"]


def test_codes_without_a_label_are_listed(root, tmp_path):
    write_challenge(root / "JS00009", 9, ("Age: 50", "Sex: Male", "Dx: 426177001,123456789"))
    output = prepare(Challenge("csn", root), tmp_path / "out", processes=1)
    assert json.loads((output / "prepared.json").read_text())["codes_without_label"] == {"123456789": 1}
    assert "codes without a label: 123456789 (1)" in describe(output)
    assert unmapped(["123456789"]) == ["123456789"]


@pytest.mark.parametrize("comments", [("Age: 50", "Sex: Male"), ()])
def test_a_header_without_diagnoses_is_named(root, tmp_path, comments):
    write_challenge(root / "02/020/JS00009", 9, comments)
    with pytest.raises(ValueError, match="02/020/JS00009: its header has no line '#Dx:', which lists the diagnoses"):
        prepare(Challenge("csn", root), tmp_path / "out", processes=1)
    data = prepared(Challenge("csn", root), tmp_path, skip_bad=True)
    assert "02/020/JS00009" not in rows_by_id(data)
    assert (tmp_path / "out" / "skipped.csv").read_text().startswith("record_id,reason\n02/020/JS00009,")


def test_comments_are_read_in_any_usual_spacing(tmp_path):
    header = tmp_path / "a.hea"
    header.write_bytes(
        b"a 1 500 10\na.mat 16 1000/mV 16 0 0 0 0 I\r\n# Age: NaN\r\n#Sex:Female \n#  Dx : 1, 2\n#Hx: \xe9\n"
    )
    assert read_comments(header) == {"Age": "NaN", "Sex": "Female", "Dx": "1, 2"}


def test_a_header_that_announces_another_number_of_leads_is_named(root, tmp_path):
    header = root / "01/011/JS00003.hea"
    header.write_text(header.read_text().replace("JS00003 12 500", "JS00003 11 500"))
    with pytest.raises(EcgError, match="JS00003: its header announces 11 signals but describes 12"):
        prepare(Challenge("csn", root), tmp_path / "out", processes=1)


def test_published_splits_decide_and_leave_out_what_they_do_not_name(root, tmp_path):
    splits = {"JS00001": "test", "JS00003": "train", "JS00004": "validation", "JS99999": "train"}
    data = prepared(Challenge("csn", root, splits), tmp_path)
    assert {split: rows["patient_id"][:] for split, rows in data.items()} == {
        "train": ["JS00003"],
        "validation": ["JS00004"],
        "test": ["JS00001"],
    }
    assert {split: rows["fold"][0] for split, rows in data.items() if split != "train"} == {"validation": 9, "test": 10}
    assert data["train"]["fold"][0] in range(1, 9)


def test_row_lists_give_the_splits(root, tmp_path):
    for suffix, name in (("train", "JS00001"), ("val", "JS00002"), ("test", "JS00003")):
        path = tmp_path / f"lists/chapman/chapman_{suffix}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"ecg_path,age,SR\n/chapman/WFDBRecords/01/010/{name}.mat,50,1\n")
    data = prepared(open_source("csn", root, splits=tmp_path / "lists"), tmp_path)
    assert {split: rows["patient_id"][:] for split, rows in data.items()} == {
        "train": ["JS00001"],
        "validation": ["JS00002"],
        "test": ["JS00003"],
    }


def test_other_splits_are_another_data_set(root):
    fingerprints = {Challenge("csn", root).fingerprint()}
    fingerprints |= {Challenge("csn", root, {"JS00001": split}).fingerprint() for split in ("train", "test")}
    assert len(fingerprints) == 3


def test_a_changed_header_is_noticed(root):
    before = Challenge("csn", root).fingerprint()
    assert Challenge("csn", root).fingerprint() == before
    os.utime(root / "02/020/JS00004.hea", ns=(0, 0))
    assert Challenge("csn", root).fingerprint() != before


def test_a_folder_without_records_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no WFDB header \(\.hea\) in .* or below it"):
        Challenge("csn", tmp_path)


def test_row_lists_of_another_data_set_are_noticed(root):
    with pytest.raises(FileNotFoundError, match=r"name none of the 4 records in .*; are they of another data set"):
        Challenge("csn", root, {"A0001": "train"})


def test_unusual_leads_are_refused_or_left_out(root, tmp_path):
    write_record(
        root / "JS00009",
        noise(9, 1250, 3),
        leads=("II", "RESP", "V5"),
        comments=("Dx: 426177001",),
        suffix="mat",
    )
    with pytest.raises(EcgError, match="JS00009: channel 1, 'RESP', is not a standard lead"):
        prepare(Challenge("csn", root), tmp_path / "out", processes=1)
    data = prepared(Challenge("csn", root), tmp_path, ignore_unknown_leads=True)
    assert rows_by_id(data)["JS00009"]["lead_names"] == ["II", "V5"]


# What the samples carry: records labelled in each task, and the codes that no task of the data set has.
SAMPLES = {
    "cpsc2018": (EXTERNAL / "cpsc2018", {"cpsc2018": 60, "challenge": 49}, set()),
    "csn": (
        EXTERNAL / "chapman_shaoxing_ningbo",
        {"csn-clean": 27, "csn-merl": 27, "challenge": 34},
        {"251170000", "251223006", "425856008", "446358003", "55827005", "55930002", "61721007"},
    ),
}


@pytest.mark.slow
@needs_samples
@pytest.mark.parametrize("name", SAMPLES)
def test_the_real_samples_load_with_every_code_mapped_or_listed(tmp_path, name):
    root, labelled, without_label = SAMPLES[name]
    output = prepare(Challenge(name, root), tmp_path / "out")
    rows = rows_by_id(load_data(output))
    assert len(rows) == len(list(root.glob("*.hea"))) >= 36
    listed = json.loads((output / "prepared.json").read_text())["codes_without_label"]
    tasks = Challenge(name, root).tasks
    for record_id, row in rows.items():
        comments = wfdb.rdheader(str(root / record_id)).comments
        codes = next(line.removeprefix("Dx:").strip() for line in comments if line.startswith("Dx:")).split(",")
        assert row["codes"] == codes
        assert all(code in listed or any(code in task.labels_of for task in tasks.values()) for code in codes)
        for task in tasks:
            assert row[f"labels_{task}"] == tasks[task].encode(codes).tolist()
        record = wfdb.rdrecord(str(root / record_id))
        np.testing.assert_array_equal(recording_of_row(row).physical(), record.p_signal.T)
        assert (row["lead_names"], row["sampling_rate"]) == (record.sig_name, record.fs)
        age = next(line.removeprefix("Age:").strip() for line in comments if line.startswith("Age:"))
        assert row["age"] == (float(age) if age.isdecimal() else None)
        sex = next(line.removeprefix("Sex:").strip() for line in comments if line.startswith("Sex:"))
        assert row["sex"] == {"Male": 0, "Female": 1}.get(sex)
    assert set(listed) == without_label
    assert {task: sum(any(row[f"labels_{task}"]) for row in rows.values()) for task in tasks} == labelled


@needs_samples
def test_the_real_samples_stand_in_the_published_splits(tmp_path):
    source = open_source("cpsc2018", EXTERNAL / "cpsc2018", splits=EXTERNAL / "merl_splits")
    data = prepared(source, tmp_path)
    assert sum(map(len, data.values())) == source.count
    assert 0 < source.count <= 60
