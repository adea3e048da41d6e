import inspect
import json
import re

import pytest
from huggingface_hub.errors import StrictDataclassError
from tiny_models import ECG, tiny_config, tiny_inputs
from transformers import AutoConfig, BertConfig, DistilBertConfig, ModernBertConfig, RobertaConfig

from merit import MeritConfig, MeritEcgConfig, MeritForPreTraining, MeritModel

SMALL = {"vocab_size": 99, "max_position_embeddings": 20, "pad_token_id": 0}
DISTILBERT = {"model_type": "distilbert", "dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, **SMALL}
TRANSFORMER = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, **SMALL}
ROBERTA = {"model_type": "roberta", **TRANSFORMER}
SPECIAL = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 1)
MODERNBERT = {"model_type": "modernbert", **TRANSFORMER, **SPECIAL}
TEXT_CONFIGS = [(DISTILBERT, DistilBertConfig), (ROBERTA, RobertaConfig), (MODERNBERT, ModernBertConfig)]


def round_trips(config, tmp_path):
    yield type(config).from_dict(config.to_dict())
    yield type(config)(**json.loads(config.to_json_string()))
    yield type(config)(**json.loads(config.to_json_string(use_diff=False)))
    config.save_pretrained(tmp_path)
    yield type(config).from_pretrained(tmp_path)
    yield AutoConfig.from_pretrained(tmp_path)


def compared(config):
    # Saving adds the classes of the folder, which a configuration that was never saved does not name.
    fields = json.loads(config.to_json_string(use_diff=False))
    return {name: value for name, value in fields.items() if name not in ("_name_or_path", "auto_map")}


@pytest.mark.parametrize(
    "config",
    [
        MeritEcgConfig(),
        MeritEcgConfig(tokenization="lead_time", lead_names=["II", "V5"], pooled_layer=2, sampling_rate=250),
        MeritConfig(),
        tiny_config("lead_time", num_labels=4, problem_type="regression", reconstruction_weight=0, freeze_encoder=True),
    ],
    ids=["ecg", "ecg of two leads", "default", "nested"],
)
def test_a_configuration_survives_every_round_trip(config, tmp_path):
    for back in round_trips(config, tmp_path):
        assert type(back) is type(config)
        assert compared(back) == compared(config)


@pytest.mark.parametrize(("fields", "config_class"), TEXT_CONFIGS, ids=["distilbert", "roberta", "modernbert"])
@pytest.mark.parametrize("as_object", [False, True], ids=["by dict", "by object"])
def test_any_text_encoder_can_be_nested(fields, config_class, as_object, tmp_path):
    text_config = config_class(**fields) if as_object else fields
    config = tiny_config(text_config=text_config)
    for back in (config, *round_trips(config, tmp_path)):
        assert type(back.text_config) is config_class
        assert back.text_config.vocab_size == 99
        assert back.get_text_config() is back.text_config
    model = MeritForPreTraining(config)
    output = model(**tiny_inputs(MeritForPreTraining))
    output.loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    model.save_pretrained(tmp_path)
    loaded, report = MeritModel.from_pretrained(tmp_path, output_loading_info=True)
    assert loaded.text_model.config.model_type == fields["model_type"]
    assert not report["missing_keys"]


def test_nested_configurations_can_be_given_as_objects_too():
    ecg_config = MeritEcgConfig(**ECG)
    config = MeritConfig(ecg_config=ecg_config, text_config=BertConfig(vocab_size=77))
    assert config.ecg_config is ecg_config
    assert config.text_config.vocab_size == 77


def test_a_bert_without_fields_has_the_default_sizes():
    config = MeritConfig()
    assert (config.text_config.model_type, config.text_config.hidden_size) == ("bert", 256)
    assert MeritConfig(text_config={"hidden_size": 64}).text_config.num_hidden_layers == 3


def test_the_ecg_configuration_loads_from_the_folder_of_a_dual_encoder(tmp_path):
    tiny_config(ecg={"pooled_layer": 1}).save_pretrained(tmp_path)
    assert MeritEcgConfig.from_pretrained(tmp_path).pooled_layer == 1


