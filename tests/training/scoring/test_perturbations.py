"""Changed recordings differ by what was asked for, the same in every run, and by nothing else."""

import numpy as np
import pytest

from merit.processing.inputs_merit import recording_of_row
from merit.processing.recordings_merit import EcgError
from merit.training.scoring.perturbations import NOISES, Perturbation, perturbations

RATE, SECONDS = 100.0, 10


def millivolts(row):
    return recording_of_row(row).physical()


def a_row(name="a"):
    time = np.arange(int(RATE * SECONDS)) / RATE
    leads = [amplitude * np.sin(2 * np.pi * 5 * time) for amplitude in (1.0, 0.5, 0.0)]
    return {
        "record_id": name,
        "signal": np.round(1000 * np.stack(leads)).astype(np.int16).ravel(),
        "gain": np.array([1000.0, 1000.0, 1000.0]),
        "baseline": np.array([0, 0, 0]),
        "sampling_rate": RATE,
        "lead_names": ["I", "II", "V1"],
        "report": "kept",
    }


def test_nothing_changes_without_a_change():
    row = a_row()
    [changed] = Perturbation()([row])
    assert np.array_equal(changed["signal"], row["signal"])
    assert changed["report"] == "kept"


def test_only_the_leads_asked_for_remain():
    [changed] = Perturbation(leads=("II", "V1", "V6"))([a_row()])
    assert changed["lead_names"] == ["II", "V1"]
    np.testing.assert_array_equal(millivolts(changed), millivolts(a_row())[1:])


def test_a_recording_without_the_leads_asked_for_is_named():
    with pytest.raises(EcgError, match=r"rec7.*V6"):
        Perturbation(leads=("V6",))([a_row("rec7")])


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("db", [0.0, 6.0, 20.0])
def test_noise_has_the_power_asked_for(noise, db):
    clean = millivolts(a_row())
    [changed] = Perturbation(noise=noise, noise_db=db)([a_row()])
    added = millivolts(changed) - clean
    power = clean[:2].var(-1).mean()
    for lead in added[:2]:
        assert 10 * np.log10(power / np.square(lead).mean()) == pytest.approx(db, abs=0.1)
    assert not np.array_equal(added[0], added[1])
    assert np.array_equal(added[2], np.zeros_like(added[2]))  # a flat lead stays flat


def test_noise_is_where_it_should_be_in_the_spectrum():
    row = {**a_row(), "sampling_rate": 500.0}
    spectra = {}
    for noise in NOISES:
        [changed] = Perturbation(noise=noise, noise_db=0.0)([row])
        spectra[noise] = np.abs(np.fft.rfft((millivolts(changed) - millivolts(row))[0])) ** 2
    frequency = np.fft.rfftfreq(1000, 1 / 500)
    assert frequency[spectra["mains"].argmax()] == pytest.approx(50)
    assert spectra["wander"][frequency <= 1].sum() > 0.95 * spectra["wander"].sum()
    assert 0.4 < spectra["white"][frequency < 125].sum() / spectra["white"].sum() < 0.6


def test_noise_depends_on_record_and_seed_and_on_no_other_record():
    change = Perturbation(noise="white", noise_db=6.0)
    alone, other = change([a_row("b")])[0]["signal"], change([a_row("a"), a_row("b")])[1]["signal"]
    assert np.array_equal(alone, other)
    assert not np.array_equal(alone, change([a_row("a")])[0]["signal"])
    assert not np.array_equal(alone, Perturbation(noise="white", noise_db=6.0, seed=1)([a_row("b")])[0]["signal"])


def test_a_lower_rate_keeps_what_it_can_hold():
    [changed] = Perturbation(sampling_rate=50.0)([a_row()])
    assert changed["sampling_rate"] == 50.0
    found, expected = millivolts(changed), millivolts(a_row())[:, ::2]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[:, 50:-50], expected[:, 50:-50], atol=0.02)


def test_a_higher_rate_invents_nothing():
    [changed] = Perturbation(sampling_rate=250.0)([a_row()])
    assert changed["sampling_rate"] == RATE
    assert np.array_equal(changed["signal"], a_row()["signal"])


def test_a_shorter_recording_is_the_middle_of_the_whole():
    [changed] = Perturbation(seconds=2.5)([a_row()])
    np.testing.assert_array_equal(millivolts(changed), millivolts(a_row())[:, 375:625])


def test_invalid_samples_stay_invalid():
    row = a_row()
    row["signal"][3] = -32768
    [changed] = Perturbation(noise="white", noise_db=6.0)([row])
    assert np.flatnonzero(np.isnan(millivolts(changed)).ravel()).tolist() == [3]


def test_every_change_says_what_it_does():
    settings = [change.setting() for change in perturbations(500.0)]
    assert {"leads": ["I"]} in settings
    assert {"sampling_rate": 250.0} in settings
    assert {"noise": "mains", "noise_db": 0.0} in settings
    assert {"seconds": 2.5} in settings
    assert len({str(setting) for setting in settings}) == len(settings) == len({repr(c) for c in perturbations(500.0)})
    assert not any(
        setting.get("sampling_rate") in (100.0, 250.0) for setting in (c.setting() for c in perturbations(100.0))
    )


@pytest.mark.parametrize("fields", [{"noise": "white"}, {"noise_db": 3.0}, {"noise": "pink", "noise_db": 3.0}])
def test_noise_that_is_not_defined_is_refused(fields):
    with pytest.raises(ValueError, match="noise"):
        Perturbation(**fields)
