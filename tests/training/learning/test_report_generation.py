"""Report generation: model, processor, training, pipeline, exported folder and commands."""

import json
import shutil
from copy import deepcopy

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoModelForMultimodalLM,
    AutoProcessor,
    TextStreamer,
    pipeline,
)

from merit import MeritForReportGeneration, MeritReportConfig, MeritReportProcessor
from merit.hub_cards.card import check_card
from merit.hub_cards.export import export
from merit.hub_cards.publish import PublishError, check
from merit.processing.pipelines_merit import CANNOT_TELL, sentences
from merit.processing.processing_merit import INSTRUCTIONS
from merit.training.learning import report_generation
from merit.training.learning.report_generation import ReportCollator, ReportRows, build, reported, train_reports
from merit.training.text.tokenizer import train_causal_tokenizer
from merit.training.trainer.recipe import ReportRecipe, load_recipe

TINY = [
    *(f"model.text_config.{field}" for field in ("hidden_size=32", "num_hidden_layers=1", "intermediate_size=48")),
    *("model.text_config.num_attention_heads=2", "model.num_ecg_tokens=4", "tokenizer.vocab_size=400"),
    *("training.bf16=false", "training.num_train_epochs=2", "training.per_device_train_batch_size=32"),
    *("training.disable_tqdm=true", "training.warmup_steps=2"),
]


@pytest.fixture
def model(untrained_reporter):
    return untrained_reporter[0]


@pytest.fixture
def processor(untrained_reporter):
    return untrained_reporter[1]


@pytest.fixture
def rows(dataset):
    return [dataset["test"][i] for i in range(3)]


@pytest.fixture(scope="session")
def merit(untrained):
    """Makes a new dual encoder and processor for each training."""
    from merit import MeritModel

    def new():
        model = MeritModel(untrained[0].config)
        weights = untrained[0].state_dict()
        model.load_state_dict({name: value for name, value in weights.items() if "decoder." not in name})
        return model.eval(), deepcopy(untrained[1])

    return new


@pytest.fixture(scope="module")
def trained(merit, dataset, tmp_path_factory):
    """The model, processor and folder of a complete training."""
    output = tmp_path_factory.mktemp("trained")
    return *train_reports(*merit(), dataset, load_recipe("small", TINY, ReportRecipe), output), output


