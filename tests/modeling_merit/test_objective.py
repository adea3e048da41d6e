"""The objective: both bounds against values computed by hand, the masks, and negatives across processes."""

import math
from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from random_values import random_embeddings
from tiny_models import tiny_inputs, tiny_model

from merit import MeritModel
from merit.modeling_merit.modeling_merit import (
    alignment_information,
    gather_with_gradient,
    merit_objective,
    num_visible,
    random_visibility,
    reconstruction_information,
    report_keys,
    standardise_leads,
)

SCALE = torch.tensor(5.0)


# I(Z;T)


def info_nce_by_hand(z, t, scale):
    batch = len(z)
    total = 0.0
    for i in range(batch):
        per_ecg = [math.exp(scale * float(z[i] @ t[j])) for j in range(batch)]
        per_text = [math.exp(scale * float(z[j] @ t[i])) for j in range(batch)]
        total += math.log(per_ecg[i] / sum(per_ecg)) / 2 + math.log(per_text[i] / sum(per_text)) / 2
    return math.log(batch) + total / batch


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_alignment_of_distinct_reports_is_plain_info_nce(batch):
    z, t = random_embeddings(batch)
    information = alignment_information(z, t, SCALE, torch.eye(batch, dtype=torch.bool))
    assert information.item() == pytest.approx(info_nce_by_hand(z, t, 5.0), abs=1e-5)


def test_alignment_reaches_the_log_of_the_batch_and_never_more():
    z = torch.eye(8)
    information = alignment_information(z, z, torch.tensor(100.0), torch.eye(8, dtype=torch.bool))
    assert information.item() == pytest.approx(math.log(8), abs=1e-5)
    for seed in range(20):
        z, t = random_embeddings(8, 4, seed)
        assert alignment_information(z, t, 10 * SCALE, torch.eye(8, dtype=torch.bool)) <= math.log(8)


def test_alignment_information_is_zero_if_all_embeddings_are_equal():
    z = F.normalize(torch.ones(5, 3), dim=-1)
    assert alignment_information(z, z, SCALE, torch.eye(5, dtype=torch.bool)).item() == pytest.approx(0, abs=1e-6)


def test_the_ecgs_of_identical_reports_can_be_swapped():
    z, t = random_embeddings()
    # One report in two languages, whose embeddings differ.
    keys = torch.tensor([0, 1, 2, 1, 4, 5])
    same = keys[:, None] == keys
    swapped = z[[0, 3, 2, 1, 4, 5]]
    torch.testing.assert_close(alignment_information(z, t, SCALE, same), alignment_information(swapped, t, SCALE, same))
    distinct = torch.eye(6, dtype=torch.bool)
    assert (
        alignment_information(z, t, SCALE, distinct) - alignment_information(swapped, t, SCALE, distinct)
    ).abs() > 0.01


def test_a_batch_of_identical_reports_holds_no_information():
    z, t = random_embeddings()
    everything = torch.ones(6, 6, dtype=torch.bool)
    assert alignment_information(z, t[:1].expand(6, -1), SCALE, everything) <= 1e-6
    assert alignment_information(z[:1].expand(6, -1), t[:1].expand(6, -1), SCALE, everything).abs() < 1e-6


def test_reports_that_occur_k_times_lower_the_limit_to_the_log_of_batch_over_k():
    keys = torch.arange(4).repeat(2)
    z = torch.eye(4)[keys]
    information = alignment_information(z, z, torch.tensor(100.0), keys[:, None] == keys)
    assert information.item() == pytest.approx(math.log(4), abs=1e-5)


def test_a_report_that_occurs_twice_is_not_a_negative_of_itself():
    z, t = random_embeddings()
    t = t[[0, 1, 1, 3, 4, 5]]
    keys = torch.tensor([0, 1, 1, 3, 4, 5])
    z = z.clone().requires_grad_()
    alignment_information(z, t, SCALE, keys[:, None] == keys).backward()
    # As an ECG moves towards the text that it shares with another, it gains.
    assert (z.grad[1] @ t[1]) > 0
    assert (z.grad[2] @ t[1]) > 0


# Which reports are the same


def padded(tokens, length, side="right"):
    pad = [0] * (length - len(tokens))
    ids = pad + tokens if side == "left" else tokens + pad
    mask = [0] * len(pad) + [1] * len(tokens) if side == "left" else [1] * len(tokens) + [0] * len(pad)
    return torch.tensor([ids]), torch.tensor([mask])


def test_equal_texts_have_equal_keys_with_any_padding():
    tokens = [2, 17, 4000, 5, 3]
    key = report_keys(torch.tensor([tokens]), None)
    for length in (5, 6, 50):
        for side in ("left", "right"):
            ids, mask = padded(tokens, length, side)
            assert report_keys(ids, mask) == key
            assert report_keys(ids, mask.bool()) == key
    ids, mask = padded(tokens, 9)
    assert report_keys(ids.masked_fill(mask == 0, 4095), mask) == key


