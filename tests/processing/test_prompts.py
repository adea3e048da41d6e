import csv
import doctest
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from merit.processing import prompts_merit
from merit.processing.prompts_merit import (
    CHALLENGE_LABELS,
    CPSC2018_LABELS,
    CSN_LABELS,
    FINDINGS,
    find,
    opposites,
    prompts,
)
from merit.training.text.cleaning import clean_report

PTBXL_ROOT = os.environ.get("PTBXL_ROOT", "")
needs_ptbxl = pytest.mark.skipif(
    not Path(PTBXL_ROOT or "/nowhere", "ptbxl_database.csv").is_file(), reason="PTBXL_ROOT names no PTB-XL tree"
)

LABELS = {
    task: labels.split()
    for task, labels in {
        "statements": """
            NDT NST_ DIG LNGQT NORM IMI ASMI LVH LAFB ISC_ IRBBB 1AVB IVCD ISCAL CRBBB CLBBB ILMI LAO/LAE AMI ALMI
            ISCIN INJAS LMI ISCIL LPFB ISCAS INJAL ISCLA RVH ANEUR RAO/RAE EL WPW ILBBB IPLMI ISCAN IPMI SEHYP INJIN
            INJLA PMI 3AVB INJIL 2AVB ABQRS PVC STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_ PRC(S) SR
            AFIB STACH SARRH SBRAD PACE SVARR BIGU AFLT SVTAC PSVT TRIGU
        """,
        "subclasses": """
            AMI CLBBB CRBBB ILBBB IMI IRBBB ISCA ISCI ISC_ IVCD LAFB/LPFB LAO/LAE LMI LVH NORM NST_ PMI RAO/RAE RVH
            SEHYP STTC WPW _AVB
        """,
        "superclasses": "CD HYP MI NORM STTC",
        "cpsc2018": "AFIB VPC NORM 1AVB CRBBB STE PAC CLBBB STD",
        "csn": """
            AQW UW SR WPW 2AVB AT VB ARS STTC SA STE VPB TWO STTU ALS APB 2AVB1 PRIE CCR CR AF AVB QTIE LBBB VEB SVT
            RBBB 1AVB STDD MI AFIB TWC PWC ERV RVH LVH ST JEB
        """,
    }.items()
}