class TestModel:
    def test_greedy_generation_takes_the_most_likely_token_of_each_forward_pass(self, model, processor, rows):
        batch = processor(ecg=rows[:1])
        generated = model.generate(**batch, max_new_tokens=5, eos_token_id=None)
        tokens = batch["input_ids"]
        for _ in range(5):
            logits = model(**{**batch, "input_ids": tokens, "attention_mask": torch.ones_like(tokens)}).logits
            tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], dim=1)
        assert generated.tolist() == tokens.tolist()

    @pytest.mark.parametrize("beams", [1, 3])
    def test_generation_does_not_depend_on_the_cache(self, model, processor, rows, beams):
        batch = processor(ecg=rows)
        options = {"max_new_tokens": 6, "num_beams": beams}
        cached, anew = (model.generate(**batch, use_cache=use, **options) for use in (True, False))
        assert cached.tolist() == anew.tolist()

    def test_a_batch_with_different_instructions_gives_the_answers_of_each_alone(self, model, processor, rows):
        asked = ["Report.", "Is this, by any chance, atrial fibrillation?", INSTRUCTIONS["de"]]
        together = processor(ecg=rows, text=asked)
        width = together["input_ids"].shape[1]
        answered = processor.read(model.generate(**together, max_new_tokens=8)[:, width:])
        for row, text, expected in zip(rows, asked, answered):
            alone = processor(ecg=row, text=text)
            assert processor.read(model.generate(**alone, max_new_tokens=8)[:, alone["input_ids"].shape[1] :]) == [
                expected
            ]

    def test_the_logits_depend_on_the_recording_but_not_on_absent_leads(self, model, processor, rows):
        batch = processor(ecg=rows[:2])
        logits = model(**batch).logits
        assert (logits[0] - logits[1]).abs().max() > 1e-3
        batch["lead_mask"][:, 4:] = False
        fewer = model(**batch).logits
        batch["ecg_values"][:, 4:] = 99.0
        torch.testing.assert_close(model(**batch).logits, fewer)
        assert (fewer - logits).abs().max() > 1e-3

    def test_a_precomputed_prefix_gives_the_same_output_as_the_recording(self, model, processor, rows):
        batch = processor(ecg=rows)
        prefix = model.encode(batch["ecg_values"], batch["lead_mask"], batch["sample_mask"]).last_hidden_state
        text = {name: batch[name] for name in ("input_ids", "attention_mask")}
        torch.testing.assert_close(model(**text, ecg_prefix=prefix).logits, model(**batch).logits)
        again = model.generate(**text, ecg_prefix=prefix, max_new_tokens=4)
        assert again.tolist() == model.generate(**batch, max_new_tokens=4).tolist()

    def test_a_recording_is_encoded_once(self, model, processor, rows, monkeypatch):
        calls, encode = [], model.encode
        monkeypatch.setattr(model, "encode", lambda *args: calls.append(1) or encode(*args))
        model.generate(**processor(ecg=rows), max_new_tokens=4, num_beams=2)
        assert len(calls) == 1

    def test_the_number_of_ecg_tokens_must_be_that_of_the_model(self, model, processor, rows):
        batch = processor(ecg=rows)
        batch["input_ids"][0, 0] = 5
        with pytest.raises(ValueError, match=r"has \[3, 4\] places for the ECG where the model has 4 tokens"):
            model(**batch)

    def test_the_loss_covers_the_report_only(self, model, processor, rows):
        batch = processor(ecg=rows, report=[row["report_en"] for row in rows])
        output = model(**batch)
        losses = torch.nn.functional.cross_entropy(
            output.logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100
        )
        torch.testing.assert_close(output.loss, losses)

    def test_generation_streams(self, model, processor, rows, capsys):
        batch = processor(ecg=rows[0])
        generated = model.generate(
            **batch, max_new_tokens=6, streamer=TextStreamer(processor.tokenizer, skip_prompt=True)
        )
        answered = processor.tokenizer.decode(generated[0, batch["input_ids"].shape[1] :])
        assert capsys.readouterr().out.strip() == answered.strip() != ""

    def test_the_encoder_is_frozen_and_everything_else_is_trained(self, model):
        learning = {name.partition(".")[0] for name, weight in model.named_parameters() if weight.requires_grad}
        assert learning == {"connector", "language_model"}
        config = MeritReportConfig(**{**model.config.to_dict(), "freeze_encoder": False})
        unfrozen = MeritForReportGeneration(config)
        learning = {name for name, weight in unfrozen.named_parameters() if weight.requires_grad}
        assert any(name.startswith("merit.ecg_model.") for name in learning)
        assert not any(name.startswith(("merit.text", "merit.ecg_projection")) for name in learning)

    def test_a_model_of_loaded_parts_keeps_their_weights(self, merit, model):
        encoder, _ = merit()
        language_model = AutoModelForCausalLM.from_config(model.config.text_config)
        before = {name: value.clone() for name, value in language_model.state_dict().items()}
        joined = MeritForReportGeneration(model.config, encoder, language_model)
        assert joined.merit is encoder
        assert all(torch.equal(joined.language_model.state_dict()[name], value) for name, value in before.items())
        expected = merit()[0].state_dict()
        assert all(torch.equal(joined.merit.state_dict()[name], value) for name, value in expected.items())

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"num_ecg_tokens": 0}, "num_ecg_tokens must be positive"),
            ({"ecg_token_id": 9999}, "ecg_token_id 9999 is none of the 2048 tokens"),
            ({"connector_num_attention_heads": 5}, "must be a multiple of connector_num_attention_heads"),
            ({"text_config": {"model_type": "parrot"}}, "knows no model type 'parrot'"),
            ({"layout_version": 99}, "reads 1: install a newer version"),
        ],
    )
    def test_an_invalid_configuration_is_refused(self, fields, message):
        with pytest.raises((ValueError, StrictDataclassError), match=message):
            MeritReportConfig(**fields)


