"""The feature extractor: the same output for every form of input, and errors that name what is wrong."""

import json
import math
import os
import warnings
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import scipy.signal
import torch
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.leads_merit import STANDARD_LEADS, standard_lead
from merit.processing.recordings_merit import EcgError, Recording, read_wfdb

EXTERNAL = Path(__file__).parents[3] / "shared" / "external"
PTBXL = Path(os.environ.get("PTBXL_ROOT", "/nonexistent"))
LIMB = STANDARD_LEADS[:6]


def synthetic_ecg(leads=STANDARD_LEADS, rate=100.0, samples=1000, seed=0):
    """Band-limited beats in millivolts, `(leads, samples)`; limb leads obey Einthoven's and Goldberger's laws."""
    time = np.arange(samples) / rate
    rng = np.random.default_rng(seed)
    waves = {}
    for name in ("I", "II", *STANDARD_LEADS[6:]):
        phase, height = rng.uniform(0, 1), rng.uniform(0.5, 1.5)
        beat = np.exp(-0.5 * ((((time + phase) % 0.8) - 0.4) / 0.02) ** 2)
        waves[name] = height * beat + 0.1 * np.sin(2 * np.pi * rng.uniform(1, 8) * time)
    one, two = waves["I"], waves["II"]
    waves |= {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return np.stack([waves[name] for name in leads])


def extract(ecg, sampling_rate=100, leads=STANDARD_LEADS, units="mV", **fields):
    features = MeritFeatureExtractor(**fields)(ecg, sampling_rate, leads, units)
    assert features["ecg_values"].dtype == np.float32
    assert features["lead_mask"].dtype == features["sample_mask"].dtype == bool
    assert np.isfinite(features["ecg_values"]).all()
    return features


def error(*args, **kwargs):
    with pytest.raises(EcgError) as caught:
        extract(*args, **kwargs)
    return str(caught.value)


def assert_same(one, other, atol=2e-4):
    for name in ("lead_mask", "sample_mask"):
        np.testing.assert_array_equal(one[name], other[name])
    np.testing.assert_allclose(one["ecg_values"], other["ecg_values"], rtol=0, atol=atol)


# Output


def test_the_output_is_millivolts_with_masks():
    features = extract(synthetic_ecg())
    assert features["ecg_values"].shape == (1, 12, 1000)
    assert features["lead_mask"].all()
    assert features["sample_mask"].all()
    assert 0.3 < features["ecg_values"].max() < 2


def test_torch_tensors_are_returned_on_request():
    features = MeritFeatureExtractor()(synthetic_ecg(), 100, STANDARD_LEADS, "mV", return_tensors="pt")
    assert features["ecg_values"].dtype == torch.float32
    assert features["lead_mask"].dtype == torch.bool


def test_missing_leads_are_zero_and_masked():
    features = extract(synthetic_ecg(("V3",)), leads=["V3"])
    assert features["lead_mask"][0].tolist() == [name == "V3" for name in STANDARD_LEADS]
    assert not features["ecg_values"][~features["lead_mask"]].any()


@pytest.mark.parametrize("given_leads", [(a, b) for a in LIMB for b in LIMB if a < b])
def test_any_two_limb_leads_give_all_six(given_leads):
    complete, derived = extract(synthetic_ecg()), extract(synthetic_ecg(given_leads), leads=given_leads)
    assert derived["lead_mask"][0].tolist() == [True] * 6 + [False] * 6
    np.testing.assert_allclose(derived["ecg_values"][0, :6], complete["ecg_values"][0, :6], atol=1e-4)


def test_limb_leads_are_not_derived_if_disabled():
    assert extract(synthetic_ecg(("I", "II")), leads=["I", "II"], derive_limb_leads=False)["lead_mask"].sum() == 2


def test_the_leads_of_the_output_can_be_chosen():
    features = extract(synthetic_ecg(("II", "I", "V2")), leads=["II", "I", "V2"], lead_names=["V2", "aVF"])
    complete = extract(synthetic_ecg())
    np.testing.assert_allclose(features["ecg_values"][0], complete["ecg_values"][0, [7, 5]], atol=1e-4)


def test_shorter_recordings_of_a_batch_are_padded_and_masked():
    features = extract([synthetic_ecg(samples=400), synthetic_ecg(rate=500, samples=3000)], sampling_rate=[100, 500])
    assert features["ecg_values"].shape == (2, 12, 600)
    assert features["sample_mask"].sum(axis=1).tolist() == [400, 600]
    assert not features["ecg_values"][0, :, 400:].any()


def test_max_length_pads_to_the_window():
    call = MeritFeatureExtractor()
    assert (
        call(synthetic_ecg(samples=400), 100, STANDARD_LEADS, "mV", padding="max_length")["ecg_values"].shape[2] == 1000
    )
    with pytest.raises(ValueError, match="padding='other'"):
        call(synthetic_ecg(), 100, STANDARD_LEADS, "mV", padding="other")


def test_long_recordings_are_cropped_to_their_centre():
    ecg = synthetic_ecg(samples=3000)
    assert_same(extract(ecg), extract(ecg[:, 1000:2000]), atol=0)


def test_long_recordings_are_cut_into_windows_with_the_last_aligned_to_the_end():
    ecg = synthetic_ecg(samples=2500)
    features = extract([ecg, ecg[:, :600]], long_recordings="window")
    assert features["record_index"].tolist() == [0, 0, 0, 1]
    assert features["record_index"].dtype == np.int64
    assert_same(
        {name: features[name][:3] for name in features},
        extract([ecg[:, :1000], ecg[:, 1000:2000], ecg[:, 1500:]]),
        atol=0,
    )
    assert extract(ecg, long_recordings="window", window_stride=5.0)["record_index"].tolist() == [0, 0, 0, 0]
    assert extract(ecg[:, :2000], long_recordings="window")["ecg_values"].shape[0] == 2


def test_a_window_without_leads_is_left_out():
    ecg = synthetic_ecg(samples=3000)
    ecg[:, 900:2100] = np.nan
    with pytest.warns(UserWarning, match="no valid sample from 10.00 s to 20.00 s"):
        assert extract(ecg, long_recordings="window", max_gap=2)["sample_mask"].shape == (2, 1000)


def test_long_recordings_are_kept_up_to_a_limit():
    assert extract(synthetic_ecg(samples=2500), long_recordings="keep")["ecg_values"].shape == (1, 12, 2500)
    assert "60.01 s is longer than max_duration=60 s" in error(synthetic_ecg(samples=6001), long_recordings="keep")


def test_normalization_brings_leads_to_unit_variance():
    values = extract(synthetic_ecg(), normalization="zscore")["ecg_values"]
    np.testing.assert_allclose(values.std(axis=-1), 1, atol=1e-3)
    np.testing.assert_allclose(values.mean(axis=-1), 0, atol=1e-3)


def test_values_are_clipped_unless_disabled():
    ecg = synthetic_ecg() * 20
    assert extract(ecg)["ecg_values"].max() == 10
    assert extract(ecg, clip=None)["ecg_values"].max() > 10


def test_without_band_pass_and_resampling_the_signal_is_unchanged():
    ecg = synthetic_ecg() + 3
    np.testing.assert_allclose(extract(ecg, bandpass=None)["ecg_values"][0], ecg, atol=1e-5)


@pytest.mark.parametrize("rate", [50, 125, 250, 257, 360, 500, 977, 1000, 2000, 333.33])
def test_resampling_keeps_the_waveform_in_its_place(rate):
    time, target = np.arange(round(10 * rate)) / rate, np.arange(1000) / 100

    def wave(t):
        return np.sin(2 * np.pi * 3 * t) + 0.3 * np.cos(2 * np.pi * 11.3 * t)

    values = extract(wave(time)[None], rate, ["II"], bandpass=None)["ecg_values"][0, 1]
    np.testing.assert_allclose(values[100:900], wave(target)[100:900], atol=0.01)


@pytest.mark.parametrize("frequency", [49.7, 51, 70, 140])
def test_frequencies_above_the_nyquist_frequency_are_removed(frequency):
    tone = np.sin(2 * np.pi * frequency * np.arange(5000) / 500)[None]
    assert np.abs(extract(tone, 500, ["II"], bandpass=None)["ecg_values"][..., 50:-50]).max() < 0.01


@pytest.mark.parametrize("folder", ["records100/00000", "records500/00000"])
def test_real_recordings_agree_with_scipy_step_by_step(folder):
    # sosfiltfilt of the signal mirrored at its ends is the same filter; its default padding differs near the ends.
    if not (PTBXL / folder).is_dir():
        pytest.skip(f"PTBXL_ROOT does not hold {folder}")
    recordings = [read_wfdb(header) for header in sorted((PTBXL / folder).glob("*.hea"))[:50]]
    ours = MeritFeatureExtractor(clip=None)(recordings)["ecg_values"]
    factor = round(recordings[0].sampling_rate / 100)
    plain = np.stack([scipy.signal.resample_poly(r.physical(), 1, factor, axis=-1) for r in recordings])
    sections = scipy.signal.butter(2, (0.5, 40), "bandpass", fs=100, output="sos")
    mirrored = scipy.signal.sosfiltfilt(sections, plain, padtype="even", padlen=400)
    default = scipy.signal.sosfiltfilt(sections, plain)
    assert np.abs(ours - mirrored)[..., 100:-100].max() < 0.005
    assert np.abs(ours - default)[..., 300:-300].max() < 0.02
    assert np.quantile(np.abs(ours - default), 0.5) < 0.0005


@pytest.mark.parametrize("name", ["cpsc2018", "chapman_shaoxing_ningbo"])
def test_recordings_of_other_data_sets_are_accepted(name):
    headers = sorted((EXTERNAL / name).glob("*.hea"))
    if not headers:
        pytest.skip(f"no sample records in {EXTERNAL / name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        features = MeritFeatureExtractor()([str(header) for header in headers])
    assert features["ecg_values"].shape == (len(headers), 12, 1000)
    assert features["lead_mask"].mean() > 0.95
    assert np.isfinite(features["ecg_values"]).all()


# The same recording in different forms


def test_every_form_of_input_gives_the_same_output(tmp_path):
    digital = np.round(synthetic_ecg(samples=500) * 1000).astype(np.int16)
    digital[3, 100:110] = -32768
    ecg = np.where(digital == -32768, np.nan, digital / 1000)
    names, twelve = list(STANDARD_LEADS), [1000.0] * 12
    wfdb.wrsamp(
        "rec",
        100,
        ["mV"] * 12,
        names,
        d_signal=digital.T.astype(int),
        fmt=["16"] * 12,
        adc_gain=twelve,
        baseline=[0] * 12,
        write_dir=str(tmp_path),
    )
    table = "\n".join(",".join("" if np.isnan(v) else f"{v}" for v in column) for column in ecg.T)
    (tmp_path / "ecg.csv").write_text(f"{','.join(names)}\n{table}\n")
    described = {"sampling_rate": 100, "lead_names": names}
    row = {"signal": digital.ravel(), "gain": twelve, "baseline": [0] * 12, "units": ["mV"] * 12, **described}
    rows = datasets.Dataset.from_list([row])
    extractor = MeritFeatureExtractor()
    expected = extractor(ecg, 100, names, "mV")
    for other in (
        extractor(str(tmp_path / "rec")),
        extractor(tmp_path / "rec.hea", sampling_rate=100, leads=names, units="mV"),
        extractor(tmp_path / "ecg.csv", 100, units="mV"),
        extractor(torch.from_numpy(ecg), 100, names, "mV"),
        extractor(ecg[None], 100, names, "mV"),
        extractor([ecg], [100], [names], ["mV"]),
        extractor(ecg, 100, names, ["mV"] * 12),
        extractor(ecg.astype(np.float32), np.float32(100), names, "mV"),
        extractor(Recording("r", ecg, 100.0, STANDARD_LEADS, ("mV",) * 12)),
        extractor({"signal": digital, "gain": 1000, "baseline": 0, **described}),
        extractor({"signal": digital.ravel().tolist(), "gain": twelve, "units": "mV", **described}),
        extractor(
            [
                {
                    "signal": digital + (digital > -9999) * np.int16(7),
                    "gain": 1,
                    "baseline": [7] * 12,
                    "units": "uV",
                    **described,
                }
            ]
        ),
        extractor({"signal": ecg.tolist(), "units": "mV", "report": "normal", **described}),
        extractor({"signal": ecg}, 100, names, "mV"),
        *[extractor([*rows.with_format(format)]) for format in (None, "numpy", "torch")],
    ):
        assert_same(expected, other, atol=1e-5)
    assert extractor(torch.from_numpy(ecg).bfloat16(), 100, names, "mV")["lead_mask"].all()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A WFDB record, and its features."""
    folder = tmp_path_factory.mktemp("stored")
    digital = np.round(synthetic_ecg() * 1000).astype(np.int64)
    digital[3, 100:110] = -32768
    wfdb.wrsamp(
        "rec",
        100,
        ["mV"] * 12,
        list(STANDARD_LEADS),
        d_signal=digital.T,
        fmt=["16"] * 12,
        adc_gain=[1000.0] * 12,
        baseline=[0] * 12,
        write_dir=str(folder),
    )
    return folder / "rec", extract(str(folder / "rec"), None, None, None)


CONTAINERS = {
    "a data frame": lambda path, ecg: (pd.DataFrame(ecg.T, columns=STANDARD_LEADS), 100, None, "mV"),
    "a data frame without lead names": lambda path, ecg: (pd.DataFrame(ecg.T), 100, STANDARD_LEADS, "mV"),
    "a wfdb.Record": lambda path, ecg: (wfdb.rdrecord(str(path)), None, None, None),
    "a digital wfdb.Record": lambda path, ecg: (wfdb.rdrecord(str(path), physical=False), None, None, None),
    "the pair of wfdb.rdsamp": lambda path, ecg: (wfdb.rdsamp(str(path)), None, None, None),
    "a list of a pair": lambda path, ecg: ([wfdb.rdsamp(str(path))], None, None, None),
    "lists of numbers": lambda path, ecg: (ecg.tolist(), 100, STANDARD_LEADS, "mV"),
    "a list of arrays of one lead": lambda path, ecg: ([*ecg], 100, STANDARD_LEADS, "mV"),
    "a list of tensors of one lead": lambda path, ecg: ([*torch.from_numpy(ecg)], 100, STANDARD_LEADS, "mV"),
    "a list of lists of lists": lambda path, ecg: ([ecg.tolist()], 100, STANDARD_LEADS, "mV"),
    "an array of paths": lambda path, ecg: (np.array([str(path)]), None, None, None),
    "an array of path objects": lambda path, ecg: (np.array([path], object), None, None, None),
    "a column of paths": lambda path, ecg: (pd.Series([str(path)]), None, None, None),
    "a mapping with leads": lambda path, ecg: (
        {"signal": ecg, "sampling_rate": 100, "leads": STANDARD_LEADS, "units": "mV"},
        None,
        None,
        None,
    ),
    "an index of leads": lambda path, ecg: (ecg, 100, pd.Index(STANDARD_LEADS), "mV"),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_of_other_libraries_are_accepted(container, stored):
    path, expected = stored
    ecg = read_wfdb(path).physical()
    assert_same(extract(*CONTAINERS[container](path, ecg)), expected, atol=1e-5)


def test_a_file_of_numpy_is_accepted_with_its_description(stored, tmp_path):
    path, expected = stored
    np.save(tmp_path / "ecg.npy", read_wfdb(path).physical())
    assert_same(extract(tmp_path / "ecg.npy"), expected, atol=1e-5)
    assert "ecg: sampling_rate unknown; pass sampling_rate=" in error(tmp_path / "ecg.npy", None)
    (tmp_path / "other.npy").write_bytes((tmp_path / "ecg.npy").read_bytes()[:500])
    assert "other.npy cannot be read as an array" in error(tmp_path / "other.npy")
    np.save(tmp_path / "object.npy", np.array([{}], object), allow_pickle=True)
    assert "object.npy cannot be read as an array" in error(tmp_path / "object.npy")


@pytest.mark.parametrize(
    ("ecg", "message"),
    [
        (
            pd.DataFrame(np.zeros((500, 2)), columns=["time", "II"]),
            "channel 0, 'time', is not a standard lead; name it with leads=, remove it",
        ),
        (
            {"I": [0.0] * 500, "II": [0.0] * 500},
            "the mapping has no 'signal', only I, II; pass 'signal', 'sampling_rate', 'lead_names' and 'units'",
        ),
        (
            wfdb.Record(record_name="r", n_sig=1, fs=100, sig_name=["I"]),
            "r: the wfdb record holds no signal; pass its path",
        ),
        (
            wfdb.Record(
                record_name="r", fs=100, sig_name=["I"], p_signal=np.zeros((500, 1)), units=["mV"], samps_per_frame=[4]
            ),
            "r: it has several samples per frame, which wfdb averages or separates; pass its path",
        ),
        ((x for x in "ab"), "is not a recording; pass a path"),
        ({"a", "b"}, "is not a recording; pass a path"),
        (b"rec", "b'rec' is not a recording; pass a path"),
    ],
)
def test_other_containers_get_an_error_that_says_what_to_pass(ecg, message):
    assert message in error(ecg, leads=None)


def test_gain_and_baseline_are_applied_per_lead():
    ecg = synthetic_ecg(("II", "V1", "V2"), samples=500)
    gain, baseline = np.array([500, 1, 1000, 200]), np.array([3, 0, -2000, 1024])
    digital = np.round(ecg * gain[[0, 2, 3], None] + baseline[[0, 2, 3], None]).astype(np.int16)
    row = {
        "signal": np.insert(digital, 1, 5, axis=0),
        "gain": gain,
        "baseline": baseline,
        "sampling_rate": 100,
        "lead_names": ["II", "RESP", "V1", "V2"],
    }
    values = MeritFeatureExtractor(bandpass=None, ignore_unknown_leads=True)(row)["ecg_values"]
    np.testing.assert_allclose(values[0, [1, 6, 7]], ecg, atol=0.003)


def test_min_duration_is_rounded_down_to_whole_samples():
    assert extract(synthetic_ecg(rate=333.3, samples=833), 333.3)["sample_mask"].sum() == 250
    assert "832 samples" in error(synthetic_ecg(rate=333.3, samples=832), 333.3)


def test_a_bad_lead_is_zero_even_with_a_baseline_other_than_zero():
    digital = np.round(synthetic_ecg(("V1", "V2")) * 1000).astype(np.int16)
    digital[1] = 900
    row = {"signal": digital, "gain": 1000, "baseline": 500, "sampling_rate": 100, "lead_names": ["V1", "V2"]}
    with pytest.warns(UserWarning, match="lead V2 is flat at 0.4 mV"):
        assert not MeritFeatureExtractor(bandpass=None)(row)["ecg_values"][0, 7].any()


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        *[(spelling, "aVR") for spelling in ("AVR", "aVR", "avr", "a V R", "ECG aVR", "MDC_ECG_LEAD_aVR")],
        *[(spelling, "I") for spelling in ("i", "Lead I", "lead 1", "DI", "D1", "MLI", "ECG I", "EKG-I", " I ")],
        *[(spelling, "II") for spelling in ("MLII", "Lead II", "L2", "ml2")],
        *[(spelling, "V1") for spelling in ("V 1", "v1", "C1", "ECG_V1", "Lead: V1")],
        *[
            (spelling, None)
            for spelling in ("1", "-aVR", "V7", "V1-V2", "I-II", "I I", "IIII", "RESP", "", "MCL1", "V")
        ],
    ],
)
def test_usual_spellings_of_leads_are_recognised(name, lead):
    assert standard_lead(name) == lead


SPELLINGS = {
    "I": ["I", "i", "Lead I", "DI", "MLI"],
    "II": ["II", "ii", "ECG II", "D2"],
    "III": ["III", "L3"],
    "aVR": ["aVR", "AVR", "avr"],
    "aVL": ["aVL", "AVL"],
    "aVF": ["aVF", "a V F"],
    **{f"V{i}": [f"V{i}", f"v {i}", f"C{i}"] for i in range(1, 7)},
}
UNITS = {"mV": 1.0, "uV": 1e3, "µV": 1e3, "V": 1e-3, "nV": 1e6}


@st.composite
def descriptions(draw):
    """A random signal, two random descriptions of it, and random fields of the extractor."""
    rate = draw(st.one_of(st.integers(50, 2000), st.floats(50, 2000)))
    leads = draw(st.lists(st.sampled_from(STANDARD_LEADS), min_size=1, unique=True))
    samples = math.ceil(rate * draw(st.one_of(st.floats(2.5, 25), st.floats(2.5, 25), st.floats(0.01, 2.5))))
    ecg = synthetic_ecg(leads, rate, samples, draw(st.integers(0, 99))) * draw(
        st.sampled_from([1, 1, 1, 0, 0.01, 30, 3000])
    )
    ecg += draw(st.sampled_from([0.0, 0.0, -5.0, 300.0]))
    for _ in range(draw(st.integers(0, 3))):
        lead, start = draw(st.integers(0, len(leads) - 1)), draw(st.integers(0, samples - 1))
        ecg[lead, start : start + draw(st.integers(1, max(1, int(rate))))] = np.nan
    if draw(st.integers(0, 9)) == 0:
        ecg[0, draw(st.integers(0, samples - 1))] = draw(st.sampled_from([np.inf, -np.inf, 1e300]))

    def describe():
        order = draw(st.permutations(range(len(leads))))
        unit = draw(st.sampled_from(sorted(UNITS)))
        names = [draw(st.sampled_from(SPELLINGS[leads[i]])) for i in order]
        with np.errstate(over="ignore"):
            signal = ecg[list(order)] * UNITS[unit]
        container = draw(st.sampled_from(["array", "tensor", "row", "recording", "batch"]))
        if container == "row":
            return ({"signal": signal, "sampling_rate": rate, "lead_names": names, "units": unit},)
        if container == "recording":
            return (Recording("x", signal, rate, tuple(names), (unit,) * len(names)),)
        signal = {"tensor": torch.from_numpy, "batch": lambda x: x[None]}.get(container, lambda x: x)(signal)
        return signal, rate, names, unit

    fields = {
        "long_recordings": draw(st.sampled_from(["crop", "window", "keep"])),
        "bandpass": draw(st.sampled_from([None, (0.5, 40.0)])),
        "derive_limb_leads": draw(st.booleans()),
        "on_bad_lead": draw(st.sampled_from(["drop", "drop", "error"])),
        "max_gap": draw(st.sampled_from([0.0, 0.2])),
    }
    return describe(), describe(), fields


def outcome(description, extractor):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return extractor(*description)
        except EcgError:
            return None


@pytest.mark.slow
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(descriptions())
def test_two_descriptions_of_a_signal_give_the_same_finite_output_or_both_an_error(case):
    one, other, fields = case
    extractor = MeritFeatureExtractor(**fields)
    first, second = outcome(one, extractor), outcome(other, extractor)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert np.isfinite(first["ecg_values"]).all()
        assert not first["ecg_values"][~first["lead_mask"]].any()
        assert not (first["ecg_values"] * ~first["sample_mask"][:, None]).any()
        assert first["lead_mask"].any(axis=1).all()
        assert_same(first, second, atol=1e-3)


# Gaps and bad leads


def test_short_gaps_are_interpolated_linearly():
    ecg = synthetic_ecg(("II",))
    ecg[0, 500:521] = np.nan
    ecg[0, :5] = np.nan
    values = extract(ecg, leads=["II"], bandpass=None, max_gap=0.21)["ecg_values"][0, 1]
    np.testing.assert_allclose(values[499:522], np.linspace(ecg[0, 499], ecg[0, 521], 23), atol=1e-5)
    np.testing.assert_allclose(values[:6], ecg[0, 5], atol=1e-5)


def test_a_lead_with_a_long_gap_is_left_out_with_a_warning():
    ecg = synthetic_ecg()
    ecg[8, 500:521] = np.nan
    with pytest.warns(UserWarning, match="recording 0: lead V3 has no valid sample from 5.00 s to 5.21 s; left out"):
        features = extract(ecg)
    assert features["lead_mask"][0].tolist() == [name != "V3" for name in STANDARD_LEADS]


def test_a_flat_lead_is_left_out_with_a_warning():
    ecg = synthetic_ecg()
    ecg[8] = 0.25
    with pytest.warns(UserWarning, match="lead V3 is flat at 0.25 mV; left out"):
        assert not extract(ecg)["lead_mask"][0, 8]


@pytest.mark.parametrize("form", ["array", "digital row", "list of leads", "batch", "recording"])
def test_masked_samples_are_invalid_whatever_their_fill_value(form):
    digital = np.round(synthetic_ecg() * 1000).astype(np.int32)
    mask = np.zeros(digital.shape, bool)
    mask[1, 300:310] = mask[7, 200:] = True
    invalid = np.where(mask, np.nan, digital / 1000)
    masked = np.ma.array(np.where(mask, 999_999, digital), mask=mask)
    row = {"sampling_rate": 100, "lead_names": STANDARD_LEADS}
    ecg = {
        "array": masked / 1000,
        "digital row": row | {"signal": masked, "gain": 1000, "baseline": 0},
        "list of leads": row | {"signal": [*(masked / 1000)], "units": "mV"},
        "batch": (masked / 1000)[None],
        "recording": Recording("r", masked / 1000, 100.0, STANDARD_LEADS, ("mV",) * 12),
    }[form]
    with pytest.warns(UserWarning, match="lead V2 has no valid sample from 2.00 s to 10.00 s"):
        found, expected = extract(ecg), extract(invalid)
    assert_same(found, expected, atol=1e-6)


# Padding


@pytest.mark.parametrize("value", [0.0, -1.25, np.nan])
@pytest.mark.parametrize(("head", "tail"), [(200, 0), (0, 321), (21, 21), (150, 250)])
def test_constant_ends_are_padding_and_left_out_with_one_warning(value, head, tail):
    middle = synthetic_ecg(samples=600) + 0.5
    padded = np.concatenate([np.full((12, head), value), middle, np.full((12, tail), value)], axis=1)
    with pytest.warns(UserWarning, match="all leads are constant") as caught:
        features = extract(padded)
    assert len(caught) == 1
    where = [f"before {head / 100:.2f} s"] * (head > 0) + [f"after {head / 100 + 6:.2f} s"] * (tail > 0)
    assert f"recording 0: all leads are constant {' and '.join(where)};" in str(caught[0].message)
    assert_same(features, extract(middle), atol=0)


def test_padding_may_have_another_constant_on_each_lead_or_none():
    middle = synthetic_ecg(samples=600) + 0.5
    head = np.arange(12.0)[:, None].repeat(100, axis=1)
    head[4], head[5, :50] = np.nan, np.nan
    with pytest.warns(UserWarning, match="constant before 1.00 s;"):
        assert_same(extract(np.concatenate([head, middle], axis=1)), extract(middle), atol=0)


def test_padding_of_digital_samples_is_found():
    digital = np.round(synthetic_ecg(samples=600) * 1000).astype(np.int16)
    padded = np.pad(digital, ((0, 0), (0, 400)), constant_values=-32768)
    padded[:, 600:700] = 17
    row = {"gain": 1000, "baseline": 17, "sampling_rate": 100, "lead_names": STANDARD_LEADS}
    with pytest.warns(UserWarning, match="constant after 6.00 s;"):
        assert_same(extract(row | {"signal": padded}), extract(row | {"signal": digital}), atol=0)


def test_windows_are_cut_from_the_recording_without_padding():
    middle = synthetic_ecg(samples=2500) + 0.5
    padded = np.pad(middle, ((0, 0), (1200, 300)))
    for choice in ("crop", "window", "keep"):
        with pytest.warns(UserWarning, match="constant before 12.00 s and after 37.00 s"):
            features = extract(padded, long_recordings=choice)
        assert_same(features, extract(middle, long_recordings=choice), atol=0)


def test_short_constant_ends_and_constant_stretches_in_the_middle_are_signal():
    ecg = synthetic_ecg()
    ecg[:, :20] = ecg[:, 500:600] = ecg[:, 980:] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert extract(ecg)["sample_mask"].sum() == 1000


def test_one_lead_that_is_not_constant_is_signal():
    ecg = synthetic_ecg()
    ecg[:11, :100] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert extract(ecg)["sample_mask"].sum() == 1000


@pytest.mark.filterwarnings("ignore:.*all leads are constant")
def test_a_recording_that_is_too_short_without_its_padding_is_refused():
    ecg = synthetic_ecg()
    ecg[:, 240:] = 0
    message = "recording 0: 2.40 s (240 samples at 100 Hz) without its constant ends is too short; at least 2.5 s"
    assert message in error(ecg)


def test_a_bad_limb_lead_is_derived_from_the_others():
    ecg = synthetic_ecg()
    expected = extract(ecg)
    ecg[[0, 4]] = 0
    with pytest.warns(UserWarning, match="lead I is flat at 0 mV; lead aVL is flat at 0 mV; left out"):
        assert_same(extract(ecg), expected)


def test_a_bad_lead_of_one_recording_does_not_affect_the_others():
    good, bad = synthetic_ecg(LIMB[:3]), synthetic_ecg(LIMB[:3])
    bad[1:] = 0
    with pytest.warns(UserWarning, match="recording 1"):
        features = extract([good, bad], leads=LIMB[:3])
    assert features["lead_mask"].sum(axis=1).tolist() == [6, 1]
    np.testing.assert_array_equal(features["ecg_values"][0], extract(good, leads=LIMB[:3])["ecg_values"][0])


def test_bad_leads_are_an_error_on_request():
    ecg = synthetic_ecg()
    ecg[8] = 0
    assert "lead V3 is flat at 0 mV; correct it" in error(ecg, on_bad_lead="error")


# Errors


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_recording_without_any_signal_is_refused(value):
    assert "recording 0: no lead can be used: lead I" in error(np.full((12, 1000), value))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_named(value):
    ecg = synthetic_ecg(samples=3000)
    ecg[2, 1234], ecg[2, 1240] = value, np.nan
    assert f"recording 0: lead III has the value {value} at sample 1234" in error(ecg)


def test_impossible_voltages_are_named():
    assert "recording 0: lead II reaches 1392.24 mV, which no ECG does; check its units" in error(
        synthetic_ecg(), units="V"
    )


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"sampling_rate": None}, "recording 0: sampling_rate unknown; pass sampling_rate="),
        ({"leads": None}, "recording 0: leads unknown; pass leads="),
        ({"units": None}, "recording 0: units unknown; pass units="),
    ],
)
def test_a_missing_description_of_an_array_is_named(missing, message):
    assert message in error(synthetic_ecg(), **missing)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"leads": ["I", "I"]}, "lead I occurs twice in I, I"),
        ({"leads": ["I", "Lead I"]}, "lead I occurs twice in I, Lead I"),
        ({"leads": ["I", "RESP"]}, "channel 1, 'RESP', is not a standard lead"),
        ({"leads": ["I", ""]}, "channel 1 has no name"),
        ({"leads": ["I"]}, "1 lead names for a signal of shape (2, 500)"),
        ({"leads": "II"}, "leads='II' is a string"),
        ({"units": "mmHg"}, "lead I has the units 'mmHg', not one of mV, uV, nV, V"),
        ({"units": ["mV"]}, "1 units for 2 leads"),
        ({"sampling_rate": 0}, "sampling rate of 0 Hz is not in the range 50 to 2000 Hz"),
        ({"sampling_rate": 49.9}, "sampling rate of 49.9 Hz is not in the range"),
        ({"sampling_rate": 2001}, "sampling rate of 2001 Hz is not in the range"),
        ({"sampling_rate": float("nan")}, "sampling_rate=nan is not a number"),
        ({"sampling_rate": "fast"}, "sampling_rate='fast' is not a number"),
        ({"sampling_rate": [100, 100]}, "sampling_rate=[100, 100] is not a number"),
        ({"sampling_rate": 250}, "2.00 s (500 samples at 250 Hz) is too short; at least 2.5 s are needed"),
        (
            {"lead_names": ["V1"], "derive_limb_leads": False},
            "none of its leads, I, II, is among the leads in use: V1",
        ),
        ({"lead_names": ["V1"]}, "no lead can be used: it has none of the leads V1"),
    ],
)
def test_a_wrong_description_is_named(kwargs, message):
    found = error(synthetic_ecg(("I", "II"), samples=500), **{"leads": ["I", "II"], **kwargs})
    assert message in found
    assert found.startswith("recording 0: ")


@pytest.mark.parametrize(
    ("ecg", "message"),
    [
        (np.zeros((500, 2)), "2 lead names for a signal of shape (500, 2); its axes are swapped, transpose it"),
        (np.zeros(500), "an array of shape (500,) is not a recording"),
        (np.zeros((2, 500), complex), "its signal has the type complex128"),
        (np.zeros((2, 500), "U3"), "its signal has the type <U3"),
        (None, "None is not a recording"),
        (3.5, "3.5 is not a recording"),
        ({"lead_names": ["I"]}, "the mapping has no 'signal', only lead_names"),
        ({"signal": [[1, 2], [3]]}, "its signal has the type object"),
        ({"signal": np.zeros(501)}, "a signal of shape (501,) is not (leads, samples)"),
        ({"signal": np.zeros((2, 500)), "gain": 1}, "gain= is for digital samples"),
        (
            {"signal": np.zeros((2, 500), int), "gain": [1, 2, 3]},
            "gain must be one number, or one for each of the 2 leads",
        ),
        ({"signal": np.zeros((2, 500), int), "gain": [1, 0]}, "lead II has the gain 0"),
        ({"signal": np.zeros((2, 500)), "record_id": "p7", "lead_names": ["I"]}, "p7: 1 lead names"),
    ],
)
def test_invalid_input_is_named(ecg, message):
    assert message in error(ecg, leads=["I", "II"])


def test_an_empty_list_is_refused():
    assert "ecg is empty" in error([])


def test_lists_of_different_lengths_are_refused():
    assert "leads has 1 entries for 2 recordings" in error([synthetic_ecg()] * 2, leads=[STANDARD_LEADS])


def test_unknown_leads_can_be_ignored():
    ecg = synthetic_ecg(("I", "II", "V1"))
    features = extract(ecg, leads=["I", "RESP", "V1"], ignore_unknown_leads=True)
    assert features["lead_mask"].sum() == 2


def test_an_argument_that_contradicts_the_record_is_refused():
    recording = Recording("r", synthetic_ecg(("I", "II")), 100.0, ("I", "II"), ("mV", "mV"))
    assert "r: sampling_rate=500 was passed, but the record says 100 Hz" in error(recording, 500, None, None)
    assert "r: leads= names 'II' where the record says 'I'" in error(recording, None, ["II", "I"], None)
    assert "r: units='uV' was passed, but its lead I is in 'mV'" in error(recording, None, None, "uV")
    assert extract(recording, 100.0, ["lead i", "D2"], "mv")["lead_mask"].sum() == 6


def test_an_argument_can_name_leads_without_a_name():
    recording = Recording("r", synthetic_ecg(("I", "II")), 100.0, ("", "ch2"), ("mV", "mV"))
    assert_same(extract(recording, None, ["I", "II"], None), extract(recording.signal, leads=["I", "II"]))


def test_a_recording_without_a_unit_for_each_lead_is_refused():
    recording = Recording("r", synthetic_ecg(("I", "II")), 100.0, ("I", "II"), ("mV",))
    assert "r: 1 units for 2 leads" in error(recording, None, None, None)


# Configuration


def test_every_field_survives_saving(tmp_path):
    fields = {
        "sampling_rate": 250,
        "lead_names": ["II", "V1"],
        "duration": 5.0,
        "long_recordings": "window",
        "window_stride": 2.5,
        "min_duration": 1.0,
        "max_duration": 30.0,
        "sampling_rate_range": [100, 1000],
        "bandpass": [0.67, 100.0],
        "bandpass_order": 3,
        "derive_limb_leads": False,
        "max_gap": 0.1,
        "on_bad_lead": "error",
        "ignore_unknown_leads": True,
        "max_amplitude": 50.0,
        "clip": None,
        "normalization": "zscore",
    }
    defaults = MeritFeatureExtractor().to_dict()
    assert fields.keys() == defaults.keys() - {"feature_extractor_type"}
    assert all(fields[name] != defaults[name] for name in fields)
    MeritFeatureExtractor(**fields).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "preprocessor_config.json").read_text()).items() >= fields.items()
    loaded = MeritFeatureExtractor.from_pretrained(tmp_path)
    loaded_fields = {name: value for name, value in loaded.to_dict().items() if name != "auto_map"}
    assert loaded_fields == MeritFeatureExtractor(**fields).to_dict()
    assert MeritFeatureExtractor.from_pretrained(tmp_path, clip=3.0).clip == 3.0


@pytest.mark.parametrize(
    "fields",
    [
        {"sampling_rate": 0},
        {"sampling_rate": "100"},
        {"lead_names": []},
        {"lead_names": ["I", "I"]},
        {"lead_names": ["V7"]},
        {"duration": 2.0},
        {"duration": 61.0},
        {"long_recordings": "cut"},
        {"window_stride": 0},
        {"min_duration": -1},
        {"max_duration": float("inf")},
        {"sampling_rate_range": [100]},
        {"sampling_rate_range": [200, 100]},
        {"bandpass": [0.5]},
        {"bandpass": [40.0, 0.5]},
        {"bandpass": [0.5, 50.0]},
        {"bandpass_order": 0},
        {"derive_limb_leads": "yes"},
        {"max_gap": -0.1},
        {"on_bad_lead": "ignore"},
        {"ignore_unknown_leads": 1},
        {"max_amplitude": None},
        {"clip": True},
        {"normalization": "minmax"},
    ],
)
def test_an_invalid_value_of_a_field_is_refused(fields):
    (name,) = fields
    with pytest.raises(ValueError, match=f"{name}=.* is not "):
        MeritFeatureExtractor(**fields)


def test_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="MeritFeatureExtractor has no field highpass"):
        MeritFeatureExtractor(highpass=0.5)
