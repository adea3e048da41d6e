"""Models trained on PTB-XL on recordings of other hospitals: a check of behaviour, and a benchmark on full data sets.

    python benchmarks/other_hospitals.py --model FOLDER --classifier FOLDER --data PTBXL \\
        --cpsc2018 FOLDER --csn FOLDER [--cache FOLDER] [--output results.json]

--model is a zero-shot model, and --classifier one that is fine-tuned on all statements of PTB-XL. Nothing is fitted to
the other hospitals; all their recordings are scored, whole and perturbed. Labels are those of CPSC2018 and of CSN
(exact tokens) that are statements of PTB-XL or groups of them; of a group, the highest score counts. Besides macro
AUROC with 95 % intervals, the program gives the AUROC of each label, among all recordings and against those with a
normal ECG or sinus rhythm only: a label that is given to few of the recordings that show it ranks better there.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, concatenate_datasets
from options import data_parser, without_replicates

from merit.hub_cards.export import load
from merit.processing.glossary_merit import Glossary
from merit.training.data.catalogue import load_data, open_source
from merit.training.data.label_maps import FINDING_CODES
from merit.training.data.preparation import load_prepared, prepare
from merit.training.data.schema import label_names
from merit.training.evaluation.context import EvaluationContext
from merit.training.learning.label_learning import statements_of
from merit.training.results.result_files import provenance, write_json
from merit.training.scoring import metrics
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointClassifier, CheckpointEncoder
from merit.training.scoring.perturbations import Perturbation
from merit.training.scoring.protocol import Protocol, patients_of, targets_of
from merit.training.scoring.zero_shot import label_embeddings, zero_shot_scores

TASKS = {"cpsc2018": "cpsc2018", "csn": "csn-clean"}
NORMAL = {"cpsc2018": "NORM", "csn": "SR"}
PERTURBATIONS = (
    None,
    Perturbation(noise="white", noise_db=6.0),
    Perturbation(noise="wander", noise_db=0.0),
    Perturbation(noise="mains", noise_db=6.0),
    Perturbation(leads=("I", "II")),
    Perturbation(seconds=5.0),
)
# Scores of recordings of one data set, `(records, labels)`.
Scorer = Callable[[Dataset, Perturbation | None], np.ndarray]


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--model", required=True, help="exported folder of a zero-shot model")
    parser.add_argument("--classifier", required=True, help="exported folder of a classifier of all statements")
    parser.add_argument("--cpsc2018", required=True, help="folder of CPSC2018 or of some of its records")
    parser.add_argument("--csn", required=True, help="folder of Chapman-Shaoxing-Ningbo or of some of its records")
    parser.add_argument("--cache", type=Path, help="folder of cached embeddings")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    context = EvaluationContext(CheckpointEncoder(*load(args.model)), load_data(args.data), ["all"], args.cache)
    classifier = CheckpointClassifier(*load(args.classifier))
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in (("cpsc2018", args.cpsc2018), ("csn", args.csn)):
            prepared = load_prepared(prepare(open_source(name, folder), Path(scratch) / name))
            results[name] = figures(name, concatenate_datasets(list(prepared.values())), context, classifier)
            print(f"\n{name}: {results[name]['records']} recordings")
            for method, settings in results[name]["methods"].items():
                print(f"  {method:28}", *(f"{one['macro_auroc']['value']:.3f}" for one in settings))
    if args.output:
        models = {"model": Path(args.model).name, "classifier": Path(args.classifier).name}
        write_json(args.output, {**provenance(args.data), **models, "results": without_replicates(results)})


def figures(
    name: str, rows: Dataset, context: EvaluationContext, classifier: CheckpointClassifier | None = None
) -> dict[str, Any]:
    """
    Of the methods that the encoder of the context allows, and of the classifier if there is one.

    Those of unchanged recordings, which come first, have the "replicates" of the macro AUROC, too, `(resamples,)`.
    """
    task, glossary = TASKS[name], Glossary.default()
    statements = context.protocols["all"].labels
    codes = {label: FINDING_CODES[task].get(label, label) for label in label_names(rows, task)}
    covered = {label: statements_of(code, glossary) & set(statements) for label, code in codes.items()}
    columns = {label: [statements.index(code) for code in sorted(some)] for label, some in covered.items() if some}
    protocol = Protocol(label_names(rows, task), targets_of({"test": rows}, task), patients_of(rows), list(columns))

    def by_labels(language: str | None) -> Scorer:
        labels = label_embeddings(context.encoder, task, list(columns), language)
        return lambda rows, change: zero_shot_scores(context.encoder, embed(context.encoder, rows, change), labels)

    def by_statements(scores: Scorer) -> Scorer:
        return lambda rows, change: of_groups(scores(rows, change), columns)

    methods: dict[str, Scorer] = {}
    if context.encoder.learned_labels:
        methods["zero-shot, learned labels"] = by_labels(None)
    if context.encoder.model.config.alignment_weight:
        methods["zero-shot, prompts"] = by_labels("both")
    methods["linear probe"] = by_statements(
        lambda rows, change: context.probe("all")(embed(context.encoder, rows, change))
    )
    if classifier is not None:
        order = [classifier.labels.index(statement) for statement in statements]
        methods["fine-tuned"] = by_statements(lambda rows, change: embed(classifier, rows, change)[:, order])
    found = {
        method: [measured(protocol, score(rows, change), change, NORMAL[name]) for change in PERTURBATIONS]
        for method, score in methods.items()
    }
    return {"records": len(rows), "task": task, "methods": found}


def of_groups(scores: np.ndarray, columns: Mapping[str, list[int]]) -> np.ndarray:
    return np.stack([scores[:, some].max(1) for some in columns.values()], axis=1)


def measured(protocol: Protocol, scores: np.ndarray, change: Perturbation | None, normal: str) -> dict[str, Any]:
    result = protocol.score(scores, None)
    found = {"setting": change.setting() if change else {}, "macro_auroc": result["metrics"]["auroc"]}
    if change:
        return found
    targets, scores = protocol.targets["test"], scores[protocol.kept["test"]]
    is_normal = targets[:, protocol.labels.index(normal)] > 0
    labels = {}
    for column, label in enumerate(protocol.labels):
        if label not in result["labels"]:
            continue
        compared = is_normal | (targets[:, column] > 0)
        against_normal = metrics.auroc(targets[compared][:, [column]], scores[compared][:, [column]])[0]
        labels[label] = {
            "positives": result["positives"][label],
            "auroc": result["labels"][label]["auroc"],
            "against_normal": None if label == normal else metrics.rounded(against_normal),
        }
    return {**found, "labels": labels, "replicates": result["replicates"]["auroc"]}


if __name__ == "__main__":
    main()
