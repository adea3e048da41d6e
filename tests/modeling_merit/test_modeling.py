"""What transformers users expect of every model."""

import copy
import doctest
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import ECG, MODELS, TEXT, TOKENIZATIONS, assert_same, tiny_config, tiny_inputs, tiny_model
from transformers import (
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
)
from transformers.utils import is_flash_attn_2_available

from merit import MeritConfig, MeritEcgConfig, MeritEcgModel, MeritForEcgClassification, MeritForPreTraining, MeritModel
from merit.modeling_merit import modeling_merit

CLOSE = {"atol": 2e-6, "rtol": 1e-5}
DUAL = (MeritModel, MeritForPreTraining)
needs_compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
every_tokenization = pytest.mark.parametrize("tokenization", TOKENIZATIONS)
every_model = pytest.mark.parametrize("model_class", MODELS)


def run(model, **more):
    with torch.no_grad():
        return model(**{**tiny_inputs(type(model)), **more})


# Saving and loading


@every_tokenization
@every_model
def test_a_saved_model_is_the_same_model(model_class, tokenization, tmp_path):
    model = tiny_model(model_class, tokenization)
    model.save_pretrained(tmp_path)
    code = {"configuration_merit.py", "hub_config_merit.py", "modeling_merit.py", "typicality_merit.py"}
    code = code if model_class._auto_class else set()
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"} | code
    assert load_file(tmp_path / "model.safetensors").keys() == model.state_dict().keys()
    loaded, report = model_class.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert not loaded.training
    assert_same(run(loaded), run(model), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("auto_class", "model_class"),
    [
        (AutoModel, MeritModel),
        (AutoModel, MeritEcgModel),
        (AutoModelForPreTraining, MeritForPreTraining),
        (AutoModelForSequenceClassification, MeritForEcgClassification),
        (AutoModelForAudioClassification, MeritForEcgClassification),
    ],
)
def test_the_auto_classes_know_the_models(auto_class, model_class, tmp_path):
    tiny_model(model_class).save_pretrained(tmp_path)
    assert type(auto_class.from_pretrained(tmp_path)) is model_class


def test_a_model_saved_in_pieces_is_the_same_model(tmp_path):
    model = tiny_model(MeritForPreTraining)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    assert_same(run(MeritForPreTraining.from_pretrained(tmp_path)), run(model), atol=0, rtol=0)


CLASSIFIER = {"norm.weight", "norm.bias", "classifier.weight", "classifier.bias"}
# From, to, and the first parts of what must be reported missing and unexpected.
PATHS = [
    (MeritForPreTraining, MeritModel, set(), set()),
    (MeritForPreTraining, MeritEcgModel, set(), set()),
    (MeritForPreTraining, MeritForEcgClassification, {"norm", "classifier"}, set()),
    (MeritModel, MeritForPreTraining, {"decoder"}, set()),
    (MeritModel, MeritEcgModel, set(), set()),
    (MeritModel, MeritForEcgClassification, {"norm", "classifier"}, set()),
    (MeritForEcgClassification, MeritEcgModel, set(), set()),
    (
        MeritForEcgClassification,
        MeritModel,
        {"text_model", "text_projection", "ecg_projection", "logit_scale"},
        set(),
    ),
    (MeritEcgModel, MeritForEcgClassification, {"norm", "classifier"}, set()),
]


@pytest.fixture
def poisoned_memory(monkeypatch):
    """Uninitialised memory is filled with NaN."""
    for name in ("empty", "empty_like"):
        original = getattr(torch, name)

        def poisoned(*args, original=original, **kwargs):
            tensor = original(*args, **kwargs)
            return tensor.fill_(float("nan")) if tensor.is_floating_point() and not tensor.is_meta else tensor

        monkeypatch.setattr(torch, name, poisoned)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@every_tokenization
