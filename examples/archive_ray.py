"""Predict an archive with Ray Data, on one machine or a cluster; needs the extra `ray`.

    python examples/archive_ray.py MODEL FOLDER OUTPUT

Each actor loads the model once and answers batches of paths. `merit predict` does the same without Ray.
"""

import sys
from pathlib import Path

import ray

from merit.predict import Predictor

model, folder, output = sys.argv[1:4]
paths = ray.data.from_items([{"path": str(path)} for path in sorted(Path(folder).rglob("*.hea"))])
answers = paths.map_batches(
    Predictor,
    fn_constructor_kwargs={"model": model, "embeddings": True},
    batch_size=64,
    compute=ray.data.ActorPoolStrategy(size=1),
)
answers.write_parquet(output)
print(ray.data.read_parquet(output).count(), "recordings in", output)  # `answers` would be computed again
