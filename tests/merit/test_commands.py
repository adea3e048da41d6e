"""The `merit` command line: its options, what it prints, its exit codes."""

import inspect
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forked_merit import until
from typer.main import get_command

from merit import EcgAnswer, EcgError, __version__
from merit.commands import app, data, main
from merit.commands.options import repeat_options, split_commas
from merit.commands.use import _for_command, reasons
from merit.processing.answers_merit import DISCLAIMER, cautions
from merit.processing.leads_merit import STANDARD_LEADS
from merit.training.data.catalogue import SOURCES, load_data
from merit.training.data.open_datasets import OPEN_DATASETS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def merit_command(fresh_environment, tmp_path_factory):
    """Run the command in a fresh process."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "merit", *map(str, arguments)],
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


def parse(command):
    """The options of a command line, by their names in Python."""
    name, *arguments = shlex.split(command)[1:]
    return get_command(app).commands[name].make_context(name, arguments).params


def commands_in(content):
    """All values of the key "command" in a result file."""
    if isinstance(content, dict):
        yield from ([content["command"]] if isinstance(content.get("command"), str) else [])
    for part in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from commands_in(part)


def recorded_commands():
    files = [*ROOT.glob("hub_cards/*/results/*.json"), *ROOT.glob("benchmarks/results/**/*.json")]
    found = {command for path in files for command in commands_in(json.loads(path.read_text()))}
    return sorted(command for command in found if command.startswith("merit "))


def test_commands_in_result_files_still_parse():
    commands = recorded_commands()
    assert len(commands) > 20
    for command in commands:
        assert parse(command), command
    few = "merit evaluate m --data d --only fine-tuned --tasks all super --fractions 0.01 0.1 --output few.json"
    assert {name: parse(few)[name] for name in ("model", "only", "tasks", "fractions")} == {
        "model": "m",
        "only": ["fine-tuned"],
        "tasks": ["all", "super"],
        "fractions": [0.01, 0.1],
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--labels A B --json", "--labels A --labels B --json"),
        ("r --labels A --labels B C", "r --labels A --labels B --labels C"),
        ("--labels A -- -r --labels B", "--labels A -- -r --labels B"),
        ("--labels=A r", "--labels=A r"),
        ("--set a=1 r", "--set a=1 r"),
    ],
)
def test_an_option_with_several_values_is_repeated_for_click(arguments, expected):
    assert repeat_options(arguments.split(), {"--labels"}) == expected.split()


@pytest.mark.parametrize("arguments", [["--labels"], ["--labels", "--json"]])
def test_an_option_with_several_values_needs_at_least_one(here, arguments):
    status, out, err = here("classify", "record", "--model", "m", *arguments)
    assert (status, out) == (2, "")
    assert "Option --labels needs at least one value" in " ".join(err.split())


def test_a_comma_separates_labels():
    assert split_commas(["AFIB, LBBB", "normal ECG", "a,"]) == ["AFIB", "LBBB", "normal ECG", "a"]
    assert parse('merit classify r --model m --labels "AFIB,LBBB" LVH')["labels"] == ["AFIB", "LBBB", "LVH"]
    assert parse("merit prepare folder --source s --output o --labels MI,HYP CD")["labels"] == ["MI", "HYP", "CD"]


@pytest.mark.parametrize(("command", "names"), [(data.prepare, SOURCES), (data.download, OPEN_DATASETS)])
def test_the_help_of_a_command_names_every_data_set_that_it_takes(command, names):
    shown = inspect.signature(command).parameters["name"].annotation.__metadata__[0].help
    assert [name for name in names if name not in shown] == []


def test_help_takes_less_than_a_second_of_computing_and_groups_the_commands(merit_command):
    def seconds():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = seconds()
    done = merit_command("--help")
    assert seconds() - before < 1
    for group in ("Data", "Training", "Evaluation", "Use", "Publishing"):
        assert f"─ {group} ─" in done.stdout


def test_version_is_that_of_the_package(here):
    assert here("--version") == (0, f"merit {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage: merit"),
        (["clasify"], "Did you mean 'classify'"),
        (["compare"], "Missing argument 'FILE'"),
        (["classify", "r", "--labels", "A"], "Missing option '--model'"),
        (["baseline", "--data", "d", "--output", "o", "--epochs", "many"], "--epochs"),
        (["simulate", "d", "--nothing"], "No such option"),
    ],
)
def test_wrong_usage_has_exit_code_2(here, arguments, message):
    status, out, err = here(*arguments)
    assert status == 2
    assert message in " ".join((out + err).split())


def test_a_missing_library_is_named_with_the_extra_that_installs_it(here, monkeypatch, tmp_path):
    # Earlier tests may have imported the library, and the module that needs it.
    for name in [name for name in sys.modules if name.startswith("sklearn.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "merit.training.learning.label_learning", raising=False)
    monkeypatch.delattr("merit.training.learning.label_learning", raising=False)
    status, out, err = here("learn-labels", "m", "--data", tmp_path, "--output", tmp_path / "out")
    assert (status, out) == (1, "")
    assert err.startswith("merit: ")
    assert "sklearn" in err
    assert "merit-ecg[train]" in err


def test_help_imports_neither_torch_nor_transformers(fresh_python):
    code = """
