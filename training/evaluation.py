"""What a checkpoint knows: zero-shot and linear-probe AUC on the published folds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset, DatasetDict
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..processing.zero_shot_merit import embed_labels
from .collator import MeritCollator
from .pretraining import SIGNAL_COLUMNS, fast_precision
from .ptbxl import label_names

RIDGE_PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10000.0)


@torch.inference_mode()
def embed(model, processor, dataset: Dataset, batch_size: int = 256, name: str = "") -> tuple[np.ndarray, np.ndarray]:
    """
    Embed the recordings of a data set with a [`MeritModel`].

    Returns:
        the encoder's pooled output `(records, hidden_size)`, for probes, and its projection to unit length
        `(records, projection_dim)`, for comparison with text; both float32.
    """
    model.eval()
    rows = dataset.with_format("numpy", columns=SIGNAL_COLUMNS)
    loader = DataLoader(rows, batch_size=batch_size, collate_fn=MeritCollator(processor, text_column=None))  # type: ignore[arg-type]
    precision = torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=fast_precision()["bf16"])
    features, embeds = [], []
    for batch in tqdm(loader, desc=f"Embedding {name}".strip(), leave=False):
        with precision:
            pooled = model.ecg_model(**{key: value.to(model.device) for key, value in batch.items()}).pooler_output
            projected = model.ecg_projection(pooled)
        features.append(pooled.float().cpu().numpy())
        embeds.append(F.normalize(projected.float(), dim=-1).cpu().numpy())
    return np.concatenate(features), np.concatenate(embeds)


def aucs(targets: np.ndarray, scores: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """
    Area under the ROC curve of every label that has positives and negatives, and their mean as "macro".

    Records without any label of the task are left out, as is usual for PTB-XL.
    """
    labelled = targets.sum(1) > 0
    targets, scores = targets[labelled], scores[labelled]
    per_label = {
        label: float(roc_auc_score(targets[:, i], scores[:, i]))
        for i, label in enumerate(labels)
        if 0 < targets[:, i].sum() < len(targets)
    }
    return {"macro": float(np.mean(list(per_label.values()))), **per_label}


def zero_shot(model, processor, embeds: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """[`aucs`] of zero-shot scores, the labels given by the names that stand in the data set."""
    candidates = embed_labels(model, processor.tokenizer, labels)
    return aucs(targets, candidates.logits(torch.from_numpy(embeds).to(model.device)).cpu().numpy(), labels)


def linear_probe(
    features: dict[str, np.ndarray], targets: dict[str, np.ndarray], labels: Sequence[str]
) -> dict[str, float]:
    """
    [`aucs`] on "test" of ridge regression from frozen features, its penalty chosen on "validation".

    Args:
        features: `(records, dim)` for each of "train", "validation" and "test".
        targets: `(records, labels)` of 0 and 1 likewise.
    """
    scaler = StandardScaler().fit(features["train"])
    scaled = {split: scaler.transform(values) for split, values in features.items()}
    labelled = targets["train"].sum(1) > 0
    train = scaled["train"][labelled], targets["train"][labelled]
    probes = [Ridge(alpha=alpha).fit(*train) for alpha in RIDGE_PENALTIES]
    best = max(
        probes, key=lambda probe: aucs(targets["validation"], probe.predict(scaled["validation"]), labels)["macro"]
    )
    return aucs(targets["test"], best.predict(scaled["test"]), labels)


def evaluate(model, processor, dataset: DatasetDict, tasks: Sequence[str] = ("super", "all")) -> dict[str, Any]:
    """Zero-shot on "validation" and "test", and a linear probe tested on "test", for each task."""
    results: dict[str, Any] = {"zero_shot": {}, "zero_shot_validation": {}, "linear_probe": {}}
    features, embeds = {}, {}
    for split in dataset:
        features[split], embeds[split] = embed(model, processor, dataset[split], name=str(split))
    for task in tasks:
        labels = label_names(dataset["train"], task)
        targets = {str(split): np.asarray(dataset[split].with_format("numpy")[f"labels_{task}"]) for split in dataset}
        results["zero_shot"][task] = zero_shot(model, processor, embeds["test"], targets["test"], labels)
        results["zero_shot_validation"][task] = zero_shot(
            model, processor, embeds["validation"], targets["validation"], labels
        )
        results["linear_probe"][task] = linear_probe(features, targets, labels)
    return results
