"""A folder of recordings described by a CSV file."""

import csv
import re

import numpy as np
import pytest
from format_files import IDENTITY, WRITERS, twelve_leads
from simulated_trees import noise
from wfdb_files import STANDARD, write_record

from merit import workflows
from merit.processing.inputs_merit import recording_of_row
from merit.training.data.catalogue import load_data
from merit.training.data.preparation import prepare
from merit.training.data.schema import fold_of, label_names
from merit.training.data.sources.folder import Folder

ROWS = [
    {"path": "a/one", "report": "Sinus  Rhythm.", "labels": "AFIB; LBBB", "patient_id": "p1", "fold": "3", "age": "61"},
    {"path": "a/two.hea", "report": "", "labels": "LBBB", "patient_id": "p1", "fold": "4.0", "sex": "F"},
    {"path": "three.csv", "report": "sinusrhythmus", "sampling_rate": "250", "units": "uV", "sex": "male"},
    {"path": "four", "report": "normal ecg", "labels": "", "patient_id": "p4", "fold": "10"},
]


def write_table(file, rows):
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(file, "w", newline="") as opened:
        writer = csv.DictWriter(opened, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "own"
    for seed, path in enumerate(("a/one", "a/two", "four")):
        write_record(root / path, noise(seed, 1250))
    values = noise(9, 625, 2).T
    (root / "three.csv").write_text("\n".join(["II,V1", *(f"{a},{b}" for a, b in values)]) + "\n")
    write_table(root / "records.csv", ROWS)
    return root


def rows_by_id(source, tmp_path, **options):
    data = load_data(prepare(source, tmp_path / "out", processes=1, **options))
    return {row["record_id"]: row for rows in data.values() for row in rows}


def test_rows_hold_reports_labels_and_patient_data(root, tmp_path):
    data = load_data(prepare(Folder(root), tmp_path / "out", processes=1))
    rows = {row["record_id"]: row for split in data.values() for row in split}
    assert {name: row["report"] for name, row in rows.items()} == {
        "a/one": "sinus rhythm.",
        "a/two.hea": "",
        "three.csv": "sinusrhythmus",
        "four": "normal ecg",
    }
    assert {name: row["language"] for name, row in rows.items()} == {
        "a/one": "en",
        "a/two.hea": "",
        "three.csv": "de",
        "four": "en",
    }
    assert label_names(data["train"], "own") == ["AFIB", "LBBB"]
    assert {name: row["labels_own"] for name, row in rows.items()} == {
        "a/one": [1, 1],
        "a/two.hea": [0, 1],
        "three.csv": [0, 0],
        "four": [0, 0],
    }
    one, two, three = rows["a/one"], rows["a/two.hea"], rows["three.csv"]
    assert (one["report_raw"], one["codes"], one["own"]) == ("Sinus  Rhythm.", ["AFIB", "LBBB"], [0, 1])
    assert (one["age"], one["sex"], one["fold"], one["patient_id"]) == (61, None, 3, "p1")
    assert (two["age"], two["sex"], two["fold"]) == (None, 1, 4)
    assert (three["patient_id"], three["fold"], three["sex"]) == ("three.csv", fold_of("own", "three.csv"), 0)
    assert data["test"]["record_id"][:] == ["four"]


def test_wfdb_and_csv_recordings_become_the_same_columns(root, tmp_path):
    rows = rows_by_id(Folder(root), tmp_path)
    assert rows["a/one"]["lead_names"] == list(STANDARD)
    np.testing.assert_array_equal(np.reshape(rows["a/one"]["signal"], (12, -1)), noise(0, 1250))
    recording = recording_of_row(rows["three.csv"])
    assert (recording.lead_names, recording.sampling_rate) == (("II", "V1"), 250)
    np.testing.assert_allclose(recording.physical(), noise(9, 625, 2) / 1000, rtol=0, atol=1e-12)


def test_reports_without_labels_and_labels_without_reports_are_accepted(root, tmp_path):
    write_table(root / "records.csv", [{"path": "four", "report": "normal ecg"}])
    assert not [name for name in rows_by_id(Folder(root), tmp_path)["four"] if name.startswith("labels")]
    write_table(root / "records.csv", [{"path": "four", "labels": "B; A"}])
    row = rows_by_id(Folder(root), tmp_path / "labels")["four"]
    assert (row["report"], row["labels_own"], row["codes"]) == ("", [1, 1], ["B", "A"])


def test_labels_may_be_given_and_others_are_named_with_their_row(root, tmp_path):
    source = Folder(root, labels=["RBBB", "LBBB", "AFIB"])
    assert rows_by_id(source, tmp_path)["a/two.hea"]["labels_own"] == [0, 1, 0]
    with pytest.raises(ValueError, match=r"records\.csv: the label 'AFIB' in row 2 is not one of LBBB, RBBB"):
        Folder(root, labels=["LBBB", "RBBB"])


def test_the_table_may_be_elsewhere_and_the_data_set_may_be_named(root, tmp_path):
    (root / "records.csv").rename(tmp_path / "other.csv")
    rows = rows_by_id(Folder(root, tmp_path / "other.csv", name="clinic"), tmp_path)
    assert {row["source"] for row in rows.values()} == {"clinic"}
    assert rows["three.csv"]["fold"] == fold_of("clinic", "three.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"path": ""}, r"records\.csv: path is empty in row 6"),
        ({"path": "four"}, r"records\.csv names four twice"),
        ({"path": "./four"}, "names one record twice, as four in row 5 and as ./four in row 6; remove one"),
        ({"path": "four.hea"}, "names one record twice, as four in row 5 and as four.hea in row 6"),
        ({"path": "four.dat"}, "names one record twice"),
        ({"path": "a//two"}, "names one record twice, as a/two.hea in row 3 and as a//two in row 6"),
        ({"path": "../secret"}, r"records\.csv: path in row 6 is \.\./secret, which leads out of .*own; correct it"),
        ({"path": "/etc/passwd"}, "path in row 6 is /etc/passwd, which leads out of"),
        ({"path": "C:\\secret"}, r"path in row 6 is C:\\secret, which leads out of"),
        ({"path": "x", "fold": "11"}, r"records\.csv: fold in row 6 is '11', not 1 to 10"),
        ({"path": "x", "fold": "1.5"}, r"records\.csv: fold in row 6 is '1\.5', not 1 to 10"),
        ({"path": "x", "fold": "train"}, "fold in row 6 is 'train', not 1 to 10"),
        (
            {"path": "x", "labels": "AFIB, LBBB"},
            r"labels in row 6 has a comma in 'AFIB, LBBB'; separate labels by semico",
        ),
        ({"path": "x", "labels": "A; B,C"}, r"labels in row 6 has a comma in 'B,C'"),
        ({"path": "x", "patient_id": "p1", "fold": "9"}, "patient p1 is in train with a/one and in validation with x"),
    ],
)
def test_an_invalid_entry_is_named_with_its_row(root, row, message):
    write_table(root / "records.csv", [*ROWS, row])
    with pytest.raises(ValueError, match=message):
        Folder(root)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"path": "gone"}, "gone: there is no record .*gone"),
        ({"path": "x", "age": "old"}, r"records\.csv: the age of x is 'old'; leave it empty"),
        ({"path": "x", "age": "131"}, r"records\.csv: the age of x is '131', above 130; correct it or leave it empty"),
        ({"path": "x", "age": "1e3"}, "the age of x is '1e3'; leave it empty"),
        ({"path": "x", "sex": "?"}, r"records\.csv: the sex of x is '\?'; leave it empty"),
        ({"path": "x.csv", "sampling_rate": "fast"}, r"the sampling_rate of x\.csv is 'fast', not a number of Hz"),
        ({"path": "x.csv", "sampling_rate": "nan"}, r"the sampling_rate of x\.csv is 'nan', not a number of Hz"),
        ({"path": "x.csv", "sampling_rate": "-250"}, r"the sampling_rate of x\.csv is '-250', not a number of Hz"),
        ({"path": "x.csv", "sampling_rate": "500"}, "x: a CSV file does not say its units"),
        (
            {"path": "x.csv", "units": "mV"},
            "x: a CSV file without a time column, such as 'time', does not say its rate",
        ),
        ({"path": "x.csv"}, "pass sampling_rate= in Hz, and units=, for example units='mV', which no lead name states"),
        ({"path": "x.csv", "units": "furlong", "sampling_rate": "500"}, "x: lead I has the units 'furlong'"),
        ({"path": "truncated"}, "truncated: truncated.dat is truncated"),
        ({"path": "miscounted"}, "miscounted: its header announces 3 signals but describes 12"),
    ],
)
def test_a_bad_record_is_named_and_can_be_skipped(root, tmp_path, row, message):
    write_record(root / "x", noise(7, 1250))
    (root / "x.csv").write_text("I,II\n1,2\n3,4\n")
    write_record(root / "truncated", noise(7, 1250))
    (root / "truncated.dat").write_bytes(bytes(100))
    write_record(root / "miscounted", noise(7, 1250))
    header = (root / "miscounted.hea").read_text()
    (root / "miscounted.hea").write_text(header.replace("miscounted 12", "miscounted 3"))
    write_table(root / "records.csv", [*ROWS, row])
    with pytest.raises(ValueError, match=message):
        prepare(Folder(root), tmp_path / "out", processes=1)
    assert not (tmp_path / "out").exists()
    assert len(rows_by_id(Folder(root), tmp_path, skip_bad=True)) == 4
    with open(tmp_path / "out" / "skipped.csv", newline="") as skipped:
        (line,) = csv.DictReader(skipped)
    assert line["record_id"] == row["path"]
    assert re.search(message, line["reason"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a CSV file"),
        ("path,report\n", "has no rows"),
        ("file,report\na/one,x\n", "lacks the column path; it has file, report"),
        ("path\na/one\n", "has neither reports nor labels"),
        ("path,report,labels\na/one,,\n", "has neither reports nor labels"),
        ('path,report\na/one,"x\n', "is not a CSV file"),
        (b"path,report\na/one,\xff\xfe\n", "is not a CSV file"),
    ],
)
def test_an_invalid_table_is_named(root, text, message):
    (root / "records.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=rf"records\.csv {message}"):
        Folder(root)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"records\.csv is missing; name the folder that holds it"):
        Folder(tmp_path)


