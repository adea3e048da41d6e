"""Comparison of result files: tables and paired differences."""

import copy
import json
import sys

import numpy as np
import pytest

from merit.commands import main
from merit.training.results.comparison import comparison, paired_difference, paired_differences, read_results
from merit.training.results.published import published_figures
from merit.training.results.scores import scores_path
from merit.training.results.wording import cell


def test_the_table_has_models_in_rows_and_tasks_in_columns(files):
    text = comparison(read_results(files))
    figure = json.loads(files[1].read_text())["results"][0]["metrics"]["auroc"]
    value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
    _, _, section = text.partition("### zero-shot: macro AUROC")
    section = section.partition("###")[0]
    assert "|  | super |" in section
    assert f"| strong | {value:.1f} ({low:.1f} to {high:.1f}) |" in section
    assert "| MERL (as published) | 74.2 |" in section
    assert "### linear probe, 1 % of the labels: macro AUROC" in text
    assert "leads I II" in text


def test_labels_stand_in_rows_with_the_figure_of_each_model(files):
    assert "per label" not in comparison(read_results(files))
    text = comparison(read_results(files), per_label=True)
    _, _, section = text.partition("### zero-shot, super: AUROC per label\n\n")
    lines = section.partition("###")[0].splitlines()
    assert lines[0] == "| label | positives | weak | strong |"
    stored = [json.loads(file.read_text())["results"][0]["labels"] for file in files]
    assert [line.split(" | ")[0] for line in lines[2:7]] == [f"| {label}" for label in stored[0]]
    weak, strong = (cell(labels["MI"]["auroc"], "auroc") for labels in stored)
    assert f"| MI | {stored[0]['MI']['positives']} | {weak} | {strong} |" in lines


def test_files_without_figures_of_labels_are_told(files, tmp_path):
    content = json.loads(files[0].read_text())
    for result in content["results"]:
        result.pop("labels", None)
    (tmp_path / "short.json").write_text(json.dumps(content))
    text = comparison(read_results([tmp_path / "short.json"]), per_label=True)
    assert text.endswith("No file has the AUROC of single labels.\n")


def test_published_rows_can_be_left_out(files):
    assert "as published" not in comparison(read_results(files), published=False)


def test_published_rows_stand_with_the_same_protocol_only(files):
    text = comparison(read_results(files))
    for section in text.split("###"):
        if "leads" in section.partition("\n")[0] or "F1" in section.partition("\n")[0]:
            assert "as published" not in section


def test_a_better_model_is_better_in_pairs_and_a_model_equals_itself(make):
    weak, strong = make("weak", 3.0, 1)["results"][0], make("strong", 0.7, 2)["results"][0]
    found = paired_difference(strong, weak, "auroc")
    assert found["low"] > 0
    assert found["p"] <= 0.01
    assert found["value"] == pytest.approx(
        strong["metrics"]["auroc"]["value"] - weak["metrics"]["auroc"]["value"], abs=1e-5
    )
    assert paired_difference(weak, strong, "auroc")["high"] < 0
    assert paired_difference(weak, weak, "auroc") == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_models_that_differ_by_chance_are_seldom_told_apart(judge):
    p = [paired_difference(judge(1.5, 2 * seed), judge(1.5, 2 * seed + 1), "auroc")["p"] for seed in range(20)]
    assert sum(value < 0.05 for value in p) <= 5
    assert max(p) > 0.3


def test_pairing_is_sharper_than_two_intervals(judge):
    """Two models that make the same mistakes differ by less than their intervals are wide."""
    one = judge(1.5, 1)
    other = copy.deepcopy(one)
    other["replicates"]["auroc"] += 0.001
    other["metrics"]["auroc"] = {key: value + 0.001 for key, value in one["metrics"]["auroc"].items()}
    found = paired_difference(other, one, "auroc")
    assert (found["value"], found["low"], found["high"]) == pytest.approx((0.001, 0.001, 0.001))
    assert found["p"] < 0.05


def test_models_without_a_scores_file_are_named_and_not_paired(files, tmp_path):
    alone = tmp_path / "alone.json"
    alone.write_bytes(files[1].read_bytes())
    text = comparison(read_results([files[0], alone]))
    assert (
        "strong is not paired: alone.safetensors, which `merit evaluate` writes, is not beside its result file" in text
    )
    assert "weak is not paired" not in text
    assert not [line for line in text.splitlines() if line.startswith("| strong, zero-shot | super | macro AUROC")]


def test_a_scores_file_of_other_results_is_refused(files, tmp_path):
    (tmp_path / "strong.json").write_bytes(files[1].read_bytes())
    (tmp_path / "strong.safetensors").write_bytes(scores_path(files[0]).read_bytes())
    with pytest.raises(ValueError, match=r"strong\.safetensors belongs to other results"):
        read_results([files[0], tmp_path / "strong.json"])


