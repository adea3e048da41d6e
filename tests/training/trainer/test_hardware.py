"""Settings that are fast on this machine."""

import pytest

from merit.training.trainer.hardware import fast_attention, fast_device, fast_loading


@pytest.mark.parametrize(
    ("gpu", "device", "attention", "loading"),
    [(True, "cuda", "sdpa", {"dataloader_num_workers": 4}), (False, "cpu", "eager", {})],
    ids=["with a GPU", "without"],
)
def test_a_gpu_and_loader_workers_are_used_if_there_is_a_gpu(monkeypatch, gpu, device, attention, loading):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    assert fast_device().type == device
    assert fast_attention() == attention
    assert fast_loading() == loading
