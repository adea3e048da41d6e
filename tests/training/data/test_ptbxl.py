import os
import shutil

import datasets
import numpy as np
import pandas as pd
import pytest
import wfdb

from merit.processing.inputs_merit import recording_of_row
from merit.processing.leads_merit import STANDARD_LEADS, standard_lead
from merit.processing.recordings_merit import EcgError
from merit.training.data import shards
from merit.training.data.catalogue import load_ptbxl
from merit.training.data.schema import label_names
from merit.training.data.sources import ptbxl

LEADS = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
SAMPLES = 250
STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NORM,normal ECG,1.0,,,NORM,NORM
IMI,inferior myocardial infarction,1.0,,,MI,IMI
CLBBB,complete left bundle branch block,1.0,,,CD,CLBBB
PVC,ventricular premature complex,,1.0,,,
SR,sinus rhythm,,,1.0,,
"""
CODES = [{"NORM": 100.0, "SR": 0.0}, {"IMI": 0.0, "CLBBB": 100.0, "SR": 0.0}, {"PVC": 100.0}, {}]
REPORTS = ["sinusrhythmus normales ekg 4.46    unbestÄtigter bericht", "sinus rhythm. Edit: IMI 80, CLBBB", None]


def write_record(root, path, seed, leads=LEADS, rate=100, samples=SAMPLES, units="mV", fmt="16"):
    """Write a record whose leads differ in gain and baseline."""
    digital = np.random.default_rng(seed).integers(-2000, 2000, (samples, len(leads))).astype(np.int64)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        (root / path).name,
        fs=rate,
        units=[units] * len(leads),
        sig_name=list(leads),
        d_signal=digital,
        fmt=[fmt] * len(leads),
        adc_gain=[500.0 + lead for lead in range(len(leads))],
        baseline=[10 * lead for lead in range(len(leads))],
        write_dir=str((root / path).parent),
    )


def write_tree(root, records=12):
    """Write a small tree like PTB-XL's, its folds 10, 1, 2, ... 9, 10, 1 in this order."""
    rows = []
    for index in range(records):
        paths = {rate: f"records{rate}/00000/{index + 1:05d}_{suffix}" for rate, suffix in ((100, "lr"), (500, "hr"))}
        write_record(root, paths[100], seed=index)
        rows.append(
            {
                "ecg_id": index + 1,
                "patient_id": 1000.0 + index,
                "age": 300.0 if index == 1 else 40.0 + index,
                "sex": index % 2,
                "report": REPORTS[index % len(REPORTS)],
                "scp_codes": str(CODES[index % len(CODES)]),
                "strat_fold": (index - 1) % 10 + 1,
                "filename_lr": paths[100],
                "filename_hr": paths[500],
            }
        )
    pd.DataFrame(rows).to_csv(root / "ptbxl_database.csv", index=False)
    (root / "scp_statements.csv").write_text(STATEMENTS)
    return root


