"""From rows to batches: crops, text, labels, random numbers and records that cannot be used."""

import numpy as np
import pytest
import torch
from tiny_models import tiny_model
from transformers import TrainingArguments

from merit import MeritModel
from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.processing_merit import MeritProcessor
from merit.training.batching.augmentation import Augmentation
from merit.training.batching.collator import MeritCollator, SeededOrder, SeededRows, ecg_rows
from merit.training.text.tokenizer import train_tokenizer
from merit.training.trainer.trainer import EcgTrainer

RATE = 100


@pytest.fixture(scope="module")
def processor():
    extractor = MeritFeatureExtractor(bandpass=None, clip=None)
    return MeritProcessor(extractor, train_tokenizer(["sinus rhythm", "vorhofflimmern"]))


def row(samples, report="sinus rhythm", labels=(1, 0)):
    """A recording of two leads: a ramp of 0.01 mV per sample, and its negative."""
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


def test_a_crop_is_a_contiguous_part_of_the_recording(processor):
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


def test_crops_start_at_every_position(processor):
    torch.manual_seed(0)
    first = MeritCollator(processor, crop_seconds=9.98)([row(1000)] * 200)["ecg_values"][:, 6, 0]
    assert set((first * 100).round().tolist()) == {1.0, 2.0, 3.0}


def test_a_recording_shorter_than_the_crop_is_kept_whole(processor):
    batch = MeritCollator(processor, crop_seconds=5.0)([row(300), row(1000)])
    assert batch["ecg_values"].shape == (2, 12, 500)
    assert batch["sample_mask"].sum(-1).tolist() == [300, 500]
    assert batch["sample_mask"][0, :300].all()
    torch.testing.assert_close(batch["ecg_values"][0, 6, :300], torch.arange(1, 301) / 100)
    assert not batch["ecg_values"][0, :, 300:].any()


def test_a_batch_of_short_recordings_is_not_padded_to_the_crop(processor):
    batch = MeritCollator(processor, crop_seconds=5.0)([row(300), row(400)])
    assert batch["sample_mask"].sum(-1).tolist() == [300, 400]
    assert batch["ecg_values"].shape[-1] == batch["sample_mask"].shape[-1] == 400


def test_crops_depend_on_the_seed_of_torch(processor):
    collate = MeritCollator(processor, crop_seconds=5.0)
    batches = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        batches.append(collate([row(1000)] * 4)["ecg_values"])
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_without_a_crop_the_batch_has_whole_windows(processor):
    batch = MeritCollator(processor)([row(1000), row(1000)])
    assert batch["ecg_values"].shape == (2, 12, 1000)
    assert batch["lead_mask"][0].nonzero().flatten().tolist() == [6, 7]


def test_a_batch_has_the_inputs_of_the_model_and_nothing_else(processor):
    signal, text = {"ecg_values", "lead_mask", "sample_mask"}, {"input_ids", "attention_mask"}
    assert set(MeritCollator(processor)([row(500)])) == signal | text
    assert set(MeritCollator(processor, crop_seconds=3.0)([row(500)])) == signal | text
    assert set(MeritCollator(processor, text_column=None)([row(500)])) == signal


def test_labels_are_floats(processor):
    rows = [row(500, labels=(1, 0)), row(500, labels=(0, 1))]
    batch = MeritCollator(processor, text_column=None, label_column="labels")(rows)
    assert batch["labels"].dtype == torch.float32
    assert batch["labels"].tolist() == [[1, 0], [0, 1]]


def test_a_batch_keeps_the_order_of_the_rows(processor, dataset):
    rows = dataset["train"].select(range(4)).with_format("numpy")
    together = MeritCollator(processor, label_column="labels_super")([rows[i] for i in range(4)])
    for i in range(4):
        alone = MeritCollator(processor, label_column="labels_super")([rows[i]])
        assert torch.equal(alone["ecg_values"][0], together["ecg_values"][i])
        assert torch.equal(alone["labels"][0], together["labels"][i])
        words = alone["attention_mask"].sum()
        assert torch.equal(alone["input_ids"][0], together["input_ids"][i, :words])


# Random choices are a function of seed, epoch and row.


@pytest.fixture
def rows(dataset):
    return SeededRows(ecg_rows(dataset["train"], "report", "report_en"), seed=3)


def collator_with_random_choices(processor):
    effects = {"lead_dropout": {"probability": 0.5, "strength": 0.5}, "muscle": {"probability": 0.5, "strength": 0.1}}
    augmentation = Augmentation(effects, processor.feature_extractor)
    return MeritCollator(
        processor, ["report", "report_en"], crop_seconds=5.0, augmentation=augmentation, patch_length=25, pad_text=True
    )


