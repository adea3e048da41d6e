"""Zero-shot scores: the direction of a label is its embedding minus that of its opposite."""

import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from merit.processing.glossary_merit import Glossary
from merit.processing.zero_shot_merit import (
    LabelEmbeddings,
    check_labels,
    check_unknown,
    embed_labels,
    embed_statements,
    embed_texts,
    resolve_labels,
    unknown_labels,
)

GLOSSARY = Glossary.default()
prompts, opposites = GLOSSARY.prompts, GLOSSARY.opposites

SCALE = 7.0


class Texts(SimpleNamespace):
    def keys(self):
        return ["texts"]

    def __getitem__(self, name):
        return self.texts

    def to(self, device):
        return self


class Tokenizer:
    """Knows every word but banana."""

    unk_token = "[UNK]"

    def __call__(self, texts, **kwargs):
        return Texts(texts=texts)

    def tokenize(self, text):
        return ["ban", "##ana"] if "banana" in text else [text.strip()]


tokenizer = Tokenizer()


class Model:
    """Embeds each text in a direction of its own, which is the same in every call."""

    device = torch.device("cpu")
    config = SimpleNamespace(calibration=None)

    def __init__(self, learned=()):
        self.seen = []
        self.learned_labels = {
            code: (torch.full((64,), i + 1.0), torch.tensor(-i - 0.5)) for i, code in enumerate(learned)
        }

    def vector(self, text):
        generator = torch.Generator().manual_seed(sum(map(ord, text)) * 1009 + len(text))
        return torch.randn(64, generator=generator)

    def get_text_features(self, texts):
        self.seen += texts
        return SimpleNamespace(pooler_output=torch.stack([3 * self.vector(text) for text in texts]))

    def scale(self):
        return torch.tensor(SCALE)


def mean(texts):
    """The embedding of an ensemble: the mean of unit vectors, of unit length."""
    model = Model()
    return F.normalize(F.normalize(torch.stack([model.vector(text) for text in texts]), dim=-1).mean(0), dim=-1)


def from_codes(codes):
    return F.normalize(torch.stack([mean(prompts(code)) for code in codes]).mean(0), dim=-1)


def test_a_direction_is_the_label_minus_its_opposite():
    labels = embed_labels(Model(), tokenizer, ["atrial fibrillation", "LBBB"])
    torch.testing.assert_close(labels.directions[0] / SCALE, mean(prompts("AFIB")) - from_codes(opposites("AFIB")))
    torch.testing.assert_close(labels.directions[1] / SCALE, mean(prompts("CLBBB")) - mean(prompts("NORM")))
    assert labels.labels == ["atrial fibrillation", "LBBB"]


@pytest.mark.parametrize("name", ["normal ECG", "NORM", "Normalbefund", "healthy"])
def test_the_opposite_of_normal_is_abnormal(name):
    away = from_codes(opposites("NORM"))
    assert "NORM" not in opposites("NORM")
    labels = embed_labels(Model(), tokenizer, [name])
    torch.testing.assert_close(labels.directions[0] / SCALE, mean(prompts("NORM")) - away)


def test_prompts_of_a_normal_ecg_have_the_abnormal_opposite_whatever_their_label():
    labels = embed_labels(Model(), tokenizer, {"fine": list(prompts("NORM"))[:2], "bad": ["broad qrs"]})
    away = from_codes(opposites("NORM"))
    torch.testing.assert_close(labels.directions[0] / SCALE, mean(list(prompts("NORM"))[:2]) - away)
    torch.testing.assert_close(labels.directions[1] / SCALE, mean(["broad qrs"]) - mean(prompts("NORM")))


def test_a_label_that_the_glossary_does_not_know_is_used_as_typed():
    model = Model()
    labels = embed_labels(model, tokenizer, ["deep Osborn waves of hypothermia"])
    used = [text for text in model.seen if "osborn" in text.lower()]
    assert used == ["deep osborn waves of hypothermia"]
    torch.testing.assert_close(labels.directions[0] / SCALE, mean(used) - mean(prompts("NORM")))