class TestAbstention:
    @pytest.fixture
    def fitted(self, untrained_reporter, reporter_folder):
        """A model whose typical features are normal with mean 3 and deviation 1, except for one with deviation 2."""
        model, processor = MeritForReportGeneration.from_pretrained(reporter_folder), untrained_reporter[1]
        whitening = torch.eye(len(model.typical_mean))
        whitening[0, 0] = 0.5
        model.fit_typical(torch.full_like(model.typical_mean, 3.0), whitening)
        model.config.abstention_threshold = 2.0
        return model.eval(), processor

    def test_atypicality_is_a_distance_in_standard_deviations(self, fitted):
        model, _ = fitted
        size = len(model.typical_mean)
        features = torch.full((3, size), 3.0)
        features[1] += 1.0
        features[1, 0] += 1.0
        features[2] += 5.0
        far = np.sqrt((25 * (size - 1) + 6.25) / size)
        assert model.atypicality(features).tolist() == pytest.approx([0.0, 1.0, far])
        assert model.abstains(features).tolist() == [False, False, True]
        model.config.abstention_threshold = None
        assert not model.abstains(features).any()

    def test_the_pipeline_abstains_unless_abstain_is_false(self, fitted, rows):
        model, processor = fitted
        report = pipeline("ecg-report-generation", model=model, processor=processor, device="cpu")
        limit = report(rows[0])["atypicality"]
        model.config.abstention_threshold = limit - 0.01
        answer = report(rows[0])
        refusal = CANNOT_TELL.format("this recording is unlike those that the model has learned from")
        assert (answer["report"], answer["statements"], answer["abstained"]) == (refusal, [], True)
        anyway = report(rows[0], abstain=False)
        assert anyway["report"] != refusal
        assert not anyway["abstained"]
        model.config.abstention_threshold = limit + 0.01
        assert report(rows[0])["report"] == anyway["report"]


class TestProcessor:
    def test_a_row_is_ecg_tokens_instruction_report_and_end_token(self, processor, rows):
        batch = processor(ecg=rows[:2], text=["Report.", INSTRUCTIONS["de"]], report=["sinus rhythm.", "ekg"])
        end = processor.tokenizer.eos_token
        for row, (asked, answered) in enumerate([("report.", "sinus rhythm."), (INSTRUCTIONS["de"].lower(), "ekg")]):
            tokens = batch["input_ids"][row][batch["attention_mask"][row].bool()]
            assert processor.tokenizer.decode(tokens) == f"{'[ECG]' * 4} {asked}\n{answered}{end}"
            learned = batch["labels"][row][batch["labels"][row] != -100]
            assert processor.tokenizer.decode(learned) == f"{answered}{end}"

    def test_long_reports_are_truncated_and_keep_their_prompt(self, processor, rows):
        prompt = processor(ecg=rows[0])["input_ids"].shape[1]
        batch = processor(ecg=rows[:1], report=["sinus rhythm. " * 50], max_length=prompt + 3)
        assert batch["input_ids"].shape[1] == prompt + 3
        assert (batch["labels"] != -100).sum() == 3

    def test_the_number_of_texts_must_be_that_of_the_recordings(self, processor, rows):
        with pytest.raises(ValueError, match="There are 1 texts for 2 recordings"):
            processor(ecg=rows[:2], text=["Report."])
        with pytest.raises(ValueError, match="There are 1 reports for 2 instructions"):
            processor(ecg=rows[:2], report=["ekg"])

    def test_only_torch_tensors_are_returned(self, processor, rows):
        with pytest.raises(ValueError, match="not as return_tensors='np'"):
            processor(ecg=rows[0], return_tensors="np")

    def test_a_tokenizer_without_end_token_or_ecg_token_is_refused(self, processor, untrained):
        feature_extractor, wordpiece = untrained[1].feature_extractor, untrained[1].tokenizer
        with pytest.raises(ValueError, match="no end-of-sequence token"):
            MeritReportProcessor(feature_extractor, wordpiece, wordpiece)
        with pytest.raises(ValueError, match=r"vocabulary of the tokenizer lacks \[HEART\]"):
            MeritReportProcessor(feature_extractor, processor.tokenizer, wordpiece, ecg_token="[HEART]")


class TestTokenizer:
    TEXTS = ["sinusrhythmus. t-welle abgeflacht (v5-v6), qrs 0.12 s", "sinus rhythm. äußerst"] * 3

    def test_decoding_restores_any_text(self):
        tokenizer = train_causal_tokenizer(self.TEXTS)
        for text in (*self.TEXTS, "überleitung ≥ 200 ms … 心電図", "  two  spaces\n"):
            assert tokenizer.decode(tokenizer(text)["input_ids"]) == text

    @pytest.mark.slow
    def test_the_same_texts_give_the_same_tokenizer_in_every_process(self, fresh_python):
        code = (
            "import json, sys\nfrom merit.training.text.tokenizer import train_causal_tokenizer\n"
            "print(json.dumps(train_causal_tokenizer(json.loads(sys.argv[1])).get_vocab(), sort_keys=True))"
        )
        own = json.dumps(train_causal_tokenizer(self.TEXTS).get_vocab(), sort_keys=True)
        for seed in ("1", "2"):
            assert fresh_python(code, json.dumps(self.TEXTS), PYTHONHASHSEED=seed).strip() == own

    def test_a_tokenizer_needs_text(self):
        with pytest.raises(ValueError, match="nothing to train a tokenizer on"):
            train_causal_tokenizer(["", " "])


