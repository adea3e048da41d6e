"""Uploads and downloads with the real clients against a Hub on loopback, in processes without this package."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import TOKEN, LoopbackHub, validates
from transformers import pipeline

LABELS = ["normal ECG", "atrial fibrillation", "Osborn waves"]
HF = str(Path(sys.executable).with_name("hf"))
WITHOUT_PACKAGE = 'import sys, json; sys.modules["merit"] = None\n'


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as running:
        yield running


@pytest.fixture(scope="module")
def stranger(hub, fresh_python, tmp_path_factory):
    """Run Python code with the Hub on loopback, empty caches, and without this package."""

    def run(code, *arguments):
        home = tmp_path_factory.mktemp("home")
        printed = fresh_python(WITHOUT_PACKAGE + code, *arguments, **hub.environment(home))
        return json.loads(printed.strip().splitlines()[-1])

    return run


@pytest.fixture(scope="module")
def hf(hub, fresh_environment, tmp_path_factory):
    """Run the `hf` command."""

    def run(*arguments, check=True, token=TOKEN):
        environment = {**fresh_environment, **hub.environment(tmp_path_factory.mktemp("home"), token)}
        return subprocess.run(
            [HF, *map(str, arguments)], env=environment, capture_output=True, text=True, check=check, timeout=120
        )

    return run


@pytest.fixture(scope="module")
def published(hub, hf, model_folder, classifier_folder):
    hf("upload", "org/merit", model_folder, ".")
    hf("upload", "org/merit-super", classifier_folder, ".")


@pytest.fixture(scope="module")
def record(simulated, tmp_path_factory):
    """One WFDB record in a folder of its own."""
    place = tmp_path_factory.mktemp("record")
    for path in simulated.glob("records100/00000/00001_lr.*"):
        shutil.copy(path, place)
    return place / "00001_lr"


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts and path.name != ".gitattributes"
    }


def scores(answer):
    return {entry["label"]: entry["score"] for entry in answer}


def test_what_is_uploaded_is_downloaded(hf, published, model_folder, tmp_path):
    hf("download", "org/merit", "--local-dir", tmp_path / "downloaded")
    assert contents(tmp_path / "downloaded") == contents(model_folder)


@pytest.mark.slow
def test_everything_loads_by_hub_id(stranger, published, record, model_folder, classifier_folder):
    code = f"""
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoProcessor, pipeline
trust, record = {{"trust_remote_code": True}}, sys.argv[1]
model, processor = AutoModel.from_pretrained("org/merit", **trust), AutoProcessor.from_pretrained("org/merit", **trust)
head = AutoModelForSequenceClassification.from_pretrained("org/merit-super", **trust)
zero_shot = pipeline("zero-shot-ecg-classification", model="org/merit", **trust)
classes = pipeline("ecg-classification", model="org/merit-super", **trust)
with torch.inference_mode():
    features = model.get_ecg_features(**processor(ecg=record)).pooler_output
    logits = head(**processor(ecg=record)).logits
kinds = [type(thing) for thing in (model, processor, head, classes)]
kinds = [kind.__module__.split(".")[0] + "." + kind.__name__ for kind in kinds]
answers = [zero_shot(record, candidate_labels={LABELS}), classes(record)]
print(json.dumps([kinds, list(features.shape), logits.sigmoid()[0].tolist(), answers]))
"""
    kinds, shape, probabilities, (zero_shot, classes) = stranger(code, record)
    names = ["MeritModel", "MeritProcessor", "MeritForEcgClassification", "EcgClassificationPipeline"]
    assert kinds == [f"transformers_modules.{name}" for name in names]
    assert shape == [1, 32]
    here = pipeline("zero-shot-ecg-classification", model=str(model_folder))(str(record), candidate_labels=LABELS)
    assert scores(zero_shot) == pytest.approx(scores(here), abs=1e-5)
    here = pipeline("ecg-classification", model=str(classifier_folder))(str(record))
    assert scores(classes) == pytest.approx(scores(here), abs=1e-5)
    assert sorted(probabilities) == pytest.approx(sorted(scores(here).values()), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["without the package", "with the package"])
def test_a_fine_tuned_model_is_pushed_and_loaded_again(package, hub, stranger, published, record):
    """Fine-tuned with the code of org/merit or of the package, and loaded in a process without the package."""
    fine_tune = """
import torch
if sys.argv[2] == "with the package":
    del sys.modules["merit"]
    import merit
from transformers import AutoModelForSequenceClassification, AutoProcessor
trust = {"trust_remote_code": True}
processor = AutoProcessor.from_pretrained("org/merit", **trust)
model = AutoModelForSequenceClassification.from_pretrained(
    "org/merit", num_labels=2, id2label={0: "yes", 1: "no"}, label2id={"yes": 0, "no": 1}, **trust
)
assert type(model).__module__.startswith("merit.") == (sys.argv[2] == "with the package")
torch.nn.init.normal_(model.classifier.weight)
batch = processor(ecg=sys.argv[1])
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
model.train()
model(**batch, labels=torch.tensor([1])).loss.backward()
optimizer.step()
model.eval().push_to_hub("org/mine")
processor.push_to_hub("org/mine")
with torch.inference_mode():
    print(json.dumps(model(**batch).logits[0].tolist()))
"""
    load = """
