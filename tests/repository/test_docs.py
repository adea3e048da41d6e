"""The documentation is built without warnings and asks no other host for anything; its notebooks run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("docs/notebooks/*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    nbclient = pytest.importorskip("nbclient", reason="needs the extra dev")
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    results = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    if path.stem == "features":
        scores = [float(number) for number in re.findall(r"[\d.]+", results[-1]["data"]["text/plain"]) if number != "."]
        assert len(scores) == 5
        assert min(scores) > 0.9
    else:
        assert "exchanged_arms" in str(results)
        assert "image/png" in results[-1]["data"]


def test_the_pages_are_built_without_warnings_and_request_nothing_from_other_hosts(tmp_path):
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 25
    requested = re.compile(r"<(?:script|img|iframe|link(?![^>]*canonical))[^>]+(?:src|href)=\"https?://[^>]+>")
    styles = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.css")]
    assert [found for page in pages for found in requested.findall(page.read_text(encoding="utf-8"))] == []
    assert [found for style in styles for found in re.findall(r"url\([\"']?https?://[^)]+\)", style)] == []
    command_page = (tmp_path / "reference" / "command" / "index.html").read_text(encoding="utf-8")
    assert "--on-unknown-label" in command_page
    fields = (tmp_path / "reference" / "configuration" / "index.html").read_text(encoding="utf-8")
    assert "<code>MeritEcgConfig or dict</code>" in fields
    assert "<em>required</em>" not in fields  # every field has a default
    assert re.search(r"<code>patch_length</code></td>\s*<td><code>25</code>", fields)
    fine_tune_page = (tmp_path / "tutorials" / "fine-tune" / "index.html").read_text(encoding="utf-8")
    assert all(name in fine_tune_page for name in ("TrainingArguments", "LoraConfig", "LogisticRegression"))
