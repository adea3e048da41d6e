"""Builds of the package as its build backend makes them, from a copy of the checkout."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = "import sys, build_backend; print(getattr(build_backend, sys.argv[1])(sys.argv[2]))"


def run(code, *arguments, cwd, **environment):
    """What a fresh process prints; it has this environment's libraries, and `merit` only from PYTHONPATH."""
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


def copy_of_checkout(folder):
    """The files that git tracks, without checkpoints and results: what a build reads."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    for name in names:
        heavy = name.startswith(("hub_cards/merit-", "benchmarks/", "tests/", "docs/"))
        if name and not heavy and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    return folder


def build(checkout, hook, output):
    *_, name = run(BUILD, hook, output, cwd=checkout, PYTHONPATH=str(checkout / "tools"))
    return Path(output) / name
