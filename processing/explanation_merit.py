"""
Explanations: how much each lead, stretch of time and beat of a recording contributes to the log-odds of a label.

Two methods:
- Occlusion hides a part and measures by how much the log-odds fall. The encoder takes recordings with missing leads and
  patches, so a hidden part is absent rather than replaced by invented samples.
- Integrated gradients (Sundararajan et al., arXiv 1703.01365) attribute the difference between the log-odds of the
  recording and those of a flat line to samples.

Both describe the model and not the heart: they show what a score depends on, and they are no evidence for a finding.
benchmarks/explanation_faithfulness.py measures how well they find the parts that a finding was simulated in.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from .beats_merit import find_beats

__all__ = ["CAPTION", "METHODS", "Explanation", "explain", "log_odds"]

METHODS = ("occlusion", "integrated_gradients")
CAPTION = "Shows what this model's score depends on. It is no evidence for or against a finding."
_WINDOWS = (0.2, 1.0)  # s; the range of the lengths of stretches
_BEAT = (-0.3, 0.45)  # s; from the P wave to the end of the T wave, around the QRS complex
_STEPS = 32  # of the path integral


@dataclass(frozen=True)
class Explanation:
    """
    How much the parts of a recording contribute to the log-odds of a label. Positive contributions speak for the label.

    Attributes:
        label (`str`): the label.
        method (`str`): `"occlusion"` or `"integrated_gradients"`.
        log_odds (`float`): of the label, for the part of the recording that is explained.
        lead_names (`list[str]`): leads that were recorded or derived.
        leads (`list[float]`): the contribution of each of them.
        edges (`list[float]`): where the stretches of time begin and end, in seconds from the start of the recording,
            one more than there are stretches.
        stretches (`list[float]`): the contribution of each stretch, in all leads.
        cells (`list[list[float]]`): for each lead, the contribution of each of its stretches; empty without cells.
        beat_times (`list[float]`): in seconds from the start of the recording.
        beats (`list[float]`): the contribution of each beat, in all leads.
        caption (`str`): what an explanation is, for whatever shows it.
    """

    label: str
    method: str
    log_odds: float
    lead_names: list[str]
    leads: list[float]
    edges: list[float]
    stretches: list[float]
    cells: list[list[float]]
    beat_times: list[float] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    caption: str = CAPTION

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON can hold it; `Explanation(**dictionary)` restores it."""
        return asdict(self)


def log_odds(logits: torch.Tensor, index: int, problem_type: str | None) -> torch.Tensor:
    """
    The log-odds of a label.

    Args:
        logits (`torch.FloatTensor` of shape `(batch, labels)`)
        index: of the label.
        problem_type: `"multi_label_classification"`, where a logit is log-odds; `"single_label_classification"`, where
            labels compete; or `"regression"`, which explains the value itself.

    Returns:
        `torch.FloatTensor` of shape `(batch,)`.

    Example:

    ```python
    >>> log_odds(torch.tensor([[2.0, 0.0, 0.0]]), 0, "single_label_classification")  # 2 - log(1 + 1)
    tensor([1.3069])

    ```"""
    chosen = logits[:, index]
    if problem_type != "single_label_classification" or logits.shape[1] == 1:
        return chosen
    others = torch.cat([logits[:, :index], logits[:, index + 1 :]], dim=1)
    return chosen - others.logsumexp(1)


