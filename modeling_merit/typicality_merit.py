"""How far a recording is from those of training, and linear checks of its features; shared by all models."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import initialization as init

__all__ = ["TypicalityMixin"]


class TypicalityMixin:
    """
    The distribution of the pooled features of training recordings, and linear checks fitted to known faults, as buffers
    of a model. `merit calibrate` fits them; a checkpoint has them if its configuration says so.

    The configuration has `abstention_threshold`, beyond which a recording is out of distribution, and `quality_checks`,
    the codes of the faults.
    """

    config: Any
    typical_mean: torch.Tensor
    typical_whitening: torch.Tensor
    quality_weight: torch.Tensor
    quality_bias: torch.Tensor

    def register_typicality(self, size: int, always: bool = False):
        """
        Create the buffers that the configuration says the checkpoint has.

        Args:
            size: length of the pooled features.
            always: create those of the distribution without a threshold too.
        """
        if always or self.config.abstention_threshold is not None:
            self._store(typical_mean=torch.zeros(size), typical_whitening=torch.eye(size))
        if checks := len(self.config.quality_checks):
            self._store(quality_weight=torch.zeros(checks, size), quality_bias=torch.zeros(checks))

    def init_typicality(self):
        """Initialise buffers that a checkpoint lacks."""
        if self.has_typicality:
            init.zeros_(self.typical_mean)
            init.copy_(self.typical_whitening, torch.eye(len(self.typical_mean)))
        if self.config.quality_checks:
            init.zeros_(self.quality_weight)
            init.zeros_(self.quality_bias)

    @property
    def has_typicality(self) -> bool:
        """Whether the distribution of training recordings is known."""
        return hasattr(self, "typical_mean")

    def fit_typical(self, mean: torch.Tensor, whitening: torch.Tensor):
        """Set the mean `(size,)` of the features of training recordings and a root of their precision matrix."""
        self._store(typical_mean=mean, typical_whitening=whitening)

    def fit_checks(self, checks: Mapping[str, tuple[torch.Tensor, float]]):
        """Set the linear checks: weights `(size,)` and bias by code. A fault is found where a logit is above 0."""
        self.config.quality_checks = list(checks)
        if checks:
            weights, biases = zip(*checks.values())
            self._store(quality_weight=torch.stack(weights), quality_bias=torch.tensor(biases))

    def _store(self, **buffers: torch.Tensor):
        model: Any = self
        for name, values in buffers.items():
            # In the order in which it is loaded again, so that a saved model rounds as this one.
            model.register_buffer(name, values.to(model.device, model.dtype).contiguous())

    def forget_typicality(self):
        """Remove the distribution and the checks, for a model whose encoder is trained further or becomes a part."""
        self.config.abstention_threshold = self.config.abstention_threshold_partial = None
        self.config.quality_checks = []
        for name in ("typical_mean", "typical_whitening", "quality_weight", "quality_bias"):
            if hasattr(self, name):
                delattr(self, name)

    def atypicality(self, pooler_output: torch.Tensor) -> torch.Tensor:
        """
        Distance `(batch,)` of features `(batch, pooled_size)` from those of training recordings: the Mahalanobis
        distance (Lee et al., arXiv 1807.03888) divided by the root of its dimensions, near 1 in distribution.
        """
        whitened = (pooler_output.float() - self.typical_mean.float()) @ self.typical_whitening.float()
        return whitened.square().mean(-1).sqrt()

    def abstains(self, pooler_output: torch.Tensor, partial: bool = False) -> torch.Tensor:
        """
        Mask `(batch,)` of recordings that are out of distribution, for which the model abstains.

        Args:
            partial: whether the recordings are short or lack leads, which makes their features less typical.
        """
        threshold = self.config.abstention_threshold
        if partial and self.config.abstention_threshold_partial is not None:
            threshold = self.config.abstention_threshold_partial
        return self.atypicality(pooler_output) > (float("inf") if threshold is None else threshold)

    def quality_logits(self, pooler_output: torch.Tensor) -> torch.Tensor:
        """Logits `(batch, checks)` of the faults in `config.quality_checks` for features `(batch, pooled_size)`."""
        if not self.config.quality_checks:
            return pooler_output.new_zeros(len(pooler_output), 0).float()
        return pooler_output.float() @ self.quality_weight.float().T + self.quality_bias.float()
