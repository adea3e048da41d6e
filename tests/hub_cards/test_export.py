"""The folder that others load."""

import ast
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import pipeline

from merit.hub_cards import export as exporting
from merit.hub_cards.export import CODE, REPORT_CODE, export, load
from merit.hub_cards.folder import known_commits, remember

FILES = [Path(package.__path__[0]) / name for package, names in (*CODE.items(), *REPORT_CODE.items()) for name in names]
OF_REPORTS = {name for names in REPORT_CODE.values() for name in names}
PUBLIC = {"numpy", "scipy", "torch", "transformers", "huggingface_hub"}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def imports(node, inside_try=False):
    """Every import below a syntax node, and whether it stands in the body of a `try`."""
    inside_try = inside_try or isinstance(node, ast.Try)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, inside_try
        yield from imports(child, inside_try)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_code_that_travels_imports_what_travels_and_public_libraries_only(path):
    for statement, inside_try in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            assert statement.level == 1, ast.unparse(statement)
            assert f"{statement.module}.py" in [file.name for file in FILES if file.parent == path.parent]
            continue
        names = [statement.module] if isinstance(statement, ast.ImportFrom) else [a.name for a in statement.names]
        for name in (name.partition(".")[0] for name in names):
            known = name in PUBLIC or name in sys.stdlib_module_names or (name == "wfdb" and inside_try)
            assert known, ast.unparse(statement)


def test_files_that_travel_keep_their_names_apart():
    names = [path.name for path in FILES]
    assert len(set(names)) == len(names)


def test_all_code_of_models_and_processing_travels():
    there = {path.name for package in CODE for path in Path(package.__path__[0]).glob("*_merit.py")}
    assert there == {path.name for path in FILES}