import sys
from merit.commands import main
sys.argv = ["merit", *sys.argv[1:]]
assert main() == 0
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
    assert "is not an empty folder" in err
    assert len(list(tree.glob("records100/*/*.dat"))) == 60


@pytest.mark.parametrize("arguments", [["--records", "0"], ["--sampling-rates", "250"]])
def test_simulate_refuses_wrong_values(here, tmp_path, arguments):
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

    status, out, _ = here("verify", output)
    assert (status, out.splitlines()[-1]) == (0, "Complete and verified.")
    status, out, _ = here("prepare", "ptbxl", "--source", tree, "--output", output)
    assert (status, out) == (0, printed)

    arguments = ["--recipe", "demo", "--output", tmp_path / "run", "--set", "training.max_steps=1"]
    status, out, err = here("pretrain", "--data", output, *arguments, *settings)
    assert status == 0, err
    assert f"Model in {tmp_path / 'run' / 'model'}" in out


def test_prepare_reads_a_table_of_own_recordings_and_skips_bad_records(here, tree, tmp_path):
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
        ("csn", ["--labels", "MI"], "apply to the data set 'folder' only"),
    ],
)
def test_prepare_explains_errors(here, tmp_path, name, more, message):
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


@pytest.mark.slow
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


def test_classify_prints_json_and_draws(here, model_folder, record, tmp_path):
    picture = tmp_path / "ecg.png"
    arguments = ["--model", model_folder, "--labels", "normal ECG", "LBBB", "--json", "--plot", picture]
    status, out, err = here("classify", record, *arguments)
    assert status == 0
    answers = json.loads(out)
    assert list(answers) == [str(record)]
    assert {entry["label"] for entry in answers[str(record)]["labels"]} == {"normal ECG", "LBBB"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in err


def test_classify_takes_several_records_and_the_other_options(here, model_folder, record):
    other = record.with_name("00008_lr")
    arguments = ["--multi-label", "--top-k", 1, "--template", "sinus rhythm. {}.", "--json"]
    status, out, _ = here("classify", record, other, "--model", model_folder, "--labels", "AFIB", "LVH", *arguments)
    assert status == 0
    answers = json.loads(out)
    assert list(answers) == [str(record), str(other)]
    assert all(len(answer["labels"]) == 1 for answer in answers.values())


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
def test_classify_explains_errors(here, model_folder, record, change, message):
    records, labels = change.get("record", [record]), change.get("labels", ["AFIB", "LVH"])
    model = change.get("model", model_folder)
    status, out, err = here("classify", *records, "--model", model, "--labels", *labels, *change.get("more", []))
    assert status == 1
    assert out == ""
    assert "Traceback" not in err
    assert any(line.startswith("merit: ") and message in line for line in err.splitlines())


@pytest.fixture(scope="module")
def bad_record(tmp_path_factory):
    """A header whose signal file is missing."""
    path = tmp_path_factory.mktemp("bad") / "bad"
    path.with_suffix(".hea").write_text("bad 1 100 1000\nbad.dat 16 1000/mV 16 0 0 0 0 II\n")
    return path


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("recording 0: x: pass units=, for example units='mV'", "x: pass --units, for example --units mV"),
        ("pass leads=['I', 'V1'] or sampling_rate=500", "pass --leads I V1 or --sampling-rate 500"),
        ("pass ignore_unknown_leads=True", "pass --ignore-unknown-leads"),
        ("pass verify_checksums=False", "pass --no-verify-checksums"),
        ('or pass on_unknown_label="warn".', "or pass --on-unknown-label warn."),
        ("or set on_bad_lead='drop' to leave", "or set --on-bad-lead drop to leave"),
    ],
)
def test_messages_of_the_package_are_printed_with_options_of_the_command(message, printed):
    assert _for_command(EcgError(message)) == printed


