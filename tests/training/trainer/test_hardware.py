"""What is fast on this machine: a GPU where there is one, with processes that load for it."""

import pytest

from merit.training.trainer.hardware import fast_attention, fast_device, fast_loading


@pytest.mark.parametrize(
    ("gpu", "device", "attention", "loading"),
    [(True, "cuda", "sdpa", {"dataloader_num_workers": 4}), (False, "cpu", "eager", {})],
    ids=["with a GPU", "without"],
)
def test_a_gpu_is_used_where_there_is_one(monkeypatch, gpu, device, attention, loading):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    assert fast_device().type == device
    assert fast_attention() == attention
    assert fast_loading() == loading