class TestRows:
    def test_there_is_a_row_for_each_report_and_language(self, dataset):
        split = dataset["train"]
        rows = ReportRows(split, ["en", "de"])
        german = [i for i, language in enumerate(split["language"]) if language == "de" and split["report"][i]]
        english = [i for i, report in enumerate(split["report_en"]) if report]
        assert len(german) > 0
        assert len(rows) == len(english) + len(german)
        assert list(reported(split, "de")) == german
        first, last = rows[0], rows[len(rows) - 1]
        assert (first["text"], first["answer"]) == (INSTRUCTIONS["en"], split["report_en"][english[0]])
        assert (last["text"], last["answer"]) == (INSTRUCTIONS["de"], split["report"][german[-1]])
        assert last["record_id"] == split["record_id"][german[-1]]
        assert len(rows.texts()) == len(rows)


class TestTraining:
    def test_training_lowers_the_loss_and_does_not_change_the_encoder(self, trained, merit):
        model, _, output = trained
        log = json.loads((output / "training.json").read_text())["training"]["log"]
        losses = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
        assert len(losses) == 2
        assert losses[1] < losses[0]
        expected = merit()[0].state_dict()
        assert all(torch.equal(model.merit.state_dict()[name], value) for name, value in expected.items())

    def test_training_fits_the_abstention_threshold(self, trained, dataset):
        model, processor, _ = trained
        validation = dataset["validation"]
        batch = processor(ecg=[validation[i] for i in range(len(validation))])
        inputs = {name: batch[name] for name in ("ecg_values", "lead_mask", "sample_mask")}
        features = model.merit.ecg_model(**inputs).pooler_output
        atypicality = model.atypicality(features)
        share = (atypicality > model.config.abstention_threshold).float().mean()
        assert 0 < share <= 2 / len(atypicality)
        noise = model.merit.ecg_model(30 * torch.randn_like(batch["ecg_values"])).pooler_output
        assert model.atypicality(noise).min() > atypicality.median()

    @pytest.mark.slow
    def test_the_weights_do_not_depend_on_labels(self, trained, merit, dataset, tmp_path):
        labels = [name for name in dataset["train"].column_names if name == "codes" or name.startswith("labels_")]
        model, _ = train_reports(
            *merit(), dataset.remove_columns(labels), load_recipe("small", TINY, ReportRecipe), tmp_path
        )
        assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), trained[0].state_dict().values()))

    @pytest.mark.slow
    def test_an_interrupted_training_resumes_to_the_same_weights(self, trained, merit, dataset, tmp_path, monkeypatch):
        recipe = load_recipe("small", TINY, ReportRecipe)
        step = report_generation.EcgTrainer.training_step

        def interrupted_step(self, *args, **kwargs):
            if self.state.global_step == self.state.max_steps - 1:
                raise KeyboardInterrupt
            return step(self, *args, **kwargs)

        with monkeypatch.context() as patched:
            patched.setattr(report_generation.EcgTrainer, "training_step", interrupted_step)
            with pytest.raises(KeyboardInterrupt):
                train_reports(*merit(), dataset, recipe, tmp_path)
        with pytest.raises(ValueError, match="holds checkpoints of an earlier run"):
            train_reports(*merit(), dataset, recipe, tmp_path)
        model, _ = train_reports(*merit(), dataset, recipe, tmp_path, resume=True)
        assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), trained[0].state_dict().values()))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (["languages=[sv]"], "languages has sv; there are en, de"),
            (["model.num_ecg_token=3"], "num_ecg_token, which MeritReportConfig does not have"),
            (["training.learning_rat=1"], "learning_rat, which TrainingArguments does not have"),
            (["crop_seconds=20"], "crop_seconds is 20; it must be from 1 to 10, or null"),
        ],
    )
    def test_an_invalid_recipe_is_refused(self, merit, dataset, tmp_path, settings, message):
        with pytest.raises(ValueError, match=message):
            train_reports(*merit(), dataset, load_recipe("small", [*TINY, *settings], ReportRecipe), tmp_path)


