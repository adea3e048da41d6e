"""Reports for simulated recordings in the style of a hospital archive, in English and German.

Reports are terse, in lower case, and vary in wording. They state every finding of the parameters and no other; remarks
on the axis and similar details are optional, as in real reports.

    >>> import numpy as np
    >>> from merit.training.simulation.parameters import sample_parameters
    >>> rng = np.random.default_rng(0)
    >>> parameters = sample_parameters(rng, statements=("SBRAD", "CLBBB"))
    >>> write_report(parameters, "german", rng)
    'sinusbradykardie kompletter linksschenkelblock'
"""

import math
from typing import Literal

import numpy as np

from ...processing.leads_merit import STANDARD_LEADS
from .parameters import EcgParameters
from .statements import RHYTHMS

Language = Literal["english", "german"]
# Phrases for each statement; the first is drawn most often.
_PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "english": {
        "SR": ("sinus rhythm", "normal sinus rhythm", "regular sinus rhythm"),
        "SBRAD": ("sinus bradycardia", "sinus bradycardia, rate {rate}", "slow sinus rhythm, bradycardia"),
        "STACH": ("sinus tachycardia", "sinus tachycardia, rate {rate}", "rapid sinus rhythm, tachycardia"),
        "SARRH": ("sinus arrhythmia", "respiratory sinus arrhythmia", "marked sinus arrhythmia"),
        "AFIB": ("atrial fibrillation", "rhythm is atrial fibrillation"),
        "AFLT": (
            "atrial flutter",
            "atrial flutter with {ratio}:1 conduction",
            "atrial flutter with {ratio}:1 av block",
        ),
        "PACE": (
            "ventricular paced rhythm",
            "pacemaker rhythm",
            "pacemaker spikes. paced ventricular complexes",
            "electronic pacemaker, ventricular capture",
        ),
        "PAC": (
            "premature atrial contraction(s)",
            "atrial premature beats",
            "premature atrial complexes",
            "supraventricular extrasystoles",
        ),
        "PVC": (
            "premature ventricular contraction(s)",
            "ventricular extrasystoles",
            "ventricular premature beats",
            "premature ventricular complexes",
        ),
        "1AVB": (
            "first degree av block",
            "prolonged pr interval",
            "prolonged pr interval, first degree av block",
            "av block i, pr {pr} ms",
        ),
        "CLBBB": ("left bundle branch block", "complete left bundle branch block", "complete lbbb"),
        "CRBBB": ("right bundle branch block", "complete right bundle branch block", "complete rbbb"),
        "LAFB": ("left anterior fascicular block", "left anterior hemiblock"),
        "LVH": (
            "left ventricular hypertrophy",
            "voltage criteria for left ventricular hypertrophy",
            "voltages are high in chest leads suggesting lvh",
            "voltages of left ventricular hypertrophy",
            "probable left ventricular hypertrophy",
        ),
        "RVH": (
            "right ventricular hypertrophy",
            "tall r in v1, right ventricular hypertrophy",
            "right ventricular hypertrophy likely",
        ),
        "IMI": (
            "{age} inferior myocardial infarction",
            "q waves in ii, iii, avf consistent with {age} inferior infarct",
            "possible {age} inferior infarct",
            "{age} inferior infarction",
        ),
        "AMI": (
            "{age} anterior myocardial infarction",
            "loss of r in the chest leads consistent with {age} anterior infarct",
            "possible {age} anterior infarct",
            "q waves in v2 suggesting {age} anterior infarct",
            "qs complexes in v2,3 consistent with {age} anteroseptal myocardial infarction",
            "tiny r waves in v2,3 suggesting {age} anteroseptal infarct",
            "poor progression of r waves in anterior chest leads",
        ),
        "LMI": (
            "{age} lateral myocardial infarction",
            "q waves in i, avl, v5,6 consistent with {age} lateral infarct",
            "{age} lateral infarct",
            "q waves in i, avl suggesting {age} lateral infarct",
        ),
        "STD_": (
            "st depression in {st_leads}",
            "st segments are depressed in {st_leads}",
            "non-specific st depression, {st_leads}",
        ),
        "INVT": ("t waves are inverted in {t_leads}", "t wave inversion in {t_leads}", "negative t waves in {t_leads}"),
        "LVOLT": ("low limb lead voltage", "low voltage ecg", "low voltage in the limb leads", "low qrs voltages"),
    },
    "german": {
        "SR": ("sinusrhythmus", "normaler sinusrhythmus", "regelmäßiger sinusrhythmus"),
        "SBRAD": ("sinusbradykardie", "bradykarder sinusrhythmus", "sinusbradykardie {rate}/min"),
        "STACH": ("sinustachykardie", "tachykarder sinusrhythmus", "sinustachykardie {rate}/min"),
        "SARRH": ("sinus arrhythmie", "sinusarrhythmie", "respiratorische sinusarrhythmie"),
        "AFIB": ("vorhofflimmern", "vorhofflimmern/-flattern", "absolute arrhythmie bei vorhofflimmern"),
        "AFLT": ("vorhofflattern", "vorhofflattern mit {ratio}:1 überleitung", "vorhofflattern {ratio}:1"),
        "PACE": (
            "schrittmacher ekg",
            "schrittmacherrhythmus",
            "ventrikuläre schrittmacherstimulation",
            "pacemaker ekg, ventrikuläre stimulation",
        ),
        "PAC": ("supraventrikuläre extrasystole(n)", "supraventrikuläre extrasystolen", "vorhofextrasystolen", "sves"),
        "PVC": ("ventrikuläre extrasystole(n)", "ventrikuläre extrasystolen", "ves", "kammerextrasystolen"),
        "1AVB": (
            "a-v block i",
            "av-block 1. grades",
            "av-block 1. grades, pq {pr} ms",
            "pq-zeit verlängert",
            "pq-verlängerung",
        ),
        "CLBBB": ("linksschenkelblock", "kompletter linksschenkelblock", "vollständiger linksschenkelblock", "lsb"),
        "CRBBB": ("rechtsschenkelblock", "kompletter rechtsschenkelblock", "vollständiger rechtsschenkelblock", "rsb"),
        "LAFB": ("linksanteriorer hemiblock", "links-anteriorer hemiblock", "lah"),
        "LVH": (
            "linkshypertrophie",
            "linksventrikuläre hypertrophie",
            "mässige amplitudenkriterien für linkshypertrophie",
            "linkshypertrophie möglich",
            "kammerhypertrophie lvh möglich",
            "linkshypertrophie, sokolow {sokolow} mv",
        ),
        "RVH": ("rechtshypertrophie", "rechtsventrikuläre hypertrophie", "hohes r in v1, rechtshypertrophie"),
        "IMI": (
            "qrs(t) abnorm inferiorer infarkt {age}",
            "inferiorer infarkt {age}",
            "inferiorer infarkt möglich",
            "qrs(t) abnorm inferiorer myokardschaden möglich",
            "hinterwandinfarkt {age}",
            "q in ii, iii, avf, inferiorer infarkt {age}",
        ),
        "AMI": (
            "qrs(t) abnorm anteriorer infarkt {age}",
            "anteriorer infarkt {age}",
            "anteriorer infarkt möglich",
            "qrs(t) abnorm anteroseptaler infarkt {age}",
            "anteroseptaler infarkt möglich",
            "qrs(t) abnorm anteroseptaler myokardschaden nicht auszuschliessen",
            "vorderwandinfarkt {age}",
            "mangelnde r-progression, vorderwandinfarkt {age}",
        ),
        "LMI": (
            "qrs(t) abnorm lateraler infarkt {age}",
            "lateraler infarkt {age}",
            "qrs(t) abnorm hochlateraler infarkt",
            "hochlateraler infarkt möglich",
            "seitenwandinfarkt {age}",
            "q in i, avl, v5-6, lateraler infarkt {age}",
        ),
        "STD_": (
            "st-senkung in {st_leads}",
            "leichte st-senkung in {st_leads}",
            "diskrete st-senkung in {st_leads}",
            "st-streckensenkung {st_leads}",
        ),
        "INVT": ("t negativ in {t_leads}", "t neg. in {t_leads}", "neg. t in {t_leads}", "t-negativierung {t_leads}"),
        "LVOLT": (
            "periphere niederspannung",
            "niederspannung",
            "periphere low voltage",
            "niedervoltage in den extremitätenableitungen",
        ),
    },
}
_AGES = {
    "english": {True: ("acute", "recent"), False: ("old", "probably old", "previous")},
    "german": {True: ("akut", "mögl. akut", "frisch"), False: ("wahrscheinlich alt", "alter unbest.", "alt")},
}
_STRAIN = {
    "english": ("with strain pattern", "ventricular strain", "secondary repolarisation changes"),
    "german": (
        "mit belastungszeichen",
        "repolarisationsstörung im sinne einer belastung",
        "erregungsrückbildungsstörung",
    ),
}
_NORMAL = {
    "english": ("normal ecg", "normal ecg", "no definite pathology"),
    "german": ("normales ekg", "normales ekg", "unauffälliges ekg"),
}
_OTHERWISE_NORMAL = {
    "english": ("otherwise normal ecg", "otherwise no definite pathology"),
    "german": ("sonst normales ekg", "ansonsten unauffälliges ekg"),
}
_PATHOLOGICAL = {"english": ("abnormal ecg",), "german": ("pathologisches ekg", "pathologisch")}
# Name of the frontal axis up to an angle in degrees. German reports name every axis, English ones only deviations.
_AXES = {
    "english": (
        (-90, "extreme axis deviation"),
        (-30, "left axis deviation"),
        (95, ""),
        (180, "right axis deviation"),
    ),
    "german": (
        (-90, "überdrehter rechtstyp"),
        (-30, "überdrehter linkstyp"),
        (30, "linkstyp"),
        (92, "lagetyp normal"),
        (120, "rechtstyp"),
        (180, "überdrehter rechtstyp"),
    ),
}
_VENTRICULAR_RATES = {
    "english": (
        "with slow ventricular response",
        "with controlled ventricular response",
        "with rapid ventricular response",
    ),
    "german": ("mit langsamer kammerfrequenz", "mit normaler kammerfrequenz", "mit schneller kammerfrequenz"),
}


