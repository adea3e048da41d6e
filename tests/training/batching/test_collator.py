"""From rows to batches: crops, text and labels."""

import numpy as np
import pytest
import torch

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.processing_merit import MeritProcessor
from merit.training.batching.augmentation import Augmentation
from merit.training.batching.collator import MeritCollator, SeededOrder, SeededRows, ecg_rows
from merit.training.text.tokenizer import train_tokenizer

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


# Whatever is random, as a function of seed, epoch and row


@pytest.fixture
def rows(dataset):
    return SeededRows(ecg_rows(dataset["train"], "report", "report_en"), seed=3)


def everything_random(processor):
    effects = {"lead_dropout": {"probability": 0.5, "strength": 0.5}, "muscle": {"probability": 0.5, "strength": 0.1}}
    augmentation = Augmentation(effects, processor.feature_extractor)
    return MeritCollator(
        processor, ["report", "report_en"], crop_seconds=5.0, augmentation=augmentation, patch_length=25, pad_text=True
    )


def test_a_recording_is_drawn_alike_in_any_batch_and_state_of_the_generator(processor, rows):
    collate = everything_random(processor)
    torch.manual_seed(0)
    together = collate(rows.__getitems__([4, 5, 6, 7]))
    assert together["rows"].tolist() == [4, 5, 6, 7]
    assert together["noise"].shape == (4, 12, 20)
    torch.manual_seed(1)
    alone = collate([rows[6]])
    for name, tensor in alone.items():
        assert torch.equal(tensor[0], together[name][2]), name


def test_another_epoch_seed_or_row_is_drawn_anew(processor, dataset, rows):
    collate = everything_random(processor)
    first = collate([rows[6]])
    other_seed = SeededRows(ecg_rows(dataset["train"], "report", "report_en"), seed=4)
    changed = [collate([other_seed[6]])]
    rows.epoch = 1
    changed.append(collate([rows[6]]))
    for batch in changed:
        assert not torch.equal(batch["noise"], first["noise"])
        assert not torch.equal(batch["ecg_values"], first["ecg_values"])
    rows.epoch = 0
    assert torch.equal(collate([rows[6]])["ecg_values"], first["ecg_values"])


def test_a_worker_that_outlives_an_epoch_sees_the_next_one(processor, rows):
    loader = torch.utils.data.DataLoader(
        rows, 8, num_workers=1, persistent_workers=True, collate_fn=MeritCollator(processor, patch_length=25)
    )
    for epoch in (0, 1):
        rows.epoch = epoch
        found = next(iter(loader))["noise"]
        assert torch.equal(found, MeritCollator(processor, patch_length=25)(rows.__getitems__([*range(8)]))["noise"])


def test_the_order_is_a_permutation_that_seed_and_epoch_decide(dataset, rows):
    order = SeededOrder(rows)
    first = list(order)
    assert sorted(first) == list(range(len(rows)))
    assert list(order) == first
    rows.epoch = 1
    assert list(order) != first
    assert list(SeededOrder(SeededRows(ecg_rows(dataset["train"]), seed=4))) != first


def test_of_two_texts_one_is_drawn_and_the_last_says_which_are_the_same(processor):
    rows = [{**row(500, report=f"a{i % 3}"), "report_en": f"b{i % 2}", "draw": (0, 0, i)} for i in range(60)]
    batch = MeritCollator(processor, ["report", "report_en"])(rows)
    texts = processor.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
    english = [text.replace(" ", "").startswith("b") for text in texts]
    assert 15 < sum(english) < 45
    keys = batch["keys"].tolist()
    assert len(set(keys)) == 2
    assert keys[0] == keys[2] != keys[1]


def test_a_signal_that_is_not_finite_is_refused_by_name(processor, monkeypatch):
    collate = MeritCollator(processor)
    extract = type(processor.feature_extractor).__call__

    def broken(self, *args, **kwargs):
        features = extract(self, *args, **kwargs)
        features["ecg_values"][1, 6, 3] = float("nan")
        return features

    monkeypatch.setattr(type(processor.feature_extractor), "__call__", broken)
    with pytest.raises(ValueError, match=r"^ramp of 700: the signal has values that are NaN"):
        collate([row(1000), row(700)])
