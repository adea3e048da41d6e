"""The page that compares models."""

import json
import re

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.metrics import roc_auc_score

from merit.training.results.comparison import read_results
from merit.training.results.plots import COLOURS, draw_comparison
from merit.training.results.scores import read_predictions, scores_path

PANELS = ["AUROC per label", "Robustness", "Label efficiency", "Reliability", "ROC", "Precision-recall"]


def panels(path) -> list[str]:
    """The part of an SVG for each panel."""
    return re.split(r'<g id="axes_\d+">', path.read_text())[1:]


def titles(path) -> list[str]:
    found = re.findall(r">([A-F])  ([\w -]+)", path.read_text())
    assert [letter for letter, _ in found] == list("ABCDEF"[: len(found)])
    return [title for _, title in found]


@pytest.fixture
def rewritten(files, tmp_path):
    """Writes copies of the result files, without scores files, that a function has changed."""

    def rewrite(change, numbers=(0, 1)):
        paths = []
        for number in numbers:
            content = json.loads(files[number % 2].read_text())
            content["model"] = {**content["model"], "weights_sha256": f"{number}" * 64}
            change(content)
            paths.append(tmp_path / f"{number}.json")
            paths[-1].write_text(json.dumps(content))
        return read_results(paths)

    return rewrite


def test_the_page_has_six_panels_with_each_model_in_its_colour(files, tmp_path):
    assert draw_comparison(read_results(files), tmp_path / "page.svg") == []
    assert titles(tmp_path / "page.svg") == PANELS
    for panel, title in zip(panels(tmp_path / "page.svg"), PANELS, strict=True):
        used = {colour for colour in COLOURS[:6] if colour.lower() in panel}
        assert used == set(COLOURS[:2]), title
    text = (tmp_path / "page.svg").read_text()
    assert all(f">{name}</text>" in text for name in ("weak", "strong", "HYP", "leads I II", "white noise 0 dB"))
    assert "Task super, 300 test records of simulated" in text


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_the_suffix_decides_the_format_and_the_same_results_give_the_same_file(files, tmp_path, suffix, start):
    paths = [tmp_path / "first" / f"page{suffix}", tmp_path / f"again{suffix}"]
    for path in paths:
        draw_comparison(read_results(files), path)
    assert paths[0].read_bytes().startswith(start)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_panels_without_results_are_left_out_and_named(rewritten, tmp_path):
    def only_zero_shot(content):
        content["results"] = [result for result in content["results"] if result["method"] == "zero-shot"]
        for result in content["results"]:
            del result["reliability"]

    left_out = draw_comparison(rewritten(only_zero_shot), tmp_path / "page.svg")
    assert titles(tmp_path / "page.svg") == ["AUROC per label"]
    assert [note.partition(" is left out")[0] for note in left_out] == PANELS[1:]


@pytest.mark.slow
def test_scores_files_of_earlier_versions_give_no_curves(files, tmp_path):
    path = tmp_path / "weak.json"
    path.write_bytes(files[0].read_bytes())
    with safe_open(scores_path(files[0]), "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if "targets" not in name}  # noqa: SIM118
        save_file(tensors, scores_path(path), {"belongs_to": file.metadata()["belongs_to"]})
    # Beside a file with targets, too.
    draw_comparison(read_results([path, files[1]]), tmp_path / "page.svg")
    assert titles(tmp_path / "page.svg") == PANELS
    left_out = draw_comparison(read_results([path]), tmp_path / "page.svg")
    assert titles(tmp_path / "page.svg") == PANELS[:4]
    assert left_out[0] == "ROC is left out: there are no scores files with targets."


def test_the_scores_of_a_label_give_the_figure_of_the_result_file(files):
    content = json.loads(files[1].read_text())
    table = read_predictions(files[1], content, "super")
    own = table[(table["label"] == "HYP") & (table["method"] == "linear-probe")]
    [result] = [one for one in content["results"] if one["method"] == "linear-probe" and not one["setting"]]
    assert roc_auc_score(own["target"], own["score"]) == pytest.approx(
        result["labels"]["HYP"]["auroc"]["value"], abs=1e-5
    )


@pytest.mark.slow
def test_curves_are_those_of_the_labels_with_most_positives_or_of_chosen_ones(files, tmp_path):
    labels = json.loads(files[0].read_text())["results"][0]["labels"]
    frequent = sorted(labels, key=lambda label: -labels[label]["positives"])[:2]
    for chosen in (None, ["CD"]):
        draw_comparison(read_results(files), tmp_path / "page.svg", labels=chosen)
        roc = panels(tmp_path / "page.svg")[4]
        assert {label for label in labels if f">{label}</text>" in roc} == set(chosen or frequent)


@pytest.mark.slow
def test_the_page_shows_the_task_of_most_models_and_names_those_without_it(rewritten, tmp_path):
    def another_task(content):
        if content["model"]["name"] == "strong":
            for result in content["results"]:
                result["task"] = "form"

    read = rewritten(another_task, numbers=(0, 2, 1))
    left_out = draw_comparison(read, tmp_path / "page.svg")
    assert "strong is left out: it has no results of the task super." in left_out
    assert ">Task super, " in (tmp_path / "page.svg").read_text()
    draw_comparison(read, tmp_path / "page.svg", task="form")
    assert ">Task form, " in (tmp_path / "page.svg").read_text()


def test_a_model_with_results_in_several_files_has_one_colour(rewritten, tmp_path):
    def same_weights(content):
        content["model"] = {"name": "one", "weights_sha256": "1" * 64}

    draw_comparison(rewritten(same_weights), tmp_path / "page.svg")
    text = (tmp_path / "page.svg").read_text()
    assert COLOURS[0].lower() in text
    assert COLOURS[1].lower() not in text


def test_pages_that_cannot_be_drawn_are_refused_with_the_reason(files, rewritten, tmp_path):
    read = read_results(files)
    for options, message in (
        ({"path": tmp_path / "plots"}, r"plots must end in \.png, \.pdf, \.svg"),
        ({"task": "rhythm"}, "no figures of labels of the task rhythm"),
        ({"labels": ["WPW"]}, "no label WPW; there are"),
        ({"labels": ["CD", "HYP", "MI", "NORM"]}, "at most 3 labels, not 4"),
    ):
        with pytest.raises(ValueError, match=message):
            draw_comparison(read, **{"path": tmp_path / "page.svg", **options})
    with pytest.raises(ValueError, match="at most 7 models, not 8"):
        draw_comparison(rewritten(lambda content: None, range(8)), tmp_path / "page.svg")
    assert list(tmp_path.glob("page*")) == []
