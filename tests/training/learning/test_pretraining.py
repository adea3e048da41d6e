"""Pretraining: what the model gets to see, the log, checkpoints, resumed runs and failures."""

import functools
import json
import random
import re
import signal
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from datasets import DatasetDict
from safetensors.torch import load_file

from merit.training.batching.report_text import with_text
from merit.training.learning import pretraining
from merit.training.learning.pretraining import pretrain
from merit.training.trainer import trainer as trainers
from merit.training.trainer.checkpoints import last_checkpoint
from merit.training.trainer.recipe import load_recipe

# Pretrains up to the step of the first argument and then fails in the way that the second one names.
FAILING_RUN = """
import multiprocessing, os, resource, signal, sys, time
from merit.training.data.catalogue import load_ptbxl
from merit.training.learning import pretraining
from merit.training.trainer.recipe import load_recipe
import torch
torch.set_num_threads(1)
last, way, tree, cache, output, resume, *settings = sys.argv[1:]
Trainer = pretraining.MeritTrainer
step, save_state = Trainer.training_step, Trainer._save_rng_state

def failing_step(self, *args, **kwargs):
    if self.state.global_step == int(last):
        if way == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif way == "full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        elif way == "worker":
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    return step(self, *args, **kwargs)

def failing_save(self, *args):
    if self.state.global_step >= int(last):
        if way == "saving":
            os.kill(os.getpid(), signal.SIGKILL)
        elif way == "worker while saving":
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
            time.sleep(60)  # the loader's signal ends it
    save_state(self, *args)

Trainer.training_step, Trainer._save_rng_state = failing_step, failing_save
recipe = load_recipe("demo", settings)
try:
    pretraining.pretrain(load_ptbxl(tree, cache_dir=cache), recipe, output, resume == "resume")
except (OSError, ValueError) as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(scope="module")
def settings(tiny_settings):
    return [*tiny_settings, "crop_seconds=5.0"]


@pytest.fixture(scope="module")
def uninterrupted(dataset, settings, tmp_path_factory):
    """A whole run, and its folder."""
    output = tmp_path_factory.mktemp("uninterrupted")
    return *pretrain(dataset, load_recipe("demo", settings), output), output


def assert_same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def history(output):
    return json.loads((output / "checkpoints" / "trainer_state.json").read_text())["log_history"]


def test_training_changes_all_weights_and_logs_both_informations(uninterrupted, dataset, settings):
    model, _, output = uninterrupted
    training = [entry for entry in history(output) if "loss" in entry]
    evaluation = [entry for entry in history(output) if "eval_alignment_information" in entry]
    assert len(training) >= 4
    assert len(evaluation) == 2
    for entry in training:
        assert {"alignment_information", "reconstruction_information", "temperature"} <= set(entry)
    for entry in evaluation:
        assert "eval_reconstruction_information" in entry
    torch.manual_seed(0)
    start, _ = pretraining.build(load_recipe("demo", settings), with_text(dataset["train"])["report"])
    before = dict(start.named_parameters())
    same = [name for name, value in model.named_parameters() if torch.equal(before[name], value)]
    assert same == []


def record(output):
    return json.loads((output / "training.json").read_text())["training"]


def test_a_run_leaves_a_record_of_data_recipe_and_log(uninterrupted, dataset, settings):
    output = uninterrupted[2]
    facts = record(output)
    [data] = facts["data"]
    assert data["name"] == "simulated"
    records = {split: len(with_text(dataset[split])) for split in ("train", "validation")}
    assert data["splits"] == {split: {"records": number} for split, number in records.items()}
    assert facts["recipe"] == asdict(load_recipe("demo", settings))
    assert load_recipe(str(output / "recipe.yaml")) == load_recipe("demo", settings)
    assert facts["log"] == history(output)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(uninterrupted, dataset, settings, tmp_path):
    again, processor = pretrain(dataset, load_recipe("demo", settings), tmp_path)
    assert_same_weights(again, uninterrupted[0])
    assert processor.tokenizer.get_vocab() == uninterrupted[1].tokenizer.get_vocab()
    other, _ = pretrain(dataset, load_recipe("demo", [*settings, "training.seed=1"]), tmp_path / "other")
    assert not torch.equal(other.logit_scale, again.logit_scale)


@pytest.fixture(scope="module")
def arrow(tmp_path_factory):
    """Folder for the prepared data set, which the processes share."""
    return tmp_path_factory.mktemp("arrow")


@pytest.fixture
def fail(simulated, arrow, fresh_environment, tmp_path):
    """Pretrain in another process, which fails at a step in some way; returns the finished process."""

    def run(step, way, settings, resume=False):
        arguments = [step, way, simulated, arrow, tmp_path, "resume" if resume else "", *settings]
        command = [sys.executable, "-c", FAILING_RUN, *map(str, arguments)]
        return subprocess.run(command, env=fresh_environment, capture_output=True, text=True, check=False)

    return run


def saved_steps(output):
    return sorted(int(path.name[11:]) for path in (output / "checkpoints").glob("checkpoint-*"))


EVERY_FEW_STEPS = ["training.save_strategy=steps", "training.save_steps=2"]
RANDOM = [
    *("text=mixed", "augmentation.lead_dropout={probability: 0.5, strength: 0.5}", "training.dataloader_num_workers=1"),
    *("augmentation.muscle={probability: 0.5, strength: 0.05}", "training.dataloader_persistent_workers=true"),
]


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], RANDOM], ids=["plain", "augmented, by workers"])
def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(dataset, settings, fail, tmp_path, more):
    # Twelve steps in two epochs, killed three times: at two steps, and once while a checkpoint is saved.
    settings = [*settings, *EVERY_FEW_STEPS, *more]
    whole, processor = pretrain(dataset, load_recipe("demo", settings), tmp_path / "uninterrupted")
    first, second = sorted(random.Random(len(more)).sample(range(3, 12), 2))
    for step, way in ((first, "killed"), (second, "saving"), (second, "killed")):
        killed = fail(step, way, settings, resume=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert saved_steps(tmp_path)[-1] <= step + 1
    last = saved_steps(tmp_path)[-1]
    resumed, again = pretrain(dataset, load_recipe("demo", settings), tmp_path, resume=True)
    assert_same_weights(resumed, whole)
    assert record(tmp_path)["resumed_at_step"] == last
    assert "resumed_at_step" not in record(tmp_path / "uninterrupted")
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()


@pytest.mark.slow
def test_an_incomplete_checkpoint_is_skipped_and_removed(dataset, settings, fail, tmp_path):
    settings = [*settings, *EVERY_FEW_STEPS, "training.max_steps=6"]
    assert fail(4, "saving", settings).returncode == -signal.SIGKILL
    assert saved_steps(tmp_path) == [2, 4]
    assert last_checkpoint(tmp_path / "checkpoints").name == "checkpoint-2"
    pretrain(dataset, load_recipe("demo", settings), tmp_path, resume=True)
    assert all((path / "trainer_state.json").is_file() for path in (tmp_path / "checkpoints").glob("checkpoint-*"))


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_the_last_checkpoint_is_complete(dataset, settings, fail, tmp_path):
    settings = [*settings, *EVERY_FEW_STEPS, "training.max_steps=6"]
    ended = fail(2, "full disk", settings)
    assert ended.returncode == 1
    assert re.search(r"OSError: .*checkpoint-4 could not be written.*checkpoint-2\. Make room and resume", ended.stderr)
    assert saved_steps(tmp_path) == [2]
    pretrain(dataset, load_recipe("demo", settings), tmp_path, resume=True)
    assert saved_steps(tmp_path)[-1] == 6


@pytest.mark.slow
@pytest.mark.parametrize("way", ["worker", "worker while saving"])
def test_a_killed_loader_worker_ends_the_run(settings, fail, tmp_path, way):
    settings = [*settings, *EVERY_FEW_STEPS, "training.dataloader_num_workers=1"]
    ended = fail(3, way, settings)
    assert ended.returncode == 1
    assert re.search(r"ChildProcessError: Step \d+: a loader worker was killed.*checkpoint-\d", ended.stderr)
    assert last_checkpoint(tmp_path / "checkpoints")


def test_a_loss_that_is_not_finite_ends_the_run_and_names_step_and_records(dataset, settings, tmp_path, monkeypatch):
    forward = pretraining.MeritForPreTraining.forward
    calls = []

    def broken(self, *args, **inputs):
        output = forward(self, *args, **inputs)
        calls.append(inputs)
        output.loss = output.loss * (float("nan") if len(calls) == 3 else 1)
        return output

    monkeypatch.setattr(pretraining.MeritForPreTraining, "forward", broken)
    with pytest.raises(ValueError, match=r"Step 3: the loss is nan. The batch holds records100/.* and 8 more"):
        pretrain(dataset, load_recipe("demo", settings), tmp_path)
    assert len(calls) == 3


def test_a_gradient_that_is_not_finite_ends_the_run_before_a_weight_changes(dataset, settings, tmp_path, monkeypatch):
    compute_loss = pretraining.MeritTrainer.compute_loss
    models = []

    def with_infinite_gradient(self, model, inputs, **kwargs):
        models.append(model)
        loss = compute_loss(self, model, inputs, **kwargs)
        return loss + (model.logit_scale - model.logit_scale.detach()).abs().sqrt() if len(models) == 2 else loss

    monkeypatch.setattr(pretraining.MeritTrainer, "compute_loss", with_infinite_gradient)
    with pytest.raises(ValueError, match=r"Step 2: the norm of the gradient is (nan|inf)"):
        pretrain(dataset, load_recipe("demo", settings), tmp_path)
    assert all(weight.isfinite().all() for weight in models[-1].parameters())


@pytest.mark.slow
def test_resuming_a_finished_run_gives_the_same_weights(uninterrupted, dataset, settings):
    model, _, output = uninterrupted
    assert_same_weights(pretrain(dataset, load_recipe("demo", settings), output, resume=True)[0], model)


def test_checkpoints_of_an_earlier_run_are_not_overwritten(uninterrupted, dataset, settings):
    before = sorted((uninterrupted[2] / "checkpoints").iterdir())
    with pytest.raises(ValueError, match="checkpoints of an earlier run"):
        pretrain(dataset, load_recipe("demo", settings), uninterrupted[2])
    assert sorted((uninterrupted[2] / "checkpoints").iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize(("off", "on"), [("alignment", "reconstruction"), ("reconstruction", "alignment")])
def test_either_term_trains_alone(dataset, settings, tmp_path, off, on):
    one_epoch = [*settings, "training.num_train_epochs=1", f"model.{off}_weight=0"]
    model, _ = pretrain(dataset, load_recipe("demo", one_epoch), tmp_path)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    training = [entry for entry in history(tmp_path) if "loss" in entry]
    assert training
    assert all(f"{on}_information" in entry for entry in training)
    assert not any(f"{off}_information" in entry for entry in training)


class Stop(Exception):
    pass


def test_records_without_a_report_are_left_out_and_labels_never_reach_the_model(
    dataset, settings, tmp_path, monkeypatch
):
    partial = dataset.map(lambda row, i: {"report": "" if i % 2 else row["report"]}, with_indices=True)
    seen = {}

    def inspect(self, *args, **kwargs):
        seen["train"], seen["validation"] = len(self.train_dataset), len(self.eval_dataset)
        seen["batches"] = [*self.get_train_dataloader(), *self.get_eval_dataloader()]
        raise Stop

    monkeypatch.setattr(pretraining.MeritTrainer, "train", inspect)
    with pytest.raises(Stop):
        pretrain(partial, load_recipe("demo", settings), tmp_path)
    for split in ("train", "validation"):
        assert seen[split] == sum(bool(report) for report in partial[split]["report"]) < len(dataset[split])
    inputs = {"ecg_values", "lead_mask", "sample_mask", "input_ids", "attention_mask", "noise", "rows"}
    assert all(set(batch) == inputs for batch in seen["batches"])
    assert all(batch["attention_mask"].sum(1).min() > 2 for batch in seen["batches"])


@pytest.mark.slow
def test_the_weights_do_not_depend_on_labels(uninterrupted, dataset, settings, tmp_path):
    labels = [name for name in dataset["train"].column_names if name.startswith("labels_") or name == "codes"]
    assert labels
    model, _ = pretrain(dataset.remove_columns(labels), load_recipe("demo", settings), tmp_path)
    assert_same_weights(model, uninterrupted[0])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("text=french", "text must be one of original, english, mixed"),
        ("crop_seconds=long", "crop_seconds cannot be 'long'.*Float"),
        ("crop_seconds=0.1", "between a patch"),
        ("crop_seconds=20", "window"),
        ("gradient_norms=-1", "gradient_norms is a number of steps"),
        ("gradient_norms=1.5", "gradient_norms cannot be 1.5.*Integer"),
        ("augmentation.mirror=1", "no augmentation 'mirror'"),
        ("training.fsdp=true", "on GPUs only"),
    ],
)
def test_an_invalid_run_is_refused_before_anything_is_written(dataset, settings, tmp_path, override, message):
    with pytest.raises(ValueError, match=message):
        pretrain(dataset, load_recipe("demo", [*settings, override]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.ecg_config.tokenization=words", "tokenization must be one of"),
        ("model.ecg_config.hidden_size=abc", "hidden_size"),
        ("model.alignment_wieght=0", "alignment_wieght"),
        ("model.ecg_config.hiden_size=32", "hiden_size"),
        ("processor.rate=3", "no field rate"),
        ("processor.sampling_rate=200", "same sampling_rate"),
        ("processor.lead_names=[I, II]", "same lead_names"),
        ("processor.duration=long", "duration"),
        ("tokenizer.foo=1", "tokenizer has foo"),
        ("tokenizer.vocab_size=0", "tokenizer.vocab_size must be a whole number above 0"),
        ("tokenizer.vocab_size=many", "tokenizer.vocab_size cannot be 'many'.*Integer"),
    ],
)
def test_an_invalid_model_is_refused(override, message):
    with pytest.raises(ValueError, match=message):
        pretraining.build(load_recipe("demo", [override]), ["sinus rhythm"])


def test_a_data_set_without_the_validation_fold_is_refused(dataset, tiny_settings, tmp_path):
    with pytest.raises(ValueError, match="no records in split validation"):
        pretrain(DatasetDict({"train": dataset["train"]}), load_recipe("demo", tiny_settings), tmp_path)


@pytest.mark.slow
def test_every_evaluation_is_the_same_and_on_the_whole_validation_split(dataset, settings, tmp_path, monkeypatch):
    seen = []
    diagnostics = trainers.evaluation_diagnostics
    monkeypatch.setattr(trainers, "evaluation_diagnostics", lambda *args: seen.append(args) or diagnostics(*args))
    more = ["training.per_device_eval_batch_size=5", "augmentation.amplitude={probability: 1, strength: 0.5}"]
    frozen = ["training.learning_rate=0", "training.weight_decay=0"]
    pretrain(dataset, load_recipe("demo", [*settings, *more, *frozen]), tmp_path)
    assert len(dataset["validation"]) % 5
    assert [len(args[1]) for args in seen] == [len(with_text(dataset["validation"]))] * 2
    first, second = ([entry for entry in history(tmp_path) if "eval_loss" in entry][i] for i in (0, 1))
    # Evaluation applies no augmentation.
    pretrain(dataset, load_recipe("demo", [*settings, more[0], *frozen]), tmp_path / "not-augmented")
    not_augmented = next(entry for entry in history(tmp_path / "not-augmented") if "eval_loss" in entry)
    for name in ("eval_loss", "eval_alignment_information", "eval_reconstruction_information", "eval_feature_rank"):
        assert first[name] == second[name] == not_augmented[name]


@pytest.mark.slow
def test_each_epoch_has_another_order_and_other_masks(dataset, settings, tmp_path, monkeypatch):
    batches = []
    compute_loss = pretraining.MeritTrainer.compute_loss

    def recorded(self, model, inputs, **kwargs):
        batches.append((self.train_dataset.epoch, inputs["rows"].tolist(), inputs["noise"]))
        return compute_loss(self, model, inputs, **kwargs)

    monkeypatch.setattr(pretraining.MeritTrainer, "compute_loss", recorded)
    pretrain(dataset, load_recipe("demo", settings), tmp_path)
    half = len(batches) // 2
    assert [epoch for epoch, _, _ in batches] == [0] * half + [1] * half
    first, second = (
        {row: noise[i] for _, rows, noise in part for i, row in enumerate(rows)}
        for part in (batches[:half], batches[half:])
    )
    assert list(first) != list(second)
    both = set(first) & set(second)
    assert both
    assert not any(torch.equal(first[row], second[row]) for row in both)


@pytest.mark.slow
def test_the_model_of_the_best_evaluation_is_returned(dataset, settings, tmp_path):
    best = ["training.load_best_model_at_end=true", "training.metric_for_best_model=alignment_information"]
    # Select the lowest information: the highest would mostly be that of the last epoch.
    more = ["training.greater_is_better=false", "training.num_train_epochs=3", "training.save_total_limit=1"]
    model, _ = pretrain(dataset, load_recipe("demo", [*settings, *best, *more]), tmp_path)
    found = {entry["step"]: entry["eval_alignment_information"] for entry in history(tmp_path) if "eval_loss" in entry}
    step = min(found, key=found.__getitem__)
    assert len(set(found.values())) == 3
    saved_weights = load_file(tmp_path / "checkpoints" / f"checkpoint-{step}" / "model.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved_weights[name]), name


@pytest.mark.slow
def test_logging_diagnostics_and_gradient_norms_does_not_change_the_weights(uninterrupted, dataset, settings, tmp_path):
    more = ["gradient_norms=2", "training.report_to=tensorboard"]
    model, _ = pretrain(dataset, load_recipe("demo", [*settings, *more]), tmp_path)
    assert_same_weights(model, uninterrupted[0])
    entry = next(entry for entry in history(tmp_path) if "loss" in entry)
    diagnostics = {"alignment_ceiling", "duplicate_share", "alignment_distance", "ecg_uniformity", "text_rank"}
    assert diagnostics | {"alignment_gradient", "reconstruction_gradient", "gradient_cosine"} <= set(entry)
    assert not any("gradient_cosine" in entry for entry in history(uninterrupted[2]))
    evaluation = next(entry for entry in history(tmp_path) if "eval_loss" in entry)
    assert {f"eval_{name}" for name in diagnostics} | {"eval_feature_rank"} <= set(evaluation)
    assert list((tmp_path / "checkpoints").rglob("events.out.tfevents.*"))


def test_the_recipe_from_scratch_returns_the_model_at_initialisation(dataset, settings, tmp_path):
    tiny = [setting for setting in settings if "epochs" not in setting]
    model, _ = pretrain(dataset, load_recipe("from-scratch", ["extends=demo", *tiny]), tmp_path)
    trained = load_recipe("demo", settings)
    torch.manual_seed(0)
    start, _ = pretraining.build(trained, with_text(dataset["train"])["report"])
    assert_same_weights(model, start)
    assert [path.name for path in tmp_path.iterdir()] == ["training.json"]


@pytest.mark.slow
def test_several_data_sets_are_concatenated(dataset, settings, tmp_path, monkeypatch):
    other = DatasetDict({"train": dataset["test"]})
    both = pretraining.combine([dataset, other])
    assert len(both["train"]) == len(dataset["train"]) + len(dataset["test"])
    assert len(both["validation"]) == len(dataset["validation"])
    assert both["train"][-1]["record_id"] == dataset["test"][-1]["record_id"]
    model, _ = pretrain(both, load_recipe("demo", [*settings, "training.max_steps=2"]), tmp_path)
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.slow
@pytest.mark.parametrize("text", ["english", "mixed"])
def test_reports_may_be_english_or_mixed(dataset, settings, tmp_path, text, monkeypatch):
    seen = []

    @functools.wraps(pretraining.train_tokenizer)
    def recorded(reports, **more):
        seen.extend(reports)
        return recorded.__wrapped__(reports, **more)

    monkeypatch.setattr(pretraining, "train_tokenizer", recorded)
    pretrain(dataset, load_recipe("demo", [*settings, f"text={text}", "training.max_steps=2"]), tmp_path)
    train = with_text(dataset["train"])
    assert seen == [*([*train["report"]] if text == "mixed" else []), *train["report_en"]]