def test_a_label_is_put_into_every_template():
    osborn, afib = resolve_labels(["deep Osborn waves", "AFIB"], ["{}", "shows {}"])
    assert osborn.prompts == ("deep osborn waves", "shows deep osborn waves")
    assert len(afib.prompts) == 2 * len(prompts("AFIB"))
    [osborn] = resolve_labels(["deep Osborn waves"], "sinus rhythm. {}.")
    assert osborn.prompts == ("sinus rhythm. deep osborn waves.",)


def test_a_label_is_looked_up_once(monkeypatch):
    looked_up, find = [], GLOSSARY.find
    monkeypatch.setattr(GLOSSARY, "find", lambda label: looked_up.append(label) or find(label))
    names = ["normal ECG", "Vorhofflimmern", "deep Osborn waves"]
    embed_labels(Model(learned=["AFIB"]), tokenizer, names, multi_label=True, glossary=GLOSSARY)
    assert looked_up == names


def test_labels_are_looked_up_in_the_given_glossary():
    normal, afib = GLOSSARY.findings["NORM"], GLOSSARY.findings["AFIB"]
    mine = Glossary([replace(normal, opposites=("AFIB",)), replace(afib, names=("my rhythm",), english=("mine.",))])
    [label] = resolve_labels(["My Rhythm"], glossary=mine)
    assert label.finding.code == "AFIB"
    assert label.prompts == ("mine.", *afib.german)
    [label] = resolve_labels(["my rhythm"])
    assert label.finding is None


