"""
Fine-tuning in full with the Trainer: the epoch, and how far to go towards it, chosen on "validation".

The head starts as the linear probe of the encoder's features, so that its first gradients do not undo what pretraining
has learned (Kumar et al., 2022, Fine-Tuning can Distort Pretrained Features), and that probe from nothing or from what
the model says zero-shot, whichever is better on "validation": few labels then do not replace what reports have taught.
From that start to the weights after training is a straight way, and somewhere on it is often better than its end
(Wortsman et al., 2022, Robust Fine-Tuning of Zero-Shot Models): with few labels that may be the start itself.
"""

import tempfile
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset, DatasetDict
from transformers import TrainingArguments, set_seed

from ...modeling_merit.configuration_merit import MeritConfig
from ...modeling_merit.modeling_merit import MeritForEcgClassification, MeritModel
from ...processing.processing_merit import MeritProcessor
from ..batching.collator import MeritCollator, ecg_rows
from ..scoring.embeddings import embed
from ..scoring.encoders import CheckpointEncoder
from ..scoring.probes import best_probe, train_rows
from ..scoring.protocol import Protocol
from ..scoring.zero_shot import label_embeddings, linear_start
from ..trainer.hardware import fast_attention, fast_loading, fast_precision
from ..trainer.trainer import EcgTrainer

# Customary values; of a few trials on fold 9 of PTB-XL none was better on both of the tasks all and super.
SETTINGS = {"learning_rate": 3e-4, "weight_decay": 0.05, "warmup_steps": 0.1, "lr_scheduler_type": "cosine"}
# Random stretches train, whole recordings are judged.
CROP_SECONDS = 5.0
EPOCHS = 8
# Of the way from the start to the weights after training.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
State = dict[str, torch.Tensor]


class FineTuned(NamedTuple):
    """
    The classifier that was best on "validation", its scores `(records, labels)` of "validation" and "test", and the
    Trainer's log, at its end how good each share of the way was.
    """

    model: MeritForEcgClassification
    scores: dict[str, np.ndarray]
    log: list[dict[str, float]]


def repeats_per_epoch(fraction: float) -> int:
    """
    How often an epoch passes over a part of the labels: few of them are seen more often, and all of "validation" is
    scored after an epoch.

    Example:
        >>> passes(1.0), passes(0.1), passes(0.01)
        (1, 3, 8)
    """
    return round(fraction**-0.45)


def fine_tune(
    pretrained: MeritModel,
    processor: MeritProcessor,
    dataset: DatasetDict,
    task: str,
    protocol: Protocol,
    fraction: float = 1.0,
    seed: int = 0,
    **settings: Any,
) -> FineTuned:
    """
    Train all weights of the ECG encoder and a linear head on one task; the head starts as a linear probe.

    Args:
        pretrained: whose ECG encoder is the start; it is not changed.
        processor: its own.
        dataset: with "train", "validation" and "test".
        task: with its column labels_TASK.
        protocol: of the task.
        fraction: of the training labels, drawn as for probes.
        settings: of `TrainingArguments`, over those above.
    """
    set_seed(seed)
    named = {"id2label": dict(enumerate(protocol.labels)), "learned_labels": []}
    config = MeritConfig(**{**pretrained.config.to_dict(), **named})
    config.problem_type = "multi_label_classification"
    model = MeritForEcgClassification(config)
    model.ecg_model.load_state_dict(pretrained.ecg_model.state_dict())
    rows = train_rows(protocol, fraction)
    learned = dataset["train"].select(rows)
    encoder = CheckpointEncoder(pretrained, processor)
    features, validation = (_normed(embed(encoder, part, name=task)) for part in (learned, dataset["validation"]))
    zero_shot = linear_start(encoder, label_embeddings(encoder, task, protocol.labels), features)
    probe = best_probe(features, protocol.train_targets(rows), validation, protocol, [None, zero_shot])
    model.classifier.load_state_dict(probe.as_linear()._asdict())
    model.ecg_model.set_attn_implementation(fast_attention())
    column = f"labels_{task}"
    train = learned.repeat(repeats_per_epoch(fraction))
    selecting = ecg_rows(dataset["validation"], column)

    def macro_auroc(prediction) -> dict[str, float]:
        return {"auroc": protocol.macro_auroc("validation", prediction.predictions)}

    whole = MeritCollator(processor, text_column=None, label_column=column)
    crop = min(CROP_SECONDS, processor.feature_extractor.duration)
    with tempfile.TemporaryDirectory() as checkpoints:
        arguments = {
            **SETTINGS,
            "num_train_epochs": EPOCHS,
            "per_device_train_batch_size": 64,
            "per_device_eval_batch_size": 256,
            "eval_strategy": "epoch",
            "save_strategy": "epoch",
            "save_total_limit": 1,
            "load_best_model_at_end": True,
            "metric_for_best_model": "auroc",
            "report_to": "none",
            "remove_unused_columns": False,
            "seed": seed,
            **fast_precision(),
            **fast_loading(),
            **settings,
        }
        trainer = EcgTrainer(
            model,
            TrainingArguments(checkpoints, **arguments),
            train_dataset=ecg_rows(train, column),
            eval_dataset=selecting,
            data_collator=replace(whole, crop_seconds=crop),
            eval_collator=whole,
            compute_metrics=macro_auroc,
        )
        start = deepcopy(model.state_dict())
        trainer.train()
        trainer.compute_metrics = None  # what follows is judged elsewhere
        end = deepcopy(model.state_dict())
        candidates = {}
        for share in SHARES:
            model.load_state_dict(between(start, end, share))
            candidates[share] = _scores(trainer, selecting)
        auroc = {share: protocol.macro_auroc("validation", scores) for share, scores in candidates.items()}
        best = max(auroc, key=auroc.__getitem__)
        model.load_state_dict(between(start, end, best))
        scores = {"validation": candidates[best], "test": _scores(trainer, ecg_rows(dataset["test"], column))}
    log = [*trainer.state.log_history, *({"share": share, "auroc": value} for share, value in auroc.items())]
    return FineTuned(model, scores, log)


def between(start: State, end: State, share: float) -> State:
    """Weights on the way from one state to another."""
    return {name: torch.lerp(start[name], end[name], share) for name in start}


@torch.inference_mode()
def _scores(trainer: EcgTrainer, rows: Dataset) -> np.ndarray:
    return trainer.predict(rows).predictions  # type: ignore[arg-type, return-value]


def _normed(features: np.ndarray) -> np.ndarray:
    """Features as the head sees them, behind its norm as that starts."""
    return F.layer_norm(torch.from_numpy(features), features.shape[1:]).numpy()
