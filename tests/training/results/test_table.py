"""The long table of result files."""

import math

from merit.training.results.figures import setting_key
from merit.training.results.table import markdown, results_table, select

FIGURE = {"value": 0.9, "low": 0.8, "high": 1.0}
UNDEFINED = {"value": None, "low": None, "high": None}
CONTENT = {
    "model": {"name": "small", "weights_sha256": "w"},
    "data": {"name": "ptbxl", "sha256": "d"},
    "results": [
        {
            "task": "super",
            "method": "knn",
            "setting": {},
            "split": "test",
            "records": 7,
            "metrics": {"auroc": FIGURE, "f1": UNDEFINED},
            "labels": {"MI": {"auroc": FIGURE, "f1": 0.5, "mistaken_for": {"CD": 0.1}}},  # as earlier versions wrote
            "reliability": {"predicted": [0.1, None], "observed": [0.2, None], "number": [7, 0]},
        },
        {
            "task": "super",
            "method": "linear-probe",
            "setting": {"train_fraction": 0.1, "start": "zero-shot"},
            "split": "test",
            "records": 7,
            "metrics": {"auroc": {"value": 0.7, "low": 0.6, "high": 0.8}},
        },
    ],
}


def test_every_figure_is_a_row_with_model_task_method_and_setting():
    table = results_table({"a.json": CONTENT, "training.json": {"training": {}}})
    rows = [tuple(row) for row in table[["method", "label", "metric", "value"]].itertuples(index=False)]
    assert rows[0] == ("knn", "", "auroc", 0.9)
    assert rows[2:4] == [("knn", "MI", "auroc", 0.9), ("knn", "MI", "f1", 0.5)]
    assert rows[-1] == ("linear-probe", "", "auroc", 0.7)
    assert math.isnan(rows[1][3])
    first = table.iloc[0]
    assert (first["file"], first["model"], first["task"], first["records"]) == ("a.json", "small", "super", 7)
    assert (first["low"], first["high"], first["split"], first["data"]) == (0.8, 1.0, "test", "ptbxl")


def test_a_bin_of_reliability_is_a_label_with_three_figures():
    table = results_table([CONTENT])
    assert select(table, label="bin 1").set_index("metric")["value"].to_dict() == {
        "predicted": 0.1,
        "observed": 0.2,
        "number": 7,
    }
    assert select(table, label="bin 2", metric="predicted")["value"].isna().tolist() == [True]


def test_rows_are_selected_by_setting_whatever_its_order_and_by_column():
    table = results_table([CONTENT])
    [row] = select(table, {"start": "zero-shot", "train_fraction": 0.1}).to_dict("records")
    assert row["value"] == 0.7
    assert select(table, {}, metric="auroc")["value"].tolist() == [0.9]
    assert select(table, metric="auroc", method=["knn", "linear-probe"])["value"].tolist() == [0.9, 0.7]
    assert select(table, label="MI")["metric"].tolist() == ["auroc", "f1"]
    assert setting_key({"b": 1, "a": 2}) == setting_key({"a": 2, "b": 1})


def test_no_files_give_an_empty_table():
    assert results_table([]).empty


def test_a_markdown_table_has_a_line_for_each_row():
    assert markdown(["", "all"], [["a", "1"]]) == "|  | all |\n| --- | --- |\n| a | 1 |\n"
