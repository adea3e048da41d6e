"""The words of typed labels: one spelling, negations, and slips of the pen."""

import pytest

from merit.processing.label_words_merit import canonical_words, edit_distance, has_negation, split_negation


@pytest.mark.parametrize(
    ("label", "same"),
    [
        ("1° AV block", "AV block, first degree"),
        ("AVB III", "3rd degree atrioventricular blocks"),
        ("infero-lateral MI", "possible inferolateral myocardial infarction"),
        ("T-wave inversions", "inverted T waves"),
        ("ischaemic changes", "ischemic change"),
        ("ventrikuläre Extrasystolen", "ventricular ectopics"),
        ("LBBB", "bundle branch block (left)"),
        ("early repolarisation", "early repolarization"),
        ("Infarkt nicht auszuschließen", "Infarkt"),
        ("LVH cannot be excluded", "suspected LVH"),
        ("LVH can’t be excluded", "suspected LVH"),
        ("LVH kann nicht ausgeschlossen werden", "suspected LVH"),
        ("cannot rule out MI", "possible MI"),
        ("Infarktzeichen", "Infarkt"),
    ],
)
def test_spellings_of_one_finding_have_the_same_words(label, same):
    assert canonical_words(label) == canonical_words(same)


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("ventricular fibrillation", "atrial fibrillation"),
        ("VT", "SVT"),
        ("left bundle branch block", "right bundle branch block"),
        ("first degree AV block", "second degree AV block"),
        ("sinus tachycardia", "sinus bradycardia"),
        ("ST elevation", "ST depression"),
        ("complete RBBB", "incomplete RBBB"),
        ("no infarct", "infarct"),
    ],
)
def test_different_findings_have_different_words(label, other):
    assert canonical_words(label) != canonical_words(other)


@pytest.mark.parametrize(
    ("label", "rest"),
    [
        ("no AF", "af"),
        ("not an AF", "af"),
        ("without any evidence of LVH", "lvh"),
        ("There is no ST elevation", "st elevation"),
        ("absence of  ischaemia", "ischaemia"),
        ("non-sinus rhythm", "sinus rhythm"),
        ("negative for infarct", "infarct"),
        ("AF absent", "af"),
        ("infarct was ruled out", "infarct"),
        ("kein Vorhofflimmern", "vorhofflimmern"),
        ("Keine Zeichen für Ischämie", "ischaemie"),
        ("ohne Hinweis auf Infarkt", "infarkt"),
        ("Infarkt nicht nachweisbar", "infarkt"),
        ("w/o ST elevation", "st elevation"),
        ("lacking Q waves", "q waves"),
        ("AF isn't present", "af"),
        ("AF: no", "af"),
        ("AF (none)", "af"),
        ("LBBB-free", "lbbb"),
        ("kein Nachweis von Infarkt", "infarkt"),
        ("frei von Extrasystolen", "extrasystolen"),
        ("Vorhofflimmern nicht mehr nachweisbar", "vorhofflimmern"),
    ],
)
def test_a_negation_before_or_after_is_split_from_what_it_negates(label, rest):
    assert split_negation(label) == rest


@pytest.mark.parametrize(
    "label", ["AF unlikely", "exclude AF", "rules out MI", "AF denied", "isn’t AF", "weder AF noch Infarkt", "MI, none"]
)
def test_a_negation_that_cannot_be_split_off_is_still_seen(label):
    assert has_negation(label)


@pytest.mark.parametrize(
    "label", ["cannot rule out MI", "can't exclude LVH", "Infarkt nicht auszuschließen", "LVH can’t be excluded"]
)
def test_what_cannot_be_excluded_is_not_negated(label):
    assert not has_negation(label)


@pytest.mark.parametrize(
    "label", ["nonspecific ST changes", "normal", "node", "notched P wave", "negative T waves", "none of these"]
)
def test_words_that_only_look_like_negations_are_none(label):
    assert split_negation(label) is None
    assert not has_negation(label)


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("", "", 0), ("abc", "", 3), ("abc", "acb", 1), ("abcd", "bacd", 1), ("kitten", "sitting", 3), ("ca", "abc", 3)],
)
def test_an_exchange_of_neighbours_is_one_edit(first, second, distance):
    assert edit_distance(first, second) == edit_distance(second, first) == distance
