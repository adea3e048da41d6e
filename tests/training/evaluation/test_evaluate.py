"""Evaluation end to end: any encoder, the same file every time, and what shares a space with text."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, List, concatenate_datasets
from transformers import AutoModel, AutoProcessor

from merit import MeritConfig, MeritForEcgClassification
from merit.command import main
from merit.processing.inputs_merit import recording_of_row
from merit.processing.leads_merit import STANDARD_LEADS
from merit.processing.prompts_merit import CSN_LABELS
from merit.processing.zero_shot_merit import embed_labels
from merit.training.data.catalogue import open_source
from merit.training.data.preparation import load_prepared, prepare
from merit.training.data.schema import label_names
from merit.training.evaluation.evaluate import (
    ALL_METHODS,
    evaluate,
    evaluate_classifier,
    protocol_of,
    result_file,
    retrieval,
    shift,
    task_names,
)
from merit.training.evaluation.robustness import Perturbation
from merit.training.learning.finetuning import SHARES, between, fine_tune
from merit.training.results.weights import weights_sha256
from merit.training.scoring import embeddings
from merit.training.scoring.embeddings import batches, embed, fingerprint
from merit.training.scoring.encoders import CheckpointClassifier, CheckpointEncoder
from merit.training.scoring.probes import best_probe, linear_probe, train_rows
from merit.training.scoring.zero_shot import label_embeddings, linear_start, zero_shot_scores


@pytest.fixture(scope="module")
def encoder(model_folder):
    return CheckpointEncoder(
        AutoModel.from_pretrained(model_folder), AutoProcessor.from_pretrained(model_folder), "tiny"
    )


class Oracle:
    """An encoder that knows the labels: what it scores is known beforehand."""

    name, fingerprint = "oracle", None

    def __init__(self, dataset, task):
        self.labels = {}
        for rows in dataset.values():
            self.labels |= dict(zip(rows["record_id"], rows[f"labels_{task}"]))

    def embed(self, rows):
        return np.array([self.labels[row["record_id"]] for row in rows], np.float32)


class TorchEncoder:
    """A convolutional network of someone else, made fit for evaluation."""

    name, fingerprint = "someone else's", None

    def __init__(self):
        torch.manual_seed(0)
        self.network = torch.nn.Sequential(
            torch.nn.Conv1d(12, 16, 15, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool1d(4), torch.nn.Flatten()
        )

    @torch.inference_mode()
    def embed(self, rows):
        ecg = torch.zeros(len(rows), 12, 1000)  # what was not recorded is zero
        for i, row in enumerate(rows):
            signal = torch.from_numpy(recording_of_row(row).physical()).float()
            ecg[i, [STANDARD_LEADS.index(name) for name in row["lead_names"]], : signal.shape[1]] = signal
        return self.network(ecg).numpy()


def test_an_encoder_that_knows_the_labels_scores_one(dataset):
    results = evaluate(Oracle(dataset, "super"), dataset, ["super"], ["linear-probe", "knn"], resamples=20)
    whole = [result for result in results if not result["setting"]]
    assert [result["method"] for result in whole] == ["linear-probe", "knn"]
    for result in whole:
        assert result["metrics"]["auroc"]["value"] > 0.99
    # One per cent of these few recordings is none.
    assert {result["setting"].get("train_fraction") for result in results} == {None, 0.1}


def test_probes_learn_from_the_parts_of_the_labels_that_are_named(dataset):
    oracle = Oracle(dataset, "super")
    results = evaluate(oracle, dataset, ["super"], ["linear-probe"], fractions=[0.25, 0.5], resamples=5)
    assert [result["setting"] for result in results] == [{"train_fraction": 0.25}, {"train_fraction": 0.5}]


def test_any_torch_network_can_be_evaluated(dataset):
    results = evaluate(TorchEncoder(), dataset, ["super"], ["linear-probe", "zero-shot", "robustness"], resamples=5)
    assert {result["method"] for result in results} == {"linear-probe"}  # it reads no text
    assert sum(1 for result in results if "noise" not in result["setting"]) >= 3
    assert all(0 <= result["metrics"]["auroc"]["value"] <= 1 for result in results)


def test_every_method_but_fine_tuning_runs_on_a_model(encoder, dataset, tmp_path):
    logged = []
    results = evaluate(
        encoder, dataset, ["super", "rhythm"], cache=tmp_path, published_protocol=False, resamples=5, log=logged.append
    )
    assert logged == results
    # Robustness is that of zero-shot scores and probes; where a probe started is a setting.
    others = {"fine-tuned", "robustness", "linear-probe-from-zero-shot"}
    assert {result["method"] for result in results} == set(ALL_METHODS) - others
    assert {"start": "zero-shot"} in [result["setting"] for result in results]
    settings = [result["setting"] for result in results if (result["task"], result["method"]) == ("super", "zero-shot")]
    assert settings[:3] == [{}, {"language": "en"}, {"language": "de"}]
    assert {"leads": ["I"]} in settings
    assert {"noise": "white", "noise_db": 0.0} in settings
    assert all(result["split"] == "test" for result in results)


def test_the_published_protocol_is_marked_as_such(encoder, dataset, monkeypatch):
    monkeypatch.setattr("merit.training.evaluation.evaluate.FRACTIONS", (1.0,))
    results = evaluate(encoder, dataset, ["super"], ["zero-shot", "linear-probe"], published_protocol=True, resamples=5)
    settings = [result["setting"] for result in results]
    assert {"scores": "softmax"} in settings
    by = {
        result["setting"]["selection"]: result["metrics"]["auroc"]["value"]
        for result in results
        if result["setting"].get("protocol") == "published"
    }
    assert by["test"] >= by["validation"]


def test_zero_shot_directions_are_those_of_the_pipeline(encoder):
    labels, scale = ["NORM", "MI", "AFIB", "CLBBB", "SR"], encoder.model.scale().item()
    expected = embed_labels(encoder.model, encoder.processor.tokenizer, labels).directions / scale
    np.testing.assert_allclose(label_embeddings(encoder, "super", labels).directions, expected, atol=1e-5)


def test_prompts_of_one_language_are_those_of_that_language(encoder):
    ways = ("en", "de", "both", None)
    english, german, both, neither = (label_embeddings(encoder, "super", ["MI", "HYP"], way).directions for way in ways)
    np.testing.assert_array_equal(both, neither)
    assert not np.allclose(english, german, atol=1e-3)
    assert not np.allclose(english, both, atol=1e-3)
    unknown = [label_embeddings(encoder, "own", ["Brugada pattern"], way).directions for way in ("en", "de")]
    assert np.isfinite(unknown).all()


def test_the_start_of_a_probe_says_what_zero_shot_says(encoder, dataset):
    features = embed(encoder, dataset["test"])
    said = label_embeddings(encoder, "super", ["NORM", "MI", "HYP"])
    scores = encoder.model.scale().item() * zero_shot_scores(encoder, features, said)
    # On features whose projections are equally long the layer is zero-shot itself.
    projection = encoder.model.ecg_projection.weight.detach().numpy()
    features = 5 * features / np.linalg.norm(features @ projection.T, axis=1, keepdims=True)
    weight, bias = linear_start(encoder, said, features)
    np.testing.assert_allclose(torch.from_numpy(features) @ weight.T + bias, scores, atol=1e-3)


def test_probes_are_measured_from_zero_shot_too(encoder, dataset):
    methods = ["linear-probe", "linear-probe-from-zero-shot"]
    results = evaluate(encoder, dataset, ["super"], methods, fractions=[0.25, 1.0], resamples=5)
    settings = [result["setting"] for result in results]
    from_zero_shot = {"start": "zero-shot"}
    assert settings == [{"train_fraction": 0.25}, {"train_fraction": 0.25, **from_zero_shot}, {}, from_zero_shot]
    features = {split: embed(encoder, rows) for split, rows in dataset.items()}
    protocol = protocol_of(dataset, "super", 5)
    start = linear_start(encoder, label_embeddings(encoder, "super", protocol.labels), features["train"])
    expected = protocol.macro_auroc("test", linear_probe(features, protocol, 0.25, start)(features["test"]))
    assert results[1]["metrics"]["auroc"]["value"] == pytest.approx(expected, abs=1e-4)


def test_labels_of_another_data_set_are_said_by_what_they_mean_there(encoder):
    assert CSN_LABELS["AF"] == "AFLT"
    there = label_embeddings(encoder, "csn-clean", ["AF"]).directions
    np.testing.assert_allclose(there, label_embeddings(encoder, "all", ["AFLT"]).directions, atol=1e-6)
    assert not np.allclose(there, label_embeddings(encoder, "all", ["AFIB"]).directions, atol=1e-3)


class Space:
    """A space in which every text has an axis of its own, and recordings lie where `features` say."""

    name, fingerprint = "space", None

    def __init__(self, texts):
        self.axis = {text: i for i, text in enumerate(sorted(set(texts)))}

    def embed_texts(self, texts):
        return np.eye(len(self.axis), dtype=np.float32)[[self.axis[text] for text in texts]]

    def project(self, features):
        return features


def reports(texts):
    return Dataset.from_dict({"report": texts, "patient_id": [str(i) for i in range(len(texts))]})


def test_recordings_at_their_reports_are_found_and_the_same_report_is_a_right_answer():
    texts = ["a", "b", "a", "c", "", "d"]
    space = Space(text for text in texts if text)
    features = np.stack([space.embed_texts([text or "a"])[0] for text in texts])
    to_report, to_ecg = retrieval(space, features, reports(texts), resamples=5)
    for result in (to_report, to_ecg):
        assert result["metrics"]["recall_at_1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
        assert result["metrics"]["median_rank"]["value"] == 1.0
        assert result["records"] == 5
    assert (to_report["candidates"], to_ecg["candidates"]) == (4, 5)


def test_what_cannot_tell_recordings_apart_ranks_its_answer_last():
    texts = [chr(97 + i) for i in range(26)]
    for result in retrieval(Space(texts), np.ones((26, 26), np.float32), reports(texts), resamples=5):
        assert result["metrics"]["recall_at_10"]["value"] == 0.0
        assert result["metrics"]["median_rank"]["value"] == 26.0


def test_a_recording_at_another_report_ranks_its_own_behind_it():
    texts = ["a", "b", "c"]
    space = Space(texts)
    features = space.embed_texts(["b", "b", "c"]) + 0.1 * space.embed_texts(texts)
    to_report, _ = retrieval(space, features, reports(texts), resamples=5)
    assert to_report["metrics"]["recall_at_1"]["value"] == pytest.approx(2 / 3, abs=1e-5)


def renamed(rows, task, labels, columns):
    """A data set of one task whose labels are columns of another's."""
    values = np.asarray(rows[f"labels_{task}"])[:, columns]
    kept = rows.select_columns(["record_id", "patient_id", "signal", "gain", "baseline", "sampling_rate", "lead_names"])
    names = "cpsc2018"
    kept = kept.add_column(names, [np.flatnonzero(row).tolist() for row in values])
    kept = kept.cast_column(names, List(ClassLabel(names=labels)))
    return kept.add_column(f"labels_{names}", values.tolist())


