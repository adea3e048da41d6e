"""The simulated recordings measure what their parameters say, and the tree they are written to is PTB-XL's."""

import ast
import hashlib
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import wfdb
from scipy.signal import find_peaks, resample_poly

from merit.training.simulation.heart import (
    LEAD_NAMES,
    STATEMENTS,
    EcgParameters,
    SimulatedEcg,
    compatible,
    sample_parameters,
    simulate_ecg,
)
from merit.training.simulation.ptbxl_tree import write_simulated_ptbxl
from merit.training.simulation.reports import write_report

SEEDS = range(12)


def draw(seed: int, *statements: str, **changes) -> EcgParameters:
    return replace(sample_parameters(np.random.default_rng(seed), statements), **changes)


def beat_quietly(parameters: EcgParameters, sampling_rate: float = 1000, duration: float = 10) -> SimulatedEcg:
    """Without noise."""
    quiet = replace(parameters, wander=0.0, muscle=0.0, mains=0.0)
    return simulate_ecg(quiet, duration, sampling_rate, rng=np.random.default_rng(0))


def without_repolarisation(parameters: EcgParameters) -> EcgParameters:
    return replace(parameters, st_t_waves=parameters.st_t_waves * [1, 1, 1, 1, 0, 0, 0])


def lead(ecg: SimulatedEcg, name: str) -> np.ndarray:
    return ecg.signal[LEAD_NAMES.index(name)]


def whole_beats(ecg: SimulatedEcg, kind: str = "conducted") -> list:
    return [beat for beat in ecg.beats if beat.kind == kind and 0.4 < beat.qrs_onset < 9]


def qrs_of(ecg: SimulatedEcg, beat) -> np.ndarray:
    """Twelve leads from onset to end of QRS, at 1000 Hz, from their level before it."""
    first, last = round(1000 * beat.qrs_onset), round(1000 * beat.qrs_offset)
    return ecg.signal[:, first:last] - ecg.signal[:, first - 5 : first - 4]


def typical_qrs(*statements: str, seed: int) -> dict[str, np.ndarray]:
    ecg = beat_quietly(draw(seed, *statements))
    return dict(zip(LEAD_NAMES, qrs_of(ecg, whole_beats(ecg)[0])))


def value_after(ecg: SimulatedEcg, beat, name: str, seconds: float) -> float:
    """Potential so long after the end of QRS, from the level before P or QRS."""
    before = beat.qrs_onset - 0.01
    return float(lead(ecg, name)[round(1000 * (beat.qrs_offset + seconds))] - lead(ecg, name)[round(1000 * before)])


# Leads


def test_einthoven_and_goldberger_hold_with_the_noise():
    ecg = simulate_ecg(draw(0, "AFIB", "CRBBB"), 10, 500, rng=np.random.default_rng(0))
    one, two, three, avr, avl, avf = ecg.signal[:6]
    for left, right in (
        (one + three, two),
        (avr, -(one + two) / 2),
        (avl, (one - three) / 2),
        (avf, (two + three) / 2),
        (avr + avl + avf, np.zeros_like(avf)),
    ):
        np.testing.assert_allclose(left, right, atol=2e-6)


def test_signal_is_float32_millivolts_of_plausible_size():
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        ecg = simulate_ecg(sample_parameters(rng), 10, 100, rng=rng)
        assert ecg.signal.shape == (12, 1000)
        assert ecg.signal.dtype == np.float32
        assert 0.2 < np.ptp(ecg.signal, axis=1).max() < 9


# Rhythm


@pytest.mark.parametrize("rhythm", ["SR", "SBRAD", "STACH", "SARRH", "AFIB", "AFLT", "PACE"])
@pytest.mark.parametrize("seed", range(4))
def test_rate_of_the_truth_and_of_the_signal_is_the_parameter(rhythm, seed):
    parameters = draw(seed, rhythm)
    ecg = simulate_ecg(parameters, 60, 100, rng=np.random.default_rng(seed))
    truth = np.array([beat.r_peak for beat in ecg.beats])
    tolerance = 0.12 if rhythm == "AFIB" else 0.05
    assert 60 / np.diff(truth).mean() == pytest.approx(parameters.heart_rate, rel=tolerance)

    steepness = (np.diff(ecg.signal, axis=1) ** 2).sum(axis=0)
    steepness = np.convolve(steepness, np.ones(12) / 12, mode="same")
    peaks, _ = find_peaks(steepness, height=0.3 * np.quantile(steepness, 0.98), distance=28)
    assert all(np.abs(peaks / 100 - peak).min() < 0.1 for peak in truth[1:-1])
    assert abs(len(peaks) - len(truth)) <= 2


