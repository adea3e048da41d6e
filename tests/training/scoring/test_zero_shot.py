"""Zero-shot classification of the tasks of data sets."""

import numpy as np
import torch

from merit.processing.zero_shot_merit import embed_labels, embed_statements
from merit.training.data.label_maps import CSN_LABELS
from merit.training.scoring.embeddings import embed
from merit.training.scoring.zero_shot import label_embeddings, linear_start, zero_shot_scores


def test_label_embeddings_equal_those_of_the_pipeline(encoder):
    labels, scale = ["NORM", "MI", "AFIB", "CLBBB", "SR"], encoder.model.scale().item()
    expected = embed_labels(encoder.model, encoder.processor.tokenizer, labels).directions / scale
    np.testing.assert_allclose(label_embeddings(encoder, "super", labels).directions, expected, atol=1e-5)


def test_prompts_of_one_language_differ_from_those_of_the_other(encoder):
    ways = ("en", "de", "both", None)
    english, german, both, neither = (label_embeddings(encoder, "super", ["MI", "HYP"], way).directions for way in ways)
    np.testing.assert_array_equal(both, neither)
    assert not np.allclose(english, german, atol=1e-3)
    assert not np.allclose(english, both, atol=1e-3)
    unknown = [label_embeddings(encoder, "own", ["Brugada pattern"], way).directions for way in ("en", "de")]
    assert np.isfinite(unknown).all()


def test_the_initial_probe_gives_the_zero_shot_scores(encoder, dataset):
    features = embed(encoder, dataset["test"])
    said = label_embeddings(encoder, "super", ["NORM", "MI", "HYP"])
    scores = encoder.model.scale().item() * zero_shot_scores(encoder, features, said)
    # On features whose projections are equally long the layer is zero-shot itself.
    projection = encoder.model.ecg_projection.weight.detach().numpy()
    features = 5 * features / np.linalg.norm(features @ projection.T, axis=1, keepdims=True)
    weight, bias = linear_start(encoder, said, features)
    np.testing.assert_allclose(torch.from_numpy(features) @ weight.T + bias, scores, atol=1e-3)


def test_codes_of_another_data_set_are_translated_by_their_meaning_there(encoder):
    assert CSN_LABELS["AF"] == "AFLT"
    there = label_embeddings(encoder, "csn-clean", ["AF"]).directions
    np.testing.assert_allclose(there, label_embeddings(encoder, "all", ["AFLT"]).directions, atol=1e-6)
    assert not np.allclose(there, label_embeddings(encoder, "all", ["AFIB"]).directions, atol=1e-3)


def test_the_negation_of_a_finding_is_its_opposite_and_any_other_is_its_own_prompt(encoder):
    present, absent, none = label_embeddings(encoder, "own", ["AFIB", "no AFIB", "none"]).directions
    np.testing.assert_array_equal(absent, -present)
    expected = embed_statements(encoder.model, encoder.processor.tokenizer, ["none"]).directions[0]
    np.testing.assert_allclose(none, expected / encoder.model.scale().item(), atol=1e-5)
    assert not np.allclose(none, present, atol=1e-3)
