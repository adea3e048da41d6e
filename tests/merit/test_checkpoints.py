"""Checkpoints are found by folder, name or Hub id, and those that do not fit a task are refused."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from merit import checkpoints, demo, workflows
from merit.checkpoints import CLASSIFIER, DUAL_ENCODER, REPORT_MODEL

HUB_CARDS = Path(__file__).parents[2] / "hub_cards"


@pytest.mark.parametrize("name", ["merit-ptbxl-tiny", "hub_cards/merit-ptbxl-tiny"])
def test_a_checkpoint_of_the_checkout_is_found_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(checkpoints.find(name)) == HUB_CARDS / "merit-ptbxl-tiny"
    own = tmp_path / name
    own.mkdir(parents=True)
    (own / "config.json").write_text("{}")
    assert checkpoints.find(name) == name  # a folder here comes first


def test_a_hub_id_is_left_as_it_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert checkpoints.find("org/merit") == "org/merit"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("/no/such/folder", "There is no folder /no/such/folder, and it is not a Hub id"),
        ("runs/a/model", "There is no folder runs/a/model, and it is not a Hub id"),
        ("empty", "empty is not a checkpoint: the folder has no config.json"),
        ("bert", r"bert is not a checkpoint for this command: its config.json names the architectures \['BertModel'\]"),
        ("broken", "broken is not a checkpoint: .* the config file at 'broken/config.json' is not a valid JSON file"),
        ("bert/config.json", "bert/config.json is a file, and a checkpoint is a folder"),
        (
            "killed",
            r"There is no folder killed: an export to it was killed\. Rename \.killed\.0123abcd\.replaced, the ea",
        ),
        ("org/merit", "There is no folder org/merit, and the Hub did not provide a model org/merit: "),
    ],
)
def test_what_is_not_a_checkpoint_is_explained(model, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".killed.0123abcd.replaced").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("no JSON")
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    with pytest.raises(ValueError, match=message) as error:
        checkpoints.kind_of(model)
    assert "Repo id must be" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("merit-ptbxl-tiny", DUAL_ENCODER),
        ("merit-ptbxl-small-super", CLASSIFIER),
        ("merit-ptbxl-report", REPORT_MODEL),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused_with_the_command_that_uses_it(name, kind):
    for needed in (DUAL_ENCODER, CLASSIFIER, REPORT_MODEL):
        if needed is kind:
            assert checkpoints.load_pipeline(name, needed).task == kind.task
        else:
            with pytest.raises(ValueError, match=f"{name} is {kind.name}, and {needed.name} is needed") as error:
                checkpoints.load_pipeline(name, needed)
            assert checkpoints.USAGE[kind] in str(error.value)


@pytest.mark.parametrize("name", ["merit-ptbxl-small-super", "merit-ptbxl-report"])
def test_training_and_demo_refuse_a_checkpoint_that_is_not_a_dual_encoder(name, tmp_path):
    output = tmp_path / "output"
    for run in (
        lambda: workflows.finetune(name, "no-data", "super", output),
        lambda: workflows.learn_labels(name, ["no-data"], output),
        lambda: workflows.train_reports(name, "no-data", output),
        lambda: demo.run(None, output, name),
    ):
        with pytest.raises(ValueError, match=f"{name} is .*, and a dual encoder is needed here"):
            run()
    assert not output.exists()


@pytest.mark.slow
def test_a_checkpoint_with_a_missing_tensor_is_refused(model_folder, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(model_folder, folder)
    weights = load_file(folder / "model.safetensors")
    missing = next(name for name in sorted(weights) if "ecg_projection" in name)
    del weights[missing]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=f"damaged is .* without trained values for {missing}"):
        checkpoints.load_pipeline(folder, DUAL_ENCODER)


@pytest.mark.parametrize("file", ["model.safetensors", "processor_config.json", "tokenizer.json"])
def test_a_checkpoint_without_a_file_is_refused_with_its_name(model_folder, tmp_path, file):
    folder = tmp_path / "part"
    shutil.copytree(model_folder, folder)
    (folder / file).unlink()
    with pytest.raises(ValueError, match=f"part is not a complete checkpoint: it has no {file}; save or copy it again"):
        checkpoints.load_pipeline(folder, DUAL_ENCODER)


def test_a_checkpoint_with_cut_weights_is_refused_with_their_name(model_folder, tmp_path):
    folder = tmp_path / "cut"
    shutil.copytree(model_folder, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"cut/model\.safetensors is damaged \(.*\); save or copy it again"):
        checkpoints.load_pipeline(folder, DUAL_ENCODER)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": []}'])
def test_a_checkpoint_with_a_damaged_index_is_refused_with_its_name(model_folder, tmp_path, content):
    folder = tmp_path / "shards"
    shutil.copytree(model_folder, folder)
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json is damaged: .*; save or copy it again"):
        checkpoints.kind_of(folder)


def test_a_checkpoint_in_shards_is_loaded_and_one_that_lacks_a_shard_is_refused(untrained, tmp_path):
    model, processor = untrained
    folder = tmp_path / "shards"
    model.save_pretrained(folder, max_shard_size="100KB")
    processor.save_pretrained(folder)
    assert checkpoints.load_pipeline(folder, DUAL_ENCODER).task == DUAL_ENCODER.task
    shard = sorted(folder.glob("model-*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(ValueError, match=f"shards is not a complete checkpoint: it has no {shard.name}"):
        checkpoints.kind_of(folder)


def test_the_demo_without_a_checkpoint_says_what_to_pass_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints.hub_cards, "__path__", [str(tmp_path / "installed")])
    with pytest.raises(ValueError, match="no checkpoint: pass the folder or Hub id of one, such as --model"):
        demo.run(None, tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []
