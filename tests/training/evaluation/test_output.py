"""Result files identify model and data."""

import numpy as np
from datasets import DatasetDict
from safetensors.numpy import load_file

from merit.training.evaluation.evaluate import evaluate
from merit.training.evaluation.output import result_file, write_evaluation
from merit.training.results.comparison import read_results
from merit.training.scoring.protocol import task_names


def test_a_result_file_identifies_its_records_and_labels(encoder, dataset):
    content = result_file(encoder, dataset, "simulated", 0, [])
    fewer = DatasetDict({**dataset, "test": dataset["test"].select(range(5))})
    other = result_file(encoder, fewer, "simulated", 0, [])
    assert content["data"]["splits"]["train"] == other["data"]["splits"]["train"]
    assert content["data"]["splits"]["test"] != other["data"]["splits"]["test"]
    assert content["data"]["sha256"] != other["data"]["sha256"]
    assert set(task_names(dataset)) >= {"super", "all"}


def test_scores_and_replicates_are_written_beside_the_result_file(encoder, dataset, tmp_path):
    results = evaluate(encoder, dataset, ["super"], ["zero-shot"], resamples=5)
    path = tmp_path / "evaluation.json"
    write_evaluation(path, encoder, dataset, "simulated", 0, results)
    assert {file.name for file in tmp_path.iterdir()} == {"evaluation.json", "evaluation.safetensors"}
    scores = load_file(tmp_path / "evaluation.safetensors")
    for number, result in enumerate(results):
        for split in ("validation", "test"):
            np.testing.assert_array_equal(scores[f"{number}/{split}"], result["scores"][split])
            assert len(scores[f"{number}/{split}"]) == len(dataset[split])
    [content] = read_results([path])
    assert [result["metrics"] for result in content["results"]] == [result["metrics"] for result in results]
    for read, result in zip(content["results"], results):
        np.testing.assert_array_equal(read["replicates"]["auroc"], result["replicates"]["auroc"])


def test_every_figure_of_perturbed_recordings_and_of_retrieval_that_the_file_keeps_can_be_paired(
    encoder, dataset, tmp_path
):
    results = evaluate(encoder, dataset, ["super"], ["robustness", "retrieval"], resamples=5)
    write_evaluation(tmp_path / "evaluation.json", encoder, dataset, "simulated", 0, results)
    [content] = read_results([tmp_path / "evaluation.json"])
    assert len(content["results"]) > 10
    for read in content["results"]:
        recalls = ["recall_at_1", "recall_at_5", "recall_at_10"] if read["method"] == "retrieval" else ["auroc"]
        assert sorted(read["replicates"]) == sorted(recalls)
        assert {metric: len(values) for metric, values in read["replicates"].items()} == dict.fromkeys(recalls, 5)