def test_shift_judges_the_labels_that_two_data_sets_share(dataset):
    oracle = Oracle(dataset, "super")
    known = label_names(dataset["test"], "super")
    columns = [known.index("NORM"), known.index("CD")]
    other = DatasetDict({"test": renamed(dataset["test"], "super", ["NORM", "1AVB"], columns)})
    [result] = [
        result
        for result in evaluate(oracle, dataset, ["super"], ["linear-probe"], shift_to=[other], resamples=5)
        if "shift" in result["setting"]
    ]
    assert result["setting"] == {"shift": "super > cpsc2018"}
    assert result["task"] == "cpsc2018"
    assert set(result["labels"]) == {"NORM", "1AVB"}
    assert result["metrics"]["auroc"]["value"] > 0.98


def test_shift_is_measured_zero_shot_too(encoder, dataset):
    known = label_names(dataset["test"], "super")
    other = DatasetDict(
        {"test": renamed(dataset["test"], "super", ["NORM", "1AVB"], [known.index("NORM"), known.index("CD")])}
    )
    found = list(shift(encoder, {"super": protocol_of(dataset, "super", 5)}, {}, other, resamples=5))
    assert [(result["method"], result["setting"]["shift"]) for result in found] == [("zero-shot", "super > cpsc2018")]


