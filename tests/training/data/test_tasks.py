import ast
import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, DatasetDict

from merit.processing.glossary_merit import Glossary
from merit.training.data import tasks as tasks_module
from merit.training.data.label_maps import CHALLENGE_LABELS, CPSC2018_LABELS, CSN_LABELS, FINDING_CODES
from merit.training.data.row_lists import PUBLISHED_SIZES, published_splits, read_row_list, task_sizes
from merit.training.data.tasks import Task, ptbxl_tasks, snomed_tasks, unmapped

EXTERNAL = Path(__file__).parents[4] / "shared" / "external"
SPLITS = EXTERNAL / "merl_splits"
FILES = {"cpsc2018": "icbeb", "csn-merl": "chapman", "super": "ptbxl_super_class", "sub": "ptbxl_sub_class"}
FILES |= {"form": "ptbxl_form", "rhythm": "ptbxl_rhythm"}
needs_samples = pytest.mark.skipif(not EXTERNAL.is_dir(), reason="the sample recordings and row lists are not here")

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
    task = Task("super", ("MI", "CD"), {"CLBBB": ("CD",), "IMI": ("MI",)})
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


def test_the_tasks_of_ptbxl_have_the_published_labels(ptbxl_root):
    tasks = ptbxl_tasks(ptbxl_root)
    sizes = {name: len(task.labels) for name, task in tasks.items()}
    assert sizes == {"all": 71, "diagnostic": 44, "sub": 23, "super": 5, "form": 19, "rhythm": 12}
    assert tasks["super"].labels == ("CD", "HYP", "MI", "NORM", "STTC")
    assert set(tasks["diagnostic"].labels) & set(tasks["form"].labels) == {"NDT", "NST_", "DIG", "LNGQT"}


def ptbxl_codes(ptbxl_root):
    """Return the codes and the split of every record of PTB-XL, by the path of its file."""
    database = pd.read_csv(ptbxl_root / "ptbxl_database.csv", usecols=["filename_lr", "scp_codes", "strat_fold"])
    codes = [list(ast.literal_eval(text)) for text in database["scp_codes"]]
    split = np.array(["train", "validation", "test"])[np.digitize(database["strat_fold"], [9, 10])]
    return pd.DataFrame({"codes": codes, "split": split}).set_index(database["filename_lr"])


def encode(task, records):
    return np.stack([task.encode(codes) for codes in records])


@pytest.mark.slow
def test_the_splits_of_ptbxl_have_the_published_sizes(ptbxl_root):
    records, tasks = ptbxl_codes(ptbxl_root), ptbxl_tasks(ptbxl_root)
    ptbxl = DatasetDict()
    for split in ("train", "validation", "test"):
        codes = records["codes"][records["split"] == split]
        ptbxl[split] = Dataset.from_dict({f"labels_{name}": encode(task, codes) for name, task in tasks.items()})
    assert task_sizes(ptbxl, tasks) == {name: PUBLISHED_SIZES[name] for name in tasks}


@pytest.mark.slow
@needs_samples
@pytest.mark.parametrize("name", ["super", "sub", "form", "rhythm"])
def test_the_tasks_of_ptbxl_equal_the_published_row_lists(name, ptbxl_root):
    records, task = ptbxl_codes(ptbxl_root), ptbxl_tasks(ptbxl_root)[name]
    records = records[encode(task, records["codes"]).any(axis=1)]
    assert published_splits(SPLITS, name) == records["split"].to_dict()
    without_underscores = [label.strip("_") for label in task.labels]
    published = row_list(name)
    vectors = encode(task, records["codes"][published.index])
    assert (published[without_underscores].to_numpy() == vectors).all()


