"""training.json: the data, recipe, software and log of a training run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasets import Dataset

from ..data.open_datasets import OPEN_DATASETS
from ..results.result_files import FORMAT, provenance, write_json
from .checkpoints import CHECKPOINTS, last_checkpoint, step_of

TRAINING_RECORD = "training.json"


class TrainingRecord:
    """
    The file training.json of a run, from which the model card describes the training.

    It holds the data sets with their licences, the recipe, command, commit and versions, and the log. A resumed run
    also records the step at which it resumed.

    Args:
        splits: training and evaluation data, with the column "source".
        recipe: settings of the run.
        folder: folder of the run.
    """

    def __init__(self, splits: Mapping[str, Dataset], recipe: Mapping[str, Any], folder: Path):
        counts = {split: Counter(rows["source"]) for split, rows in splits.items()}
        self.data = [
            {
                "name": source,
                "published": asdict(OPEN_DATASETS[source]) if source in OPEN_DATASETS else None,
                "splits": {split: {"records": count[source]} for split, count in counts.items() if count[source]},
            }
            for source in sorted(set().union(*counts.values()))
        ]
        # Taken when the run begins: the checkout may change before it ends.
        self.provenance: dict[str, Any] = provenance()
        if last := last_checkpoint(folder / CHECKPOINTS):
            self.provenance["resumed_at_step"] = step_of(last)
        self.recipe, self.path = recipe, folder / TRAINING_RECORD

    def write(self, log: Sequence[Mapping[str, Any]]) -> None:
        """Write the file; `log` is the Trainer's log of the whole run."""
        facts = {"data": self.data, "recipe": dict(self.recipe), **self.provenance, "log": list(log)}
        write_json(self.path, {"format": FORMAT, "training": facts})