def test_rate_limits_of_the_sinus_rhythms():
    for seed in SEEDS:
        assert 60 <= draw(seed, "SR").heart_rate <= 100
        assert draw(seed, "SBRAD").heart_rate < 60
        assert draw(seed, "STACH").heart_rate > 100


def test_fibrillation_is_irregular_and_sinus_rhythm_is_not():
    def irregularity(*statements, seed):
        beats = simulate_ecg(draw(seed, *statements), 60, 100, rng=np.random.default_rng(seed)).beats
        intervals = np.diff([beat.r_peak for beat in beats])
        return intervals.std() / intervals.mean()

    for seed in SEEDS:
        assert irregularity("AFIB", seed=seed) > 0.12
        assert irregularity("SR", seed=seed) < 0.05
        assert 0.05 < irregularity("SARRH", seed=seed) < 0.25


def test_fibrillation_flutter_and_half_of_the_pacemakers_have_no_p_waves():
    assert all(math.isnan(draw(seed, rhythm).pr) for rhythm in ("AFIB", "AFLT") for seed in SEEDS)
    assert 0 < sum(math.isnan(draw(seed, "PACE").pr) for seed in range(40)) < 40


def test_flutter_waves_have_their_rate_and_are_conducted_in_whole_numbers():
    for seed in range(4):
        parameters = draw(seed, "AFLT")
        assert parameters.atrial_rate == pytest.approx(parameters.heart_rate * parameters.conduction_ratio)
        still = replace(without_repolarisation(parameters), qrs_waves=parameters.qrs_waves * [1, 1, 1, 1, 0, 0, 0])
        spectrum = np.abs(np.fft.rfft(lead(beat_quietly(still, 100, 60), "aVF")))
        assert np.argmax(spectrum[60:]) + 60 == pytest.approx(parameters.atrial_rate, abs=2)


def test_premature_atrial_beats_come_early_and_narrow_after_a_p_wave():
    for seed in SEEDS:
        parameters = draw(seed, "PAC")
        beats = simulate_ecg(parameters, 10, 100, rng=np.random.default_rng(seed)).beats
        early = [i for i, beat in enumerate(beats) if beat.kind == "atrial"]
        assert early
        for i in early[1:]:
            assert beats[i].r_peak - beats[i - 1].r_peak < 0.8 * 60 / parameters.heart_rate
            assert beats[i].qrs_onset - beats[i].p_onset == pytest.approx(parameters.pr)
            assert beats[i].qrs_offset - beats[i].qrs_onset < 0.12


def test_premature_ventricular_beats_are_wide_without_p_and_pause_is_compensatory():
    for seed in SEEDS:
        parameters = draw(seed, "PVC")
        beats = simulate_ecg(parameters, 30, 100, rng=np.random.default_rng(seed)).beats
        early = [i for i, beat in enumerate(beats) if beat.kind == "ventricular" and 0 < i < len(beats) - 1]
        assert early
        for i in early:
            assert math.isnan(beats[i].p_onset)
            assert beats[i].qrs_offset - beats[i].qrs_onset > 0.12
            around = beats[i + 1].r_peak - beats[i - 1].r_peak
            assert around == pytest.approx(2 * 60 / parameters.heart_rate, rel=0.08)


def test_pacing_spike_precedes_every_paced_beat():
    parameters = draw(3, "PACE")
    ecg = beat_quietly(parameters, 500)
    jump = np.abs(np.diff(lead(ecg, "III")))
    for beat in whole_beats(ecg, "paced"):
        onset = round(500 * beat.qrs_onset)
        assert jump[onset - 10 : onset].max() > 3 * jump[onset + 10 : onset + 60].max()


