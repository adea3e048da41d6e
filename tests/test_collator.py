"""From rows to batches: crops, text and labels."""

import numpy as np
import pytest
import torch

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.processing_merit import MeritProcessor
from merit.training.collator import MeritCollator
from merit.training.tokenizer import train_tokenizer

RATE = 100


@pytest.fixture(scope="module")
def processor():
    extractor = MeritFeatureExtractor(bandpass=None, clip=None)
    return MeritProcessor(extractor, train_tokenizer(["sinus rhythm", "vorhofflimmern"]))


def row(samples, report="sinus rhythm", labels=(1, 0)):
    """A recording of two leads whose sample n is n + 1 hundredths of a millivolt, and its negative."""
    ramp = np.arange(1, samples + 1, dtype=np.int16)
    return {
        "record_id": f"ramp of {samples}",
        "signal": np.concatenate([ramp, -ramp]),
        "gain": np.array([100.0, 100.0], np.float32),
        "baseline": np.array([0, 0], np.int32),
        "sampling_rate": float(RATE),
        "lead_names": ["V1", "V2"],
        "report": report,
        "labels": np.array(labels, np.uint8),
    }


def test_a_crop_is_one_stretch_of_the_recording(processor):
    collate = MeritCollator(processor, crop_seconds=5.0)
    starts = set()
    for seed in range(20):
        torch.manual_seed(seed)
        batch = collate([row(1000), row(700)])
        assert batch["ecg_values"].shape == (2, 12, 500)
        assert batch["sample_mask"].all()
        numbers = (batch["ecg_values"][:, 6] * 100).round()
        assert torch.equal((batch["ecg_values"][:, 7] * 100).round(), -numbers)
        assert (numbers.diff() == 1).all()
        assert numbers.min() >= 1
        assert numbers[0, -1] <= 1000
        assert numbers[1, -1] <= 700
        starts.update(numbers[:, 0].tolist())
    assert len(starts) > 30


def test_every_crop_can_occur_from_the_first_to_the_last(processor):
    torch.manual_seed(0)
    first = MeritCollator(processor, crop_seconds=9.98)([row(1000)] * 200)["ecg_values"][:, 6, 0]
    assert set((first * 100).round().tolist()) == {1.0, 2.0, 3.0}


def test_a_recording_shorter_than_the_crop_stays_whole(processor):
    batch = MeritCollator(processor, crop_seconds=5.0)([row(300), row(1000)])
    assert batch["ecg_values"].shape == (2, 12, 500)
    assert batch["sample_mask"].sum(-1).tolist() == [300, 500]
    assert batch["sample_mask"][0, :300].all()
    torch.testing.assert_close(batch["ecg_values"][0, 6, :300], torch.arange(1, 301) / 100)
    assert not batch["ecg_values"][0, :, 300:].any()


def test_a_batch_of_short_recordings_is_not_stretched(processor):
    batch = MeritCollator(processor, crop_seconds=5.0)([row(300), row(400)])
    assert batch["sample_mask"].sum(-1).tolist() == [300, 400]
    assert batch["ecg_values"].shape[-1] == batch["sample_mask"].shape[-1] == 400


def test_crops_follow_the_seed_of_torch(processor):
    collate = MeritCollator(processor, crop_seconds=5.0)
    batches = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        batches.append(collate([row(1000)] * 4)["ecg_values"])
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_without_a_crop_the_window_is_whole(processor):
    batch = MeritCollator(processor)([row(1000), row(1000)])
    assert batch["ecg_values"].shape == (2, 12, 1000)
    assert batch["lead_mask"][0].nonzero().flatten().tolist() == [6, 7]


def test_a_batch_holds_what_the_model_takes_and_nothing_else(processor):
    signal, text = {"ecg_values", "lead_mask", "sample_mask"}, {"input_ids", "attention_mask"}
    assert set(MeritCollator(processor)([row(500)])) == signal | text
    assert set(MeritCollator(processor, crop_seconds=3.0)([row(500)])) == signal | text
    assert set(MeritCollator(processor, text_column=None)([row(500)])) == signal


def test_labels_are_floats(processor):
    rows = [row(500, labels=(1, 0)), row(500, labels=(0, 1))]
    batch = MeritCollator(processor, text_column=None, label_column="labels")(rows)
    assert batch["labels"].dtype == torch.float32
    assert batch["labels"].tolist() == [[1, 0], [0, 1]]


def test_rows_of_a_data_set_come_in_their_order(processor, dataset):
    rows = dataset["train"].select(range(4)).with_format("numpy")
    together = MeritCollator(processor, label_column="labels_super")([rows[i] for i in range(4)])
    for i in range(4):
        alone = MeritCollator(processor, label_column="labels_super")([rows[i]])
        assert torch.equal(alone["ecg_values"][0], together["ecg_values"][i])
        assert torch.equal(alone["labels"][0], together["labels"][i])
        words = alone["attention_mask"].sum()
        assert torch.equal(alone["input_ids"][0], together["input_ids"][i, :words])
