"""Cleaning of report text, and detection of its language."""

import re

import pandas as pd
import pytest

from merit.training.text.cleaning import CODES_IN_PROSE, clean_report, clean_statements, detect_language
from merit.training.text.translation import TRANSLATIONS


@pytest.fixture(scope="module")
def raw_reports(ptbxl_root):
    return pd.read_csv(ptbxl_root / "ptbxl_database.csv")["report"].fillna("").tolist()


@pytest.fixture(scope="module")
def statement_codes(ptbxl_root):
    return set(pd.read_csv(ptbxl_root / "scp_statements.csv", index_col=0).index.str.lower())


@pytest.mark.parametrize(
    "mark",
    [
        " Edit: NORM 100, (NORM 100)",
        " edit: imi 80, crbbb, (imi 100, crbbb, lafb)",
        " Edit : V2 Totalausfall",
        " Edit: LVH 35, Sokolow 3,6(LVH 50)\nNORM",
        "consensus label derived from: {'LVH': 100.0, 'SR': 0.0},{'LVH': 100.0, 'SR': 0.0}",
    ],
)
def test_an_editors_mark_is_removed_with_everything_after_it(mark):
    assert clean_report("sinus rhythm. otherwise normal ecg." + mark) == "sinus rhythm. otherwise normal ecg."


@pytest.mark.parametrize("kept", range(len("4.46                          unbestÄtigter bericht") + 1))
def test_the_signature_is_removed_wherever_it_was_truncated(kept):
    signature = "4.46                          unbestÄtigter bericht"[:kept]
    findings = "sinusrhythmus ".ljust(255 - 1 - kept, "x")
    assert clean_report(f"{findings} {signature}") == findings


def test_the_signature_is_removed_before_a_mark_and_in_english():
    assert clean_report("linkstyp 4.46            unbestÄtigter bericht Edit: NORM 100") == "linkstyp"
    assert clean_report("bundle branch block 4.40            unconfirmed report") == "bundle branch block"


def test_a_number_at_the_end_of_a_short_report_is_kept():
    assert clean_report("t negativ in v 4") == "t negativ in v 4"


@pytest.mark.parametrize(
    "raw", ["", " ", "trace only requested.", "trace only.", "Trace only requested. Edit: CLBBB, TOR"]
)
def test_a_report_without_findings_becomes_empty(raw):
    assert clean_report(raw) == ""


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("qrs(t) abnorm    inferiorer infarkt mÖglich", "qrs(t) abnorm inferiorer infarkt möglich"),
        (
            "amplitudenkriterien f#r linkshypertrophie r-s #bergang",
            "amplitudenkriterien für linkshypertrophie r-s übergang",
        ),
        ("kurzer schweiáausbruch", "kurzer schweißausbruch"),
        ("sinusrytm     ó¿      ó¬ st-t sÄó¬ning, sÅsom vid   ó½", "sinusrytm st-t sänkning, såsom vid"),
        ("no definite pathology. `", "no definite pathology."),
    ],
)
def test_damaged_characters_are_repaired_and_spaces_collapsed(raw, clean):
    assert clean_report(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("compared with tracing of 23:6:92, it is very similar", "compared with tracing, it is very similar"),
        ("compared with tracings of 20 & 21:3:92, it remains", "compared with tracings, it remains"),
        ("tracings of 3:3:92 and 23:3:92. old infarct", "tracings. old infarct"),
        ("no change since trace of 12.9.91.", "no change since trace."),
        ("oförändrat jmf med ekg 910220", "oförändrat jmf med ekg"),
        ("nr: 030315 }lder:  87 }r k|n: l{ngd:    kg bt:    mmhg med: sinusrytm", "sinusrytm"),
    ],
)
def test_dates_and_identifiers_are_removed(raw, clean):
    assert clean_report(raw) == clean


@pytest.mark.parametrize(
    "findings",
    ["flutter with 2:1 av block", "low in v2,3,4.", "a-v block 1.grades", "pq-zeit 0,19", "rate 81 per minute"],
)
def test_numbers_within_findings_are_kept(findings):
    assert clean_report(findings) == findings


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("sinusrhythmus lagetyp normal normales ekg", "de"),
        ("schrittmacher ekg", "de"),
        ("sinus rhythm. normal ecg.", "en"),
        ("t waves are inverted in i, avl, v5,6.", "en"),
        ("sinusrytm normalt ekg", "sv"),
        ("förmaksflimmer/-fladder vänster el-axel", "sv"),
        ("abnormal ecg", "en"),
        ("abnormal tracing", "en"),
        ("poor r wave progression", "en"),
        ("st & t abnormal", "de"),
        ("verzögerte r-progression", "de"),
        ("", ""),
        ("12345", ""),
    ],
)
def test_the_language_of_a_report_is_recognised(text, language):
    assert detect_language(text) == language