# Intervals and voltages


@pytest.mark.parametrize("statement", ["NORM", "CLBBB", "CRBBB", "LAFB", "PACE"])
def test_measured_qrs_duration_is_the_parameter(statement):
    for seed in SEEDS:
        parameters = without_repolarisation(draw(seed, statement))
        ecg = beat_quietly(parameters)
        beat = whole_beats(ecg, "paced" if statement == "PACE" else "conducted")[0]
        first = round(1000 * beat.qrs_onset) - (0 if statement == "PACE" else 30)
        speed = np.linalg.norm(np.diff(ecg.signal[:, first : first + 260]), axis=0)
        active = np.flatnonzero(speed > 0.04 * speed.max())
        measured = (active[-1] - (0 if statement == "PACE" else active[0])) / 1000
        assert measured == pytest.approx(parameters.qrs_duration, abs=0.022)
        assert (parameters.qrs_duration >= 0.12) == (statement in ("CLBBB", "CRBBB", "PACE"))


@pytest.mark.parametrize("statement", ["NORM", "LAFB", "RVH", "LVH", "IMI", "CRBBB"])
def test_axis_from_net_areas_of_leads_i_and_avf_is_the_parameter(statement):
    for seed in SEEDS:
        parameters = draw(seed, statement)
        ecg = beat_quietly(replace(without_repolarisation(parameters), p_waves=parameters.p_waves * 0 + 1e-9))
        onset = round(1000 * whole_beats(ecg)[0].qrs_onset)
        area = ecg.signal[:, onset - 40 : onset + 220].sum(axis=1)
        axis = math.degrees(math.atan2(2 * area[LEAD_NAMES.index("aVF")], math.sqrt(3) * area[0]))
        assert axis == pytest.approx(parameters.qrs_axis, abs=1)


def test_axis_limits_of_hemiblock_and_right_hypertrophy():
    for seed in SEEDS:
        assert -75 <= draw(seed, "LAFB").qrs_axis <= -45
        assert draw(seed, "RVH").qrs_axis > 90
        assert -30 < draw(seed, "NORM").qrs_axis < 90


def test_measured_pr_is_the_parameter_and_long_in_first_degree_block():
    for seed in SEEDS:
        for statement, low, high in (("NORM", 0.12, 0.2), ("1AVB", 0.2, 0.35)):
            parameters = draw(seed, statement)
            assert low <= parameters.pr <= high
            ecg = beat_quietly(without_repolarisation(parameters))
            beat = whole_beats(ecg)[1]
            assert beat.qrs_onset - beat.p_onset == pytest.approx(parameters.pr)
            start = round(1000 * (beat.p_onset - 0.05))
            wave = np.abs(lead(ecg, "II")[start : start + 130] - lead(ecg, "II")[start])
            begins = np.flatnonzero(wave > 0.08 * wave.max())[0] / 1000 - 0.05
            assert begins == pytest.approx(0, abs=0.016)


def test_qt_follows_the_rate_after_fridericia():
    for seed in SEEDS:
        for rhythm in ("SBRAD", "SR", "STACH"):
            parameters = draw(seed, rhythm)
            assert 0.36 < parameters.qt / (60 / parameters.heart_rate) ** (1 / 3) < 0.45
            beat = beat_quietly(parameters, 100).beats[2]
            assert beat.t_offset - beat.qrs_onset == pytest.approx(parameters.qt)


def test_measured_st_depression_in_v5_is_the_parameter():
    for seed in SEEDS:
        parameters = draw(seed, "STD_")
        assert -0.25 <= parameters.st_v5 <= -0.1
        ecg = beat_quietly(parameters)
        levels = [value_after(ecg, beat, "V5", 0.06) for beat in whole_beats(ecg)]
        assert np.median(levels) == pytest.approx(parameters.st_v5, abs=0.025)


def test_t_waves_are_inverted_in_the_leads_named():
    for seed in SEEDS:
        ecg = beat_quietly(draw(seed, "INVT"))
        assert len(ecg.parameters.negative_t) >= 2
        beat = whole_beats(ecg)[1]
        for name in ecg.parameters.negative_t:
            assert value_after(ecg, beat, name, beat.t_peak - beat.qrs_offset) < -0.05