@pytest.mark.parametrize(
    ("source", "target", "missing", "unexpected"), PATHS, ids=[f"{s.__name__} to {t.__name__}" for s, t, *_ in PATHS]
)
def test_no_weight_is_left_to_chance(
    source, target, missing, unexpected, tokenization, dtype, tmp_path, poisoned_memory
):
    config = tiny_config(tokenization, num_labels=5)
    saved = tiny_model(source, tokenization)
    saved.save_pretrained(tmp_path)
    kwargs = {"num_labels": 5} if target is MeritForEcgClassification else {}
    if source is MeritEcgModel:
        kwargs = {"config": config}
    loaded, report = target.from_pretrained(tmp_path, dtype=dtype, output_loading_info=True, **kwargs)
    assert {key.split(".")[0] for key in report["missing_keys"]} == missing
    assert {key.split(".")[0] for key in report["unexpected_keys"]} == unexpected
    assert not report["mismatched_keys"]

    prefix = {MeritEcgModel: "", **dict.fromkeys(MODELS[1:], "ecg_model.")}
    known = {name.removeprefix(prefix[source]): tensor for name, tensor in saved.state_dict().items()}
    for name, parameter in loaded.named_parameters():
        assert parameter.dtype == dtype
        assert not parameter.is_meta
        values = parameter.detach().float()
        if name not in report["missing_keys"]:
            torch.testing.assert_close(parameter.detach(), known[name.removeprefix(prefix[target])].to(dtype))
        elif name == "logit_scale":
            torch.testing.assert_close(values.item(), config.logit_scale_init_value, atol=0.01, rtol=0)
        elif name.endswith("bias"):
            assert (values == 0).all(), name
        elif "norm" in name.lower():
            assert (values == 1).all(), name
        else:
            # Five standard errors, and a little for padding's zeros.
            assert abs(values.std() / 0.02 - 1) < 5 / (2 * values.numel()) ** 0.5 + 0.05, name