def test_a_padding_token_within_the_text_counts():
    assert report_keys(torch.tensor([[5, 0, 6]]), None) != report_keys(torch.tensor([[5, 6, 0]]), None)
    assert report_keys(torch.tensor([[5, 0]]), None) != report_keys(torch.tensor([[5]]), None)


def test_different_texts_have_different_keys():
    generator = torch.Generator().manual_seed(0)
    texts = {(), *permutations((1, 2, 3, 3, 2, 1, 9)), *permutations((40, 41, 42, 43, 44, 45))}
    for text in torch.randint(0, 4096, (3000, 24), generator=generator).tolist():
        texts.update((tuple(text), tuple(text[:12]), tuple(text[12:]), (*text[1:], text[0]), tuple(sorted(text))))
        texts.update(tuple(text[:length]) for length in (1, 2, 3))
    # Mirrored exchanges of tokens: what a sum that weighs positions evenly takes for the same.
    texts.update((a, b, 7, c, c, 7, b, a) for a in range(12) for b in range(12) for c in range(12))
    texts.update((b, a, 7, c, c, 7, a, b) for a in range(12) for b in range(12) for c in range(12))
    texts = sorted(texts)
    ids = torch.tensor([[*text, *[0] * (24 - len(text))] for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (24 - len(text)) for text in texts])
    keys = report_keys(ids, mask)
    assert len(texts) > 15_000
    assert len(keys.unique()) == len(texts)


# I(Z;X)


def test_predicting_the_mean_of_a_standardised_signal_gives_no_information():
    recorded = torch.ones(2, 12, 10, dtype=torch.bool)
    x = standardise_leads(3 + 7 * torch.randn(2, 12, 10, 25), recorded)
    assert reconstruction_information(x, torch.zeros_like(x), recorded).item() == pytest.approx(0, abs=1e-4)


def test_information_is_minus_half_the_log_of_the_error_and_rises_as_it_falls():
    x = torch.randn(2, 3, 4, 5)
    everywhere = torch.ones(2, 3, 4, dtype=torch.bool)
    found = [reconstruction_information(x, x + error, everywhere).item() for error in (2.0, 0.5, 0.1)]
    assert found == pytest.approx([-0.5 * math.log(error**2) for error in (2.0, 0.5, 0.1)], abs=1e-4)


def test_only_masked_cells_count():
    x, x_hat, hidden = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5), torch.rand(2, 3, 4) < 0.5
    by_hand = -0.5 * math.log((x - x_hat)[hidden].square().mean())
    assert reconstruction_information(x, x_hat, hidden).item() == pytest.approx(by_hand, abs=1e-5)
    elsewhere = torch.where(hidden[..., None], x, 1e3 * torch.randn_like(x))
    assert reconstruction_information(elsewhere, x_hat, hidden).item() == pytest.approx(by_hand, abs=1e-5)


def test_information_is_finite_without_masked_cells_and_without_error():
    x = torch.randn(1, 2, 3, 4)
    x_hat = x.clone().requires_grad_()
    nothing = reconstruction_information(x, x_hat, torch.zeros(1, 2, 3, dtype=torch.bool))
    perfect = reconstruction_information(x, x_hat, torch.ones(1, 2, 3, dtype=torch.bool))
    (nothing + perfect).backward()
    assert nothing == 0
    assert perfect.item() == pytest.approx(math.log(1000), abs=1e-3)
    assert (x_hat.grad == 0).all()


