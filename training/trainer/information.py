"""Diagnostics of pretraining: information bounds, geometry of the embeddings, and gradient norms of both loss terms."""

import math
from collections.abc import Mapping

import numpy as np
import torch

from ...modeling_merit.modeling_merit import MeritForPreTraining, alignment_information, merit_objective


def alignment_ceiling(keys: torch.Tensor) -> float:
    """
    The upper bound of [`alignment_information`] in a batch, in nats: the log of the effective number of negatives.

    For n reports, the i-th of which occurs k_i times, it is log n minus the mean of log k_i.

    Args:
        keys: `(batch,)`, equal for equal reports.

    Example:
        >>> round(math.exp(alignment_ceiling(torch.tensor([1, 1, 2, 2]))), 3)
        2.0
    """
    _, inverse, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    return math.log(len(keys)) - counts[inverse].double().log().mean().item()


def duplicate_share(keys: torch.Tensor) -> float:
    """The share of reports in a batch that occur more than once; `keys` `(batch,)` are equal for equal reports."""
    _, inverse, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    return (counts[inverse] > 1).double().mean().item()


def alignment_distance(z: torch.Tensor, t: torch.Tensor) -> float:
    """Mean squared distance of pairs of unit vectors, both `(batch, dim)` (Wang and Isola, arXiv 2005.10242)."""
    return (z - t).square().sum(-1).mean().item()


def uniformity(x: torch.Tensor, sharpness: float = 2.0, block: int = 1024) -> float:
    """
    Log of the mean Gaussian potential exp(-2 d^2) of all pairs (Wang and Isola). Lower is more evenly spread.

    Args:
        x: `(batch, dim)` unit vectors.

    Returns:
        A value between -8 (all vectors opposite) and 0 (all equal), or NaN for fewer than two vectors.
    """
    if len(x) < 2:
        return math.nan
    total = 0.0
    for rows in x.split(block):
        squared = (2 - 2 * rows @ x.T).clamp(min=0)
        total += torch.exp(-sharpness * squared).sum(dtype=torch.float64).item()
    # The sum holds each vector with itself once, and every pair twice.
    return math.log(max((total - len(x)) / (len(x) * (len(x) - 1)), 1e-30))


def effective_rank(x: torch.Tensor) -> float:
    """
    The exponential of the entropy of the normalised singular values (Roy and Vetterli, EUSIPCO 2007).

    Args:
        x: `(batch, dim)`; their mean is removed.

    Returns:
        A value between 1 and the smaller of dim and batch - 1, or 0 if all vectors are equal.
    """
    centred = x.double() - x.double().mean(0)
    singular = torch.linalg.svdvals(centred)
    if singular.max() <= 1e-12 * max(1.0, x.abs().max().item()):
        return 0.0
    share = singular / singular.sum()
    return torch.special.entr(share).sum().exp().item()


def embedding_diagnostics(z: torch.Tensor, t: torch.Tensor, keys: torch.Tensor) -> dict[str, float]:
    """Diagnostics of pairs of unit vectors `(batch, dim)`; `keys` `(batch,)` are equal for equal reports."""
    return {
        "alignment_ceiling": alignment_ceiling(keys),
        "duplicate_share": duplicate_share(keys),
        "alignment_distance": alignment_distance(z, t),
        "ecg_uniformity": uniformity(z),
        "text_uniformity": uniformity(t),
        "ecg_rank": effective_rank(z),
        "text_rank": effective_rank(t),
    }


def evaluation_diagnostics(
    predictions: Mapping[str, np.ndarray],
    keys: np.ndarray,
    logit_scale: float,
    pool: int,
    alignment_weight: float,
    reconstruction_weight: float,
) -> dict[str, float]:
    """
    Both information bounds and the diagnostics of all records of a split.

    The bound on I(Z;T) depends on the number of records that are compared. They are divided at random, the same way at
    each evaluation, into pools of nearly equal size, so that every record counts and no small rest distorts the bound.

    Args:
        predictions: "features" `(records, hidden_size)`; with alignment also "ecg_embeds" and "text_embeds" `(records,
            projection_dim)`; with reconstruction also "squared_error" and "hidden" `(records,)`, sums over the masked
            patches.
        keys: `(records,)`, equal for equal reports.
        logit_scale: inverse temperature.
        pool: largest size of a pool.
        alignment_weight: weight of the first term of the loss.
        reconstruction_weight: weight of the second term of the loss.

    Returns:
        "loss", "feature_rank", the information of each term that there is, and [`embedding_diagnostics`] with
        alignment.
    """
    found = {"feature_rank": effective_rank(torch.from_numpy(predictions["features"]))}
    zt = zx = None
    if "ecg_embeds" in predictions:
        z, t = (torch.from_numpy(predictions[name]) for name in ("ecg_embeds", "text_embeds"))
        key, scale = torch.from_numpy(keys), torch.tensor(logit_scale)
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(z)))
        pools = order.tensor_split(math.ceil(len(z) / pool))
        informations = [alignment_information(z[i], t[i], scale, key[i][:, None] == key[i]) for i in pools]
        sizes = torch.tensor([len(i) / len(z) for i in pools])
        zt = (torch.stack(informations) * sizes).sum()
        ceiling = sum(alignment_ceiling(key[i]) * len(i) / len(z) for i in pools)
        found |= {**embedding_diagnostics(z, t, key), "alignment_ceiling": ceiling, "alignment_information": zt.item()}
        found["duplicate_share"] = sum(duplicate_share(key[i]) * len(i) / len(z) for i in pools)
    if "hidden" in predictions:
        error, count = predictions["squared_error"].sum(dtype=np.float64), predictions["hidden"].sum()
        zx = torch.tensor(-0.5 * math.log(max(error / count, 1e-6)) if count else 0.0)
        found["reconstruction_information"] = zx.item()
    return found | {"loss": merit_objective(zt, zx, alignment_weight, reconstruction_weight).item()}


def gradient_norms(model: MeritForPreTraining, inputs: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """
    Norms of the gradients of both weighted loss terms with respect to the ECG encoder, and the cosine between them.

    If one norm is far larger, the other term hardly trains the encoder; if the cosine is negative, the terms conflict.
    Costs a forward pass and two backward passes. The gradients stored in the parameters do not change.
    """
    shared = [parameter for parameter in model.ecg_model.parameters() if parameter.requires_grad]
    output = model(**inputs)
    config, gradients = model.config, {}
    for name in ("alignment", "reconstruction"):
        if (information := output.get(f"{name}_information")) is not None:
            loss = getattr(config, f"{name}_weight") * information
            parts = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
            gradients[name] = torch.cat(
                [(torch.zeros_like(of) if part is None else part).flatten() for part, of in zip(parts, shared)]
            )
    found = {f"{name}_gradient": gradient.norm().item() for name, gradient in gradients.items()}
    if len(gradients) == 2:
        found["gradient_cosine"] = torch.cosine_similarity(*gradients.values(), dim=0).item()
    return found
