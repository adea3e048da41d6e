"""Recipes: what they extend, how settings are written, and errors that name the recipe, the field and the value."""

import pytest

from merit.training.learning import pretraining
from merit.training.trainer.recipe import PretrainingRecipe, ReportRecipe, load_recipe, recipe_names, training_arguments


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_a_model(name):
    model, processor = pretraining.build(load_recipe(name), ["sinus rhythm", "vorhofflimmern"])
    assert model.config.text_config.vocab_size == len(processor.tokenizer)
    assert processor.tokenizer.model_max_length <= model.config.text_config.max_position_embeddings


@pytest.mark.parametrize(
    ("override", "value"),
    [("3", 3), ("1e-3", 0.001), ("2.5e-4", 0.00025), ("-1E+2", -100.0), ("0.1", 0.1)],
)
def test_settings_are_numbers_as_people_write_them(override, value):
    read = load_recipe("demo", [f"training.learning_rate={override}"]).training["learning_rate"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("override", "value"), [("false", False), ("null", None), ("{a: 1}", {"a": 1}), ("[1]", [1])])
def test_settings_may_be_any_yaml(override, value):
    assert load_recipe("demo", [f"model.anything={override}"]).model["anything"] == value


def test_a_recipe_extends_another_one(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: demo\nmodel: {ecg_config: {num_hidden_layers: 2}}\n")
    (tmp_path / "yours.yaml").write_text(f"extends: {tmp_path}/mine.yaml\ntraining: {{seed: 3}}\n")
    recipe, demo = load_recipe(str(tmp_path / "yours.yaml"), ["training.seed=4"]), load_recipe("demo")
    assert recipe.model["ecg_config"] == {**demo.model["ecg_config"], "num_hidden_layers": 2}
    assert recipe.training == {**demo.training, "seed": 4}
    other = load_recipe("alignment-only", ["extends=demo"])
    demo.model["reconstruction_weight"] = 0
    assert other == demo


def test_a_recipe_that_extends_itself_is_refused(tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(f"extends: {two}")
    two.write_text(f"extends: {one}")
    with pytest.raises(ValueError, match=r"extends itself: .*one.yaml extends .*two.yaml extends .*one.yaml"):
        load_recipe(str(one))


def test_the_ablations_differ_from_ptbxl_only_in_the_term_they_leave_out():
    ptbxl = load_recipe("ptbxl")
    for name, off in (("alignment-only", "reconstruction"), ("reconstruction-only", "alignment")):
        recipe = load_recipe(name)
        assert recipe.model == {**ptbxl.model, f"{off}_weight": 0}
        assert recipe.training | {"metric_for_best_model": 0} == ptbxl.training | {"metric_for_best_model": 0}
    ptbxl.training["num_train_epochs"] = 0
    assert load_recipe("from-scratch") == ptbxl


def test_a_recipe_may_be_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("crop_seconds: 3.0\ntraining: {learning_rate: 1e-3}\n")
    recipe = load_recipe(str(tmp_path / "mine.yaml"), ["model.projection_dim=64", "crop_seconds=4.0"])
    expected = PretrainingRecipe(model={"projection_dim": 64}, crop_seconds=4.0, training={"learning_rate": 0.001})
    assert recipe == expected


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("nothing", [], "no recipe 'nothing': name one of alignment-only, demo"),
        ("demo", ["training.seed"], "'training.seed' is not a setting: write it like"),
        ("demo", ["=3"], "'=3' is not a setting"),
        ("demo", ["training.seed=[1"], r"'training.seed=\[1' is not YAML"),
        ("demo", ["training.seed.deeper=1"], "training.seed cannot be {'deeper': 1}: it is int"),
        ("demo", ["trainer.seed=1"], "--set has trainer; recipes have augmentation, crop_seconds, extends"),
        ("demo", ["model=3"], "--set: model cannot be 3"),
        ("demo", ["model=null"], "--set: model cannot be None"),
        ("demo", ["model.ecg_config=3"], "model.ecg_config is a group of settings, not 3"),
        ("demo", ["training.seed={a: 1}"], "training.seed cannot be {'a': 1}: it is int"),
        ("demo", ["extends=nothing"], "no recipe 'nothing'"),
        ("demo", ["text=[a]"], "--set: text cannot be "),
        ("demo", ["model.a=${b}"], r"\$\{b\}|'b' not found"),
    ],
)
def test_an_invalid_recipe_is_refused(name, overrides, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(name, overrides)


@pytest.mark.parametrize(
    "text", ["just words", "- a\n- b", "model: [", "colour: red", "model: 3", "gradient_norms: no"]
)
def test_errors_name_the_file_that_is_not_a_recipe(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        load_recipe(str(tmp_path / "bad.yaml"))


def test_an_unknown_training_setting_is_refused():
    with pytest.raises(ValueError, match="training has learning_rat, which TrainingArguments does not have"):
        PretrainingRecipe(training={"learning_rat": 1e-3})


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", "fast"), ("seed", 1.5), ("torch_compile", 1), ("logging_steps", True)]
)
def test_a_training_setting_of_the_wrong_type_is_refused(name, value):
    with pytest.raises(ValueError, match=f"training.{name} cannot be {value!r}: it is"):
        PretrainingRecipe(training={name: value})


def test_settings_may_be_whole_numbers_and_no(tmp_path):
    settings = load_recipe("demo", ["training.learning_rate=1", "training.eval_strategy=no"]).training
    arguments = training_arguments(tmp_path, settings)
    assert arguments.learning_rate == 1
    assert arguments.eval_strategy == "no"


def test_recipes_for_reports_have_their_own_fields():
    with pytest.raises(ValueError, match=r"has gradient_norms; recipes have .*language_model"):
        load_recipe("small", ["gradient_norms=5"], ReportRecipe)
    assert set(recipe_names(ReportRecipe)) == {"small", "llama-lora"}
