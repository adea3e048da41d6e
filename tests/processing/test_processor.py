"""The processor: recordings and text in one batch, and its glossary; saved, loaded, with and without the package."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoProcessor, PreTrainedTokenizerFast

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.glossary_merit import GLOSSARY_FILE, Glossary
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


def test_an_argument_that_neither_part_takes_is_refused(processor):
    with pytest.raises(ValueError, match="sampling_rat cannot be used without text="):
        processor(ecg=np.zeros((1, 500)), sampling_rate=100, leads=["I"], units="mV", sampling_rat=250)


def test_nothing_at_all_is_refused(processor):
    with pytest.raises(ValueError, match="nothing to prepare: pass ecg=, text= or both"):
        processor()


def test_input_names_and_decoding_are_those_of_the_parts(processor):
    assert processor.model_input_names == ["ecg_values", "lead_mask", "sample_mask", "input_ids", "attention_mask"]
    assert processor.decode([2, 3]) == "sinus rhythm"
    assert processor.batch_decode([[2, 3], [2]]) == ["sinus rhythm", "sinus"]


@pytest.fixture
def saved(processor, tmp_path):
    processor.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def small_glossary():
    findings = Glossary.default().findings
    return Glossary([replace(findings["NORM"], names=("fine",), opposites=("AFIB",)), findings["AFIB"]])


def test_a_processor_has_the_glossary_of_the_package_and_saves_it(processor, saved):
    assert processor.glossary is Glossary.default()
    assert Glossary.from_file(saved / GLOSSARY_FILE).findings == Glossary.default().findings
    assert "glossary" not in json.loads((saved / "processor_config.json").read_text(encoding="utf-8"))


def test_the_glossary_of_a_folder_wins_over_that_of_the_package(processor, saved, tmp_path):
    small_glossary().save(saved / GLOSSARY_FILE)
    loaded = AutoProcessor.from_pretrained(saved)
    assert loaded.glossary.find("fine").code == "NORM"
    assert loaded.glossary.find("LBBB") is None
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / GLOSSARY_FILE).read_bytes() == (saved / GLOSSARY_FILE).read_bytes()


def test_a_folder_without_a_glossary_has_that_of_the_package(saved):
    (saved / GLOSSARY_FILE).unlink()
    assert AutoProcessor.from_pretrained(saved).glossary is Glossary.default()


def test_a_glossary_may_be_passed(processor, saved, tmp_path):
    given = small_glossary()
    assert MeritProcessor(processor.feature_extractor, processor.tokenizer, given).glossary is given
    loaded = AutoProcessor.from_pretrained(saved, glossary=given)
    assert loaded.glossary is given
    loaded.save_pretrained(tmp_path / "again")
    assert AutoProcessor.from_pretrained(tmp_path / "again").glossary.find("fine").code == "NORM"


def test_a_broken_glossary_is_refused_with_its_name(saved):
    (saved / GLOSSARY_FILE).write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{GLOSSARY_FILE} is no glossary"):
        AutoProcessor.from_pretrained(saved)


@pytest.mark.parametrize(
    ("setting", "hint"), [("bandpas", " Did you mean 'bandpass'?"), ("clipp", " Did you mean 'clip'?"), ("xyz", "")]
)
def test_an_unknown_setting_is_refused(saved, setting, hint):
    message = f"MeritProcessor has no setting '{setting}'.{hint}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AutoProcessor.from_pretrained(saved, **{setting: None})


def test_settings_of_the_parts_and_arguments_of_transformers_are_accepted(saved, tmp_path):
    loaded = AutoProcessor.from_pretrained(
        saved,
        clip=3.0,
        padding_side="left",
        unk_token="[PAD]",
        cache_dir=tmp_path,
        revision="main",
        local_files_only=True,
        trust_remote_code=False,
        use_fast=True,
    )
    assert loaded.feature_extractor.clip == 3
    assert (loaded.tokenizer.padding_side, loaded.tokenizer.unk_token_id) == ("left", 0)


def run_without_the_package(script, folder):
    start = 'import sys\nsys.modules["merit"] = None  # importing it fails from here on\n'
    environment = {"HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "PATH": ""}
    command = [sys.executable, "-c", start + script]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_without_the_package_the_glossary_is_that_of_the_folder_or_missing_with_the_reason(saved, tmp_path):
    small_glossary().save(saved / GLOSSARY_FILE)
    script = f"""
from pathlib import Path
from transformers import AutoProcessor
load = lambda: AutoProcessor.from_pretrained({str(saved)!r}, trust_remote_code=True)
assert load().glossary.find("fine").code == "NORM"
Path({str(saved / GLOSSARY_FILE)!r}).unlink()
assert load()(text="sinus")["input_ids"].tolist() == [[2]]  # what needs no glossary works
try:
    load().glossary
except FileNotFoundError as error:
    print(error)
"""
    done = run_without_the_package(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "There is no glossary_merit.json" in done.stdout
    assert "install the package merit-ecg" in done.stdout


@pytest.mark.slow
def test_a_saved_processor_loads_where_the_package_is_not_installed(processor, tmp_path, monkeypatch):
    monkeypatch.setattr(MeritFeatureExtractor, "_auto_class", "AutoFeatureExtractor")
    monkeypatch.setattr(MeritProcessor, "_auto_class", "AutoProcessor")
    processor.save_pretrained(tmp_path / "saved")
    np.save(tmp_path / "ecg.npy", ECG)
    script = f"""
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
    done = run_without_the_package(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / GLOSSARY_FILE).read_bytes() == (tmp_path / "saved" / GLOSSARY_FILE).read_bytes()
    expected = processor(ECG, "sinus rhythm", **DESCRIPTION, return_tensors="np")
    with np.load(tmp_path / "batch.npz") as loaded:
        assert set(loaded) == set(expected)
        for name in loaded:
            np.testing.assert_array_equal(loaded[name], expected[name])
