"""What README.md says is true: its figures are those of the result files, its programs run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
TINY = ROOT / "hub_cards" / "merit-ptbxl-tiny"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A clone in which `make demo` was run, as far as its commands need it."""
    from merit.training.simulation.ptbxl_tree import write_simulated_ptbxl

    folder = tmp_path_factory.mktemp("readme")
    (folder / "hub_cards").symlink_to(ROOT / "hub_cards")
    write_simulated_ptbxl(folder / "demo" / "simulated", records=200, seed=0, progress=False)
    (folder / "ptbxl").symlink_to("demo/simulated")
    return folder


@pytest.fixture(scope="module")
def environment(fresh_environment):
    """With the `merit` command of this environment."""
    return {**fresh_environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def shell(here, environment):
    """Run commands as they stand, where the demo's folders are; what was printed."""

    def run(commands, **more):
        done = subprocess.run(
            ["bash", "-ec", commands],
            cwd=here,
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def prepared(shell, here):
    """The data set that the commands of the section on data leave."""
    download, prepare = block("merit download").splitlines()
    assert download.startswith("merit download")  # from PhysioNet: tests/test_download.py
    shell(prepare)
    return here / "ptbxl-100hz"


def block(beginning):
    """The one block of commands that begins so."""
    [found] = [commands for commands in COMMANDS if commands.startswith(beginning)]
    return found


def run_script(marker, *arguments):
    """Run the one program that holds a piece of text, as it stands, with arguments; what it printed."""
    [script] = [program for program in PROGRAMS if marker in program]
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("name", ["README.md", "benchmarks/README.md"])
def test_the_figures_are_those_of_the_result_files(monkeypatch, name):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from readme_results import with_results

    text = (ROOT / name).read_text(encoding="utf-8")
    assert with_results(text, name) == text


def test_the_first_program_classifies_a_recording_in_three_lines():
    assert len([line for line in PROGRAMS[0].splitlines() if line]) == 3


@pytest.mark.parametrize(("number", "printed"), [(0, "score"), (1, ""), (2, "normal axis."), (3, "NORM")])
def test_the_programs_run_as_they_stand(number, printed, here):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAMS[number]], cwd=here, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert printed in run.stdout


def test_the_fine_tuning_script_is_short_and_runs(here, tmp_path):
    script = next(program for program in PROGRAMS if "Trainer(" in program)
    assert len(script.splitlines()) < 40
    model, data = TINY, here / "demo" / "simulated"
    printed = run_script("def macro_auc", model, data, tmp_path)
    assert "eval_macro_auc" in printed
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_a_model_is_fine_tuned_and_measured_as_shown(shell, here, prepared):
    printed = shell(block("merit finetune"))
    assert "super: " in printed
    assert (here / "super" / "model.safetensors").is_file()


def test_the_lora_script_trains_little_and_leaves_adapter_and_model(here, prepared, tmp_path):
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification

    printed = run_script("get_peft_model", TINY, prepared, tmp_path)
    trained, total = re.search(r"trainable params: ([\d,]+) \|\| all params: ([\d,]+)", printed).groups()
    assert int(trained.replace(",", "")) < 0.1 * int(total.replace(",", ""))
    assert "eval_loss" in printed
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    changes = [weight for name, weight in weights.items() if "lora_B" in name]
    assert changes
    assert all(weight.any() for weight in changes)
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    labels = merged.num_labels
    base = AutoModelForSequenceClassification.from_pretrained(TINY, num_labels=labels)
    adapted = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload().state_dict()
    for name, weight in merged.state_dict().items():
        assert (weight - adapted[name]).abs().max() < 1e-6, name


def test_the_scikit_learn_script_prints_the_auc_of_a_probe(here, prepared):
    printed = run_script("sklearn.linear_model", TINY, prepared)
    assert 0 < float(re.search(r"macro AUC ([\d.]+)", printed)[1]) <= 1


def test_the_onnx_script_writes_an_encoder_that_answers_as_torch_does(here, tmp_path):
    printed = run_script("onnxruntime", TINY, tmp_path / "tower.onnx")
    assert "features (7, 256)" in printed
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "tower.onnx")
    assert {given.name: given.shape[0] for given in session.get_inputs()} == dict.fromkeys(
        ("ecg_values", "lead_mask", "sample_mask"), "batch"
    )


def test_every_merit_command_is_one_that_there_is():
    from typer.main import get_command

    from merit.commands import app

    commands = [line for commands in COMMANDS for line in commands.splitlines() if line.startswith("merit ")]
    assert len(commands) > 10
    for command in commands:
        name, *arguments = shlex.split(command)[1:]
        get_command(app).commands[name].make_context(name, arguments)


def test_the_command_line_classifies_and_draws(shell, here):
    assert "left bundle branch block" in shell(block("merit classify"))
    assert (here / "answer.png").is_file()


def test_pretraining_goes_on_as_shown(shell, here):
    from merit import MeritForPreTraining

    shell(block("merit simulate"))
    assert MeritForPreTraining.from_pretrained(here / "run" / "model").config.projection_dim == 128
    checkpoints = sorted(path.name for path in (here / "run" / "checkpoints").glob("checkpoint-*"))
    assert checkpoints == ["checkpoint-12", "checkpoint-16"]


def test_a_folder_of_ones_own_is_prepared_by_the_table_shown(shell, here):
    from merit import label_names, load_data

    [table] = re.findall(r"```csv\n(.*?)```", README, re.DOTALL)
    source = here / "demo" / "simulated" / "records100" / "00000" / "00001_lr"
    for row in table.splitlines()[1:]:
        record = here / "recordings" / row.split(",")[0]
        record.parent.mkdir(parents=True, exist_ok=True)
        header = source.with_suffix(".hea").read_text().replace(source.name, record.name)
        record.with_suffix(".hea").write_text(header)
        shutil.copy(source.with_suffix(".dat"), record.with_suffix(".dat"))
    (here / "recordings" / "records.csv").write_text(table)
    shell(block("merit prepare folder"))
    own = load_data(here / "own")
    assert {name: len(rows) for name, rows in own.items()} == {"train": 2, "validation": 1, "test": 1}
    assert label_names(own["train"], "own") == ["AFIB", "CLBBB", "NORM"]
    assert own["train"][1]["labels_own"] == [1, 1, 0]
    assert own["test"]["report"] == ["atrial fibrillation"]


def test_models_are_measured_compared_exported_and_published_as_shown(shell, here, prepared, tmp_path):
    from loopback_hub import LoopbackHub

    compared = shell(block("merit evaluate"))
    assert "| random initialisation |" in compared
    assert list((here / "figures").iterdir())
    with LoopbackHub() as hub:
        published = shell(block("merit export"), **hub.environment(tmp_path))
        assert hub.writes() == []
    assert "+ README.md" in published
    card = (here / "release" / "README.md").read_text(encoding="utf-8")
    assert 'model="org/merit"' in card
    assert "| random initialisation: linear probe |" in card