@pytest.mark.parametrize(
    ("labels", "template", "message"),
    [
        ([], "{}", "at least one label"),
        ((), "{}", "at least one label"),
        ({}, "{}", "at least one label"),
        ("", "{}", r"candidate_labels\[0\] is empty"),
        ("AFIB,,LVH", "{}", r"candidate_labels\[1\] is empty"),
        (["AFIB", " "], "{}", r"candidate_labels\[1\] is empty: ' '"),
        (["AFIB", 3], "{}", r"candidate_labels\[1\] must be a text, not 3"),
        (["AFIB", None], "{}", r"candidate_labels\[1\] must be a text, not None"),
        ([["AFIB", "LVH"]], "{}", r"candidate_labels\[0\] must be a text, not \['AFIB'"),
        (b"AFIB", "{}", r"candidate_labels\[0\] must be a text, not 65"),
        (None, "{}", "candidate_labels must be a list .* not None"),
        (5, "{}", "candidate_labels must be a list .* not 5"),
        ((label for label in ["AFIB", "LVH"]), "{}", "candidate_labels must be a list .* not <generator"),
        (["AFIB", "\ud800"], "{}", r"candidate_labels\[1\] is '\\ud800', which holds half of a surrogate pair"),
        (["AFIB", "LVH", "afib"], "{}", "'AFIB' and 'afib', which differ only in case or blanks"),
        (["sinus  rhythm", " Sinus rhythm"], "{}", "differ only in case or blanks"),
        ({"AFIB": ["a"], "afib ": ["b"]}, "{}", "differ only in case or blanks"),
        ({3: ["fibrillation"]}, "{}", r"candidate_labels\[0\] must be a text, not 3"),
        ({"AFIB": 3}, "{}", r"candidate_labels\['AFIB'\] must be a text or a list of texts, not 3"),
        ({"AFIB": ["a", 3]}, "{}", r"candidate_labels\['AFIB'\]\[1\] must be a text, not 3"),
        ({"AFIB": ["a", ""]}, "{}", r"candidate_labels\['AFIB'\]\[1\] is empty"),
        ({"AFIB": "\udfff"}, "{}", r"candidate_labels\['AFIB'\] is '\\udfff'"),
        (["AFIB", "LVH", "AFIB"], "{}", "AFIB more than once"),
        ({"AFIB": ["fibrillation"], "LVH": []}, "{}", "no prompt for LVH"),
        (["AFIB"], "a template without the label", "no {} where"),
        (["AFIB"], ["{}", "none"], "'none' has no {}"),
        (["AFIB"], [], "no template"),
        (["AFIB"], 5, "hypothesis_template must be a text or a list of texts, not 5"),
        (["AFIB"], ["{}", 5], r"hypothesis_template\[1\] must be a text, not 5"),
        (["AFIB"], "\ud800{}", "hypothesis_template is .* surrogate"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(labels, template, message):
    with pytest.raises(ValueError, match=message):
        embed_labels(Model(), tokenizer, labels, template)


@pytest.mark.parametrize(
    "labels",
    [("AFIB", "LVH"), np.array(["AFIB", "LVH"]), pd.Series(["AFIB", "LVH"]), {"AFIB": 1, "LVH": 2}.keys(), "AFIB, LVH"],
    ids=["tuple", "array", "series", "keys", "text"],
)
def test_labels_may_come_in_any_collection_or_as_one_text(labels):
    assert check_labels(labels) == ["AFIB", "LVH"]


def test_statements_of_reports_are_their_own_prompts_and_may_differ_in_case_only():
    statements = ["Sinus rhythm.", "sinus rhythm.", "vorhofflimmern"]
    labels = embed_statements(Model(learned=["SR", "AFIB"]), tokenizer, statements)
    assert labels.labels == statements
    for text, direction in zip(statements, labels.directions):
        opposite = from_codes(opposites(text))
        torch.testing.assert_close(direction / SCALE, mean([text]) - opposite)


def test_texts_are_embedded_in_their_order_in_batches_of_similar_length():
    texts = ["ccc", "a", "dddd", "bb", "eeeee"]
    model = Model()
    embeds = embed_texts(model, tokenizer, texts, batch_size=2)
    assert model.seen == sorted(texts, key=len)
    torch.testing.assert_close(embeds, torch.stack([mean([text]) for text in texts]))


def test_the_prompts_of_a_label_may_be_a_single_text():
    one = embed_labels(Model(), tokenizer, {"AF": "irregular rhythm"})
    assert torch.equal(one.directions, embed_labels(Model(), tokenizer, {"AF": ["irregular rhythm"]}).directions)


def test_a_direction_does_not_depend_on_the_other_labels():
    names = ["normal ECG", "AFIB", "LVH", "deep Osborn waves"]
    together = embed_labels(Model(), tokenizer, names).directions
    for name, direction in zip(names, together):
        torch.testing.assert_close(embed_labels(Model(), tokenizer, [name]).directions[0], direction)
    torch.testing.assert_close(embed_labels(Model(), tokenizer, names[::-1]).directions, together.flip(0))


def test_logits_are_projections_on_the_directions_plus_the_biases():
    labels = LabelEmbeddings(
        ["a", "b"], torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]), torch.tensor([0.0, 0.5]), [{}] * 2
    )
    logits = labels.logits(torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64))
    torch.testing.assert_close(logits, torch.tensor([[0.6, 2.1], [-1.0, 0.5]]))
    assert embed_labels(Model(), tokenizer, ["AFIB"]).biases.tolist() == [0]


def test_learned_labels_are_scored_as_learned_under_any_of_their_names_without_embedding_text():
    model = Model(learned=["AFIB", "NORM"])
    labels = embed_labels(model, tokenizer, ["normal ECG", "Vorhofflimmern"])
    torch.testing.assert_close(labels.directions, torch.stack([torch.full((64,), 2.0), torch.ones(64)]))
    assert labels.biases.tolist() == [-1.5, -0.5]
    assert model.seen == []