def test_embeddings_do_not_depend_on_the_batch(encoder, dataset, monkeypatch):
    monkeypatch.setattr(embeddings, "fast_precision", lambda: {"bf16": False})
    rows = dataset["test"]
    features = embed(encoder, rows)
    assert features.shape == (len(rows), 32)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, embed(encoder, rows, batch_size=3), atol=1e-5)
    with torch.inference_mode():
        expected = encoder.model.get_ecg_features(**encoder.processor(ecg=next(batches(rows)))).pooler_output
    expected = torch.nn.functional.normalize(expected, dim=-1).numpy()
    np.testing.assert_allclose(encoder.project(features), expected, atol=1e-5)


def test_kept_embeddings_are_found_again_and_belong_to_weights_records_and_change(encoder, dataset, tmp_path):
    first = embed(encoder, dataset["test"], cache=tmp_path)
    [kept] = tmp_path.iterdir()
    used = copy.copy(encoder)
    used.embed = None  # not called
    assert np.array_equal(embed(used, dataset["test"], cache=tmp_path), first)
    embed(encoder, dataset["validation"], cache=tmp_path)
    embed(encoder, dataset["test"], Perturbation(leads=("I",)), cache=tmp_path)
    other = CheckpointEncoder(copy.deepcopy(encoder.model), encoder.processor)
    assert other.fingerprint == encoder.fingerprint
    other.model.ecg_model.embeddings.projection.weight.data += 1
    other = CheckpointEncoder(other.model, encoder.processor)
    assert not np.array_equal(embed(other, dataset["test"], cache=tmp_path), first)
    assert len(list(tmp_path.iterdir())) == 4
    assert kept.suffix == ".safetensors"