def test_the_number_of_labels_may_change_when_loading(tmp_path):
    tiny_model(MeritForEcgClassification).save_pretrained(tmp_path)
    model, report = MeritForEcgClassification.from_pretrained(
        tmp_path, num_labels=7, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert {key for key, *_ in report["mismatched_keys"]} == {"classifier.weight", "classifier.bias"}
    assert model.classifier.weight.std().item() == pytest.approx(0.02, rel=0.3)
    assert (model.classifier.bias == 0).all()


@every_model
def test_initialisation_depends_on_the_seed_alone(model_class):
    config = tiny_config()
    config = config.ecg_config if model_class is MeritEcgModel else config
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(model_class(config).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    drawn = [name for name in states[0] if not torch.equal(states[0][name], states[2][name])]
    assert all("bias" in name or "norm" in name.lower() or name == "logit_scale" for name in states[0].keys() - drawn)


@pytest.mark.parametrize("device_map", ["cpu", "auto", {"": "cpu"}])
@every_model
def test_a_device_map_is_accepted(model_class, device_map, tmp_path):
    pytest.importorskip("accelerate", reason="needs the extra train")
    model = tiny_model(model_class)
    model.save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path, device_map=device_map)
    outputs = loaded(**{name: tensor.to(loaded.device) for name, tensor in tiny_inputs(model_class).items()})
    torch.testing.assert_close(
        next(iter(outputs.values())).cpu(), next(iter(run(model).values())), atol=1e-3, rtol=1e-3
    )


@every_tokenization
@every_model
def test_weights_can_be_offloaded(model_class, tokenization, tmp_path):
    accelerate = pytest.importorskip("accelerate", reason="needs the extra train")
    model = tiny_model(model_class, tokenization)
    expected = run(model)
    accelerate.disk_offload(model, tmp_path, execution_device="cpu")
    assert any(parameter.is_meta for parameter in model.parameters())
    assert_same(run(model), expected, atol=0, rtol=0)


# Training


def trainable(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


SETTINGS = {
    "ecg encoder": (MeritEcgModel, {}),
    "dual": (MeritModel, {}),
    "dual, middle layer": (MeritModel, {"ecg": {"pooled_layer": 1}}),
    "both terms": (MeritForPreTraining, {}),
    "both terms, middle layer": (MeritForPreTraining, {"ecg": {"pooled_layer": 1}}),
    "alignment only": (MeritForPreTraining, {"reconstruction_weight": 0}),
    "alignment only, middle layer": (MeritForPreTraining, {"reconstruction_weight": 0, "ecg": {"pooled_layer": 1}}),
    "reconstruction only": (MeritForPreTraining, {"alignment_weight": 0}),
    "shallow reconstruction": (MeritForPreTraining, {"reconstruction_depth": 1}),
    "shallow reconstruction only": (MeritForPreTraining, {"reconstruction_depth": 1, "alignment_weight": 0}),
    "both shallow": (MeritForPreTraining, {"reconstruction_depth": 1, "ecg": {"pooled_layer": 1}}),
    "no time hidden": (MeritForPreTraining, {"time_mask_ratio": 0}),
    "no leads hidden": (MeritForPreTraining, {"lead_mask_ratio": 0}),
    "multi-label": (MeritForEcgClassification, {}),
    "middle layer": (MeritForEcgClassification, {"ecg": {"pooled_layer": 1}}),
    "embedding layer": (MeritForEcgClassification, {"ecg": {"pooled_layer": 0}}),
    "frozen": (MeritForEcgClassification, {"freeze_encoder": True}),
}


@pytest.mark.parametrize("loaded", [False, True], ids=["new", "loaded"])
@every_tokenization
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_trainable_parameter_gets_a_gradient(setting, tokenization, loaded, tmp_path):
    model_class, fields = SETTINGS[setting]
    model = tiny_model(model_class, tokenization, **fields)
    if loaded:
        model.save_pretrained(tmp_path)
        model = model_class.from_pretrained(tmp_path)
    inputs = tiny_inputs(model_class, labels=True)
    if model_class is MeritModel:
        inputs["return_loss"] = True
    output = model.train()(**inputs)
    loss = output.last_hidden_state.square().sum() if model_class is MeritEcgModel else output.loss
    loss.backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == trainable(model)


def test_a_frozen_encoder_is_frozen_however_the_head_is_created(tmp_path):
    heads = tiny_model(MeritForPreTraining)
    heads.save_pretrained(tmp_path)
    for model in (
        tiny_model(MeritForEcgClassification, freeze_encoder=True),
        MeritForEcgClassification.from_pretrained(tmp_path, num_labels=2, freeze_encoder=True),
        AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=2, freeze_encoder=True),
        MeritForEcgClassification.from_pretrained(tmp_path, freeze_encoder=True, output_loading_info=True)[0],
    ):
        assert trainable(model) == CLASSIFIER
    assert not any(
        name.startswith("text") for name in trainable(MeritForPreTraining.from_pretrained(tmp_path, alignment_weight=0))
    )
    assert trainable(MeritForEcgClassification.from_pretrained(tmp_path)) > CLASSIFIER


@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [
        ("multi_label_classification", torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])),
        ("single_label_classification", torch.tensor([0, 2, 1])),
        ("regression", torch.randn(3, 3)),
    ],
)
def test_the_loss_is_that_of_the_problem(problem_type, labels):
    model = tiny_model(MeritForEcgClassification, problem_type=problem_type)
    output = model(**tiny_inputs(MeritForEcgClassification), labels=labels)
    functional = torch.nn.functional
    by_hand = {
        "multi_label_classification": functional.binary_cross_entropy_with_logits,
        "single_label_classification": functional.cross_entropy,
        "regression": functional.mse_loss,
    }[problem_type](output.logits, labels)
    torch.testing.assert_close(output.loss, by_hand)
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_single_value_can_be_regressed():
    model = tiny_model(MeritForEcgClassification, problem_type="regression", num_labels=1)
    output = model(**tiny_inputs(MeritForEcgClassification), labels=torch.tensor([60.0, 70.0, 80.0]))
    torch.testing.assert_close(output.loss, (output.logits[:, 0] - torch.tensor([60.0, 70.0, 80.0])).square().mean())


@every_tokenization
@every_model
def test_gradient_checkpointing_changes_no_gradient(model_class, tokenization):
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(model_class, tokenization).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.is_gradient_checkpointing
        inputs = tiny_inputs(model_class, labels=True)
        if model_class is MeritModel:
            inputs["return_loss"] = True
        output = model(**inputs)
        (output.pooler_output.square().sum() if model_class is MeritEcgModel else output.loss).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name in gradients[0]:
        if gradients[0][name] is not None:
            torch.testing.assert_close(gradients[1][name], gradients[0][name], **CLOSE)


