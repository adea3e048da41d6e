"""What commands print on standard error: lines in a log file, bars in a terminal, nothing with `--quiet`."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def merit(fresh_environment, tmp_path):
    """Runs a command with standard error as a file; returns what stands there."""

    def run(*arguments):
        with open(tmp_path / "log", "wb") as log:
            command = [sys.executable, "-m", "merit", *map(str, arguments)]
            done = subprocess.run(command, env=fresh_environment, stdout=subprocess.DEVNULL, stderr=log, check=False)
        text = (tmp_path / "log").read_bytes().decode()
        assert done.returncode == 0, text
        return text

    return run


def stages(log) -> dict[str, int]:
    """The number of lines of each stage."""
    names = [line.partition(":")[0] for line in log.splitlines()]
    return {name: names.count(name) for name in names}


def test_a_log_file_has_few_lines_for_each_stage(merit, simulated, model_folder, tmp_path):
    tasks = ["--tasks", "super", "--only", "zero-shot", "robustness"]
    log = merit("evaluate", model_folder, "--data", simulated, *tasks, "--output", tmp_path / "results.json")
    assert "\r" not in log
    found = stages(log)
    assert {"Embedding train", "Embedding validation", "Embedding test", "Embedding seconds 5.0"} <= set(found)
    assert max(found.values()) <= 12
    assert "Loading weights" not in log


def test_training_has_the_loss_in_its_lines(merit, simulated, model_folder, tmp_path):
    log = merit(
        "finetune", model_folder, "--data", simulated, "--task", "super", "--epochs", 3, "--output", tmp_path / "m"
    )
    assert "\r" not in log
    assert 2 <= stages(log)["Training"] <= 12
    last = [line for line in log.splitlines() if line.startswith("Training")][-1]
    assert "100 %" in last
    assert "eval_auroc=0." in last


def test_quiet_prints_no_progress(merit, simulated, model_folder, tmp_path):
    archive = ["predict", simulated / "records100", "--model", model_folder, "--labels", "AFIB"]
    assert stages(merit(*archive, "--output", tmp_path / "a"))["Predicting"] >= 2
    assert merit("--quiet", *archive, "--output", tmp_path / "b") == ""


def test_a_terminal_shows_a_bar(fresh_environment, simulated, model_folder, tmp_path):
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    arguments = [
        "predict",
        simulated / "records100",
        "--model",
        model_folder,
        "--labels",
        "AFIB",
        "--output",
        tmp_path / "a",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "merit", *map(str, arguments)],
        env=fresh_environment,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(master, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(master)
    assert process.wait() == 0
    assert "\rPredicting:   0%|" in shown.decode()
    assert "\rPredicting: 100%|█" in shown.decode()
