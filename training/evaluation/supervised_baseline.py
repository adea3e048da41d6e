"""A supervised baseline: xresnet1d101 trained from scratch, after Strodthoff et al. (arXiv 2004.13701).

Random 2.5 s crops at 100 Hz train it with binary cross-entropy under a one-cycle schedule; a recording is scored by the
highest (or mean) probability of windows that overlap by half. The network: three convolutions and a pooling, then
3, 4, 23 and 3 bottleneck blocks of 64 inner and 256 outer channels with kernels of 5, average-pooled shortcuts, and a
head on the concatenation of mean and maximum over time.

    >>> XResNet1d(num_leads=12, num_labels=5)(torch.zeros(2, 12, 250)).shape
    torch.Size([2, 5])
"""

import hashlib
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset, DatasetDict
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm.auto import tqdm

from ...processing.inputs_merit import recording_of_row
from ..results.weights import weights_sha256
from ..scoring.embeddings import batches
from ..scoring.protocol import Protocol, protocol_of, score
from ..trainer.hardware import fast_device, fast_precision
from .output import result_file

XRESNET1D101 = (3, 4, 23, 3)
SAMPLING_RATE = 100
CROP = 250  # samples: 2.5 s
_PARTS = ("model", "best", "optimizer")


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, active: bool = True) -> nn.Sequential:
    layers = [nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm1d(outputs)]
    nn.init.kaiming_normal_(layers[0].weight)  # type: ignore[arg-type]
    return nn.Sequential(*layers, nn.ReLU()) if active else nn.Sequential(*layers)


class Bottleneck(nn.Module):
    """1, kernel, 1, with a shortcut; it starts as the identity."""

    def __init__(self, inputs: int, inner: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        self.path = nn.Sequential(
            _convolution(inputs, inner, 1),
            _convolution(inner, inner, kernel, stride),
            _convolution(inner, outputs, 1, active=False),
        )
        nn.init.zeros_(self.path[-1][1].weight)  # type: ignore[index]
        pool = [nn.AvgPool1d(2, ceil_mode=True)] if stride > 1 else []
        change = [_convolution(inputs, outputs, 1, active=False)] if inputs != outputs else []
        self.shortcut = nn.Sequential(*pool, *change)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.path(x) + self.shortcut(x))