def test_checkpointed_layers_run_again_in_the_backward_pass():
    model = tiny_model().train()
    model.gradient_checkpointing_enable()
    calls = []
    model.encoder.layers[0].attention_norm.register_forward_hook(lambda *_: calls.append(1))
    model(**tiny_inputs(MeritEcgModel)).pooler_output.sum().backward()
    assert len(calls) == 2


@every_model
def test_dropout_acts_in_training_only(model_class):
    ecg = {"hidden_dropout": 0.5, "attention_dropout": 0.5}
    model = tiny_model(model_class, ecg=ecg)
    assert not any(module.training for module in model.modules())
    assert_same(run(model), run(model), atol=0, rtol=0)
    model.train()
    assert all(module.training for module in model.modules())
    with pytest.raises(AssertionError):
        assert_same(run(model), run(model), atol=1e-3, rtol=1e-3)


def test_a_dual_encoder_returns_the_loss_on_request():
    model = tiny_model(MeritModel)
    assert run(model).loss is None
    loss = run(model, return_loss=True).loss
    embeds = run(model)
    with torch.no_grad():
        information = modeling_merit.alignment_information(
            embeds.ecg_embeds, embeds.text_embeds, model.scale(), torch.eye(3, dtype=torch.bool)
        )
    torch.testing.assert_close(loss, -information)


def test_the_pretraining_loss_is_made_of_the_information_terms_of_its_output():
    output = run(tiny_model(MeritForPreTraining, alignment_weight=2, reconstruction_weight=3))
    expected = -2 * output.alignment_information - 3 * output.reconstruction_information
    torch.testing.assert_close(output.loss, expected)
    assert run(tiny_model(MeritForPreTraining), return_loss=False).loss is None


def test_each_ablation_leaves_one_branch_out():
    alignment = run(tiny_model(MeritForPreTraining, reconstruction_weight=0))
    assert (alignment.reconstruction_information, alignment.reconstruction, alignment.hidden) == (None, None, None)
    model = tiny_model(MeritForPreTraining, alignment_weight=0)
    reconstruction = run(model, input_ids=None, attention_mask=None)
    assert (reconstruction.alignment_information, reconstruction.ecg_embeds) == (None, None)
    assert not hasattr(tiny_model(MeritForPreTraining, reconstruction_weight=0), "decoder")


def test_training_reconstructs_every_nth_recording_and_aligns_all():
    inputs = tiny_inputs(MeritForPreTraining, batch=5)
    whole = tiny_model(MeritForPreTraining)
    strided = tiny_model(MeritForPreTraining, reconstruction_stride=2).train()
    every = whole(**{name: tensor[::2] for name, tensor in inputs.items()})
    output = strided(**inputs)
    assert len(output.hidden) == 3
    torch.testing.assert_close(output.reconstruction_information, every.reconstruction_information)
    torch.testing.assert_close(output.alignment_information, whole(**inputs).alignment_information)
    assert_same(strided.eval()(**inputs), whole(**inputs))


@every_tokenization
def test_layers_above_the_reconstruction_depth_are_trained_by_alignment_only(tokenization):
    whole = tiny_model(MeritForPreTraining, tokenization)
    model = tiny_model(MeritForPreTraining, tokenization, reconstruction_depth=1)
    before = run(model)
    torch.testing.assert_close(before.ecg_embeds, run(whole).ecg_embeds)
    assert (before.reconstruction - run(whole).reconstruction).abs().max() > 1e-3
    with torch.no_grad():
        model.ecg_model.encoder.layers[1].mlp_norm.weight.mul_(-1)
    after = run(model)
    torch.testing.assert_close(after.reconstruction, before.reconstruction)
    assert (after.ecg_embeds - before.ecg_embeds).abs().max() > 1e-3


