"""Zero-shot scores: a label's direction leads from its opposite to the label."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from merit.processing.prompts_merit import opposites, prompts
from merit.processing.zero_shot_merit import LabelEmbeddings, embed_labels, phrasings

SCALE = 7.0


class Texts(SimpleNamespace):
    def keys(self):
        return ["texts"]

    def __getitem__(self, name):
        return self.texts

    def to(self, device):
        return self


def tokenizer(texts, **kwargs):
    return Texts(texts=texts)


class Model:
    """Embeds each text in a direction of its own, the same in every call."""

    device = torch.device("cpu")

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


def test_a_direction_leads_from_the_opposite_to_the_label():
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


def test_a_label_that_no_glossary_knows_is_taken_as_typed():
    model = Model()
    labels = embed_labels(model, tokenizer, ["Osborn waves of hypothermia"])
    said = [text for text in model.seen if "osborn" in text.lower()]
    assert [text.lower() for text in said] == ["osborn waves of hypothermia"]
    torch.testing.assert_close(labels.directions[0] / SCALE, mean(said) - mean(prompts("NORM")))


def test_a_label_stands_in_every_template():
    assert phrasings("Osborn waves", "sinus rhythm. {}.") == ["sinus rhythm. osborn waves."]
    assert phrasings("Osborn waves", ["{}", "shows {}"]) == ["osborn waves", "shows osborn waves"]
    assert len(phrasings("AFIB", ["{}", "shows {}"])) == 2 * len(prompts("AFIB"))


@pytest.mark.parametrize(
    ("labels", "template", "message"),
    [
        ([], "{}", "at least one label"),
        ({}, "{}", "at least one label"),
        (["AFIB", " "], "{}", "none of them empty"),
        (["AFIB", 3], "{}", "candidate_labels"),
        (["AFIB", "LVH", "AFIB"], "{}", "AFIB more than once"),
        ({"AFIB": ["fibrillation"], "LVH": []}, "{}", "no prompt for LVH"),
        (["AFIB"], "a template without the label", "no {} where"),
        (["AFIB"], ["{}", "none"], "'none' has no {}"),
        (["AFIB"], [], "no template"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(labels, template, message):
    with pytest.raises(ValueError, match=message):
        embed_labels(Model(), tokenizer, labels, template)


def test_one_prompt_of_a_label_may_stand_by_itself():
    one = embed_labels(Model(), tokenizer, {"AF": "irregular rhythm"})
    assert torch.equal(one.directions, embed_labels(Model(), tokenizer, {"AF": ["irregular rhythm"]}).directions)


def test_a_direction_does_not_depend_on_the_other_labels():
    names = ["normal ECG", "AFIB", "LVH", "Osborn waves"]
    together = embed_labels(Model(), tokenizer, names).directions
    for name, direction in zip(names, together):
        torch.testing.assert_close(embed_labels(Model(), tokenizer, [name]).directions[0], direction)
    torch.testing.assert_close(embed_labels(Model(), tokenizer, names[::-1]).directions, together.flip(0))


def test_logits_are_projections_on_the_directions_plus_the_biases():
    labels = LabelEmbeddings(["a", "b"], torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]), torch.tensor([0.0, 0.5]))
    logits = labels.logits(torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64))
    torch.testing.assert_close(logits, torch.tensor([[0.6, 2.1], [-1.0, 0.5]]))
    assert embed_labels(Model(), tokenizer, ["AFIB"]).biases.tolist() == [0]


def test_learned_labels_are_scored_as_learned_by_whatever_name_and_no_text_is_embedded():
    model = Model(learned=["AFIB", "NORM"])
    labels = embed_labels(model, tokenizer, ["normal ECG", "Vorhofflimmern"])
    torch.testing.assert_close(labels.directions, torch.stack([torch.full((64,), 2.0), torch.ones(64)]))
    assert labels.biases.tolist() == [-1.5, -0.5]
    assert model.seen == []


def test_labels_that_compete_are_all_learned_or_all_said_by_prompts():
    names = ["AFIB", "Osborn waves"]
    taught = embed_labels(Model(learned=["AFIB"]), tokenizer, names)
    plain = embed_labels(Model(), tokenizer, names)
    torch.testing.assert_close(taught.directions, plain.directions)
    assert taught.biases.tolist() == [0, 0]


def test_labels_judged_apart_are_each_scored_as_well_as_they_can_be():
    labels = embed_labels(Model(learned=["AFIB"]), tokenizer, ["Osborn waves", "AFIB"], apart=True)
    torch.testing.assert_close(labels.directions[0] / SCALE, mean(["osborn waves"]) - mean(prompts("NORM")))
    torch.testing.assert_close(labels.directions[1], torch.ones(64))
    assert labels.biases.tolist() == [0, -0.5]


@pytest.mark.parametrize(
    ("labels", "template"),
    [({"AF": ["irregular rhythm"]}, "{}"), (["AFIB"], "sinus rhythm. {}"), (["AFIB"], ["{}", "a {}"])],
)
def test_what_the_user_words_is_said_as_worded(labels, template):
    taught = embed_labels(Model(learned=["AFIB"]), tokenizer, labels, template)
    torch.testing.assert_close(taught.directions, embed_labels(Model(), tokenizer, labels, template).directions)
