"""What recordings look like whose reports state a label: the command `merit learn-labels`.

A prompt says a label as no report does, and recordings were aligned with whole reports. A label is learned instead:
logistic regression tells the recordings whose report states it from the others, by their embeddings in the shared
space, and a score is the log-odds that the report of a recording would state it. How common that is among the reports
is part of it. No label of a data set is read: which findings a report states is `findings_in` its text. So this is
supervision by reports, more than prompts know and less than labels.

    >>> sorted(statements_of("CRBBB")), sorted(statements_of("HYP"))
    (['CRBBB'], ['LAO/LAE', 'LVH', 'RVH', 'VCLVH'])
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

# Of the mean loss of a recording; chosen on fold 9 by benchmarks/bench_zero_shot_scores.py.
PENALTY = 0.0001
# What fewer reports state is said by prompts.
LEAST = 10


def statements_of(code: str, glossary: Glossary | None = None) -> frozenset[str]:
    """The statements of PTB-XL that a finding of the glossary stands for: its own, and those of its members."""
    own = frozenset({code}.intersection(STATEMENTS))
    glossary = glossary or Glossary.default()
    return own.union(*(statements_of(member, glossary) for member in glossary.findings[code].members))


def statements_in(rows: Dataset) -> list[frozenset[str]]:
    """What the report of each recording states, as it was written or in English."""
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
) -> tuple[MeritModel, dict[str, int]]:
    """
    Learn the labels of the glossary.

    Args:
        model: what embeds the recordings; it is not changed.
        processor: its own.
        recordings: with reports in English or German; those without one are left out.
        penalty: of the squared weights, beside the mean loss of a recording.
        least: number of reports that have to state a label, and not to state it, for it to be learned.
        cache: folder for the embeddings, see `embed`.

    Returns:
        the model with what it has learned, and for each label the number of reports that state it.

    Raises:
        ValueError: no label is stated often enough, or `least` is below 1.
    """
    if least < 1:
        raise ValueError(f"least must be at least 1, not {least}: what no report states cannot be learned.")
    recordings = with_text(recordings)
    found = statements_in(recordings)
    stating: dict[str, np.ndarray] = {}
    for code in processor.glossary.findings:
        statements = statements_of(code, processor.glossary)
        states = np.array([not statements.isdisjoint(one) for one in found], dtype=bool)
        if least <= states.sum() <= len(states) - least:
            stating[code] = states
    if not stating:
        raise ValueError(f"There is nothing that {least} of {len(found)} reports state: give more reports.")
    encoder = CheckpointEncoder(model, processor)
    embeds = encoder.project(embed(encoder, recordings, cache=cache, name="recordings"))
    fitted = [
        LogisticRegression(C=1 / (penalty * len(embeds)), max_iter=1000).fit(embeds, states)
        for states in stating.values()
    ]
    # In half precision, as checkpoints are stored: storing what was learned does not change it.
    learned = {
        "label_weight": torch.tensor(np.stack([one.coef_[0] for one in fitted]), dtype=torch.float16),
        "label_bias": torch.tensor([one.intercept_[0] for one in fitted], dtype=torch.float16),
    }
    config = MeritConfig(**{**model.config.to_dict(), "learned_labels": list(stating)})
    taught = type(model)(config)
    taught.load_state_dict({**model.state_dict(), **learned})
    return taught.to(model.dtype), {code: int(states.sum()) for code, states in stating.items()}  # type: ignore[arg-type]


def results_that_hold(folder: Path, before: str, after: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """
    Result files, by their names, of a model that learned labels anew: its own without what those labels scored, and
    those of other weights, such as before training.

    Args:
        folder: of the model as it was.
        before: hash of its weights.
        after: hash of its weights with what it has learned; the files say by which they were measured.
    """
    for path, content in results_of(folder).items():
        if "results" not in content:
            continue
        if content["model"]["weights_sha256"] == before:
            content["model"] = {"measured_with": before, **content["model"], "weights_sha256": after}
            results = content["results"]
            content["results"] = [
                one for one in results if one["method"] != "zero-shot" or "language" in one["setting"]
            ]
        if content["results"]:
            yield Path(path).name, content