def test_leads_are_standardised_over_recorded_samples():
    patches = torch.randn(2, 3, 8, 25) * torch.tensor([0.01, 1, 50])[:, None, None] + 4
    recorded = torch.ones(2, 3, 8, dtype=torch.bool)
    recorded[0, :, 5:] = False
    x = standardise_leads(patches, recorded)
    torch.testing.assert_close(x[0, :, :5].mean((1, 2)), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(x[0, :, :5].var((1, 2), correction=0), torch.ones(3), atol=1e-3, rtol=0)
    assert (x[0, :, 5:] == 0).all()


# Together


def test_the_objective_is_the_weighted_sum_of_both_bounds():
    zt, zx = torch.tensor(2.0), torch.tensor(0.5)
    assert merit_objective(zt, zx, 1.0, 10.0) == -7
    assert merit_objective(zt, None, 3.0, 0.0) == -6
    assert merit_objective(None, zx, 0.0, 4.0) == -2


# Masks


@pytest.mark.parametrize(("time_ratio", "lead_ratio"), [(0.5, 0.5), (0.0, 0.25), (0.75, 0.0), (0.9, 0.9)])
def test_the_mask_hides_the_requested_share(time_ratio, lead_ratio):
    recorded = torch.ones(4, 12, 40, dtype=torch.bool)
    visible = random_visibility(recorded, time_ratio, lead_ratio)
    assert (visible.any(1).sum(-1) == max(1, round(40 * (1 - time_ratio)))).all()
    leads = visible.sum(1)
    assert (leads[leads > 0] == max(1, round(12 * (1 - lead_ratio)))).all()


def test_the_masked_share_refers_to_recorded_cells():
    recorded = torch.ones(3, 12, 40, dtype=torch.bool)
    recorded[0, 4:] = False
    recorded[1, :, 10:] = False
    recorded[2, :, :36] = False
    visible = random_visibility(recorded, 0.5, 0.5)
    assert visible.any(1).sum(-1).tolist() == [20, 5, 2]
    assert visible.sum((1, 2)).tolist() == [20 * 2, 5 * 6, 2 * 6]


def test_cells_that_were_not_recorded_are_neither_visible_nor_masked():
    recorded = torch.rand(8, 12, 30) < 0.3
    for seed in range(5):
        visible = random_visibility(recorded, 0.5, 0.5, torch.rand(8, 12, 30, generator=torch.manual_seed(seed)))
        assert not (visible & ~recorded).any()


@pytest.mark.parametrize(("leads", "patches"), [(1, 1), (1, 10), (12, 1), (2, 3)])
def test_at_least_one_cell_stays_visible(leads, patches):
    recorded = torch.zeros(6, 12, 12, dtype=torch.bool)
    recorded[:, 3 : 3 + leads, :patches] = True
    assert random_visibility(recorded, 0.99, 0.99).flatten(1).any(1).all()


def test_a_recording_without_cells_has_no_visible_cell():
    assert not random_visibility(torch.zeros(1, 12, 10, dtype=torch.bool), 0.5, 0.5).any()


def test_noise_alone_determines_the_mask():
    recorded = torch.ones(2, 12, 20, dtype=torch.bool)
    noise = torch.rand(2, 12, 20)
    first = random_visibility(recorded, 0.5, 0.5, noise)
    torch.manual_seed(3)
    assert torch.equal(first, random_visibility(recorded, 0.5, 0.5, noise))
    assert torch.equal(first.flip(0), random_visibility(recorded, 0.5, 0.5, noise.flip(0)))
    assert not torch.equal(first, random_visibility(recorded, 0.5, 0.5, torch.rand(2, 12, 20)))
    torch.manual_seed(3)
    again = random_visibility(recorded, 0.5, 0.5)
    torch.manual_seed(3)
    assert torch.equal(again, random_visibility(recorded, 0.5, 0.5))


def test_every_cell_is_masked_equally_often():
    seen = torch.stack([random_visibility(torch.ones(50, 12, 20, dtype=torch.bool), 0.5, 0.5) for _ in range(40)])
    share = seen.float().mean((0, 1))
    # 2000 draws of probability 1/4: five standard errors.
    torch.testing.assert_close(share, torch.full_like(share, 0.25), atol=0.05, rtol=0)


def test_numbers_and_tensors_are_rounded_alike():
    counts = torch.arange(1, 2401)
    for ratio in [*(hundredth / 100 for hundredth in range(100)), 1 / 3, 2 / 3]:
        assert num_visible(counts, ratio).tolist() == [num_visible(count, ratio) for count in counts.tolist()]


# Across processes

WORLD, PER_RANK = 2, 3


def one_step(model, inputs):
    model.zero_grad()
    model(**inputs, return_loss=True).loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def train_on_rank(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD)
    part = slice(rank * PER_RANK, (rank + 1) * PER_RANK)
    inputs = {name: tensor[part] for name, tensor in pairs().items()}
    if rank:
        # The collator pads each rank's reports to its own longest.
        inputs["input_ids"] = F.pad(inputs["input_ids"], (0, 2))
        inputs["attention_mask"] = F.pad(inputs["attention_mask"], (0, 2))
    gradients = one_step(tiny_model(MeritModel).train(), inputs)
    for gradient in gradients.values():
        torch.distributed.all_reduce(gradient)
        gradient /= WORLD
    torch.save(gradients, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def pairs():
    """Six pairs. The second and the fifth report, which are on different ranks, are equal."""
    inputs = tiny_inputs(MeritModel, batch=WORLD * PER_RANK)
    for name in ("input_ids", "attention_mask"):
        inputs[name][4] = inputs[name][1]
    return inputs


@pytest.mark.slow
def test_two_processes_take_the_training_step_of_one_with_the_whole_batch(tmp_path):
    torch.multiprocessing.spawn(train_on_rank, args=(str(tmp_path),), nprocs=WORLD)
    expected = one_step(tiny_model(MeritModel), pairs())
    for rank in range(WORLD):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, atol=2e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_a_single_process_gathers_its_own_rows():
    tensor = torch.randn(2, 3)
    assert gather_with_gradient(tensor) is tensor
