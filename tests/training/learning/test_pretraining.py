"""Pretraining: recipes, what the model gets to see, and runs that end alike however they got there."""

import functools
import json
import random
import re
import signal
import subprocess
import sys

import pytest
import torch
from datasets import DatasetDict
from safetensors.torch import load_file

from merit.training.batching.report_text import with_text
from merit.training.learning import pretraining
from merit.training.learning.pretraining import pretrain
from merit.training.trainer.recipe import PRETRAINING, load_recipe, training_arguments

# Pretrains as far as the step of the first argument, and dies in the way that the second one names.
DEADLY = """
import multiprocessing, os, resource, signal, sys, time
from merit.training import pretraining
from merit.training.data.catalogue import load_ptbxl
from merit.training.trainer.recipe import load_recipe
import torch
torch.set_num_threads(1)
last, way, tree, cache, output, resume, *settings = sys.argv[1:]
trainer = pretraining.MeritTrainer
step, save_state = trainer.training_step, trainer._save_rng_state

def deadly(self, *args, **kwargs):
    if self.state.global_step == int(last):
        if way == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif way == "full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        elif way == "worker":
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    return step(self, *args, **kwargs)

def deadly_while_saving(self, *args):
    if self.state.global_step >= int(last):
        if way == "saving":
            os.kill(os.getpid(), signal.SIGKILL)
        elif way == "worker while saving":
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
            time.sleep(60)  # the loader's signal ends it
    save_state(self, *args)

trainer.training_step, trainer._save_rng_state = deadly, deadly_while_saving
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
    assert facts["recipe"] == load_recipe("demo", settings)
    assert facts["log"] == history(output)


def test_the_same_seed_gives_the_same_weights(uninterrupted, dataset, settings, tmp_path):
    again, processor = pretrain(dataset, load_recipe("demo", settings), tmp_path)
    assert_same_weights(again, uninterrupted[0])
    assert processor.tokenizer.get_vocab() == uninterrupted[1].tokenizer.get_vocab()
    other, _ = pretrain(dataset, load_recipe("demo", [*settings, "training.seed=1"]), tmp_path / "other")
    assert not torch.equal(other.logit_scale, again.logit_scale)


@pytest.fixture(scope="module")
def arrow(tmp_path_factory):
    """Where the data set of other processes is prepared, once."""
    return tmp_path_factory.mktemp("arrow")


@pytest.fixture
def die(simulated, arrow, fresh_environment, tmp_path):
    """Pretrain in another process, which dies at a step in some way; returns how it ended."""

    def run(step, way, settings, resume=False):
        arguments = [step, way, simulated, arrow, tmp_path, "resume" if resume else "", *settings]
        command = [sys.executable, "-c", DEADLY, *map(str, arguments)]
        return subprocess.run(command, env=fresh_environment, capture_output=True, text=True, check=False)

    return run


def saved(output):
    return sorted(int(path.name[11:]) for path in (output / "checkpoints").glob("checkpoint-*"))


EVERY_FEW_STEPS = ["training.save_strategy=steps", "training.save_steps=2"]
RANDOM = [
    *("text=mixed", "augmentation.lead_dropout={probability: 0.5, strength: 0.5}", "training.dataloader_num_workers=1"),
    *("augmentation.muscle={probability: 0.5, strength: 0.05}", "training.dataloader_persistent_workers=true"),
]


@pytest.mark.parametrize("more", [[], RANDOM], ids=["plain", "augmented, by workers"])
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(dataset, settings, die, tmp_path, more):
    # Twelve steps in two epochs, killed three times: at two steps, and once while a checkpoint is saved.
    settings = [*settings, *EVERY_FEW_STEPS, *more]
    whole, processor = pretrain(dataset, load_recipe("demo", settings), tmp_path / "uninterrupted")
    first, second = sorted(random.Random(len(more)).sample(range(3, 12), 2))
    for step, way in ((first, "killed"), (second, "saving"), (second, "killed")):
        killed = die(step, way, settings, resume=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert saved(tmp_path)[-1] <= step + 1
    last = saved(tmp_path)[-1]
    resumed, again = pretrain(dataset, load_recipe("demo", settings), tmp_path, resume=True)
    assert_same_weights(resumed, whole)
    assert record(tmp_path)["resumed_at_step"] == last
    assert "resumed_at_step" not in record(tmp_path / "uninterrupted")
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()


def test_a_checkpoint_that_was_not_written_to_its_end_is_passed_over_and_removed(dataset, settings, die, tmp_path):
    settings = [*settings, *EVERY_FEW_STEPS, "training.max_steps=6"]
    assert die(4, "saving", settings).returncode == -signal.SIGKILL
    assert saved(tmp_path) == [2, 4]
    assert pretraining.last_checkpoint(tmp_path / "checkpoints").name == "checkpoint-2"
    pretrain(dataset, load_recipe("demo", settings), tmp_path, resume=True)
    assert all((path / "trainer_state.json").is_file() for path in (tmp_path / "checkpoints").glob("checkpoint-*"))


def test_a_full_disk_ends_the_run_and_the_last_checkpoint_is_whole(dataset, settings, die, tmp_path):
    settings = [*settings, *EVERY_FEW_STEPS, "training.max_steps=6"]
    ended = die(2, "full disk", settings)
    assert ended.returncode == 1
    assert re.search(r"OSError: .*checkpoint-4 could not be written.*checkpoint-2\. Make room and resume", ended.stderr)
    assert saved(tmp_path) == [2]
    pretrain(dataset, load_recipe("demo", settings), tmp_path, resume=True)
    assert saved(tmp_path)[-1] == 6


@pytest.mark.parametrize("way", ["worker", "worker while saving"])
def test_a_vanished_worker_ends_the_run(settings, die, tmp_path, way):
    settings = [*settings, *EVERY_FEW_STEPS, "training.dataloader_num_workers=1"]
    ended = die(3, way, settings)
    assert ended.returncode == 1
    assert re.search(r"ChildProcessError: Step \d+: a loader worker vanished.*checkpoint-\d", ended.stderr)
    assert pretraining.last_checkpoint(tmp_path / "checkpoints")


def test_a_loss_that_is_not_finite_ends_the_run_and_names_step_and_records(dataset, settings, tmp_path, monkeypatch):
    forward = pretraining.MeritForPreTraining.forward
    calls = []

    def broken(self, *args, **inputs):
        output = forward(self, *args, **inputs)
        calls.append(inputs)
        output.loss = output.loss * (float("nan") if len(calls) == 3 else 1)
        return output

    monkeypatch.setattr(pretraining.MeritForPreTraining, "forward", broken)
    with pytest.raises(ValueError, match=r"Step 3: the loss is nan. The batch held records100/.* and 8 more"):
        pretrain(dataset, load_recipe("demo", settings), tmp_path)
    assert len(calls) == 3


def test_a_gradient_that_is_not_finite_ends_the_run_before_a_weight_changes(dataset, settings, tmp_path, monkeypatch):
    compute_loss = pretraining.MeritTrainer.compute_loss
    models = []

    def of_infinite_slope(self, model, inputs, **kwargs):
        models.append(model)
        loss = compute_loss(self, model, inputs, **kwargs)
        return loss + (model.logit_scale - model.logit_scale.detach()).abs().sqrt() if len(models) == 2 else loss

    monkeypatch.setattr(pretraining.MeritTrainer, "compute_loss", of_infinite_slope)
    with pytest.raises(ValueError, match=r"Step 2: the norm of the gradient is (nan|inf)"):
        pretrain(dataset, load_recipe("demo", settings), tmp_path)
    assert all(weight.isfinite().all() for weight in models[-1].parameters())


def test_a_finished_run_is_resumed_to_the_same_weights(uninterrupted, dataset, settings):
    model, _, output = uninterrupted
    assert_same_weights(pretrain(dataset, load_recipe("demo", settings), output, resume=True)[0], model)


def test_checkpoints_are_not_trained_over(uninterrupted, dataset, settings):
    before = sorted((uninterrupted[2] / "checkpoints").iterdir())
    with pytest.raises(ValueError, match="checkpoints of an earlier run"):
        pretrain(dataset, load_recipe("demo", settings), uninterrupted[2])
    assert sorted((uninterrupted[2] / "checkpoints").iterdir()) == before


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


def test_recordings_without_a_report_are_left_out_and_labels_never_reach_the_model(
    dataset, settings, tmp_path, monkeypatch
):
    silent = dataset.map(lambda row, i: {"report": "" if i % 2 else row["report"]}, with_indices=True)
    seen = {}

    def look(self, *args, **kwargs):
        seen["train"], seen["validation"] = len(self.train_dataset), len(self.eval_dataset)
        seen["batches"] = [*self.get_train_dataloader(), *self.get_eval_dataloader()]
        raise Stop

    monkeypatch.setattr(pretraining.MeritTrainer, "train", look)
    with pytest.raises(Stop):
        pretrain(silent, load_recipe("demo", settings), tmp_path)
    for split in ("train", "validation"):
        assert seen[split] == sum(bool(report) for report in silent[split]["report"]) < len(dataset[split])
    inputs = {"ecg_values", "lead_mask", "sample_mask", "input_ids", "attention_mask", "noise", "rows"}
    assert all(set(batch) == inputs for batch in seen["batches"])
    assert all(batch["attention_mask"].sum(1).min() > 2 for batch in seen["batches"])


def test_labels_make_no_difference(uninterrupted, dataset, settings, tmp_path):
    labels = [name for name in dataset["train"].column_names if name.startswith("labels_") or name == "codes"]
    assert labels
    model, _ = pretrain(dataset.remove_columns(labels), load_recipe("demo", settings), tmp_path)
    assert_same_weights(model, uninterrupted[0])


class TestRecipes:
    @pytest.mark.parametrize("name", PRETRAINING.names)
    def test_every_recipe_makes_a_model(self, name):
        recipe = load_recipe(name)
        model, processor = pretraining.build(recipe, ["sinus rhythm", "vorhofflimmern"])
        assert model.config.text_config.vocab_size == len(processor.tokenizer)
        assert processor.tokenizer.model_max_length <= model.config.text_config.max_position_embeddings

    @pytest.mark.parametrize(
        ("override", "value"),
        [
            ("3", 3),
            ("1e-3", 0.001),
            ("2.5e-4", 0.00025),
            ("-1E+2", -100.0),
            ("0.1", 0.1),
            ("false", False),
            ("null", None),
        ],
    )
    def test_settings_are_read_as_people_write_them(self, override, value):
        read = load_recipe("demo", [f"training.learning_rate={override}"])["training"]["learning_rate"]
        assert read == value
        assert type(read) is type(value)

    def test_a_recipe_stands_on_another_one(self, tmp_path):
        (tmp_path / "mine.yaml").write_text("extends: demo\nmodel: {ecg_config: {num_hidden_layers: 2}}\n")
        (tmp_path / "yours.yaml").write_text(f"extends: {tmp_path}/mine.yaml\ntraining: {{seed: 3}}\n")
        recipe, demo = load_recipe(str(tmp_path / "yours.yaml"), ["training.seed=4"]), load_recipe("demo")
        assert recipe["model"]["ecg_config"] == {**demo["model"]["ecg_config"], "num_hidden_layers": 2}
        assert recipe["training"] == {**demo["training"], "seed": 4}
        assert "extends" not in recipe
        other = load_recipe("alignment-only", ["extends=demo"])
        assert other == {**demo, "model": {**demo["model"], "reconstruction_weight": 0}}

    def test_a_recipe_that_extends_itself_is_refused(self, tmp_path):
        one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
        one.write_text(f"extends: {two}")
        two.write_text(f"extends: {one}")
        with pytest.raises(ValueError, match=r"extends itself: .*one.yaml extends .*two.yaml extends .*one.yaml"):
            load_recipe(str(one))

    def test_the_ablations_are_ptbxl_but_for_what_they_leave_out(self):
        ptbxl = load_recipe("ptbxl")
        for name, off in (("alignment-only", "reconstruction"), ("reconstruction-only", "alignment")):
            recipe = load_recipe(name)
            assert recipe["model"] == {**ptbxl["model"], f"{off}_weight": 0}
            assert recipe["training"] | {"metric_for_best_model": 0} == ptbxl["training"] | {"metric_for_best_model": 0}
        assert load_recipe("from-scratch") == {**ptbxl, "training": {**ptbxl["training"], "num_train_epochs": 0}}

    def test_a_recipe_may_be_a_file(self, tmp_path):
        (tmp_path / "mine.yaml").write_text("crop_seconds: 3.0\ntraining: {learning_rate: 1e-3}\n")
        recipe = load_recipe(str(tmp_path / "mine.yaml"), ["model.projection_dim=64", "crop_seconds=4.0"])
        assert recipe == {"crop_seconds": 4.0, "training": {"learning_rate": 0.001}, "model": {"projection_dim": 64}}

    @pytest.mark.parametrize(
        ("name", "overrides", "message"),
        [
            ("nothing", [], "no recipe 'nothing': name one of alignment-only, demo"),
            ("demo", ["training.seed"], "no setting"),
            ("demo", ["=3"], "no setting"),
            ("demo", ["training.seed=[1"], "is not YAML"),
            ("demo", ["training.seed.deeper=1"], "seed is a value"),
            ("demo", ["trainer.seed=1"], "has trainer; recipes have"),
            ("demo", ["model=3"], "model is a group of settings, not 3"),
            ("demo", ["model.ecg_config=3"], "ecg_config is a group of settings, not 3"),
            ("demo", ["training.seed={a: 1}"], "seed is a value"),
            ("demo", ["extends=nothing"], "no recipe 'nothing'"),
        ],
    )
    def test_a_recipe_that_cannot_be_is_refused(self, name, overrides, message):
        with pytest.raises(ValueError, match=message):
            load_recipe(name, overrides)

    @pytest.mark.parametrize("text", ["just words", "- a\n- b", "model: [", "colour: red"])
    def test_a_file_that_is_no_recipe_is_refused(self, tmp_path, text):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ValueError, match=r"bad\.yaml"):
            load_recipe(str(tmp_path / "bad.yaml"))

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
            ("tokenizer.vocab_size=many", "tokenizer.vocab_size must be a whole number"),
        ],
    )
    def test_a_model_that_cannot_be_is_refused(self, override, message):
        with pytest.raises(ValueError, match=message):
            pretraining.build(load_recipe("demo", [override]), ["sinus rhythm"])

    def test_an_unknown_training_setting_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="learning_rat"):
            training_arguments(tmp_path, {"learning_rat": 1e-3})

    @pytest.mark.parametrize(
        ("name", "value"), [("learning_rate", "fast"), ("seed", 1.5), ("torch_compile", 1), ("logging_steps", True)]
    )
    def test_a_training_setting_of_the_wrong_kind_is_refused(self, tmp_path, name, value):
        with pytest.raises(ValueError, match=f"training.{name} cannot be"):
            training_arguments(tmp_path, {name: value})

    def test_settings_may_be_whole_numbers_and_no(self, tmp_path):
        arguments = training_arguments(tmp_path, {"learning_rate": 1, "eval_strategy": False})
        assert arguments.learning_rate == 1
        assert arguments.eval_strategy == "no"

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("text=french", "text must be one of original, english, mixed"),
            ("crop_seconds=long", "crop_seconds must be a number"),
            ("crop_seconds=0.1", "between a patch"),
            ("crop_seconds=20", "window"),
            ("gradient_norms=-1", "gradient_norms is a number of steps"),
            ("augmentation.mirror=1", "no augmentation 'mirror'"),
            ("training.fsdp=true", "on GPUs only"),
        ],
    )
    def test_a_run_that_cannot_be_is_refused_before_anything_is_written(
        self, dataset, settings, tmp_path, override, message
    ):
        with pytest.raises(ValueError, match=message):
            pretrain(dataset, load_recipe("demo", [*settings, override]), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_data_set_without_the_validation_fold_is_refused(dataset, tiny_settings, tmp_path):
    with pytest.raises(ValueError, match="no records in split validation"):
        pretrain(DatasetDict({"train": dataset["train"]}), load_recipe("demo", tiny_settings), tmp_path)


def test_all_of_the_validation_split_is_evaluated_alike_each_time(dataset, settings, tmp_path, monkeypatch):
    seen = []
    judge = pretraining.evaluation_diagnostics
    monkeypatch.setattr(pretraining, "evaluation_diagnostics", lambda *args: seen.append(args) or judge(*args))
    more = ["training.per_device_eval_batch_size=5", "augmentation.amplitude={probability: 1, strength: 0.5}"]
    frozen = ["training.learning_rate=0", "training.weight_decay=0"]
    pretrain(dataset, load_recipe("demo", [*settings, *more, *frozen]), tmp_path)
    assert len(dataset["validation"]) % 5
    assert [len(args[1]) for args in seen] == [len(with_text(dataset["validation"]))] * 2
    first, second = ([entry for entry in history(tmp_path) if "eval_loss" in entry][i] for i in (0, 1))
    # Nothing disturbs the recordings that are evaluated.
    pretrain(dataset, load_recipe("demo", [*settings, more[0], *frozen]), tmp_path / "undisturbed")
    undisturbed = next(entry for entry in history(tmp_path / "undisturbed") if "eval_loss" in entry)
    for name in ("eval_loss", "eval_alignment_information", "eval_reconstruction_information", "eval_feature_rank"):
        assert first[name] == second[name] == undisturbed[name]


def test_each_epoch_sees_recordings_in_another_order_and_drawn_anew(dataset, settings, tmp_path, monkeypatch):
    batches = []
    compute_loss = pretraining.MeritTrainer.compute_loss

    def look(self, model, inputs, **kwargs):
        batches.append((self.train_dataset.epoch, inputs["rows"].tolist(), inputs["noise"]))
        return compute_loss(self, model, inputs, **kwargs)

    monkeypatch.setattr(pretraining.MeritTrainer, "compute_loss", look)
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


def test_the_model_of_the_best_evaluation_is_returned(dataset, settings, tmp_path):
    best = ["training.load_best_model_at_end=true", "training.metric_for_best_model=alignment_information"]
    # Of an untrained model, the lowest information is as good as any, and not always the last.
    more = ["training.greater_is_better=false", "training.num_train_epochs=3", "training.save_total_limit=1"]
    model, _ = pretrain(dataset, load_recipe("demo", [*settings, *best, *more]), tmp_path)
    found = {entry["step"]: entry["eval_alignment_information"] for entry in history(tmp_path) if "eval_loss" in entry}
    step = min(found, key=found.__getitem__)
    assert len(set(found.values())) == 3
    saved_weights = load_file(tmp_path / "checkpoints" / f"checkpoint-{step}" / "model.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved_weights[name]), name


def test_the_account_and_gradient_norms_are_logged_and_change_nothing(uninterrupted, dataset, settings, tmp_path):
    more = ["gradient_norms=2", "training.report_to=tensorboard"]
    model, _ = pretrain(dataset, load_recipe("demo", [*settings, *more]), tmp_path)
    assert_same_weights(model, uninterrupted[0])
    entry = next(entry for entry in history(tmp_path) if "loss" in entry)
    account = {"alignment_ceiling", "duplicate_share", "alignment_distance", "ecg_uniformity", "text_rank"}
    assert account | {"alignment_gradient", "reconstruction_gradient", "gradient_cosine"} <= set(entry)
    assert not any("gradient_cosine" in entry for entry in history(uninterrupted[2]))
    evaluation = next(entry for entry in history(tmp_path) if "eval_loss" in entry)
    assert {f"eval_{name}" for name in account} | {"eval_feature_rank"} <= set(evaluation)
    assert list((tmp_path / "checkpoints").rglob("events.out.tfevents.*"))


def test_from_scratch_is_the_model_as_it_starts(dataset, settings, tmp_path):
    tiny = [setting for setting in settings if "epochs" not in setting]
    model, _ = pretrain(dataset, load_recipe("from-scratch", ["extends=demo", *tiny]), tmp_path)
    trained = load_recipe("demo", settings)
    torch.manual_seed(0)
    start, _ = pretraining.build(trained, with_text(dataset["train"])["report"])
    assert_same_weights(model, start)
    assert [path.name for path in tmp_path.iterdir()] == ["training.json"]


def test_several_data_sets_are_trained_on_as_one(dataset, settings, tmp_path, monkeypatch):
    other = DatasetDict({"train": dataset["test"]})
    both = pretraining.combine([dataset, other])
    assert len(both["train"]) == len(dataset["train"]) + len(dataset["test"])
    assert len(both["validation"]) == len(dataset["validation"])
    assert both["train"][-1]["record_id"] == dataset["test"][-1]["record_id"]
    model, _ = pretrain(both, load_recipe("demo", [*settings, "training.max_steps=2"]), tmp_path)
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("text", ["english", "mixed"])
def test_the_text_may_be_english_or_mixed(dataset, settings, tmp_path, text, monkeypatch):
    seen = []

    @functools.wraps(pretraining.train_tokenizer)
    def look(reports, **more):
        seen.extend(reports)
        return look.__wrapped__(reports, **more)

    monkeypatch.setattr(pretraining, "train_tokenizer", look)
    pretrain(dataset, load_recipe("demo", [*settings, f"text={text}", "training.max_steps=2"]), tmp_path)
    train = with_text(dataset["train"])
    assert seen == [*([*train["report"]] if text == "mixed" else []), *train["report_en"]]