def test_an_output_inside_the_folder_does_not_make_it_another_data_set(root):
    write_record(root / "b", noise(8, 1250))
    first = prepare(Folder(root), root / "prepared", processes=1)
    stamp = (first / "prepared.json").stat().st_mtime_ns
    assert prepare(Folder(root), root / "prepared", processes=1) == first
    assert (first / "prepared.json").stat().st_mtime_ns == stamp


def test_a_killed_run_with_its_output_inside_the_folder_goes_on(root, monkeypatch):
    def die(self, record):
        raise KeyboardInterrupt

    before = Folder(root).fingerprint()
    monkeypatch.setattr(Folder, "read", die)
    with pytest.raises(KeyboardInterrupt):
        prepare(Folder(root), root / "prepared", processes=1)
    assert (root / "prepared.unfinished").is_dir()
    assert Folder(root).fingerprint() == before


def test_changed_records_and_labels_are_noticed(root):
    fingerprints = [Folder(root).fingerprint(), Folder(root, labels=["LBBB", "AFIB"]).fingerprint()]
    write_record(root / "a/two", noise(77, 1251))
    fingerprints.append(Folder(root).fingerprint())
    assert len(set(fingerprints)) == 3


def test_a_label_with_a_comma_is_accepted_if_it_is_given(root, tmp_path):
    write_table(root / "records.csv", [{"path": "four", "labels": "infarct, old"}])
    row = rows_by_id(Folder(root, labels=["infarct, old"]), tmp_path)["four"]
    assert row["labels_own"] == [1]