def write_report(parameters: EcgParameters, language: Language, rng: np.random.Generator) -> str:
    """Write a report of a simulated recording.

    Args:
        parameters: of the recording.
        language: "english" or "german".
        rng: random generator, which chooses the wording.

    Returns:
        One line in lower case. It names every statement of the parameters (a sinus rhythm may be left implicit) and no
        other.
    """
    statements = parameters.statements
    values = _phrase_values(parameters, language, rng)
    phrases = {code: _pick(rng, _PHRASES[language][code]).format(**values) for code in statements if code != "NORM"}
    rhythm = next(code for code in statements if code in RHYTHMS)

    if rhythm == "AFIB" and rng.random() < 0.6:
        phrases["AFIB"] += " " + _VENTRICULAR_RATES[language][int(np.searchsorted([60, 100], parameters.heart_rate))]
    if parameters.strain and rng.random() < 0.8:
        hypertrophy = "LVH" if "LVH" in statements else "RVH"
        phrases[hypertrophy] += ", " + _pick(rng, _STRAIN[language])
    if statements == ("NORM", "SR"):
        phrases["SR"] = _pick(rng, _PHRASES[language]["SR"], first=0.9)

    premature = [phrases.pop(code) for code in ("PAC", "PVC") if code in phrases]
    opening = [phrases.pop(rhythm)]
    if rhythm == "SR" and premature and rng.random() < 0.15:
        opening = []
    opening = premature + opening if rng.random() < 0.75 else opening + premature
    axis = next(name for limit, name in _AXES[language] if parameters.qrs_axis <= limit)
    if axis and rhythm != "PACE" and rng.random() < 0.75:
        opening.append(axis)
    findings = list(phrases.values())
    if rng.random() < 0.2:
        findings = [findings[i] for i in rng.permutation(len(findings))]
    sentences = [*opening, *findings, *_conclusion(statements, language, rng)]
    # The German reports of PTB-XL rarely have full stops.
    return " ".join(sentences) if language == "german" and rng.random() < 0.7 else ". ".join(sentences) + "."


