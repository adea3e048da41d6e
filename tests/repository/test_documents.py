"""README and docs are true: their figures are those of the result files, their programs and commands run."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md"]
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "docs/how-to/archives.md", "benchmarks/README.md"])
def test_the_figures_are_those_of_the_result_files(monkeypatch, name):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from readme_results import with_results

    text = (ROOT / name).read_text(encoding="utf-8")
    assert with_results(text, name) == text


def test_the_readme_is_read_in_two_minutes():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_within_the_repository_lead_to_files(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_file_that_contributing_names_is_there():
    named = re.findall(r"`([\w./-]+\.(?:py|md|csv|json|toml|txt))`", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    folders = [path for path in ROOT.iterdir() if path.name not in (".venv", ".git")]
    places = [*folders, *(path for folder in folders for path in folder.rglob("*"))]
    known = {path.name for path in places} | {path.relative_to(ROOT).as_posix() for path in places}
    assert len(named) > 40
    assert [name for name in named if name not in known] == []


def test_the_first_program_classifies_a_recording_in_three_lines():
    assert len([line for line in PROGRAMS[0].splitlines() if line]) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("number", "printed"), [(1, ["'noise'"]), (2, ["normal axis.", "NORM"])])
def test_the_programs_run_as_they_stand(number, printed, here):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAMS[number]], cwd=here, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert all(text in run.stdout for text in printed)


@pytest.mark.slow
def test_the_first_program_prints_the_answer_shown(here):
    run = subprocess.run([sys.executable, "-c", PROGRAMS[0]], cwd=here, capture_output=True, text=True, check=False)
    [shown] = re.findall(r"```\n(\[\{.*?\}\])\n```", README, re.DOTALL)
    shown, printed = ast.literal_eval(shown), ast.literal_eval(run.stdout)
    scores = [label.pop("score") for label in shown]
    assert [label.pop("score") for label in printed] == pytest.approx(scores, abs=1e-3)
    assert printed == shown


@pytest.mark.slow
def test_a_model_is_fine_tuned_and_measured_as_shown(shell, here, prepared, block):
    printed = shell(block("merit finetune hub_cards/merit-ptbxl-tiny"))
    assert "super fine-tuned: auroc" in printed
    assert (here / "super" / "model.safetensors").is_file()


def test_every_merit_command_is_one_that_there_is(commands):
    from typer.main import get_command

    from merit.commands import app

    lines = [line for block in commands for line in block.splitlines() if line.startswith("merit ")]
    assert len(lines) > 10
    for command in lines:
        name, *arguments = shlex.split(command)[1:]
        get_command(app).commands[name].make_context(name, arguments)


@pytest.mark.slow
def test_the_command_line_classifies_and_draws(shell, here, block):
    from matplotlib.image import imread

    assert "atrial fibrillation" in shell(block("merit classify hub_cards"))
    drawn, shown = imread(here / "answer.png"), imread(ROOT / "docs" / "pictures" / "answer.png")
    assert drawn.shape == shown.shape
    assert abs(drawn - shown).mean() < 0.01


@pytest.mark.slow
def test_pretraining_goes_on_as_shown(shell, here, block):
    from merit import MeritForPreTraining

    shell(block("merit simulate"))
    assert MeritForPreTraining.from_pretrained(here / "run" / "model").config.projection_dim == 128
    checkpoints = sorted(path.name for path in (here / "run" / "checkpoints").glob("checkpoint-*"))
    assert checkpoints == ["checkpoint-12", "checkpoint-16"]


@pytest.mark.slow
def test_a_folder_of_ones_own_is_prepared_by_the_table_shown(shell, here, block):
    from merit import label_names, load_data

    own_data = (ROOT / "docs" / "tutorials" / "own-data.md").read_text(encoding="utf-8")
    [table] = re.findall(r"```csv\n(.*?)```", own_data, re.DOTALL)
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


@pytest.mark.slow
def test_models_are_measured_compared_exported_and_published_as_shown(shell, here, prepared, tmp_path, block):
    from loopback_hub import LoopbackHub

    compared = shell(block("merit evaluate"))
    assert "| random initialisation |" in compared
    assert (here / "comparison.png").stat().st_size > 10_000
    with LoopbackHub() as hub:
        published = shell(block("merit export"), **hub.environment(tmp_path))
        assert hub.writes() == []
    assert "+ README.md" in published
    card = (here / "release" / "README.md").read_text(encoding="utf-8")
    assert 'model="org/merit"' in card
    assert "| random initialisation: linear probe |" in card