ARCHITECTURES = {
    "llama": {"num_key_value_heads": 1},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 16},
    "gemma": {"num_key_value_heads": 1, "head_dim": 16},
}


class TestLargeLanguageModels:
    """The LoRA recipe on tiny untrained language models of several architectures."""

    @pytest.fixture(params=ARCHITECTURES)
    def language_model(self, request, dataset, tmp_path):
        """A saved language model whose tokenizer has no ECG token."""
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
        tokenizer = train_causal_tokenizer(ReportRows(dataset["train"], ["en"]).texts(), 400, ecg_token="[UNUSED]")
        config = CONFIG_MAPPING[request.param](
            **{**sizes, **ARCHITECTURES[request.param]}, vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1
        )
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "language-model")
        tokenizer.save_pretrained(tmp_path / "language-model")
        return tmp_path / "language-model"

    @pytest.mark.slow
    def test_lora_adapters_are_trained_merged_and_loaded(self, language_model, merit, dataset, rows, tmp_path):
        small = [setting for setting in TINY if not setting.startswith(("model.text_config", "tokenizer"))]
        settings = [*small, f"language_model={language_model}", "training.gradient_checkpointing=false"]
        recipe = load_recipe("llama-lora", settings, ReportRecipe)
        model, processor = train_reports(*merit(), dataset, recipe, tmp_path / "run")
        # Of the language model only the attention projections have changed.
        before, after = load_file(language_model / "model.safetensors"), model.language_model.state_dict()
        known = len(before["model.embed_tokens.weight"])
        changed = {name for name, value in before.items() if not torch.equal(after[name][: len(value)], value)}
        assert {name.split(".")[-2] for name in changed} == {"q_proj", "k_proj", "v_proj", "o_proj"}
        assert len(after["model.embed_tokens.weight"]) == known + 1
        folder = export(model, processor, tmp_path / "exported")
        loaded, again = AutoModelForMultimodalLM.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
        batch = processor(ecg=rows)
        assert torch.equal(batch["input_ids"], again(ecg=rows)["input_ids"])
        with torch.no_grad():
            torch.testing.assert_close(loaded(**batch).logits, model(**batch).logits, atol=1e-4, rtol=1e-4)


class TestPipeline:
    @pytest.fixture
    def report(self, reporter_folder):
        return pipeline("ecg-report-generation", model=str(reporter_folder))

    def test_one_recording_gives_one_report_and_several_give_a_list(self, report, rows):
        answers = report(rows, batch_size=2)
        assert [report(row)["report"] for row in rows] == [answer["report"] for answer in answers]
        assert set(answers[0]) == {"report", "statements", "atypicality", "abstained", "quality"}
        assert len({answer["report"] for answer in answers}) > 1

    def test_the_pipeline_returns_what_the_model_generates(self, report, model, processor, rows):
        batch = processor(ecg=rows, text=INSTRUCTIONS["de"])
        options = {"max_new_tokens": 5, "num_beams": 2}
        answered = processor.read(model.generate(**batch, **options)[:, batch["input_ids"].shape[1] :])
        answers = report(rows, language="de", max_new_tokens=5, generate_kwargs={"num_beams": 2}, batch_size=3)
        assert [answer["report"] for answer in answers] == answered
        asked = report(rows, INSTRUCTIONS["de"], max_new_tokens=5, generate_kwargs={"num_beams": 2}, batch_size=3)
        assert asked == answers

    def test_the_support_of_a_statement_is_its_zero_shot_score(self, report, model_folder, rows, monkeypatch):
        answered = "sinus rhythm. left bundle branch block."
        monkeypatch.setattr(report.processor, "read", lambda generated: [answered] * len(generated))
        statements = report(rows[0])["statements"]
        assert [one["text"] for one in statements] == sentences(answered)
        classify = pipeline("zero-shot-ecg-classification", model=str(model_folder))
        labels = {sentence: [sentence] for sentence in sentences(answered)}
        expected = {a["label"]: a["score"] for a in classify(rows[0], candidate_labels=labels, multi_label=True)}
        assert {one["text"]: one["support"] for one in statements} == pytest.approx(expected, abs=1e-5)

    def test_a_long_recording_gets_one_report(self, report):
        signal = np.random.default_rng(0).normal(size=(2, 2500))
        answer = report(signal, sampling_rate=100, leads=["I", "II"], units="mV", max_new_tokens=3)
        assert isinstance(answer["report"], str)

    def test_an_unknown_language_is_refused(self, report, rows):
        with pytest.raises(ValueError, match="language='sv' is not one of en, de"):
            report(rows[0], language="sv")
        with pytest.raises(TypeError, match="has no argument beams"):
            report(rows[0], beams=2)


