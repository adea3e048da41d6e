"""Result files of two models."""

import numpy as np
import pytest

from merit.training.results.result_files import compact_result, write_json
from merit.training.results.scores import write_scores
from merit.training.scoring.protocol import Protocol

LABELS = ["CD", "HYP", "MI", "NORM", "STTC"]


@pytest.fixture(scope="module")
def targets():
    rng = np.random.default_rng(0)
    made = {}
    for split, size in (("validation", 200), ("test", 300)):
        made[split] = (rng.random((size, 5)) < 0.3).astype(np.uint8)
        made[split][np.arange(size), rng.integers(0, 5, size)] = 1
    return made


@pytest.fixture(scope="module")
def judge(targets):
    protocol = Protocol(LABELS, targets, resamples=200)

    def scored(noise, seed, detail=True):
        rng = np.random.default_rng(seed)
        scores = {split: values + noise * rng.normal(size=values.shape) for split, values in targets.items()}
        figures = protocol.score(scores["test"], protocol.fit(scores["validation"]), detail)
        return {"scores": scores, "targets": targets["test"], **figures}

    return scored


@pytest.fixture(scope="module")
def make(judge):
    """A result file of a model whose scores are the labels with noise."""

    def file(name, noise, seed):
        results = []
        for method in ("zero-shot", "linear-probe"):
            results.append({"task": "super", "method": method, "setting": {}, "split": "test", **judge(noise, seed)})
        for setting in (
            {"train_fraction": 0.01},
            {"train_fraction": 0.1},
            {"leads": ["I"]},
            {"leads": ["I", "II"]},
            {"noise": "white", "noise_db": 0.0},
            {"noise": "white", "noise_db": 6.0},
        ):
            scored = judge(noise + 1, seed, "train_fraction" in setting)
            results.append({"task": "super", "method": "linear-probe", "setting": setting, "split": "test", **scored})
        splits = {split: {"records": 5, "sha256": f"{split} hash of these records"} for split in ("validation", "test")}
        return {
            "format": 2,
            "model": {"name": name, "weights_sha256": f"{seed}" * 64, "parameters": 7},
            "data": {"name": "simulated", "sha256": "d", "splits": splits},
            "seed": 0,
            "results": results,
        }

    return file


@pytest.fixture(scope="module")
def files(make, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    paths = []
    for name, noise, seed in (("weak", 3.0, 1), ("strong", 0.7, 2)):
        path, content = folder / f"{name}.json", make(name, noise, seed)
        write_scores(path, content, content["results"])
        write_json(path, {**content, "results": [compact_result(result) for result in content["results"]]})
        paths.append(path)
    return paths
