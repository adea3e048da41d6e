"""A supervised baseline: xresnet1d101 trained from scratch, after Strodthoff et al. (arXiv 2004.13701).

It is trained with binary cross-entropy on random crops of 2.5 s at 100 Hz, under a one-cycle learning-rate schedule. A
recording is scored by the maximum (or mean) over windows that overlap by half. The network has three convolutions and a
pooling layer; 3, 4, 23 and 3 bottleneck blocks with 64 inner and 256 outer channels, kernels of 5 and average-pooled
shortcuts; and a head on the concatenation of mean and maximum over time.

    >>> XResNet1d(num_leads=12, num_labels=5)(torch.zeros(2, 12, 250)).shape
    torch.Size([2, 5])
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset, DatasetDict
from torch import nn
from transformers import EvalPrediction, TrainingArguments, set_seed

from ...processing.inputs_merit import recording_of_row
from ..results.weights import weights_sha256
from ..scoring.embeddings import batches
from ..scoring.protocol import Protocol, protocol_of, score
from ..trainer.checkpoints import CHECKPOINTS, train_or_resume
from ..trainer.hardware import fast_precision
from ..trainer.trainer import EcgTrainer
from .output import result_file

XRESNET1D101 = (3, 4, 23, 3)
SAMPLING_RATE = 100
CROP = 250  # samples: 2.5 s


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, activate: bool = True) -> nn.Sequential:
    layers = [nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm1d(outputs)]
    nn.init.kaiming_normal_(layers[0].weight)  # type: ignore[arg-type]
    return nn.Sequential(*layers, nn.ReLU()) if activate else nn.Sequential(*layers)


class Bottleneck(nn.Module):
    """Convolutions with kernels 1, `kernel` and 1 and a shortcut; the block is initialised as its shortcut."""

    def __init__(self, inputs: int, inner: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        self.path = nn.Sequential(
            _convolution(inputs, inner, 1),
            _convolution(inner, inner, kernel, stride),
            _convolution(inner, outputs, 1, activate=False),
        )
        nn.init.zeros_(self.path[-1][1].weight)  # type: ignore[index]
        pool = [nn.AvgPool1d(2, ceil_mode=True)] if stride > 1 else []
        project = [_convolution(inputs, outputs, 1, activate=False)] if inputs != outputs else []
        self.shortcut = nn.Sequential(*pool, *project)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.path(x) + self.shortcut(x))


class XResNet1d(nn.Module):
    """
    A one-dimensional xresnet.

    Args:
        num_leads: leads of the signal.
        num_labels: labels of the task.
        blocks: number of blocks in each stage; every stage but the first halves the time resolution.
        kernel: size of the convolution kernels.
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
        """From signals `(batch, num_leads, samples)` to logits `(batch, num_labels)`."""
        features = self.stages(self.stem(x))
        return self.head(torch.cat([features.amax(-1), features.mean(-1)], dim=-1))


class WindowClassifier(nn.Module):
    """
    The network with normalised input: trained on crops, evaluated on all windows of a recording.

    Args:
        network: the network.
        mean: mean of the training signals in mV.
        deviation: their standard deviation in mV.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, network: XResNet1d, mean: torch.Tensor, deviation: torch.Tensor):
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, ecg_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The loss and the logits `(batch, num_labels)` of signals in mV `(batch, num_leads, samples)`."""
        x = (ecg_values - self.mean) / self.deviation
        logits = self.network(x) if self.training else sliding_windows(self.network, x)
        return {"loss": F.binary_cross_entropy_with_logits(logits.float(), labels), "logits": logits}


class BaselineTrainer(EcgTrainer):
    """The Trainer with a one-cycle schedule and weight decay on all parameters."""

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None):
        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.OneCycleLR(
                optimizer or self.optimizer,  # type: ignore[arg-type]
                self.args.learning_rate,
                num_training_steps,
            )
        return self.lr_scheduler

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        return [name for name, _ in model.named_parameters()]


class SupervisedBaseline:
    """How result files describe the networks of [`supervised_baseline`], one for each task."""

    name = "xresnet1d101, supervised"
    fingerprint = None
    weights_sha256: str
    parameters: int


