"""Exported folders: their content, and what an export may replace."""

import ast
import json
import os
import shutil
import sys
from copy import deepcopy
from pathlib import Path
from threading import Barrier, Thread

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, pipeline

from merit import modeling_merit, processing
from merit.hub_cards import export as exporting
from merit.hub_cards.card import write_card
from merit.hub_cards.export import export, load, travelling_files
from merit.hub_cards.folder import known_commits, moved_away, remember

FILES = travelling_files(reports=True)
OF_REPORTS = {"report_generation_merit.py"}
PUBLIC = {"numpy", "scipy", "torch", "transformers", "huggingface_hub"}
# Loading a checkpoint must not require them: transformers demands what is imported outside of a `try`.
OPTIONAL = {"soundfile", "ecgdatakit", "edfio", "pydicom"}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def imports(node, inside_try=False):
    """Every import below a syntax node, and whether it is inside a `try`."""
    inside_try = inside_try or isinstance(node, ast.Try)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, inside_try
        yield from imports(child, inside_try)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_travelling_code_imports_travelling_files_and_public_libraries_only(path):
    for statement, inside_try in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            assert statement.level == 1, ast.unparse(statement)
            assert f"{statement.module}.py" in [file.name for file in FILES if file.parent == path.parent]
            continue
        names = [statement.module] if isinstance(statement, ast.ImportFrom) else [a.name for a in statement.names]
        for name in (name.partition(".")[0] for name in names):
            known = name in PUBLIC or name in sys.stdlib_module_names or (name in OPTIONAL and inside_try)
            assert known, ast.unparse(statement)


def test_travelling_files_have_unique_names():
    names = [path.name for path in FILES]
    assert len(set(names)) == len(names)


def test_all_code_of_models_and_processing_travels():
    packages = (modeling_merit, processing)
    there = {path.name for package in packages for path in Path(package.__path__[0]).glob("*.py")} - {"__init__.py"}
    assert there == {path.name for path in FILES}
    assert there - {path.name for path in travelling_files(reports=False)} == OF_REPORTS


