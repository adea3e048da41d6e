"""Recordings as they are stored: nothing is lost, and copies are recognised."""

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_trees import noise

from merit.processing.inputs_merit import recording_of_row
from merit.processing.leads_merit import STANDARD_LEADS
from merit.processing.recordings_merit import INVALID_SAMPLE, EcgError, Recording
from merit.training.data.schema import (
    Record,
    features,
    fold_of,
    label_names,
    resample,
    split_of,
    table,
    to_int16,
    waveform_hash,
)
from merit.training.data.tasks import Task

PER_MILLIVOLT = {"mV": 1.0, "uV": 1e3, "V": 1e-3, "nV": 1e6}
GAINS = [200.0, 204.8, 400.0, 488.28, 500.0, 1000.0, 2000.0, 4096.0, -1000.0]
seeds = st.integers(0, 2**32 - 1)
leads = st.lists(st.sampled_from(STANDARD_LEADS), min_size=1, max_size=12, unique=True)


def stored(signal, lead_names, gain=1000.0, baseline=0, units="mV", rate=500.0):
    count = len(lead_names)
    gain, baseline = np.broadcast_to(float(gain), count), np.broadcast_to(baseline, count)
    return Recording("ecg", signal, rate, tuple(lead_names), (units,) * count, gain, baseline)


def physical(signal, lead_names, units="mV", rate=500.0):
    return Recording("ecg", signal, rate, tuple(lead_names), (units,) * len(lead_names))


def stored_and_read(recording):
    """Through the table and back."""
    columns = features({})
    (row,) = table([(Record("ecg", "p", 1), recording)], "test", {}, columns.arrow_schema).to_pylist()
    return recording_of_row(row)


@given(seeds, leads, st.sampled_from(GAINS), st.integers(-(2**31), 2**31 - 1), st.sampled_from(["mV", "uV", "V"]))
@settings(deadline=None, max_examples=60)
def test_what_is_int16_stays_bit_for_bit_what_it_was(seed, lead_names, gain, baseline, units):
    signal = np.random.default_rng(seed).integers(-32768, 32767, (len(lead_names), 40), dtype=np.int16, endpoint=True)
    recording = stored(signal, lead_names, gain, baseline, units)
    kept = to_int16(recording)
    np.testing.assert_array_equal(kept.signal, signal)
    assert kept.signal.dtype == np.int16
    again = stored_and_read(kept)
    np.testing.assert_array_equal(again.signal, signal)
    assert again.lead_names == tuple(lead_names)
    millivolts = recording.physical() / PER_MILLIVOLT[units]
    np.testing.assert_allclose(again.physical(), millivolts, rtol=1e-12)
    if units == "mV":
        np.testing.assert_array_equal(again.physical(), millivolts)


@given(
    seeds,
    leads,
    st.floats(-500, 500),
    st.floats(0, 30),
    st.sampled_from(list(PER_MILLIVOLT)),
    st.sampled_from([np.float32, np.float64]),
)
@settings(deadline=None, max_examples=100)
def test_physical_values_are_kept_to_half_a_microvolt(seed, lead_names, offset, amplitude, units, dtype):
    rng = np.random.default_rng(seed)
    values = rng.uniform(-amplitude, amplitude, (len(lead_names), 40)) + offset
    values[rng.random(values.shape) < 0.1] = np.nan
    values[0, 0] = offset
    recording = physical((values * PER_MILLIVOLT[units]).astype(dtype), lead_names, units)
    kept = stored_and_read(to_int16(recording))
    assert kept.signal.dtype == np.int16
    given_values = recording.signal.astype(np.float64) / PER_MILLIVOLT[units]
    np.testing.assert_array_equal(np.isnan(kept.physical()), np.isnan(values))
    np.testing.assert_allclose(kept.physical(), given_values, rtol=0, atol=0.5011e-3)


