"""Report-supervised labels: the command `merit learn-labels`.

For each finding of the glossary, a logistic regression on the embeddings separates the recordings whose report mentions
the finding from all others. A score is then the log-odds that the report of a recording mentions it, which includes how
common the finding is. Findings are read from the report text by `findings_in`; the labels of the data set are not used.
This uses more supervision than text prompts and less than labels.

    >>> sorted(statements_of("CRBBB")), sorted(statements_of("HYP"))
    (['CRBBB'], ['LAO/LAE', 'LVH', 'RVH', 'VCLVH'])
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression

from ...modeling_merit.configuration_merit import MeritConfig
from ...modeling_merit.modeling_merit import MeritModel
from ...processing.glossary_merit import Glossary
from ...processing.processing_merit import MeritProcessor
from ..batching.report_text import TEXTS, with_text
from ..results.result_files import results_of
from ..scoring.embeddings import embed
from ..scoring.encoders import CheckpointEncoder
from ..text.statements import STATEMENTS, findings_in

# L2 penalty relative to the mean loss of a recording; chosen on fold 9 with benchmarks/bench_zero_shot_scores.py.
PENALTY = 0.0001
# The file that records what was learned.
LEARNED_LABELS = "learned-labels.json"
# Findings mentioned in fewer reports are scored with prompts instead.
LEAST = 10


class LearnedLabels(NamedTuple):
    """
    What [`learn_labels`] returns.

    Args:
        model: the model with its learned labels.
        stated: for each label that was learned now, the number of reports that mention it.
        replaced: those of them that the model had learned before.
        kept: labels that the model had learned before and still has.
    """

    model: MeritModel
    stated: dict[str, int]
    replaced: list[str]
    kept: list[str]


def statements_of(code: str, glossary: Glossary | None = None) -> frozenset[str]:
    """The statements of PTB-XL that a finding of the glossary covers: its own and those of its members."""
    own = frozenset({code}.intersection(STATEMENTS))
    glossary = glossary or Glossary.default()
    return own.union(*(statements_of(member, glossary) for member in glossary.findings[code].members))


def statements_in(rows: Dataset) -> list[frozenset[str]]:
    """The statements in the report of each recording, in the original or in English."""
    texts = [rows[column] for column in TEXTS["mixed"] if column in rows.column_names]
    found = {text: findings_in(text) for text in set().union(*texts)}
    return [frozenset().union(*(found[text] for text in of_recording)) for of_recording in zip(*texts)]


def learn_labels(
    model: MeritModel,
    processor: MeritProcessor,
    recordings: Dataset,
    penalty: float = PENALTY,
    least: int = LEAST,
    cache: str | Path | None = None,
) -> LearnedLabels:
    """
    Learn the findings of the glossary from the reports of a data set.

    Labels that the model has learned before are kept, unless they are learned again from these reports.

    Args:
        model: the model that embeds the recordings; it is not changed.
        processor: its processor.
        recordings: records with reports in English or German; those without a report are left out.
        penalty: L2 penalty, relative to the mean loss of a recording.
        least: a finding is learned if at least this many reports mention it and at least as many do not.
        cache: folder for the embeddings, see `embed`.

    Raises:
        ValueError: no finding is mentioned often enough, or `least` is below 1.
    """
    if least < 1:
        raise ValueError(f"least must be at least 1, not {least}: a finding that no report mentions cannot be learned.")
    recordings = with_text(recordings)
    found = statements_in(recordings)
    stating: dict[str, np.ndarray] = {}
    for code in processor.glossary.findings:
        statements = statements_of(code, processor.glossary)
        states = np.array([not statements.isdisjoint(one) for one in found], dtype=bool)
        if least <= states.sum() <= len(states) - least:
            stating[code] = states
    if not stating:
        raise ValueError(
            f"No finding is mentioned in {least} of the {len(found)} reports: give more reports, or lower `least`."
        )
    encoder = CheckpointEncoder(model, processor)
    embeds = encoder.project(embed(encoder, recordings, cache=cache, name="recordings"))
    fitted = [
        LogisticRegression(C=1 / (penalty * len(embeds)), max_iter=1000).fit(embeds, states)
        for states in stating.values()
    ]
    # Rounded to half precision, in which checkpoints are stored, so that storing the model does not change its scores.
    now = {
        code: (
            torch.tensor(one.coef_[0], dtype=torch.float16).float(),
            torch.tensor(one.intercept_[0], dtype=torch.float16).float(),
        )
        for code, one in zip(stating, fitted)
    }
    before = {code: (weight.float().cpu(), bias.float().cpu()) for code, (weight, bias) in model.learned_labels.items()}
    labels = {**before, **now}
    # The scale of the scores belongs to the labels that it was fitted to.
    config = MeritConfig(**{**model.config.to_dict(), "learned_labels": list(labels), "calibration": None})
    learned = type(model)(config)
    weights = {
        "label_weight": torch.stack([weight for weight, _ in labels.values()]),
        "label_bias": torch.stack([bias for _, bias in labels.values()]),
    }
    kept = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("calibration_")}
    learned.load_state_dict({**kept, **weights})
    return LearnedLabels(
        learned.to(model.dtype),  # type: ignore[arg-type]
        {code: int(states.sum()) for code, states in stating.items()},
        replaced=[code for code in now if code in before],
        kept=[code for code in before if code not in now],
    )


def reports_of(folder: Path) -> dict[str, int]:
    """By code of a learned label, the number of reports that it was fitted to, as the folder of a model records it."""
    record = folder / "results" / LEARNED_LABELS
    return json.loads(record.read_text(encoding="utf-8"))["learned_labels"]["stated"] if record.is_file() else {}


def uses_learned_labels(result: dict[str, Any]) -> bool:
    """Whether a result depends on the learned labels of a model."""
    return result["method"] == "zero-shot" and "language" not in result["setting"]


def results_that_hold(
    folder: Path, before: str, after: str, changes: Callable[[dict[str, Any]], bool] = uses_learned_labels
) -> Iterator[tuple[str, dict[str, Any]]]:
    """
    The result files of a model that are still valid after it has learned labels, by file name.

    Results that used learned labels are dropped. Results of other weights, such as those of a random initialisation,
    are unchanged.

    Args:
        folder: folder of the model before.
        before: hash of its weights before.
        after: hash of its weights with the learned labels; the files name the weights they were measured with.
        changes: whether a result is another one with these weights and is dropped.
    """
    for path, content in results_of(folder).items():
        if "results" not in content:
            continue
        if content["model"]["weights_sha256"] == before:
            content["model"] = {"measured_with": before, **content["model"], "weights_sha256": after}
            content["results"] = [one for one in content["results"] if not changes(one)]
        if content["results"]:
            yield Path(path).name, content
