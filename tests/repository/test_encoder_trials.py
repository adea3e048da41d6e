"""The encoder of the trial state-space-hybrid of benchmarks/encoder_trials.py, and that the trial trains."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny_models import tiny_model, tiny_signal

from merit.modeling_merit.modeling_merit import MeritAttention

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture
def trials(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import encoder_trials

    return encoder_trials


@pytest.fixture
def encoder(trials):
    return tiny_model(trials.StateSpaceHybrid).ecg_model


def embed(model, ecg_values, **masks):
    with torch.no_grad():
        return model(ecg_values, **masks).pooler_output


def zero_order_hold(step, A):
    """The exact step of x' = Ax + u with constant u, from the exponential of the system with u as a state."""
    system = torch.stack([torch.stack([A, torch.ones_like(A)], -1), torch.zeros(*A.shape, 2)], -2)
    exponential = torch.linalg.matrix_exp(step[:, None, None, None] * system)
    return exponential[..., 0, 0], exponential[..., 0, 1]


def test_a_state_space_layer_is_its_recurrence_in_both_directions(trials):
    torch.manual_seed(0)
    layer = trials.StateSpace(width=3, num_states=4).double()
    with torch.no_grad():
        layer.log_decay.add_(torch.randn(3, 4))
    # Steps 1, 4 and 5 have no token, and the token of step 6 is absent.
    steps, present = torch.tensor([[0, 2, 3, 6, 7]]), torch.tensor([[True, True, True, False, True]])
    tokens = torch.randn(1, 5, 3, dtype=torch.float64)
    inputs = torch.zeros(8, 3, dtype=torch.float64)
    inputs[steps[0, present[0]]] = tokens[present]

    decay, gain = zero_order_hold(layer.log_step.exp(), torch.complex(-layer.log_decay.exp(), layer.frequency))
    expected = layer.D * inputs
    for C, order in zip(torch.view_as_complex(layer.C), (range(8), reversed(range(8)))):
        state = torch.zeros(3, 4, dtype=torch.complex128)
        for time in order:
            state = decay * state + gain * inputs[time, :, None]
            expected[time] += 2 * (C * state).sum(-1).real
    expected = F.glu(layer.out_proj(F.gelu(expected[steps])), dim=-1)
    output, _ = layer(tokens, None, steps=steps, present=present)
    torch.testing.assert_close(output, expected, atol=1e-12, rtol=1e-12)


def test_the_lower_half_has_state_spaces_of_about_as_many_parameters(trials):
    model = tiny_model(trials.StateSpaceHybrid, ecg={"hidden_size": 128, "num_hidden_layers": 4})
    mixers = [layer.attention for layer in model.ecg_model.encoder.layers]
    assert [type(mixer) for mixer in mixers] == 2 * [trials.StateSpace] + 2 * [MeritAttention]
    sizes = [sum(parameter.numel() for parameter in mixer.parameters()) for mixer in mixers]
    assert math.isclose(sizes[0], sizes[-1], rel_tol=0.15)


@pytest.mark.parametrize("samples", [250, 299])
def test_padding_does_not_change_the_embedding_of_the_hybrid(encoder, samples):
    short = tiny_signal(2, samples)
    sample_mask = (torch.arange(500) < samples).expand(2, -1)
    padded = F.pad(short, (0, 500 - samples), value=0.7)
    torch.testing.assert_close(embed(encoder, padded, sample_mask=sample_mask), embed(encoder, short), **CLOSE)


def test_an_absent_token_does_not_change_the_others_of_the_hybrid(encoder):
    patches, recorded = encoder.patchify(tiny_signal())
    tokens, positions, _ = encoder.embeddings(patches, recorded)
    present = torch.ones(tokens.shape[:2], dtype=torch.bool)
    present[:, 4:6] = False
    changed = torch.where(present[..., None], tokens, 9.0)
    with torch.no_grad():
        states, of_changed = (encoder.encoder(t, positions, present)[-1] for t in (tokens, changed))
    torch.testing.assert_close(states[present], of_changed[present], **CLOSE)


def test_the_hybrid_encodes_visible_tokens_alone_as_among_hidden_ones(encoder):
    """As the masked branch does: every recording keeps other tokens, each at its time."""
    patches, recorded = encoder.patchify(tiny_signal())
    tokens, positions, _ = encoder.embeddings(patches, recorded)
    kept = torch.tensor([[0, 1, 5, 11], [2, 3, 4, 8], [6, 7, 9, 10]])
    visible = torch.zeros(tokens.shape[:2], dtype=torch.bool).scatter(1, kept, True)
    alone = tokens[visible].view(3, 4, -1), positions[visible].view(3, 4), torch.ones(3, 4, dtype=torch.bool)
    with torch.no_grad():
        expected = encoder.encoder(tokens, positions, visible)[-1]
        torch.testing.assert_close(encoder.encoder(*alone)[-1], expected[visible].view(3, 4, -1), **CLOSE)


@pytest.mark.slow
def test_the_trial_of_the_hybrid_trains_on_crops_and_is_judged_on_recordings(
    trials, dataset, tiny_settings, monkeypatch
):
    lengths, kernels = set(), trials.StateSpace.kernels
    monkeypatch.setattr(trials.StateSpace, "kernels", lambda self, n: lengths.add(n) or kernels(self, n))
    settings = [*tiny_settings, "model.ecg_config.num_hidden_layers=2", "training.max_steps=2"]
    content = trials.trial("state-space-hybrid", settings, trials.folds_of_search(dataset), None)
    assert set(content["macro_auc"]) == {"zero-shot", "linear-probe", "noise"}
    assert {20, 40} <= lengths