def change(root, column, value, row=3):
    """Change one entry of the database file."""
    database = pd.read_csv(root / "ptbxl_database.csv")
    database[column] = database[column].astype(object)
    database.loc[row, column] = value
    database.to_csv(root / "ptbxl_database.csv", index=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture
def root(written, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(written, tmp_path / "ptbxl")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def loaded(written, tmp_path_factory):
    return load_ptbxl(written, cache_dir=tmp_path_factory.mktemp("cache"))


def test_the_folds_make_the_splits(loaded):
    folds = {split: rows["fold"][:] for split, rows in loaded.items()}
    assert folds == {"train": [1, 2, 3, 4, 5, 6, 7, 8, 1], "validation": [9], "test": [10, 10]}


def test_a_row_holds_what_the_tree_says_of_the_record(loaded):
    row = loaded["train"].remove_columns("signal")[0]
    assert row["record_id"] == "records100/00000/00002_lr"
    assert row["source"] == "ptbxl"
    assert row["patient_id"] == "1001"
    assert row["age"] == 300
    assert loaded["train"].features["sex"].int2str(row["sex"]) == "female"
    assert row["gain"] == [500.0 + lead for lead in range(12)]
    assert row["baseline"] == [10 * lead for lead in range(12)]
    assert row["sampling_rate"] == 100
    assert row["lead_names"] == list(STANDARD_LEADS)
    assert row["report_raw"] == "sinus rhythm. Edit: IMI 80, CLBBB"
    assert row["report"] == "sinus rhythm."
    assert row["language"] == "en"
    assert row["codes"] == ["IMI", "CLBBB", "SR"]


def test_an_empty_report_is_no_text(loaded):
    row = loaded["train"][1]
    assert (row["report_raw"], row["report"], row["language"]) == ("", "", "")


def test_signals_equal_those_of_wfdb_to_the_last_bit(written, loaded):
    for rows in loaded.values():
        for row in rows:
            record = wfdb.rdrecord(str(written / row["record_id"]), physical=False)
            np.testing.assert_array_equal(np.reshape(row["signal"], (12, -1)), record.d_signal.T)
            physical = wfdb.rdrecord(str(written / row["record_id"])).p_signal.T
            np.testing.assert_array_equal(recording_of_row(row).physical(), physical)


def test_invalid_samples_become_nan_in_millivolts():
    row = {"signal": [0, 10, -32768, 30], "gain": [10.0, 20.0], "baseline": [0, 10], "lead_names": ["I", "II"]}
    physical = recording_of_row({"sampling_rate": 100, **row}).physical()
    np.testing.assert_array_equal(physical, [[0, 1], [np.nan, 1]])


def test_labels_are_vectors_and_sets_with_names(loaded):
    train = loaded["train"]
    assert label_names(train, "super") == ["CD", "MI", "NORM"]
    assert train["labels_super"][:4] == [[1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert train["super"][:4] == [[0, 1], [], [], [2]]
    assert train["labels_all"][0] == [1, 1, 0, 0, 1]
    assert train["labels_form"][:2] == [[0], [1]]
    assert train.features["labels_super"] == datasets.List(datasets.Value("uint8"), length=3)


def test_label_names_survive_saving(loaded, tmp_path):
    loaded.save_to_disk(tmp_path / "saved")
    loaded["test"].to_parquet(tmp_path / "test.parquet")
    parquet = datasets.Dataset.from_parquet(str(tmp_path / "test.parquet"), cache_dir=str(tmp_path))
    for again in (datasets.load_from_disk(tmp_path / "saved")["test"], parquet):
        assert label_names(again, "super") == ["CD", "MI", "NORM"]
        assert again.features == loaded["test"].features
        assert again[:] == loaded["test"][:]


def test_many_batches_and_shards_hold_the_same_rows(root, cache, loaded, monkeypatch):
    monkeypatch.setattr(shards, "RECORDS_PER_BATCH", 2)
    monkeypatch.setattr(shards, "RECORDS_PER_SHARD", 3)
    again = load_ptbxl(root, cache_dir=cache)
    assert len(list(cache.glob("*/train/*.arrow"))) == 4
    for split, rows in loaded.items():
        assert again[split][:] == rows[:]


def test_a_tree_without_some_folds_has_no_such_split(root, cache):
    database = pd.read_csv(root / "ptbxl_database.csv")
    database[database["strat_fold"] < 9].to_csv(root / "ptbxl_database.csv", index=False)
    assert list(load_ptbxl(root, cache_dir=cache)) == ["train"]


def test_the_cache_is_that_of_datasets_by_default(root, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    load_ptbxl(root)
    assert list((tmp_path / "hf" / "merit").glob("ptbxl-100hz-*/train/*.arrow"))


def refuse(path):
    raise AssertionError(f"{path} was read again")


def test_the_second_call_reads_no_record_and_writes_nothing(root, cache, monkeypatch):
    first = load_ptbxl(root, cache_dir=cache)
    for lock in cache.glob("*.lock"):
        lock.unlink()
    files = sorted(cache.rglob("*"))
    monkeypatch.setattr(ptbxl, "read_wfdb", refuse)
    assert load_ptbxl(root, cache_dir=cache)["train"][:] == first["train"][:]
    assert sorted(cache.rglob("*")) == files


def test_a_changed_record_is_noticed(root, cache):
    before = load_ptbxl(root, cache_dir=cache)["train"][0]
    write_record(root, before["record_id"], seed=99)
    after = load_ptbxl(root, cache_dir=cache)["train"][0]
    assert after["signal"] != before["signal"]


def test_a_record_written_again_with_the_same_size_is_noticed(root, cache, monkeypatch):
    load_ptbxl(root, cache_dir=cache)
    os.utime(root / "records100/00000/00007_lr.dat", ns=(0, 0))
    monkeypatch.setattr(ptbxl, "read_wfdb", refuse)
    with pytest.raises(ValueError, match=r"cannot be read: AssertionError: .* was read again"):
        load_ptbxl(root, cache_dir=cache)


def test_a_changed_table_is_noticed(root, cache):
    load_ptbxl(root, cache_dir=cache)
    change(root, "report", "linkstyp", row=1)
    assert load_ptbxl(root, cache_dir=cache)["train"][0]["report"] == "linkstyp"
    (root / "scp_statements.csv").write_text(STATEMENTS.replace(",MI,IMI", ",INFARCTION,IMI"))
    assert label_names(load_ptbxl(root, cache_dir=cache)["train"], "super") == ["CD", "INFARCTION", "NORM"]


def test_a_half_written_cache_is_never_taken_for_a_finished_one(root, cache, loaded, monkeypatch):
    read = ptbxl.read_wfdb

    def die_at_the_tenth(path):
        if path.name == "00010_lr":
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(ptbxl, "read_wfdb", die_at_the_tenth)
    with pytest.raises(KeyboardInterrupt):
        load_ptbxl(root, cache_dir=cache)
    (unfinished,) = cache.glob("*.unfinished")
    assert (unfinished / "train").is_dir()
    (unfinished / "train" / "left_over.arrow").write_bytes(b"half a record batch")

    monkeypatch.setattr(ptbxl, "read_wfdb", read)
    again = load_ptbxl(root, cache_dir=cache)
    for split, rows in loaded.items():
        assert again[split][:] == rows[:]
    assert not list(cache.glob("*.unfinished"))


def test_a_missing_table_is_named(root, cache):
    (root / "ptbxl_database.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"ptbxl_database\.csv is missing; name the folder"):
        load_ptbxl(root, cache_dir=cache)


@pytest.mark.parametrize("column", ["report", "strat_fold", "scp_codes", "filename_lr"])
def test_a_missing_column_is_named(root, cache, column):
    pd.read_csv(root / "ptbxl_database.csv").drop(columns=column).to_csv(root / "ptbxl_database.csv", index=False)
    with pytest.raises(ValueError, match=rf"ptbxl_database\.csv lacks the column {column}"):
        load_ptbxl(root, cache_dir=cache)


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (".hea", r"00007_lr: there is no record .*records100/00000/00007_lr "),
        (".dat", r"00007_lr: its header names the file 00007_lr\.dat, which is not in .*records100/00000"),
    ],
)
def test_a_missing_file_is_named(root, cache, suffix, message):
    (root / f"records100/00000/00007_lr{suffix}").unlink()
    with pytest.raises(EcgError, match=message):
        load_ptbxl(root, cache_dir=cache)


def test_the_rate_that_was_not_downloaded_is_missed(root, cache):
    with pytest.raises(EcgError, match=r"there is no record .*records500/00000/00001_hr"):
        load_ptbxl(root, sampling_rate=500, cache_dir=cache)


def test_the_rate_of_500_hz_reads_the_other_files(root, cache):
    for index in range(12):
        write_record(root, f"records500/00000/{index + 1:05d}_hr", seed=index, rate=500, samples=1250)
    row = load_ptbxl(root, sampling_rate=500, cache_dir=cache)["train"][0]
    assert row["record_id"] == "records500/00000/00002_hr"
    assert row["sampling_rate"] == 500
    assert recording_of_row(row).physical().shape == (12, 1250)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("scp_codes", "{'NORM': 100.0, 'XYZ': 0.0}", "ecg_id 4 names XYZ, which scp_statements.csv does not list"),
        ("scp_codes", "NORM 100", "scp_codes of ecg_id 4 is 'NORM 100', not a dictionary"),
        ("scp_codes", "__import__('os').getcwd()", "scp_codes of ecg_id 4 is .*, not a dictionary"),
        ("scp_codes", None, "scp_codes is empty in row 5"),
        ("strat_fold", 11, "strat_fold of ecg_id 4 is '11', not 1 to 10"),
        ("filename_lr", "../secret/00001_lr", "filename_lr of ecg_id 4 is ../secret/00001_lr, which leads out of"),
        ("filename_lr", "/etc/00001_lr", "filename_lr of ecg_id 4 is /etc/00001_lr, which leads out of"),
    ],
)
def test_a_bad_entry_is_named_with_its_record(root, cache, column, value, message):
    change(root, column, value)
    with pytest.raises(ValueError, match=message):
        load_ptbxl(root, cache_dir=cache)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"rate": 250}, "00005_lr was sampled at 250 Hz, not at 100 Hz"),
        ({"leads": LEADS[:8]}, "00005_lr lacks V3, V4, V5, V6: it has the leads I, .*, V2"),
        ({"leads": [*LEADS[:10], "V6", "v6"]}, "00005_lr lacks V5: it has the leads I, .*, V6, v6"),
        ({"leads": [*LEADS[:11], "RESP"]}, "00005_lr lacks V6: it has the leads I, .*, RESP"),
        ({"units": "mmHg"}, "00005_lr: lead I has the units 'mmHg'"),
    ],
)
def test_a_record_that_cannot_be_one_of_ptbxl_is_named(root, cache, record, message):
    write_record(root, "records100/00000/00005_lr", seed=4, **record)
    with pytest.raises(ValueError, match=message):
        load_ptbxl(root, cache_dir=cache)


