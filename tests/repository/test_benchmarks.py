"""The programs of benchmarks/ are of the code as it stands; what they measured is tested with the READMEs."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from merit.training.results.comparison import paired_differences

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PROGRAMS = sorted(set(BENCHMARKS.glob("*.py")) - {BENCHMARKS / "options.py"})


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_finds_all_that_it_imports(program, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    assert callable(runpy.run_path(str(program))["main"])


def test_a_lead_that_stands_still_or_drifts_is_seen_in_any_place_and_at_any_rate(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    lead_faults = runpy.run_path(str(BENCHMARKS / "trust_disturbances.py"))["lead_faults"]
    for rate in (50, 100, 250, 500):
        ecg = np.random.default_rng(0).normal(size=(3, 10 * rate))
        still, drift = lead_faults(ecg, rate)
        assert still < 0.05
        assert drift < 3
        for lead in range(3):
            flat, gap, drifting = ecg.copy(), ecg.copy(), ecg.copy()
            flat[lead, rate : 3 * rate] = 1.5
            gap[lead, rate : 3 * rate] = np.nan
            drifting[lead] += np.linspace(0, 8, 10 * rate)
            assert lead_faults(flat, rate)[0] == pytest.approx(2, abs=0.05)
            assert lead_faults(gap, rate)[0] == pytest.approx(2, abs=0.05)
            assert 7 < lead_faults(drifting, rate)[1] < 11


def test_figures_of_hospitals_and_of_physiology_are_written_and_paired(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    program = runpy.run_path(str(BENCHMARKS / "full_length.py"))
    replicates = np.linspace(0.8, 0.9, 20)
    figure = {"value": 0.85, "low": 0.8, "high": 0.9}
    hospitals = {
        "csn": {"records": 7, "methods": {"linear probe": [{"macro_auroc": figure, "replicates": replicates}]}}
    }
    physiology = {"qt": {"unit": "ms", "records": {"test": 9}, "r2": figure, "replicates": replicates}}
    results = program["for_pairing"](hospitals, physiology)
    assert [(result["task"], result["records"]) for result in results] == [("csn", 7), ("qt", 9)]
    better = [
        {**result, "replicates": {key: values + 0.01 for key, values in result["replicates"].items()}}
        for result in results
    ]
    found = [row for _, *row in paired_differences({"results": better}, {"results": results})]
    assert [metric for metric, _ in found] == ["auroc", "r2"]
    assert all(row["low"] == row["high"] == row["value"] == 0 for _, row in found)
    written = program["without_replicates"]({"hospitals": hospitals, "physiology": physiology})
    assert json.loads(json.dumps(written))["hospitals"]["csn"]["methods"]["linear probe"] == [{"macro_auroc": figure}]
