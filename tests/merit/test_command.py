"""The `merit` command as one types it."""

import json
import subprocess
import sys

import pytest

from merit.command import DISCLAIMER, main
from merit.training.data.catalogue import load_data


@pytest.fixture(scope="module")
def merit_command(fresh_environment, tmp_path_factory):
    """Run the command in a fresh process."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "merit.command", *map(str, arguments)],
            cwd=tmp_path_factory.mktemp("elsewhere"),
            env=fresh_environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def here(monkeypatch, capsys, tmp_path):
    """Run the command in this process: exit status, standard output, standard error."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["merit", *map(str, arguments)])
        status = main()
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    directory = tmp_path_factory.mktemp("simulate") / "tree"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["merit", "simulate", str(directory), "--records", "60", "--seed", "3"])
        assert main() == 0
    return directory


@pytest.fixture(scope="module")
def settings(tiny_settings):
    return [argument for setting in tiny_settings for argument in ("--set", setting)]


@pytest.fixture(scope="module")
def run_folder(merit_command, tree, settings, tmp_path_factory):
    output = tmp_path_factory.mktemp("pretrain")
    done = merit_command("pretrain", "--data", tree, "--recipe", "demo", "--output", output, *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Model in {output / 'model'}"
    return output


@pytest.fixture(scope="module")
def record(tree):
    return tree / "records100" / "00000" / "00007_lr"


def test_help_imports_neither_torch_nor_transformers(fresh_python):
    code = """
import sys
from merit.command import main
sys.argv = ["merit", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert end.code == 0
print("HEAVY", *{"torch", "transformers", "numpy", "datasets", "matplotlib"} & {*sys.modules})
"""
    for arguments in (["--help"], ["classify", "--help"]):
        printed = fresh_python(code, *arguments)
        assert printed.splitlines()[-1] == "HEAVY"
        assert " ".join(DISCLAIMER.split()) in " ".join(printed.split())


def test_simulate_writes_a_tree(tree):
    assert len(list(tree.glob("records100/*/*.dat"))) == 60
    assert {"ptbxl_database.csv", "scp_statements.csv"} <= {path.name for path in tree.iterdir()}


def test_simulate_does_not_write_into_a_folder_that_is_in_use(here, tree):
    status, out, err = here("simulate", tree, "--records", 3)
    assert status == 1
    assert out == ""
    assert err.startswith("merit: ")
    assert "not empty" in err
    assert len(list(tree.glob("records100/*/*.dat"))) == 60


@pytest.mark.parametrize("arguments", [["--records", "0"], ["--sampling-rates", "250"]])
def test_simulate_refuses_what_cannot_be(here, tmp_path, arguments):
    status, _, err = here("simulate", tmp_path / "new", *arguments)
    assert status == 1
    assert err.startswith("merit: ")
    assert not (tmp_path / "new").exists()


def test_prepare_writes_what_pretrain_reads(here, tree, settings, tmp_path):
    output = tmp_path / "prepared"
    status, printed, err = here("prepare", "ptbxl", "--source", tree, "--output", output)
    assert status == 0, err
    first, header, *rows = printed.splitlines()
    assert first == f"simulated in {output}"
    assert header.split() == ["train", "validation", "test"]
    assert [rows[0].split()[0], sum(map(int, rows[0].split()[1:]))] == ["records", 60]
    assert any(row.startswith("labelled: super") for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["prepared"]

    status, out, _ = here("prepare", "ptbxl", "--source", tree, "--output", output)
    assert (status, out) == (0, printed)

    arguments = ["--recipe", "demo", "--output", tmp_path / "run", "--set", "training.max_steps=1"]
    status, out, err = here("pretrain", "--data", output, *arguments, *settings)
    assert status == 0, err
    assert f"Model in {tmp_path / 'run' / 'model'}" in out


def test_prepare_takes_a_folder_of_ones_own_and_leaves_out_what_is_bad(here, tree, tmp_path):
    table = tmp_path / "mine.csv"
    rows = ["path,labels", *(f"records100/00000/{index:05d}_lr,{label}" for index, label in ((1, "MI"), (2, "HYP")))]
    table.write_text("\n".join([*rows, "records100/00000/99999_lr,MI"]) + "\n")
    arguments = ["prepare", "folder", "--source", tree, "--table", table, "--output", tmp_path / "out"]
    status, out, err = here(*arguments)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith("merit: 99999_lr: there is no record ")
    assert not (tmp_path / "out").exists()

    status, out, _ = here(*arguments, "--skip-bad", "--sampling-rate", 50, "--labels", "MI", "HYP", "CD")
    assert status == 0
    assert f"bad records left out: 1, listed in {tmp_path / 'out' / 'skipped.csv'}" in out
    assert "records100/00000/99999_lr" in (tmp_path / "out" / "skipped.csv").read_text()
    rows = [row for split in load_data(tmp_path / "out").values() for row in split]
    assert sorted(row["labels_own"] for row in rows) == [[0, 1, 0], [1, 0, 0]]
    assert {row["sampling_rate"] for row in rows} == {50}


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("ptb", [], "There is no data set 'ptb'"),
        ("csn", [], "There is no WFDB header"),
        ("mimic-iv-ecg", [], "machine_measurements.csv is missing"),
        ("folder", [], "records.csv is missing"),
        ("ptbxl", [], "ptbxl_database.csv is missing"),
        ("ptbxl", ["--sampling-rate", 250], "100 and 500 Hz, not at 250 Hz"),
        ("georgia", ["--splits", "lists"], "Row lists are published for cpsc2018 and csn"),
        ("csn", ["--labels", "MI"], "go with a folder of one's own"),
    ],
)
def test_prepare_says_what_is_wrong(here, tmp_path, name, more, message):
    (tmp_path / "empty").mkdir()
    status, out, err = here("prepare", name, "--source", tmp_path / "empty", "--output", tmp_path / "out", *more)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith("merit: ")
    assert message in err
    assert not (tmp_path / "out").exists()


