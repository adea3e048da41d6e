"""
Whether a recording can be trusted: measures of the signal, and the reasons against trusting an answer.

The measures need no model. They tell recordings in wrong units or of the wrong sign, with exchanged or shuffled
electrodes, and noise.
At most 0.5 % of fold 9 of PTB-XL exceeds each threshold, see benchmarks/trust_disturbances.py.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from .leads_merit import LIMB_LEADS

__all__ = ["MEASURES", "assess", "signal_measures", "signal_reasons"]

MEASURES = ("amplitude", "limb_error", "noise", "arm_correlation", "polarity")
"""The columns of [`signal_measures`], before the noise of each lead."""

# Einthoven's and Goldberger's relations: each row times `LIMB_LEADS` is 0 at every moment.
_LIMB_RELATIONS = (
    (1.0, -1.0, 1.0, 0.0, 0.0, 0.0),
    (0.5, 0.5, 0.0, 1.0, 0.0, 0.0),
    (-0.5, 0.0, 0.5, 0.0, 1.0, 0.0),
    (0.0, -0.5, -0.5, 0.0, 0.0, 1.0),
)
_SMALLEST = 1e-4  # mV; keeps divisors above 0

# Thresholds of the columns of `signal_measures`: the range of the amplitude, also where only a few leads were recorded,
# the largest limb error and noise (median, and of one lead), and the smallest arm correlation.
_AMPLITUDES = (0.2, 4.0)
_FEW_LEADS = 6
_AMPLITUDES_OF_FEW_LEADS = (0.1, 6.0)
_LIMB_ERROR = 0.1
_NOISE = 0.5
_NOISE_OF_LEAD = 0.64
_ARM_CORRELATION = -0.53
_POLARITY = -1.44


def signal_measures(
    ecg_values: torch.Tensor, lead_mask: torch.Tensor, sample_mask: torch.Tensor, lead_names: Sequence[str]
) -> torch.Tensor:
    """
    Measures of processed recordings.

    Args:
        ecg_values (`torch.FloatTensor` of shape `(batch, leads, samples)`): millivolts.
        lead_mask (`torch.BoolTensor` of shape `(batch, leads)`): true where a lead was recorded.
        sample_mask (`torch.BoolTensor` of shape `(batch, samples)`): false for padding.
        lead_names: of the leads, in order.

    Returns:
        `torch.FloatTensor` of shape `(batch, 5 + leads)`: the columns `MEASURES`, then the noise of each lead. NaN
        where the leads for a measure are missing, and for fewer than two samples.

        - amplitude: median over the leads of the peak-to-peak amplitude, in millivolts.
        - limb_error: largest root mean square by which the limb leads violate a relation between them, relative to that
          of the limb leads; near 0 in any recording whose limb leads are what their names say.
        - noise: median over the leads of median / root mean square of the steps between samples. Between beats the
          steps of an ECG are small, so it is below 0.2; it is 0.67 for Gaussian noise and 0.71 for a sine.
        - arm_correlation: correlation of the steps of I and V6, which look in nearly the same direction. It is negative
          if the electrodes of right and left arm are exchanged.
        - polarity: by how much sharp peaks point up in V6 and down in aVR, as R waves do: the skewness of the curvature
          (second differences), mean over the two leads. It is negative if the recording is upside down.

    Example:

    ```python
    >>> noise = torch.randn(1, 12, 1000, generator=torch.Generator().manual_seed(0))
    >>> leads = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    >>> masks = torch.ones(1, 12, dtype=torch.bool), torch.ones(1, 1000, dtype=torch.bool)
    >>> amplitude, limb_error, noise_share = signal_measures(noise, *masks, leads)[0, :3].tolist()
    >>> round(amplitude, 1), limb_error > 1, round(noise_share, 2)
    (6.6, True, 0.68)

    ```"""
    # Padding changes no measure. With two samples, each of them has at least one step.
    too_few = max(0, 2 - ecg_values.shape[-1])
    values, sample_mask = F.pad(ecg_values.float(), (0, too_few)), F.pad(sample_mask.bool(), (0, too_few))
    length = sample_mask.sum(-1)
    present = lead_mask.bool() & (length >= 2)[:, None]
    length = length.clamp(min=2)
    position = {name: index for index, name in enumerate(lead_names)}
    missing = ~present

    # Padding follows the signal and is 0 in all leads.
    peaks = (values.amax(-1) - values.amin(-1)).masked_fill(missing, torch.nan)
    power = values.square().sum(-1) / length[:, None]

    steps = values.diff(dim=-1).masked_fill(~sample_mask[:, None, 1:], 0.0)
    step_rms = (steps.square().sum(-1) / (length - 1)[:, None]).sqrt().clamp(min=_SMALLEST / 100)
    # Steps in padding are 0 and therefore come first when sorted.
    ordered = steps.abs().sort(dim=-1).values
    middle = steps.shape[-1] - 1 - (length - 1) // 2
    median = ordered.gather(-1, middle.view(-1, 1, 1).expand(-1, values.shape[1], 1)).squeeze(-1)
    noise = (median / step_rms).masked_fill(missing, torch.nan)

    limb_error = values.new_full((len(values),), torch.nan)
    if all(name in position for name in LIMB_LEADS):
        limbs = [position[name] for name in LIMB_LEADS]
        relations = torch.tensor(_LIMB_RELATIONS, device=values.device)
        error = torch.einsum("rl,bls->brs", relations, values[:, limbs]).square().sum(-1) / length[:, None]
        complete = ((relations != 0).float() @ (~present[:, limbs]).float().T).T == 0
        reference = power[:, limbs].sum(-1) / present[:, limbs].sum(-1).clamp(min=1)
        relative = (error / reference.clamp(min=_SMALLEST**2)[:, None]).sqrt().masked_fill(~complete, -1)
        limb_error = relative.amax(-1).masked_fill(~complete.any(-1), torch.nan)

    arms = values.new_full((len(values),), torch.nan)
    if "I" in position and "V6" in position:
        one, other = steps[:, position["I"]], steps[:, position["V6"]]
        scale = (one.norm(dim=-1) * other.norm(dim=-1)).clamp(min=_SMALLEST**2)
        arms = (one * other).sum(-1) / scale
        arms = arms.masked_fill(missing[:, position["I"]] | missing[:, position["V6"]], torch.nan)

    polarity = values.new_full((len(values),), torch.nan)
    if "V6" in position and "aVR" in position:
        up, down = position["V6"], position["aVR"]
        curvature = values[:, [up, down]].diff(n=2, dim=-1).masked_fill(~sample_mask[:, None, 2:], 0.0)
        inner = (length - 2).clamp(min=1)[:, None]
        scale = (curvature.square().sum(-1) / inner).sqrt().clamp(min=_SMALLEST / 100)
        peaks_down = (curvature / scale[..., None]).pow(3).sum(-1) / inner
        polarity = (peaks_down[:, 1] - peaks_down[:, 0]) / 2
        polarity = polarity.masked_fill(missing[:, up] | missing[:, down], torch.nan)
    columns = (peaks.nanmedian(-1).values, limb_error, noise.nanmedian(-1).values, arms, polarity)
    return torch.cat([torch.stack(columns, dim=-1), noise], dim=-1)


def signal_reasons(measures: torch.Tensor, lead_names: Sequence[str]) -> list[dict[str, str]]:
    """
    Reasons against trusting the answer for one recording, each with a `code` and a `message`.

    Args:
        measures (`torch.FloatTensor` of shape `(5 + leads,)`): of [`signal_measures`]; NaN is no reason.
        lead_names: of the leads, in order.
    """
    amplitude, limb_error, noise, arms, polarity = measures[: len(MEASURES)].tolist()
    noise_of_leads = measures[len(MEASURES) :]
    noisy = [name for name, share in zip(lead_names, noise_of_leads.tolist()) if share > _NOISE_OF_LEAD]
    is_few = (~noise_of_leads.isnan()).sum() <= _FEW_LEADS
    low, high = _AMPLITUDES_OF_FEW_LEADS if is_few else _AMPLITUDES
    found = {}
    if amplitude < low or amplitude > high:
        found["implausible_amplitude"] = (
            f"the leads span {amplitude:.2g} mV, and those of most ECGs {low:g} to {high:g} mV; check units and gain"
        )
    if limb_error > _LIMB_ERROR:
        found["inconsistent_limb_leads"] = (
            "the limb leads contradict each other, for example II is not I + III; check the names of the leads"
        )
    if noise > _NOISE or noisy:
        which = "the leads are" if noise > _NOISE else f"{', '.join(noisy)} {'is' if len(noisy) == 1 else 'are'}"
        found["noise"] = f"{which} noisy; check the electrodes"
    if arms < _ARM_CORRELATION:
        found["exchanged_arms"] = "the electrodes of right and left arm seem to be exchanged"
    if polarity < _POLARITY:
        found["inverted"] = "the recording seems to be upside down; check the sign of the signal"
    return [{"code": code, "message": message} for code, message in found.items()]


# Code and message of the reason that a check of `config.quality_checks` finds, by the name of the check.
_CHECKS = {
    "fast_motion": ("implausible_rate", "the heart seems to beat in fast motion; check the sampling rate"),
    "slow_motion": ("implausible_rate", "the heart seems to beat in slow motion; check the sampling rate"),
}


def assess(
    model: Any,
    features: torch.Tensor,
    measures: torch.Tensor,
    lead_names: Sequence[str],
    *,
    partial: bool = False,
) -> dict[str, Any]:
    """
    What is known of the quality of one recording, as in the answers of pipelines.

    Args:
        model: a model with [`TypicalityMixin`].
        features (`torch.FloatTensor` of shape `(pooled_size,)`): of its ECG encoder, the mean over windows.
        measures (`torch.FloatTensor` of shape `(5 + leads,)`): the median of [`signal_measures`] over windows.
        lead_names: of the leads, in order.
        partial: whether the recording is short or lacks leads.

    Returns:
        `abstained`, false until a pipeline abstains; `atypicality`, about 1 for recordings like those of training, or
        None if the model does not know these; `reasons` against trusting the answer, each with `code` and `message`.
    """
    reasons = signal_reasons(measures, lead_names)
    logits = model.quality_logits(features[None])[0].tolist()
    for check, logit in zip(model.config.quality_checks, logits):
        if logit > 0:
            code, message = _CHECKS[check]
            reasons.append({"code": code, "message": message})
    atypicality = None
    if model.has_typicality:
        atypicality = model.atypicality(features[None]).item()
        if model.abstains(features[None], partial).item():
            message = "this recording is unlike those that the model has learned from"
            reasons.append({"code": "out_of_distribution", "message": message})
    return {"abstained": False, "atypicality": atypicality, "reasons": reasons}