import torch
from transformers import AutoModelForSequenceClassification, AutoProcessor
trust = {"trust_remote_code": True}
model = AutoModelForSequenceClassification.from_pretrained("org/mine", **trust)
processor = AutoProcessor.from_pretrained("org/mine", **trust)
with torch.inference_mode():
    logits = model(**processor(ecg=sys.argv[1])).logits[0].tolist()
print(json.dumps([logits, model.config.id2label, processor.glossary.find("Vorhofflimmern").code]))
"""
    tuned = stranger(fine_tune, record, package)
    logits, names, code = stranger(load, record)
    assert code == "AFIB"
    assert logits == pytest.approx(tuned, abs=1e-5)
    assert names == {"0": "yes", "1": "no"}
    assert "config.json" in hub.repo("model", "org/mine").at("main").files


@pytest.mark.slow
def test_a_processor_that_is_saved_and_pushed_at_once_brings_its_glossary(hub, stranger, published, tmp_path):
    save = """
from transformers import AutoProcessor
processor = AutoProcessor.from_pretrained("org/merit", trust_remote_code=True)
processor.save_pretrained(sys.argv[1], push_to_hub=True, repo_id="org/processor")
print(json.dumps(None))
"""
    stranger(save, tmp_path / "saved")
    files = hub.repo("model", "org/processor").at("main").files
    assert {"processor_config.json", "tokenizer.json", "glossary_merit.py", "glossary_merit.json"} <= set(files)


def test_a_private_model_needs_a_token(hub, hf, model_folder, tmp_path):
    hf("upload", "org/secret", model_folder / "config.json", "config.json", "--private")
    assert hub.repo("model", "org/secret").private
    download = ["download", "org/secret", "config.json", "--local-dir", tmp_path]
    refused = hf(*download, token=None, check=False)
    assert refused.returncode != 0
    assert "not found" in refused.stderr
    assert not (tmp_path / "config.json").exists()
    done = hf(*download)
    assert (tmp_path / "config.json").read_bytes() == (model_folder / "config.json").read_bytes()
    assert TOKEN not in done.stdout + done.stderr
    assert not [request.path for request in hub.requests if TOKEN in request.path]


def test_a_broken_download_is_resumed(hub, hf, published, model_folder, tmp_path):
    hub.fail("GET", "org/merit/resolve/.*/model.safetensors", cut="reply")
    before = len(hub.requests)
    hf("download", "org/merit", "model.safetensors", "--local-dir", tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (model_folder / "model.safetensors").read_bytes()
    fetched = [r for r in hub.requests[before:] if r.method == "GET" and r.path.endswith("model.safetensors")]
    assert len(fetched) == 2


PUSH = """
from datasets import DatasetDict, load_from_disk
load_from_disk(sys.argv[1]).push_to_hub("org/ecgs", max_shard_size="300KB")
print("{}")
"""
READ = """
from datasets import load_dataset
data = load_dataset("org/ecgs", streaming=sys.argv[1] == "streaming")
rows = {name: [[row["record_id"], sum(row["signal"])] for row in split] for name, split in data.items()}
print(json.dumps({"rows": rows, "features": {name: split.features.to_dict() for name, split in data.items()}}))
"""


@pytest.fixture(scope="module")
def data_set_on_hub(stranger, dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "ecgs"
    dataset.save_to_disk(str(folder))
    stranger(PUSH, folder)
    return dataset


@pytest.mark.slow
@pytest.mark.parametrize("how", ["streaming", "at once"])
def test_a_pushed_data_set_loads_with_all_rows_and_features(how, stranger, hub, data_set_on_hub):
    read = stranger(READ, how)
    plain = data_set_on_hub.with_format(None)
    assert read["features"] == json.loads(json.dumps({n: split.features.to_dict() for n, split in plain.items()}))
    for name, split in plain.items():
        assert read["rows"][name] == [[row["record_id"], sum(row["signal"])] for row in split]
    assert sum(path.endswith(".parquet") for path in hub.repo("dataset", "org/ecgs").at("main").files) > len(plain)


CARD = """
def card(dataset):
    metric = {"type": "roc_auc", "value": 0.9}
    result = {"task": {"type": "zero-shot-classification"}, "dataset": dataset, "metrics": [metric]}
    return "---\\n" + json.dumps({"model-index": [{"name": "m", "results": [result]}]}) + "\\n---\\n# M\\n"
good, bad = card({"type": "ptb-xl", "name": "PTB-XL"}), card({"type": "", "name": "PTB-XL"})
"""


@validates
def test_a_card_is_validated(stranger):
    code = """
from huggingface_hub import ModelCard
ModelCard(good).validate()
try:
    ModelCard(bad).validate()
    print("null")
except ValueError as error:
    print(json.dumps(str(error)))
"""
    assert "a result has no dataset.type" in stranger(CARD + code)


def test_a_malformed_card_is_not_uploaded(stranger, hub):
    code = """
from huggingface_hub import HfApi
api = HfApi()
api.create_repo("org/cards")
for content in (good, bad):
    try:
        api.upload_file(path_or_fileobj=content.encode(), path_in_repo="README.md", repo_id="org/cards")
    except ValueError as error:
        print(json.dumps(str(error)))
"""
    assert "a result has no dataset.type" in stranger(CARD + code)
    card = hub.repo("model", "org/cards").at("main").files["README.md"].data
    assert b'"type": "ptb-xl"' in card