def test_files_of_format_1_are_read_and_paired(files, make, tmp_path):
    paths = []
    for name, noise, seed in (("weak", 3.0, 1), ("strong", 0.7, 2)):
        content = make(name, noise, seed)
        for result in content["results"]:
            del result["scores"], result["targets"]
            for metric, values in result.get("replicates", {}).items():
                units = (str(round(value * 1e5)) if np.isfinite(value) else "-" for value in values)
                result["replicates"][metric] = " ".join(units)
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps({**content, "format": 1}))
    old, new = (comparison(read_results(group)).partition("### Paired differences")[2] for group in (paths, files))
    assert "| strong, zero-shot | super | macro AUROC |" in old
    assert old == new


def test_differences_on_perturbed_recordings_stand_in_a_table_of_their_own(files):
    _, _, differences = comparison(read_results(files)).partition("### Paired differences")
    usual, _, perturbed = differences.partition("#### On perturbed recordings")
    assert "leads" not in usual
    rows = [line for line in perturbed.splitlines() if line.startswith("| strong")]
    assert len(rows) == 4
    assert all("| super | macro AUROC |" in row for row in rows)
    assert rows[0].startswith("| strong, linear probe, leads I |")


def test_figures_that_one_file_cannot_pair_are_left_out(files):
    one, other = read_results([files[1], files[0]])
    assert len(list(paired_differences(one, other))) == 12
    del other["results"][0]["replicates"]["f1"]  # as in a scores file of an earlier version
    del other["results"][1]["replicates"]
    one["results"][2]["metrics"]["auroc"]["value"] = None
    found = [(result["method"], metric) for result, metric, _ in paired_differences(one, other)]
    assert found[:2] == [("zero-shot", "auroc"), ("linear-probe", "f1")]
    assert len(found) == 8


def test_the_difference_stands_in_the_comparison(files):
    text = comparison(read_results(files))
    assert "Model minus weak" in text
    [row] = [line for line in text.splitlines() if line.startswith("| strong, zero-shot | super | macro AUROC")]
    assert "+" in row


def test_other_records_are_refused_with_the_reason(files, tmp_path):
    content = json.loads(files[1].read_text())
    content["data"]["splits"]["test"]["sha256"] = "another hash"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"other.json.*split 'test' has 5 records with hash another hash"):
        read_results([files[0], other])
    del content["data"]["splits"]["test"]
    other.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="only one of them has a split 'test'"):
        read_results([files[0], other])


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"format": 3, "results": []}', '{"auc": {}}', '{"format": 2}'])
def test_what_is_no_result_file_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"a\.json is"):
        read_results([path])


def test_models_of_one_name_are_told_apart_by_their_weights(files, tmp_path):
    content = json.loads(files[1].read_text())
    content["model"]["name"] = "weak"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    names = [file["model"]["name"] for file in read_results([files[0], other])]
    assert names == ["weak (11111111)", "weak (22222222)"]


def test_published_figures_are_shares_of_known_methods():
    figures = published_figures()
    rows = figures[figures["metric"] == "auroc"]
    assert len(rows) > 100
    assert rows["value"].between(0.5, 1).all()
    assert set(rows["method"]) == {"zero-shot", "linear-probe", "fine-tuned", "supervised"}
    assert not figures.duplicated(["model", "method", "train_fraction", "task", "metric"]).any()
    [all_statements] = rows[rows["model"].str.startswith("xresnet1d101") & (rows["task"] == "all")]["value"]
    assert all_statements == pytest.approx(0.925)
    of_reports = figures[figures["method"] == "report-generation"]
    assert set(of_reports["metric"]) == {"bleu_1", "bleu_4", "rouge_l"}
    assert of_reports[(of_reports["model"] == "ECG-Chat")]["value"].tolist() == pytest.approx([0.159, 0.023, 0.239])


def test_the_command_prints_the_comparison_and_draws_the_page(files, tmp_path, monkeypatch, capsys):
    page = ["--plots", str(tmp_path / "page.svg"), "--plot-task", "super", "--plot-labels", "HYP", "STTC"]
    monkeypatch.setattr(sys, "argv", ["merit", "compare", *map(str, files), "--per-label", *page])
    assert main() == 0
    out, err = capsys.readouterr()
    assert "### zero-shot: macro AUROC" in out
    assert "### zero-shot, super: AUROC per label" in out
    assert err == ""
    assert ">ROC" not in (drawn := (tmp_path / "page.svg").read_text())
    assert "ROC, linear probe" in drawn


def test_options_of_the_page_are_refused_without_it(files, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["merit", "compare", str(files[0]), "--plot-task", "super"])
    assert main() == 1
    assert "Without --plots nothing is drawn: leave out --plot-task." in capsys.readouterr().err


def test_the_command_says_why_files_cannot_be_compared(files, tmp_path, monkeypatch, capsys):
    content = json.loads(files[1].read_text())
    content["data"]["splits"]["test"]["sha256"] = "another hash"
    (tmp_path / "other.json").write_text(json.dumps(content))
    monkeypatch.setattr(sys, "argv", ["merit", "compare", str(files[0]), str(tmp_path / "other.json")])
    assert main() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "cannot be compared" in err
