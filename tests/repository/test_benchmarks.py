"""The programs of benchmarks/ are of the code as it stands; what they measured is tested with the READMEs."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PROGRAMS = sorted(set(BENCHMARKS.glob("*.py")) - {BENCHMARKS / "options.py"})


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_finds_all_that_it_imports(program, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    assert callable(runpy.run_path(str(program))["main"])