def test_two_configurations_share_no_state():
    MeritConfig().ecg_config.lead_names.append("V7")
    assert len(MeritConfig().ecg_config.lead_names) == len(MeritEcgConfig().lead_names) == 12


@pytest.mark.parametrize("config_class", [MeritConfig, MeritEcgConfig])
def test_every_field_is_documented(config_class):
    documentation = inspect.getdoc(config_class)
    inherited = {"initializer_range"}
    for name in set(config_class.__annotations__) - inherited:
        assert re.search(rf"\b{name}\b", documentation), name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokenization": "words"}, "tokenization must be one of"),
        ({"hidden_size": 30, "num_attention_heads": 4}, r"hidden_size \(30\) must be a multiple of"),
        ({"hidden_size": "64"}, "'hidden_size' expected int"),
        ({"num_attention_heads": 0}, "num_attention_heads must be positive, not 0"),
        ({"intermediate_size": -1}, "intermediate_size must be positive"),
        ({"num_hidden_layers": 2, "pooled_layer": 3}, "pooled_layer 3 does not exist"),
        ({"num_hidden_layers": 2, "pooled_layer": -4}, "pooled_layer -4 does not exist"),
        ({"patch_length": 0}, "patch_length must be positive, not 0"),
        ({"sampling_rate": 0}, "sampling_rate must be positive, not 0"),
        ({"max_duration": 0.0}, "max_duration must be positive"),
        ({"lead_names": []}, "lead_names must name each lead once"),
        ({"lead_names": ["I", "II", "I"]}, "lead_names must name each lead once"),
        ({"lead_names": [1, 2]}, "lead_names"),
        ({"pooling": "sum"}, "pooling must be one of"),
        ({"stem_channels": -1}, "stem_channels and stem_num_layers must not be negative"),
        ({"stem_stride": 0}, "stem_stride must be positive"),
        ({"stem_channels": 8, "patch_length": 24}, r"stem_stride \(5\) must divide patch_length \(24\)"),
    ],
)
def test_an_invalid_ecg_configuration_is_refused(fields, message):
    with pytest.raises((StrictDataclassError, ValueError), match=message):
        MeritEcgConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ecg_config": {"tokenization": "words"}}, "tokenization must be one of"),
        ({"text_config": {"model_type": "nonsense"}}, "transformers knows no model type 'nonsense'"),
        ({"text_config": "bert"}, "text_config"),
        ({"alignment_weight": -1.0}, "must not be negative"),
        ({"alignment_weight": 0, "reconstruction_weight": 0}, "nothing would be trained"),
        ({"reconstruction_depth": 0}, r"reconstruction_depth must be above 0 and below num_hidden_layers \(\d\)"),
        ({"reconstruction_depth": 12}, "or None for all, not 12"),
        ({"time_mask_ratio": 1.0}, r"time_mask_ratio must be in \[0, 1\)"),
        ({"lead_mask_ratio": -0.1}, r"lead_mask_ratio must be in \[0, 1\)"),
        ({"time_mask_ratio": 0, "lead_mask_ratio": 0}, "nothing is hidden"),
        ({"projection_dim": 0}, "projection_dim must be positive"),
        ({"decoder_hidden_size": 30}, r"hidden_size \(30\) must be a multiple of"),
        ({"decoder_num_attention_heads": 0}, "decoder_num_attention_heads must be positive"),
    ],
)
def test_an_invalid_configuration_is_refused(fields, message):
    with pytest.raises((StrictDataclassError, ValueError, TypeError), match=message):
        MeritConfig(**fields)


def test_masks_may_be_off_when_nothing_is_reconstructed():
    assert MeritConfig(reconstruction_weight=0, time_mask_ratio=0, lead_mask_ratio=0).reconstruction_weight == 0


def test_integers_are_accepted_for_weights_and_ratios():
    config = MeritConfig(alignment_weight=1, reconstruction_weight=2, time_mask_ratio=0, logit_scale_init_value=2)
    assert config.reconstruction_weight == 2
