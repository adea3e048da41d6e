"""Translation preserves the side, negation, certainty and degree of a finding."""

import json
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from merit.processing.glossary_merit import Glossary
from merit.training.text.cleaning import CODES_IN_PROSE, clean_report
from merit.training.text.translation import LANGUAGES, TRANSLATIONS, read_translations, translate, untranslated

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def table_lines():
    return [line.split("\t") for line in TRANSLATIONS.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def translated(ptbxl_root):
    """Every distinct cleaned report of PTB-XL and its translation."""
    raw = pd.read_csv(ptbxl_root / "ptbxl_database.csv")["report"].fillna("")
    return {report: translate(report) for report in {clean_report(text) for text in raw}}


@pytest.mark.parametrize(
    ("german", "english"),
    [
        # laterality
        ("linksschenkelblock", "left bundle branch block."),
        ("rechtsschenkelblock", "right bundle branch block."),
        ("linkstyp linksanteriorer hemiblock", "left axis deviation. left anterior fascicular block."),
        ("rechtstyp linksposteriorer hemiblock", "right axis deviation. left posterior fascicular block."),
        ("überdrehter linkstyp", "extreme left axis deviation."),
        ("ueberdrehter rechtstyp", "extreme right axis deviation."),
        ("vorhofsüberlastung rechts", "right atrial overload."),
        ("linke vorhofsueberbelastung", "left atrial overload."),
        ("r-s übergang nach rechts verschoben", "r/s transition displaced to the right."),
        # a bundle branch block described as a hemiblock is not a left bundle branch block
        ("schenkelblock links ant. hemiblock", "bundle branch block: left anterior fascicular block."),
        # negation
        ("kein linksschenkelblock", "no left bundle branch block."),
        ("keine r-progression v1-v4", "no r wave progression v1-v4."),
        ("regelmässiger rhythmus, keine p-welle erkannt", "regular rhythm, no p wave found."),
        ("septaler infarkt nicht auszuschliessen", "septal infarct cannot be excluded."),
        ("nicht signifikante q in ii,iii,avf", "non-significant q waves in ii, iii, avf."),
        ("keine hinweise fuer frischen infarkt", "no evidence of recent infarct."),
        # certainty
        ("linkshypertrophie möglich", "possible left ventricular hypertrophy."),
        ("verdacht auf p-sinistrocardiale", "suspected left atrial enlargement."),
        ("wahrscheinlich normales ekg", "probably normal ecg."),
        ("inferiorer infarkt wahrscheinlich alt", "inferior infarct, probably old."),
        ("lvh sicher", "definite left ventricular hypertrophy."),
        ("lvh, moeglich", "possible left ventricular hypertrophy."),
        ("infarkt inferior, chronisch, moeglich", "possible chronic inferior infarct."),
        ("inferiorer und anteroseptaler infarkt möglich", "possible inferior and anteroseptal infarct."),
        (
            "sinusrhythmus, linkstyp, lvh möglich",
            "sinus rhythm, left axis deviation, possible left ventricular hypertrophy.",
        ),
        ("fragl. digitalis", "questionable digitalis."),
        # degree and time
        ("unvollständiger rechtsschenkelblock", "incomplete right bundle branch block."),
        ("kompl. lsb", "complete left bundle branch block."),
        ("vollständiger rechts-schenkelblock", "complete right bundle branch block."),
        ("subakuter anteriorer infarkt", "subacute anterior infarct."),
        ("anteroseptaler infarkt mögl. akut", "anteroseptal infarct, possibly acute."),
        ("infarkt alter unbest. path. ekg", "infarct, age undetermined. pathological ecg."),
        ("av-block 1. grades av-block iii. grades", "first degree av block. third degree av block."),
        # rate
        ("tachykardes vorhofflimmern", "atrial fibrillation with rapid ventricular response."),
        ("vorhofflimmern bradykard", "atrial fibrillation with slow ventricular response."),
    ],
)
def test_german_findings_keep_side_negation_certainty_and_degree(german, english):
    assert translate(german, "de") == english


@pytest.mark.parametrize(
    ("swedish", "english"),
    [
        ("sinusrytm höger el-axel", "sinus rhythm. right axis deviation."),
        ("extrem vänster el-axel", "extreme left axis deviation."),
        ("vänstersidigt skänkelblock", "left bundle branch block."),
        ("inkomplett högersidigt skänkelblock", "incomplete right bundle branch block."),
        ("misstänkt vänster kammarhypertrofi", "suspected left ventricular hypertrophy."),
        ("inferior myokardskada kan ej uteslutas", "inferior myocardial damage cannot be excluded."),
        ("hög lateral infarkt bör övervägas", "high lateral infarct should be considered."),
        ("anterior infarkt möjligen färsk", "anterior infarct, possibly recent."),
        ("inferior infarkt ålder ej bestämmbar", "inferior infarct, age undetermined."),
        ("inga tecken på ischemi eller myokardskada", "no signs of ischaemia or myocardial damage."),
        ("sinusrytm inget säkert patologiskt", "sinus rhythm. no definite pathology."),
        ("a-v block i t-våg i avl", "first degree av block. t wave in avl."),
    ],
)
def test_swedish_findings_keep_side_negation_certainty_and_degree(swedish, english):
    assert translate(swedish, "sv") == english


def test_uncertainty_before_a_list_applies_to_the_whole_list():
    german = (
        "st & t abnorm, wahrscheinlich anteriore ischämie oder linksbelastung laterale ischämie oder linksbelastung"
    )
    assert translate(f"{german} t abnorm in anterioren ableitungen lateralen ableitungen pathologisch", "de") == (
        "st and t wave abnormality, probably anterior ischaemia or left ventricular strain, "
        "lateral ischaemia or left ventricular strain. "
        "abnormal t waves in anterior leads, lateral leads. pathological."
    )
    swedish = "t-förändring, såsom vid anterior myokardaffektion lateral myokardaffektion qt förlängd"
    assert translate(swedish, "sv") == (
        "t wave change, as in anterior myocardial involvement, lateral myocardial involvement. prolonged qt."
    )


def test_uncertainty_after_a_finding_applies_to_that_finding_only():
    german = "anteroseptaler infarkt möglich inferiorer infarkt lateraler infarkt nicht auszuschliessen linkstyp"
    assert translate(german, "de") == (
        "possible anteroseptal infarct. inferior infarct. lateral infarct cannot be excluded. left axis deviation."
    )


@pytest.mark.parametrize(
    ("german", "english"),
    [
        ("inferiorer, chronischer infarkt möglich", "possible inferior, chronic infarct."),
        ("linkshypertrophie (möglich)", "left ventricular hypertrophy (possible)."),
        ("st-senkung in ii (diskret) normales ekg", "st depression in ii (slight). normal ecg."),
        (
            "linkshypertrophie: strain, lsb möglich",
            "left ventricular hypertrophy: strain, possible left bundle branch block.",
        ),
        ("unter digitalis usw", "on digitalis etc."),
    ],
)
def test_a_qualifier_stays_with_its_finding(german, english):
    assert translate(german, "de") == english


def test_a_report_becomes_sentences():
    german = (
        "sinusrhythmus lagetyp normal intraventr. leitungsstoerung iii, l st- hebung in v1-3 t neg in v5/v6 (digitalis)"
    )
    assert translate(german, "de") == (
        "sinus rhythm. normal axis. intraventricular conduction disturbance iii, l. st elevation in v1-3. "
        "t waves negative in v5/v6 (digitalis)."
    )


def test_the_longest_phrase_wins():
    assert translate("lagetyp", "de") == "axis."
    assert translate("lagetyp normal", "de") == "normal axis."
    assert translate("lagetyp in anbetracht des alters normal", "de") == "axis normal for age."
    # A truncated phrase matches only its beginning.
    assert translate("lagetyp in", "de") == "axis in."


@pytest.mark.parametrize("spelling", ["t-veränderungen", "t-veraenderungen", "t- veraenderungen", "t - veränderungen"])
def test_umlauts_may_be_written_out_and_hyphens_may_have_spaces(spelling):
    assert translate(spelling, "de") == "t wave changes."


def test_english_and_empty_reports_stay_unchanged():
    english = "sinus rhythm. st segments are depressed in i, avl, v5,6. this may be due to lv strain"
    assert translate(english) == english
    assert translate("sinusrhythmus", "en") == "sinusrhythmus"
    assert translate("") == ""
    assert translate("", "de") == ""
    assert untranslated(english) == []


def test_the_language_is_detected_if_not_given():
    assert translate("sinusrhythmus linkstyp") == translate("sinusrhythmus linkstyp", "de")
    assert translate("sinusrytm normalt ekg") == "sinus rhythm. normal ecg."


def test_a_language_without_translations_is_refused():
    with pytest.raises(ValueError, match="no translations for the language 'fr'"):
        translate("rythme sinusal", "fr")


def test_words_without_an_entry_are_copied_and_listed():
    report = "sinusrhythmus mit firlefanz 3,5 in v1 & killefit"
    assert translate(report, "de") == "sinus rhythm with firlefanz 3,5 in v1 & killefit."
    assert untranslated(report, "de") == ["firlefanz", "killefit"]
    assert untranslated("sinusrhythmus linkstyp t neg. in v4-6, avf", "de") == []


@pytest.mark.parametrize("broken_off", ["linkstyp,", "linkstyp (", "linkstyp -", "linkstyp:", "linkstyp , -"])
def test_dangling_punctuation_at_the_end_is_removed(broken_off):
    assert translate(broken_off, "de") == "left axis deviation."


def test_the_table_is_sorted(table_lines):
    assert table_lines == sorted(table_lines)


def test_the_table_has_the_case_of_cleaned_reports(table_lines):
    for fields in table_lines:
        assert fields == [text.lower() for text in fields]
        assert clean_report(fields[1]) == fields[1]


def test_no_english_text_contains_an_untranslated_word(table_lines):
    # "av" is "of" in Swedish and atrioventricular in English, "i" is "in" in Swedish and a lead in English.
    english_too = {("sv", "av"), ("sv", "i")}
    english = {(language, phrase): english for language, phrase, english, _ in table_lines}
    for language, phrase, text, _ in table_lines:
        for word in re.findall(r"[^\W\d_]+", text):
            known = english.get((language, word))
            assert known is None or word in known.split() or (language, word) in english_too, (phrase, text, word)


def test_no_english_text_contains_a_code_of_ptbxl(table_lines):
    # AT, atrial tachycardia, is a code of another data set.
    codes = {code.lower() for code in Glossary.default().findings} - {"at"}
    for _, phrase, english, _ in table_lines:
        assert codes & _codes_or_words(english) <= CODES_IN_PROSE, phrase


def _codes_or_words(text):
    return set(re.findall(r"[\w/]+(?:\(s\))?", text))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("de\tlinkstyp\tleft axis deviation", "line 2 has 3 fields"),
        ("de\tlinkstyp\t\tfinding", "line 2 has an empty field"),
        ("de\t\tleft axis deviation\tfinding", "line 2 has an empty field"),
        ("de\tlinkstyp \tleft axis deviation\tfinding", "line 2 has an empty field or spaces around one"),
        ("", "line 2 has 1 fields"),
        ("fr\tlinkstyp\tleft axis deviation\tfinding", "line 2 is in the language 'fr'"),
        ("de\tlinkstyp\tleft axis deviation\tnoun", "line 2 has the role 'noun'"),
        ("de\tüberdreht\textreme\topens", "line 2 has the phrase 'überdreht', which is also in line 1"),
        ("de\tueberdreht\textreme\topens", "line 2 has the phrase 'ueberdreht', which is also in line 1"),
    ],
)
def test_an_error_names_the_invalid_line(tmp_path, line, message):
    file = tmp_path / "translations.tsv"
    file.write_text(f"de\tüberdreht\textreme\topens\n{line}\nde\tund\tand\tlinks\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"translations\.tsv, {message}"):
        read_translations(file)


def test_two_languages_may_share_a_phrase(tmp_path):
    file = tmp_path / "translations.tsv"
    file.write_text("de\tinfarkt\tinfarct\tfinding\nsv\tinfarkt\tinfarct\tfinding\n", encoding="utf-8")
    assert set(read_translations(file)) == set(LANGUAGES)


def test_the_table_is_part_of_the_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["merit.training.text"]
    files = {file for pattern in patterns for file in (ROOT / "training" / "text").glob(pattern)}
    assert ROOT / "training" / "text" / "translations.tsv" in files


@pytest.mark.slow
def test_no_translated_report_contains_a_code_of_ptbxl(translated, ptbxl_root):
    codes = set(pd.read_csv(ptbxl_root / "scp_statements.csv", index_col=0).index.str.lower())
    for report, english in translated.items():
        assert codes & _codes_or_words(english) <= CODES_IN_PROSE, report


# Patterns that must match a German or Swedish report as often as its English translation.
PATTERNS = {
    "left": (
        r"link(?!shypertrophie lvh)|linlslage|\bl(?:lt|vh|sbb?|ahb?|afb)\b|sinistro|mllt|väns|\bli\b(?!$)",
        r"\bleft\b",
    ),
    "right": (r"recht|\br(?:lt|vh|sb)\b|dextro|höger|hgersidigt|\bre\b", "right"),
    "possible": (r"m[öä]g[lk]|moeglich|eventuell|\bevt?\b|möjligen", "possib"),
    "probable": (r"wahrs|\bwhs\b|sannolikt|troligen", "probab"),
    "definite": (r"\bsicher|säkert", "definite"),
    "suspected": (r"verdacht|\bvd\b|misst", "suspected|suspicion"),
    "questionable": ("fragl", "questionable"),
    "not excluded": (r"nicht aus|\biessen\b|kan ej", "cannot be excluded"),
    "no": (r"\bkeine?\b|\binga\b|\binget\b", r"\bno\b"),
    "incomplete": ("unvollst|inkompl", r"\bincomplete"),
    "complete": (r"(?<!un)vollst|\bkompl|totaler|totalt", r"\bcomplete"),
    "partial": (r"partiel|\bpart\b", r"\bpartial"),
    "acute": ("(?<!sub)akut", "(?<!sub)acute"),
    "subacute": ("subakut|subskut|subkut", "subacute"),
    "chronic": ("chron", "chronic"),
    "old": (r"\balt\b|\balter hwi\b|gammal|äldre", r"\bold\b"),
    "negative": (r"\bneg", "negativ"),
    "depression": ("senk|sänk|denkung|sankning", "depress"),
    "anteroseptal": ("anterosep", "anteroseptal"),
    "high lateral": ("hochlat|hög lat", "high lateral"),
}


@pytest.mark.parametrize("what", PATTERNS)
def test_a_translation_repeats_each_attribute_as_often_as_its_report(translated, what):
    foreign, english = PATTERNS[what]
    changed = {report: text for report, text in translated.items() if report != text}
    assert len(changed) > 5900
    for report, text in changed.items():
        assert len(re.findall(foreign, report)) == len(re.findall(english, text)), (report, text)


@pytest.mark.slow
def test_coverage_of_ptbxl_is_not_below_the_measured_figures(monkeypatch, ptbxl_root):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from translation_coverage import RESULTS, coverage

    measured = json.loads(RESULTS.read_text(encoding="utf-8"))["coverage"]
    for language, figures in coverage(ptbxl_root).items():
        for what in ("tokens", "distinct_words", "reports", "distinct_reports"):
            assert figures[what]["covered"] >= measured[language][what]["covered"]
    assert measured["de"]["tokens"]["covered_percent"] >= 99.5
    assert measured["de"]["reports"]["covered_percent"] >= 97
    assert measured["sv"]["tokens"]["covered_percent"] >= 98
