"""Checks explanations on simulated ECGs, where the leads or beats that show a finding are known.

    python benchmarks/explanation_faithfulness.py --model FOLDER [--records N] [--output results.json]

For each finding, recordings in which the model finds it (log-odds above 0) are explained by both methods:
- localisation: the share of the positive contributions that falls on the right leads or beats, beside their share of
  all leads or beats, which is what chance would give, and how often the part with the highest contribution is right;
- deletion: the mean log-odds while leads are hidden one after the other, the most important first, beside the mean over
  random orders;
- randomisation: the rank correlation of the contributions of leads and stretches with those of the same model with
  random weights (Adebayo et al., arXiv 1810.03292), which must be about 0;
- agreement: the rank correlation between both methods.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from transformers import AutoModel, AutoProcessor

from merit.processing.explanation_merit import METHODS, Explanation, explain
from merit.processing.leads_merit import STANDARD_LEADS
from merit.processing.zero_shot_merit import embed_labels
from merit.training.results.result_files import provenance, write_json
from merit.training.simulation.heart import SimulatedEcg, simulate_ecg
from merit.training.simulation.parameters import sample_parameters

# The leads that look at the wall or ventricle; for ST depression the simulator knows them for each patient.
LEADS = {
    "IMI": ("II", "III", "aVF"),
    "AMI": ("V1", "V2", "V3", "V4"),
    "LMI": ("I", "aVL", "V5", "V6"),
    "CLBBB": ("I", "aVL", "V1", "V2", "V5", "V6"),
    "CRBBB": ("V1", "V2"),
    "STD_": None,
}
BEATS = {"PVC": "ventricular", "PAC": "atrial"}
ATTEMPTS = 6  # simulated recordings for each one that is explained
RANDOM_ORDERS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--records", type=int, default=8, help="recordings for each finding")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    model, processor = AutoModel.from_pretrained(args.model).eval(), AutoProcessor.from_pretrained(args.model)
    torch.manual_seed(0)
    randomised = AutoModel.from_config(model.config).eval()

    findings: dict[str, dict[str, float]] = {}
    checks: dict[str, list[float]] = defaultdict(list)
    for number, finding in enumerate([*LEADS, *BEATS]):
        label = embed_labels(model, processor.tokenizer, [finding], multi_label=True, glossary=processor.glossary)
        weight, bias = label.directions[0].clone(), label.biases[0].clone()
        figures: dict[str, list[float]] = defaultdict(list)
        for attempt in range(ATTEMPTS * args.records):
            if len(figures["chance"]) == args.records:
                break
            rng = np.random.default_rng([number, attempt])
            ecg = simulate_ecg(sample_parameters(rng, (finding,)), 10.0, 500, rng=rng)
            recording = {"signal": ecg.signal, "sampling_rate": 500, "leads": STANDARD_LEADS, "units": "mV"}
            inputs = dict(processor.feature_extractor(recording, return_tensors="pt"))
            if scorer(model, weight, bias)(**inputs).item() <= 0:
                continue
            explanations = {method: of(model, weight, bias, inputs, finding, method) for method in METHODS}
            right = right_parts(finding, ecg, explanations["occlusion"])
            if not right.any() or right.all():
                continue
            figures["chance"].append(right.mean())
            for method, explanation in explanations.items():
                parts = np.array(explanation.leads if finding in LEADS else explanation.beats)
                positive = parts.clip(min=0)
                figures[f"{method}: share on the right parts"].append(positive[right].sum() / positive.sum())
                figures[f"{method}: highest is right"].append(right[parts.argmax()])
                untrained = of(randomised, weight, bias, inputs, finding, method)
                checks[f"{method}: correlation with random weights"].append(correlation(explanation, untrained))
                order = np.argsort(explanation.leads)[::-1]
                checks[f"{method}: log-odds under deletion"].append(deletion(model, weight, bias, inputs, order))
            checks["correlation of the methods"].append(correlation(*explanations.values()))
            orders = [rng.permutation(12) for _ in range(RANDOM_ORDERS)]
            at_random = [deletion(model, weight, bias, inputs, order) for order in orders]
            checks["log-odds under random deletion"].append(float(np.mean(at_random)))
        findings[finding] = {name: round(float(np.mean(values)), 3) for name, values in figures.items() if values}
        findings[finding]["recordings"] = len(figures["chance"])
        print(finding, findings[finding], flush=True)
    summary = {name: round(float(np.nanmean(values)), 3) for name, values in checks.items()}
    print(summary)
    if args.output:
        facts = {**provenance(), "model": Path(args.model).name, "records": args.records}
        write_json(args.output, {**facts, "findings": findings, "checks": summary})


def scorer(model, weight: torch.Tensor, bias: torch.Tensor):
    """The function of the model's inputs that returns log-odds."""

    def score(**inputs) -> torch.Tensor:
        return F.normalize(model.get_ecg_features(**inputs).pooler_output, dim=-1) @ weight + bias

    return score


def of(model, weight, bias, inputs: dict, finding: str, method: str) -> Explanation:
    score = scorer(model, weight, bias)
    return explain(score, inputs, model.config.ecg_config, finding, method, with_cells=False)


def right_parts(finding: str, ecg: SimulatedEcg, explanation: Explanation) -> np.ndarray:
    """Which leads, or which beats, show the finding; a mask of those that are explained."""
    if finding in LEADS:
        leads = LEADS[finding] or ecg.parameters.depressed_st
        return np.array([lead in leads for lead in explanation.lead_names])
    found = np.array(explanation.beat_times)
    right = np.zeros(len(found), bool)
    for beat in ecg.beats:
        if beat.kind == BEATS[finding]:
            distance = np.abs(found - (beat.qrs_onset + beat.qrs_offset) / 2)
            right[distance.argmin()] |= distance.min() < 0.15
    return right


def correlation(one: Explanation, other: Explanation) -> float:
    """Mean rank correlation of the contributions of leads and of stretches."""
    pairs = ((one.leads, other.leads), (one.stretches, other.stretches))
    return float(np.mean([spearmanr(*pair).statistic for pair in pairs]))


@torch.no_grad()
def deletion(model, weight, bias, inputs: dict, order: np.ndarray) -> float:
    """Mean log-odds while all leads but one are hidden in this order."""
    masks = torch.ones(len(order), 12, dtype=torch.bool)
    for row, lead in enumerate(order[:-1], start=1):
        masks[row:, lead] = False
    copies = {name: tensor.expand(len(masks), *tensor.shape[1:]) for name, tensor in inputs.items()}
    return scorer(model, weight, bias)(**{**copies, "lead_mask": masks}).mean().item()


if __name__ == "__main__":
    main()
