"""The examples in docstrings run and show what they print."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("merit", "modeling_merit", "processing", "training", "hub_cards")
# Its examples depend on whether WordNet is installed; tests/training/evaluation/test_report_measures.py runs them.
OWN_TEST = "merit.training.evaluation.report_measures"


def modules_with_examples():
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            name = name if room == "merit" else f"merit.{name}"
            if not path.is_symlink() and name != OWN_TEST and has_examples(path.read_text(encoding="utf-8")):
                yield name


def has_examples(text):
    """Whether a text has an example that is not skipped."""
    lines = (line.strip() for line in text.splitlines())
    return any(line.startswith(">>> ") and "doctest: +SKIP" not in line for line in lines)


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_in_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert result.failed == 0