def test_a_folder_holds_weights_configuration_processor_and_code(model_folder, untrained):
    names = {path.name for path in model_folder.iterdir()}
    others = {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert names == others | {"LICENSE", "README.md"} | {path.name for path in FILES} - OF_REPORTS
    assert (model_folder / "LICENSE").read_bytes() == (Path(__file__).parents[2] / "LICENSE").read_bytes()
    weights = load_file(model_folder / "model.safetensors")
    assert set(weights) == set(untrained[0].state_dict())
    assert all((weights[name] == value).all() for name, value in untrained[0].state_dict().items())


def test_a_folder_of_a_model_that_reports_holds_its_code_and_both_tokenizers(reporter_folder, untrained_reporter):
    files = set(contents(reporter_folder))
    assert {path.name for path in FILES} | {"generation_config.json", "tokenizer.json"} < files
    assert {"merit_tokenizer/tokenizer.json", "merit_tokenizer/tokenizer_config.json"} < files
    weights, model = load_file(reporter_folder / "model.safetensors"), untrained_reporter[0]
    assert set(model.state_dict()) - set(weights) == {"language_model.lm_head.weight"}  # tied to the embeddings
    assert all((model.state_dict()[name] == value).all() for name, value in weights.items())


TASKS = {
    "model_folder": "zero-shot-ecg-classification",
    "classifier_folder": "ecg-classification",
    "reporter_folder": "ecg-report-generation",
}


@pytest.mark.parametrize("folder", TASKS)
def test_a_folder_names_one_pipeline_for_its_kind(folder, request):
    config = json.loads((request.getfixturevalue(folder) / "config.json").read_text())
    assert list(config["custom_pipelines"]) == [TASKS[folder]]


@pytest.mark.parametrize("folder", TASKS)
def test_every_class_that_a_folder_names_is_in_its_code(folder, request):
    directory = request.getfixturevalue(folder)
    config = json.loads((directory / "config.json").read_text())
    processor = json.loads((directory / "processor_config.json").read_text())
    maps = [config["auto_map"], processor["auto_map"], processor["feature_extractor"]["auto_map"]]
    named = [reference for names in maps for reference in names.values()]
    named += [entry["impl"] for entry in config["custom_pipelines"].values()]
    for module, name in (reference.split(".") for reference in named):
        tree = ast.parse((directory / f"{module}.py").read_text(encoding="utf-8"))
        assert name in [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


@pytest.fixture(scope="module")
def extras(simulated, tmp_path_factory):
    """What goes along: an example and a result file."""
    results = tmp_path_factory.mktemp("results") / "zero-shot.json"
    results.write_text('{"auc": 0.75}\n', encoding="utf-8")
    return {"example": simulated / "records100" / "00000" / "00002_lr", "results": [results]}


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("folder", TASKS)
def test_what_was_loaded_is_exported_alike(folder, dtype, request, extras, tmp_path):
    """All files, with the example, its answer, the results, and several shards."""
    folder = request.getfixturevalue(folder)
    first = export(*load(folder), tmp_path / "first", dtype=dtype, max_shard_size="20KB", **extras)
    again = export(*load(first), tmp_path / "again", max_shard_size="20KB", **extras)
    assert len(list(first.glob("model-*.safetensors"))) > 1
    assert {"example/00002_lr.hea", "example/00002_lr.dat", "example/answer.json"} < contents(first).keys()
    assert contents(again) == contents(first)
    assert contents(export(*load(folder), tmp_path / "plain")) == contents(folder)


def test_a_model_is_loaded_as_the_class_that_was_exported(model_folder, classifier_folder, reporter_folder):
    for folder, *kinds in (
        (model_folder, "MeritForPreTraining", "MeritProcessor"),
        (classifier_folder, "MeritForEcgClassification", "MeritProcessor"),
        (reporter_folder, "MeritForReportGeneration", "MeritReportProcessor"),
    ):
        assert [type(part).__name__ for part in load(folder)] == kinds


def test_a_folder_of_another_model_is_not_loaded(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    with pytest.raises(ValueError, match=r"no model of MERIT.*BertModel"):
        load(tmp_path)


def stored_types(folder):
    return {str(value.dtype) for value in load_file(folder / "model.safetensors").values()}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_are_stored_in_the_asked_type_and_loaded_in_that_of_the_model(dtype, untrained, tmp_path):
    folder = export(*untrained, tmp_path / "half", dtype=dtype)
    assert stored_types(folder) == {f"torch.{dtype}"}
    config = json.loads((folder / "config.json").read_text())
    assert {config["dtype"], config["ecg_config"]["dtype"], config["text_config"]["dtype"]} == {"float32"}
    assert f"stored as {dtype}." in (folder / "README.md").read_text()
    loaded, processor = load(folder)
    assert {value.dtype for value in (*loaded.parameters(), *untrained[0].parameters())} == {torch.float32}
    # Half precision holds these weights, and no longer when they have been trained.
    assert stored_types(export(loaded, processor, tmp_path / "again")) == {f"torch.{dtype}"}
    with torch.no_grad():
        loaded.ecg_projection.weight[0, 0] += 1e-7
    assert stored_types(export(loaded, processor, tmp_path / "trained")) == {"torch.float32"}


def test_the_stored_answer_is_that_of_the_folder(model_folder, classifier_folder, extras, tmp_path):
    for name, folder in (("model", model_folder), ("classifier", classifier_folder)):
        done = export(*load(folder), tmp_path / name, **extras)
        stored = json.loads((done / "example" / "answer.json").read_text())
        assert stored["options"].keys() == ({"candidate_labels"} if name == "model" else set())
        classify = pipeline(stored["task"], model=str(done))
        answer = {entry["label"]: entry["score"] for entry in classify(str(extras["example"]), **stored["options"])}
        assert len(answer) == 5
        assert answer == pytest.approx({entry["label"]: entry["score"] for entry in stored["answer"]}, abs=1e-5)
        assert (done / "results" / "zero-shot.json").read_bytes() == extras["results"][0].read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": "int8"}, "'int8' is no type of weights"),
        ({"dtype": "quarter"}, "'quarter' is no type of weights"),
        ({"example": "no_such"}, r"there is no no_such\.hea"),
        ({"results": ["a/r.json", "b/r.json"]}, r"Two result files are named r\.json"),
        ({"results": ["a/notes.txt"]}, r"notes\.txt is no result file"),
    ],
)
def test_what_cannot_go_along_is_refused_and_nothing_written(untrained, tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    for name, content in (("a/r.json", "{}"), ("b/r.json", "{}"), ("a/notes.txt", "better than last time")):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content)
    with pytest.raises(ValueError, match=message):
        export(*untrained, "model", **settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_folder_remembers_where_on_the_hub_it_comes_from(untrained, model_folder, tmp_path):
    folder = export(*untrained, tmp_path / "model")
    remember(folder, "org/merit", "main", "a" * 40)
    export(*untrained, folder)
    assert known_commits(folder) == {"org/merit@main": "a" * 40}
    assert contents(folder).keys() == contents(model_folder).keys() | {".hub.json"}


def test_a_folder_is_replaced_whole(untrained, model_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "left_over.py").write_text("")
    export(*untrained, folder)
    assert contents(folder) == contents(model_folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_interrupted_export_leaves_the_folder_as_it_was(untrained, model_folder, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "model.safetensors").write_bytes(b"older")
    before = contents(folder)
    with monkeypatch.context() as patched:
        patched.setattr(exporting.shutil, "copyfile", lambda *paths: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export(*untrained, folder)
    assert contents(folder) == before
    export(*untrained, folder)
    assert contents(folder) == contents(model_folder)


def test_a_folder_may_be_new_empty_or_deep(untrained, model_folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "not" / "there" / "yet"):
        assert export(*untrained, str(folder)) == folder
        assert contents(folder) == contents(model_folder)


def test_a_folder_of_something_else_is_refused(untrained, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="holds no model"):
        export(*untrained, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
