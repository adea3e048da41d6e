"""The published row lists and the sizes of their splits."""

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from merit.training.data.row_lists import PUBLISHED_SIZES, published_splits, read_row_list, task_sizes

SPLITS = Path(__file__).parents[4] / "shared" / "external" / "merl_splits"


@pytest.mark.skipif(not SPLITS.is_dir(), reason="the row lists are not here")
@pytest.mark.parametrize("name", ["super", "sub", "form", "rhythm", "cpsc2018", "csn-merl"])
def test_the_published_row_lists_have_the_published_sizes(name):
    splits = list(published_splits(SPLITS, name).values())
    assert tuple(splits.count(split) for split in ("train", "validation", "test")) == PUBLISHED_SIZES[name]


def test_task_sizes_count_the_records_with_a_label():
    splits = {"train": [[1, 0], [0, 0], [1, 1]], "test": [[0, 0]]}
    dataset = DatasetDict({split: Dataset.from_dict({"labels_x": rows}) for split, rows in splits.items()})
    assert task_sizes(dataset, ["x"]) == {"x": (2, 0)}


@pytest.fixture
def lists(tmp_path):
    """Three row lists of CPSC2018 with a record each."""
    (tmp_path / "icbeb").mkdir()
    for suffix, record in (("train", "A0001"), ("val", "A0002"), ("test", "A0003")):
        (tmp_path / f"icbeb/icbeb_{suffix}.csv").write_text(f"patient_id,filename,age,AFIB,STD\n1,{record},70,1,0\n")
    return tmp_path


def test_a_row_list_is_read_as_labels_by_record(lists):
    rows = read_row_list(lists / "icbeb/icbeb_train.csv")
    assert rows.to_dict("index") == {"A0001": {"AFIB": 1, "STD": 0}}
    assert (rows.dtypes == np.uint8).all()
    assert published_splits(lists, "cpsc2018") == {"A0001": "train", "A0002": "validation", "A0003": "test"}


def test_a_record_of_csn_is_named_by_its_file_not_by_its_folders(tmp_path):
    path = tmp_path / "chapman_test.csv"
    path.write_text("ecg_path,age,diagnose,ST,AF\n/chapman/WFDBRecords/44/448/JS44279.mat,12,ST,1,0\n")
    assert read_row_list(path).to_dict("index") == {"JS44279": {"ST": 1, "AF": 0}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,AFIB\nA0001,1\n", r"icbeb_test\.csv has none of the columns ecg_path, filename, filename_lr"),
        ("filename,age\nA0001,70\n", r"icbeb_test\.csv has no column of labels"),
        ("filename,AFIB\nA0009,1\n,1\n", r"icbeb_test\.csv: filename is empty in row 3"),
        ("filename,AFIB\nA0009,1\nA0009,0\n", r"icbeb_test\.csv: filename names A0009 twice"),
        ("filename,AFIB\nA0009,1\nA0008,yes\n", r"icbeb_test\.csv: AFIB of A0008 is 'yes', not 0 or 1"),
        ("filename,AFIB\nA0009,1\nA0001,1\n", r"icbeb_test\.csv: filename names A0001, which is in train already"),
    ],
)
def test_a_broken_row_list_is_refused_by_file_and_column(lists, text, message):
    (lists / "icbeb/icbeb_test.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        published_splits(lists, "cpsc2018")


def test_a_missing_row_list_and_a_task_without_one_are_named(lists):
    (lists / "icbeb/icbeb_val.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"icbeb_val\.csv is missing"):
        published_splits(lists, "cpsc2018")
    with pytest.raises(ValueError, match="no published row list of 'challenge'; there are sub, super"):
        published_splits(lists, "challenge")
