"""The glossary: what labels mean, and the prompts of each finding."""

import csv
import hashlib
import json
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from merit.processing import glossary_merit
from merit.processing.glossary_merit import Glossary
from merit.training.data.label_maps import CHALLENGE_LABELS, CPSC2018_LABELS, CSN_LABELS
from merit.training.text.cleaning import clean_report

GLOSSARY = Glossary.default()
FINDINGS, find, prompts, opposites = GLOSSARY.findings, GLOSSARY.find, GLOSSARY.prompts, GLOSSARY.opposites


with (Path(__file__).parent / "typed_labels.csv").open(encoding="utf-8", newline="") as file:
    TYPED_LABELS = [(row["label"], row["meaning"]) for row in csv.DictReader(file)]

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

# Left posterior fascicular block turns the axis to the right, so its prompts name the right side.
OTHER_SIDE = {"LPFB", "LAFB/LPFB"}
WALLS = {"anterior": r"anterior|antero", "inferior": r"inferior|infero", "posterior": r"posterior|postero"} | {
    "lateral": r"(?<!bi)lateral",
    "septal": r"sept",
}
# Walls that prompts of a class may name although its own name does not: from its members or its reports.
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


def training_rows(root):
    """Return the codes and the cleaned report of every training record."""
    with open(root / "ptbxl_database.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["strat_fold"]) <= 8]
    return [(set(re.findall(r"'([^']+)'", row["scp_codes"])), clean_report(row["report"])) for row in rows]


def statements(root):
    with open(root / "scp_statements.csv", newline="", encoding="utf-8") as file:
        return {row[""]: row for row in csv.DictReader(file)}


def test_every_label_of_ptbxl_has_three_prompts_in_each_language():
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


def test_every_label_of_the_challenge_is_a_different_finding():
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
def test_a_label_that_is_no_finding_is_not_found(typed):
    assert find(typed) is None


@pytest.mark.parametrize(("label", "meaning"), TYPED_LABELS)
def test_typed_labels_are_understood_or_told(label, meaning):
    """The meaning is a finding, "not" a finding, "refused", "unknown", or with a question mark at least suggested."""
    if meaning == "refused":
        with pytest.raises(ValueError, match="negates something that is no finding"):
            GLOSSARY.read(label)
        return
    finding, negated = GLOSSARY.read(label)
    code = f"{'not ' * negated}{finding.code}" if finding else "unknown"
    if meaning.endswith("?") and code == "unknown":
        assert FINDINGS[meaning[:-1]].name in GLOSSARY.suggestions(label)
    else:
        assert code == meaning.removesuffix("?")


def test_related_terms_are_no_names_of_findings():
    for finding in FINDINGS.values():
        for term in finding.related:
            assert find(term) is None, term
            assert finding.name in GLOSSARY.suggestions(term), term


def test_fibrillation_of_the_ventricles_is_never_taken_for_that_of_the_atria():
    for label in ("ventricular fibrillation", "ventricular fibrilation", "VF", "V-fib", "Kammerflimmern"):
        assert find(label) is None
        assert GLOSSARY.suggestions(label) == ()
    assert find("auricular fibrillation").code == "AFIB"


@pytest.mark.parametrize(
    "label", ["atrial fibrilation", "artial fibrillation", "atrialfibrilation", "ATRIAL fibrilaton"]
)
def test_a_slip_of_one_or_two_letters_is_suggested_and_not_decided(label):
    assert GLOSSARY.read(label) == (None, False)
    assert GLOSSARY.suggestions(label) == ("atrial fibrillation",)


@pytest.mark.slow
@pytest.mark.parametrize("label", ["VTs", "AV block 4", "4th degree AV block", "atrium filtration", "QRS"])
def test_short_words_numbers_and_more_than_two_letters_are_no_slips(label):
    assert not {"SVTAC", "1AVB", "2AVB", "3AVB", "AFIB"} & {
        code for code, finding in FINDINGS.items() if finding.name in GLOSSARY.suggestions(label)
    }


def test_a_negation_of_something_that_is_no_finding_names_it_and_what_to_do():
    with pytest.raises(ValueError, match=r"'no atrial fibrilation' .*did you mean 'atrial fibrillation'\?.* its own"):
        GLOSSARY.read("no atrial fibrilation")


def test_an_unknown_label_is_its_own_prompt():
    assert prompts("  Brugada\n pattern ") == ("brugada pattern",)


def test_a_class_has_the_prompts_of_its_members():
    assert set(prompts("IMI")) < set(prompts("MI"))
    assert set(prompts("LAFB/LPFB")) == {*prompts("LAFB"), *prompts("LPFB")}
    for finding in FINDINGS.values():
        assert len(set(prompts(finding.code))) == len(prompts(finding.code))


def test_the_wording_of_the_glossary_is_the_one_that_published_scores_were_measured_with():
    findings = [(f.code, f.name, f.names, f.english, f.german, f.members) for f in FINDINGS.values()]
    assert len(findings) == 99
    assert [sum(map(len, column)) for column in list(zip(*findings))[2:5]] == [544, 470, 488]
    digest = hashlib.sha256(repr(findings).encode()).hexdigest()
    assert digest == "a0823f848846a8f226107cf0aab826365cc56456b8e109fa217493d17b495fc4"


def test_a_saved_glossary_has_the_bytes_of_the_packages_file(tmp_path):
    path = Path(glossary_merit.__file__).with_name("glossary_merit.json")
    GLOSSARY.save(tmp_path / "saved.json")
    assert (tmp_path / "saved.json").read_bytes() == path.read_bytes()
    assert Glossary.from_file(tmp_path / "saved.json").findings == FINDINGS


def test_the_glossary_is_part_of_the_package():
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert "glossary_merit.json" in settings["tool"]["setuptools"]["package-data"]["merit.processing"]


def test_saving_keeps_a_link_to_an_equal_file_and_never_writes_through_a_link(tmp_path):
    original, link = tmp_path / "original.json", tmp_path / "link.json"
    GLOSSARY.save(original)
    link.symlink_to(original)
    GLOSSARY.save(link)
    assert link.is_symlink()
    before = original.read_bytes()
    small = tmp_path / "small.json"
    small.write_text(json.dumps({"findings": [NORM, AFIB]}), encoding="utf-8")
    Glossary.from_file(small).save(link)
    assert not link.is_symlink()
    assert original.read_bytes() == before
    assert list(Glossary.from_file(link).findings) == ["NORM", "AFIB"]


NORM = {"code": "NORM", "name": "normal ECG", "english": ["normal ecg."]}
AFIB = {"code": "AFIB", "name": "atrial fibrillation", "names": ["AF"], "german": ["vorhofflimmern"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting"),
        ("[" * 100_000, "recursion"),
        ([NORM], 'no list "findings"'),
        ({"findings": {}}, 'no list "findings"'),
        ({"findings": ["NORM"]}, "a finding has code, name.*'NORM'"),
        ({"findings": [{"code": "NORM"}]}, "a finding has code, name.*'NORM'"),
        ({"findings": [NORM | {"swedish": []}]}, "a finding has code, name"),
        ({"findings": [NORM | {"name": ["normal"]}]}, "name of 'NORM' is \\['normal'\\]"),
        ({"findings": [NORM | {"english": "normal"}]}, "english of 'NORM' is 'normal'"),
        ({"findings": [NORM | {"german": ["normal", " "]}]}, "german of 'NORM' is"),
        ({"findings": []}, "the opposite NORM"),
        ({"findings": [AFIB]}, "the opposite NORM"),
        ({"findings": [NORM, NORM]}, "NORM is defined twice"),
        ({"findings": [NORM, AFIB, {**AFIB, "code": "AFL"}]}, "'atrial fibrillation' is a name of both AFIB and AFL"),
        ({"findings": [NORM, AFIB | {"members": ["AT"]}]}, "AFIB has the member AT"),
        ({"findings": [NORM, AFIB | {"opposites": ["SR"]}]}, "the opposite SR"),
        ({"findings": [NORM, {"code": "AT", "name": "atrial tachycardia"}]}, "AT has no phrase"),
    ],
)
def test_a_file_that_is_no_glossary_is_refused_with_its_name_and_the_reason(tmp_path, content, message):
    path = tmp_path / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"mine\.json is no glossary: .*{message}"):
        Glossary.from_file(path)