@pytest.mark.parametrize(
    "record",
    [{"samples": 300}, {"leads": LEADS[::-1]}, {"units": "uV"}, {"fmt": "212"}, {"fmt": "24"}],
    ids=lambda record: next(iter(record)),
)
def test_a_record_may_have_its_own_length_order_unit_and_format(root, cache, record):
    write_record(root, "records100/00000/00005_lr", seed=4, **record)
    row = load_ptbxl(root, cache_dir=cache)["train"][3]
    assert row["record_id"] == "records100/00000/00005_lr"
    recording = recording_of_row(row)
    assert recording.lead_names == (STANDARD_LEADS[::-1] if "leads" in record else STANDARD_LEADS)
    stored = wfdb.rdrecord(str(root / row["record_id"])).p_signal.T * (1e-3 if "units" in record else 1)
    np.testing.assert_allclose(recording.physical(), stored, rtol=0, atol=0.5011e-3 if "fmt" in record else 1e-12)


def test_a_record_in_two_rows_is_named(root, cache):
    change(root, "filename_lr", "records100/00000/00001_lr")
    with pytest.raises(ValueError, match=r"ptbxl_database\.csv names records100/00000/00001_lr twice"):
        load_ptbxl(root, cache_dir=cache)


def test_a_patient_in_two_splits_is_named_with_both_records(root, cache):
    change(root, "patient_id", 1000.0)
    message = "patient 1000 is in test with records100/00000/00001_lr and in train with records100/00000/00004_lr"
    with pytest.raises(ValueError, match=message):
        load_ptbxl(root, cache_dir=cache)