def test_an_interrupted_embedding_leaves_nothing(encoder, dataset, tmp_path):
    class Broken:
        name, fingerprint = "broken", "broken"

        def embed(self, rows):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(Broken(), dataset["test"], cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_are_told_apart_by_one_value():
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    other.load_state_dict(one.state_dict())
    assert weights_sha256(one.state_dict()) == weights_sha256(other.state_dict())
    other.bias.data[0] += 1
    assert weights_sha256(one.state_dict()) != weights_sha256(other.state_dict())


def test_a_data_version_is_what_its_columns_hold(dataset):
    rows = dataset["test"]
    columns = ["record_id", "labels_super", "signal"]
    same = Dataset.from_list(rows.to_list(), features=rows.features)
    assert fingerprint(rows, columns) == fingerprint(same, columns)
    assert fingerprint(rows, columns) != fingerprint(rows.select(range(len(rows) - 1)), columns)
    assert fingerprint(rows, columns) != fingerprint(rows.select(list(range(len(rows)))[::-1]), columns)


def test_fine_tuning_learns_and_leaves_the_model_as_it_was(encoder, dataset):
    before = weights_sha256(encoder.model.state_dict())
    protocol = protocol_of(dataset, "super", 5)
    settings = {"num_train_epochs": 2, "disable_tqdm": True}
    model, scores, log = fine_tune(encoder.model, encoder.processor, dataset, "super", protocol, **settings)
    assert list(model.config.id2label.values()) == protocol.labels
    assert scores["test"].shape == (len(dataset["test"]), len(protocol.labels))
    assert scores["validation"].shape == (len(dataset["validation"]), len(protocol.labels))
    assert np.isfinite(scores["test"]).all()
    assert [entry["epoch"] for entry in log if "eval_auroc" in entry] == [1.0, 2.0]
    assert weights_sha256(encoder.model.state_dict()) == before
    [result] = evaluate_classifier(CheckpointClassifier(model, encoder.processor), dataset, resamples=5)
    assert (result["task"], result["method"], result["setting"]) == ("super", "fine-tuned", {})
    assert result["metrics"]["auroc"]["value"] == pytest.approx(protocol.macro_auroc("test", scores["test"]), abs=0.01)


@pytest.mark.parametrize("fraction", [0.2, 1.0])
def test_fine_tuning_starts_from_the_linear_probe_that_is_best_on_validation(encoder, dataset, fraction):
    protocol = protocol_of(dataset, "super", 5)
    settings = {"num_train_epochs": 1, "learning_rate": 0.0, "bf16": False, "disable_tqdm": True}
    model, _, _ = fine_tune(encoder.model, encoder.processor, dataset, "super", protocol, fraction, **settings)
    normed = {}
    rows = train_rows(protocol, fraction)
    for split, part in (("train", dataset["train"].select(rows)), ("validation", dataset["validation"])):
        features = torch.from_numpy(embed(encoder, part))
        normed[split] = torch.nn.functional.layer_norm(features, features.shape[1:]).numpy()
    start = linear_start(encoder, label_embeddings(encoder, "super", protocol.labels), normed["train"])
    targets = protocol.train_targets(rows)
    probe = best_probe(normed["train"], targets, normed["validation"], protocol, [None, start])
    weight, bias = probe.as_linear()
    torch.testing.assert_close(model.classifier.weight.detach(), weight, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(model.classifier.bias.detach(), bias, atol=1e-3, rtol=1e-3)


def test_fine_tuning_goes_only_as_far_as_is_best_on_validation(encoder, dataset):
    protocol = protocol_of(dataset, "super", 5)
    settings = {"num_train_epochs": 1, "bf16": False, "disable_tqdm": True}
    start, harmed = (
        fine_tune(encoder.model, encoder.processor, dataset, "super", protocol, learning_rate=rate, **settings)
        for rate in (0.0, 30.0)
    )
    auroc = {entry["share"]: entry["auroc"] for entry in harmed.log if "share" in entry}
    assert list(auroc) == list(SHARES)
    assert auroc[0.0] > max(auroc[share] for share in SHARES[1:])
    for name, weights in start.model.state_dict().items():
        torch.testing.assert_close(harmed.model.state_dict()[name], weights, msg=name)
    np.testing.assert_allclose(harmed.scores["test"], start.scores["test"], atol=1e-5)


def test_weights_between_two_states_are_on_a_straight_way():
    start, end = {"a": torch.tensor([0.0, 4.0])}, {"a": torch.tensor([8.0, 0.0])}
    assert [between(start, end, share)["a"].tolist() for share in (0.0, 0.25, 1.0)] == [[0, 4], [2, 3], [8, 0]]


def test_a_classifier_of_other_labels_is_refused(encoder, dataset):
    model = MeritForEcgClassification(MeritConfig(**{**encoder.model.config.to_dict(), "num_labels": 2}))
    with pytest.raises(ValueError, match="knows LABEL_0, LABEL_1, which are not the labels of"):
        evaluate_classifier(CheckpointClassifier(model, encoder.processor), dataset)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": ["supper"]}, "supper"),
        ({"methods": ["zeroshot"]}, "zeroshot"),
        ({"fractions": [0.5, 2.0]}, r"up to 1, the smallest first, not \[0.5, 2.0\]"),
        ({"fractions": [1.0, 0.5]}, "smallest first"),
        ({"fractions": []}, "smallest first"),
    ],
)
def test_what_there_is_not_is_named(encoder, dataset, arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluate(encoder, dataset, **arguments)


def test_zero_shot_needs_no_training_records(encoder, dataset):
    splits = DatasetDict({split: dataset[split] for split in ("validation", "test")})
    assert len(evaluate(encoder, splits, ["super"], ["zero-shot"], resamples=5)) == 3


def test_a_missing_split_is_named(encoder, dataset):
    with pytest.raises(ValueError, match="train"):
        evaluate(encoder, DatasetDict({"test": dataset["test"]}), ["super"], ["linear-probe"])


def test_a_model_is_fine_tuned_and_measured_by_commands(model_folder, simulated, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    classifier, output = tmp_path / "classifier", tmp_path / "results.json"

    def run(*command):
        monkeypatch.setattr("sys.argv", ["merit", *map(str, command)])
        return main(), capsys.readouterr()

    data = ("--data", simulated)
    status, said = run("finetune", model_folder, *data, "--task", "supper", "--output", classifier)
    assert status == 1
    assert "has no task supper; it has all" in said.err
    assert run("finetune", model_folder, *data, "--task", "super", "--output", classifier, "--epochs", "1")[0] == 0
    status, said = run("evaluate", classifier, *data, "--output", output, "--only", "knn")
    assert status == 1
    assert "is a classifier, judged on its own labels: --only does not go with it" in said.err
    assert run("evaluate", classifier, *data, "--output", output)[0] == 0
    content = json.loads(output.read_text())
    assert [(result["task"], result["method"]) for result in content["results"]] == [("super", "fine-tuned")]
    assert run("export", classifier, tmp_path / "release", "--results", output)[0] == 0
    assert "| fine-tuned |" in (tmp_path / "release" / "README.md").read_text()
    record = json.loads((classifier / "results" / "training.json").read_text())["training"]
    start = weights_sha256(AutoModel.from_pretrained(model_folder).state_dict())
    assert (record["recipe"]["task"], record["recipe"]["start"]["weights_sha256"]) == ("super", start)
    assert record["recipe"]["training"]["num_train_epochs"] == record["log"][0]["epoch"] == 1
    assert [entry["share"] for entry in record["log"] if "share" in entry] == list(SHARES)
    assert set(record["data"][0]["splits"]) == {"train", "validation"}
    card = (classifier / "README.md").read_text()
    assert f'Fine-tuned from {model_folder.name} (weights {start[:12]}) on the labels of task "super".' in card


def test_the_command_writes_the_same_file_twice(model_folder, simulated, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    output = tmp_path / "results.json"
    command = ["merit", "evaluate", model_folder, "--data", simulated, "--output", output, "--tasks", "super"]
    command += ["--only", "zero-shot", "linear-probe", "retrieval", "--cache", tmp_path / "cache"]
    monkeypatch.setattr("sys.argv", list(map(str, command)))
    assert main() == 0
    first = output.read_bytes()
    assert main() == 0
    assert output.read_bytes() == first
    for kept in (tmp_path / "cache").iterdir():
        kept.unlink()
    assert main() == 0
    assert output.read_bytes() == first
    assert "super zero-shot: auroc 0." in capsys.readouterr().out
    content = json.loads(first)
    assert content["format"] == 1
    assert set(content["data"]["splits"]) == {"train", "validation", "test"}
    assert content["command"].startswith("merit evaluate model --data")
    assert str(tmp_path) not in first.decode()
    for value in (
        content["model"]["weights_sha256"],
        content["data"]["sha256"],
        content["commit"],
        content["versions"],
    ):
        assert value


def test_a_result_file_names_the_records_and_labels_it_was_measured_on(encoder, dataset):
    content = result_file(encoder, dataset, "simulated", 0, [])
    fewer = DatasetDict({**dataset, "test": dataset["test"].select(range(5))})
    other = result_file(encoder, fewer, "simulated", 0, [])
    assert content["data"]["splits"]["train"] == other["data"]["splits"]["train"]
    assert content["data"]["splits"]["test"] != other["data"]["splits"]["test"]
    assert content["data"]["sha256"] != other["data"]["sha256"]
    assert set(task_names(dataset)) >= {"super", "all"}


@pytest.fixture(scope="module")
def real_samples(tmp_path_factory):
    """Every record of the real samples of CPSC2018 and CSN, in all splits: too few for figures, enough for the way."""
    folder = Path(__file__).parents[4] / "shared" / "external"
    if not (folder / "cpsc2018").is_dir():
        pytest.skip("the real samples are not on this machine")
    made = {}
    for name, source in (("cpsc2018", "cpsc2018"), ("csn", "chapman_shaoxing_ningbo")):
        output = tmp_path_factory.mktemp("prepared") / name
        prepared = load_prepared(prepare(open_source(name, folder / source), output))
        whole = concatenate_datasets(list(prepared.values()))
        made[name] = DatasetDict(dict.fromkeys(("train", "validation", "test"), whole))
    return made


def test_real_samples_run_through_zero_shot_and_all_six_shifts(encoder, dataset, real_samples):
    sets = {"super": dataset, "cpsc2018": real_samples["cpsc2018"], "csn-clean": real_samples["csn"]}
    found, scored = {}, {}
    for task, source in sets.items():
        others = [other for name, other in sets.items() if name != task]
        for result in evaluate(encoder, source, [task], ["zero-shot"], shift_to=others, resamples=20):
            if "shift" in result["setting"]:
                found.setdefault(result["setting"]["shift"], {})[result["method"]] = result
            elif not result["setting"]:
                scored[task] = result
    pairs = {(a, b) for a in ("super", "cpsc2018", "csn") for b in ("super", "cpsc2018", "csn")} - {
        (a, a) for a in ("super", "cpsc2018", "csn")
    }
    assert {tuple(name.partition("-")[0] for name in shift.split(" > ")) for shift in found} == pairs
    for ways in found.values():
        assert set(ways) == {"zero-shot", "linear-probe"}
        assert ways["zero-shot"]["records"] == ways["linear-probe"]["records"]
        assert ways["zero-shot"]["metrics"]["auroc"]["value"] is not None
    assert scored["cpsc2018"]["records"] == 60
    assert len(scored["cpsc2018"]["labels"]) == 9
