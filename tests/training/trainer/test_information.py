"""Information bounds and diagnostics, compared with calculations by hand."""

import math

import numpy as np
import pytest
import torch
from random_values import random_embeddings
from tiny_models import tiny_inputs, tiny_model

from merit import MeritForPreTraining
from merit.modeling_merit.modeling_merit import alignment_information
from merit.training.trainer.information import (
    alignment_ceiling,
    alignment_distance,
    duplicate_share,
    effective_rank,
    embedding_diagnostics,
    evaluation_diagnostics,
    gradient_norms,
    uniformity,
)


def test_the_ceiling_is_the_bound_of_perfect_embeddings():
    keys = torch.tensor([0, 1, 2, 2, 3, 3, 3, 4])
    perfect = torch.eye(5)[keys]
    reached = alignment_information(perfect, perfect, torch.tensor(100.0), keys[:, None] == keys)
    assert alignment_ceiling(keys) == pytest.approx(reached.item(), abs=1e-5)
    assert alignment_ceiling(torch.arange(9)) == pytest.approx(math.log(9))
    assert alignment_ceiling(torch.zeros(9)) == pytest.approx(0)


def test_duplicates_are_reports_that_occur_more_than_once():
    assert duplicate_share(torch.tensor([5, 1, 1, 2, 2, 2])) == pytest.approx(5 / 6)
    assert duplicate_share(torch.arange(3)) == 0


def test_distance_and_uniformity_by_hand():
    z, t = random_embeddings(40)
    assert alignment_distance(z, z) == 0
    assert alignment_distance(z, -z) == pytest.approx(4)
    assert alignment_distance(z, t) == pytest.approx(((z - t) ** 2).sum(1).mean().item())
    by_hand = torch.pdist(z).square().mul(-2).exp().mean().log().item()
    assert uniformity(z) == pytest.approx(by_hand, abs=1e-5)
    assert uniformity(z, block=7) == pytest.approx(by_hand, abs=1e-5)
    assert uniformity(z[:1].expand(5, -1)) == pytest.approx(0, abs=1e-5)
    assert math.isnan(uniformity(z[:1]))


def test_effective_rank_counts_the_dimensions_in_use():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5000, 6, generator=generator)
    assert effective_rank(x) == pytest.approx(6, abs=0.02)
    assert effective_rank(x * torch.tensor([1, 1, 1, 0, 0, 0])) == pytest.approx(3, abs=0.02)
    assert effective_rank(x[:, :1] @ torch.randn(1, 6, generator=generator) + 100) == pytest.approx(1, abs=0.02)
    assert effective_rank(torch.ones(5, 6)) == 0


def predictions(records=50):
    z, t = random_embeddings(records)
    errors = {"squared_error": np.full(records, 3.0), "hidden": np.full(records, 12)}
    return {"features": z.numpy(), "ecg_embeds": z.numpy(), "text_embeds": t.numpy(), **errors}


def test_diagnostics_of_a_split_use_every_record_in_pools_of_nearly_equal_size():
    keys = np.arange(50)
    keys[10:20] = 10
    whole = evaluation_diagnostics(predictions(), keys, 5.0, 50, 1.0, 10.0)
    z, t = random_embeddings(50)
    same = torch.from_numpy(keys)[:, None] == torch.from_numpy(keys)
    assert whole["alignment_information"] == pytest.approx(
        alignment_information(z, t, torch.tensor(5.0), same).item(), abs=1e-5
    )
    assert whole["reconstruction_information"] == pytest.approx(-0.5 * math.log(0.25))
    assert whole["loss"] == pytest.approx(-whole["alignment_information"] - 10 * whole["reconstruction_information"])
    assert whole["alignment_ceiling"] == pytest.approx(alignment_ceiling(torch.from_numpy(keys)))
    # 50 in pools of at most 16 are 13, 13, 12 and 12, never 16, 16, 16 and 2.
    pools = evaluation_diagnostics(predictions(), np.arange(50), 5.0, 16, 1.0, 10.0)
    assert pools["alignment_ceiling"] == pytest.approx((26 * math.log(13) + 24 * math.log(12)) / 50)


def test_diagnostics_of_one_term_alone_have_that_term_only():
    both = predictions()
    alignment = {name: both[name] for name in ("features", "ecg_embeds", "text_embeds")}
    found = evaluation_diagnostics(alignment, np.arange(50), 5.0, 16, 1.0, 0.0)
    assert found["loss"] == pytest.approx(-found["alignment_information"])
    assert "reconstruction_information" not in found
    reconstruction = {name: both[name] for name in ("features", "squared_error", "hidden")}
    found = evaluation_diagnostics(reconstruction, np.arange(50), 5.0, 16, 0.0, 4.0)
    assert found["loss"] == pytest.approx(-4 * found["reconstruction_information"])
    assert set(found) == {"feature_rank", "reconstruction_information", "loss"}


def test_diagnostics_of_a_batch_are_finite():
    z, t = random_embeddings(40)
    found = embedding_diagnostics(z, t, torch.arange(40))
    assert all(math.isfinite(value) for value in found.values())
    assert found["alignment_ceiling"] == pytest.approx(math.log(40))


def test_gradient_norms_are_those_of_each_term_and_do_not_change_stored_gradients():
    model = tiny_model(MeritForPreTraining, reconstruction_weight=3.0).train()
    inputs = tiny_inputs(MeritForPreTraining, batch=6)
    found = gradient_norms(model, inputs)
    assert all(parameter.grad is None for parameter in model.parameters())
    gradients = []
    for name, weight in (("alignment", 1.0), ("reconstruction", 3.0)):
        model.zero_grad()
        (-weight * model(**inputs)[f"{name}_information"]).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.ecg_model.parameters()]))
        assert found[f"{name}_gradient"] == pytest.approx(gradients[-1].norm().item(), rel=1e-4)
    assert found["gradient_cosine"] == pytest.approx(torch.cosine_similarity(*gradients, dim=0).item(), abs=1e-4)
    alone = gradient_norms(tiny_model(MeritForPreTraining, alignment_weight=0.0).train(), inputs)
    assert set(alone) == {"reconstruction_gradient"}