def test_the_same_patient_may_come_again_in_a_split(root, cache):
    change(root, "patient_id", 1002.0)
    assert load_ptbxl(root, cache_dir=cache)["train"]["patient_id"][:3] == ["1001", "1002", "1002"]


def test_a_truncated_record_is_named(root, cache):
    signal = root / "records100/00000/00005_lr.dat"
    signal.write_bytes(signal.read_bytes()[:-24])
    with pytest.raises(EcgError, match="00005_lr"):
        load_ptbxl(root, cache_dir=cache)


def test_another_rate_than_100_or_500_hz_is_refused(root, cache):
    with pytest.raises(ValueError, match="100 and 500 Hz, not at 250 Hz"):
        load_ptbxl(root, sampling_rate=250, cache_dir=cache)


@pytest.mark.slow
def test_ptbxl_has_the_published_records_and_respects_patients(ptbxl_root):
    dataset = load_ptbxl(ptbxl_root)
    assert {split: len(rows) for split, rows in dataset.items()} == {"train": 17418, "validation": 2183, "test": 2198}
    patients = {split: set(rows.with_format("numpy")["patient_id"][:].tolist()) for split, rows in dataset.items()}
    assert len(set.union(*patients.values())) == sum(map(len, patients.values())) == 18869
    labelled = {
        split: int((rows.with_format("numpy")["labels_super"][:].sum(1) > 0).sum()) for split, rows in dataset.items()
    }
    assert labelled == {"train": 17084, "validation": 2146, "test": 2158}


@pytest.mark.slow
@pytest.mark.parametrize(("sampling_rate", "column"), [(100, "filename_lr"), (500, "filename_hr")])
def test_signals_of_ptbxl_equal_those_of_wfdb_to_the_last_bit(tmp_path, sampling_rate, column, ptbxl_root):
    root = tmp_path / "subset"
    root.mkdir()
    database = pd.read_csv(ptbxl_root / "ptbxl_database.csv", dtype=str)
    database = database.loc[[(ptbxl_root / f"{path}.dat").is_file() for path in database[column]]]
    if len(database) < 100:
        pytest.skip(f"the tree has no recordings at {sampling_rate} Hz")
    database.sample(100, random_state=0).to_csv(root / "ptbxl_database.csv", index=False)
    for name in ("scp_statements.csv", f"records{sampling_rate}"):
        (root / name).symlink_to(ptbxl_root / name)
    compared = 0
    for rows in load_ptbxl(root, sampling_rate, tmp_path / "cache").values():
        for row in rows:
            digital = wfdb.rdrecord(str(root / row["record_id"]), physical=False)
            np.testing.assert_array_equal(np.reshape(row["signal"], (12, -1)), digital.d_signal.T)
            assert (row["gain"], row["baseline"]) == (digital.adc_gain, digital.baseline)
            assert row["sampling_rate"] == digital.fs == sampling_rate
            assert row["lead_names"] == [standard_lead(name) for name in digital.sig_name]
            physical = wfdb.rdrecord(str(root / row["record_id"])).p_signal.T
            np.testing.assert_array_equal(recording_of_row(row).physical(), physical)
            compared += 1
    assert compared == 100