def test_a_caution_says_what_to_do_where_it_is_given():
    answer = EcgAnswer(caution="the labels compete")
    assert reasons(answer) == ["  caution: the labels compete: pass --multi-label to score each by itself"]
    assert cautions(answer) == ["the labels compete: pass multi_label=True to score each by itself"]
    assert cautions(answer, advice=False) == ["the labels compete"]
    assert answer.to_dict()["caution"] == "the labels compete"


@pytest.mark.parametrize("as_json", [False, True])
def test_classify_answers_for_good_recordings_and_names_bad_ones(here, model_folder, record, bad_record, as_json):
    other = record.with_name("00008_lr")
    options = ["--model", model_folder, "--labels", "AFIB", "LVH", *(["--json"] if as_json else [])]
    status, out, err = here("classify", record, bad_record, other, *options)
    assert status == 1
    [message] = [line for line in err.splitlines() if line.startswith("merit: ")]
    assert message.startswith(f"merit: recording 2 of 3, {bad_record}: bad: ")
    assert "bad.dat" in message
    assert "recording 1: " not in out + err  # the position that the pipeline counts from 0
    if as_json:
        answers = json.loads(out)
        assert list(answers) == [str(record), str(bad_record), str(other)]
        assert "bad.dat" in answers[str(bad_record)]["error"]
        assert len(answers[str(record)]["labels"]) == len(answers[str(other)]["labels"]) == 2
    else:
        lines = out.splitlines()
        assert [lines[0], lines[3], lines[5], lines[8]] == [*map(str, (record, bad_record, other)), DISCLAIMER]
        assert lines[4].startswith("  error: ")
        assert "bad.dat" in lines[4]


def test_classify_uses_the_labels_of_a_classifier(here, classifier_folder, record):
    status, out, _ = here("classify", record, "--model", classifier_folder, "--json")
    assert status == 0
    known = json.loads((classifier_folder / "config.json").read_text())["id2label"].values()
    assert {entry["label"] for entry in json.loads(out)[str(record)]["labels"]} == set(known)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "--labels", "AFIB"], "is a classifier with its own labels: leave out --labels."),
        (["classify", "--on-unknown-label", "error"], "with its own labels: leave out --on-unknown-label."),
        (["classify", "--layout", "6x2"], "Without --plot nothing is drawn: leave out --layout."),
        (["report"], "is a classifier with its own labels, and a report model is needed here"),
        (["report", "--text", "Rhythm?", "--language", "de"], "instruction in a language: leave out --language."),
    ],
)
def test_a_classifier_is_refused_for_labels_and_reports(here, classifier_folder, record, arguments, message):
    status, out, err = here(arguments[0], record, "--model", classifier_folder, *arguments[1:])
    assert (status, out) == (1, "")
    assert err.startswith("merit: ")
    assert message in err
    assert "Traceback" not in err


def test_classify_without_labels_says_what_to_pass(here, model_folder, record):
    status, out, err = here("classify", record, "--model", model_folder)
    assert (status, out) == (1, "")
    assert "is a dual encoder: pass the labels to score, such as --labels" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-amplitude", "0.01"], "max_amplitude"),
        (["--max-amplitude", "0"], "--max-amplitude 0.0 is not a positive number"),
        (["--min-duration", "10.5"], "min_duration"),
        (["--sampling-rate-range", "400", "600"], "sampling_rate_range"),
        (["--window-stride", "-1"], "--window-stride -1.0 is not None or a positive number"),
        (["--max-gap", "-1"], "--max-gap -1.0 is not a number of seconds"),
        (["--on-bad-lead", "ignore"], "--on-bad-lead ignore is not one of drop, error"),
        (["--leads", "V1", "V2"], "2 lead names for a signal of shape (12, 1000)"),
        (["--window-pooling", "median"], 'window_pooling must be "mean" or "max"'),
    ],
)
def test_settings_of_the_feature_extractor_reach_it(here, model_folder, record, options, message):
    status, out, err = here("classify", record, "--model", model_folder, "--labels", "AFIB", *options)
    assert (status, out) == (1, "")
    [error] = [line for line in err.splitlines() if line.startswith("merit: ")]  # after a progress bar
    assert message in error


