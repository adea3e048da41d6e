"""What README.md says is true: its figures are those of the result files, its programs run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory):
    """The folders that `make demo` leaves, their model untrained."""
    from merit import export
    from merit.training.pretraining import build
    from merit.training.simulated_ptbxl import write_simulated_ptbxl

    folder = tmp_path_factory.mktemp("readme")
    write_simulated_ptbxl(folder / "demo" / "simulated", records=200, seed=0, progress=False)
    recipe = {"model": {"ecg_config": TINY, "text_config": TINY, "projection_dim": 32}}
    export(*build(recipe, ["sinus rhythm. normal ecg.", "vorhofflimmern"]), folder / "demo" / "model")
    return folder


def test_the_figures_are_those_of_the_result_files(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from readme_results import with_results

    assert with_results(README) == README


def test_the_first_program_classifies_a_recording_in_three_lines():
    assert len([line for line in PROGRAMS[0].splitlines() if line]) == 3


@pytest.mark.parametrize("number", [0, 1])
def test_the_programs_run_as_they_stand(number, demo_folder):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAMS[number]], cwd=demo_folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "score" in run.stdout or number == 1


def test_the_fine_tuning_script_is_short_and_runs(demo_folder, tmp_path):
    script = next(program for program in PROGRAMS if "Trainer(" in program)
    assert len(script.splitlines()) < 40
    model, data = demo_folder / "demo" / "model", demo_folder / "demo" / "simulated"
    command = [sys.executable, "-c", script, str(model), str(data), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "eval_macro_auc" in run.stdout
    assert (tmp_path / "model" / "model.safetensors").is_file()