def test_labels_that_compete_are_all_scored_as_learned_or_all_with_prompts():
    names = ["AFIB", "deep Osborn waves"]
    taught = embed_labels(Model(learned=["AFIB"]), tokenizer, names)
    plain = embed_labels(Model(), tokenizer, names)
    torch.testing.assert_close(taught.directions, plain.directions)
    assert taught.biases.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("log_odds", "bases", "multi_label", "is_misleading"),
    [
        ([-4.0, -2.5], "learned", False, True),
        ([-4.0, -1.5], "learned", False, False),  # reaches its threshold
        ([-4.0, -2.5], "learned", True, False),
        ([-4.0, 3.0], "unknown", False, False),  # a single label does not compete
        ([-4.0, -2.5], "prompt", False, True),  # no threshold, and less likely than not
        ([-4.0, 0.5], "prompt", False, False),
    ],
)
def test_competing_labels_of_which_none_reaches_its_threshold_give_a_caution(
    log_odds, bases, multi_label, is_misleading
):
    decided = {"basis": "learned", "threshold": 0.1, "sensitivity": 0.9, "specificity": 0.9}
    labels = LabelEmbeddings(
        ["AF", "old infarct"],
        torch.zeros(2, 8),
        torch.tensor(log_odds),
        [decided, decided if bases == "learned" else {"basis": bases}],
    )
    caution = labels.caution(labels.logits(torch.zeros(1, 8))[0], multi_label)
    assert bool(caution) == is_misleading
    if is_misleading:
        assert caution == (
            "none of the labels is present by itself, the most probable is 'old infarct' with 0.08; the scores sum to "
            "1 because the labels compete"
        )


def test_labels_without_thresholds_give_no_caution():
    labels = LabelEmbeddings(
        ["AF", "old infarct"], torch.zeros(2, 8), torch.tensor([-4.0, -2.5]), [{"basis": "prompt"}] * 2
    )
    assert labels.caution(labels.logits(torch.zeros(1, 8))[0], multi_label=False) == ""


def test_names_of_one_finding_do_not_compete_and_give_no_caution():
    decided = {"basis": "learned", "threshold": 0.1, "sensitivity": 0.9, "specificity": 0.9}
    labels = LabelEmbeddings(["AF", "AFIB"], torch.zeros(2, 8), torch.tensor([-4.0, -4.0]), [decided, decided])
    logits = labels.logits(torch.zeros(1, 8))[0]
    assert labels.log_odds(logits, multi_label=False).tolist() == [-4, -4]
    assert labels.caution(logits, multi_label=False) == ""


def test_with_multi_label_labels_are_not_compared_with_each_other():
    class Uncompared(LabelEmbeddings):
        def _same(self):
            raise AssertionError  # quadratic in the labels, for each recording

    labels = Uncompared(["AF", "SR"], torch.eye(2), torch.zeros(2), [{"basis": "learned"}] * 2)
    assert labels.log_odds(torch.ones(2), multi_label=True).tolist() == [1, 1]


def test_with_multi_label_each_learned_label_is_scored_as_learned():
    labels = embed_labels(Model(learned=["AFIB"]), tokenizer, ["deep Osborn waves", "AFIB"], multi_label=True)
    torch.testing.assert_close(labels.directions[0] / SCALE, mean(["deep osborn waves"]) - mean(prompts("NORM")))
    torch.testing.assert_close(labels.directions[1], torch.ones(64))
    assert labels.biases.tolist() == [0, -0.5]


@pytest.mark.parametrize(
    ("labels", "template"),
    [({"AF": ["irregular rhythm"]}, "{}"), (["AFIB"], "sinus rhythm. {}"), (["AFIB"], ["{}", "a {}"])],
)
def test_labels_with_prompts_or_templates_of_the_user_are_scored_with_them(labels, template):
    taught = embed_labels(Model(learned=["AFIB"]), tokenizer, labels, template)
    torch.testing.assert_close(taught.directions, embed_labels(Model(), tokenizer, labels, template).directions)


def test_the_scores_of_a_negated_label_and_its_finding_sum_to_one():
    for learned in ([], ["AFIB"]):
        labels = embed_labels(Model(learned), tokenizer, ["AF", "no evidence of AF"], multi_label=True)
        assert labels.labels == ["AF", "no evidence of AF"]
        scores = labels.logits(F.normalize(torch.ones(3, 64) + torch.eye(3, 64), dim=-1)).sigmoid()
        torch.testing.assert_close(scores.sum(-1), torch.ones(3))
        assert (scores[:, 0] != scores[:, 1]).all()


def test_negated_labels_do_not_compete():
    with pytest.raises(ValueError, match=r"'no AF': .*multi_label=True.*'normal ECG'"):
        embed_labels(Model(), tokenizer, ["no AF", "LVH"])
    with pytest.raises(ValueError, match="'no banana' negates something that is no finding"):
        embed_labels(Model(), tokenizer, ["no banana", "LVH"], multi_label=True)


