"""The ECG encoder with any leads, durations and missing parts, and the branch of masked modelling."""

import copy

import pytest
import torch
from tiny_models import TOKENIZATIONS, tiny_inputs, tiny_model, tiny_signal

from merit import MeritEcgModel, MeritForEcgClassification, MeritForPreTraining, MeritModel
from merit.modeling_merit.modeling_merit import random_visibility

pytestmark = pytest.mark.parametrize("tokenization", TOKENIZATIONS)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture
def model(tokenization):
    return tiny_model(MeritEcgModel, tokenization)


def embed(model, ecg_values, lead_mask=None, sample_mask=None):
    with torch.no_grad():
        return model(ecg_values, lead_mask=lead_mask, sample_mask=sample_mask).pooler_output


def mask_of(leads, batch=1):
    mask = torch.zeros(batch, 12, dtype=torch.bool)
    mask[:, leads] = True
    return mask


@pytest.mark.parametrize("leads", [[0], [11], [0, 1], [1, 6, 10], list(range(11)), list(range(12))])
@pytest.mark.parametrize("samples", [250, 1000])
def test_any_leads_and_durations_are_accepted(model, leads, samples):
    embedding = embed(model, tiny_signal(1, samples), mask_of(leads))
    assert embedding.shape == (1, model.config.pooled_size)
    assert embedding.isfinite().all()


def test_a_recording_of_sixty_seconds_is_accepted(model):
    assert embed(model, tiny_signal(1, 6000), mask_of([1])).isfinite().all()


def test_every_lead_and_its_absence_change_the_embedding(model):
    signal = tiny_signal(1)
    everything = embed(model, signal)
    for lead in range(12):
        without = mask_of([other for other in range(12) if other != lead])
        changed = signal.clone()
        changed[:, lead] *= -1
        assert (embed(model, signal, without) - everything).abs().max() > 1e-3
        assert (embed(model, changed) - everything).abs().max() > 1e-3


def test_an_embedding_does_not_depend_on_the_rest_of_the_batch(model):
    signal = tiny_signal(4)
    lead_mask = torch.cat([mask_of([0]), mask_of([3, 7, 11]), mask_of(range(12)), mask_of(range(6))])
    sample_mask = torch.arange(300) < torch.tensor([[300], [250], [275], [300]])
    together = embed(model, signal, lead_mask, sample_mask)
    for row in range(4):
        one = slice(row, row + 1)
        torch.testing.assert_close(embed(model, signal[one], lead_mask[one], sample_mask[one]), together[one], **CLOSE)


@pytest.mark.parametrize("rubbish", [0.0, 1e3, float("nan"), float("inf")])
def test_values_where_nothing_was_recorded_have_no_effect(model, rubbish):
    inputs = tiny_inputs(MeritEcgModel)
    recorded = inputs["lead_mask"][..., None] & inputs["sample_mask"][:, None]
    expected = embed(model, **inputs)
    inputs["ecg_values"] = torch.where(recorded, inputs["ecg_values"], rubbish)
    torch.testing.assert_close(embed(model, **inputs), expected, atol=0, rtol=0)


def test_values_where_nothing_was_recorded_have_no_effect_on_gradients(tokenization):
    model = tiny_model(MeritForPreTraining, tokenization)
    inputs = tiny_inputs(MeritForPreTraining)
    model(**inputs).loss.backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    recorded = inputs["lead_mask"][..., None] & inputs["sample_mask"][:, None]
    inputs["ecg_values"] = torch.where(recorded, inputs["ecg_values"], float("nan"))
    model.zero_grad()
    model(**inputs).loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], atol=0, rtol=0)


def test_a_lead_of_zeros_is_not_a_missing_lead(model):
    signal = tiny_signal(1)
    signal[:, 3:] = 0
    assert (embed(model, signal) - embed(model, signal, mask_of([0, 1, 2]))).abs().max() > 1e-2


@pytest.mark.parametrize("samples", [250, 260, 299])
def test_padding_a_shorter_recording_changes_nothing(model, samples):
    short = tiny_signal(2, samples)
    padded = torch.nn.functional.pad(short, (0, 500 - samples), value=0.7)
    sample_mask = (torch.arange(500) < samples).expand(2, -1)
    torch.testing.assert_close(embed(model, padded, None, sample_mask), embed(model, short), **CLOSE)


def test_without_masks_everything_counts_as_recorded(model):
    signal = tiny_signal(2)
    everything = embed(model, signal, torch.ones(2, 12), torch.ones(2, 300))
    torch.testing.assert_close(everything, embed(model, signal), **CLOSE)


