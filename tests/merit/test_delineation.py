"""Heart rate and intervals agree with the truth of the simulator."""

import sys

import numpy as np
import pytest

from merit.delineation import Measurements, measure
from merit.processing.leads_merit import STANDARD_LEADS
from merit.training.simulation.heart import simulate_ecg
from merit.training.simulation.parameters import sample_parameters


def simulated(seed: int, *statements: str):
    rng = np.random.default_rng(seed)
    parameters = sample_parameters(rng, statements)
    return simulate_ecg(parameters, 10.0, 500, rng=rng).signal, parameters


@pytest.mark.parametrize("statements", [("NORM",), ("STACH",), ("SBRAD",)])
def test_intervals_are_close_to_the_truth(statements):
    pytest.importorskip("neurokit2", reason="the extra merit-ecg[delineation] is not installed")
    signal, parameters = simulated(2, *statements)
    measured = measure(signal, 500, STANDARD_LEADS)
    assert measured.heart_rate == pytest.approx(parameters.heart_rate, rel=0.05)
    assert measured.pr == pytest.approx(1000 * parameters.pr, abs=40)
    assert measured.qrs == pytest.approx(1000 * parameters.qrs_duration, abs=40)
    assert measured.qt == pytest.approx(1000 * parameters.qt, abs=50)
    assert measured.qtc == pytest.approx(measured.qt * (measured.heart_rate / 60) ** (1 / 3))
    assert "neurokit2" in measured.text()
    assert "QTc (Fridericia)" in measured.text()


@pytest.mark.parametrize("seed", range(3))
def test_no_pr_is_given_in_atrial_fibrillation(seed):
    pytest.importorskip("neurokit2", reason="the extra merit-ecg[delineation] is not installed")
    signal, _ = simulated(seed, "AFIB")
    measured = measure(signal, 500, STANDARD_LEADS)
    assert measured.pr is None
    assert measured.qrs is not None


def test_without_neurokit2_the_heart_rate_remains(monkeypatch):
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    signal, parameters = simulated(0, "NORM")
    measured = measure(signal, 500, STANDARD_LEADS)
    assert measured.heart_rate == pytest.approx(parameters.heart_rate, rel=0.05)
    assert (measured.pr, measured.qrs, measured.qt, measured.qtc, measured.method) == (None, None, None, None, "")
    assert measured.text() == f"Heart rate {measured.heart_rate:.0f}/min"


def test_nothing_is_measured_on_a_flat_line():
    assert measure(np.zeros((12, 5000)), 500, STANDARD_LEADS) == Measurements()
