"""Whether a text encoder knows the words of a label."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from merit.processing.glossary_merit import Glossary
from merit.processing.known_words_merit import has_known_words, known_share

WORDS = Glossary.default().words
CARDS = Path(__file__).parents[2] / "hub_cards"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(CARDS / "merit-ptbxl-small")


def test_words_of_reports_are_known_in_any_case_and_others_are_not(tokenizer):
    assert known_share("Sinus RHYTHM, 2:1", tokenizer) == 1
    assert known_share("rhythm bananas", tokenizer) == pytest.approx(6 / 13)
    assert known_share("2:1", tokenizer) == known_share("", tokenizer) == 0


@pytest.mark.parametrize(
    "label", ["banana", "Brugada", "takotsubo", "hyperkalaemia", "bloqueo de rama", "心房颤动", "предсердий", "42"]
)
def test_words_of_nonsense_foreign_findings_and_other_languages_are_unknown(tokenizer, label):
    assert not has_known_words([label], tokenizer, WORDS)


@pytest.mark.parametrize("label", ["vorhofflimmern", "old inferior infarct", "broad qrs complexes", "t-welle negativ"])
def test_words_of_english_and_german_reports_are_known(tokenizer, label):
    assert has_known_words([label], tokenizer, WORDS)
    assert has_known_words(["banana", label], tokenizer, WORDS)


@pytest.mark.parametrize("label", ["there is much", "patient", "computer", "waves in leads"])
def test_words_of_reports_that_are_about_no_finding_are_not_enough(tokenizer, label):
    assert known_share(label, tokenizer) >= 0.8
    assert not has_known_words([label], tokenizer, WORDS)


def test_the_words_of_findings_are_those_of_the_glossary_at_hand(tokenizer):
    assert has_known_words(["infarct"], tokenizer, WORDS)
    assert not has_known_words(["infarct"], tokenizer, {"fibrillation"})
