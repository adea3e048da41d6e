"""Random labels and embeddings, for tests of metrics, probes and objectives."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F

LABELS = ["A", "B", "C"]
SPLITS = {"train": 600, "validation": 200, "test": 400}


def random_targets(seed: int = 0, splits: Mapping[str, int] = SPLITS) -> dict[str, np.ndarray]:
    """For each split `(records, labels)` uint8: every record with one or more of the three labels."""
    rng = np.random.default_rng(seed)
    targets = {split: (rng.random((size, 3)) < 0.3).astype(np.uint8) for split, size in splits.items()}
    for values in targets.values():
        values[np.arange(len(values)), rng.integers(0, 3, len(values))] = 1
    return targets


def random_embeddings(batch: int = 6, dim: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two `(batch, dim)` of unit length."""
    generator = torch.Generator().manual_seed(seed)
    one, other = F.normalize(torch.randn(2, batch, dim, generator=generator), dim=-1)
    return one, other
