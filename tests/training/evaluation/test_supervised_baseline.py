"""The supervised baseline: its network, crops and windows, training and resuming."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from safetensors.torch import load_file

from merit.training.evaluation import supervised_baseline as baselines
from merit.training.evaluation.supervised_baseline import (
    XResNet1d,
    load_signals,
    random_crops,
    sliding_windows,
    train_supervised,
)
from merit.training.scoring.protocol import Protocol

SMALL = (1, 1)


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    monkeypatch.setattr(baselines, "fast_precision", lambda: {"bf16": False})


@pytest.fixture(scope="module")
def waves():
    """Recordings of two leads with a slow wave, a fast wave or both."""
    rng = np.random.default_rng(0)
    time, splits = np.arange(500) / 100, {}
    for split, size in (("train", 96), ("validation", 40), ("test", 40)):
        labels = np.array([[1, 0], [0, 1], [1, 1]], np.uint8)[rng.integers(0, 3, size)]
        waves = np.stack([np.sin(2 * np.pi * f * time) for f in (3, 20)])
        signal = (labels @ waves)[:, None] * [[1.0], [-0.5]] + 0.2 * rng.normal(size=(size, 2, 500))
        rows = {
            "record_id": [f"{split}{i}" for i in range(size)],
            "signal": (1000 * signal).astype(np.int16).reshape(size, -1).tolist(),
            "gain": [[1000.0, 1000.0]] * size,
            "baseline": [[0, 0]] * size,
            "sampling_rate": [100.0] * size,
            "lead_names": [["I", "II"]] * size,
            "labels_wave": labels.tolist(),
        }
        splits[split] = Dataset.from_dict(rows)
    return DatasetDict(splits)


@pytest.fixture(scope="module")
def protocol(waves):
    return Protocol(["slow", "fast"], {s: np.array(rows["labels_wave"]) for s, rows in waves.items()}, resamples=5)


def train(waves, protocol, output, epochs):
    return train_supervised(waves, "wave", protocol, output, epochs=epochs, batch_size=16, blocks=SMALL)


def test_xresnet1d101_has_its_hundred_and_one_layers():
    network = XResNet1d(12, 71)
    layers = [
        module
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv1d | torch.nn.Linear) and "shortcut" not in name
    ]
    assert len(layers) == 3 + 3 * (3 + 4 + 23 + 3) + 2  # stem, bottlenecks, head
    assert {module.kernel_size[0] for module in layers if isinstance(module, torch.nn.Conv1d)} == {1, 5}
    assert network(torch.zeros(2, 12, 250)).shape == (2, 71)
    assert network.stages(network.stem(torch.zeros(1, 12, 256))).shape == (1, 256, 8)


def test_a_recording_is_scored_by_the_maximum_over_its_windows():
    class Loudest(torch.nn.Module):
        def forward(self, x):
            assert x.shape[-1] == 250
            return x.amax((1, 2))[:, None]

    signals = torch.zeros(3, 2, 1000)
    signals[1, 0, 990] = 5.0
    assert sliding_windows(Loudest(), signals).tolist() == [[0.0], [5.0], [0.0]]
    mean = sliding_windows(Loudest(), signals, "mean")
    assert 0 < mean[1, 0] < 5


def test_crops_are_contiguous_parts_of_the_signal():
    signals = torch.arange(1000.0).expand(4, 2, 1000)
    crops = random_crops(signals, 250, torch.Generator().manual_seed(0))
    assert crops.shape == (4, 2, 250)
    assert (crops.diff(dim=-1) == 1).all()
    assert len(set(crops[:, 0, 0].tolist())) > 1
    assert random_crops(signals[..., :100], 250, torch.Generator()).shape == (4, 2, 100)


def test_the_baseline_learns(waves, protocol, tmp_path):
    _, scores = train(waves, protocol, tmp_path, 6)
    assert protocol.macro_auroc("test", scores["test"]) > 0.9


def checkpoints(output):
    return {path.name: path for path in (output / "wave" / "checkpoints").glob("checkpoint-*")}


@pytest.mark.slow
def test_an_interrupted_training_resumes_to_the_same_scores_and_a_finished_one_only_scores(
    waves, protocol, tmp_path, monkeypatch
):
    network, whole = train(waves, protocol, tmp_path / "whole", 3)
    evaluate, evaluated = baselines.BaselineTrainer.evaluate, []

    def evaluate_and_stop(self, *args, **kwargs):
        evaluated.append(evaluate(self, *args, **kwargs))
        if len(evaluated) == 3:
            raise KeyboardInterrupt
        return evaluated[-1]

    with monkeypatch.context() as patched:
        patched.setattr(baselines.BaselineTrainer, "evaluate", evaluate_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(waves, protocol, tmp_path / "stopped", 3)
    assert "checkpoint-12" in checkpoints(tmp_path / "stopped")  # 96 records are 6 steps in an epoch
    assert "checkpoint-18" not in checkpoints(tmp_path / "stopped")
    resumed_network, resumed = train(waves, protocol, tmp_path / "stopped", 3)
    np.testing.assert_allclose(resumed["test"], whole["test"], atol=1e-5)
    for name, values in network.state_dict().items():
        torch.testing.assert_close(resumed_network.state_dict()[name], values, atol=1e-5, rtol=1e-4, msg=name)
    last = [
        load_file(checkpoints(tmp_path / name)["checkpoint-18"] / "model.safetensors") for name in ("whole", "stopped")
    ]
    for name, values in last[0].items():
        torch.testing.assert_close(last[1][name], values, atol=1e-5, rtol=1e-4, msg=name)
    monkeypatch.setattr(baselines, "random_crops", None)  # nothing is left to train
    _, again = train(waves, protocol, tmp_path / "whole", 3)
    np.testing.assert_allclose(again["test"], whole["test"], atol=1e-6)


@pytest.mark.slow
def test_the_best_epoch_on_validation_is_kept(waves, protocol, tmp_path):
    network, scores = train(waves, protocol, tmp_path, 4)
    state = json.loads((checkpoints(tmp_path)["checkpoint-24"] / "trainer_state.json").read_text())
    auroc = {entry["step"]: entry["eval_auroc"] for entry in state["log_history"] if "eval_auroc" in entry}
    assert len(auroc) == 4
    assert state["best_metric"] == max(auroc.values())
    assert protocol.macro_auroc("validation", scores["validation"]) == pytest.approx(max(auroc.values()), abs=1e-6)
    best = load_file(checkpoints(tmp_path)[f"checkpoint-{max(auroc, key=auroc.get)}"] / "model.safetensors")
    for name, values in network.state_dict().items():
        torch.testing.assert_close(values, best[f"network.{name}"], msg=name)


@pytest.mark.slow
def test_the_learning_rate_follows_one_cycle(waves, protocol, tmp_path):
    train(waves, protocol, tmp_path, 4)
    state = json.loads((checkpoints(tmp_path)["checkpoint-24"] / "trainer_state.json").read_text())
    rates = [entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry]
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, 24)
    expected = []
    for step in range(1, 25):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        if step < 24:
            schedule.step()
    assert rates == pytest.approx([expected[step] for step in (5, 11, 17, 23)], rel=1e-3)


def test_signals_at_another_rate_are_refused(waves):
    rows = waves["test"].remove_columns("sampling_rate").add_column("sampling_rate", [500.0] * 40)
    with pytest.raises(ValueError, match="test0 has 500 Hz"):
        load_signals(rows)


@pytest.mark.slow
def test_the_command_writes_a_result_file_that_compares(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "XRESNET1D101", SMALL)
    content = baselines.supervised_baseline(dataset, "simulated", ["super"], tmp_path, epochs=1)
    [result] = content["results"]
    assert (result["task"], result["method"], result["setting"]) == ("super", "supervised", {})
    assert content["model"]["parameters"] > 0
    assert content["data"]["splits"]["test"]["records"] == len(dataset["test"])