class XResNet1d(nn.Module):
    """
    Args:
        num_leads, num_labels: of the signal and of the task.
        blocks: in each of the stages; all but the first halve the time.
    """

    def __init__(self, num_leads: int, num_labels: int, blocks: tuple[int, ...] = XRESNET1D101, kernel: int = 5):
        super().__init__()
        inner, outer = 64, 256
        self.stem = nn.Sequential(
            _convolution(num_leads, 32, kernel, 2),
            _convolution(32, 32, kernel),
            _convolution(32, 64, kernel),
            nn.MaxPool1d(3, 2, 1),
        )
        self.stages = nn.Sequential(
            *(
                Bottleneck(64 if stage == i == 0 else outer, inner, outer, kernel, 2 if stage and not i else 1)
                for stage, number in enumerate(blocks)
                for i in range(number)
            )
        )
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * outer),
            nn.Dropout(0.25),
            nn.Linear(2 * outer, 128, bias=False),
            nn.ReLU(),
            nn.BatchNorm1d(128),
            nn.Dropout(0.5),
            nn.Linear(128, num_labels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `(batch, num_labels)` of signals `(batch, num_leads, samples)`."""
        features = self.stages(self.stem(x))
        return self.head(torch.cat([features.amax(-1), features.mean(-1)], dim=-1))


class SupervisedBaseline:
    """What a result file says of the networks, one for each task, of [`supervised_baseline`]."""

    name = "xresnet1d101, supervised"
    fingerprint = None
    weights_sha256: str
    parameters: int


def supervised_baseline(
    dataset: DatasetDict, name: str, tasks: Sequence[str], output: str | Path, epochs: int = 50, seed: int = 0
) -> dict:
    """
    Train one network for each task, or go on with it, and judge them all.

    Args:
        dataset: as for [`train_supervised`].
        name: of the data set.

    Returns:
        a result file, to be compared with those of `merit evaluate`.
    """
    results, baseline = [], SupervisedBaseline()
    digest = hashlib.sha256()
    for task in tasks:
        protocol = protocol_of(dataset, task)
        model, scores = train_supervised(dataset, task, protocol, output, epochs, seed=seed)
        digest.update(weights_sha256(model.state_dict()).encode())
        baseline.parameters = sum(weight.numel() for weight in model.parameters())
        results.append(score(protocol, scores, task, "supervised", {}))
    baseline.weights_sha256 = digest.hexdigest()
    return result_file(baseline, dataset, name, seed, results)  # type: ignore[arg-type]


def train_supervised(
    dataset: DatasetDict,
    task: str,
    protocol: Protocol,
    output: str | Path,
    epochs: int = 50,
    batch_size: int = 128,
    seed: int = 0,
    blocks: tuple[int, ...] | None = None,
) -> tuple["XResNet1d", dict[str, np.ndarray]]:
    """
    Train on "train", keep the epoch that is best on "validation", and score both other splits.

    After every epoch a checkpoint stands in `output`, from which the same call goes on; the last one is kept, so that
    a call after the end only scores.

    Args:
        dataset: with recordings at 100 Hz, all of the same leads.
        task: with its column labels_TASK.
        protocol: of the task.

    Returns:
        the network, and its scores `(records, labels)` of "validation" and "test".
    """
    torch.manual_seed(seed)
    signals = {split: load_signals(dataset[split]) for split in ("train", "validation", "test")}
    rows = torch.from_numpy(np.flatnonzero(protocol.kept["train"]))
    x, y = signals["train"], torch.from_numpy(protocol.all_targets["train"]).float()
    # One mean and deviation for all leads: what sets them apart stays.
    mean, deviation = x[rows].mean(dtype=torch.float64).float(), x[rows[:: max(1, len(rows) // 2000)]].std()
    device = fast_device()
    model = XResNet1d(x.shape[1], y.shape[1], blocks or XRESNET1D101).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
    steps = max(1, len(rows) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, epochs * steps)
    precision = torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast_precision()["bf16"])

    def score(split: str) -> np.ndarray:
        model.eval()
        parts = []
        for part in signals[split].split(256):
            with precision, torch.inference_mode():
                parts.append(sliding_windows(model, ((part - mean) / deviation).to(device)).float().cpu())
        return torch.cat(parts).numpy()

    path = Path(output) / f"{task}.safetensors"
    first, best, best_state = _resume(path, model, optimizer, schedule, steps)
    for epoch in range(first, epochs):
        model.train()
        generator = torch.Generator().manual_seed(seed * 1000 + epoch)  # the same crops, resumed or not
        torch.manual_seed(seed * 1000 + epoch)
        order = rows[torch.randperm(len(rows), generator=generator)]
        parts = [part for part in order.split(batch_size) if len(part) > 1][:steps]
        for batch in tqdm(parts, desc=f"{task}, epoch {epoch + 1} of {epochs}", unit=" batches", leave=False):
            crops = random_crops(x[batch], CROP, generator)
            with precision:
                loss = F.binary_cross_entropy_with_logits(
                    model(((crops - mean) / deviation).to(device)).float(), y[batch].to(device)
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        auroc = protocol.macro_auroc("validation", score("validation"))
        if auroc > best:
            best, best_state = auroc, {name: value.clone() for name, value in model.state_dict().items()}
        print(f"{task}, epoch {epoch + 1}: macro AUROC {auroc:.4f} on validation, best {best:.4f}", flush=True)
        _save(path, model, optimizer, epoch + 1, best, best_state)
    model.load_state_dict(best_state)
    return model, {split: score(split) for split in ("validation", "test")}


def load_signals(dataset: Dataset) -> torch.Tensor:
    """All signals in millivolts, `(records, leads, samples)` float32, invalid samples 0."""
    parts = []
    for part in batches(dataset):
        for row in part:
            if row["sampling_rate"] != SAMPLING_RATE:
                raise ValueError(
                    f"{row['record_id']} has {row['sampling_rate']:g} Hz, the baseline takes {SAMPLING_RATE} Hz: "
                    "prepare the data set at that rate."
                )
            parts.append(np.nan_to_num(recording_of_row(row).physical()).astype(np.float32))
            if parts[-1].shape != parts[0].shape:
                raise ValueError(f"{row['record_id']} has the shape {parts[-1].shape}, others {parts[0].shape}.")
    return torch.from_numpy(np.stack(parts))


def random_crops(signals: torch.Tensor, length: int, generator: torch.Generator) -> torch.Tensor:
    """A stretch of each signal, `(batch, leads, length)`; a shorter signal is taken whole."""
    latest = max(0, signals.shape[-1] - length)
    starts = torch.randint(0, latest + 1, (len(signals),), generator=generator)
    return torch.stack([signal[:, start : start + length] for signal, start in zip(signals, starts.tolist())])


def sliding_windows(model: nn.Module, signals: torch.Tensor, aggregate: str = "max") -> torch.Tensor:
    """Logits `(batch, labels)`: the highest, or the mean probability's, of windows of 2.5 s that overlap by half."""
    length = min(CROP, signals.shape[-1])
    windows = signals.unfold(-1, length, max(1, length // 2)).transpose(1, 2)  # (batch, windows, leads, length)
    logits = model(windows.flatten(0, 1)).float().view(*windows.shape[:2], -1)
    if aggregate == "max":
        return logits.amax(1)
    return torch.logit(logits.sigmoid().mean(1), eps=1e-6)


def _save(path: Path, model, optimizer, epoch: int, best: float, best_state) -> None:
    """Weights, the best so far, and the optimiser's moments, as one file under a temporary name first."""
    state = optimizer.state_dict()["state"]
    moments = {f"{i}.{name}": value for i, values in state.items() for name, value in values.items()}
    groups = dict(zip(_PARTS, (model.state_dict(), best_state, moments)))
    tensors = {f"{part}:{name}": value.contiguous() for part, group in groups.items() for name, value in group.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    facts = torch.tensor([epoch, best], dtype=torch.float64)
    save_file({**{name: value.clone() for name, value in tensors.items()}, "progress": facts}, unfinished)
    unfinished.replace(path)


def _resume(path: Path, model, optimizer, schedule, steps: int) -> tuple[int, float, dict[str, torch.Tensor]]:
    """The epochs done, the best macro AUROC and its weights; sets model, optimiser and schedule where they were."""
    if not path.is_file():
        return 0, -math.inf, model.state_dict()
    tensors = load_file(path)
    epoch, best = tensors.pop("progress").tolist()
    parts: dict[str, dict[str, torch.Tensor]] = {part: {} for part in _PARTS}
    for name, value in tensors.items():
        part, _, own = name.partition(":")
        parts[part][own] = value
    model.load_state_dict(parts["model"])
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in parts["optimizer"].items():
        number, _, own = name.partition(".")
        moments.setdefault(int(number), {})[own] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the optimiser has not stepped in this process
        for _ in range(int(epoch) * steps):
            schedule.step()
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(epoch), best, parts["best"]
