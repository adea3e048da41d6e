"""The folder that others load."""

import ast
import json
import shutil
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoModelForPreTraining, AutoModelForSequenceClassification, AutoProcessor

from merit.hub_cards import export as exporting
from merit.hub_cards.export import CODE, export

FILES = [Path(package.__path__[0]) / name for package, names in CODE.items() for name in names]
PUBLIC = {"numpy", "scipy", "torch", "transformers", "huggingface_hub"}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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
    assert names == others | {path.name for path in FILES}
    weights = load_file(model_folder / "model.safetensors")
    assert set(weights) == set(untrained[0].state_dict())
    assert all((weights[name] == value).all() for name, value in untrained[0].state_dict().items())


def test_a_folder_names_one_pipeline_for_its_kind(model_folder, classifier_folder):
    for folder, task in ((model_folder, "zero-shot-ecg-classification"), (classifier_folder, "ecg-classification")):
        assert list(json.loads((folder / "config.json").read_text())["custom_pipelines"]) == [task]


def test_every_class_that_a_folder_names_is_in_its_code(classifier_folder):
    config = json.loads((classifier_folder / "config.json").read_text())
    processor = json.loads((classifier_folder / "processor_config.json").read_text())
    maps = [config["auto_map"], processor["auto_map"], processor["feature_extractor"]["auto_map"]]
    named = [reference for names in maps for reference in names.values()]
    named += [entry["impl"] for entry in config["custom_pipelines"].values()]
    for module, name in (reference.split(".") for reference in named):
        tree = ast.parse((classifier_folder / f"{module}.py").read_text(encoding="utf-8"))
        assert name in [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("kind", ["model", "classifier"])
def test_what_was_loaded_is_exported_alike(kind, model_folder, classifier_folder, tmp_path):
    folder, auto = {
        "model": (model_folder, AutoModelForPreTraining),
        "classifier": (classifier_folder, AutoModelForSequenceClassification),
    }[kind]
    again = export(auto.from_pretrained(folder), AutoProcessor.from_pretrained(folder), tmp_path / "again")
    assert contents(again) == contents(folder)


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
