"""The pipelines, with a tiny model of random weights: inputs, outputs, and equal results for equal recordings."""

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import wfdb
from datasets import Dataset
from transformers import AutoModel, AutoProcessor, pipeline

from merit import MeritForEcgClassification
from merit.processing.feature_extraction_merit import SETTINGS, MeritFeatureExtractor
from merit.processing.pipelines_merit import ZeroShotEcgClassificationPipeline
from merit.processing.recordings_merit import EcgError, read_recording

LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
ARRAY = {"sampling_rate": 100, "leads": LEADS, "units": "mV"}
LABELS = ["normal ECG", "atrial fibrillation", "LBBB", "Osborn waves"]
SECONDS = {"short": 4, "window": 10, "long": 25, "longest": 60}


@pytest.fixture(scope="module")
def classify(model_folder):
    return pipeline("zero-shot-ecg-classification", model=str(model_folder))


@pytest.fixture(scope="module")
def paths(simulated):
    return [str(path.with_suffix("")) for path in sorted(simulated.glob("records100/*/*.hea"))[:5]]


def noise(seconds, seed=0):
    """A random array at 100 Hz whose windows all differ."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(12, 100 * seconds)), axis=1) / 20 + rng.normal(size=(12, 1))


def scores(answer):
    return {entry["label"]: entry["score"] for entry in answer}


def assert_same(one, other, tolerance=1e-5):
    """Compare two answers or two lists of answers."""
    if isinstance(one[0], list):
        assert len(one) == len(other)
        for left, right in zip(one, other):
            assert_same(left, right, tolerance)
    else:
        assert scores(one) == pytest.approx(scores(other), abs=tolerance)


@pytest.fixture(scope="module")
def expected(classify, paths):
    """The answers for the paths, computed one by one."""
    return [classify(path, candidate_labels=LABELS) for path in paths]


class TestInputs:
    def test_one_path_gives_one_answer(self, expected):
        (answer, *others) = expected
        assert [set(entry) for entry in answer] == [{"label", "score", "basis"}] * len(LABELS)
        assert {entry["label"] for entry in answer} == set(LABELS)
        assert all(isinstance(entry["score"], float) for entry in answer)
        assert all(scores(answer) != scores(other) for other in others)

    @pytest.mark.parametrize("form", [list, tuple])
    def test_many_paths_give_a_list_of_answers(self, classify, paths, expected, form):
        answers = classify(form(paths), candidate_labels=LABELS)
        assert isinstance(answers, list)
        assert_same(answers, expected)

    def test_a_list_of_one_gives_a_list_of_one(self, classify, paths, expected):
        assert_same(classify(paths[:1], candidate_labels=LABELS), expected[:1])

    def test_no_recordings_give_no_answers(self, classify):
        assert classify([], candidate_labels=LABELS) == []

    def test_a_recording_gives_the_same_answer_as_its_path(self, classify, paths, expected):
        assert_same(classify(read_recording(paths[0]), candidate_labels=LABELS), expected[0])

    def test_arrays_and_tensors_are_described_by_arguments(self, classify, paths, expected):
        recordings = [read_recording(path).physical() for path in paths]
        assert_same(classify(recordings[0], candidate_labels=LABELS, **ARRAY), expected[0])
        assert_same(classify(torch.tensor(recordings[0]), candidate_labels=LABELS, **ARRAY), expected[0])
        assert_same(classify(recordings, candidate_labels=LABELS, **ARRAY), expected)
        assert_same(classify(np.stack(recordings), candidate_labels=LABELS, **ARRAY), expected)
        assert_same(classify(torch.tensor(np.stack(recordings)), candidate_labels=LABELS, **ARRAY), expected)

    def test_units_and_sampling_rate_of_an_array_are_used(self, classify, paths, expected):
        microvolts = 1000 * read_recording(paths[0]).physical()
        answer = classify(microvolts, candidate_labels=LABELS, **{**ARRAY, "units": "uV"})
        assert_same(answer, expected[0])
        faster = classify(microvolts, candidate_labels=LABELS, **{**ARRAY, "units": "uV", "sampling_rate": 200})
        assert scores(faster) != pytest.approx(scores(answer), abs=1e-5)

    def test_the_order_of_leads_makes_no_difference(self, classify, paths, expected):
        signal = read_recording(paths[0]).physical()[::-1].copy()
        assert_same(classify(signal, candidate_labels=LABELS, **{**ARRAY, "leads": LEADS[::-1]}), expected[0])

    def test_a_generator_gives_an_iterator_and_is_read_as_needed(self, classify, paths, expected):
        read = []

        def generator():
            for path in paths:
                read.append(path)
                yield path

        answers = classify(generator(), candidate_labels=LABELS, batch_size=2)
        assert len(read) <= 1
        first = next(answers)
        assert len(read) == 2
        assert_same([first, *answers], expected)

    def test_workers_that_read_nothing_are_told(self, classify, paths, expected):
        with pytest.warns(UserWarning, match=r"num_workers=2 has no effect.*merit predict --readers"):
            assert_same(classify(paths[:2], candidate_labels=LABELS, num_workers=2), expected[:2])

    def test_rows_and_data_sets_are_accepted(self, classify, dataset, simulated):
        rows = dataset["train"].select(range(3))
        expected = [classify(str(simulated / row["record_id"]), candidate_labels=LABELS) for row in rows]
        assert_same(classify(rows[0], candidate_labels=LABELS), expected[0])
        assert_same(classify([rows[0], rows[1]], candidate_labels=LABELS), expected[:2])
        answers = classify(rows, candidate_labels=LABELS, batch_size=2)
        assert not isinstance(answers, list)
        assert_same(list(answers), expected)
        assert_same(list(classify(rows.with_format("numpy"), candidate_labels=LABELS)), expected)
        assert_same(list(classify(rows.to_iterable_dataset(), candidate_labels=LABELS)), expected)

    def test_a_column_of_paths_is_streamed(self, classify, paths, expected):
        column = Dataset.from_dict({"path": paths})["path"]
        answers = classify(column, candidate_labels=LABELS)
        assert not isinstance(answers, list)
        assert_same(list(answers), expected)

    @pytest.mark.parametrize("batch_size", [2, 5, 64])
    def test_batch_size_does_not_change_the_answers(self, classify, paths, expected, batch_size):
        assert_same(classify(paths, candidate_labels=LABELS, batch_size=batch_size), expected)

    def test_a_batch_can_mix_lengths_and_leads(self, classify, paths):
        signal = read_recording(paths[0]).physical()
        rows = [
            {
                "signal": signal[leads, :samples],
                "sampling_rate": 100,
                "lead_names": np.array(LEADS)[leads],
                "units": "mV",
            }
            for leads, samples in (([0, 1], 1000), ([6], 300), (list(range(12)), 650))
        ]
        rows.append({"signal": noise(35), "sampling_rate": 100, "lead_names": LEADS, "units": "mV"})
        one_by_one = [classify(row, candidate_labels=LABELS) for row in rows]
        assert_same(classify(rows, candidate_labels=LABELS, batch_size=4), one_by_one)
        assert_same(classify(rows[::-1], candidate_labels=LABELS, batch_size=4), one_by_one[::-1])

    def test_recordings_in_containers_of_other_libraries_are_accepted(self, classify, paths, expected):
        ecg = read_recording(paths[0]).physical()
        (table, fields), options = wfdb.rdsamp(paths[0]), {"sampling_rate": 100, "units": "mV"}
        for one in (wfdb.rdrecord(paths[0]), (table, fields), Path(paths[0])):
            assert_same(classify(one, LABELS), expected[0])
            assert_same(classify([one], LABELS), expected[:1])
        frame = pd.DataFrame(ecg.T, columns=LEADS)
        assert_same(classify(frame, LABELS, **options), expected[0])
        assert_same(classify(ecg.tolist(), LABELS, leads=LEADS, **options), expected[0])
        assert_same(classify([ecg.tolist()] * 2, LABELS, leads=LEADS, **options), expected[:1] * 2)
        assert_same(classify(np.array(paths), LABELS), expected)
        assert_same(list(classify(pd.Series(paths), LABELS)), expected)


class TestErrors:
    def test_a_missing_file_is_named(self, classify, paths):
        with pytest.raises((EcgError, OSError), match="no_such_record"):
            classify([paths[0], "no_such_record"], candidate_labels=LABELS)

    @pytest.mark.parametrize("batch_size", [1, 2])
    def test_the_position_of_a_bad_array_is_named(self, classify, batch_size):
        recordings = [noise(10), noise(10), noise(10), np.zeros((12, 1000))]
        with pytest.raises(EcgError, match=r"^recording 3: no lead can be used"):
            classify(recordings, candidate_labels=LABELS, batch_size=batch_size, **ARRAY)

    def test_labels_must_be_given(self, classify, paths):
        with pytest.raises(ValueError, match="Pass candidate_labels"):
            classify(paths[0])

    @pytest.mark.parametrize(
        ("labels", "message"),
        [([], "at least one"), ("", "empty"), (["LBBB", "LBBB"], "more than once"), ("LBBB,,AFIB", "empty")],
    )
    def test_empty_and_duplicate_labels_are_refused(self, classify, paths, labels, message):
        with pytest.raises(ValueError, match=message):
            classify(paths[0], candidate_labels=labels)

    def test_a_template_without_a_place_for_the_label_is_refused(self, classify, paths):
        with pytest.raises(ValueError, match=r"no \{\} where the label goes"):
            classify(paths[0], candidate_labels=LABELS, hypothesis_template="an ECG")

    def test_unknown_arguments_are_refused(self, classify, paths):
        with pytest.raises(TypeError, match="candidate_label"):
            classify(paths[0], candidate_labels=LABELS, candidate_label="LBBB")
        with pytest.raises(ValueError, match="window_pooling"):
            classify(paths[0], candidate_labels=LABELS, window_pooling="median")

    def test_a_processor_is_required(self, classify):
        with pytest.raises(ValueError, match="needs the model's processor"):
            type(classify)(model=classify.model)

    @pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
    def test_a_bad_recording_is_returned_in_its_place(self, classify, paths, expected, batch_size):
        records = [paths[0], "missing", paths[1], noise(1), noise(1), paths[2]]
        options = {"candidate_labels": LABELS, "batch_size": batch_size}
        for form in (records, iter(records)):
            answers = list(classify(form, on_error="return", **options))
            assert_same([answers[i] for i in (0, 2, 5)], expected[:3])
            assert [str(answers[i]).split(": ")[:2] for i in (1, 3, 4)] == [
                ["recording 1", "missing"],
                ["recording 3", "sampling_rate unknown; pass sampling_rate=, for example sampling_rate=500"],
                ["recording 4", "sampling_rate unknown; pass sampling_rate=, for example sampling_rate=500"],
            ]
            assert all(isinstance(answers[i], EcgError) for i in (1, 3, 4))
        with pytest.raises(EcgError, match=r"^recording 1: missing: "):
            classify(records, **options)

    def test_a_single_bad_recording_is_returned_on_request(self, classify):
        assert isinstance(classify("missing", LABELS, on_error="return"), EcgError)
        assert classify([], LABELS, on_error="return") == []
        with pytest.raises(ValueError, match=r'on_error must be "raise" or "return", not \'ignore\''):
            classify("missing", LABELS, on_error="ignore")

    def test_warnings_are_given_once_when_another_recording_of_the_batch_is_bad(self, classify):
        flat = noise(10)
        flat[8] = 0
        with pytest.warns(UserWarning, match="V3 is flat") as caught:
            classify([flat, np.zeros((12, 1000))], LABELS, on_error="return", batch_size=2, **ARRAY)
        assert sum("V3 is flat" in str(one.message) for one in caught) == 1

    @pytest.mark.parametrize("batch_size", [0, -1, 1.5, "2", True])
    def test_a_batch_size_that_is_not_a_positive_number_is_refused(self, classify, paths, batch_size):
        with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
            classify(paths, LABELS, batch_size=batch_size)

    @pytest.mark.parametrize("top_k", [0, -1, 1.5, "2"])
    def test_a_top_k_that_is_not_a_positive_number_is_refused(self, classify, paths, top_k):
        with pytest.raises(ValueError, match="top_k must be a whole number of at least 1"):
            classify(paths, LABELS, top_k=top_k)


class TestSettings:
    @pytest.mark.parametrize(
        ("bad", "settings"),
        [
            (lambda ecg: ecg * 500, {"max_amplitude": 1e5}),
            (lambda ecg: ecg[:, :200], {"min_duration": 1.0}),
            (lambda ecg: np.where(np.arange(len(ecg.T)) == 40, np.nan, ecg), {"max_gap": 0.5}),
        ],
    )
    def test_every_setting_that_an_error_names_can_be_passed(self, classify, bad, settings):
        ecg = bad(noise(10))
        if "max_gap" in settings:
            ecg[:, 40:70] = np.nan
        with pytest.raises(EcgError):
            classify(ecg, LABELS, **ARRAY)
        answer = classify(ecg, LABELS, **ARRAY, **settings)
        assert_same(answer, classify([ecg], LABELS, **ARRAY, **settings)[0])

    def test_unknown_leads_can_be_ignored_and_leads_named(self, classify):
        ecg = noise(10)
        options = {"sampling_rate": 100, "units": "mV"}
        with pytest.raises(EcgError, match="set ignore_unknown_leads=True"):
            classify(ecg, LABELS, leads=[*LEADS[:11], "RESP"], **options)
        found = classify(ecg, LABELS, leads=[*LEADS[:11], "RESP"], ignore_unknown_leads=True, **options)
        assert_same(found, classify(ecg[:11], LABELS, leads=LEADS[:11], **options))

    def test_settings_of_the_constructor_are_defaults_of_every_call(self, classify, model_folder):
        preset = pipeline("zero-shot-ecg-classification", model=str(model_folder), bandpass=None)
        ecg = noise(10)
        assert_same(preset(ecg, LABELS, **ARRAY), classify(ecg, LABELS, bandpass=None, **ARRAY))
        assert scores(preset(ecg, LABELS, **ARRAY)) != pytest.approx(scores(classify(ecg, LABELS, **ARRAY)), abs=1e-6)

    def test_every_field_but_those_of_the_model_is_a_setting(self, classify):
        fields = {name for name in MeritFeatureExtractor().to_dict() if name != "feature_extractor_type"}
        assert set(SETTINGS) == fields - {"sampling_rate", "lead_names"}
        values = {name: getattr(classify.extractor, name) for name in SETTINGS}
        for choice in ("window", "crop", "keep"):
            answer = classify(noise(10), LABELS, **ARRAY, **{**values, "long_recordings": choice})
            assert_same(answer, classify(noise(10), LABELS, **ARRAY))

    def test_an_invalid_setting_is_refused(self, classify, paths):
        with pytest.raises(ValueError, match="max_amplitude=-1 is not"):
            classify(paths, LABELS, max_amplitude=-1, on_error="return")

    def test_an_encoder_alone_is_named_as_one_with_what_to_call(self, encoder_folder):
        with pytest.raises(ValueError, match=r"is an ECG encoder alone .* call pipeline\('ecg-feature-extraction'"):
            pipeline("ecg-classification", model=str(encoder_folder))

    @pytest.mark.parametrize("part", ["feature_extractor", "tokenizer"])
    def test_a_part_that_would_be_ignored_is_refused(self, model_folder, part):
        own = getattr(AutoProcessor.from_pretrained(model_folder), part)
        with pytest.raises(ValueError, match=f"uses the {part} of its processor: leave out {part}="):
            pipeline("zero-shot-ecg-classification", model=str(model_folder), **{part: own})

    def test_a_processor_that_does_not_fit_the_model_is_refused(self, model_folder):
        model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
        for field, value in (("sampling_rate", 250), ("lead_names", LEADS[::-1])):
            changed = copy(processor)
            changed.feature_extractor = processor.feature_extractor.with_settings(**{field: value})
            with pytest.raises(
                ValueError, match=f"The processor has {field} .*, the model .*: give both the same {field}"
            ):
                pipeline("zero-shot-ecg-classification", model=model, processor=changed)


def test_labels_that_the_model_does_not_know_are_told_or_refused(classify, paths):
    labels = ["AFIB", "banana", "хорошо"]
    with pytest.warns(UserWarning, match="does not know 'banana'; 'хорошо'"):
        classify(paths[0], candidate_labels=labels, multi_label=True)
    with pytest.raises(ValueError, match="does not know 'banana'; 'хорошо'"):
        classify(paths[0], candidate_labels=labels, multi_label=True, on_unknown_label="error")
    with pytest.raises(ValueError, match='on_unknown_label must be "warn" or "error"'):
        classify(paths[0], candidate_labels=labels, on_unknown_label="skip")


def test_a_negated_label_scores_1_minus_its_finding(classify, paths):
    answer = scores(classify(paths[0], candidate_labels=["AFIB", "no AFIB"], multi_label=True))
    assert answer["AFIB"] + answer["no AFIB"] == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match=r"'no AFIB': .* Pass multi_label=True"):
        classify(paths[0], candidate_labels=["AFIB", "no AFIB"])


def test_padding_does_not_change_the_answer(classify):
    ecg = noise(6)
    with pytest.warns(UserWarning, match="all leads are constant before 2.00 s and after 8.00 s"):
        padded = classify(np.pad(ecg, ((0, 0), (200, 200))), LABELS, **ARRAY)
    assert_same(padded, classify(ecg, LABELS, **ARRAY))


def test_threads_that_share_a_pipeline_get_the_answers_to_their_own_labels(model_folder, paths):
    class Interleaved(ZeroShotEcgClassificationPipeline):
        """Lets another thread classify right after the embeddings of the first labels are stored."""

        @property
        def _last_labels(self):
            return self.__dict__.get("stored", ("", None))

        @_last_labels.setter
        def _last_labels(self, value):
            self.__dict__["stored"] = value
            if "LBBB" in value[0]:
                with ThreadPoolExecutor(1) as executor:
                    other.append(executor.submit(self, paths[0], LABELS[:2]).result())

    other = []
    expected = pipeline("zero-shot-ecg-classification", model=str(model_folder))
    model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
    shared = Interleaved(model=model, processor=processor)
    assert_same(shared(paths[0], ["LBBB", "Osborn waves"]), expected(paths[0], ["LBBB", "Osborn waves"]))
    assert_same(other[0], expected(paths[0], LABELS[:2]))


@pytest.mark.slow
def test_many_threads_share_a_pipeline(classify, paths):
    sets = [[*LABELS[i:], f"label {j}"] for i in range(3) for j in range(4)]
    alone = [classify(paths[0], labels) for labels in sets]
    with ThreadPoolExecutor(4) as executor:
        together = list(executor.map(lambda labels: classify(paths[0], labels), sets * 3))
    assert_same(together, alone * 3)


class TestKindsOfModels:
    """Every task with the folder of every kind of model."""

    @pytest.fixture(scope="class")
    def folders(self, model_folder, classifier_folder, reporter_folder, tmp_path_factory):
        encoder = tmp_path_factory.mktemp("encoder")
        AutoModel.from_pretrained(model_folder).ecg_model.save_pretrained(encoder)
        AutoProcessor.from_pretrained(model_folder).save_pretrained(encoder)
        return {"dual": model_folder, "classifier": classifier_folder, "reporter": reporter_folder, "encoder": encoder}

    @pytest.mark.parametrize(
        ("task", "kind", "call"),
        [
            ("zero-shot-ecg-classification", "classifier", "ecg-classification"),
            ("zero-shot-ecg-classification", "encoder", "ecg-feature-extraction"),
            ("ecg-classification", "dual", "zero-shot-ecg-classification"),
            ("ecg-feature-extraction", "classifier", "ecg-classification"),
            ("zero-shot-ecg-classification", "reporter", "ecg-report-generation"),
            ("ecg-classification", "reporter", "ecg-report-generation"),
            ("ecg-feature-extraction", "reporter", "ecg-report-generation"),
            ("ecg-report-generation", "dual", "zero-shot-ecg-classification"),
            ("ecg-report-generation", "classifier", "ecg-classification"),
            ("ecg-report-generation", "encoder", "ecg-feature-extraction"),
        ],
    )
    def test_a_folder_of_another_kind_is_refused_and_the_task_to_call_named(self, folders, task, kind, call):
        with pytest.raises(ValueError, match=rf"needs .* but {folders[kind]} is .*; call pipeline\('{call}', model="):
            pipeline(task, model=str(folders[kind]))

    def test_a_head_that_was_trained_after_loading_is_accepted(self, model_folder, paths):
        model = MeritForEcgClassification.from_pretrained(model_folder, num_labels=3)
        processor = AutoProcessor.from_pretrained(model_folder)
        assert model.untrained() == ["classifier.bias", "classifier.weight", "norm.bias", "norm.weight"]
        with pytest.raises(ValueError, match=r"without trained values for classifier\.bias, classifier\.weight"):
            pipeline("ecg-classification", model=model, processor=processor)
        torch.nn.init.normal_(model.classifier.weight)
        assert len(pipeline("ecg-classification", model=model, processor=processor)(paths[0])) == 3


class TestScores:
    def test_scores_decrease_and_sum_to_one(self, expected):
        for answer in expected:
            values = [entry["score"] for entry in answer]
            assert values == sorted(values, reverse=True)
            assert sum(values) == pytest.approx(1)

    def test_multi_label_scores_each_label_independently(self, classify, paths):
        together = classify(paths[0], candidate_labels=LABELS, multi_label=True)
        values = [entry["score"] for entry in together]
        assert values == sorted(values, reverse=True)
        assert all(0 < value < 1 for value in values)
        assert sum(values) != pytest.approx(1, abs=1e-3)
        for label in LABELS:
            (alone,) = classify(paths[0], candidate_labels=[label], multi_label=True)
            assert alone["score"] == pytest.approx(scores(together)[label], abs=1e-5)

    def test_scores_equal_those_computed_with_the_model(self, classify, paths, model_folder):
        from merit.processing.zero_shot_merit import embed_labels

        model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
        labels = embed_labels(model, processor.tokenizer, LABELS)
        with torch.inference_mode():
            embeds = model.get_ecg_features(**processor(ecg=paths[0])).pooler_output
        logits = labels.logits(torch.nn.functional.normalize(embeds))[0]
        *known, unknown = LABELS
        answer = scores(classify(paths[0], candidate_labels=LABELS))
        prior = answer[unknown]
        expected = (1 - prior) * logits[:-1].softmax(-1)
        assert [answer[label] for label in known] == pytest.approx(expected.tolist(), abs=1e-5)
        answer = scores(classify(paths[0], candidate_labels=LABELS, multi_label=True))
        assert [answer[label] for label in LABELS] == pytest.approx(logits.sigmoid().tolist(), abs=1e-5)

    def test_a_label_without_ground_has_the_same_low_score_for_all_recordings_and_comes_last(self, classify, paths):
        for multi_label in (False, True):
            answers = classify(paths, candidate_labels=LABELS, multi_label=multi_label)
            expected = {"label": LABELS[-1], "score": pytest.approx(0.001), "basis": "unknown"}
            assert [answer[-1] for answer in answers] == [expected] * len(paths)

    def test_the_order_of_labels_makes_no_difference(self, classify, paths, expected):
        assert_same(classify(paths[0], candidate_labels=LABELS[::-1]), expected[0])

    @pytest.mark.parametrize("top_k", [1, 2, 100])
    def test_top_k_returns_the_highest_scores(self, classify, paths, expected, top_k):
        answer = classify(paths[0], candidate_labels=LABELS, top_k=top_k)
        assert len(answer) == min(top_k, len(LABELS))
        assert_same(answer, expected[0][:top_k])

    def test_labels_can_be_one_string_with_commas(self, classify, paths, expected):
        assert_same(classify(paths[0], candidate_labels=", ".join(LABELS)), expected[0])

    def test_labels_can_have_their_own_prompts(self, classify, paths):
        prompts = {"sinus": ["sinus rhythm", "normales ekg"], "fibrillation": ["vorhofflimmern"]}
        answer = classify(paths[0], candidate_labels=prompts)
        assert set(scores(answer)) == {"sinus", "fibrillation"}
        other = classify(paths[0], candidate_labels={**prompts, "fibrillation": ["linksschenkelblock"]})
        assert scores(answer) != pytest.approx(scores(other), abs=1e-6)

    def test_a_template_changes_the_scores(self, classify, paths, expected):
        answer = classify(paths[0], candidate_labels=LABELS, hypothesis_template="sinus rhythm. {}.")
        assert scores(answer) != pytest.approx(scores(expected[0]), abs=1e-6)
        both = classify(paths[0], candidate_labels=LABELS, hypothesis_template=["{}", "sinus rhythm. {}."])
        assert scores(both) != pytest.approx(scores(answer), abs=1e-6)

    def test_arguments_of_the_constructor_are_defaults_of_every_call(self, classify, paths, model_folder):
        template = "sinus rhythm. {}."
        expected = classify(paths[0], candidate_labels=LABELS, hypothesis_template=template, multi_label=True)
        preset = pipeline(
            "zero-shot-ecg-classification",
            model=str(model_folder),
            candidate_labels=LABELS,
            hypothesis_template=template,
            multi_label=True,
        )
        assert_same(preset(paths[0]), expected)
        assert_same(preset(paths[0], candidate_labels=LABELS[:2]), [e for e in expected if e["label"] in LABELS[:2]])
        assert_same(preset(paths[0], hypothesis_template="{}"), classify(paths[0], LABELS, multi_label=True))
        assert_same(preset(paths[0]), expected)

    def test_labels_are_embedded_once_for_many_recordings_and_calls(self, model_folder, paths, monkeypatch):
        classify = pipeline("zero-shot-ecg-classification", model=str(model_folder))
        calls = []
        encode = classify.model.get_text_features
        monkeypatch.setattr(classify.model, "get_text_features", lambda **batch: calls.append(1) or encode(**batch))
        for _ in range(2):
            classify(paths, candidate_labels=LABELS)
            list(classify(iter(paths), candidate_labels=LABELS, batch_size=2))
        assert len(calls) == 1
        classify(paths[0], candidate_labels=LABELS[:2])
        assert len(calls) == 2
        classify(paths[0], candidate_labels=LABELS[:2], hypothesis_template="shows {}")
        assert len(calls) == 3


class TestWindows:
    @pytest.mark.parametrize("pooling", ["mean", "max"])
    @pytest.mark.parametrize(("seconds", "starts"), [(25, [0, 10, 15]), (60, [0, 10, 20, 30, 40, 50])])
    def test_a_long_recording_is_pooled_over_its_windows(self, classify, seconds, starts, pooling):
        signal = noise(seconds)
        windows = [signal[:, 100 * start : 100 * start + 1000] for start in starts]
        options = {"candidate_labels": LABELS, "multi_label": True, **ARRAY}
        logits = torch.tensor([[scores(a)[label] for label in LABELS] for a in classify(windows, **options)]).logit()
        pooled = logits.mean(0) if pooling == "mean" else logits.amax(0)
        answer = scores(classify(signal, window_pooling=pooling, **options))
        assert [answer[label] for label in LABELS] == pytest.approx(pooled.sigmoid().tolist(), abs=1e-4)

    def test_pooling_is_the_mean_by_default(self, classify):
        answers = [
            classify(noise(25), candidate_labels=LABELS, multi_label=True, **ARRAY, **options)
            for options in ({}, {"window_pooling": "mean"}, {"window_pooling": "max"})
        ]
        assert answers[0] == answers[1]
        assert scores(answers[0]) != pytest.approx(scores(answers[2]), abs=1e-6)

    def test_each_window_of_a_long_recording_has_its_own_labels_and_times(self, classify):
        signal, starts = noise(25), [0, 10, 15]
        options = {"candidate_labels": LABELS, "multi_label": True, "top_k": 2, **ARRAY}
        answer = classify(signal, per_window=True, **options)
        assert [(window["start"], window["end"]) for window in answer.windows] == [(0, 10), (10, 20), (15, 25)]
        alone = classify([signal[:, 100 * start : 100 * start + 1000] for start in starts], **options)
        for window, expected in zip(answer.windows, alone):
            assert scores(window["labels"]) == pytest.approx(scores(expected), abs=1e-5)
        assert answer == classify(signal, **options)
        assert classify(signal, **options).windows is None

    def test_padding_counts_in_the_times_of_windows(self, classify):
        signal = np.concatenate([np.zeros((12, 500)), noise(12)], axis=1)
        with pytest.warns(UserWarning, match="padding"):
            answer = classify(signal, candidate_labels=LABELS, per_window=True, **ARRAY)
        assert [(window["start"], window["end"]) for window in answer.windows] == [(5, 15), (7, 17)]

    def test_labels_per_window_of_a_cropped_recording_are_refused(self, classify):
        with pytest.raises(ValueError, match="per_window=True needs long_recordings"):
            classify(noise(25), candidate_labels=LABELS, per_window=True, long_recordings="crop", **ARRAY)

    def test_a_recording_shorter_than_the_window_is_used_whole(self, classify, model_folder):
        signal = noise(4)
        features = pipeline("ecg-feature-extraction", model=str(model_folder))(signal, **ARRAY)
        model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
        with torch.inference_mode():
            alone = model.get_ecg_features(**processor(ecg=signal, **ARRAY)).pooler_output[0]
        np.testing.assert_allclose(features, alone.numpy(), atol=1e-5)

    def test_the_feature_extractor_of_the_model_is_not_changed(self, classify):
        assert classify.processor.feature_extractor.long_recordings == "crop"


class TestModels:
    def test_a_model_and_a_processor_can_be_passed(self, model_folder, paths, expected):
        model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
        classify = pipeline("zero-shot-ecg-classification", model=model, processor=processor)
        assert_same(classify(paths, candidate_labels=LABELS), expected)

    def test_a_bf16_model_gives_nearly_the_same_scores(self, model_folder, paths, expected):
        classify = pipeline("zero-shot-ecg-classification", model=str(model_folder), dtype=torch.bfloat16)
        assert classify.model.dtype == torch.bfloat16
        assert_same(classify(paths, candidate_labels=LABELS, batch_size=3), expected, tolerance=0.05)

    def test_a_bf16_model_gives_features_as_numpy(self, model_folder, paths):
        features = pipeline("ecg-feature-extraction", model=str(model_folder), dtype=torch.bfloat16)(paths[0])
        assert features.dtype == np.float32

    def test_features_equal_those_computed_with_the_model(self, model_folder, paths):
        features = pipeline("ecg-feature-extraction", model=str(model_folder))(paths, batch_size=2)
        model, processor = AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder)
        with torch.inference_mode():
            expected = model.get_ecg_features(**processor(ecg=paths)).pooler_output.numpy()
        assert [feature.shape for feature in features] == [(32,)] * len(paths)
        np.testing.assert_allclose(np.stack(features), expected, atol=1e-5)

    @pytest.mark.parametrize(
        ("problem_type", "activate"),
        [
            ("multi_label_classification", torch.sigmoid),
            ("single_label_classification", lambda logits: logits.softmax(-1)),
            (None, lambda logits: logits.softmax(-1)),
            ("regression", lambda logits: logits),
        ],
    )
    def test_the_problem_type_of_a_classifier_decides_how_scores_are_computed(
        self, classifier_folder, paths, problem_type, activate
    ):
        model = MeritForEcgClassification.from_pretrained(classifier_folder)
        model.config.problem_type = problem_type
        processor = AutoProcessor.from_pretrained(classifier_folder)
        answers = pipeline("ecg-classification", model=model, processor=processor)(paths, batch_size=2)
        with torch.inference_mode():
            expected = activate(model(**processor(ecg=paths)).logits)
        for answer, values in zip(answers, expected):
            assert set(scores(answer)) == {"CD", "HYP", "MI", "NORM", "STTC"}
            assert scores(answer) == pytest.approx(dict(zip(model.config.id2label.values(), values.tolist())), abs=1e-5)
            assert [entry["score"] for entry in answer] == sorted(scores(answer).values(), reverse=True)

    def test_a_classifier_accepts_every_form_of_input_and_top_k(self, classifier_folder, paths):
        classify = pipeline("ecg-classification", model=str(classifier_folder))
        one = classify(paths[0])
        assert len(one) == 5
        assert classify(paths[0], top_k=2) == one[:2]
        assert_same(classify(read_recording(paths[0]).physical(), **ARRAY), one)
        assert_same(next(classify(iter(paths[:2]))), one)
        with pytest.raises(TypeError, match="candidate_labels"):
            classify(paths[0], candidate_labels=LABELS)
