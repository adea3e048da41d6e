"""MIMIC-IV-ECG's layout."""

import numpy as np
import pytest
import wfdb
from simulated_trees import MIMIC_ORDER, noise, write_mimic

from merit.processing.inputs_merit import recording_of_row
from merit.processing.recordings_merit import EcgError
from merit.training.data.catalogue import load_data
from merit.training.data.preparation import prepare
from merit.training.data.schema import fold_of
from merit.training.data.sources import mimic
from merit.training.data.sources.mimic import MimicIvEcg


@pytest.fixture
def root(tmp_path):
    write_mimic(tmp_path / "mimic", 12, samples=1250)
    return tmp_path / "mimic"


def change(root, old, new):
    file = root / "machine_measurements.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def rows_by_id(source, tmp_path, **options):
    data = load_data(prepare(source, tmp_path / "out", processes=1, **options))
    return {row["record_id"]: row for rows in data.values() for row in rows}


def test_a_row_holds_statements_subject_and_the_leads_in_their_own_order(root, tmp_path):
    rows = rows_by_id(MimicIvEcg(root), tmp_path)
    assert len(rows) == 12
    row = rows["files/p1000/p10000032/s40689239/40689239"]
    assert (row["source"], row["patient_id"], row["sampling_rate"]) == ("mimic-iv-ecg", "10000032", 500)
    assert row["report_raw"] == "Atrial fibrillation\nLeft axis deviation\nAbnormal ECG"
    assert row["report"] == row["report_en"] == "atrial fibrillation. left axis deviation. abnormal ecg."
    assert (row["language"], row["age"], row["sex"], row["codes"]) == ("en", None, None, [])
    assert row["lead_names"] == list(MIMIC_ORDER)
    assert row["gain"] == [200.0] * 12
    np.testing.assert_array_equal(np.reshape(row["signal"], (12, 1250)), noise(1, 1250))
    physical = wfdb.rdrecord(str(root / row["record_id"])).p_signal.T
    np.testing.assert_array_equal(recording_of_row(row).physical(), physical)


def test_what_the_device_says_of_itself_is_no_report(root, tmp_path):
    rows = list(rows_by_id(MimicIvEcg(root), tmp_path).values())
    assert {row["report"] for row in rows if row["report_raw"] == "Analysis error"} == {""}
    assert {row["report"] for row in rows if row["report_raw"].startswith("Warning")} == {"sinus rhythm with pvc(s)."}


def test_all_recordings_of_a_subject_are_in_the_fold_of_the_subject(root, tmp_path):
    rows = rows_by_id(MimicIvEcg(root), tmp_path).values()
    assert len({row["patient_id"] for row in rows}) == 4
    assert all(row["fold"] == fold_of("mimic-iv-ecg", row["patient_id"]) for row in rows)


def test_the_table_is_read_piece_by_piece_with_the_same_result(root, monkeypatch):
    whole = list(MimicIvEcg(root).records())
    monkeypatch.setattr(mimic, "ROWS_PER_READ", 5)
    assert list(MimicIvEcg(root).records()) == whole
    assert len(whole) == 12


def test_a_missing_table_and_columns_are_named(root):
    change(root, "report_17", "report_99")
    change(root, "study_id", "study")
    with pytest.raises(ValueError, match=r"machine_measurements\.csv lacks the column study_id, report_17"):
        MimicIvEcg(root)
    (root / "machine_measurements.csv").write_text("")
    with pytest.raises(ValueError, match=r"machine_measurements\.csv is not a CSV file"):
        MimicIvEcg(root)
    (root / "machine_measurements.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"machine_measurements\.csv is missing; name the folder that holds it"):
        MimicIvEcg(root)


@pytest.mark.parametrize("subject", ["", "../../etc", "10000043.0"])
@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_subject_that_is_no_number_is_named_by_its_line(root, tmp_path, subject, skip_bad):
    change(root, "10000043", subject)
    message = rf"machine_measurements\.csv: row 5 has subject_id '{subject}' and study_id '40689241', not numbers"
    with pytest.raises(ValueError, match=message):
        prepare(MimicIvEcg(root), tmp_path / "out", processes=1, skip_bad=skip_bad)


def test_a_table_that_breaks_off_is_an_error_that_names_the_file(root, tmp_path, monkeypatch):
    monkeypatch.setattr(mimic, "ROWS_PER_READ", 5)
    with open(root / "machine_measurements.csv", "a") as file:
        file.write('10000999,40699999,1,2180-07-23 08:44:00,"Sinus rhy')
    for skip_bad in (False, True):
        with pytest.raises(ValueError, match=r"machine_measurements\.csv is not a CSV file: .*EOF"):
            prepare(MimicIvEcg(root), tmp_path / "out", processes=1, skip_bad=skip_bad)


def test_a_missing_recording_is_named(root, tmp_path):
    next(root.glob("files/*/*/*/40689245.hea")).unlink()
    with pytest.raises(EcgError, match=r"40689245: there is no record .*s40689245/40689245 "):
        prepare(MimicIvEcg(root), tmp_path / "out", processes=1)
    rows = rows_by_id(MimicIvEcg(root), tmp_path, skip_bad=True)
    assert len(rows) == 11


def test_a_changed_table_is_noticed(root):
    before = MimicIvEcg(root).fingerprint()
    change(root, "Normal ECG", "Borderline ECG")
    assert MimicIvEcg(root).fingerprint() != before