def test_labels_with_prompts_of_the_user_mean_what_these_say():
    [label] = resolve_labels({"no AF": ["sinus rhythm"]})
    assert (label.negated, label.prompts) == (False, ("sinus rhythm",))
    assert [label.negated for label in resolve_labels(["no AF"], "shows {}")] == [True]


def test_two_names_of_one_finding_have_one_score_and_one_warning():
    with pytest.warns(UserWarning, match="'AF' and 'AFib' are names of one finding") as caught:
        labels = embed_labels(Model(), tokenizer, ["AF", "LVH", "AFib"])
    assert len(caught) == 1
    torch.testing.assert_close(labels.directions[0], labels.directions[2])


@pytest.mark.parametrize("names", [["AF", "AFib"], ["AF", "banana"], ["AF", "AFib", "banana", "qwerty banana"]])
@pytest.mark.filterwarnings("ignore")
def test_a_finding_that_nothing_competes_with_is_judged_by_itself(names):
    ecg = F.normalize(torch.ones(2, 64) + torch.eye(2, 64), dim=-1)
    alone = embed_labels(Model(), tokenizer, ["AF"])
    labels = embed_labels(Model(), tokenizer, names)
    odds = labels.log_odds(labels.logits(ecg), multi_label=False)
    for column, name in enumerate(names):
        if "banana" not in name:
            torch.testing.assert_close(odds[:, column], alone.logits(ecg)[:, 0])


def test_a_comma_in_a_list_is_part_of_the_label_and_warned_of_between_two_findings():
    with pytest.warns(UserWarning, match=r"'LVH, RBBB' is scored as one label; for 2, pass \['LVH', 'RBBB'\]"):
        labels = embed_labels(Model(), tokenizer, ["LVH, RBBB", "SR"])
    assert labels.labels == ["LVH, RBBB", "SR"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed_labels(Model(), tokenizer, ["AV block, first degree", "LVH", "deep Osborn waves, giant"])
        assert embed_labels(Model(), tokenizer, "LVH, RBBB").labels == ["LVH", "RBBB"]


def test_a_label_that_is_nearly_a_finding_is_warned_of_and_scored_as_typed():
    model = Model()
    with pytest.warns(UserWarning, match=r"'atrial fibrilation' is .* \(did you mean 'atrial fibrillation'\?\)"):
        embed_labels(model, tokenizer, ["atrial fibrilation"])
    assert "atrial fibrilation" in model.seen


def test_labels_whose_words_the_encoder_does_not_know_are_named_in_one_warning():
    names = ["AFIB", "banana", "deep Osborn waves", "atrial banana"]
    with pytest.warns(UserWarning, match="does not know 'banana'; 'atrial banana': ") as caught:
        embed_labels(Model(), tokenizer, names)
    assert len(caught) == 1
    assert unknown_labels(resolve_labels(names), tokenizer) == [False, True, False, True]
    assert unknown_labels(resolve_labels(["banana"], "sinus rhythm with known words. {}"), tokenizer) == [True]


def test_prompts_of_the_user_decide_whether_their_label_is_known():
    labels = resolve_labels({"my finding": ["banana", "flat waves"], "AFIB": ["banana"]})
    assert unknown_labels(labels, tokenizer) == [False, True]


def test_unknown_labels_can_be_refused():
    with pytest.raises(ValueError, match=r"does not know 'banana': .*on_unknown_label=.warn."):
        embed_labels(Model(), tokenizer, ["AFIB", "banana"], on_unknown_label="error")
    with pytest.raises(ValueError, match='must be "warn" or "error", not \'ignore\''):
        check_unknown("ignore")
    embed_labels(Model(), tokenizer, ["AFIB", "LVH"], on_unknown_label="error")
    with pytest.raises(ValueError, match='on_unknown_label must be "warn" or "error"'):
        embed_labels(Model(), tokenizer, ["AFIB", "LVH"], on_unknown_label="skip")