def test_missing_inputs_are_named():
    signal = tiny_inputs(MeritEcgModel)
    with pytest.raises(ValueError, match="input_ids are missing"):
        tiny_model(MeritForPreTraining)(**signal)
    with pytest.raises(ValueError, match="needs both ecg_values and input_ids"):
        tiny_model(MeritModel)(**signal)
    with pytest.raises(ValueError, match="ecg_values are missing"):
        tiny_model(MeritForPreTraining)(input_ids=torch.ones(2, 3, dtype=torch.long))


def test_the_temperature_is_clamped():
    model = tiny_model(MeritModel, max_logit_scale=20, logit_scale_init_value=10)
    assert model.scale() == 20
    assert run(model).logits_per_ecg.abs().max() <= 20


# Outputs


@every_tokenization
def test_hidden_states_and_attentions_have_the_expected_shapes(tokenization):
    tokens = 12 if tokenization.startswith("time") else 144
    for model_class in (MeritEcgModel, MeritForEcgClassification):
        model = tiny_model(model_class, tokenization)
        model.set_attn_implementation("eager")
        plain = run(model)
        assert plain.hidden_states is None
        assert plain.attentions is None
        output = run(model, output_hidden_states=True, output_attentions=True)
        assert [tuple(states.shape) for states in output.hidden_states] == [(3, tokens, 32)] * 3
        assert [tuple(weights.shape) for weights in output.attentions] == [(3, 2, tokens, tokens)] * 2
        for weights in output.attentions:
            torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, tokens))
            # The last recording ends early: nobody looks beyond its end.
            assert (weights[-1].unflatten(-1, (-1, 12))[..., -2:] == 0).all()
        torch.testing.assert_close(next(iter(output.values())), next(iter(plain.values())))


def test_both_encoders_return_hidden_states_and_attentions():
    model = tiny_model(MeritModel)
    model.set_attn_implementation("eager")
    output = run(model, output_hidden_states=True, output_attentions=True)
    for encoder in (output.ecg_model_output, output.text_model_output):
        assert len(encoder.hidden_states) == 3
        assert len(encoder.attentions) == 2
    inputs = tiny_inputs(MeritModel)
    text = model.get_text_features(**inputs, output_hidden_states=True, output_attentions=True)
    assert (len(text.hidden_states), len(text.attentions)) == (3, 2)


@every_model
def test_hidden_states_can_be_requested_in_the_configuration(model_class):
    model = tiny_model(model_class)
    for config in (model.config, *(getattr(model.config, name) for name in model.config.sub_configs)):
        config.output_hidden_states = True
    output = run(model)
    output = output.ecg_model_output if model_class is MeritModel else output
    if model_class is not MeritForPreTraining:
        assert len(output.hidden_states) == 3


@every_tokenization
@pytest.mark.parametrize("pooled_layer", [0, 1, 2, -1, -2, -3])
def test_the_pooled_layer_is_the_hidden_state_of_that_number(pooled_layer, tokenization):
    model = tiny_model(MeritEcgModel, tokenization, ecg={"pooled_layer": pooled_layer})
    output = run(model, lead_mask=None, sample_mask=None, output_hidden_states=True)
    states = output.last_hidden_state if pooled_layer in (2, -1) else output.hidden_states[pooled_layer]
    expected = [states.mean(1), states.amax(1)] if "stem" in tokenization else [states.mean(1)]
    torch.testing.assert_close(output.pooler_output, torch.cat(expected, -1))


def flat(values):
    for value in values:
        if isinstance(value, tuple):
            yield from flat(value)
        else:
            yield value


@pytest.mark.parametrize("where", ["call", "config"])
@every_model
def test_a_tuple_holds_what_the_output_holds(model_class, where):
    model = tiny_model(model_class)
    expected = run(model)
    if where == "config":
        model.config.return_dict = False
        found = run(model)
    else:
        found = run(model, return_dict=False)
    assert isinstance(found, tuple)
    found, expected = list(flat(found)), list(flat(expected.to_tuple()))
    assert len(found) == len(expected)
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(value, other, atol=0, rtol=0)


