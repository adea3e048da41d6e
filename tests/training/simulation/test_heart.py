"""Rates, intervals, voltages and shapes measured in simulated recordings match their parameters."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import find_peaks, resample_poly

from merit.processing.leads_merit import STANDARD_LEADS
from merit.training.simulation.heart import SimulatedEcg, simulate_ecg
from merit.training.simulation.parameters import EcgParameters, sample_parameters

SEEDS = range(12)


def draw(seed: int, *statements: str, **changes) -> EcgParameters:
    return replace(sample_parameters(np.random.default_rng(seed), statements), **changes)


def simulate_without_noise(
    parameters: EcgParameters, sampling_rate: float = 1000, duration: float = 10
) -> SimulatedEcg:
    noiseless = replace(parameters, wander=0.0, muscle=0.0, mains=0.0)
    return simulate_ecg(noiseless, duration, sampling_rate, rng=np.random.default_rng(0))


def without_repolarisation(parameters: EcgParameters) -> EcgParameters:
    return replace(parameters, st_t_waves=parameters.st_t_waves * [1, 1, 1, 1, 0, 0, 0])


def lead(ecg: SimulatedEcg, name: str) -> np.ndarray:
    return ecg.signal[STANDARD_LEADS.index(name)]


def complete_beats(ecg: SimulatedEcg, kind: str = "conducted") -> list:
    return [beat for beat in ecg.beats if beat.kind == kind and 0.4 < beat.qrs_onset < 9]


def qrs_of(ecg: SimulatedEcg, beat) -> np.ndarray:
    """Return QRS (12, samples) at 1000 Hz relative to the level before it."""
    first, last = round(1000 * beat.qrs_onset), round(1000 * beat.qrs_offset)
    return ecg.signal[:, first:last] - ecg.signal[:, first - 5 : first - 4]


def qrs_of_first_beat(*statements: str, seed: int) -> dict[str, np.ndarray]:
    ecg = simulate_without_noise(draw(seed, *statements))
    return dict(zip(STANDARD_LEADS, qrs_of(ecg, complete_beats(ecg)[0])))


def level_after_qrs(ecg: SimulatedEcg, beat, name: str, seconds: float) -> float:
    """Return the potential this long after the end of QRS, relative to the level before QRS."""
    before = beat.qrs_onset - 0.01
    return float(lead(ecg, name)[round(1000 * (beat.qrs_offset + seconds))] - lead(ecg, name)[round(1000 * before)])


# Leads


def test_einthovens_and_goldbergers_laws_hold_with_noise():
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
def test_rate_of_true_beats_and_of_the_signal_matches_the_parameter(rhythm, seed):
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


def test_sinus_rhythms_keep_their_rate_limits():
    for seed in SEEDS:
        assert 60 <= draw(seed, "SR").heart_rate <= 100
        assert draw(seed, "SBRAD").heart_rate < 60
        assert draw(seed, "STACH").heart_rate > 100


def test_fibrillation_is_irregular_and_sinus_rhythm_is_regular():
    def irregularity(*statements, seed):
        beats = simulate_ecg(draw(seed, *statements), 60, 100, rng=np.random.default_rng(seed)).beats
        intervals = np.diff([beat.r_peak for beat in beats])
        return intervals.std() / intervals.mean()

    for seed in SEEDS:
        assert irregularity("AFIB", seed=seed) > 0.12
        assert irregularity("SR", seed=seed) < 0.05
        assert 0.05 < irregularity("SARRH", seed=seed) < 0.25


def test_fibrillation_flutter_and_some_paced_rhythms_have_no_p_waves():
    assert all(math.isnan(draw(seed, rhythm).pr) for rhythm in ("AFIB", "AFLT") for seed in SEEDS)
    assert 0 < sum(math.isnan(draw(seed, "PACE").pr) for seed in range(40)) < 40


def test_flutter_waves_have_their_rate_and_an_integer_conduction_ratio():
    for seed in range(4):
        parameters = draw(seed, "AFLT")
        assert parameters.atrial_rate == pytest.approx(parameters.heart_rate * parameters.conduction_ratio)
        only_atria = replace(without_repolarisation(parameters), qrs_waves=parameters.qrs_waves * [1, 1, 1, 1, 0, 0, 0])
        spectrum = np.abs(np.fft.rfft(lead(simulate_without_noise(only_atria, 100, 60), "aVF")))
        assert np.argmax(spectrum[60:]) + 60 == pytest.approx(parameters.atrial_rate, abs=2)


def test_premature_atrial_beats_are_early_and_narrow_and_follow_a_p_wave():
    for seed in SEEDS:
        parameters = draw(seed, "PAC")
        beats = simulate_ecg(parameters, 10, 100, rng=np.random.default_rng(seed)).beats
        early = [i for i, beat in enumerate(beats) if beat.kind == "atrial"]
        assert early
        for i in early[1:]:
            assert beats[i].r_peak - beats[i - 1].r_peak < 0.8 * 60 / parameters.heart_rate
            assert beats[i].qrs_onset - beats[i].p_onset == pytest.approx(parameters.pr)
            assert beats[i].qrs_offset - beats[i].qrs_onset < 0.12


def test_premature_ventricular_beats_are_wide_without_p_and_have_a_compensatory_pause():
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


def test_a_pacing_spike_precedes_every_paced_beat():
    parameters = draw(3, "PACE")
    ecg = simulate_without_noise(parameters, 500)
    jump = np.abs(np.diff(lead(ecg, "III")))
    for beat in complete_beats(ecg, "paced"):
        onset = round(500 * beat.qrs_onset)
        assert jump[onset - 10 : onset].max() > 3 * jump[onset + 10 : onset + 60].max()


# Intervals and voltages


@pytest.mark.parametrize("statement", ["NORM", "CLBBB", "CRBBB", "LAFB", "PACE"])
def test_measured_qrs_duration_matches_the_parameter(statement):
    for seed in SEEDS:
        parameters = without_repolarisation(draw(seed, statement))
        ecg = simulate_without_noise(parameters)
        beat = complete_beats(ecg, "paced" if statement == "PACE" else "conducted")[0]
        first = round(1000 * beat.qrs_onset) - (0 if statement == "PACE" else 30)
        speed = np.linalg.norm(np.diff(ecg.signal[:, first : first + 260]), axis=0)
        active = np.flatnonzero(speed > 0.04 * speed.max())
        measured = (active[-1] - (0 if statement == "PACE" else active[0])) / 1000
        assert measured == pytest.approx(parameters.qrs_duration, abs=0.022)
        assert (parameters.qrs_duration >= 0.12) == (statement in ("CLBBB", "CRBBB", "PACE"))


@pytest.mark.parametrize("statement", ["NORM", "LAFB", "RVH", "LVH", "IMI", "CRBBB"])
def test_axis_from_net_areas_of_leads_i_and_avf_matches_the_parameter(statement):
    for seed in SEEDS:
        parameters = draw(seed, statement)
        ecg = simulate_without_noise(replace(without_repolarisation(parameters), p_waves=parameters.p_waves * 0 + 1e-9))
        onset = round(1000 * complete_beats(ecg)[0].qrs_onset)
        area = ecg.signal[:, onset - 40 : onset + 220].sum(axis=1)
        axis = math.degrees(math.atan2(2 * area[STANDARD_LEADS.index("aVF")], math.sqrt(3) * area[0]))
        assert axis == pytest.approx(parameters.qrs_axis, abs=1)


def test_fascicular_block_and_right_hypertrophy_keep_their_axis_limits():
    for seed in SEEDS:
        assert -75 <= draw(seed, "LAFB").qrs_axis <= -45
        assert draw(seed, "RVH").qrs_axis > 90
        assert -30 < draw(seed, "NORM").qrs_axis < 90


def test_measured_pr_matches_the_parameter_and_is_long_in_first_degree_block():
    for seed in SEEDS:
        for statement, low, high in (("NORM", 0.12, 0.2), ("1AVB", 0.2, 0.35)):
            parameters = draw(seed, statement)
            assert low <= parameters.pr <= high
            ecg = simulate_without_noise(without_repolarisation(parameters))
            beat = complete_beats(ecg)[1]
            assert beat.qrs_onset - beat.p_onset == pytest.approx(parameters.pr)
            start = round(1000 * (beat.p_onset - 0.05))
            wave = np.abs(lead(ecg, "II")[start : start + 130] - lead(ecg, "II")[start])
            begins = np.flatnonzero(wave > 0.08 * wave.max())[0] / 1000 - 0.05
            assert begins == pytest.approx(0, abs=0.016)


def test_qt_follows_the_heart_rate_after_fridericia():
    for seed in SEEDS:
        for rhythm in ("SBRAD", "SR", "STACH"):
            parameters = draw(seed, rhythm)
            assert 0.36 < parameters.qt / (60 / parameters.heart_rate) ** (1 / 3) < 0.45
            beat = simulate_without_noise(parameters, 100).beats[2]
            assert beat.t_offset - beat.qrs_onset == pytest.approx(parameters.qt)


def test_measured_st_depression_in_v5_matches_the_parameter():
    for seed in SEEDS:
        parameters = draw(seed, "STD_")
        assert -0.25 <= parameters.st_v5 <= -0.1
        ecg = simulate_without_noise(parameters)
        levels = [level_after_qrs(ecg, beat, "V5", 0.06) for beat in complete_beats(ecg)]
        assert np.median(levels) == pytest.approx(parameters.st_v5, abs=0.025)


def test_t_waves_are_inverted_in_the_leads_of_negative_t():
    for seed in SEEDS:
        ecg = simulate_without_noise(draw(seed, "INVT"))
        assert len(ecg.parameters.negative_t) >= 2
        beat = complete_beats(ecg)[1]
        for name in ecg.parameters.negative_t:
            assert level_after_qrs(ecg, beat, name, beat.t_peak - beat.qrs_offset) < -0.05


def measured_sokolow_lyon(ecg: SimulatedEcg) -> float:
    complexes = [dict(zip(STANDARD_LEADS, qrs_of(ecg, beat))) for beat in complete_beats(ecg)]
    return float(np.median([max(c["V5"].max(), c["V6"].max()) - c["V1"].min() for c in complexes]))


def test_sokolow_lyon_index_is_high_only_in_left_hypertrophy():
    for seed in SEEDS:
        assert measured_sokolow_lyon(simulate_without_noise(draw(seed, "LVH"))) > 3.5
        for statement in ("NORM", "IMI", "LAFB", "LVOLT"):
            assert measured_sokolow_lyon(simulate_without_noise(draw(seed, statement))) < 3.5


def test_limb_leads_are_below_half_a_millivolt_only_in_low_voltage():
    for seed in SEEDS:
        for statement in ("LVOLT", "NORM", "LAFB", "AMI"):
            ecg = simulate_without_noise(draw(seed, statement))
            heights = [np.ptp(qrs_of(ecg, beat)[:6], axis=1).max() for beat in complete_beats(ecg)]
            assert (np.median(heights) < 0.5) == (statement == "LVOLT")


# Typical shapes


@pytest.mark.parametrize("seed", SEEDS)
def test_left_bundle_branch_block_is_broad_to_the_left_without_q_and_t_is_discordant(seed):
    ecg = simulate_without_noise(draw(seed, "CLBBB"))
    beat = complete_beats(ecg)[0]
    qrs = dict(zip(STANDARD_LEADS, qrs_of(ecg, beat)))
    for name in ("I", "V6"):
        assert qrs[name].max() > 0.25
        assert qrs[name].min() > -0.1 * qrs[name].max()
        assert level_after_qrs(ecg, beat, name, beat.t_peak - beat.qrs_offset) < 0
    assert qrs["V1"].min() < -0.4
    assert qrs["V1"].max() < 0.15
    assert level_after_qrs(ecg, beat, "V1", beat.t_peak - beat.qrs_offset) > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_right_bundle_branch_block_has_a_late_r_in_v1_and_a_wide_s_in_i_and_v6(seed):
    qrs = qrs_of_first_beat("CRBBB", seed=seed)
    late = slice(len(qrs["V1"]) * 6 // 10, None)
    assert qrs["V1"][late].max() > 0.3
    assert qrs["V1"].argmin() < qrs["V1"].argmax()
    for name in ("I", "V6"):
        assert qrs[name][late].min() < -0.1
        assert np.count_nonzero(qrs[name] < -0.05) >= 25


@pytest.mark.parametrize("seed", SEEDS)
def test_left_anterior_fascicular_block_has_q_in_avl_and_r_before_a_deeper_s_in_iii_and_avf(seed):
    qrs = qrs_of_first_beat("LAFB", seed=seed)
    assert qrs["aVL"].argmin() < qrs["aVL"].argmax()
    for name in ("III", "aVF"):
        assert 0 < qrs[name].argmax() < qrs[name].argmin()
        assert qrs[name].max() > 0.05
        assert -qrs[name].min() > qrs[name].max()


@pytest.mark.parametrize("seed", SEEDS)
def test_right_hypertrophy_has_a_tall_r_in_v1_and_a_deep_s_in_v6(seed):
    qrs = qrs_of_first_beat("RVH", seed=seed)
    assert qrs["V1"].max() > 0.7
    assert qrs["V1"].max() > -qrs["V1"].min()
    assert -qrs["V6"].min() > 0.2


@pytest.mark.parametrize(
    ("statement", "names"), [("IMI", ("III", "aVF")), ("AMI", ("V1", "V2")), ("LMI", ("I", "aVL", "V6"))]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_infarction_has_q_waves_in_its_leads_and_normal_recordings_have_small_ones(statement, names, seed):
    qrs, normal = qrs_of_first_beat(statement, seed=seed), qrs_of_first_beat("NORM", seed=seed)
    for name in names:
        early = slice(0, len(qrs[name]) * 45 // 100)
        assert qrs[name][early].min() < -0.12
        assert np.count_nonzero(qrs[name][early] < -0.05) >= 18
    assert max(normal[name][:28].min() for name in names) > -0.2


def test_acute_infarction_elevates_st_in_its_leads():
    names = {"IMI": "III", "AMI": "V2", "LMI": "V6"}
    for statement, name in names.items():
        levels = {True: [], False: []}
        for seed in range(20):
            ecg = simulate_without_noise(draw(seed, statement))
            levels[ecg.parameters.acute].append(level_after_qrs(ecg, complete_beats(ecg)[0], name, 0.05))
        assert min(levels[True]) > 0.08
        assert max(levels[False]) < 0.15


# Sampling


def test_all_sampling_rates_show_the_same_beats_and_waves():
    parameters = draw(5, "PVC", "IMI")
    low, high = simulate_without_noise(parameters, 100), simulate_without_noise(parameters, 500)
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


def test_impossible_durations_and_sampling_rates_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="sampling rate must be at least 100 Hz, not 50 Hz"):
        simulate_ecg(draw(0, "NORM"), 10, 50, rng=rng)
    with pytest.raises(ValueError, match="duration must be positive, not 0 s"):
        simulate_ecg(draw(0, "NORM"), 0, 100, rng=rng)