@pytest.mark.parametrize("name", ["folder", "header", "signal", "other"])
def test_a_link_that_leaves_the_folder_is_refused(root, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    write_record(elsewhere / "four", noise(5, 1250))
    path = "four"
    if name == "folder":
        (root / "link").symlink_to(elsewhere)
        path = "link/four"
    elif name == "header":
        (root / "four.hea").unlink()
        (root / "four.hea").symlink_to(elsewhere / "four.hea")
    elif name == "signal":
        (root / "four.dat").unlink()
        (root / "four.dat").symlink_to(elsewhere / "four.dat")
    else:
        header = (root / "four.hea").read_text().replace("four.dat", "signal.bin")
        (root / "four.hea").write_text(header)
        (root / "signal.bin").symlink_to(elsewhere / "four.dat")
    write_table(root / "records.csv", [{"path": path, "report": "normal ecg"}])
    with pytest.raises(ValueError, match=r"leads out of .* through a link; copy the file into it"):
        prepare(Folder(root), tmp_path / "out", processes=1)


def test_the_folder_itself_may_be_a_link_and_links_may_stay_inside(root, tmp_path):
    (root / "again.hea").symlink_to(root / "four.hea")
    (root / "again.dat").symlink_to(root / "four.dat")
    (tmp_path / "link").symlink_to(root)
    write_table(root / "records.csv", [{"path": "again", "report": "normal ecg"}])
    assert list(rows_by_id(Folder(tmp_path / "link"), tmp_path)) == ["again"]


def test_files_of_every_format_are_prepared_and_nothing_that_identifies_the_patient_is_stored(tmp_path):
    root, signal = tmp_path / "hospital", twelve_leads()
    root.mkdir()
    rows = ["path,fold,labels,sampling_rate,units,leads"]
    for number, (write, suffix) in enumerate(WRITERS.values()):
        write(root / f"{number}.{suffix}", signal, step=5.0)
        rows.append(f"{number}.{suffix},1,NORM,,,")
    np.save(root / "array.npy", signal * 0.005)
    rows.append(f"array.npy,9,NORM,500,mV,{';'.join(STANDARD)}")
    (root / "records.csv").write_text("\n".join(rows))
    folder, card = workflows.prepare("folder", root, tmp_path / "prepared", processes=1)
    assert card.is_relative_to(folder)
    data = load_data(folder)
    assert len(data["train"]) == len(WRITERS)
    for row in [*data["train"], *data["validation"]]:
        values = recording_of_row(row).physical()
        np.testing.assert_allclose(values, signal * 0.005, atol=1e-3, err_msg=row["record_id"])
    for path in folder.rglob("*.*"):
        content = path.read_bytes().decode("latin-1").lower()
        assert not [word for word in IDENTITY if word.lower() in content], path