def sokolow_of_signal(ecg: SimulatedEcg) -> float:
    complexes = [dict(zip(LEAD_NAMES, qrs_of(ecg, beat))) for beat in whole_beats(ecg)]
    return float(np.median([max(c["V5"].max(), c["V6"].max()) - c["V1"].min() for c in complexes]))


def test_sokolow_index_is_high_in_left_hypertrophy_and_only_there():
    for seed in SEEDS:
        assert sokolow_of_signal(beat_quietly(draw(seed, "LVH"))) > 3.5
        for statement in ("NORM", "IMI", "LAFB", "LVOLT"):
            assert sokolow_of_signal(beat_quietly(draw(seed, statement))) < 3.5


def test_limb_leads_are_below_half_a_millivolt_in_low_voltage_and_only_there():
    for seed in SEEDS:
        for statement in ("LVOLT", "NORM", "LAFB", "AMI"):
            ecg = beat_quietly(draw(seed, statement))
            heights = [np.ptp(qrs_of(ecg, beat)[:6], axis=1).max() for beat in whole_beats(ecg)]
            assert (np.median(heights) < 0.5) == (statement == "LVOLT")


# Shapes a cardiologist looks for


@pytest.mark.parametrize("seed", SEEDS)
def test_left_bundle_branch_block_is_broad_to_the_left_without_q_and_t_is_discordant(seed):
    ecg = beat_quietly(draw(seed, "CLBBB"))
    beat = whole_beats(ecg)[0]
    qrs = dict(zip(LEAD_NAMES, qrs_of(ecg, beat)))
    for name in ("I", "V6"):
        assert qrs[name].max() > 0.25
        assert qrs[name].min() > -0.1 * qrs[name].max()
        assert value_after(ecg, beat, name, beat.t_peak - beat.qrs_offset) < 0
    assert qrs["V1"].min() < -0.4
    assert qrs["V1"].max() < 0.15
    assert value_after(ecg, beat, "V1", beat.t_peak - beat.qrs_offset) > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_right_bundle_branch_block_has_a_late_r_in_v1_and_a_wide_s_in_i_and_v6(seed):
    qrs = typical_qrs("CRBBB", seed=seed)
    late = slice(len(qrs["V1"]) * 6 // 10, None)
    assert qrs["V1"][late].max() > 0.3
    assert qrs["V1"].argmin() < qrs["V1"].argmax()
    for name in ("I", "V6"):
        assert qrs[name][late].min() < -0.1
        assert np.count_nonzero(qrs[name] < -0.05) >= 25


@pytest.mark.parametrize("seed", SEEDS)
def test_left_anterior_hemiblock_has_q_in_avl_and_r_before_a_deeper_s_below(seed):
    qrs = typical_qrs("LAFB", seed=seed)
    assert qrs["aVL"].argmin() < qrs["aVL"].argmax()
    for name in ("III", "aVF"):
        assert 0 < qrs[name].argmax() < qrs[name].argmin()
        assert qrs[name].max() > 0.05
        assert -qrs[name].min() > qrs[name].max()


@pytest.mark.parametrize("seed", SEEDS)
def test_right_hypertrophy_has_a_tall_r_in_v1_and_a_deep_s_in_v6(seed):
    qrs = typical_qrs("RVH", seed=seed)
    assert qrs["V1"].max() > 0.7
    assert qrs["V1"].max() > -qrs["V1"].min()
    assert -qrs["V6"].min() > 0.2


@pytest.mark.parametrize(
    ("statement", "names"), [("IMI", ("III", "aVF")), ("AMI", ("V1", "V2")), ("LMI", ("I", "aVL", "V6"))]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_infarction_has_q_waves_in_its_leads_and_they_are_small_in_normals(statement, names, seed):
    qrs, normal = typical_qrs(statement, seed=seed), typical_qrs("NORM", seed=seed)
    for name in names:
        early = slice(0, len(qrs[name]) * 45 // 100)
        assert qrs[name][early].min() < -0.12
        assert np.count_nonzero(qrs[name][early] < -0.05) >= 18
    assert max(normal[name][:28].min() for name in names) > -0.2


def test_acute_infarction_lifts_st_in_its_leads():
    names = {"IMI": "III", "AMI": "V2", "LMI": "V6"}
    for statement, name in names.items():
        levels = {True: [], False: []}
        for seed in range(20):
            ecg = beat_quietly(draw(seed, statement))
            levels[ecg.parameters.acute].append(value_after(ecg, whole_beats(ecg)[0], name, 0.05))
        assert min(levels[True]) > 0.08
        assert max(levels[False]) < 0.15


# Sampling


def test_sampling_rates_show_the_same_beats_and_the_same_waves():
    parameters = draw(5, "PVC", "IMI")
    low, high = beat_quietly(parameters, 100), beat_quietly(parameters, 500)
    assert str(low.beats) == str(high.beats)
    filtered = resample_poly(high.signal, 1, 5, axis=1)[:, 20:-20]
    difference = low.signal[:, 20:-20] - filtered
    assert np.sqrt((difference**2).mean()) < 0.03 * np.sqrt((filtered**2).mean())


def test_same_seed_gives_the_same_recording_and_another_seed_another():
    def recording(seed):
        rng = np.random.default_rng(seed)
        return simulate_ecg(sample_parameters(rng), 10, 100, rng=rng).signal.tobytes()

    assert recording(1) == recording(1)
    assert recording(1) != recording(2)


def test_every_statement_is_drawn_and_only_compatible_ones_together():
    drawn = [sample_parameters(np.random.default_rng(seed)).statements for seed in range(1500)]
    assert {code for statements in drawn for code in statements} == set(STATEMENTS)
    assert all(compatible(statements) for statements in drawn)
    assert 0.25 < np.mean(["NORM" in statements for statements in drawn]) < 0.5
    assert max(len(set(statements) - {"SR"}) for statements in drawn) >= 3


def test_statements_that_cannot_be_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="cannot simulate WPW; known are NORM"):
        sample_parameters(rng, ("WPW",))
    with pytest.raises(ValueError, match="AFIB, 1AVB cannot be seen together"):
        sample_parameters(rng, ("AFIB", "1AVB"))
    with pytest.raises(ValueError, match="SR, AFIB cannot be seen together"):
        sample_parameters(rng, ("SR", "AFIB"))
    with pytest.raises(ValueError, match="NORM, LVH: not normal"):
        sample_parameters(rng, ("NORM", "LVH"))
    with pytest.raises(ValueError, match="sampling rate must be at least 100 Hz, not 50 Hz"):
        simulate_ecg(draw(0, "NORM"), 10, 50, rng=rng)
    with pytest.raises(ValueError, match="duration must be positive, not 0 s"):
        simulate_ecg(draw(0, "NORM"), 0, 100, rng=rng)


# Reports

WORDS = {
    "SBRAD": r"brady",
    "STACH": r"tachy",
    "SARRH": r"sinus ?arr?h?yth?m",
    "AFIB": r"fibrillation|flimmern",
    "AFLT": r"flutter|vorhofflattern",
    "PACE": r"pace|schrittmacher",
    "PAC": r"atrial (contraction|premature|complex)|supraventri|vorhofextra|\bsves\b",
    "PVC": r"premature ventricular|(?<!supra)ventricular (extra|premature)|\bventrikuläre extra|\bves\b|kammerextra",
    "1AVB": r"first degree|prolonged pr|pq-(zeit )?verl|av block i\b|a-v block i|av-block (i\.|1\.)",
    "CLBBB": r"left bundle|lbbb|linksschenkelblock|\blsb\b",
    "CRBBB": r"right bundle|rbbb|rechtsschenkelblock|\brsb\b",
    "LAFB": r"left anterior (fascicular|hemi)|links-?anteriorer hemi|\blah\b",
    "LVH": r"left ventricular hyper|\blvh\b|linkshyper|linksventrikuläre hyper",
    "RVH": r"right ventricular hyper|rechtshyper|rechtsventrikuläre hyper",
    "IMI": r"inferior|hinterwand",
    "AMI": r"anterior (myocardial|infarct|chest)|anteroseptal|anteriorer infarkt|vorderwand",
    "LMI": r"lateral",
    "STD_": r"\bst[ -](depr|segments|senk|strecken)",
    "INVT": r"t[ -](wave|neg|inversion)|neg(ative|\.) t\b",
    "LVOLT": r"low (limb|voltage|qrs)|niederspannung|niedervolt",
    "NORM": r"\bnormal ecg|no definite path|normales ekg|unauffälliges ekg",
}


@pytest.mark.parametrize("language", ["english", "german"])
def test_reports_name_all_that_is_there_and_nothing_that_is_not(language):
    rng = np.random.default_rng(0)
    for seed in range(1200):
        parameters = sample_parameters(np.random.default_rng(seed))
        report = write_report(parameters, language, rng)
        assert report == report.lower()
        assert "\n" not in report
        assert "{" not in report
        named = {code for code, words in WORDS.items() if re.search(words, report.replace("seitenwand", "lateral"))}
        assert named == set(parameters.statements) - {"SR"}, report


def test_reports_of_normal_recordings_are_often_the_same_and_others_vary():
    rng = np.random.default_rng(0)

    def reports(*statements):
        return [write_report(draw(seed, *statements), "english", rng) for seed in range(100)]

    assert reports("NORM").count("sinus rhythm. normal ecg.") > 50
    assert len(set(reports("SBRAD", "CRBBB", "LAFB"))) > 30


def test_reports_tell_the_rate_of_fibrillation_truly():
    rng = np.random.default_rng(0)
    for seed in range(200):
        parameters = draw(seed, "AFIB")
        report = write_report(parameters, "english", rng)
        assert ("rapid" not in report) or parameters.heart_rate > 100
        assert ("slow" not in report) or parameters.heart_rate < 60


# The tree

PTBXL_COLUMNS = (
    "ecg_id,patient_id,age,sex,height,weight,nurse,site,device,recording_date,report,scp_codes,heart_axis,"
    "infarction_stadium1,infarction_stadium2,validated_by,second_opinion,initial_autogenerated_report,"
    "validated_by_human,baseline_drift,static_noise,burst_noise,electrodes_problems,extra_beats,pacemaker,"
    "strat_fold,filename_lr,filename_hr"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    directory = tmp_path_factory.mktemp("simulated") / "tree"
    return write_simulated_ptbxl(directory, records=300, seed=7, sampling_rates=(100, 500), progress=False)


def digest(directory) -> dict[str, str]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_writes_the_same_tree_and_another_seed_another(tmp_path):
    one, same, other = (
        digest(write_simulated_ptbxl(tmp_path / name, records=30, seed=seed, progress=False))
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert one == same
    assert not set(one.values()) & set(other.values()) - {one["scp_statements.csv"]}


def test_a_recording_does_not_depend_on_how_many_there_are(tmp_path):
    few = digest(write_simulated_ptbxl(tmp_path / "few", records=5, seed=1, progress=False))
    many = digest(
        write_simulated_ptbxl(tmp_path / "many", records=9, seed=1, sampling_rates=(100, 500), progress=False)
    )
    assert {name: many[name] for name in few if name.startswith("records")} == {
        name: value for name, value in few.items() if name.startswith("records")
    }


def test_wfdb_reads_every_bit_and_headers_look_like_ptbxl(tree):
    rng = np.random.default_rng([7, 3])
    parameters = sample_parameters(rng)
    record = wfdb.rdrecord(str(tree / "records100/00000/00003_lr"))
    assert record.sig_name == ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    assert (record.fs, record.sig_len, record.units) == (100, 1000, ["mV"] * 12)
    assert (record.fmt, record.adc_gain, record.baseline) == (["16"] * 12, [1000.0] * 12, [0] * 12)
    raw = np.fromfile(tree / "records100/00000/00003_lr.dat", dtype="<i2").reshape(1000, 12)
    np.testing.assert_array_equal(record.p_signal, raw / 1000)
    digital = wfdb.rdrecord(str(tree / "records100/00000/00003_lr"), physical=False)
    assert digital.checksum == digital.calc_checksum()
    assert digital.init_value == raw[0].tolist()
    lines = (tree / "records100/00000/00003_lr.hea").read_text().splitlines()
    assert lines[0] == "00003_lr 12 100 1000"
    assert re.fullmatch(r"00003_lr\.dat 16 1000\.0\(0\)/mV 16 0 -?\d+ \d+ 0 AVR", lines[4])
    truth = pd.read_csv(tree / "simulation.csv", index_col="ecg_id").loc[3]
    assert truth.statements.split() == list(parameters.statements)
    assert wfdb.rdrecord(str(tree / "records500/00000/00003_hr")).p_signal.shape == (5000, 12)


def test_einthoven_holds_in_the_files_to_the_rounding(tree):
    raw = np.fromfile(tree / "records100/00000/00001_lr.dat", dtype="<i2").reshape(-1, 12).astype(int)
    assert np.abs(raw[:, 0] + raw[:, 2] - raw[:, 1]).max() <= 2


def test_table_has_ptbxl_columns_and_codes(tree):
    header = (tree / "ptbxl_database.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == PTBXL_COLUMNS
    table = pd.read_csv(tree / "ptbxl_database.csv", index_col="ecg_id")
    truth = pd.read_csv(tree / "simulation.csv", index_col="ecg_id")
    statements = pd.read_csv(tree / "scp_statements.csv", index_col=0)
    assert len(table) == len(truth) == 300
    assert table.filename_lr[1] == "records100/00000/00001_lr"
    assert table.filename_hr[1] == "records500/00000/00001_hr"
    assert all((tree / f"{name}.hea").exists() for name in [*table.filename_lr, *table.filename_hr])
    for codes, true in zip(table.scp_codes.map(ast.literal_eval), truth.statements):
        assert set(codes) == set(true.split()) <= set(statements.index)
        assert all(0 <= likelihood <= 100 for likelihood in codes.values())
    assert set(statements.diagnostic_class.dropna()) == {"NORM", "MI", "HYP", "CD"}
    assert (statements[["diagnostic", "form", "rhythm"]].sum(axis=1) == 1).all()


def test_folds_respect_patients_some_of_whom_return(tree):
    table = pd.read_csv(tree / "ptbxl_database.csv")
    assert (table.groupby("patient_id").strat_fold.nunique() == 1).all()
    assert (table.groupby("patient_id").sex.nunique() == 1).all()
    assert set(table.strat_fold) == set(range(1, 11))
    assert 0.05 < (table.patient_id.value_counts() > 1).mean() < 0.25


def test_reports_carry_the_marks_of_device_and_editor(tree):
    reports = pd.read_csv(tree / "ptbxl_database.csv").report
    assert reports.str.contains("4.46                          unbestÄtigter bericht", regex=False).any()
    assert reports.str.contains(r" Edit: .*\(.*\)$").any()
    assert not reports.str.contains("ä|ö|ü").any()


def test_beats_of_the_tree_lie_in_the_recordings(tree):
    beats = pd.read_csv(tree / "simulation_beats.csv")
    assert set(beats.ecg_id) == set(range(1, 301))
    assert beats.r_peak.between(0, 10).all()
    assert (beats.qrs_onset < beats.r_peak).all()
    assert (beats.r_peak < beats.qrs_offset).all()


def test_a_filled_directory_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty"):
        write_simulated_ptbxl(tmp_path / "mine", records=2, seed=0, progress=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]
    with pytest.raises(ValueError, match="at least 1, not 0"):
        write_simulated_ptbxl(tmp_path / "new", records=0, seed=0)
    with pytest.raises(ValueError, match="100 and 500 Hz, not \\(250,\\)"):
        write_simulated_ptbxl(tmp_path / "new", records=1, seed=0, sampling_rates=(250,))


def test_nothing_is_left_when_writing_is_interrupted(tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("merit.training.simulation.ptbxl_tree.write_report", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_simulated_ptbxl(tmp_path / "tree", records=3, seed=0, progress=False)
    assert not list(tmp_path.iterdir())
