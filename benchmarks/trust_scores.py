"""What calibration does to zero-shot scores: labels that the model has not learned, and the scores of those it has.

    python benchmarks/trust_scores.py MODEL... [--data PTBXL] [--output results.json]

Each figure stands twice, "before" for the scores of the model as it was trained and "after" for its answers, which
`merit calibrate` has fitted to labels of fold 9. All figures are of fold 10:
- unlearned labels: the half "report" of benchmarks/unknown-labels.csv, the labels in `UNLEARNED`, and the findings of
  the glossary that the model has not learned: share of recordings with a score above 0.5, highest score, and how often
  the label comes first among itself and `SIX` learned findings, where the answer lists unknown labels last;
- competition: accuracy among `SIX` on recordings with exactly one of them, alone and with each unlearned label beside;
- calibration: expected calibration error (ten bins) and Brier score, mean over the findings that fold 10 has, and the
  reliability of all learned labels together;
- macro AUROC of the tasks of PTB-XL, by learned labels and by prompts.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from options import data_parser
from transformers import AutoModel, AutoProcessor
from trust_labels import rows, select

from merit.processing.zero_shot_merit import (
    CandidateLabel,
    LabelEmbeddings,
    calibrate,
    embed_labels,
    embed_texts,
    label_directions,
    resolve_labels,
)
from merit.training.data.catalogue import load_data
from merit.training.learning.label_calibration import findings_of_records
from merit.training.results.result_files import provenance, write_json
from merit.training.scoring import metrics
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.scoring.protocol import protocol_of, task_names

SIX = ("AFIB", "NORM", "CRBBB", "CLBBB", "PACE", "IMI")
UNLEARNED = ("banana", "hyperkalaemia", "Brugada", "pericarditis", "third degree AV block")
Figures = dict[str, Any]


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="folder of a calibrated zero-shot model")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    dataset = load_data(args.data)
    results = {Path(folder).name: Scores(folder, dataset).figures() for folder in args.models}
    for name, figures in results.items():
        print(f"\n{name}")
        for what, one in figures.items():
            print(what, {way: shown for way, shown in one.items() if way in ("before", "after")})
    if args.output:
        write_json(args.output, {**provenance(args.data), "models": results})


class Scores:
    """The labels of one checkpoint before and after calibration, on fold 10."""

    def __init__(self, folder: str, dataset):
        self.model, self.processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
        if not self.model.config.calibration:
            raise SystemExit(f"{folder} is not calibrated; run `merit calibrate {folder}` first")
        self.dataset, self.glossary = dataset, self.processor.glossary
        encoder = CheckpointEncoder(self.model, self.processor)
        self.ecg = torch.from_numpy(encoder.project(embed(encoder, dataset["test"], name="fold 10")))
        self.findings = findings_of_records(dataset, self.glossary)["test"]

    def before(self, labels: Sequence[str], multi_label: bool = True) -> LabelEmbeddings:
        """As labels were scored without calibration, and without a test of what the text encoder can know."""
        found = resolve_labels(labels, glossary=self.glossary)
        learned = self.model.learned_labels
        if not multi_label and not all(label.is_learned(learned) for label in found):
            learned = {}
        return label_directions(found, self._embed, learned, self.model.scale().item())

    def after(self, labels: Sequence[str], multi_label: bool = True) -> LabelEmbeddings:
        return embed_labels(
            self.model, self.processor.tokenizer, labels, multi_label=multi_label, glossary=self.glossary
        )

    def _embed(self, texts: Sequence[str]) -> torch.Tensor:
        return embed_texts(self.model, self.processor.tokenizer, texts)

    def scores(self, labels: LabelEmbeddings, multi_label: bool = True) -> np.ndarray:
        return labels.log_odds(labels.logits(self.ecg), multi_label).sigmoid().numpy()

    def figures(self) -> Figures:
        return {
            "unlearned_labels": self.unlearned(),
            "competition": self.competition(),
            "calibration": self.calibration(),
            "auroc": self.auroc(),
        }

    def unlearned_names(self) -> list[str]:
        unknown = [row["label"] for row in select(rows("benchmarks/unknown-labels.csv"), half="report")]
        codes = [code for code in self.glossary.findings if code not in self.model.learned_labels]
        names = [self.glossary.findings[code].name for code in codes if code in self.findings]
        named = {label.lower(): label for label in (*UNLEARNED, *unknown, *names)}
        return list(named.values())

    def unlearned(self) -> Figures:
        """Of each label that is not learned; a finding of fold 10 is counted where the recording does not have it."""
        names = self.unlearned_names()
        found: Figures = {"labels": {name: {} for name in names}}
        for way, embeddings in (("before", self.before), ("after", self.after)):
            single = self.scores(embeddings(names))
            for column, name in enumerate(names):
                finding = self.glossary.find(name)
                absent = ~self.findings.get(finding.code if finding else "", np.zeros(len(single), bool))
                beside = embeddings([*SIX, name])
                ranking = np.where([facts["basis"] == "unknown" for facts in beside.facts], -1, self.scores(beside))
                found["labels"][name][way] = {
                    "basis": beside.facts[-1]["basis"],
                    "above_half": rounded((single[absent, column] > 0.5).mean()),
                    "highest": rounded(single[absent, column].max()),
                    "first": rounded((ranking[absent].argmax(1) == len(SIX)).mean()),
                }
            above_half = [found["labels"][name][way]["above_half"] for name in names]
            found[way] = {"largest_above_half": max(above_half), "mean_above_half": rounded(np.mean(above_half))}
        return found

    def competition(self) -> Figures:
        truth = np.stack([self.findings[code] for code in SIX], axis=1)
        one = truth.sum(1) == 1
        found: Figures = {"records": int(one.sum()), "beside": {name: {} for name in self.unlearned_names()}}
        for way, embeddings in (("before", self.before), ("after", self.after)):

            def accuracy(labels: Sequence[str], embeddings=embeddings) -> float:
                answers = self.scores(embeddings(labels, False), False).argmax(1)
                return rounded((answers == truth.argmax(1))[one].mean())

            for name in found["beside"]:
                found["beside"][name][way] = accuracy([*SIX, name])
            beside = [accuracies[way] for accuracies in found["beside"].values()]
            found[way] = {"alone": accuracy(SIX), "lowest_beside": min(beside), "mean_beside": rounded(np.mean(beside))}
        return found

    def calibration(self) -> Figures:
        codes = [code for code, present in self.findings.items() if present.any()]
        learned = self.model.learned_labels
        names = {
            "learned": [code for code in codes if code in learned],
            "not_learned": [code for code in codes if code not in learned],
        }
        found: Figures = {"labels": {basis: len(some) for basis, some in names.items()}, "before": {}, "after": {}}
        for way, embeddings in (("before", self.before), ("after", self.after)):
            for basis, some in names.items():
                targets = np.stack([self.findings[code] for code in some], axis=1).astype(np.uint8)
                probabilities = self.scores(embeddings(some))
                errors = metrics.calibration(targets, probabilities, np.ones((len(targets), 1)))
                found[way][basis] = {name: rounded(values.mean()) for name, values in errors.items()}
                if basis == "learned":
                    found[way]["reliability"] = metrics.reliability(probabilities, targets)
        return found

    def auroc(self) -> Figures:
        found: Figures = {"before": {}, "after": {}}
        for task in task_names(self.dataset):
            protocol = protocol_of(self.dataset, task, resamples=0)
            for basis, language in (("learned", None), ("prompts", "both")):
                labels = [CandidateLabel.look_up(label, self.glossary, language=language) for label in protocol.labels]
                raw = label_directions(labels, self._embed, self.model.learned_labels, self.model.scale().item())
                own = [CandidateLabel.look_up(label, self.glossary) for label in protocol.labels]
                for way, embeddings in (("before", raw), ("after", calibrate(raw, own, self.model))):
                    value = 100 * protocol.macro_auroc("test", embeddings.logits(self.ecg).numpy())
                    found[way].setdefault(basis, {})[task] = rounded(value)
        return found


def rounded(value: float) -> float:
    return round(float(value), 4)


if __name__ == "__main__":
    main()