def test_random_choices_do_not_depend_on_the_batch_or_the_global_generator(processor, rows):
    collate = collator_with_random_choices(processor)
    torch.manual_seed(0)
    together = collate(rows.__getitems__([4, 5, 6, 7]))
    assert together["rows"].tolist() == [4, 5, 6, 7]
    assert together["noise"].shape == (4, 12, 20)
    torch.manual_seed(1)
    alone = collate([rows[6]])
    for name, tensor in alone.items():
        assert torch.equal(tensor[0], together[name][2]), name


def test_another_epoch_or_seed_gives_other_random_choices(processor, dataset, rows):
    collate = collator_with_random_choices(processor)
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


def test_a_persistent_worker_sees_the_next_epoch(processor, rows):
    loader = torch.utils.data.DataLoader(
        rows, 8, num_workers=1, persistent_workers=True, collate_fn=MeritCollator(processor, patch_length=25)
    )
    for epoch in (0, 1):
        rows.epoch = epoch
        found = next(iter(loader))["noise"]
        assert torch.equal(found, MeritCollator(processor, patch_length=25)(rows.__getitems__([*range(8)]))["noise"])


def test_the_order_is_a_permutation_that_depends_on_seed_and_epoch(dataset, rows):
    order = SeededOrder(rows)
    first = list(order)
    assert sorted(first) == list(range(len(rows)))
    assert list(order) == first
    rows.epoch = 1
    assert list(order) != first
    assert list(SeededOrder(SeededRows(ecg_rows(dataset["train"]), seed=4))) != first


def test_one_of_two_texts_is_drawn_and_keys_compare_the_last(processor):
    rows = [{**row(500, report=f"a{i % 3}"), "report_en": f"b{i % 2}", "seed": (0, 0, i)} for i in range(60)]
    batch = MeritCollator(processor, ["report", "report_en"])(rows)
    texts = processor.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
    english = [text.replace(" ", "").startswith("b") for text in texts]
    assert 15 < sum(english) < 45
    keys = batch["keys"].tolist()
    assert len(set(keys)) == 2
    assert keys[0] == keys[2] != keys[1]


def test_a_signal_that_is_not_finite_is_refused_with_the_name_of_its_record(processor, monkeypatch):
    collate = MeritCollator(processor)
    extract = type(processor.feature_extractor).__call__

    def broken(self, *args, **kwargs):
        features = extract(self, *args, **kwargs)
        features["ecg_values"][1, 6, 3] = float("nan")
        return features

    monkeypatch.setattr(type(processor.feature_extractor), "__call__", broken)
    with pytest.raises(ValueError, match=r"^ramp of 700: the signal has values that are NaN"):
        collate([row(1000), row(700)])


def constant(row):
    return {**row, "signal": np.zeros_like(row["signal"])}


def with_gain(row, gain):
    return {**row, "gain": np.full_like(row["gain"], gain)}


@pytest.mark.parametrize(
    "change",
    [
        constant,
        lambda row: {**row, "signal": row["signal"][:20]},
        lambda row: {**row, "sampling_rate": 0.0},
        lambda row: {**row, "lead_names": ["V1", "X9"]},
        lambda row: with_gain(row, 1e-30),
    ],
    ids=["constant", "too short", "no rate", "unknown lead", "gain"],
)
def test_a_record_that_cannot_be_used_is_named_with_what_to_do(processor, change):
    bad = change({**row(1000), "record_id": "records100/bad"})
    with pytest.raises(ValueError, match=r"(?s)records100/bad.*(--skip-bad|leave it out)"):
        MeritCollator(processor)([row(1000), bad, row(700)])


def test_a_loader_worker_names_the_record_that_cannot_be_used(processor):
    rows = [row(1000), constant({**row(1000), "record_id": "records100/bad"})]
    loader = torch.utils.data.DataLoader(rows, 2, num_workers=1, collate_fn=MeritCollator(processor))
    with pytest.raises(ValueError, match=r"records100/bad.*--skip-bad"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampling_rate": 250}, "processor has sampling_rate 250, the model 100: give both the same sampling_rate"),
        ({"lead_names": ["I", "II"]}, r"processor has lead_names .*'I', 'II'.*, the model .*: give both the same"),
    ],
    ids=["sampling rate", "leads"],
)
def test_a_processor_that_is_not_the_models_is_refused(processor, fields, message, tmp_path):
    model = tiny_model(MeritModel)
    other = MeritProcessor(MeritFeatureExtractor(**fields), processor.tokenizer)
    for config in (model.config, model.config.ecg_config):
        with pytest.raises(ValueError, match=message):
            MeritCollator(other, config=config)
    right, wrong = MeritCollator(processor, config=model.config), MeritCollator(other)
    arguments = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)
    for collators in ((right, wrong), (wrong, right)):
        with pytest.raises(ValueError, match=message):
            EcgTrainer(model, arguments, data_collator=collators[0], eval_collator=collators[1])
    EcgTrainer(model, arguments, data_collator=right, eval_collator=right)
