"""A folder as a clone has it after `make demo`, in which the documents' commands and the examples run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [page.read_text(encoding="utf-8") for page in PAGES]


@pytest.fixture(scope="session")
def commands():
    """The blocks of commands in README and docs."""
    return [commands for text in TEXTS for commands in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)]


@pytest.fixture(scope="session")
def block(commands):
    """Finds the one block of commands with a given beginning."""

    def find(beginning):
        [found] = [block for block in commands if block.startswith(beginning)]
        return found

    return find


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The folder."""
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
    """Runs commands as they stand in that folder and returns what they print."""

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
def prepared(shell, here, block):
    """The data set that the commands for public data sets leave."""
    download, prepare = block("merit download").splitlines()
    assert download.startswith("merit download")  # from PhysioNet: tests/training/data/test_download.py
    shell(prepare)
    return here / "ptbxl-100hz"