TYPED = {
    "normal": "NORM",
    "Normal ECG": "NORM",
    "normales EKG": "NORM",
    "abnormal ECG": "ABNORM",
    "MI": "MI",
    "myocardial infarction": "MI",
    "Myokardinfarkt": "MI",
    "Herzinfarkt": "MI",
    "anterior MI": "AMI",
    "Vorderwandinfarkt": "AMI",
    "Inferior Myocardial Infarction": "IMI",
    "Hinterwandinfarkt": "IMI",
    "septal infarct": "ASMI",
    "acute MI": "STEMI",
    "ST-T changes": "STTC",
    "ST/T change": "STTC",
    "ischaemia": "ISC_",
    "ischemia": "ISC_",
    "Ischämie": "ISC_",
    "Ischaemie": "ISC_",
    "inferior ischaemia": "ISCIN",
    "ST depression": "STD_",
    "ST-Senkung": "STD_",
    "STE": "STE_",
    "ST-segment elevation": "STE_",
    "T-wave inversion": "INVT",
    "long QT": "LNGQT",
    "QT-Verlaengerung": "LNGQT",
    "digoxin effect": "DIG",
    "left bundle branch block": "CLBBB",
    "left bundle-branch block": "CLBBB",
    "LBBB": "CLBBB",
    "lbbb": "CLBBB",
    "CLBBB": "CLBBB",
    "Linksschenkelblock": "CLBBB",
    "RBBB": "CRBBB",
    "incomplete RBBB": "IRBBB",
    "unvollständiger Rechtsschenkelblock": "IRBBB",
    "left anterior hemiblock": "LAFB",
    "bundle branch block": "BBB",
    "AV block": "_AVB",
    "1st degree AV block": "1AVB",
    "first-degree AV-block": "1AVB",
    "AV-Block I. Grades": "1AVB",
    "Wenckebach": "2AVB1",
    "complete heart block": "3AVB",
    "prolonged PR interval": "LPR",
    "WPW syndrome": "WPW",
    "Wolff-Parkinson-White": "WPW",
    "conduction disturbance": "CD",
    "hypertrophy": "HYP",
    "LVH": "LVH",
    "Linkshypertrophie": "LVH",
    "LAE": "LAO/LAE",
    "left atrial enlargement": "LAO/LAE",
    "low voltage": "LVOLT",
    "Q waves": "QWAVE",
    "poor R-wave progression": "PRWP",
    "left axis deviation": "ALS",
    "Sinusrhythmus": "SR",
    "normal sinus rhythm": "SR",
    "AFib": "AFIB",
    "A-Fib": "AFIB",
    "AF": "AFIB",
    "  atrial   FIBRILLATION ": "AFIB",
    "Vorhofflimmern": "AFIB",
    "atrial flutter": "AFLT",
    "SVT": "SVTAC",
    "sinus tachycardia ecg": "STACH",
    "bradycardia": "SBRAD",
    "tachycardia": "TACHY",
    "slow heart rate": "BRADY",
    "PVC": "PVC",
    "PVCs": "PVC",
    "ventricular premature beats": "PVC",
    "complete LBBB": "CLBBB",
    "ventrikuläre Extrasystole": "PVC",
    "premature atrial contractions": "PAC",
    "premature complex(es)": "PRC(S)",
    "bigeminy": "BIGU",
    "paced rhythm": "PACE",
    "Schrittmacher-EKG": "PACE",
}

# Where a phrase names another side than its finding: the axis turns right when the left posterior fascicle fails.
OTHER_SIDE = {"LPFB", "LAFB/LPFB"}
WALLS = {"anterior": r"anterior|antero", "inferior": r"inferior|infero", "posterior": r"posterior|postero"} | {
    "lateral": r"(?<!bi)lateral",
    "septal": r"sept",
}
# Walls that a class has beyond those in its name, through its members or by what its reports count to it.
MORE_WALLS = {
    "ISCA": {"septal"},
    "AMI": {"septal", "lateral"},
    "IMI": {"lateral"},
    "MI": {"anterior", "inferior", "lateral", "septal"},
    "STEMI": {"anterior", "inferior", "septal"},
    "STTC": {"anterior", "inferior", "lateral"},
    "CD": {"anterior"},
}


def own_phrases(finding):
    """Return the phrases of a finding that it does not have from a member."""
    of_members = {phrase for code in finding.members for phrase in prompts(code)}
    return set(prompts(finding.code)) - of_members


def walls(text):
    return {wall for wall, pattern in WALLS.items() if re.search(pattern, text.lower())}


def training_rows():
    """Return the codes and the cleaned report of every training record."""
    with open(Path(PTBXL_ROOT, "ptbxl_database.csv"), newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["strat_fold"]) <= 8]
    return [(set(re.findall(r"'([^']+)'", row["scp_codes"])), clean_report(row["report"])) for row in rows]


def statements():
    with open(Path(PTBXL_ROOT, "scp_statements.csv"), newline="", encoding="utf-8") as file:
        return {row[""]: row for row in csv.DictReader(file)}


def test_every_label_of_every_task_has_three_phrasings_in_each_language():
    tasks = [LABELS[task] for task in ("statements", "subclasses", "superclasses")]
    assert [len(labels) for labels in tasks] == [71, 23, 5]
    for label in {label for labels in tasks for label in labels}:
        assert find(label).code == label
    assert all(len(finding.english) >= 3 and len(finding.german) >= 3 for finding in FINDINGS.values())


