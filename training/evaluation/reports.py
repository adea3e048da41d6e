"""Evaluation of report generation: against written reports, against labels, and on unsuitable recordings.

Two baselines are measured as well: the most frequent report of the training split, and the report of the training
recording with the nearest features. The written reports themselves, measured in the same way, are the upper limit.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict

from ...processing.pipelines_merit import sentences
from ...processing.processing_merit import INSTRUCTIONS
from ...processing.zero_shot_merit import embed_statements
from ..learning.report_generation import COLUMNS, reported
from ..results.progress import progress_bar
from ..results.result_files import Result
from ..scoring import metrics
from ..scoring.embeddings import batches, embed
from ..scoring.encoders import CheckpointReporter, Rows
from ..scoring.perturbations import arms_exchanged, noise_only
from ..scoring.protocol import patients_of
from ..text.statements import findings_in
from .evaluate import collect
from .report_measures import clinical_measures, report_measures

METHOD = "report-generation"
# Options of `generate`, by name.
DECODING: dict[str, dict[str, Any]] = {"greedy": {}, "beam search, 4 beams": {"num_beams": 4}}
BATCH_SIZE = 128
# A statement needs this many right and wrong occurrences for an AUROC of its own.
MIN_OCCURRENCES = 10
# Recordings that are not an ECG, or not a correct one. Unconnected electrodes pick up noise: a few microvolts with
# short cables, as much as an ECG with long ones.
_UNSUITABLE: dict[str, Callable[[Rows], Rows]] = {
    "almost flat, 5 µV of noise": partial(noise_only, millivolts=0.005),
    "noise of 0.2 mV": partial(noise_only, millivolts=0.2),
    "right and left arm exchanged": arms_exchanged,
}


def evaluate_reports(
    reporter: CheckpointReporter,
    dataset: DatasetDict,
    languages: Sequence[str] | None = None,
    decoding: Mapping[str, dict[str, Any]] = DECODING,
    resamples: int = 1000,
    log: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """
    Measure the reports that a model generates on the test split, and the baselines.

    Args:
        reporter: the model.
        dataset: with "train" and "test", reports and codes.
        languages: of `COLUMNS`; all languages of the reports if None. German figures are those of recordings that were
            reported in German.
        decoding: named options of `generate`.
        resamples: number of bootstrap resamples of the patients.
        log: is called with each result when it is ready.

    Returns:
        results as they stand in a result file; the setting names the source of the reports and the decoding.

    Raises:
        ValueError: for a missing split, or a language without reports.
    """
    if missing := [split for split in ("train", "test") if split not in dataset]:
        raise ValueError(f"The data set has no split {', '.join(missing)}, which the measures of reports need.")
    written = [code for code in COLUMNS if all(reported(dataset[split], code) for split in ("train", "test"))]
    languages = written if languages is None else languages
    if not languages or not set(languages) <= set(written):
        wanted = ", ".join(languages) or "any language"
        raise ValueError(
            f"There are no reports in {wanted} in both splits; there are in {', '.join(written) or 'none'}."
        )
    return collect(_results(reporter, dataset, languages, decoding, resamples), log)


def _results(reporter, dataset, languages, decoding, resamples) -> Iterator[Result]:
    features = {split: embed(reporter, dataset[split], name=split) for split in ("train", "test")}
    for language in languages:
        train, test = (reported(dataset[split], language) for split in ("train", "test"))
        rows, written = dataset["test"].select(list(test)), list(test.values())
        measure = partial(_measured, rows=rows, references=written, language=language, resamples=resamples)
        yield measure(written, {"reports": "as they were written"})
        most_frequent = Counter(train.values()).most_common(1)[0][0]
        yield measure([most_frequent] * len(test), {"reports": "the most frequent of training"})
        nearest = _nearest_training_record(features["train"][list(train)], features["test"][list(test)])
        yield measure([[*train.values()][i] for i in nearest], {"reports": "of the nearest training recording"})
        for name, options in decoding.items():
            generated, _ = generate_reports(reporter, rows, language, name=f"{language}, {name}", **options)
            if name == "greedy":
                yield _support(reporter, features["test"][list(test)], generated, rows, language, resamples)
            yield measure(generated, {"reports": "generated", "decoding": name}) | {
                "examples": [
                    {"record_id": record, "written": reference, "generated": text}
                    for record, reference, text in zip(rows["record_id"][:5], written, generated)
                ]
            }


def generate_reports(
    reporter: CheckpointReporter,
    dataset: Dataset,
    language: str = "en",
    perturbation: Callable[[Rows], Rows] | None = None,
    name: str = "",
    **options,
) -> tuple[list[str], np.ndarray]:
    """
    Generate a report of every record of a data set; returns the mean log-probability of the tokens too, `(records,)`.

    Args:
        reporter: the model.
        perturbation: applied to the rows first.
        name: text of the progress bar.
        options: of `generate`.
    """
    reports, log_probabilities = [], []
    with progress_bar(len(dataset), f"Reporting {name}".strip(), leave=False) as progress:
        for rows in batches(dataset, BATCH_SIZE):
            texts, probability = reporter.report(
                perturbation(rows) if perturbation else rows, INSTRUCTIONS[language], **options
            )
            reports += texts
            log_probabilities.append(probability)
            progress.update(len(rows))
    return reports, np.concatenate(log_probabilities)


def evaluate_abstention(
    reporter: CheckpointReporter,
    dataset: DatasetDict,
    resamples: int = 1000,
    log: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """
    Measure how a model treats recordings that are not an ECG, or not a correct one.

    Three figures for each kind of recording: the share from which the model abstains, at its threshold chosen on
    "validation"; the AUROC with which its atypicality, or its uncertainty (minus the mean log-probability of a token),
    separates them from unperturbed recordings; and the share that would get a finding if the model did not abstain.

    Args and returns: as of [`evaluate_reports`].
    """
    return collect(_abstention(reporter, dataset["test"], resamples), log)


def _abstention(reporter: CheckpointReporter, test: Dataset, resamples: int) -> Iterator[Result]:
    counts = metrics.resample_counts(patients_of(test), resamples)
    unperturbed = _abstention_scores(reporter, test, None)
    for name, perturbation in {"as they are": None, **_UNSUITABLE}.items():
        scores = unperturbed if perturbation is None else _abstention_scores(reporter, test, perturbation)
        shares = {
            "abstained": scores["abstained"],
            "states_a_finding": np.array([not findings_in(report) <= {"NORM", "SR"} for report in scores["reports"]]),
        }
        figures = {key: values @ counts / counts.sum(0) for key, values in shares.items()}
        if perturbation is not None:
            for key in ("atypicality", "doubt"):
                both = np.concatenate([unperturbed[key], scores[key]])[:, None]
                target = np.repeat([0, 1], len(test))[:, None].astype(np.uint8)
                figures[f"auroc_by_{key}"] = metrics.ranking(target, both, np.concatenate([counts, counts]))[0][0]
        most, number = Counter(scores["reports"]).most_common(1)[0]
        yield {
            "task": "reports",
            "method": "abstention",
            "setting": {"recordings": name},
            "split": "test",
            "records": len(test),
            "metrics": metrics.intervals(figures),
            "says_most_often": {"report": most, "records": number},
        }


def _abstention_scores(
    reporter: CheckpointReporter, test: Dataset, perturbation: Callable[[Rows], Rows] | None
) -> dict[str, Any]:
    features = torch.from_numpy(embed(reporter, test, perturbation, name="unsuitable recordings")).to(
        reporter.model.device
    )
    reports, log_probability = generate_reports(reporter, test, perturbation=perturbation, name="unsuitable recordings")
    return {
        "reports": reports,
        "doubt": -log_probability,
        "atypicality": reporter.model.atypicality(features).cpu().numpy(),
        "abstained": reporter.model.abstains(features).cpu().numpy(),
    }


def _measured(
    reports: Sequence[str], setting: dict[str, Any], rows: Dataset, references: Sequence[str], language: str, resamples
) -> Result:
    patients = patients_of(rows)
    measures = report_measures(reports, references, patients, resamples)
    clinical = clinical_measures(reports, rows["codes"], patients, resamples)
    return {
        "task": f"reports-{language}",
        "method": METHOD,
        "setting": setting,
        "split": "test",
        "records": len(rows),
        "metrics": {
            **measures,
            **{f"statements_{name}": figure for name, figure in clinical["micro"].items()},
            "statements_f1_macro": clinical["macro"]["f1"],
            **clinical["contradictions"],
            "states_a_finding": clinical["states_a_finding"],
        },
        "statements": clinical["per_code"],
        "distinct": clinical["distinct"],
    }


def _support(
    reporter: CheckpointReporter,
    features: np.ndarray,
    reports: Sequence[str],
    rows: Dataset,
    language: str,
    resamples: int,
) -> Result:
    """
    How well the support of a statement separates right statements (which the labels confirm) from wrong ones.

    Two figures: the AUROC over all statements together, and the mean of the AUROCs within each statement that was right
    and wrong at least `MIN_OCCURRENCES` times, weighted by the number of occurrences. The support of different
    statements is not comparable, so the latter is the one to look at.
    """
    split_reports, codes = [sentences(report) for report in reports], list(map(set, rows["codes"]))
    findings = {sentence: findings_in(sentence) for report in split_reports for sentence in report}
    statements = sorted(sentence for sentence, stated in findings.items() if stated)
    column = {sentence: index for index, sentence in enumerate(statements)}
    # A pair is a record and a statement of its report.
    occurrences = [(row, column[s]) for row, report in enumerate(split_reports) for s in report if s in column]
    pairs = np.array(occurrences, int).reshape(-1, 2)
    right = np.array([[findings[statements[which]] <= codes[row]] for row, which in pairs], np.uint8).reshape(-1, 1)
    together, within = np.full((1, 1 + resamples), np.nan), []
    if statements:
        labels = embed_statements(
            reporter.model.merit, reporter.processor.merit_tokenizer, statements, reporter.processor.glossary
        )
        with torch.inference_mode():
            embeds = reporter.model.ecg_embeds(torch.from_numpy(features).to(reporter.model.device))
            support = labels.logits(embeds).cpu().numpy()[pairs[:, 0], pairs[:, 1]][:, None]
        counts = metrics.resample_counts(patients_of(rows), resamples)[pairs[:, 0]]
        together = metrics.ranking(right, support, counts)[0]
        for which in range(len(statements)):
            own = pairs[:, 1] == which
            if MIN_OCCURRENCES <= right[own].sum() <= own.sum() - MIN_OCCURRENCES:
                within.append((own.sum(), metrics.ranking(right[own], support[own], counts[own])[0][0]))
    numbers, figures = zip(*within) if within else ([1], together)
    return {
        "task": f"reports-{language}",
        "method": "support",
        "setting": {"decoding": "greedy"},
        "split": "test",
        "records": len(rows),
        "statements": len(pairs),
        "right": int(right.sum()),
        "metrics": metrics.intervals(
            {
                "auroc_within_statements": np.average(figures, axis=0, weights=numbers),
                "auroc_over_statements": together[0],
            }
        ),
    }


def _nearest_training_record(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The training record nearest to each test record by cosine similarity of standardised features, `(test,)`."""
    mean, deviation = train.mean(0), train.std(0) + 1e-8
    train, test = (train - mean) / deviation, (test - mean) / deviation
    train /= np.linalg.norm(train, axis=1, keepdims=True)
    return (test @ train.T).argmax(1)