def explain(
    score: Callable[..., torch.Tensor],
    inputs: Mapping[str, torch.Tensor],
    config: Any,
    label: str,
    method: str = "occlusion",
    window: float = 0.5,
    start: float = 0.0,
    batch_size: int = 32,
    with_cells: bool = True,
) -> Explanation:
    """
    Explain the log-odds of a label for one window of a recording.

    Args:
        score: a function of `ecg_values`, `lead_mask`, `sample_mask` and `cell_mask`, as the ECG encoder takes them,
            that returns the log-odds of the label, `(batch,)`, without the cells where `cell_mask` is false.
        inputs: `ecg_values` `(1, leads, samples)`, `lead_mask` `(1, leads)` and `sample_mask` `(1, samples)`, as the
            feature extractor returns them.
        config: of the ECG encoder.
        label: the label that `score` scores.
        method: `"occlusion"` or `"integrated_gradients"`.
        window: the length of a stretch in seconds, 0.2 to 1; it is rounded to whole patches.
        start: of this window in the recording, in seconds.
        batch_size: how many versions of the recording the model sees at once.
        with_cells: also explain each stretch of each lead, which by occlusion takes most of the time.

    Raises:
        ValueError: `method` or `window` is not one of the above.

    Example:

    ```python
    >>> from types import SimpleNamespace
    >>> config = SimpleNamespace(lead_names=["I", "II"], patch_length=50, sampling_rate=100)
    >>> inputs = {"ecg_values": torch.ones(1, 2, 300), "lead_mask": torch.ones(1, 2).bool()}
    >>> def score(ecg_values, lead_mask, sample_mask, cell_mask):  # looks at lead II alone
    ...     return ecg_values[:, 1].unflatten(1, (6, 50)).mean(2).mul(cell_mask[:, 1]).sum(1)
    >>> explain(score, inputs, config, "a label").leads
    [0.0, 6.0]

    ```"""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}.")
    if not (isinstance(window, int | float) and _WINDOWS[0] <= window <= _WINDOWS[1]):
        raise ValueError(f"window must be {_WINDOWS[0]} to {_WINDOWS[1]} seconds, not {window!r}.")
    values = inputs["ecg_values"]
    lead_mask = inputs.get("lead_mask", values.new_ones(values.shape[:2], dtype=torch.bool))
    sample_mask = inputs.get("sample_mask", values.new_ones(1, values.shape[2], dtype=torch.bool))
    inputs = {"ecg_values": values, "lead_mask": lead_mask, "sample_mask": sample_mask}
    rate, length = config.sampling_rate, config.patch_length
    num_leads, num_patches = values.shape[1], values.shape[2] // length
    present = lead_mask[0].nonzero()[:, 0].tolist()
    recorded = int(sample_mask.sum()) // length  # patches; what follows is padding
    per_stretch = max(1, round(window * rate / length))
    count = -(-recorded // per_stretch)
    edges = [start + min(i * per_stretch, recorded) * length / rate for i in range(count + 1)]
    beat_times = find_beats(values[0, present][:, sample_mask[0]].float().cpu().numpy(), rate)

    # Every part as a mask of cells, `(parts, leads, patches)`: leads, stretches, beats, and the stretches of each lead.
    patch = torch.arange(num_patches)
    centre = (patch + 0.5) * length / rate - torch.as_tensor(beat_times)[:, None]
    of_stretch = (patch // per_stretch == torch.arange(count)[:, None])[:, None].expand(-1, num_leads, -1)
    of_beat = ((centre > _BEAT[0]) & (centre < _BEAT[1]))[:, None].expand(-1, num_leads, -1)
    of_lead = torch.eye(num_leads, dtype=torch.bool)[present][:, :, None].expand(-1, -1, num_patches)
    of_cell = (of_lead[:, None] & of_stretch).flatten(0, 1)[: None if with_cells else 0]
    parts = torch.cat([of_lead, of_stretch, of_beat, of_cell]).to(values.device)

    with torch.no_grad():
        whole = float(score(**inputs, cell_mask=torch.ones_like(parts[:1])))
    if method == "occlusion":
        contributions = whole - _scores_without(parts, score, inputs, batch_size)
    else:
        contributions = (parts * _integrated_gradients(score, inputs, batch_size, length)).sum((1, 2))
    sizes = [len(present), count, len(beat_times), len(of_cell)]
    leads, stretches, beats, cells = contributions.cpu().split(sizes)
    return Explanation(
        label=label,
        method=method,
        log_odds=whole,
        lead_names=[config.lead_names[lead] for lead in present],
        leads=leads.tolist(),
        edges=edges,
        stretches=stretches.tolist(),
        cells=cells.view(len(present), -1).tolist(),
        beat_times=(beat_times + start).tolist(),
        beats=beats.tolist(),
    )


@torch.no_grad()
def _scores_without(
    parts: torch.Tensor, score: Callable[..., torch.Tensor], inputs: Mapping[str, torch.Tensor], batch_size: int
) -> torch.Tensor:
    """Log-odds without each part, `(parts,)`; 0, which is even odds, where nothing would be left."""
    length = inputs["ecg_values"].shape[2] // parts.shape[2]
    complete = inputs["sample_mask"][0, : parts.shape[2] * length].view(-1, length).all(1)
    left = (~parts & inputs["lead_mask"][0, :, None] & complete).any(dim=(1, 2))
    scores = torch.zeros(len(parts), device=parts.device)
    for rows in left.nonzero()[:, 0].split(batch_size):
        if not len(rows):  # the split of nothing is one empty part
            continue
        copies = {name: tensor.expand(len(rows), *tensor.shape[1:]) for name, tensor in inputs.items()}
        scores[rows] = score(**copies, cell_mask=~parts[rows]).float()
    return scores


def _integrated_gradients(
    score: Callable[..., torch.Tensor], inputs: Mapping[str, torch.Tensor], batch_size: int, length: int
) -> torch.Tensor:
    """The contribution of the samples of each patch, `(leads, patches)`, from a flat line to the recording."""
    values = inputs["ecg_values"]
    num_patches = values.shape[2] // length
    steps = (torch.arange(_STEPS, device=values.device) + 0.5) / _STEPS  # the midpoint rule
    gradient = torch.zeros_like(values[0], dtype=torch.float32)
    for part in steps.split(batch_size):
        with torch.enable_grad():
            scaled = (part[:, None, None].to(values.dtype) * values).requires_grad_()
            copies = {name: tensor.expand(len(part), *tensor.shape[1:]) for name, tensor in inputs.items()}
            cell_mask = torch.ones(len(part), values.shape[1], num_patches, dtype=torch.bool, device=values.device)
            total = score(**{**copies, "ecg_values": scaled}, cell_mask=cell_mask).sum()
            gradient += torch.autograd.grad(total, scaled)[0].float().sum(0)
    contributions = (values[0].float() * gradient / _STEPS)[:, : num_patches * length]
    return contributions.unflatten(1, (num_patches, length)).sum(2)