def supervised_baseline(
    dataset: DatasetDict, name: str, tasks: Sequence[str], output: str | Path, epochs: int = 50, seed: int = 0
) -> dict:
    """
    Train one network for each task, or resume it, and evaluate them all.

    Args:
        dataset: as for [`train_supervised`].
        name: name of the data set.
        tasks: names of the tasks.
        output: folder for the checkpoints.
        epochs: epochs of training.
        seed: seed of training.

    Returns:
        The content of a result file, which can be compared with those of `merit evaluate`.
    """
    results, baseline = [], SupervisedBaseline()
    digest = hashlib.sha256()
    for task in tasks:
        protocol = protocol_of(dataset, task)
        network, scores = train_supervised(dataset, task, protocol, output, epochs, seed=seed)
        digest.update(weights_sha256(network.state_dict()).encode())
        baseline.parameters = sum(weight.numel() for weight in network.parameters())
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
) -> tuple[XResNet1d, dict[str, np.ndarray]]:
    """
    Train on "train", keep the epoch that is best on "validation", and score "validation" and "test".

    Checkpoints go to `output`/`task`/checkpoints. The same call resumes from the last one, or only scores if training
    is complete.

    Args:
        dataset: with recordings at 100 Hz that all have the same leads.
        task: name of the task, whose targets are in the column labels_TASK.
        protocol: protocol of the task.
        output: folder for the checkpoints.
        epochs: epochs of training.
        batch_size: recordings in a batch.
        seed: seed of training.
        blocks: blocks in each stage of the network, by default those of xresnet1d101.

    Returns:
        The network, and its scores `(records, labels)` of "validation" and "test".
    """
    set_seed(seed)
    signals = {split: load_signals(dataset[split]) for split in ("train", "validation", "test")}
    targets = {split: torch.from_numpy(protocol.all_targets[split]).float() for split in signals}
    rows = {
        split: [{"ecg_values": x, "labels": y} for x, y in zip(signals[split], targets[split])] for split in signals
    }
    trained = np.flatnonzero(protocol.kept["train"])
    x = signals["train"]
    # One mean and one standard deviation for all leads: relative amplitudes of leads carry information.
    mean = x[trained].mean(dtype=torch.float64).float()
    deviation = x[trained[:: max(1, len(trained) // 2000)]].std()
    network = XResNet1d(x.shape[1], len(protocol.labels), blocks or XRESNET1D101)

    def macro_auroc(prediction: EvalPrediction) -> dict[str, float]:
        return {"auroc": protocol.macro_auroc("validation", prediction.predictions)}  # type: ignore[arg-type]

    checkpoints = Path(output) / task / CHECKPOINTS
    arguments = TrainingArguments(
        str(checkpoints),
        num_train_epochs=epochs,
        learning_rate=1e-2,
        weight_decay=1e-2,
        max_grad_norm=0.0,
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=256,
        # A batch of one record would have no batch statistics.
        dataloader_drop_last=len(trained) >= batch_size,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,  # the best and the last, from which a finished run is recognised
        load_best_model_at_end=True,
        metric_for_best_model="auroc",
        remove_unused_columns=False,
        report_to="none",
        seed=seed,
        **fast_precision(),
    )
    trainer = BaselineTrainer(
        WindowClassifier(network, mean, deviation),
        arguments,
        train_dataset=[rows["train"][i] for i in trained],
        eval_dataset=rows["validation"],
        data_collator=partial(collate, crop=CROP),
        eval_collator=collate,
        compute_metrics=macro_auroc,
    )
    train_or_resume(trainer, checkpoints)
    trainer.compute_metrics = None  # it is defined for "validation" only
    scores = {split: trainer.predict(rows[split]).predictions for split in ("validation", "test")}  # type: ignore[arg-type]
    return network, scores  # type: ignore[return-value]


def load_signals(dataset: Dataset) -> torch.Tensor:
    """All signals in millivolts, `(records, leads, samples)` float32; invalid samples are 0."""
    parts = []
    for part in batches(dataset):
        for row in part:
            if row["sampling_rate"] != SAMPLING_RATE:
                raise ValueError(
                    f"{row['record_id']} has {row['sampling_rate']:g} Hz, the baseline needs {SAMPLING_RATE} Hz: "
                    "prepare the data set at that rate."
                )
            parts.append(np.nan_to_num(recording_of_row(row).physical()).astype(np.float32))
            if parts[-1].shape != parts[0].shape:
                raise ValueError(f"{row['record_id']} has the shape {parts[-1].shape}, others {parts[0].shape}.")
    return torch.from_numpy(np.stack(parts))


def collate(rows: Sequence[Mapping[str, Any]], crop: int | None = None) -> dict[str, torch.Tensor]:
    """A batch of signals and labels, of random crops of so many samples if `crop` is given."""
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    if crop is not None:
        batch["ecg_values"] = random_crops(batch["ecg_values"], crop)
    return batch


def random_crops(signals: torch.Tensor, length: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """A random crop of each signal, `(batch, leads, length)`; a shorter signal is kept whole."""
    latest = max(0, signals.shape[-1] - length)
    starts = torch.randint(0, latest + 1, (len(signals),), generator=generator)
    return torch.stack([signal[:, start : start + length] for signal, start in zip(signals, starts.tolist())])


def sliding_windows(model: nn.Module, signals: torch.Tensor, aggregate: str = "max") -> torch.Tensor:
    """Logits `(batch, labels)` over windows of 2.5 s that overlap by half: the maximum, or of the mean probability."""
    length = min(CROP, signals.shape[-1])
    windows = signals.unfold(-1, length, max(1, length // 2)).transpose(1, 2)  # (batch, windows, leads, length)
    logits = model(windows.flatten(0, 1)).float().view(*windows.shape[:2], -1)
    if aggregate == "max":
        return logits.amax(1)
    return torch.logit(logits.sigmoid().mean(1), eps=1e-6)
