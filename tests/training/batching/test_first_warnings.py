"""Warnings about single recordings while a data set is used: one of each kind."""

import warnings

import numpy as np
import pytest
from tiny_models import tiny_model
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from merit import MeritForEcgClassification, MeritModel
from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.processing_merit import MeritProcessor
from merit.processing.recording_base_merit import LeadWarning, PaddingWarning
from merit.training.batching.collator import MeritCollator
from merit.training.batching.first_warnings import FirstWarnings
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.text.tokenizer import train_tokenizer
from merit.training.trainer.trainer import EcgTrainer


@pytest.fixture(scope="module")
def processor():
    return MeritProcessor(MeritFeatureExtractor(), train_tokenizer(["sinus rhythm"]))


def row(number, flat=True, padded=False):
    """A recording of two leads at 100 Hz, of which one is flat or both begin with a constant."""
    signal = np.random.default_rng(number).integers(-100, 100, (2, 1000)).astype(np.int16)
    signal[0] *= not flat
    signal[:, : 200 * padded] = 0
    return {
        "record_id": f"record {number}",
        "signal": signal.ravel(),
        "gain": np.array([100.0, 100.0], np.float32),
        "baseline": np.array([0, 0], np.int32),
        "sampling_rate": 100.0,
        "lead_names": ["V1", "V2"],
        "labels": np.array([1, 0], np.uint8),
    }


def caught(action):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        action()
    return [(one.category, str(one.message)) for one in found if issubclass(one.category, UserWarning)]


def test_a_collator_names_the_first_recording_of_each_kind(processor):
    collate = MeritCollator(processor, text_column=None)
    [(category, message)] = caught(lambda: collate([row(0, flat=False), row(1), row(2)]))
    assert category is LeadWarning
    assert message.startswith("record 1: lead V1 is flat at 0 mV; left out. There may be more")
    [(category, message)] = caught(lambda: collate([row(3), row(4, flat=False, padded=True)]))
    assert category is PaddingWarning
    assert message.startswith("record 4: all leads are constant before 2.0")
    assert caught(lambda: collate([row(5), row(6, flat=False, padded=True)])) == []


def test_loader_workers_share_what_was_told(processor):
    collate = MeritCollator(processor, text_column=None)
    list(DataLoader([row(0), row(1)], 1, collate_fn=collate, num_workers=1, multiprocessing_context="fork"))
    assert caught(lambda: collate([row(2)])) == []


def test_other_warnings_and_the_filters_of_the_caller_stay():
    first = FirstWarnings()

    def act():
        warnings.simplefilter("always", RuntimeWarning)
        warnings.simplefilter("ignore", LeadWarning)
        for _ in range(2):
            with first.only():
                warnings.warn("another", RuntimeWarning, stacklevel=1)
                warnings.warn("a: lead I is flat", LeadWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as found:
        act()
    assert [one.category for one in found] == [RuntimeWarning] * 2


def test_training_and_evaluation_name_one_recording_each(processor, tmp_path):
    model = tiny_model(MeritForEcgClassification, num_labels=2)
    collate = MeritCollator(processor, text_column=None, label_column="labels")
    trainer = EcgTrainer(
        model,
        TrainingArguments(
            tmp_path,
            num_train_epochs=3,
            per_device_train_batch_size=2,
            eval_strategy="epoch",
            report_to="none",
            remove_unused_columns=False,
            use_cpu=True,
            save_strategy="no",
        ),
        train_dataset=[row(number) for number in range(6)],
        eval_dataset=[row(number) for number in range(6, 9)],
        data_collator=collate,
        eval_collator=MeritCollator(processor, text_column=None, label_column="labels"),
    )
    told = [message for category, message in caught(trainer.train) if category is LeadWarning]
    assert len(told) == 2


def test_the_features_of_a_data_set_name_one_recording(processor):
    encoder = CheckpointEncoder(tiny_model(MeritModel), processor)
    told = caught(lambda: [encoder.embed([row(number), row(number + 1)]) for number in (0, 2)])
    assert [category for category, _ in told] == [LeadWarning]
