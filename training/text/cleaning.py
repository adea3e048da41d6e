"""Clean report text so that only the findings remain.

The reports of PTB-XL contain, besides the findings,

- editors' marks that state the label itself: `Edit: IMI 80, CRBBB, (IMI 100)` at the end of 555 reports and
  `consensus label derived from: {'LVH': 100.0, ...}` directly after the last word of 16. Everything from the mark on is
  removed;
- the device's signature, `4.46 ... unbestätigter bericht`, often truncated where the field ends after 255 characters;
- the placeholders `trace only requested.` and `trace only.`, which are not findings;
- dates of earlier tracings, and a form with empty fields for identifiers and measurements;
- characters damaged by old encodings: `unbestÄtigt`, `f#r`, `schweiáausbruch`, line drawing characters.

Some SCP codes are also words that findings use. They never come from a mark and are kept, see `CODES_IN_PROSE`.
"""

import re
from collections.abc import Iterable

__all__ = ["CODES_IN_PROSE", "clean_report", "clean_statements", "detect_language", "spell_out_umlauts"]

# SCP codes that occur in running text: "voltages suggesting lvh", "wpw, typ a", "sr" for sinus rhythm,
# "rvh möglich", "block (lafb)", and the Swedish "vänster el-axel" (electrical axis, not electrolytes).
CODES_IN_PROSE = frozenset({"el", "lafb", "lvh", "rvh", "sr", "wpw"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
# Text in lower case that was decoded with the wrong character set, and its correction.
_REPAIRS = {"säó¬ning": "sänkning", "elleó¬vänster": "eller vänster", "f#r": "für", "#bergang": "übergang", "á": "ß"}
_LINE_DRAWING = re.compile(r"ó[¬½¿©]|[`\\]")
_EDITORS_MARK = re.compile(r"(?:edit\s*:|consensus label derived from\s*:).*", re.DOTALL)
_SIGNATURE = re.compile(r"\s4\.4[06](?:\s+(?:un?|unb\w*|unc\w*)(?:\s+(?:b|r)\w*)?)?\s*$")
_SIGNATURE_CUT = re.compile(r"\s4(?:\.4?)?$")
_FIELD_LENGTH = 255
_PLACEHOLDER = re.compile(r"\btrace only(?: requested)?\b\.?")
# An empty form, in a Swedish 7-bit character set: "}lder" is "ålder" (age).
_BLANK_FORM = re.compile(r"\bnr: \d+ }lder:.*\bmed:")
_DATE = re.compile(
    r"(?: (?:of|dated|from|on|vom))?"  # "compared with tracing of 23:6:92, ..."
    r"(?: \d{1,2}(?::\d{1,2}){0,2} (?:&|and))?"  # "tracings of 30:9 and 1:10:92"
    r" (?:\d{1,2}[:./]\d{1,2}[:.,/]\d{2}|\d{6})\b"
)
# Statements of an electrocardiograph about the recording or the analysis rather than about the heart.
_DEVICE_STATEMENT = re.compile(
    r"data quality|poor quality|interpretation may be affected|not entered|without knowing|unconfirmed|physician"
    r"|analysis (?:error|not attempted|attempted)|report not available|leads? (?:is|are) missing|analyzed$|^uncertain$"
)
# Frequent words of findings in each language. A word that two languages share must be listed in both: counted for one
# alone, it would decide short reports.
_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "de": """
            abnorm abnormal abnormales abnormes abstand achse alt alter alters arrhythmie auf auszuschliessen bericht
            beschleunigter biphasisch chronisch das der die es extrasystole fehlende flach fuer für grades grenzbefund
            hebung hemiblock idioventrikulärrhythmus infarkt ist kein keine lagetyp leitungsstoerung leitungsstörung
            linksbelastung linkshypertrophie linksschenkelblock linkstyp llt mit mlt myokardschaden mässige möglich
            möglicherweise nach nicht niederspannung normales oder periphere progression rechts rechtsschenkelblock
            rechtstyp rhythmus ruhe schenkelblock schlechte schrittmacher selten senkung sinusbradykardie sinusrhythmus
            sinustachykardie slt sonst steiltyp supraventrikuläre tachykardes ueberdrehter und unspezifisches
            unvollständiger ventrikuläre verdacht verlängerung verschoben verzoegerte verzögerte vorhofflattern
            vorhofflimmern wahrscheinlich überdrehter übergang
        """,
        "en": """
            abnormal and are atrial axis be beats block borderline branch bundle cannot changes chest complexes
            consistent contraction depressed depression deviation disease dissociation due ecg effect elevation
            enlargement fibrillation findings flat flutter for has heart high hypertrophy in incomplete infarct
            infarction inferior interval inverted is ischaemia ischemia it lead leads left limb low myocardial no non of
            old or otherwise paced pacemaker pathology poor premature progression prolonged rate rhythm right segments
            sinus specific suggesting tachycardia that the there this to tracing variant ventricular voltage voltages
            wave waves with
        """,
        "sv": """
            amplituder arytmi av avvikande axel belastning bestämmbar bör ej eljest eller extrasystoli
            extremitetsavledningarna fladder flimmer färsk för förlopp förlängd förmak förmaksflimmer förändring gammal
            hypertrofi hög höger inferolateral inga inget ischemi kammarhypertrofi låga med misstänkt myokardaffektion
            myokardskada normalt och ospecifik ospecifikt pacemaker regelbunden rytm sannolikt sinusarrhythmie
            sinusbradykardi sinusrytm sinustachykardi skänkelblock slag säkert sänkning såsom uteslutas ventrikulär vid
            vänster våg äldre ålder övervägas
        """,
    }.items()
}