def test_classify_leaves_out_unknown_channels_on_request(here, model_folder, record, tmp_path):
    header = record.with_suffix(".hea").read_text().replace(record.name, "resp").replace(" V6", " RESP")
    (tmp_path / "resp.hea").write_text(header)
    (tmp_path / "resp.dat").write_bytes(record.with_suffix(".dat").read_bytes())
    arguments = ["classify", tmp_path / "resp", "--model", model_folder, "--labels", "AFIB"]
    status, _, err = here(*arguments)
    assert status == 1
    assert "RESP" in err
    assert here(*arguments, "--ignore-unknown-leads")[0] == 0
    scores = {}
    for option in ("--derive-limb-leads", "--no-derive-limb-leads"):
        status, out, _ = here(*arguments, "--ignore-unknown-leads", option, "--multi-label", "--json")
        assert status == 0
        scores[option] = out
    assert scores["--derive-limb-leads"] == scores["--no-derive-limb-leads"]  # nothing is missing to derive


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify", "{record}", "--model", "{model}", "--labels", "AFIB"],
        ["report", "{record}", "--model", "{model}"],
        ["evaluate", "{model}", "--data", "{record}", "--output", "results.json"],
        ["finetune", "{model}", "--data", "{record}", "--task", "super", "--output", "out"],
        ["learn-labels", "{model}", "--data", "{record}", "--output", "out"],
        ["train-reports", "{model}", "--data", "{record}", "--output", "out"],
        ["export", "{model}", "out"],
        ["demo", "--model", "{model}", "--output", "out"],
    ],
)
def test_every_command_explains_a_model_that_does_not_exist(here, record, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [argument.format(record=record, model="/no/such/folder") for argument in arguments]
    assert here(*arguments) == (
        1,
        "",
        "merit: There is no folder /no/such/folder, and it is not a Hub id such as org/merit-ptbxl-small.\n",
    )
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupt_ends_with_code_130_and_no_traceback(fresh_environment, tree, tmp_path, processes):
    arguments = ["prepare", "ptbxl", "--source", tree, "--output", tmp_path / "out", "--processes", processes]
    running = subprocess.Popen(
        [sys.executable, "-m", "merit", *map(str, arguments)],
        env=fresh_environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: any(tmp_path.iterdir()))
    os.killpg(running.pid, signal.SIGINT)  # a terminal interrupts the workers, too
    _, err = running.communicate()
    assert running.returncode == 130
    assert "Traceback" not in err


@pytest.mark.slow
def test_pretrain_does_not_overwrite_a_run_but_resumes_it(here, tree, run_folder, settings):
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
        ("demo", "training.seed", "not a setting"),
        ("demo", "training.seed=[1", "not YAML"),
        ("demo", "training.sede=1", "sede"),
        ("demo", "model.ecg_config.hidden_size=many", "hidden_size"),
    ],
)
def test_pretrain_explains_errors_in_a_recipe(here, tree, tmp_path, recipe, setting, message):
    small = ["--set", "training.per_device_train_batch_size=8"]
    status, _, err = here(
        "pretrain", "--data", tree, "--recipe", recipe, "--output", tmp_path / "run", *small, "--set", setting
    )
    assert status == 1
    assert "merit: " in err
    assert message in err


def test_pretrain_explains_that_a_folder_holds_no_data(here, tmp_path):
    status, _, err = here("pretrain", "--data", tmp_path, "--recipe", "demo", "--output", tmp_path / "run")
    assert status == 1
    assert err.startswith("merit: ")
    assert "ptbxl_database.csv" in err or "scp_statements.csv" in err


def test_pretrain_explains_that_there_are_too_few_recordings_for_a_batch(here, tree, tmp_path):
    status, _, err = here("pretrain", "--data", tree, "--recipe", "demo", "--output", tmp_path / "run")
    assert status == 1
    assert "batch" in err


@pytest.mark.slow
def test_the_card_of_a_pretrained_model_names_its_training_data(run_folder):
    card = (run_folder / "model" / "README.md").read_text()
    assert "simulated, train: " in card
    assert "([file](results/training.json))" in card


def test_export_writes_the_encoder_alone_on_request(here, model_folder, tmp_path):
    from transformers import AutoModel

    status, _, err = here("export", model_folder, tmp_path / "encoder", "--encoder-only")
    assert status == 0, err
    assert type(AutoModel.from_pretrained(tmp_path / "encoder")).__name__ == "MeritEcgModel"


@pytest.mark.parametrize(
    ("command", "model", "caution"),
    [(["classify", "--labels", "AF"], "tiny", "caution: the leads are noisy"), (["report"], "report", "Cannot tell: ")],
)
def test_reasons_against_an_answer_are_said_once(here, tmp_path, command, model, caution):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(12, 5000)))
    known = ["--sampling-rate", "500", "--units", "mV", "--leads", *STANDARD_LEADS]
    folder = Path(__file__).parents[2] / "hub_cards" / f"merit-ptbxl-{model}"
    status, printed, errors = here(command[0], tmp_path / "noise.npy", "--model", folder, *command[1:], *known)
    assert status == 0
    assert caution in printed
    assert (printed + errors).count("the leads are noisy") == 1
