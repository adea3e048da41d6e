"""Which text of a recording a batch gets."""

import numpy as np
from datasets import Dataset

# Columns that the recipe's `text` stands for; "mixed" draws one for each recording anew in every epoch.
TEXTS = {"original": ["report"], "english": ["report_en"], "mixed": ["report", "report_en"]}


def with_text(dataset: Dataset, column: str = "report") -> Dataset:
    """The recordings whose report says something."""
    return dataset.select(np.flatnonzero([bool(report) for report in dataset[column]]))
