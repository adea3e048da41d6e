"""Progress in log files, and warnings."""

import time

import pytest

from merit.training.results.progress import progress_bar


@pytest.fixture
def log(monkeypatch, capsys):
    """What was printed on standard error, which is no terminal, since the last call."""
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    return lambda: capsys.readouterr().err


def test_a_log_file_gets_lines_at_most_one_a_second(log):
    with progress_bar(1000, "Embedding test") as bar:
        for _ in range(1000):
            bar.update()
    printed = log()
    first, last = printed.splitlines()
    assert first.startswith("Embedding test: 0 %, 0 of 1000 records")
    assert last.startswith("Embedding test: 100 %, 1000 of 1000 records")
    assert "\r" not in printed


def test_a_long_stage_has_a_line_at_every_tenth(log, monkeypatch):
    clock = [time.time()]
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    with progress_bar(1000, "Preparing") as bar:
        bar._time = lambda: clock[0]
        for _ in range(1000):
            clock[0] += 1
            bar.update()
    shares = [line.split()[1] for line in log().splitlines()]
    assert shares == [str(share) for share in range(0, 101, 10)]


def test_a_stage_that_is_stopped_ends_with_how_far_it_came(log):
    def stopped():
        with progress_bar(10, "Preparing") as bar:
            bar.update(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert log().splitlines()[-1].startswith("Preparing: 30 %, 3 of 10 records")


def test_a_stage_of_unknown_length_says_how_much_is_done(log):
    with progress_bar(None, "Preparing", "files") as bar:
        bar.update(7)
    assert log().splitlines()[-1] == "Preparing: 7 files, 00:00"


def test_nothing_is_printed_on_request(log, monkeypatch):
    with progress_bar(3, "Predicting", disable=True) as bar:
        bar.update(3)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with progress_bar(3, "Predicting") as bar:
        bar.update(3)
    assert log() == ""


@pytest.mark.slow
def test_the_same_warning_is_printed_once_in_one_line(fresh_python):
    code = """
import sys, warnings
sys.stderr = sys.stdout
from merit.training.results.progress import configure_output
configure_output()
for lead in ("I", "I", "II"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("unseen")
    warnings.warn(f"lead {lead} is flat")
"""
    printed = fresh_python(code, PYTHONWARNINGS="")
    assert printed == "merit: UserWarning: lead I is flat\nmerit: UserWarning: lead II is flat\n"
