"""Exported folders load with the Auto classes and `pipeline`, without the package (by remote code) and with it."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModel, AutoProcessor, pipeline

import merit
from merit.processing.recordings_merit import read_recording

LABELS = ["normal ECG", "atrial fibrillation", "Osborn waves"]

ANSWERS = """
import sys, json, torch
from transformers import (
    AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification, AutoModelForPreTraining,
    AutoModelForSequenceClassification, AutoProcessor, AutoTokenizer, pipeline,
)
folder, classifier, record, trust = *sys.argv[1:4], {"trust_remote_code": True} if sys.argv[4] == "trust" else {}
labels = ["normal ECG", "atrial fibrillation", "Osborn waves"]
kinds, answers = {}, {}

def load(auto, folder):
    loaded = auto.from_pretrained(folder, **trust)
    kinds[f"{auto.__name__} {'classifier' if folder == classifier else 'model'}"] = (
        type(loaded).__module__.partition(".")[0] + "." + type(loaded).__name__
    )
    return loaded

load(AutoConfig, folder), load(AutoFeatureExtractor, folder), load(AutoTokenizer, folder)
load(AutoModelForPreTraining, folder), load(AutoModelForAudioClassification, classifier)
model, processor = load(AutoModel, folder), load(AutoProcessor, folder)
head = load(AutoModelForSequenceClassification, classifier)
batch = processor(ecg=record, text="sinus rhythm")
with torch.inference_mode():
    answers["logits"] = model(**batch).logits_per_ecg.tolist()
    answers["classifier"] = head(**processor(ecg=record)).logits.tolist()
for name, task in (("by task", {"task": "zero-shot-ecg-classification"}), ("by model", {})):
    pipe = pipeline(model=folder, **task, **trust)
    answers[f"zero-shot {name}"] = pipe(record, candidate_labels=labels)
    kinds[f"zero-shot {name}"] = type(pipe).__module__.partition(".")[0] + "." + type(pipe).__name__
for name, task in (("by task", {"task": "ecg-classification"}), ("by model", {})):
    pipe = pipeline(model=classifier, **task, **trust)
    answers[f"classification {name}"] = pipe(record)
    kinds[f"classification {name}"] = type(pipe).__module__.partition(".")[0] + "." + type(pipe).__name__