def test_a_folder_holds_weights_configuration_processor_and_code(model_folder, untrained):
    names = {path.name for path in model_folder.iterdir()}
    others = {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json"}
    others |= {"LICENSE", "README.md", "glossary_merit.json"}
    assert names == others | {path.name for path in FILES} - OF_REPORTS
    assert (model_folder / "LICENSE").read_bytes() == (Path(__file__).parents[2] / "LICENSE").read_bytes()
    weights = load_file(model_folder / "model.safetensors")
    assert set(weights) == set(untrained[0].state_dict())
    assert all((weights[name] == value).all() for name, value in untrained[0].state_dict().items())


def test_the_folder_of_a_report_model_holds_its_code_and_both_tokenizers(reporter_folder, untrained_reporter):
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
    "encoder_folder": "ecg-feature-extraction",
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
    """An example and a result file to include."""
    results = tmp_path_factory.mktemp("results") / "zero-shot.json"
    results.write_text('{"auc": 0.75}\n', encoding="utf-8")
    return {"example": simulated / "records100" / "00000" / "00002_lr", "results": [results]}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("folder", TASKS)
def test_a_loaded_model_is_exported_with_the_same_bytes(folder, dtype, request, extras, tmp_path):
    """Also the example, its answer, the results, and several shards."""
    folder = request.getfixturevalue(folder)
    first = export(*load(folder), tmp_path / "first", dtype=dtype, max_shard_size="20KB", **extras)
    again = export(*load(first), tmp_path / "again", max_shard_size="20KB", **extras)
    assert len(list(first.glob("model-*.safetensors"))) > 1
    assert {"example/00002_lr.hea", "example/00002_lr.dat", "example/answer.json"} < contents(first).keys()
    assert contents(again) == contents(first)
    assert contents(export(*load(folder), tmp_path / "plain")) == contents(folder)


def test_a_model_is_loaded_as_the_class_that_was_exported(
    model_folder, classifier_folder, reporter_folder, encoder_folder
):
    for folder, *kinds in (
        (encoder_folder, "MeritEcgModel", "MeritProcessor"),
        (model_folder, "MeritForPreTraining", "MeritProcessor"),
        (classifier_folder, "MeritForEcgClassification", "MeritProcessor"),
        (reporter_folder, "MeritForReportGeneration", "MeritReportProcessor"),
    ):
        assert [type(part).__name__ for part in load(folder)] == kinds


@pytest.mark.parametrize("head", ["model_folder", "classifier_folder", "reporter_folder", "encoder_folder"])
def test_the_encoder_of_every_model_is_exported_alone(head, request, tmp_path):
    model, processor = load(request.getfixturevalue(head))
    folder = export(model, processor, tmp_path / "encoder", encoder_only=True)
    part = {"encoder_folder": "", "reporter_folder": "merit.ecg_model."}.get(head, "ecg_model.")
    expected = {name.removeprefix(part): value for name, value in model.state_dict().items() if name.startswith(part)}
    weights = load_file(folder / "model.safetensors")
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert type(AutoModel.from_pretrained(folder)).__name__ == "MeritEcgModel"


def test_a_folder_of_another_model_is_not_loaded(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    with pytest.raises(ValueError, match=r"no model of MERIT.*BertModel"):
        load(tmp_path)


def stored_types(folder):
    return {str(value.dtype) for value in load_file(folder / "model.safetensors").values()}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_are_stored_in_the_requested_type_and_loaded_in_that_of_the_model(dtype, untrained, tmp_path):
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
def test_invalid_arguments_are_refused_and_nothing_is_written(untrained, tmp_path, monkeypatch, settings, message):
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


def test_an_earlier_export_is_replaced_as_a_whole(untrained, model_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "older_merit.py").write_text("")
    (folder / "results").mkdir()
    (folder / "results" / "older.json").write_text("{}")
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


def test_an_interrupt_while_the_earlier_export_is_removed_leaves_no_part_of_it(
    untrained, model_folder, tmp_path, monkeypatch
):
    folder, remove, removed = shutil.copytree(model_folder, tmp_path / "model"), os.unlink, []

    def interrupted(path, **options):
        remove(path, **options)
        if options:  # one of the files of a folder that is removed
            removed.append(path)
            if len(removed) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(os, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(*untrained, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert contents(folder) == contents(model_folder)


def test_the_folder_can_be_absent_empty_or_nested(untrained, model_folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "not" / "there" / "yet"):
        assert export(*untrained, str(folder)) == folder
        assert contents(folder) == contents(model_folder)


@pytest.mark.parametrize(
    "name",
    [
        *("left_over.py", "results/plot.png", "mine/notes_merit.py", "optimizer.pt", ".git/HEAD", "thesis.tex"),
        *("example/notes.txt", "example/00003_lr.hea", "onnx/mine.onnx", ".cache/mine"),
    ],
)
def test_an_export_with_a_file_of_somebody_else_is_refused(name, untrained, model_folder, extras, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "example").mkdir()
    for suffix in (".hea", ".dat"):
        shutil.copy(extras["example"].with_suffix(suffix), folder / "example")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("years of work")
    before = contents(folder)
    with pytest.raises(ValueError, match=rf"{folder} holds {name}, which `merit export` did not write"):
        export(*untrained, folder)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"thesis.tex": "years of work"}, r"holds thesis\.tex, which `merit export` did not write"),
        ({"config.json": '{"port": 80}'}, r"is no earlier export, as it has no processor_config\.json"),
        ({"config.json": '{"model_type": "merit"}', "model.safetensors": ""}, "is no earlier export, as it has no"),
        (
            {"config.json": '{"port": 80}', "processor_config.json": "{}", "LICENSE": "", "README.md": ""},
            r"is no earlier export, as its config\.json is not that of a MERIT model",
        ),
        (
            {"config.json": "[]", "processor_config.json": "{}", "LICENSE": "", "README.md": ""},
            r"is no earlier export, as its config\.json is not that of a MERIT model",
        ),
    ],
)
def test_a_folder_of_something_else_is_refused(files, message, untrained, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        export(*untrained, tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_a_folder_that_gets_a_file_of_somebody_else_during_the_export_is_kept(
    untrained, model_folder, tmp_path, monkeypatch
):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    monkeypatch.setattr(exporting, "write_card", lambda _: (folder / "thesis.tex").write_text("years of work"))
    with pytest.raises(ValueError, match=rf"{folder} holds thesis\.tex"):
        export(*untrained, folder)
    assert contents(folder) == {**contents(model_folder), "thesis.tex": b"years of work"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_neighbours_of_a_folder_are_left_alone(untrained, tmp_path):
    neighbours = ["model.unfinished", "model.replaced", ".model.unfinished", ".model.replaced"]
    for name in neighbours:
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years of work")
    export(*untrained, tmp_path / "model")
    export(*untrained, tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*neighbours, "model"])
    assert all((tmp_path / name / "thesis.tex").is_file() for name in neighbours)


@pytest.mark.parametrize("earlier", ["no earlier export", "an earlier export"])
def test_of_several_exports_at_once_one_is_there_whole(earlier, untrained, model_folder, tmp_path, monkeypatch):
    """All of them have written their files before the first one is put in place."""
    folder = tmp_path / "model"
    if earlier == "an earlier export":
        shutil.copytree(model_folder, folder)
    together = Barrier(4)
    monkeypatch.setattr(exporting, "write_card", lambda path: (write_card(path), together.wait(60)))
    exports = [Thread(target=export, args=(*deepcopy(untrained), folder)) for _ in range(4)]
    failures = []
    monkeypatch.setattr("threading.excepthook", failures.append)
    for each in exports:
        each.start()
    for each in exports:
        each.join()
    assert failures == []
    assert contents(folder) == contents(model_folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("place", [".", "..", "../..", "{here}"])
def test_the_current_folder_and_those_above_it_are_refused(place, untrained, tmp_path, monkeypatch):
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    with pytest.raises(ValueError, match=r"is the current folder or holds it.*name a new folder"):
        export(*untrained, place.format(here=here))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_link_or_a_file_as_the_target_is_refused(untrained, model_folder, tmp_path):
    earlier = shutil.copytree(model_folder, tmp_path / "earlier")
    (tmp_path / "link").symlink_to("earlier")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "notes.txt").write_text("")
    for name, message in (
        ("link", "link is a symbolic link to earlier: name the folder itself"),
        ("broken", "broken is a symbolic link to nowhere: name the folder itself"),
        ("notes.txt", r"notes\.txt is a file: name a folder"),
    ):
        with pytest.raises(ValueError, match=message):
            export(*untrained, tmp_path / name)
    assert contents(earlier) == contents(model_folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "earlier", "link", "notes.txt"]


KILLED = """
import os, shutil, sys
from pathlib import Path
from merit.hub_cards.replacement import write_whole
rename = Path.rename
Path.rename = lambda path, other: os._exit(0) if path.name.endswith("unfinished") else rename(path, other)
with write_whole(Path(sys.argv[2])) as unfinished:
    shutil.copytree(sys.argv[1], unfinished, dirs_exist_ok=True)
"""


@pytest.mark.slow
def test_the_earlier_export_is_found_after_a_kill_between_the_two_renames(
    untrained, model_folder, fresh_python, tmp_path
):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    fresh_python(KILLED, model_folder, folder)
    assert not folder.exists()
    earlier = moved_away(folder)
    assert contents(earlier) == contents(model_folder)
    export(*untrained, folder)
    assert moved_away(folder) is None


NO_ROOM = """
import resource, sys
from merit.hub_cards.card import write_card
from merit.hub_cards.export import export, load
model = load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
try:
    export(*model, sys.argv[2])
except OSError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [100, 20_000, 100_000])
def test_without_room_on_the_disk_nothing_changes_and_the_message_says_where(
    limit, model_folder, fresh_python, tmp_path
):
    """A limit on file sizes simulates a full disk: configuration, code or weights cannot be written."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    printed = fresh_python(NO_ROOM, model_folder, folder, limit)
    assert printed.startswith(f"{folder} was not written and is as it was before: ")
    assert "File too large" in printed
    assert f"Check the free space and the permissions of {tmp_path}" in printed
    assert contents(folder) == contents(model_folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_links_in_a_folder_stay_where_they_lead_to_the_same_code(untrained, model_folder, tmp_path):
    """As in a checkout, where the code of the checkpoints is linked to the package."""
    folder = shutil.copytree(model_folder, tmp_path / "cards" / "model")
    code = tmp_path / "code"
    code.mkdir()
    for name in ("modeling_merit.py", "leads_merit.py", "older_merit.py"):
        (code / name).write_text("older")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(Path("..", "..", "code", name))
    shutil.copy(model_folder / "modeling_merit.py", code)
    export(*untrained, folder)
    assert {path.name for path in folder.iterdir() if path.is_symlink()} == {"modeling_merit.py"}
    assert (folder / "modeling_merit.py").readlink() == Path("..", "..", "code", "modeling_merit.py")
    assert contents(folder) == contents(model_folder)
    assert (code / "leads_merit.py").read_text() == "older"