def test_prompts_can_be_those_of_one_language():
    assert prompts("AFIB", "en") == FINDINGS["AFIB"].english
    assert prompts("AFIB", "de") == FINDINGS["AFIB"].german
    assert prompts("AFIB", "both") == prompts("AFIB") == FINDINGS["AFIB"].english + FINDINGS["AFIB"].german


def test_each_phrase_belongs_to_one_finding():
    owners = Counter(phrase for finding in FINDINGS.values() for phrase in own_phrases(finding))
    assert not [phrase for phrase, count in owners.items() if count > 1]


def test_prompts_are_written_like_reports():
    for finding in FINDINGS.values():
        for phrase in prompts(finding.code):
            assert phrase == " ".join(phrase.lower().split()), phrase
            assert len(phrase.split()) <= 12, phrase
        assert all(phrase.endswith(".") for phrase in finding.english)


def test_prompts_of_a_normal_ecg_name_nothing_abnormal():
    allowed = {"normal", "normales", "ecg", "ekg", "sinus", "rhythm", "sinusrhythmus", "lagetyp", "tracing", "is"}
    assert set(re.findall(r"\w+", " ".join(prompts("NORM")))) <= allowed


def test_a_label_is_contrasted_with_a_normal_ecg_unless_it_is_part_of_one():
    assert opposites("Linksschenkelblock") == opposites("some new finding") == ("NORM",)
    assert "NORM" not in opposites("Normal ECG")
    assert not {"SR", "NORM"} & set(opposites("sinus rhythm"))
    assert all(code in FINDINGS for label in FINDINGS for code in opposites(label))