print(json.dumps({"kinds": kinds, "answers": answers}))
"""

EXPECTED_KINDS = {
    "AutoConfig model": "MeritConfig",
    "AutoFeatureExtractor model": "MeritFeatureExtractor",
    "AutoModelForPreTraining model": "MeritForPreTraining",
    "AutoModelForAudioClassification classifier": "MeritForEcgClassification",
    "AutoModel model": "MeritModel",
    "AutoProcessor model": "MeritProcessor",
    "AutoModelForSequenceClassification classifier": "MeritForEcgClassification",
    "zero-shot by task": "ZeroShotEcgClassificationPipeline",
    "zero-shot by model": "ZeroShotEcgClassificationPipeline",
    "classification by task": "EcgClassificationPipeline",
    "classification by model": "EcgClassificationPipeline",
}


@pytest.fixture(scope="module")
def moved(model_folder, classifier_folder, simulated, tmp_path_factory):
    """Copies of both folders and of one record."""
    place = tmp_path_factory.mktemp("downloaded")
    shutil.copytree(model_folder, place / "merit-tiny")
    shutil.copytree(classifier_folder, place / "merit-tiny-super")
    for path in simulated.glob("records100/00000/00001_lr.*"):
        shutil.copy(path, place)
    return place / "merit-tiny", place / "merit-tiny-super", place / "00001_lr"


@pytest.fixture(scope="module")
def here(moved):
    """The answers of this process."""
    folder, classifier, record = moved
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    head = merit.MeritForEcgClassification.from_pretrained(classifier)
    zero_shot = pipeline("zero-shot-ecg-classification", model=str(folder))(str(record), candidate_labels=LABELS)
    classes = pipeline("ecg-classification", model=str(classifier))(str(record))
    return {
        "logits": model(**processor(ecg=str(record), text="sinus rhythm")).logits_per_ecg.tolist(),
        "classifier": head(**processor(ecg=str(record))).logits.tolist(),
        "zero-shot by task": zero_shot,
        "zero-shot by model": zero_shot,
        "classification by task": classes,
        "classification by model": classes,
    }


def flat(answer):
    """The numbers of an answer in a fixed order, to compare them with a tolerance."""
    if isinstance(answer, dict):
        return [number for key in sorted(answer) for number in flat(answer[key])]
    if isinstance(answer, list):
        if answer and isinstance(answer[0], dict) and "label" in answer[0]:
            return [entry["score"] for entry in sorted(answer, key=lambda entry: entry["label"])]
        return [number for item in answer for number in flat(item)]
    return [answer]


def check(output, here, home):
    result = json.loads(output.strip().splitlines()[-1])
    tokenizer = result["kinds"].pop("AutoTokenizer model")
    assert tokenizer.startswith("transformers.")
    assert result["kinds"] == {name: f"{home}.{kind}" for name, kind in EXPECTED_KINDS.items()}
    assert result["answers"].keys() == here.keys()
    assert flat(result["answers"]) == pytest.approx(flat(here), abs=1e-5)
    for name in ("zero-shot by task", "classification by task"):
        assert [entry["label"] for entry in result["answers"][name]] == [entry["label"] for entry in here[name]]


@pytest.mark.slow
def test_a_process_without_the_package_loads_everything_by_remote_code(fresh_python, moved, here):
    code = 'import sys; sys.modules["merit"] = None\n' + ANSWERS
    check(fresh_python(code, *moved, "trust"), here, "transformers_modules")


@pytest.mark.slow
def test_a_process_with_the_package_needs_no_trust_in_remote_code(fresh_python, moved, here):
    check(fresh_python("import transformers, merit" + ANSWERS, *moved, "no trust"), here, "merit")


@pytest.mark.slow
def test_each_auto_class_finds_merit_when_it_is_used_first(fresh_python, moved):
    """Each class in a process of its own, forked before transformers was imported."""
    code = """
import sys, os
import merit, torch, numpy, scipy, tokenizers
for name in ("AutoConfig AutoModel AutoModelForPreTraining AutoModelForSequenceClassification AutoProcessor "
             "AutoFeatureExtractor AutoTokenizer").split():
    assert "transformers" not in sys.modules
    child = os.fork()
    if not child:
        try:
            exec(f"from transformers import {name}")
            print(name, type(eval(name).from_pretrained(sys.argv[1])).__name__, flush=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""
    printed = dict(line.split() for line in fresh_python(code, moved[0]).splitlines())
    assert printed.pop("AutoTokenizer")
    assert printed == {
        "AutoConfig": "MeritConfig",
        "AutoModel": "MeritModel",
        "AutoModelForPreTraining": "MeritForPreTraining",
        "AutoModelForSequenceClassification": "MeritForEcgClassification",
        "AutoProcessor": "MeritProcessor",
        "AutoFeatureExtractor": "MeritFeatureExtractor",
    }


def test_importing_merit_imports_neither_torch_nor_transformers(fresh_python):
    code = "import sys, merit; print(*{'torch', 'transformers', 'numpy', 'scipy', 'datasets'} & {*sys.modules})"
    assert fresh_python(code).strip() == ""


def test_every_exported_name_is_there():
    for name in merit.__all__:
        assert getattr(merit, name) is not None
    assert set(merit.__all__) <= set(dir(merit))
    with pytest.raises(AttributeError, match="MeritForNothing"):
        merit.MeritForNothing  # noqa: B018


def test_type_checkers_and_python_see_the_same_names():
    source = Path(merit.__file__).read_text(encoding="utf-8")
    declared = source.partition("if TYPE_CHECKING:")[2].partition("def __getattr__")[0]
    assert all(name in declared for name in merit.__all__ if name != "__version__")


def test_remote_code_reads_records_as_the_package_does(moved):
    """The exported file is that of the package."""
    package = importlib.util.find_spec("merit.processing.recordings_merit").origin
    assert (moved[0] / "recordings_merit.py").read_bytes() == Path(package).read_bytes()
    assert read_recording(moved[2]).signal.shape == (12, 1000)