def test_every_label_of_cpsc2018_and_csn_is_a_finding():
    assert list(CPSC2018_LABELS) == LABELS["cpsc2018"]
    assert list(CSN_LABELS) == LABELS["csn"]
    assert {*CPSC2018_LABELS.values(), *CSN_LABELS.values()} <= set(FINDINGS)
    assert CSN_LABELS["AF"] == "AFLT"


def test_every_label_of_the_challenge_is_a_finding_of_its_own():
    assert set(CHALLENGE_LABELS.values()) <= set(FINDINGS)
    assert len(set(CHALLENGE_LABELS.values())) == len(CHALLENGE_LABELS) == 26
    assert CHALLENGE_LABELS["AF"] == "AFIB"


def test_no_two_findings_claim_one_name():
    for finding in FINDINGS.values():
        for name in (finding.code, finding.name, *finding.names):
            assert find(name).code == finding.code, name


@pytest.mark.parametrize(("typed", "code"), TYPED.items())
def test_labels_are_found_as_people_type_them(typed, code):
    assert find(typed).code == code


@pytest.mark.parametrize("typed", ["", "ECG", "?!", "Brugada pattern"])
def test_what_is_no_finding_is_not_found(typed):
    assert find(typed) is None


def test_an_unknown_label_says_itself():
    assert prompts("  Brugada\n pattern ") == ("brugada pattern",)


def test_a_class_says_what_its_members_say():
    assert set(prompts("IMI")) < set(prompts("MI"))
    assert set(prompts("LAFB/LPFB")) == {*prompts("LAFB"), *prompts("LPFB")}
    for finding in FINDINGS.values():
        assert len(set(prompts(finding.code))) == len(prompts(finding.code))


def test_each_phrase_belongs_to_one_finding():
    owners = Counter(phrase for finding in FINDINGS.values() for phrase in own_phrases(finding))
    assert not [phrase for phrase, count in owners.items() if count > 1]


def test_phrases_are_written_as_reports_are():
    for finding in FINDINGS.values():
        for phrase in prompts(finding.code):
            assert phrase == " ".join(phrase.lower().split()), phrase
            assert len(phrase.split()) <= 12, phrase
        assert all(phrase.endswith(".") for phrase in finding.english)


def test_normal_prompts_name_nothing_abnormal():
    allowed = {"normal", "normales", "ecg", "ekg", "sinus", "rhythm", "sinusrhythmus", "lagetyp", "tracing", "is"}
    assert set(re.findall(r"\w+", " ".join(prompts("NORM")))) <= allowed


def test_a_label_is_told_from_a_normal_ecg_unless_it_is_part_of_one():
    assert opposites("Linksschenkelblock") == opposites("some new finding") == ("NORM",)
    assert "NORM" not in opposites("Normal ECG")
    assert not {"SR", "NORM"} & set(opposites("sinus rhythm"))
    assert all(code in FINDINGS for label in FINDINGS for code in opposites(label))


def test_left_is_never_said_for_right():
    sides = {"left": "right|recht|dextr", "right": r"left|link|sinistr"}
    checked = set()
    for finding in FINDINGS.values():
        for side, other in sides.items():
            if re.search(rf"\b{side}\b", finding.name) and finding.code not in OTHER_SIDE:
                assert not [phrase for phrase in prompts(finding.code) if re.search(other, phrase)], finding.code
                checked.add(finding.code)
    assert {"LAFB", "CLBBB", "CRBBB", "ILBBB", "IRBBB", "LVH", "RVH", "LAO/LAE", "RAO/RAE", "ALS", "ARS"} <= checked


def test_a_slow_rhythm_is_never_said_for_a_fast_one():
    for finding in FINDINGS.values():
        said = " ".join(prompts(finding.code))
        if "tachycardia" in finding.name:
            assert not re.search(r"brady|slow", said), finding.code
        elif "bradycardia" in finding.name:
            assert not re.search(r"tachy|rapid", said), finding.code
        elif finding.code != "AFIB":  # "tachykardes vorhofflimmern" is fibrillation all the same
            assert not re.search(r"brady|tachy", said), finding.code