def clean_report(raw: str) -> str:
    """Return the findings of a report in lower case on one line, "" if it has none.

    Example:
        >>> clean_report("trace only requested. Edit: CLBBB")
        ''
        >>> clean_report("sinusrhythmus   infarkt mÖglich 4.46        unbestÄtigter be")
        'sinusrhythmus infarkt möglich'
    """
    text = raw.lower()
    for damaged, repaired in _REPAIRS.items():
        text = text.replace(damaged, repaired)
    text = _EDITORS_MARK.sub("", _LINE_DRAWING.sub(" ", text))
    if len(raw) == _FIELD_LENGTH:
        text = _SIGNATURE_CUT.sub("", text)
    text = _PLACEHOLDER.sub("", _SIGNATURE.sub("", text))
    text = " ".join(text.split())
    return _DATE.sub("", _BLANK_FORM.sub("", text)).strip()


def clean_statements(statements: Iterable[str]) -> str:
    """Return an electrocardiograph's statements about the heart on one line in lower case, one sentence each.

    Statements about data quality, missing data, leads that were not analysed or missing confirmation are left out.

    Example:
        >>> clean_statements(["Sinus rhythm", "*** Warning: Data quality may affect interpretation ***", "Normal ECG."])
        'sinus rhythm. normal ecg.'
    """
    lines = (" ".join(statement.lower().strip(" .*-").split()) for statement in statements)
    return " ".join(
        f"{line.removeprefix('summary: ')}." for line in lines if line and not _DEVICE_STATEMENT.search(line)
    )


def spell_out_umlauts(text: str) -> str:
    """Return text in lower case with "ae" for "ä" and so on, as some reports write it.

    Example:
        >>> spell_out_umlauts("veränderung")
        'veraenderung'
    """
    return text.translate(_UMLAUTS)


def detect_language(text: str) -> str:
    """Return the language of a cleaned report: "de", "en" or "sv", or "" if no word is known.

    The language with the most known words wins; in a tie, the first of these three.

    Example:
        >>> detect_language("abnormal ecg")
        'en'
        >>> detect_language("sinusrytm vänster el-axel")
        'sv'
    """
    words = re.findall(r"[^\W\d_]+", text)
    counts = {language: sum(word in known for word in words) for language, known in _WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] else ""
