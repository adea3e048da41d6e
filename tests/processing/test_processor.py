"""The processor: recordings and text in one batch, saved and loaded with and without the package."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.processing_merit import MeritProcessor

ECG = np.random.default_rng(0).normal(size=(2, 500))
DESCRIPTION = {"sampling_rate": 100, "leads": ["I", "II"], "units": "mV"}


@pytest.fixture
def processor():
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "sinus": 2, "rhythm": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", model_max_length=4
    )
    return MeritProcessor(MeritFeatureExtractor(clip=5.0, bandpass=None), tokenizer)


def test_recordings_and_text_come_in_one_batch(processor):
    batch = processor(ecg=[ECG, ECG[:, :300]], text=["sinus rhythm", "sinus"], **DESCRIPTION)
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "ecg_values": (2, 12, 500),
        "lead_mask": (2, 12),
        "sample_mask": (2, 500),
        "input_ids": (2, 2),
        "attention_mask": (2, 2),
    }
    assert all(isinstance(value, torch.Tensor) for value in batch.values())
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch.to(torch.float64)["ecg_values"].dtype == torch.float64


def test_text_alone_is_tokenized_and_truncated(processor):
    batch = processor(text="sinus rhythm sinus rhythm sinus rhythm")
    assert batch["input_ids"].tolist() == [[2, 3, 2, 3]]
    assert processor(text=["sinus"], padding="max_length")["input_ids"].tolist() == [[2, 0, 0, 0]]


def test_recordings_alone_equal_the_feature_extractor(processor):
    batch, alone = processor(ECG, **DESCRIPTION), processor.feature_extractor(ECG, **DESCRIPTION, return_tensors="pt")
    assert batch.keys() == alone.keys()
    assert all(torch.equal(batch[name], alone[name]) for name in batch)


def test_numpy_arrays_are_returned_on_request(processor):
    batch = processor(ECG, "sinus", return_tensors="np", **DESCRIPTION)
    assert all(isinstance(value, np.ndarray) for value in batch.values())


def test_nothing_at_all_is_refused(processor):
    with pytest.raises(ValueError, match="pass ecg=, text= or both"):
        processor()


def test_input_names_and_decoding_are_those_of_the_parts(processor):
    assert processor.model_input_names == ["ecg_values", "lead_mask", "sample_mask", "input_ids", "attention_mask"]
    assert processor.decode([2, 3]) == "sinus rhythm"
    assert processor.batch_decode([[2, 3], [2]]) == ["sinus rhythm", "sinus"]


def test_a_saved_processor_loads_where_the_package_is_not_installed(processor, tmp_path, monkeypatch):
    monkeypatch.setattr(MeritFeatureExtractor, "_auto_class", "AutoFeatureExtractor")
    monkeypatch.setattr(MeritProcessor, "_auto_class", "AutoProcessor")
    processor.save_pretrained(tmp_path / "saved")
    np.save(tmp_path / "ecg.npy", ECG)
    script = f"""
import sys
sys.modules["merit"] = None  # importing it fails from here on
import numpy as np
from transformers import AutoFeatureExtractor, AutoProcessor
folder, again = {str(tmp_path / "saved")!r}, {str(tmp_path / "again")!r}
AutoProcessor.from_pretrained(folder, trust_remote_code=True).save_pretrained(again)
processor = AutoProcessor.from_pretrained(again, trust_remote_code=True)
assert type(AutoFeatureExtractor.from_pretrained(again, trust_remote_code=True)).__name__ == "MeritFeatureExtractor"
assert processor.feature_extractor.clip == 5.0 and processor.feature_extractor.bandpass is None
batch = processor(np.load({str(tmp_path / "ecg.npy")!r}), "sinus rhythm", **{DESCRIPTION!r}, return_tensors="np")
np.savez({str(tmp_path / "batch.npz")!r}, **batch)
"""
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = processor(ECG, "sinus rhythm", **DESCRIPTION, return_tensors="np")
    with np.load(tmp_path / "batch.npz") as loaded:
        assert set(loaded) == set(expected)
        for name in loaded:
            np.testing.assert_array_equal(loaded[name], expected[name])