def test_complete_and_incomplete_block_are_not_mixed():
    for code in ("CLBBB", "CRBBB"):
        assert not re.search(r"incomplete|partial|unvollst", " ".join(prompts(code)))
    for code in ("ILBBB", "IRBBB"):
        assert all(re.search(r"incomplete|partial|unvollst", phrase) for phrase in prompts(code))


def test_flutter_and_fibrillation_are_not_mixed():
    # The device of the German reports writes "vorhofflimmern/-flattern" and nearly always means fibrillation.
    assert all(re.search(r"fibrillation|flimmern", phrase) for phrase in prompts("AFIB"))
    assert not re.search(r"fibrillation|flimmern", " ".join(prompts("AFLT")))


def test_phrases_name_the_wall_of_their_finding():
    for finding in FINDINGS.values():
        if finding.code in ("LAFB", "LPFB", "LAFB/LPFB"):
            continue
        expected = walls(finding.name) | MORE_WALLS.get(finding.code, set())
        for phrase in prompts(finding.code):
            # "Poor progression of r waves in anterior chest leads": leads are anterior to the septum as well.
            said = walls(phrase.replace("anterior chest leads", ""))
            assert said <= expected | ({"anterior"} if finding.code in ("ISCAS", "INJAS") else set()), phrase
        if finding.code in ("IMI", "AMI", "LMI", "PMI", "ISCIN", "ISCLA", "ISCAN", "INJIN", "INJLA"):
            assert any(walls(finding.name) & walls(phrase) for phrase in finding.english)
            assert any(walls(finding.name) & walls(phrase) for phrase in finding.german)


def test_the_examples_of_the_module_run():
    assert doctest.testmod(prompts_merit).failed == 0


@needs_ptbxl
def test_labels_are_those_of_ptbxl_and_found_by_their_descriptions():
    rows = statements()
    assert set(LABELS["statements"]) == set(rows)
    assert set(LABELS["subclasses"]) == {row["diagnostic_subclass"] for row in rows.values()} - {""}
    assert set(LABELS["superclasses"]) == {row["diagnostic_class"] for row in rows.values()} - {""}
    for code, row in rows.items():
        assert find(row["description"]).code == code


@needs_ptbxl
def test_members_of_a_class_are_its_statements_that_are_not_rare():
    rows, records = statements(), training_rows()
    for column in ("diagnostic_class", "diagnostic_subclass"):
        for label in {row[column] for row in rows.values()} - {""}:
            # STTC is superclass and subclass; the superclass is the wider.
            if label == "STTC" and column == "diagnostic_subclass":
                continue
            of_class = {code for code, row in rows.items() if row[column] == label}
            carrying = [codes & of_class for codes, _ in records if codes & of_class]
            counts = Counter(code for codes in carrying for code in codes)
            frequent = {code for code, count in counts.items() if count >= len(carrying) / 25}
            frequent = {code for code in frequent if not code.startswith("INJ")}
            # A statement is its own member, and may have members that are no diagnosis.
            members = {*FINDINGS[label].members, label} & set(rows)
            assert frequent - {label} <= members, label
            if column == "diagnostic_class" or label in ("IMI", "AMI"):
                assert members & of_class - {label} == frequent - {label}, label


@needs_ptbxl
def test_nearly_all_words_of_the_phrases_occur_in_training_reports():
    known = {word for _, report in training_rows() for word in re.findall(r"[^\W\d_]+", report)}
    words = {
        word
        for finding in FINDINGS.values()
        for phrase in prompts(finding.code)
        for word in re.findall(r"[^\W\d_]+", phrase)
    }
    missed = sorted(words - known)
    assert len(missed) <= 0.05 * len(words), missed