def test_the_scale_of_tokens_does_not_depend_on_the_number_of_leads(model):
    patches, everything = model.patchify(tiny_signal(8))
    few = everything & mask_of([1, 6, 9])[..., None]
    with torch.no_grad():
        size, expected = (
            tokens[mask].std() for tokens, _, mask in (model.embeddings(patches, cells) for cells in (few, everything))
        )
    assert 0.7 < size / expected < 1.4


def test_permuting_the_leads_of_signal_and_encoder_changes_nothing(model, tokenization):
    order = torch.randperm(12, generator=torch.Generator().manual_seed(5))
    config = type(model.config).from_dict(model.config.to_dict())
    config.lead_names = [model.config.lead_names[lead] for lead in order]
    other = MeritEcgModel(config).eval()
    state = model.state_dict()
    state["embeddings.lead_embedding.weight"] = state["embeddings.lead_embedding.weight"][order]
    if tokenization.startswith("time"):
        state["embeddings.projection.weight"] = (
            state["embeddings.projection.weight"].unflatten(1, (12, -1))[:, order].flatten(1)
        )
    other.load_state_dict(state)
    inputs = tiny_inputs(MeritEcgModel)
    permuted = {**inputs, "ecg_values": inputs["ecg_values"][:, order], "lead_mask": inputs["lead_mask"][:, order]}
    torch.testing.assert_close(embed(other, **permuted), embed(model, **inputs), **CLOSE)
    assert (embed(model, **permuted) - embed(model, **inputs)).abs().max() > 1e-3


def test_embeddings_depend_on_relative_time_only(tokenization):
    """The last patches of a recording give the same embedding alone and behind patches that were not recorded."""
    model = tiny_model(MeritEcgModel, tokenization)
    signal = tiny_signal(1, 500)
    late = (torch.arange(500) >= 200)[None]
    torch.testing.assert_close(embed(model, signal, None, late), embed(model, signal[..., 200:]), **CLOSE)


@pytest.mark.parametrize("model_class", [MeritEcgModel, MeritModel, MeritForPreTraining, MeritForEcgClassification])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 8, 300), r"ecg_values has 8 leads, the model expects 12 \(I, II, III, aVR"),
        ((1, 12, 24), "ecg_values has 24 samples, the model takes 25 to 6000"),
        ((1, 12, 6025), r"ecg_values has 6025 samples.*60 s at 100 Hz"),
    ],
)
def test_invalid_signals_are_refused(tokenization, model_class, shape, message):
    inputs = {**tiny_inputs(model_class, 1), "ecg_values": torch.zeros(shape)}
    inputs = {name: value for name, value in inputs.items() if name not in ("lead_mask", "sample_mask", "noise")}
    with pytest.raises(ValueError, match=message):
        tiny_model(model_class, tokenization)(**inputs)


# The branch that sees a masked signal


@pytest.fixture
def pretraining(tokenization):
    return tiny_model(MeritForPreTraining, tokenization)


def reconstruct(model, inputs):
    with torch.no_grad():
        return model.reconstruct(**{name: inputs[name] for name in ("ecg_values", "lead_mask", "sample_mask", "noise")})


def test_visible_cells_affect_the_reconstruction_and_masked_ones_do_not(pretraining):
    inputs = tiny_inputs(MeritForPreTraining)
    _, expected, hidden = reconstruct(pretraining, inputs)
    in_samples = hidden.repeat_interleave(25, 2)
    changed = torch.where(in_samples, torch.randn_like(inputs["ecg_values"]), inputs["ecg_values"])
    assert torch.equal(reconstruct(pretraining, {**inputs, "ecg_values": changed})[1], expected)
    changed = torch.where(in_samples, inputs["ecg_values"], torch.randn_like(inputs["ecg_values"]))
    assert (reconstruct(pretraining, {**inputs, "ecg_values": changed})[1] - expected).abs().max() > 1e-2


def test_only_recorded_cells_are_masked(pretraining):
    inputs = tiny_inputs(MeritForPreTraining)
    x, _, hidden = reconstruct(pretraining, inputs)
    recorded = pretraining.ecg_model.patchify(inputs["ecg_values"], inputs["lead_mask"], inputs["sample_mask"])[1]
    assert not (hidden & ~recorded).any()
    assert (hidden.sum((1, 2)) > recorded.sum((1, 2)) / 2).all()
    assert (x[~recorded] == 0).all()