def test_features_accept_the_whole_batch_of_a_processor():
    model, batch = tiny_model(MeritModel), tiny_inputs(MeritModel)
    batch["token_type_ids"] = torch.zeros_like(batch["input_ids"])
    with torch.no_grad():
        ecg, text, both = model.get_ecg_features(**batch), model.get_text_features(**batch), model(**batch)
        assert isinstance(model.get_ecg_features(**batch, return_dict=False), tuple)
        assert isinstance(model.get_text_features(**batch, return_dict=False), tuple)
    normalise = torch.nn.functional.normalize
    torch.testing.assert_close(normalise(ecg.pooler_output, dim=-1), both.ecg_embeds)
    torch.testing.assert_close(normalise(text.pooler_output, dim=-1), both.text_embeds)
    torch.testing.assert_close(both.logits_per_ecg, model.scale().detach() * both.ecg_embeds @ both.text_embeds.T)
    torch.testing.assert_close(both.logits_per_text, both.logits_per_ecg.T)


def test_padding_does_not_change_the_embedding_of_a_text():
    model, inputs = tiny_model(MeritModel), tiny_inputs(MeritModel)
    inputs["attention_mask"][0] = torch.tensor([1, 1, 1, 1, 0, 0])
    padded = model.get_text_features(inputs["input_ids"], inputs["attention_mask"]).pooler_output[:1]
    torch.testing.assert_close(padded, model.get_text_features(inputs["input_ids"][:1, :4]).pooler_output, **CLOSE)


def test_any_number_of_texts_is_compared_with_any_number_of_ecgs():
    model = tiny_model(MeritModel)
    output = run(model, input_ids=torch.arange(1, 11).view(5, 2), attention_mask=None)
    assert output.logits_per_ecg.shape == (3, 5)
    assert output.logits_per_text.shape == (5, 3)


# Attention


@every_tokenization
@every_model
@pytest.mark.parametrize("implementation", ["sdpa", pytest.param("flex_attention", marks=pytest.mark.slow)])
def test_all_attention_implementations_agree(model_class, tokenization, implementation):
    model = tiny_model(model_class, tokenization, decoder_hidden_size=32)
    model.set_attn_implementation("eager")
    expected = run(model)
    model.set_attn_implementation(implementation)
    configs = {module.config._attn_implementation for module in model.modules() if hasattr(module, "config")}
    assert configs == {implementation}
    # Compiling flex attention for a CPU takes half a minute; uncompiled it is the same function.
    with torch.compiler.set_stance("force_eager" if implementation == "flex_attention" else "default"):
        found = run(model)
    # Of tokens that are masked there is no saying.
    masked = ("last_hidden_state", "reconstruction", "ecg_model_output", "text_model_output")
    found, expected = ({name: output[name] for name in output if name not in masked} for output in (found, expected))
    assert found
    assert_same(found, expected, atol=1e-5, rtol=1e-4)


@every_model
def test_the_attention_may_be_chosen_on_loading(model_class, tmp_path):
    tiny_model(model_class).save_pretrained(tmp_path)
    model = model_class.from_pretrained(tmp_path, attn_implementation="eager")
    assert {module.config._attn_implementation for module in model.modules() if hasattr(module, "config")} == {"eager"}


@every_model
def test_flash_attention_is_supported_or_refused_with_the_reason(model_class, tmp_path):
    assert model_class._supports_flash_attn
    if is_flash_attn_2_available():
        pytest.skip("flash-attn is installed: nothing to refuse")
    tiny_model(model_class).save_pretrained(tmp_path)
    with pytest.raises((ImportError, ValueError), match=r"(?i)flash.?attention"):
        model_class.from_pretrained(tmp_path, attn_implementation="flash_attention_2")


# Embeddings of the text


@pytest.mark.parametrize("model_class", DUAL)
def test_the_vocabulary_can_be_resized(model_class, tmp_path):
    model = tiny_model(model_class)
    expected = run(model)
    model.resize_token_embeddings(120)
    assert model.config.text_config.vocab_size == model.get_input_embeddings().num_embeddings == 120
    assert_same(run(model), expected, atol=0, rtol=0)
    inputs = tiny_inputs(model_class)
    inputs["input_ids"][0, 0] = 119
    assert next(iter(run(model, **inputs).values())).isfinite().all()
    model.save_pretrained(tmp_path)
    assert_same(run(model_class.from_pretrained(tmp_path)), expected, atol=0, rtol=0)


