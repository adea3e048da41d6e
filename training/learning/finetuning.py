"""
Fine-tuning of the ECG encoder and a linear head on the labels of one task.

The head starts as a linear probe of the encoder's features, so that its first gradients do not distort the pretrained
features (Kumar et al., 2022, Fine-Tuning can Distort Pretrained Features). The probe itself starts from zero or from
the zero-shot classifier, whichever is better on "validation".

After training, the weights are interpolated between the start and the best epoch (Wortsman et al., 2022, Robust
Fine-Tuning of Zero-Shot Models), and the interpolation that is best on "validation" is kept. With few labels that may
be the start itself.
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

# Common values; in a few trials on fold 9 of PTB-XL, no others were better on both tasks "all" and "super".
SETTINGS = {"learning_rate": 3e-4, "weight_decay": 0.05, "warmup_steps": 0.1, "lr_scheduler_type": "cosine"}
# Length of the random crops in training; evaluation uses whole recordings.
CROP_SECONDS = 5.0
EPOCHS = 8
# Interpolation weights to choose from: 0 is the start, 1 the best epoch.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
State = dict[str, torch.Tensor]


class FineTuned(NamedTuple):
    """
    A fine-tuned classifier.

    Args:
        model: the classifier that is best on "validation".
        scores: its scores `(records, labels)` of "validation" and "test".
        log: the Trainer's log, and the validation AUROC of each interpolation ("share").
    """

    model: MeritForEcgClassification
    scores: dict[str, np.ndarray]
    log: list[dict[str, float]]


def repeats_per_epoch(fraction: float) -> int:
    """
    How often an epoch repeats the training records when only a fraction of the labels is used.

    "validation" is scored in full after each epoch, so an epoch over few records would be mostly evaluation.

    Example:
        >>> repeats_per_epoch(1.0), repeats_per_epoch(0.1), repeats_per_epoch(0.01)
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
    Train all weights of the ECG encoder and a linear head on one task.

    Args:
        pretrained: the model to start from; it is not changed.
        processor: its processor.
        dataset: with the splits "train", "validation" and "test".
        task: name of the task, whose targets are in the column labels_TASK.
        protocol: protocol of the task.
        fraction: fraction of the training labels, drawn as for probes.
        seed: seed of training.
        settings: arguments of `TrainingArguments`, over `SETTINGS`.
    """
    set_seed(seed)
    labels = {"id2label": dict(enumerate(protocol.labels)), "learned_labels": []}
    # Training changes the features that these describe.
    unfitted = {"calibration": None, "abstention_threshold": None, "abstention_threshold_partial": None}
    config = MeritConfig(**{**pretrained.config.to_dict(), **labels, **unfitted, "quality_checks": []})
    config.problem_type = "multi_label_classification"
    model = MeritForEcgClassification(config)
    model.ecg_model.load_state_dict(pretrained.ecg_model.state_dict())
    rows = train_rows(protocol, fraction)
    train = dataset["train"].select(rows)
    encoder = CheckpointEncoder(pretrained, processor)
    features, validation = (_normalise(embed(encoder, part, name=task)) for part in (train, dataset["validation"]))
    zero_shot = linear_start(encoder, label_embeddings(encoder, task, protocol.labels), features)
    probe = best_probe(features, protocol.train_targets(rows), validation, protocol, [None, zero_shot])
    model.classifier.load_state_dict(probe.as_linear()._asdict())
    model.ecg_model.set_attn_implementation(fast_attention())
    column = f"labels_{task}"
    validation_rows = ecg_rows(dataset["validation"], column)

    def macro_auroc(prediction) -> dict[str, float]:
        return {"auroc": protocol.macro_auroc("validation", prediction.predictions)}

    collator = MeritCollator(processor, text_column=None, label_column=column)
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
            train_dataset=ecg_rows(train.repeat(repeats_per_epoch(fraction)), column),
            eval_dataset=validation_rows,
            data_collator=replace(collator, crop_seconds=crop),
            eval_collator=collator,
            compute_metrics=macro_auroc,
        )
        start = deepcopy(model.state_dict())
        trainer.train()
        trainer.compute_metrics = None  # the scores below include the test split, which is not for selection
        end = deepcopy(model.state_dict())
        candidates = {}
        for share in SHARES:
            model.load_state_dict(interpolate_weights(start, end, share))
            candidates[share] = _scores(trainer, validation_rows)
        auroc = {share: protocol.macro_auroc("validation", scores) for share, scores in candidates.items()}
        best = max(auroc, key=auroc.__getitem__)
        model.load_state_dict(interpolate_weights(start, end, best))
        scores = {"validation": candidates[best], "test": _scores(trainer, ecg_rows(dataset["test"], column))}
    log = [*trainer.state.log_history, *({"share": share, "auroc": value} for share, value in auroc.items())]
    return FineTuned(model, scores, log)


def interpolate_weights(start: State, end: State, share: float) -> State:
    """Linear interpolation between two states: `start` at share 0, `end` at share 1."""
    return {name: torch.lerp(start[name], end[name], share) for name in start}


@torch.inference_mode()
def _scores(trainer: EcgTrainer, rows: Dataset) -> np.ndarray:
    return trainer.predict(rows).predictions  # type: ignore[arg-type, return-value]


def _normalise(features: np.ndarray) -> np.ndarray:
    """Features as the head gets them, after its layer norm at initialisation."""
    return F.layer_norm(torch.from_numpy(features), features.shape[1:]).numpy()