@pytest.mark.parametrize(("time_ratio", "lead_ratio"), [(0.5, 0.5), (0.0, 0.5), (0.8, 0.0), (0.7, 0.3)])
def test_encoding_visible_tokens_only_gives_the_same_reconstruction(tokenization, time_ratio, lead_ratio):
    model = tiny_model(MeritForPreTraining, tokenization, time_mask_ratio=time_ratio, lead_mask_ratio=lead_ratio)
    inputs = tiny_inputs(MeritForPreTraining)
    _, expected, hidden = reconstruct(model, inputs)
    with torch.no_grad():
        patches, recorded = model.ecg_model.patchify(inputs["ecg_values"], inputs["lead_mask"], inputs["sample_mask"])
        visible = random_visibility(recorded, time_ratio, lead_ratio, inputs["noise"])
        tokens, positions, token_mask = model.ecg_model.embeddings(patches, visible)
        encoded = model.ecg_model.encoder(tokens, positions, token_mask)[-1]
        everywhere = torch.arange(tokens.shape[1]).expand(3, -1)
        full = model.decoder(encoded, token_mask, everywhere, recorded)
    assert torch.equal(hidden, recorded & ~visible)
    torch.testing.assert_close(full[recorded], expected[recorded], **CLOSE)


def test_permuting_the_leads_of_signal_and_decoder_changes_nothing(pretraining, tokenization):
    order = torch.randperm(12, generator=torch.Generator().manual_seed(5))
    other = copy.deepcopy(pretraining)
    embeddings, decoder = other.ecg_model.embeddings, other.decoder
    with torch.no_grad():
        by_lead = [embeddings.lead_embedding.weight]
        if tokenization.startswith("time"):
            by_lead += [embeddings.projection.weight.T, decoder.prediction.weight, decoder.prediction.bias]
        else:
            by_lead += [decoder.lead_embedding.weight]
        for weight in by_lead:
            weight.copy_(weight.unflatten(0, (12, -1))[order].reshape(weight.shape))
    inputs = tiny_inputs(MeritForPreTraining)
    permuted = {**inputs, **{name: inputs[name][:, order] for name in ("ecg_values", "lead_mask", "noise")}}
    _, expected, hidden = reconstruct(pretraining, inputs)
    _, found, hidden_too = reconstruct(other, permuted)
    assert torch.equal(hidden_too, hidden[:, order])
    torch.testing.assert_close(found[hidden_too], expected[:, order][hidden_too], **CLOSE)


def test_the_same_noise_gives_the_same_loss(pretraining):
    inputs = tiny_inputs(MeritForPreTraining)
    with torch.no_grad():
        first, second = pretraining(**inputs), pretraining(**inputs)
        inputs.pop("noise")
        other = pretraining(**inputs)
    assert first.loss == second.loss
    assert first.reconstruction_information != other.reconstruction_information
    assert first.alignment_information == other.alignment_information


def test_a_reconstruction_does_not_depend_on_the_rest_of_the_batch(pretraining):
    inputs = tiny_inputs(MeritForPreTraining)
    _, together, hidden = reconstruct(pretraining, inputs)
    for row in range(3):
        alone = reconstruct(pretraining, {name: value[row : row + 1] for name, value in inputs.items()})
        assert torch.equal(alone[2], hidden[row : row + 1])
        torch.testing.assert_close(alone[1][alone[2]], together[row : row + 1][alone[2]], **CLOSE)


# Signals at the edge


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("signal", ["zeros", "constant lead", "huge", "tiny", "one patch", "one cell", "nothing"])
@pytest.mark.parametrize("batch", [1, 3])
def test_extreme_signals_give_finite_losses_and_gradients(pretraining, signal, batch, training):
    inputs = tiny_inputs(MeritForPreTraining, batch)
    if signal == "zeros":
        inputs["ecg_values"].zero_()
    elif signal == "constant lead":
        inputs["ecg_values"][:, 4] = 1e3
    elif signal == "huge":
        inputs["ecg_values"] *= 1e3
    elif signal == "tiny":
        inputs["ecg_values"] *= 1e-6
    elif signal == "nothing":
        inputs["lead_mask"][0] = False
    else:
        inputs["sample_mask"][0, 25:] = False
        if signal == "one cell":
            inputs["lead_mask"][0, 1:] = False
    output = pretraining.train(training)(**inputs)
    output.loss.backward()
    assert output.loss.isfinite()
    for name, parameter in pretraining.named_parameters():
        assert parameter.grad.isfinite().all(), name


def test_offset_and_scale_do_not_change_the_targets(pretraining):
    inputs = tiny_inputs(MeritForPreTraining)
    x = reconstruct(pretraining, inputs)[0]
    lifted = reconstruct(pretraining, {**inputs, "ecg_values": 20 + 3 * inputs["ecg_values"]})[0]
    torch.testing.assert_close(lifted, x, atol=1e-3, rtol=1e-3)
