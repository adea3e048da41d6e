"""The tokenizer trained on reports."""

import hashlib

import pytest
from transformers import AutoTokenizer

from merit.training.text.tokenizer import LETTERS, train_tokenizer

REPORTS = [
    "sinusrhythmus lagetyp normal normales ekg",
    "vorhofflimmern überdrehter linkstyp unspezifische st-t veränderungen",
    "sinus rhythm. left axis deviation. anterior myocardial infarction.",
    "sinusrytm. normalt ekg. vänster grenblock på grund av hjärtinfarkt.",
    "",
] * 5


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(REPORTS)


@pytest.mark.parametrize("text", REPORTS[:4])
def test_reports_of_three_languages_are_decoded_unchanged(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


def test_frequent_words_are_one_token(tokenizer):
    assert tokenizer.tokenize("Sinusrhythmus Vorhofflimmern") == ["sinusrhythmus", "vorhofflimmern"]


def test_case_and_unicode_form_of_umlauts_do_not_matter(tokenizer):
    assert (
        tokenizer("ÜBERDREHTER Linkstyp")
        == tokenizer("überdrehter linkstyp")
        == tokenizer("u\u0308berdrehter linkstyp")
    )


@pytest.mark.parametrize("text", ["xylophone", "qqqqq", "Jazz QT", "wolff-parkinson-white (WPW) > 120"])
def test_unseen_words_are_spelled_rather_than_unknown(tokenizer, text):
    assert "[UNK]" not in tokenizer.tokenize(text)
    assert "[UNK]" in tokenizer.tokenize("心電図")


def test_every_letter_is_known_at_the_start_of_a_word_and_inside():
    tokenizer = train_tokenizer(["a b c"])
    assert "[UNK]" not in tokenizer.tokenize(" ".join(LETTERS))
    letters = [letter for letter in LETTERS if letter.isalnum()]
    assert "[UNK]" not in tokenizer.tokenize(" ".join(f"x{letter}" for letter in letters))


def test_letters_are_not_special_tokens(tokenizer):
    assert set(tokenizer.all_special_tokens) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert tokenizer.pad_token_id == 0
    assert len(tokenizer) == tokenizer.vocab_size
    assert tokenizer.decode(tokenizer("xyz")["input_ids"], skip_special_tokens=True) == "xyz"


def test_a_saved_tokenizer_loads_unchanged(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(REPORTS, padding=True) == tokenizer(REPORTS, padding=True)
    assert loaded.model_max_length == tokenizer.model_max_length
    assert loaded.model_input_names == ["input_ids", "attention_mask"]


def test_long_text_is_truncated_and_keeps_its_end_token():
    tokenizer = train_tokenizer(REPORTS, model_max_length=8)
    ids = tokenizer("sinus rhythm " * 50, truncation=True)["input_ids"]
    assert len(ids) == 8
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)


def test_the_vocabulary_respects_its_limit():
    letters = len(train_tokenizer(["a"]))
    assert len(train_tokenizer(REPORTS, vocab_size=letters + 10)) <= letters + 20


@pytest.mark.slow
def test_the_same_reports_give_the_same_tokenizer_in_every_process(fresh_python):
    code = (
        "import sys; from merit.training.text.tokenizer import train_tokenizer\n"
        "print(train_tokenizer(sys.argv[1:]).backend_tokenizer.to_str())"
    )
    reports = [*REPORTS, "ein ganz anderer befund mit gleich häufigen paaren", "one more of another kind"] * 2
    here = train_tokenizer(reports).backend_tokenizer.to_str()
    assert hashlib.md5(fresh_python(code, *reports).strip().encode()).digest() == hashlib.md5(here.encode()).digest()


def test_reports_without_text_are_refused():
    with pytest.raises(ValueError, match="nothing to train"):
        train_tokenizer(["", "  "])