@given(st.integers(-(10**9) + 70_000, 10**9 - 70_000), st.integers(0, 65534))
@settings(deadline=None)
def test_any_offset_is_held_and_the_whole_range_of_16_bits_is_used(low, width):
    values = np.array([[low, low + width, low + width // 2]]) / 1000
    np.testing.assert_allclose(stored_and_read(to_int16(physical(values, ["II"]))).physical(), values, rtol=1e-12)


@pytest.mark.parametrize("values", [[0, 65.54], [-40, 40], [0, np.inf], [-np.inf, 0], [np.inf, np.inf], [2e6, 2e6]])
def test_a_lead_that_no_ecg_can_be_is_refused_by_name(values):
    signal = np.array([[0, 1], values], dtype=float)
    with pytest.raises(EcgError, match=r"ecg: lead V3 runs from .* mV, which no ECG does; check its units and gain"):
        to_int16(physical(signal, ["I", "V3"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gain": 0}, "ecg: lead I has the gain 0; correct it"),
        ({"gain": np.inf}, "ecg: lead I has the gain inf; correct it"),
        ({"gain": np.nan}, "ecg: lead I has the gain nan; correct it"),
        ({"baseline": 2**31}, "ecg: lead I has the baseline 2147483648; correct it"),
        ({"units": "mmHg"}, "ecg: lead I has the units 'mmHg'"),
        ({"lead_names": ["I", "RESP"]}, "ecg: channel 1, 'RESP', is not a standard lead"),
        ({"lead_names": ["I", ""]}, "ecg: channel 1 has no name"),
        ({"lead_names": ["AVR", "Lead aVR"]}, "ecg: lead aVR occurs twice"),
        ({"signal": np.full((2, 9), INVALID_SAMPLE, np.int16)}, "ecg: every sample is marked invalid"),
    ],
)
def test_what_cannot_be_stored_is_named(change, message):
    with pytest.raises(EcgError, match=message):
        to_int16(stored(**{"signal": noise(0, 9, 2), "lead_names": ["I", "II"], **change}))


def test_nothing_but_gaps_is_no_recording():
    with pytest.raises(EcgError, match="ecg: every sample is NaN"):
        to_int16(physical(np.full((2, 9), np.nan), ["I", "II"]))


@pytest.mark.parametrize("make", [stored, physical])
def test_channels_that_are_no_leads_are_left_out_when_that_is_wanted(make):
    signal = noise(0, 30, 4) if make is stored else noise(0, 30, 4) / 1000
    kept = to_int16(make(signal, ["RESP", "v2", "", "AVF"]), ignore_unknown_leads=True)
    assert kept.lead_names == ("V2", "aVF")
    np.testing.assert_allclose(kept.physical(), make(signal, list("abcd")).physical()[[1, 3]], rtol=0, atol=1e-12)
    with pytest.raises(EcgError, match="none of its leads, RESP, is among"):
        to_int16(make(signal[:1], ["RESP"]), ignore_unknown_leads=True)


def test_a_lead_of_gaps_stays_one():
    values = np.array([[0.1, 0.2, np.nan], [np.nan] * 3])
    np.testing.assert_allclose(to_int16(physical(values, ["I", "II"])).physical(), values)


def copies(microvolts, lead_names):
    """One recording in many forms."""
    values, count = microvolts / 1000, len(lead_names)
    order = np.random.default_rng(0).permutation(count)
    shuffled = [lead_names[i] for i in order]
    yield stored(microvolts, lead_names)
    yield stored(microvolts, lead_names, gain=1.0, units="uV")
    yield stored(microvolts, lead_names, gain=1e6, units="V")
    yield stored(microvolts[order], shuffled)
    yield stored(microvolts, [f"Lead {name.lower()}" for name in lead_names])
    yield stored((microvolts + 100).astype(np.int16), lead_names, baseline=100)
    yield stored(microvolts.astype(np.int32) + 10**6, lead_names, baseline=10**6)
    yield stored(-microvolts, lead_names, gain=-1000.0)
    for units, factor in PER_MILLIVOLT.items():
        yield physical(values * factor, lead_names, units)
        yield physical((values * factor).astype(np.float32), lead_names, units)
    yield physical(values[order], shuffled)


@given(seeds, leads)
@settings(deadline=None, max_examples=30)
def test_copies_have_the_same_hash_whatever_they_are_stored_as(seed, lead_names):
    microvolts = noise(seed, 50, len(lead_names))
    hashes = {waveform_hash(to_int16(recording)) for recording in copies(microvolts, lead_names)}
    assert len(hashes) == 1
    assert len(hashes.pop()) == 16


@pytest.mark.parametrize("gain", GAINS)
def test_copies_in_steps_that_are_no_whole_microvolts_have_the_same_hash(gain):
    recording = stored(noise(1, 20000, 1), ["II"], gain)
    values = recording.physical()
    forms = [recording, stored(recording.signal.astype(np.int32) + 40000, ["II"], gain, 40000)]
    for units, factor in PER_MILLIVOLT.items():
        forms += [physical(values * factor, ["II"], units), stored(recording.signal, ["II"], gain / factor, 0, units)]
    assert len({waveform_hash(to_int16(form)) for form in forms}) == 1


def test_gaps_have_the_same_hash_whatever_marks_them():
    signal = noise(0, 50, 2)
    signal[1, 10:20] = INVALID_SAMPLE
    recording = stored(signal, ["I", "II"])
    assert waveform_hash(to_int16(physical(recording.physical(), ["I", "II"]))) == waveform_hash(to_int16(recording))
    filled = signal.copy()
    filled[1, 10:20] = 0
    assert waveform_hash(to_int16(stored(filled, ["I", "II"]))) != waveform_hash(to_int16(recording))


def test_what_is_no_copy_has_another_hash():
    signal, names = noise(0, 50), STANDARD_LEADS
    changed = signal.copy()
    changed[7, 33] += 1
    others = [
        stored(changed, names),
        stored(signal[:, :-1], names),
        stored(signal[:11], names[:11]),
        stored(signal, names, gain=500),
        stored(signal, names, baseline=1),
        stored(signal, names, rate=250.0),
        stored(signal, (*names[:10], "V6", "V5")),
        stored(signal, names),
    ]
    assert len({waveform_hash(to_int16(recording)) for recording in others}) == len(others)


@pytest.mark.parametrize(("rate", "wanted"), [(500, 100), (257, 500), (400, 500), (1000, 500), (360, 250)])
def test_a_sine_is_the_same_sine_at_another_rate(rate, wanted):
    def sine(rate):
        return np.stack([np.sin(2 * np.pi * 7 * np.arange(4 * rate) / rate + phase) + 3 for phase in (0, 1)])

    resampled = resample(physical(sine(rate), ["I", "II"], rate=rate), wanted)
    assert resampled.sampling_rate == wanted
    assert resampled.signal.shape == (2, 4 * wanted)
    inside = slice(wanted // 4, -wanted // 4)
    np.testing.assert_allclose(resampled.signal[:, inside], sine(wanted)[:, inside], rtol=0, atol=4e-3)


def test_resampling_takes_digital_samples_and_keeps_units_and_leads():
    signal = noise(0, 500)
    resampled = resample(stored(signal, STANDARD_LEADS, gain=2.0, baseline=7, units="uV"), 100)
    same = resample(physical((signal - 7.0) / 2, STANDARD_LEADS, "uV"), 100)
    np.testing.assert_allclose(resampled.physical(), same.physical())
    assert (resampled.units, resampled.lead_names) == (("uV",) * 12, STANDARD_LEADS)


def test_a_recording_at_the_wanted_rate_is_left_alone():
    recording = stored(noise(0, 50), STANDARD_LEADS)
    assert resample(recording, 500) is recording


@pytest.mark.parametrize(("rate", "wanted"), [(500, 100), (100, 500), (257, 500)])
def test_gaps_are_gaps_of_the_same_time_at_another_rate_and_spoil_nothing_else(rate, wanted):
    seconds = np.arange(4 * rate) / rate
    values = np.stack([np.sin(2 * np.pi * seconds), np.cos(2 * np.pi * seconds), seconds])
    values[0, (seconds >= 1) & (seconds < 2)] = np.nan
    values[2] = np.nan
    resampled = resample(physical(values, ["I", "II", "III"], rate=rate), wanted).signal
    assert resampled.shape == (3, 4 * wanted)
    gap = np.isnan(resampled)
    assert gap[0].sum() == pytest.approx(wanted, abs=wanted / rate + 1)
    assert np.flatnonzero(gap[0])[0] == pytest.approx(wanted, abs=wanted / rate)
    assert not gap[1].any()
    assert gap[2].all()
    far = slice(round(2.5 * wanted), round(3.5 * wanted))
    expected = np.sin(2 * np.pi * np.arange(4 * wanted) / wanted)
    np.testing.assert_allclose(resampled[0, far], expected[far], rtol=0, atol=4e-3)


def test_the_fold_of_a_patient_never_moves():
    frozen = {
        ("cpsc2018", "A0001"): 6,
        ("cpsc2018", "A0002"): 3,
        ("cpsc2018", "A6877"): 8,
        ("csn", "JS00001"): 1,
        ("csn", "JS44279"): 10,
        ("csn", "JS45551"): 8,
        ("georgia", "E00001"): 5,
        ("georgia", "E10344"): 9,
        ("mimic-iv-ecg", "10000032"): 1,
        ("mimic-iv-ecg", "10000117"): 10,
        ("mimic-iv-ecg", "19999987"): 1,
        ("own", "Müller, 1950"): 3,
        ("own", ""): 6,
    }
    assert {key: fold_of(*key) for key in frozen} == frozen


def test_folds_are_even_and_make_the_splits():
    folds = [fold_of("mimic-iv-ecg", str(subject)) for subject in range(10_000_000, 10_020_000)]
    counts = np.bincount(folds, minlength=11)
    assert counts[0] == 0
    assert counts[1:].min() > 1850
    assert counts[1:].max() < 2150
    assert [split_of(fold) for fold in range(1, 11)] == ["train"] * 8 + ["validation", "test"]


def test_a_row_may_lack_age_and_sex():
    columns = features({})
    known, unknown = Record("a", "p", 1, age=63.5, sex="female"), Record("b", "p", 1)
    recording = to_int16(stored(noise(0, 9), STANDARD_LEADS))
    rows = table([(known, recording), (unknown, recording)], "test", {}, columns.arrow_schema)
    assert isinstance(rows, pa.Table)
    assert rows.column("age").to_pylist() == [63.5, None]
    assert rows.column("sex").to_pylist() == [1, None]


def test_recordings_of_any_length_and_leads_share_a_table():
    short, long = stored(noise(0, 9, 1), ["II"]), stored(noise(1, 700, 3), ["V1", "V2", "aVL"], rate=257.0)
    rows = table([(Record("a", "p", 1), short), (Record("b", "p", 1), long)], "t", {}, features({}).arrow_schema)
    for row, recording in zip(rows.to_pylist(), (short, long)):
        again = recording_of_row(row)
        np.testing.assert_array_equal(again.signal, recording.signal)
        assert (again.lead_names, again.sampling_rate) == (recording.lead_names, recording.sampling_rate)


def test_the_labels_of_a_task_are_named_and_a_missing_task_with_those_there_are():
    columns = features({"own": Task("own", ("irregular", "wide"), {})})
    rows = Dataset.from_dict({name: [] for name in columns}, features=columns)
    assert label_names(rows, "own") == ["irregular", "wide"]
    with pytest.raises(ValueError, match="no task 'super', but own"):
        label_names(rows, "super")
