"""An encoder with known results."""

import numpy as np


class Oracle:
    """An encoder whose features are the labels of a task."""

    name, fingerprint = "oracle", None

    def __init__(self, dataset, task):
        self.labels = {}
        for rows in dataset.values():
            self.labels |= dict(zip(rows["record_id"], rows[f"labels_{task}"]))

    def embed(self, rows):
        return np.array([self.labels[row["record_id"]] for row in rows], np.float32)
