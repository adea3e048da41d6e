"""Which reports to train on."""

import numpy as np
from datasets import Dataset

# Report columns for each value of a recipe's `text`. "mixed" draws one of its columns for each record in every epoch.
TEXTS = {"original": ["report"], "english": ["report_en"], "mixed": ["report", "report_en"]}


def with_text(dataset: Dataset, column: str = "report") -> Dataset:
    """The records whose report is not empty."""
    return dataset.select(np.flatnonzero([bool(report) for report in dataset[column]]))
