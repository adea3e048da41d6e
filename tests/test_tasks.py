import ast
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from merit.training.tasks import Task, ptbxl_tasks

PTBXL_ROOT = os.environ.get("PTBXL_ROOT", "")
needs_ptbxl = pytest.mark.skipif(
    not Path(PTBXL_ROOT or "/nowhere", "ptbxl_database.csv").is_file(), reason="PTBXL_ROOT names no PTB-XL tree"
)

STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NDT,non-diagnostic T abnormalities,1.0,1.0,,STTC,STTC
NORM,normal ECG,1.0,,,NORM,NORM
IMI,inferior myocardial infarction,1.0,,,MI,IMI
ILMI,inferolateral myocardial infarction,1.0,,,MI,IMI
CLBBB,complete left bundle branch block,1.0,,,CD,CLBBB
LVH,left ventricular hypertrophy,1.0,,,HYP,LVH
PVC,ventricular premature complex,,1.0,,,
SR,sinus rhythm,,,1.0,,
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "scp_statements.csv").write_text(STATEMENTS)
    return tmp_path


def test_the_labels_of_each_task_are_those_of_the_statement_file(root):
    labels = {name: task.labels for name, task in ptbxl_tasks(root).items()}
    assert labels == {
        "all": ("CLBBB", "ILMI", "IMI", "LVH", "NDT", "NORM", "PVC", "SR"),
        "diagnostic": ("CLBBB", "ILMI", "IMI", "LVH", "NDT", "NORM"),
        "sub": ("CLBBB", "IMI", "LVH", "NORM", "STTC"),
        "super": ("CD", "HYP", "MI", "NORM", "STTC"),
        "form": ("NDT", "PVC"),
        "rhythm": ("SR",),
    }


def test_a_task_without_statements_is_left_out(root):
    (root / "scp_statements.csv").write_text(STATEMENTS.replace("SR,sinus rhythm,,,1.0,,\n", ""))
    assert "rhythm" not in ptbxl_tasks(root)


def test_statements_of_one_class_set_its_label_once_and_statements_of_other_tasks_none(root):
    tasks = ptbxl_tasks(root)
    vector = tasks["super"].encode(["IMI", "ILMI", "SR"])
    assert vector.dtype == np.uint8
    assert vector.tolist() == [0, 0, 1, 0, 0]
    assert tasks["form"].encode(["IMI", "SR"]).tolist() == [0, 0]
    assert tasks["rhythm"].encode([]).tolist() == [0]


def test_the_label_vector_follows_the_order_of_the_labels():
    task = Task("super", ("MI", "CD"), {"CLBBB": "CD", "IMI": "MI"})
    assert task.encode(["CLBBB"]).tolist() == [0, 1]


def test_a_missing_statement_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"scp_statements\.csv is missing"):
        ptbxl_tasks(tmp_path)


def test_a_missing_column_is_named(root):
    (root / "scp_statements.csv").write_text(STATEMENTS.replace("diagnostic_class", "class"))
    with pytest.raises(ValueError, match="lacks the column diagnostic_class"):
        ptbxl_tasks(root)


def test_a_statement_named_twice_is_refused(root):
    (root / "scp_statements.csv").write_text(STATEMENTS + "SR,sinus rhythm,,,1.0,,\n")
    with pytest.raises(ValueError, match="names SR twice"):
        ptbxl_tasks(root)


@needs_ptbxl
def test_the_tasks_of_ptbxl_have_the_published_labels():
    tasks = ptbxl_tasks(PTBXL_ROOT)
    sizes = {name: len(task.labels) for name, task in tasks.items()}
    assert sizes == {"all": 71, "diagnostic": 44, "sub": 23, "super": 5, "form": 19, "rhythm": 12}
    assert tasks["super"].labels == ("CD", "HYP", "MI", "NORM", "STTC")
    assert set(tasks["diagnostic"].labels) & set(tasks["form"].labels) == {"NDT", "NST_", "DIG", "LNGQT"}


@needs_ptbxl
def test_the_splits_of_ptbxl_have_the_published_sizes():
    database = pd.read_csv(Path(PTBXL_ROOT, "ptbxl_database.csv"), usecols=["scp_codes", "strat_fold"])
    codes = [list(ast.literal_eval(text)) for text in database["scp_codes"]]
    split = np.digitize(database["strat_fold"], [9, 10])
    sizes = {}
    for name, task in ptbxl_tasks(PTBXL_ROOT).items():
        labelled = np.array([task.encode(record).any() for record in codes])
        sizes[name] = np.bincount(split[labelled]).tolist()
    assert sizes == {
        "all": [17418, 2183, 2198],
        "diagnostic": [17084, 2146, 2158],
        "sub": [17084, 2146, 2158],
        "super": [17084, 2146, 2158],
        "form": [7197, 901, 880],
        "rhythm": [16832, 2100, 2098],
    }