def _conclusion(statements: tuple[str, ...], language: Language, rng: np.random.Generator) -> list[str]:
    if statements == ("NORM", "SR"):
        return [_pick(rng, _NORMAL[language], first=0.85)]
    if "NORM" in statements:
        return [_pick(rng, _OTHERWISE_NORMAL[language], first=0.85)]
    return [_pick(rng, _PATHOLOGICAL[language])] if rng.random() < 0.12 else []


def _phrase_values(parameters: EcgParameters, language: Language, rng: np.random.Generator) -> dict[str, str | int]:
    """Return the values of the placeholders in phrases."""
    return {
        "rate": round(parameters.heart_rate),
        "ratio": parameters.conduction_ratio,
        "pr": "" if math.isnan(parameters.pr) else round(1000 * parameters.pr),
        "sokolow": f"{parameters.sokolow_lyon:.1f}",
        "age": _pick(rng, _AGES[language][parameters.acute]),
        "st_leads": _format_leads(parameters.depressed_st),
        "t_leads": _format_leads(parameters.negative_t),
    }


def _format_leads(names: tuple[str, ...]) -> str:
    """Write lead names as in a report: three or more consecutive chest leads become a range.

    >>> _format_leads(("I", "aVL", "V3", "V4", "V5"))
    'i, avl, v3-5'
    """
    limb = [name.lower() for name in names if name not in STANDARD_LEADS[6:]]
    chest = [int(name[1]) for name in names if name in STANDARD_LEADS[6:]]
    if len(chest) > 2 and chest[-1] - chest[0] == len(chest) - 1:
        return ", ".join([*limb, f"v{chest[0]}-{chest[-1]}"])
    return ", ".join([*limb, *(f"v{number}" for number in chest)])


def _pick(rng: np.random.Generator, phrases: tuple[str, ...], first: float = 0.5) -> str:
    """Draw a phrase; the first has at least the probability `first`."""
    return phrases[0] if rng.random() < first else phrases[rng.integers(len(phrases))]
