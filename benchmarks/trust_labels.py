"""How labels are understood: typed labels, and labels that a checkpoint does not know.

    python benchmarks/trust_labels.py MODEL... [--text-only MODEL...] [--data PTBXL] [--output trust-labels.json]

Typed labels are those of tests/processing/typed_labels.csv; the spelling rules were written before the half that is
"held back". The AUC of each that is a finding of PTB-XL is measured on fold 10, and so is that of the same text as its
own prompt. Unknown labels are those of benchmarks/unknown-labels.csv: the threshold of `known_words_merit` is chosen
with reports of fold 9 and the half "choose", and measured with reports of fold 10 and the half "report".
"""

import csv
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from options import data_parser
from sklearn.metrics import roc_auc_score
from transformers import AutoModel, AutoProcessor

from merit.processing.glossary_merit import Glossary
from merit.processing.known_words_merit import KNOWN_SHARE, has_known_words
from merit.processing.zero_shot_merit import embed_labels, resolve_labels, unknown_labels
from merit.training.data.catalogue import load_data
from merit.training.data.schema import label_names
from merit.training.results.result_files import provenance, write_json
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.text.cleaning import clean_report

ROOT = Path(__file__).parents[1]
TASKS = ("all", "sub", "super")
SHARES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="exported folder")
    parser.add_argument("--text-only", nargs="+", default=[], metavar="MODEL", help="measured without recordings")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    typed, unknown = rows("tests/processing/typed_labels.csv"), rows("benchmarks/unknown-labels.csv")
    dataset = load_data(args.data)
    halves = sorted({row["list"] for row in typed})
    results: dict[str, Any] = {"typed_labels": {half: hit_rate(select(typed, list=half)) for half in halves}}
    reports = {fold: sorted(set(map(clean_report, dataset[fold]["report"]))) for fold in ("validation", "test")}
    for folder in (*args.models, *args.text_only):
        model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
        figures = {"unknown_labels": recognition(processor.tokenizer, reports, unknown, typed)}
        if folder in args.models:
            figures["typed_labels"] = aurocs(model, processor, dataset["test"], typed)
        results[Path(folder).name] = figures
    print_results(results)
    if args.output:
        write_json(args.output, {**provenance(args.data), **results})


def rows(name: str) -> list[dict[str, str]]:
    with (ROOT / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def select(table: Iterable[dict[str, str]], **values: str) -> list[dict[str, str]]:
    return [row for row in table if values.items() <= row.items()]


def understood(label: str, meaning: str) -> bool:
    """Whether a label is found, refused, unknown, or suggests the finding that it means."""
    glossary = Glossary.default()
    try:
        finding, negated = glossary.read(label)
    except ValueError:
        return meaning == "refused"
    if finding:
        return f"{'not ' * negated}{finding.code}" == meaning.removesuffix("?")
    suggested = meaning.endswith("?") and glossary.findings[meaning[:-1]].name in glossary.suggestions(label)
    return suggested or meaning == "unknown"


def hit_rate(table: Sequence[dict[str, str]]) -> dict[str, Any]:
    missed = [row["label"] for row in table if not understood(row["label"], row["meaning"])]
    return {"labels": len(table), "understood": len(table) - len(missed), "missed": missed}


def recognition(tokenizer, reports: dict[str, list[str]], unknown, typed) -> dict[str, Any]:
    """Shares of unknown labels recognised, and of reports and real findings that are wrongly unknown."""

    def below(texts: Sequence[str], share: float) -> float:
        words = Glossary.default().words
        return round(float(np.mean([not has_known_words([text], tokenizer, words, share) for text in texts])), 4)

    choosing = [row["label"] for row in select(unknown, half="choose")]
    grid = {share: (below(choosing, share), below(reports["validation"], share)) for share in SHARES}
    found: dict[str, Any] = {
        "threshold": KNOWN_SHARE,
        "fold_9": {
            str(share): {"recognised": recall, "reports_unknown": false} for share, (recall, false) in grid.items()
        },
        "best_on_fold_9": max(SHARES, key=lambda share: (round(grid[share][0] - grid[share][1], 4), -share)),
        "reports_unknown_on_fold_10": below(reports["test"], KNOWN_SHARE),
    }
    for kind in sorted({row["kind"] for row in unknown}):
        labels = [row["label"] for row in select(unknown, half="report", kind=kind)]
        flags = unknown_labels(resolve_labels(labels), tokenizer)
        known = [label for label, is_unknown in zip(labels, flags) if not is_unknown]
        found[kind] = {"labels": len(labels), "recognised": len(labels) - len(known), "not_recognised": known}
    real = [row["label"] for row in typed if Glossary.default().find(row["label"])]
    found["real_findings_unknown"] = float(
        np.mean([unknown_labels(resolve_labels([label]), tokenizer) for label in real])
    )
    found["their_typed_names_unknown_to_the_encoder"] = below(real, KNOWN_SHARE)
    return found


@torch.inference_mode()
def aurocs(model, processor, test, typed) -> dict[str, dict[str, float]]:
    """The AUC on fold 10 of each typed label that is a finding of PTB-XL, as answered and as its own prompt."""
    truth: dict[str, np.ndarray] = {}
    for task in TASKS:
        targets = np.asarray(test.with_format("numpy", columns=[f"labels_{task}"])[:][f"labels_{task}"])
        truth |= {label: column for label, column in zip(label_names(test, task), targets.T) if label not in truth}
    encoder = CheckpointEncoder(model, processor)
    ecg = torch.from_numpy(encoder.project(embed(encoder, test, name="fold 10")))
    figures = {}
    for row in typed:
        code = row["meaning"].removesuffix("?").removeprefix("not ")
        if code not in truth or not 0 < truth[code].sum() < len(ecg):
            continue
        present = truth[code] if not row["meaning"].startswith("not ") else 1 - truth[code]
        ways = {"answered": [row["label"]], "own_prompt": {row["label"]: [row["label"].lower()]}}
        figures[row["label"]] = {
            way: round(float(roc_auc_score(present, score(model, processor, ecg, labels))), 4)
            for way, labels in ways.items()
        }
    return figures


def score(model, processor, ecg: torch.Tensor, labels) -> np.ndarray:
    embedded = embed_labels(model, processor.tokenizer, labels, multi_label=True, glossary=processor.glossary)
    return embedded.logits(ecg)[:, 0].numpy()


def print_results(results: dict[str, Any]) -> None:
    for half, figures in results["typed_labels"].items():
        print(f"typed labels, {half}: {figures['understood']} of {figures['labels']} understood")
    for name, figures in results.items():
        if name == "typed_labels":
            continue
        unknown = figures["unknown_labels"]
        print(f"{name}: {unknown['reports_unknown_on_fold_10']:.1%} of the reports of fold 10 are unknown")
        for kind, one in unknown.items():
            if isinstance(one, dict) and "recognised" in one:
                print(f"  {kind}: {one['recognised']} of {one['labels']} recognised")
        for way in ("answered", "own_prompt") if "typed_labels" in figures else ():
            print(f"  median AUC, {way}: {np.median([one[way] for one in figures['typed_labels'].values()]):.3f}")


if __name__ == "__main__":
    main()