def test_prompts_of_a_left_sided_finding_never_name_the_right_side():
    sides = {"left": "right|recht|dextr", "right": r"left|link|sinistr"}
    checked = set()
    for finding in FINDINGS.values():
        for side, other in sides.items():
            if re.search(rf"\b{side}\b", finding.name) and finding.code not in OTHER_SIDE:
                assert not [phrase for phrase in prompts(finding.code) if re.search(other, phrase)], finding.code
                checked.add(finding.code)
    assert {"LAFB", "CLBBB", "CRBBB", "ILBBB", "IRBBB", "LVH", "RVH", "LAO/LAE", "RAO/RAE", "ALS", "ARS"} <= checked


def test_prompts_of_a_fast_rhythm_never_name_a_slow_one():
    for finding in FINDINGS.values():
        stated = " ".join(prompts(finding.code))
        if "tachycardia" in finding.name:
            assert not re.search(r"brady|slow", stated), finding.code
        elif "bradycardia" in finding.name:
            assert not re.search(r"tachy|rapid", stated), finding.code
        elif finding.code != "AFIB":  # "tachykardes vorhofflimmern" is fibrillation all the same
            assert not re.search(r"brady|tachy", stated), finding.code


def test_prompts_distinguish_complete_from_incomplete_block():
    for code in ("CLBBB", "CRBBB"):
        assert not re.search(r"incomplete|partial|unvollst", " ".join(prompts(code)))
    for code in ("ILBBB", "IRBBB"):
        assert all(re.search(r"incomplete|partial|unvollst", phrase) for phrase in prompts(code))


def test_prompts_distinguish_flutter_from_fibrillation():
    # German reports by the ECG device have "vorhofflimmern/-flattern", which nearly always means fibrillation.
    assert all(re.search(r"fibrillation|flimmern", phrase) for phrase in prompts("AFIB"))
    assert not re.search(r"fibrillation|flimmern", " ".join(prompts("AFLT")))


def test_prompts_name_the_wall_of_their_finding():
    for finding in FINDINGS.values():
        if finding.code in ("LAFB", "LPFB", "LAFB/LPFB"):
            continue
        expected = walls(finding.name) | MORE_WALLS.get(finding.code, set())
        for phrase in prompts(finding.code):
            # "Poor progression of r waves in anterior chest leads": leads are anterior to the septum as well.
            stated = walls(phrase.replace("anterior chest leads", ""))
            assert stated <= expected | ({"anterior"} if finding.code in ("ISCAS", "INJAS") else set()), phrase
        if finding.code in ("IMI", "AMI", "LMI", "PMI", "ISCIN", "ISCLA", "ISCAN", "INJIN", "INJLA"):
            assert any(walls(finding.name) & walls(phrase) for phrase in finding.english)
            assert any(walls(finding.name) & walls(phrase) for phrase in finding.german)


def test_labels_of_ptbxl_are_complete_and_found_by_their_descriptions(ptbxl_root):
    rows = statements(ptbxl_root)
    assert set(LABELS["statements"]) == set(rows)
    assert set(LABELS["subclasses"]) == {row["diagnostic_subclass"] for row in rows.values()} - {""}
    assert set(LABELS["superclasses"]) == {row["diagnostic_class"] for row in rows.values()} - {""}
    for code, row in rows.items():
        assert find(row["description"]).code == code


def test_members_of_a_class_are_its_statements_that_are_not_rare(ptbxl_root):
    rows, records = statements(ptbxl_root), training_rows(ptbxl_root)
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


def test_at_least_95_percent_of_the_words_in_prompts_occur_in_training_reports(ptbxl_root):
    known = {word for _, report in training_rows(ptbxl_root) for word in re.findall(r"[^\W\d_]+", report)}
    words = {
        word
        for finding in FINDINGS.values()
        for phrase in prompts(finding.code)
        for word in re.findall(r"[^\W\d_]+", phrase)
    }
    missed = sorted(words - known)
    assert len(missed) <= 0.05 * len(words), missed