def snomed_rows():
    with open(Path(tasks_module.__file__).with_name("snomed.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_code_acronym_and_name_of_the_snomed_table_is_there_once():
    rows = snomed_rows()
    assert len(rows) >= 130
    assert all(re.fullmatch(r"\d{6,14}", row["code"]) and row["name"] for row in rows)
    for column in ("code", "name", "csn"):
        values = [row[column] for row in rows if row[column]]
        assert len(values) == len(set(values)), column


def test_every_code_of_the_snomed_table_has_a_valid_check_digit():
    # The last digit of a SNOMED CT id is Verhoeff's: it notices a wrong digit and two that changed places.
    def product(a, b):
        """Multiply in the group of the symmetries of a pentagon; 5 and above are reflections."""
        if a < 5:
            return (a + b) % 5 + 5 * (b >= 5)
        return (a - b) % 5 + 5 * (b < 5)

    for row in snomed_rows():
        check = 0
        for position, digit in enumerate(reversed(row["code"])):
            value = int(digit)
            for _ in range(position % 8):
                value = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[value]
            check = product(check, value)
        assert check == 0, row["code"]


def test_the_tasks_on_snomed_codes_have_the_published_numbers_of_labels():
    tasks = snomed_tasks()
    assert {name: len(task.labels) for name, task in tasks.items()} == {
        "cpsc2018": 9,
        "csn-clean": 37,
        "csn-merl": 38,
        "challenge": 26,
    }
    assert set(tasks["csn-merl"].labels) - set(tasks["csn-clean"].labels) == {"VB"}


def test_every_label_is_set_by_some_code_and_no_code_sets_another():
    for task in snomed_tasks().values():
        assert {label for labels in task.labels_of.values() for label in labels} == set(task.labels), task.name


def test_every_label_of_every_task_has_prompts_in_both_languages(root):
    glossary = Glossary.default()
    for task in (*snomed_tasks().values(), *ptbxl_tasks(root).values()):
        for label in task.labels:
            codes = FINDING_CODES.get(task.name)
            finding = glossary.findings[codes[label]] if codes else glossary.find(label)
            assert len(finding.english) >= 2, (task.name, label)
            assert len(finding.german) >= 2, (task.name, label)


def test_acronyms_and_ids_of_cpsc2018_set_the_same_labels():
    task = snomed_tasks()["cpsc2018"]
    acronyms = ["AF", "PVC", "Normal", "I-AVB", "RBBB", "STE", "PAC", "LBBB", "STD"]
    ids = ["164889003", "164884008", "426783006", "270492004", "59118001", "164931005", "284470004"]
    ids += ["164909002", "429622005"]
    assert encode(task, [[code] for code in acronyms]).tolist() == np.eye(9).tolist()
    assert encode(task, [[code] for code in ids]).tolist() == np.eye(9).tolist()


def labels_set(task, *codes):
    return {label for label, present in zip(task.labels, task.encode(codes)) if present}


@pytest.mark.parametrize(
    ("acronym", "false"),
    {
        "STTC": {"ST"},
        "STDD": {"ST"},
        "AFIB": {"AF"},
        "1AVB": {"AVB", "VB"},
        "2AVB1": {"2AVB", "AVB", "VB"},
        "CCR": {"CR"},
        "LVQRSAL": {"SA"},
    }.items(),
)
def test_an_acronym_sets_the_labels_it_contains_as_published_and_only_its_own_when_clean(acronym, false):
    tasks = snomed_tasks()
    own = {acronym} & set(tasks["csn-clean"].labels)
    code = next(row["code"] for row in snomed_rows() if row["csn"] == acronym)
    for given in (acronym, code):
        assert labels_set(tasks["csn-merl"], given) == own | false
        assert labels_set(tasks["csn-clean"], given) == own


def test_flutter_and_fibrillation_are_kept_apart_in_every_task():
    tasks = snomed_tasks()
    fibrillation, flutter = "164889003", "164890007"
    assert labels_set(tasks["csn-clean"], fibrillation) == labels_set(tasks["csn-clean"], "AFIB") == {"AFIB"}
    assert labels_set(tasks["csn-clean"], flutter) == labels_set(tasks["csn-clean"], "AF") == {"AF"}
    assert labels_set(tasks["cpsc2018"], fibrillation) == labels_set(tasks["cpsc2018"], "AF") == {"AFIB"}
    assert labels_set(tasks["cpsc2018"], flutter) == set()
    assert labels_set(tasks["challenge"], fibrillation) == labels_set(tasks["challenge"], "AF") == {"AF"}
    assert labels_set(tasks["challenge"], flutter) == {"AFL"}
    assert (CSN_LABELS["AF"], CHALLENGE_LABELS["AF"], CPSC2018_LABELS["AFIB"]) == ("AFLT", "AFIB", "AFIB")


def test_what_the_challenge_scores_as_one_is_one_label():
    task = snomed_tasks()["challenge"]
    pairs = {
        "LBBB": ("733534002", "164909002"),
        "RBBB": ("713427006", "59118001"),
        "PAC": ("284470004", "63593006"),
        "PVC": ("427172004", "17338001"),
    }
    for label, codes in pairs.items():
        assert [labels_set(task, code) for code in codes] == [{label}] * 2
    assert sum(code.isdigit() for code in task.labels_of) == 30


def test_codes_that_no_table_knows_are_listed_once_in_their_order():
    assert unmapped(["426783006", "999", "Normal", "LVQRSAL", "", "999", "x"]) == ["999", "", "x"]


@needs_samples
def test_every_code_of_the_samples_is_known():
    headers = sorted(EXTERNAL.glob("*/*.hea"))
    codes = [code for header in headers for code in header_codes(header)]
    assert len(headers) == 96
    assert len(codes) > 96
    assert unmapped(codes) == []


def header_codes(header):
    return re.search(r"^# ?Dx: ?(.*)", header.read_text(), re.MULTILINE)[1].strip().split(",")


@needs_samples
@pytest.mark.parametrize(("name", "folder"), [("cpsc2018", "cpsc2018"), ("csn-merl", "chapman_shaoxing_ningbo")])
def test_the_labels_of_the_samples_are_the_published_ones(name, folder):
    task, published = snomed_tasks()[name], row_list(name)
    in_table = {row["code"] for row in snomed_rows() if row["csn"]}
    checked = 0
    for header in sorted(EXTERNAL.glob(f"{folder}/*.hea")):
        codes = header_codes(header)
        vector = task.encode(codes)
        if header.stem in published.index:
            assert published.loc[header.stem, list(task.labels)].tolist() == vector.tolist(), header.stem
            checked += 1
        else:  # as the docstring of `snomed_tasks` says of CSN
            assert name == "csn-merl"
            assert not vector.any() or not set(codes) <= in_table, header.stem
    assert checked >= 10


def row_list(name):
    """Return the three published row lists of a task as one."""
    return pd.concat([read_row_list(path) for path in SPLITS.rglob(f"{FILES[name]}_*.csv")])


@needs_samples
def test_the_published_labels_of_csn_are_those_of_the_substring_rule_and_the_clean_ones_are_not():
    tasks, differing = snomed_tasks(), {}
    for suffix in ("train", "val", "test"):
        path = SPLITS / f"chapman/chapman_{suffix}.csv"
        published = read_row_list(path)
        records = pd.read_csv(path)["diagnose"].str.split(",")
        merl, clean = encode(tasks["csn-merl"], records), encode(tasks["csn-clean"], records)
        assert tuple(published.columns) == tasks["csn-merl"].labels
        assert (published.to_numpy() == merl).all(), suffix
        in_both = published[list(tasks["csn-clean"].labels)].to_numpy()
        assert (clean <= in_both).all()  # published labels are added, never lost
        true_bigeminy = np.array(["VB" in acronyms for acronyms in records])
        wrong = (clean != in_both).any(axis=1) | (published["VB"].to_numpy(bool) & ~true_bigeminy)
        differing[suffix] = int(wrong.sum()), int(published["VB"].sum()), int(true_bigeminy.sum())
    assert differing["test"] == (772, 169, 0)
    assert sum(wrong for wrong, _, _ in differing.values()) == 3817
