"""Retrieval of reports by ECG and of ECGs by report."""

from collections.abc import Iterator

import numpy as np
from datasets import Dataset

from ..results.result_files import Result
from ..scoring import metrics
from ..scoring.encoders import TextEncoder
from ..scoring.protocol import patients_of
from .context import EvaluationContext

RECALL_AT = (1, 5, 10)


def retrieval(context: EvaluationContext) -> Iterator[Result]:
    """Two results, one for each direction, on the test split."""
    if isinstance(context.encoder, TextEncoder):
        yield from retrieval_of(context.encoder, context.features("test"), context.dataset["test"], context.resamples)


def retrieval_of(encoder: TextEncoder, features: np.ndarray, test: Dataset, resamples: int = 1000) -> Iterator[Result]:
    """
    Rank all different reports of a split for each ECG, and all its ECGs for each report.

    Every record with a report is a query in both directions, and every record with the same report is a right answer.
    Ties count against the model: if all similarities are equal, the right answer is ranked last.

    Args:
        features: `(records, dim)` of the records of `test`.
    """
    reports = np.array(test["report"], dtype=object)
    reported = np.flatnonzero(reports != "")
    texts, text_of_record = np.unique(reports[reported].astype(str), return_inverse=True)
    ecg_embeds, text_embeds = encoder.project(features[reported]), encoder.embed_texts(list(texts))
    similarity = ecg_embeds @ text_embeds.T
    own = similarity[np.arange(len(ecg_embeds)), text_of_record]
    ranks = {"ecg to report": (similarity >= own[:, None]).sum(1)}
    rank_of_text = np.empty(len(texts), int)
    for i in range(len(texts)):
        right = text_of_record == i
        rank_of_text[i] = 1 + (similarity[~right, i] >= similarity[right, i].max()).sum()
    ranks["report to ecg"] = rank_of_text[text_of_record]
    counts = metrics.resample_counts(patients_of(test)[reported], resamples)
    for direction, rank in ranks.items():
        recalls = {f"recall_at_{k}": (rank <= k) @ counts / counts.sum(0) for k in RECALL_AT}
        median_rank = metrics.median(rank.astype(float), counts)
        yield {
            "task": "reports",
            "method": "retrieval",
            "setting": {"direction": direction},
            "split": "test",
            "records": len(reported),
            "candidates": len(texts) if direction == "ecg to report" else len(reported),
            "metrics": metrics.intervals({**recalls, "median_rank": median_rank}),
            "replicates": {name: values[1:] for name, values in recalls.items()},
        }
