"""Result files identify model and data."""

from datasets import DatasetDict

from merit.training.evaluation.output import result_file
from merit.training.scoring.protocol import task_names


def test_a_result_file_identifies_its_records_and_labels(encoder, dataset):
    content = result_file(encoder, dataset, "simulated", 0, [])
    fewer = DatasetDict({**dataset, "test": dataset["test"].select(range(5))})
    other = result_file(encoder, fewer, "simulated", 0, [])
    assert content["data"]["splits"]["train"] == other["data"]["splits"]["train"]
    assert content["data"]["splits"]["test"] != other["data"]["splits"]["test"]
    assert content["data"]["sha256"] != other["data"]["sha256"]
    assert set(task_names(dataset)) >= {"super", "all"}
