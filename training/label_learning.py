"""How reports state a label, learned from their text alone: the command `merit learn-labels`.

A prompt says a label in a few words; a report states it among other findings, in many wordings, and a recording was
aligned with its report. The direction in the shared space that tells the reports which state a finding from those which
do not is therefore nearer to what recordings show than any prompt. It is fitted to the embeddings of reports by
logistic regression, and a score is the log-odds that a report would state it: how common that is among the reports is
part of it. Neither signals nor labels of a data set are read: which findings a report states is `findings_in` the text.

    >>> sorted(statements_of("CRBBB")), sorted(statements_of("HYP"))
    (['CRBBB'], ['LAO/LAE', 'LVH', 'RVH', 'VCLVH'])
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression

from ..modeling_merit.configuration_merit import MeritConfig
from ..modeling_merit.modeling_merit import MeritModel
from ..processing.processing_merit import MeritProcessor
from ..processing.prompts_merit import FINDINGS
from .embeddings import MeritEncoder
from .pretraining import TEXTS
from .report_measures import STATEMENTS, findings_in

# Of the mean loss of a report; chosen on fold 9 by benchmarks/bench_zero_shot_scores.py.
PENALTY = 0.003
# Labels that fewer reports state are better said by prompts; on fold 9 too.
LEAST = 60


def report_texts(rows: Dataset) -> list[str]:
    """The reports of a data set, as they were written and in English."""
    return [report for column in TEXTS["mixed"] if column in rows.column_names for report in rows[column]]


def statements_of(code: str) -> frozenset[str]:
    """The statements of PTB-XL that a finding of the glossary stands for: its own, and those of its members."""
    own = frozenset({code}.intersection(STATEMENTS))
    return own.union(*(statements_of(member) for member in FINDINGS[code].members))


def learn_labels(
    model: MeritModel, processor: MeritProcessor, reports: Iterable[str], penalty: float = PENALTY, least: int = LEAST
) -> tuple[MeritModel, dict[str, int]]:
    """
    Learn the labels of the glossary.

    Args:
        model: whose text encoder embeds the reports; it is not changed.
        processor: its own.
        reports: in English or German; one that many recordings share counts as often.
        penalty: of the squared weights, beside the mean loss of a report.
        least: number of reports that have to state a label, and not to state it, for it to be learned.

    Returns:
        the model with what it has learned, and for each label the number of reports that state it.

    Raises:
        ValueError: no label is stated often enough.
    """
    count = Counter(report for report in reports if report)
    texts, weight = list(count), np.array(list(count.values()), float)
    found = [findings_in(text) for text in texts]
    stating: dict[str, np.ndarray] = {}
    for code in FINDINGS:
        statements = statements_of(code)
        states = np.array([not statements.isdisjoint(one) for one in found], dtype=bool)
        if least <= weight[states].sum() <= weight.sum() - least:
            stating[code] = states
    if not stating:
        raise ValueError(f"There is nothing that {least} of {int(weight.sum())} reports state: give more reports.")
    embeds = MeritEncoder(model, processor).embed_texts(texts)
    fitted = [
        LogisticRegression(C=1 / (penalty * weight.sum()), max_iter=1000).fit(embeds, states, sample_weight=weight)
        for states in stating.values()
    ]
    learned = {
        "label_weight": torch.tensor(np.stack([one.coef_[0] for one in fitted]), dtype=torch.float32),
        "label_bias": torch.tensor([one.intercept_[0] for one in fitted], dtype=torch.float32),
    }
    config = MeritConfig(**{**model.config.to_dict(), "learned_labels": list(stating)})
    taught = type(model)(config)
    taught.load_state_dict({**model.state_dict(), **learned})
    return taught.to(model.dtype), {code: int(weight[states].sum()) for code, states in stating.items()}  # type: ignore[arg-type]
