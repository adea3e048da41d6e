"""Beats are found where the simulator put them."""

import numpy as np
import pytest

from merit.processing.beats_merit import find_beats
from merit.training.simulation.heart import simulate_ecg
from merit.training.simulation.parameters import sample_parameters


@pytest.mark.parametrize("sampling_rate", [100, 500])
def test_nearly_every_beat_is_found_and_hardly_anything_else(sampling_rate):
    beats = missed = false = 0
    for seed in range(30):
        rng = np.random.default_rng([7, seed])
        ecg = simulate_ecg(sample_parameters(rng), 10.0, sampling_rate, rng=rng)
        middle = np.array([(beat.qrs_onset + beat.qrs_offset) / 2 for beat in ecg.beats])
        distance = np.abs(middle[:, None] - find_beats(ecg.signal, sampling_rate))
        whole = (middle > 0.1) & (middle < 9.9)
        beats += whole.sum()
        missed += (whole & (distance.min(1) > 0.12)).sum()
        false += (distance.min(0) > 0.15).sum()
    assert missed < 0.02 * beats
    assert false < 0.02 * beats


def test_the_scale_of_the_signal_does_not_matter():
    rng = np.random.default_rng(0)
    signal = simulate_ecg(sample_parameters(rng), 10.0, 100, rng=rng).signal
    np.testing.assert_array_equal(find_beats(signal, 100), find_beats(0.1 * signal, 100))


@pytest.mark.parametrize("samples", [0, 1, 15])
def test_a_signal_shorter_than_a_beat_has_no_beats(samples):
    assert len(find_beats(np.random.default_rng(0).normal(size=(2, samples)), 100)) == 0


def test_a_flat_line_has_no_beats():
    assert len(find_beats(np.zeros((12, 1000)), 100)) == 0
