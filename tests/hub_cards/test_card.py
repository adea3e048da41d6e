"""A card shows the figures of the result files of its weights, and no others."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard
from loopback_hub import validates
from transformers import AutoModel, AutoModelForSequenceClassification, AutoProcessor

from merit import __version__
from merit.hub_cards.card import CardError, _weights, check_card, name_card, write_card
from merit.hub_cards.export import export, load
from merit.hub_cards.publish import publish
from merit.training.evaluation.evaluate import evaluate
from merit.training.evaluation.output import result_file
from merit.training.results.result_files import write_json
from merit.training.results.weights import weights_sha256
from merit.training.scoring.encoders import CheckpointEncoder

FIGURE = re.compile(r"-?\d+(?:\.\d)? \(-?\d+(?:\.\d)? to -?\d+(?:\.\d)?\)")
TRAINING = {
    "recipe": {},
    "data": [
        {
            "name": "ptbxl",
            "splits": {"train": {"records": 17418}},
            "published": {"title": "PTB-XL", "licence": "Creative Commons", "citation": "Wagner et al."},
        },
        {"name": "own", "splits": {"train": {"records": 3}}, "published": None},
    ],
}


@pytest.fixture(scope="module")
def results(model_folder, dataset, tmp_path_factory):
    """Result files of the exported model, and of a model of the same configuration with other weights."""
    model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
    others = AutoModel.from_config(model.config)
    folder = tmp_path_factory.mktemp("results")
    for name, weights in (("merit", model), ("random initialisation", others)):
        encoder = CheckpointEncoder(weights, processor, name)
        measured = evaluate(encoder, dataset, ["super"], ["zero-shot", "knn", "retrieval"], resamples=20)
        neighbours = next(result for result in measured if result["method"] == "knn")
        # The data set is too small for probes; what they would write has the same form.
        measured += [
            {**neighbours, "method": "linear-probe"},
            {**neighbours, "method": "linear-probe", "setting": {"train_fraction": 0.1}},
            {**measured[0], "setting": {"noise": "white", "noise_db": 6.0}},
        ]
        file = result_file(encoder, dataset, "simulated", 0, measured)
        write_json(folder / f"{name.split()[0]}.json", file)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def complete(model_folder, results, simulated, tmp_path_factory):
    record = simulated / "records100" / "00000" / "00002_lr"
    return export(*load(model_folder), tmp_path_factory.mktemp("cards") / "model", example=record, results=results)


@pytest.fixture
def folder(complete, tmp_path):
    return shutil.copytree(complete, tmp_path / "model")


def change(path, **fields):
    """Change the first result of a file."""
    content = json.loads(path.read_text())
    content["results"][0] |= fields
    write_json(path, content)


def text(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


def marked(folder):
    return "\n".join(re.findall(r"<!-- results -->\n(.*?)<!-- /results -->", text(folder), re.DOTALL))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_model_index_has_the_headline_figures_of_the_model_and_their_intervals(folder):
    file = json.loads((folder / "results" / "merit.json").read_text())
    entries = ModelCard.load(folder / "README.md").data.eval_results
    in_card = [
        (
            entry.dataset_config,
            entry.metric_name,
            entry.metric_value,
            entry.metric_args["low"],
            entry.metric_args["high"],
        )
        for entry in entries
    ]
    expected = [
        (
            result["task"],
            f"macro AUROC, {result['method'].replace('linear-', 'linear ')}",
            *(figure[key] for key in ("value", "low", "high")),
        )
        for result in file["results"]
        for metric, figure in result["metrics"].items()
        if metric == "auroc" and result["method"] in ("zero-shot", "linear-probe") and result["setting"] == {}
    ]
    assert sorted(in_card) == sorted(expected)
    assert len(in_card) == 2
    assert {(entry.dataset_name, entry.dataset_split) for entry in entries} == {("simulated", "test")}
    assert {entry.metric_args["file"] for entry in entries} == {"results/merit.json"}


def test_the_model_index_survives_being_loaded_and_saved(folder, tmp_path):
    card = ModelCard.load(folder / "README.md")
    card.save(tmp_path / "again.md")
    again = ModelCard.load(tmp_path / "again.md")
    assert again.data.eval_results == card.data.eval_results
    assert again.content == card.content


def test_every_figure_in_the_text_is_in_a_result_file(folder):
    known = set()
    for path in (folder / "results").iterdir():
        for result in json.loads(path.read_text())["results"]:
            for metric, figure in result["metrics"].items():
                if figure["value"] is not None:
                    scale, digits = (1, 0) if metric == "median_rank" else (100, 1)
                    value, low, high = (f"{scale * figure[key]:.{digits}f}" for key in ("value", "low", "high"))
                    known.add(f"{value} ({low} to {high})")
    shown = FIGURE.findall(text(folder))
    assert len(shown) == 4
    assert set(shown) <= known


def test_a_model_without_results_says_so_and_has_no_figures(model_folder):
    assert "Not measured" in marked(model_folder)
    assert "Not recorded" in marked(model_folder)
    assert not re.search(r"\d", marked(model_folder))
    assert not FIGURE.search(text(model_folder))
    assert "model-index" not in text(model_folder)
    check_card(model_folder)


def test_other_weights_are_in_the_tables_by_name_and_not_in_the_model_index(folder):
    assert "| random initialisation: linear probe |" in text(folder)
    assert "random" not in text(folder).split("\n---\n")[0]


def test_results_of_other_weights_are_not_those_of_the_model(model_folder, results, tmp_path):
    half = export(*load(model_folder), tmp_path / "half", dtype="bfloat16", results=results)
    assert "Not measured" in marked(half)
    assert "model-index" not in text(half)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_weights_of_a_folder_have_the_hash_that_result_files_name(dtype, model_folder, classifier_folder, tmp_path):
    for folder, kind in ((model_folder, AutoModel), (classifier_folder, AutoModelForSequenceClassification)):
        exported = export(*load(folder), tmp_path / folder.name, dtype=dtype, max_shard_size="20KB")
        assert weights_sha256(_weights(exported)) == weights_sha256(kind.from_pretrained(exported).state_dict())


def test_a_loaded_model_is_exported_with_the_same_card(complete, results, tmp_path):
    record = complete / "example" / "00002_lr"
    again = export(*load(complete), tmp_path / "again", example=record, results=results)
    assert contents(again) == contents(complete)


@pytest.mark.parametrize("key", ["value", "low", "high"])
def test_a_changed_figure_is_found_and_named(key, folder):
    check_card(folder)
    path = folder / "results" / "merit.json"
    metrics = json.loads(path.read_text())["results"][0]["metrics"]
    metrics["auroc"][key] += 0.00001
    change(path, metrics=metrics)
    with pytest.raises(CardError, match=r"simulated super test, macro AUROC, zero-shot, and results/merit\.json says"):
        check_card(folder)
    write_card(folder)
    check_card(folder)


def test_a_changed_figure_of_other_weights_is_found(folder):
    path = folder / "results" / "random.json"
    metrics = json.loads(path.read_text())["results"][0]["metrics"]
    metrics["auroc"]["value"] = 0.999
    change(path, metrics=metrics)
    with pytest.raises(CardError, match=r"random initialisation: zero-shot.*99\.9"):
        check_card(folder)


def test_a_figure_without_a_file_is_found(folder):
    (folder / "results" / "merit.json").unlink()
    with pytest.raises(CardError, match=r"results/merit\.json says nothing"):
        check_card(folder)
    shutil.rmtree(folder / "results")
    write_card(folder)
    check_card(folder)
    assert not FIGURE.search(text(folder))


def test_a_figure_changed_in_the_card_is_found(folder):
    kept = text(folder)
    figure = FIGURE.search(marked(folder))[0]
    (folder / "README.md").write_text(kept.replace(figure, f"99.9{figure[figure.index(' ') :]}"))
    with pytest.raises(CardError, match=r"99\.9"):
        check_card(folder)
    (folder / "README.md").write_text(kept.replace("<!-- results -->", ""))
    with pytest.raises(CardError, match="says 'nothing'"):
        check_card(folder)
    (folder / "README.md").unlink()
    with pytest.raises(CardError, match=r"has no README\.md"):
        check_card(folder)


def test_additional_text_in_a_card_is_allowed(folder):
    (folder / "README.md").write_text(text(folder) + "\n## Thanks\n\nTo 12 colleagues, 99.9 (99.8 to 100.0) %.\n")
    check_card(folder)


@pytest.mark.slow
def test_publishing_refuses_a_card_that_disagrees_with_its_results(folder):
    metrics = json.loads((folder / "results" / "merit.json").read_text())["results"][0]["metrics"]
    metrics["auroc"]["value"] = 1.0
    change(folder / "results" / "merit.json", metrics=metrics)
    with pytest.raises(CardError, match=r"macro AUROC, zero-shot, and results/merit\.json says 1\.0"):
        publish(folder, "org/merit")


def test_naming_a_card_changes_nothing_but_the_name(folder):
    before = text(folder)
    (folder / "README.md").write_text(before + "Better than another-org/name and org/name-large.\n")
    name_card(folder, "clinic/merit.small")
    assert text(folder).count("clinic/merit.small") == before.count("org/name") >= 4
    assert text(folder).endswith("another-org/name and org/name-large.\n")
    check_card(folder)
    name_card(folder, "org/name")
    assert text(folder).startswith(before)


def test_a_result_file_of_another_format_is_refused(folder):
    write_json(folder / "results" / "later.json", {"format": 3})
    with pytest.raises(ValueError, match=r"later\.json .* format 3"):
        write_card(folder)


def test_other_json_files_do_not_change_the_card(folder):
    before = text(folder)
    write_json(folder / "results" / "speed.json", {"records_per_second": 229})
    write_card(folder)
    assert text(folder) == before


def test_the_training_data_are_listed_with_their_licence(folder):
    write_json(folder / "results" / "training.json", {"format": 1, "training": TRAINING})
    with pytest.raises(CardError, match="PTB-XL, train: 17418 records"):
        check_card(folder)
    write_card(folder)
    assert "PTB-XL, train: 17418 records ([file](results/training.json))." in text(folder)
    assert "Licence of the recordings: Creative Commons. Please cite: Wagner et al." in text(folder)
    assert "own, train: 3 records ([file](results/training.json))." in text(folder)


def test_plots_are_shown(folder):
    (folder / "results" / "auc.png").write_bytes(b"")
    write_card(folder)
    assert "![results/auc.png](results/auc.png)" in text(folder)


def test_a_card_says_the_answer_to_its_example_and_the_version(folder):
    answer = json.loads((folder / "example" / "answer.json").read_text(encoding="utf-8"))["answer"]
    first = f"{answer[0]['label']} {answer[0]['score']:.3f}"
    assert f"Its answer to the recording in [example](example/answer.json) begins with: {first}, " in text(folder)
    assert f"Exported by merit-ecg {__version__};" in text(folder)


def test_a_card_has_at_most_250_lines_and_few_figures_however_many_results_there_are(folder):
    content = json.loads((folder / "results" / "merit.json").read_text())
    headline = next(result for result in content["results"] if result["setting"] == {})
    content["results"] += [{**headline, "task": f"task {i}"} for i in range(6)] * 3
    write_json(folder / "results" / "merit.json", content)
    write_card(folder)
    assert len(text(folder).splitlines()) <= 250
    assert len(ModelCard.load(folder / "README.md").data.eval_results) == 10
    check_card(folder)


def test_thresholds_of_learned_labels_are_shown_with_their_rates(folder):
    assert "## Thresholds" not in text(folder)
    config = json.loads((folder / "config.json").read_text())
    rates = {"threshold": 0.25, "sensitivity": 0.97, "specificity": 0.72}
    config["calibration"] = {"learned": {"NORM": {"reports": 6512, **rates}, "WPW": {"reports": 60}}}
    (folder / "config.json").write_text(json.dumps(config))
    write_card(folder)
    assert "| NORM | 6512 | 0.25 | 0.97 | 0.72 |" in text(folder)
    assert "WPW" not in text(folder)


HOSTILE = "a|b <script>alert(1)</script>\n\n# [c](javascript:d) `e` *f* _g_ <!-- /results -->"
ESCAPED = r"a\|b &lt;script&gt;alert(1)&lt;/script&gt; # \[c\](javascript:d) \`e\` \*f\* \_g\_ &lt;!-- /results --&gt;"


def test_names_from_files_are_shown_as_they_are(folder):
    """Names of data sets, models, tasks and settings stay in their cells and are neither HTML nor links."""
    for path in (folder / "results").iterdir():
        content = json.loads(path.read_text())
        content["data"]["name"] = HOSTILE
        content["model"]["name"] = HOSTILE
        for result in content["results"]:
            result["task"] = HOSTILE
            result["setting"] |= {HOSTILE: HOSTILE} if result["setting"] else {}
        write_json(path, content)
    training = {"recipe": {}, "data": [{"name": HOSTILE, "splits": {HOSTILE: {"records": 3}}, "published": None}]}
    write_json(folder / "results" / "training.json", {"format": 1, "training": training})
    (folder / "results" / "my (1)|.png").write_bytes(b"")
    write_card(folder)
    check_card(folder)
    body = ModelCard.load(folder / "README.md").text
    assert ESCAPED in body
    assert not re.search(r"<(?!!-- /?results -->)|javascript:d\) `|[^\\]\[c", body)
    assert r"![results/my (1)\|.png](results/my%20%281%29%7C.png)" in body
    for table in re.findall(r"((?:^\|.*\n)+)", body, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert body.count("<!-- results -->") == body.count("<!-- /results -->") == 3


def test_labels_of_a_classifier_are_shown_as_they_are(classifier_folder, tmp_path):
    folder = shutil.copytree(classifier_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"]["0"] = HOSTILE
    (folder / "config.json").write_text(json.dumps(config))
    write_card(folder)
    assert f"for 5 labels: {ESCAPED}, HYP, MI, NORM, STTC." in text(folder)
    assert ModelCard.load(folder / "README.md").data.tags == [
        "ecg",
        "electrocardiogram",
        "medical",
        "ecg-classification",
    ]


VALIDATE = """
import sys
from huggingface_hub import ModelCard
for path in sys.argv[1:]:
    ModelCard.load(path).validate()