def test_prepare_names_a_label_outside_the_list(here, tree, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("path,labels\nrecords100/00000/00001_lr,MI\nrecords100/00000/00002_lr,MI; XYZ\n")
    arguments = ["--table", table, "--labels", "MI", "HYP", "--output", tmp_path / "out", "--skip-bad"]
    status, _, err = here("prepare", "folder", "--source", tree, *arguments)
    assert status == 1
    assert err.splitlines()[-1] == f"merit: {table}: the label 'XYZ' in row 3 is not one of MI, HYP"
    assert not (tmp_path / "out").exists()


def test_classify_prints_a_table_and_the_disclaimer(merit_command, run_folder, record):
    labels = ["normal ECG", "atrial fibrillation", "Osborn waves"]
    done = merit_command("classify", record, "--model", run_folder / "model", "--labels", *labels)
    assert done.returncode == 0, done.stderr
    first, *rows, last = done.stdout.splitlines()
    assert first == str(record)
    assert last == DISCLAIMER
    assert len(rows) == 3
    scores = []
    for row in rows:
        label = next(label for label in labels if row.strip().startswith(label))
        scores.append(float(row.replace(label, "").split()[0]))
        labels.remove(label)
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=0.002)


def test_classify_speaks_json_and_draws(here, run_folder, record, tmp_path):
    picture = tmp_path / "ecg.png"
    arguments = ["--model", run_folder / "model", "--labels", "normal ECG", "LBBB", "--json", "--plot", picture]
    status, out, err = here("classify", record, *arguments)
    assert status == 0
    answers = json.loads(out)
    assert list(answers) == [str(record)]
    assert {entry["label"] for entry in answers[str(record)]} == {"normal ECG", "LBBB"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in err


def test_classify_answers_for_many_records_by_other_options(here, run_folder, record):
    other = record.with_name("00008_lr")
    arguments = ["--multi-label", "--top-k", 1, "--template", "sinus rhythm. {}.", "--json"]
    status, out, _ = here(
        "classify", record, other, "--model", run_folder / "model", "--labels", "AFIB", "LVH", *arguments
    )
    assert status == 0
    answers = json.loads(out)
    assert list(answers) == [str(record), str(other)]
    assert all(len(answer) == 1 for answer in answers.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": ["no_such_record"]}, "no_such_record"),
        ({"labels": ["AFIB", "AFIB"]}, "more than once"),
        ({"more": ["--template", "nothing"]}, "no {} where"),
        ({"model": "no/such_model"}, ""),
        ({"record": ["a", "b"], "more": ["--plot", "x.png"]}, "draws one record"),
        ({"more": ["--top-k", "0"]}, "top_k"),
    ],
)
def test_classify_says_what_is_wrong(here, run_folder, record, change, message):
    records, labels = change.get("record", [record]), change.get("labels", ["AFIB", "LVH"])
    model = change.get("model", run_folder / "model")
    status, out, err = here("classify", *records, "--model", model, "--labels", *labels, *change.get("more", []))
    assert status == 1
    assert out == ""
    assert "Traceback" not in err
    said = err.splitlines()
    assert any(line.startswith("merit: ") and message in line for line in said)


def test_pretrain_trains_over_nothing_but_resumes(here, tree, run_folder, settings):
    arguments = ["pretrain", "--data", tree, "--recipe", "demo", "--output", run_folder, *settings]
    before = (run_folder / "model" / "model.safetensors").read_bytes()
    status, _, err = here(*arguments)
    assert status == 1
    assert "merit: " in err
    assert "resume" in err
    status, out, _ = here(*arguments, "--resume")
    assert status == 0
    assert f"Model in {run_folder / 'model'}" in out
    assert (run_folder / "model" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("recipe", "setting", "message"),
    [
        ("nothing", "training.seed=1", "no recipe 'nothing'"),
        ("demo", "training.seed", "no setting"),
        ("demo", "training.seed=[1", "not YAML"),
        ("demo", "training.sede=1", "sede"),
        ("demo", "model.ecg_config.hidden_size=many", "hidden_size"),
    ],
)
def test_pretrain_says_what_is_wrong_with_a_recipe(here, tree, tmp_path, recipe, setting, message):
    small = ["--set", "training.per_device_train_batch_size=8"]
    status, _, err = here(
        "pretrain", "--data", tree, "--recipe", recipe, "--output", tmp_path / "run", *small, "--set", setting
    )
    assert status == 1
    assert "merit: " in err
    assert message in err


def test_pretrain_says_that_there_is_no_data(here, tmp_path):
    status, _, err = here("pretrain", "--data", tmp_path, "--recipe", "demo", "--output", tmp_path / "run")
    assert status == 1
    assert err.startswith("merit: ")
    assert "ptbxl_database.csv" in err or "scp_statements.csv" in err


def test_pretrain_says_that_there_are_too_few_recordings_for_a_batch(here, tree, tmp_path):
    status, _, err = here("pretrain", "--data", tree, "--recipe", "demo", "--output", tmp_path / "run")
    assert status == 1
    assert "batch" in err


def test_a_command_is_required(here):
    with pytest.raises(SystemExit, match="2"):
        here()


def test_the_card_of_a_pretrained_model_says_what_it_saw(run_folder):
    card = (run_folder / "model" / "README.md").read_text()
    assert "simulated, train: " in card
    assert "([file](results/training.json))" in card