@every_model
def test_input_embeddings_can_be_read_and_set(model_class):
    model = tiny_model(model_class)
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, torch.nn.Embedding if model_class in DUAL else torch.nn.Linear)
    assert model.get_output_embeddings() is None
    other = copy.deepcopy(embeddings)
    model.set_input_embeddings(other)
    assert model.get_input_embeddings() is other
    model.enable_input_require_grads()


# The rest of a model's life


@every_tokenization
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_model
def test_half_precision_works(model_class, dtype, tokenization):
    model = tiny_model(model_class, tokenization)
    expected = next(iter(run(model).values()))
    found = next(iter(run(model.to(dtype)).values()))
    assert found.isfinite().all()
    torch.testing.assert_close(found.float(), expected, atol=0.15, rtol=0.15)
    # A signal in half precision is as welcome as one in single.
    signal = tiny_inputs(model_class)["ecg_values"].to(dtype)
    torch.testing.assert_close(next(iter(run(model, ecg_values=signal).values())), found, atol=0.15, rtol=0.15)


@every_model
def test_autocast_works(model_class):
    model = tiny_model(model_class).train()
    inputs = tiny_inputs(model_class, labels=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**inputs)
    value = next(iter(output.values()))
    value.float().sum().backward()
    torch.testing.assert_close(value.float(), next(iter(model(**inputs).values())), atol=0.1, rtol=0.1)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


@every_model
def test_a_copy_is_independent_of_the_model(model_class):
    model = tiny_model(model_class)
    run(model, output_hidden_states=True)
    twin = copy.deepcopy(model)
    assert_same(run(twin), run(model), atol=0, rtol=0)
    with torch.no_grad():
        next(twin.parameters()).zero_()
    assert next(model.parameters()).abs().sum() > 0


def test_parameters_are_counted():
    model = tiny_model()
    hidden, inner = ECG["hidden_size"], ECG["intermediate_size"]
    layer = 4 * hidden * hidden + 4 * hidden + 2 * hidden * inner + hidden + inner + 4 * hidden
    assert model.num_parameters() == 12 * 25 * hidden + 12 * hidden + 2 * layer + 2 * hidden
    frozen = tiny_model(MeritForEcgClassification, freeze_encoder=True)
    assert frozen.num_parameters(only_trainable=True) == 2 * hidden + 3 * hidden + 3
    assert frozen.num_parameters() > model.num_parameters()
    text = tiny_model(MeritModel).text_model
    assert text.get_input_embeddings().weight.numel() == TEXT["vocab_size"] * TEXT["hidden_size"]


@pytest.mark.slow
@pytest.mark.parametrize("tokenization", ["time", "time, stem"])
@pytest.mark.parametrize("model_class", MODELS[:3])
def test_a_model_compiles_into_one_graph(model_class, tokenization):
    model = tiny_model(model_class, tokenization)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    inputs = tiny_inputs(model_class)
    with torch.no_grad():
        assert_same(compiled(**inputs), model(**inputs), **CLOSE)


@pytest.mark.slow
@needs_compiler
def test_the_encoder_compiles_to_machine_code():
    model = tiny_model()
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True)
    inputs = tiny_inputs(MeritEcgModel)
    with torch.no_grad():
        assert_same(compiled(**inputs), model(**inputs), atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@every_tokenization
def test_the_encoder_can_be_exported(tokenization):
    model = tiny_model(MeritEcgModel, tokenization)
    batch = {0: torch.export.Dim("batch")}
    inputs = tiny_inputs(MeritEcgModel)
    shapes = dict.fromkeys(inputs, batch)
    exported = torch.export.export(model, (), kwargs=inputs, dynamic_shapes=shapes).module()
    for size in (2, 5):
        inputs = tiny_inputs(MeritEcgModel, size)
        with torch.no_grad():
            assert_same(exported(**inputs), model(**inputs), **CLOSE)


@pytest.mark.parametrize("item", [*MODELS, MeritConfig, MeritEcgConfig], ids=lambda item: item.__name__)
def test_the_examples_in_the_documentation_run(item):
    example = doctest.DocTestFinder(recurse=False).find(item, item.__name__)[0]
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0
