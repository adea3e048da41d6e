"""Imports follow the order of the packages: each uses only those before it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The packages inside training/. Each may import those before it.
ORDER = ["results", "text", "data", "simulation", "batching", "trainer", "scoring", "learning", "evaluation"]
ALLOWED = {
    "modeling_merit": ["modeling_merit"],
    "processing": ["processing"],
    **{
        f"training.{name}": ["modeling_merit", "processing", *(f"training.{other}" for other in ORDER[: i + 1])]
        for i, name in enumerate(ORDER)
    },
    "hub_cards": ["hub_cards", "modeling_merit", "processing", "training.results"],
}
# Code for users: it may import everything, and nothing above may import it.
FACE = "merit"


def python_files(package: str) -> list[Path]:
    # hub_cards/merit-*/ holds links to modeling_merit/ and processing/, hub_cards/space/ an application for users.
    pattern = "*.py" if package == "hub_cards" else "**/*.py"
    return sorted((ROOT / package.replace(".", "/")).glob(pattern))


def imports(source: str, module: str) -> list[tuple[int, str]]:
    """Line and absolute dotted name of every import in a file, wherever it stands; `module` is the file's own name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(module.split(".")[: -node.level]) if node.level else ""
            base = ".".join(part for part in (parent, node.module) if part)
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def violations(source: str, package: str, name: str) -> list[str]:
    """What a file of `package` imports from our packages and may not."""
    found = []
    for line, imported in imports(source, f"{FACE}.{package}.{name}"):
        if imported.split(".")[0] != FACE:
            continue
        inside = imported.removeprefix(FACE).removeprefix(".")
        if not any(f"{inside}.".startswith(f"{allowed}.") for allowed in ALLOWED[package]):
            found.append(f"{f'{package}.{name}'.replace('.', '/')}.py:{line} imports {imported}")
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_those_before_it(package):
    found = []
    for path in python_files(package):
        name = ".".join(path.relative_to(ROOT / package.replace(".", "/")).with_suffix("").parts)
        found += violations(path.read_text(encoding="utf-8"), package, name)
    assert not found, "\n".join(found)


def test_every_package_of_training_has_its_place_in_the_order():
    folders = {path.parent.name for path in (ROOT / "training").glob("*/__init__.py")}
    assert folders == set(ORDER)
    assert {path.name for path in (ROOT / "training").glob("*.py")} == {"__init__.py"}


@pytest.mark.parametrize(
    ("package", "name", "source"),
    [
        ("training.text", "cleaning", "\nfrom ..data.schema import Recording"),
        (
            "training.results",
            "plots",
            "\ndef draw():\n    from ...processing import leads_merit\n\n    from ..text import x",
        ),
        ("training.data", "sources.base", "\nfrom ...simulation.heart import Heart"),
        ("processing", "leads_merit", "\nfrom ..modeling_merit.configuration_merit import MeritConfig"),
        ("hub_cards", "card", "\nfrom ..training.scoring.metrics import auroc"),
        ("hub_cards", "card", "\nimport merit"),
        ("training.learning", "pretraining", "\nfrom ... import demo"),
    ],
)
def test_a_violation_is_found_with_its_file_and_line(package, name, source):
    [found] = violations(source, package, name)
    path, _, line = found.split(" imports ")[0].rpartition(":")
    assert (ROOT / path).is_file()
    assert int(line) == len(source.splitlines())


def test_files_that_travel_to_the_hub_have_names_of_their_own_and_import_siblings_by_name():
    """On the Hub all of them lie in one folder; transformers follows `from .sibling import name` only."""
    files = [path for package in ("modeling_merit", "processing") for path in python_files(package)]
    names = [path.stem for path in files if path.stem != "__init__"]
    assert len(set(names)) == len(names)
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, f"{path.relative_to(ROOT)}:{node.lineno}"
                assert node.module in names, f"{path.relative_to(ROOT)}:{node.lineno}"


def classes() -> dict[str, list[str]]:
    """Where each class of the repository is defined, outside the tests."""
    found: dict[str, list[str]] = {}
    for package in (FACE, *ALLOWED, "hub_cards.space", "benchmarks", "examples", "tools"):
        for path in python_files(package):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found.setdefault(node.name, []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_no_two_classes_have_one_name():
    twice = [f"{name}: {', '.join(places)}" for name, places in classes().items() if len(places) > 1]
    assert not twice, "\n".join(twice)