"""


@validates
def test_the_hub_accepts_the_cards(folder, model_folder, classifier_folder, hub, fresh_python, tmp_path):
    paths = [each / "README.md" for each in (folder, model_folder, classifier_folder)]
    fresh_python(VALIDATE, *paths, **hub.environment(tmp_path))
    assert [request.path for request in hub.requests] == ["/api/validate-yaml"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["model", "classifier", "encoder"])
def test_the_code_examples_of_a_card_run(
    kind, model_folder, classifier_folder, encoder_folder, simulated, fresh_environment, tmp_path
):
    source = {"model": model_folder, "classifier": classifier_folder, "encoder": encoder_folder}[kind]
    shutil.copytree(source, tmp_path / "org" / "name")
    for path in simulated.glob("records100/00000/00001_lr.*"):
        content = path.read_bytes()
        if path.suffix == ".hea":
            content = content.replace(b"00001_lr", b"recording")
        (tmp_path / f"recording{path.suffix}").write_bytes(content)
    programs = re.findall(r"```python\n(.*?)```", text(source), re.DOTALL)
    assert len(programs) == 2
    assert len([line for line in programs[0].splitlines() if line]) == 3
    code = 'import sys; sys.modules["merit"] = None\n' + "\n".join(programs) + "\nassert loss.isfinite()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=fresh_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert ("(32,)" if kind == "encoder" else "'score'") in done.stdout


def test_a_card_with_results_needs_no_library_of_the_extra_train(folder, fresh_python):
    code = """
import sys
sys.modules.update(dict.fromkeys(["pandas", "datasets", "sklearn", "accelerate"]))
from pathlib import Path
from merit.hub_cards.card import check_card, write_card
print(write_card(sys.argv[1], sys.argv[2]).name)
check_card(sys.argv[1])
"""
    before = text(folder)
    name = ModelCard.load(folder / "README.md").data["model_name"]
    assert fresh_python(code, folder, name).strip() == "README.md"
    assert text(folder) == before