class TestFolder:
    """The exported folder, loaded in a fresh process with and without this package."""

    CODE = """
import json, sys
if sys.argv[1] == "without":
    sys.modules["merit"] = None
else:
    import merit
from transformers import pipeline
report = pipeline("ecg-report-generation", model=sys.argv[2], trust_remote_code=sys.argv[1] == "without")
print(json.dumps(report(sys.argv[3], generate_kwargs={"num_beams": 2})))
"""

    @pytest.fixture(scope="class")
    def record(self, simulated):
        return simulated / "records100" / "00000" / "00002_lr"

    @pytest.mark.slow
    @pytest.mark.parametrize("package", ["with", "without"])
    def test_a_fresh_process_gives_the_same_report(self, package, reporter_folder, record, fresh_python):
        report = pipeline("ecg-report-generation", model=str(reporter_folder))
        expected = report(str(record), generate_kwargs={"num_beams": 2})
        answer = json.loads(fresh_python(self.CODE, package, reporter_folder, record).splitlines()[-1])
        assert answer["report"] == expected["report"] != ""
        assert answer["atypicality"] == pytest.approx(expected["atypicality"], abs=1e-4)

    @pytest.mark.slow
    def test_the_folder_can_be_published_unless_its_example_was_changed(
        self, reporter_folder, untrained_reporter, record, tmp_path
    ):
        folder = export(*untrained_reporter, tmp_path / "complete", example=record)
        check(folder)
        check_card(folder)
        text = (folder / "README.md").read_text()
        assert 'pipeline("ecg-report-generation"' in text
        assert "not a medical device" in text
        stored = json.loads((folder / "example" / "answer.json").read_text())
        stored["answer"]["report"] += " normal ecg."
        (folder / "example" / "answer.json").write_text(json.dumps(stored))
        with pytest.raises(PublishError, match="weights or code are not those of the export"):
            check(folder)

    @pytest.mark.slow
    def test_the_commands_train_report_and_refuse(
        self, model_folder, reporter_folder, simulated, record, run_merit, tmp_path
    ):
        settings = [part for setting in TINY for part in ("--set", setting)]
        output = tmp_path / "run"
        printed = run_merit("train-reports", model_folder, "--data", simulated, "--output", output, *settings)
        assert f"Model in {output / 'model'}" in printed
        check_card(output / "model")
        assert (output / "model" / "results" / "training.json").is_file()
        printed = run_merit("report", record, "--model", output / "model", "--language", "de")
        assert "not a medical device" in printed
        answer = json.loads(run_merit("report", record, "--model", output / "model", "--json"))
        assert set(answer[str(record)]) == {"report", "statements", "atypicality", "abstained", "quality"}
        refused = run_merit(
            *("evaluate", reporter_folder, "--data", simulated, "--output", tmp_path / "r.json", "--tasks", "super"),
            status=1,
        )
        assert "is a report model, which is evaluated by its reports: leave out --tasks." in refused
        shutil.rmtree(output)


def test_the_model_takes_a_collated_batch(model, processor, dataset):
    rows = ReportRows(dataset["train"], ["en", "de"])
    batch = ReportCollator(processor, max_length=64)([rows[0], rows[len(rows) - 1]])
    assert model(**batch).loss.isfinite()


def test_a_cropped_batch_has_contiguous_parts_of_the_recordings(processor, dataset):
    rows = [ReportRows(dataset["train"], ["en"])[i] for i in range(8)]
    whole = ReportCollator(processor)(rows)["ecg_values"]
    cropped = ReportCollator(processor, crop_seconds=7.5)(rows)["ecg_values"]
    assert cropped.shape[-1] == 750
    starts = [
        next(s for s in range(251) if torch.equal(one[:, s : s + 750], part)) for one, part in zip(whole, cropped)
    ]
    assert len(set(starts)) > 3


def test_build_reuses_the_processor_of_the_encoder(merit, dataset):
    encoder, own = merit()
    _, processor = build(encoder, own, ReportRecipe(), ["normal ecg."] * 3)
    assert processor.merit_tokenizer is own.tokenizer
    assert processor.feature_extractor is own.feature_extractor
