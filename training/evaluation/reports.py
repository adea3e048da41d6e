"""How good generated reports are: against those that were written, against the labels, and where nothing is to be seen.

Beside the generator stand what it has to beat: the training reports' most frequent one, and that of the training
recording whose features are nearest; and what none can beat, the written reports read in the same way.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from tqdm.auto import tqdm

from ...processing.pipelines_merit import sentences
from ...processing.processing_merit import INSTRUCTIONS
from ...processing.zero_shot_merit import embed_labels
from ..learning.report_generation import COLUMNS, reported
from ..scoring import metrics
from ..scoring.embeddings import batches, embed
from ..scoring.encoders import CheckpointReporter, Rows
from ..text.statements import findings_in
from .evaluate import collected, patients_of
from .report_measures import clinical_measures, report_measures
from .robustness import arms_exchanged, noise_only

Result = dict[str, Any]
METHOD = "report-generation"
# Options of `generate`, by name.
DECODING: dict[str, dict[str, Any]] = {"greedy": {}, "beam search, 4 beams": {"num_beams": 4}}
BATCH_SIZE = 128
JUDGED = 10
# What is no ECG, or none as it should be. Electrodes that touch nothing pick up noise: of a few microvolts where
# cables are short, of as many as an ECG has where they are not.
_UNFIT: dict[str, Callable[[Rows], Rows]] = {
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
    Measure what a model reports on the test split, beside what it has to beat.

    Args:
        reporter: what reports.
        dataset: with "train" and "test", reports and codes.
        languages: of `COLUMNS`, all that there are reports in if None; German figures are those of recordings that
            were reported in German.
        decoding: how reports are generated, options of `generate` by name.
        resamples: of the bootstrap, which draws patients.
        log: is shown each result when it is ready.

    Returns:
        results as they stand in a result file, the setting naming who reports, how, and in which language.

    Raises:
        ValueError: for a missing split, or a language that there are no reports in.
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
    return collected(_results(reporter, dataset, languages, decoding, resamples), log)


def _results(reporter, dataset, languages, decoding, resamples) -> Iterator[Result]:
    features = {split: embed(reporter, dataset[split], name=split) for split in ("train", "test")}
    for language in languages:
        train, test = (reported(dataset[split], language) for split in ("train", "test"))
        rows, written = dataset["test"].select(list(test)), list(test.values())
        judge = partial(_judged, rows=rows, references=written, language=language, resamples=resamples)
        yield judge(written, {"reports": "as they were written"})
        most_frequent = Counter(train.values()).most_common(1)[0][0]
        yield judge([most_frequent] * len(test), {"reports": "the most frequent of training"})
        nearest = _nearest(features["train"][list(train)], features["test"][list(test)])
        yield judge([[*train.values()][i] for i in nearest], {"reports": "of the nearest training recording"})
        for way, options in decoding.items():
            generated, _ = generate_reports(reporter, rows, language, name=f"{language}, {way}", **options)
            if way == "greedy":
                yield _support(reporter, features["test"][list(test)], generated, rows, language, resamples)
            yield judge(generated, {"reports": "generated", "decoding": way}) | {
                "examples": [
                    {"record_id": record, "written": reference, "generated": text}
                    for record, reference, text in zip(rows["record_id"][:5], written, generated)
                ]
            }


def generate_reports(
    reporter: CheckpointReporter,
    dataset: Dataset,
    language: str = "en",
    change: Callable[[Rows], Rows] | None = None,
    name: str = "",
    **options,
) -> tuple[list[str], np.ndarray]:
    """
    What the model says of every record of a data set, and its mean log-probability of a token, `(records,)`.

    Args:
        reporter: what reports.
        change: applied to the rows before.
        name: for the progress bar.
        options: of `generate`.
    """
    said, likely = [], []
    with tqdm(total=len(dataset), desc=f"Reporting {name}".strip(), unit=" records", leave=False) as progress:
        for rows in batches(dataset, BATCH_SIZE):
            texts, probability = reporter.report(change(rows) if change else rows, INSTRUCTIONS[language], **options)
            said += texts
            likely.append(probability)
            progress.update(len(rows))
    return said, np.concatenate(likely)


def evaluate_abstention(
    reporter: CheckpointReporter,
    dataset: DatasetDict,
    resamples: int = 1000,
    log: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """
    Measure what a model says of recordings that are none, or not as they should be.

    How many it abstains from at its threshold, which was chosen on "validation"; by how much its atypicality, and its
    own doubt (minus the mean log-probability of a token), tell them from recordings as they are (AUROC); and how many
    would get a finding if it did not abstain.

    Args and returns: as of [`evaluate_reports`].
    """
    return collected(_abstention(reporter, dataset["test"], resamples), log)


def _abstention(reporter: CheckpointReporter, test: Dataset, resamples: int) -> Iterator[Result]:
    counts = metrics.resample_counts(patients_of(test), resamples)
    real = _seen(reporter, test, None)
    for name, change in {"as they are": None, **_UNFIT}.items():
        seen = real if change is None else _seen(reporter, test, change)
        shares = {
            "abstained": seen["abstained"],
            "states_a_finding": np.array([not findings_in(report) <= {"NORM", "SR"} for report in seen["reports"]]),
        }
        figures = {key: metrics.interval(values @ counts / counts.sum(0)) for key, values in shares.items()}
        told = {}
        if change is not None:
            for key in ("atypicality", "doubt"):
                both = np.concatenate([real[key], seen[key]])[:, None]
                target = np.repeat([0, 1], len(test))[:, None].astype(np.uint8)
                auroc = metrics.ranking(target, both, np.concatenate([counts, counts]))[0][0]
                told[f"auroc_by_{key}"] = metrics.interval(auroc)
        most, number = Counter(seen["reports"]).most_common(1)[0]
        yield {
            "task": "reports",
            "method": "abstention",
            "setting": {"recordings": name},
            "split": "test",
            "records": len(test),
            "metrics": {**figures, **told},
            "says_most_often": {"report": most, "records": number},
        }


def _seen(reporter: CheckpointReporter, test: Dataset, change: Callable[[Rows], Rows] | None) -> dict[str, Any]:
    features = torch.from_numpy(embed(reporter, test, change, name="what is unfit")).to(reporter.model.device)
    reports, likely = generate_reports(reporter, test, change=change, name="what is unfit")
    return {
        "reports": reports,
        "doubt": -likely,
        "atypicality": reporter.model.atypicality(features).cpu().numpy(),
        "abstained": reporter.model.abstains(features).cpu().numpy(),
    }


def _judged(
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
    Whether support tells statements that the labels bear out from those that they do not.

    AUROC over all statements together, and within each that was `JUDGED` times right and as often wrong: their mean,
    weighted by how often each was made. Only the latter compares like with like.
    """
    said, codes = [sentences(report) for report in reports], list(map(set, rows["codes"]))
    found = {sentence: findings_in(sentence) for one in said for sentence in one}
    asked = sorted(sentence for sentence, stated in found.items() if stated)
    column = {sentence: index for index, sentence in enumerate(asked)}
    pairs = np.array([(row, column[s]) for row, one in enumerate(said) for s in one if s in column], int).reshape(-1, 2)
    right = np.array([[found[asked[which]] <= codes[row]] for row, which in pairs], np.uint8).reshape(-1, 1)
    together, within = np.full((1, 1 + resamples), np.nan), []
    if asked:
        labels = embed_labels(reporter.model.merit, reporter.processor.merit_tokenizer, {one: [one] for one in asked})
        with torch.inference_mode():
            embeds = reporter.model.ecg_embeds(torch.from_numpy(features).to(reporter.model.device))
            support = labels.logits(embeds).cpu().numpy()[pairs[:, 0], pairs[:, 1]][:, None]
        counts = metrics.resample_counts(patients_of(rows), resamples)[pairs[:, 0]]
        together = metrics.ranking(right, support, counts)[0]
        for which in range(len(asked)):
            own = pairs[:, 1] == which
            if JUDGED <= right[own].sum() <= own.sum() - JUDGED:
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
        "metrics": {
            "auroc_within_statements": metrics.interval(np.average(figures, axis=0, weights=numbers)),
            "auroc_over_statements": metrics.interval(together[0]),
        },
    }


def _nearest(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The nearest training features of each test features by cosine similarity, standardised, `(test,)`."""
    mean, deviation = train.mean(0), train.std(0) + 1e-8
    train, test = (train - mean) / deviation, (test - mean) / deviation
    train /= np.linalg.norm(train, axis=1, keepdims=True)
    return (test @ train.T).argmax(1)