def test_english_phrases_are_not_taken_for_another_language():
    """A word that English shares with German or Swedish must not decide a short report."""
    english = {line.split("\t")[2] for line in TRANSLATIONS.read_text(encoding="utf-8").splitlines()}
    phrases = [phrase for phrase in english if len(phrase.split()) > 1]
    wrong = [phrase for phrase in phrases if detect_language(phrase) not in ("en", "")]
    assert len(phrases) > 500
    assert len(wrong) <= 5, wrong


@pytest.mark.slow
def test_no_code_of_an_editors_mark_remains(raw_reports, statement_codes):
    marked = [raw for raw in raw_reports if re.search("edit:|consensus label", raw, re.IGNORECASE)]
    assert len(marked) == 555 + 16
    for raw in marked:
        findings = re.split("Edit:|consensus label derived", raw)[0]
        # The signature before a mark may have been cut off where the field once ended.
        assert clean_report(raw) == clean_report(findings)
    # Editors write codes in capitals and findings are in lower case, so a remaining code was a word of the findings.
    for raw in raw_reports:
        clean = clean_report(raw)
        assert not re.search(r"edit\b|consensus|derived from|sokolow [\d,]+\(|[{}]", clean), raw
        for code in statement_codes & set(re.findall(r"[\w/]+(?:\(s\))?", clean)):
            assert code in CODES_IN_PROSE, raw
            assert re.search(rf"\b{code}\b", raw), f"{code} is not in lower case in {raw!r}"


@pytest.mark.slow
def test_every_report_of_ptbxl_becomes_findings_in_a_known_language_or_empty(raw_reports):
    clean = [clean_report(raw) for raw in raw_reports]
    assert clean.count("") == 367
    assert not [text for text in clean if re.search(r"4\.4|unbestät|unconf|trace only|[A-ZÄÖÜÅóá#|]|\s\s|\d{6}", text)]
    languages = [detect_language(text) for text in clean]
    assert {language: languages.count(language) for language in ("de", "en", "sv", "")} == {
        "de": 13948,
        "en": 6883,
        "sv": 601,
        "": 367,
    }


def test_cleaning_is_idempotent(raw_reports):
    for clean in {clean_report(raw) for raw in raw_reports}:
        assert clean_report(clean) == clean


def test_statements_become_sentences():
    assert clean_statements(["Sinus rhythm", "", "  Left  axis deviation ", "Abnormal ECG."]) == (
        "sinus rhythm. left axis deviation. abnormal ecg."
    )


@pytest.mark.parametrize(
    "statement",
    [
        "Warning: Data quality may affect interpretation",
        "*** Poor quality data, interpretation may be affected ***",
        "--- Warning: data quality may affect interpretation ---",
        "Interpretation made without knowing patient's gender/age",
        "Age not entered, assumed to be 50 years old for purpose of ECG interpretation",
        "Report not available",
        "Unconfirmed analysis",
        "Analysis error",
        "Lead(s) unsuitable for analysis: V6 is missing - lead is missing",
        "All 12 leads are missing",
        "*** Recording not analyzed ***",
        "Uncertain",
        "...",
        " ",
        "",
    ],
)
def test_statements_about_the_recording_are_left_out(statement):
    assert clean_statements([statement]) == ""
    assert clean_statements(["Atrial flutter", statement, "Abnormal ECG"]) == "atrial flutter. abnormal ecg."


@pytest.mark.parametrize(
    ("statement", "clean"),
    [
        ("Uncertain rhythm: review", "uncertain rhythm: review."),
        ("Uncertain axis", "uncertain axis."),
        ("Summary: Borderline ECG", "borderline ecg."),
        ("Low QRS voltages in limb leads", "low qrs voltages in limb leads."),
        ("Inferior infarct, age undetermined", "inferior infarct, age undetermined."),
        ("Possible - consider right ventricular hypertrophy", "possible - consider right ventricular hypertrophy."),
        ("Ventricular rate 140, PR 0.12", "ventricular rate 140, pr 0.12."),
    ],
)
def test_statements_about_the_heart_are_kept(statement, clean):
    assert clean_statements([statement]) == clean
    assert clean_statements([clean]) == clean


def test_no_statements_give_an_empty_report():
    assert clean_statements([]) == ""
    assert detect_language(clean_statements(["Analysis error"])) == ""
