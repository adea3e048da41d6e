"""How labels are spelled: the words of a label in one form, negations, and the distance between two spellings."""

import re
from functools import cache

__all__ = ["canonical_words", "edit_distance", "has_negation", "label_key", "label_words", "split_negation"]

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "°": " ", "º": " ", "₁": "1"})
_ECG = {"ecg", "ekg", "electrocardiogram", "elektrokardiogramm"}
# "pre-excitation" and "preexcitation" are one word, and so are "non-specific" and "infero-lateral".
_PREFIXES = {"antero", "counter", "infero", "intra", "non", "postero", "pre", "sub", "supra"}
# Words that do not distinguish two findings. A finding that is only possible counts as the finding, as in the labels of
# PTB-XL.
_FILLERS = """
the in of with is are be this these which at im mit der die das
area complex degree grade interval lead myocardial pattern segment syndrome type wall wave
ableitung grad komplex strecke typ welle zacke zeit
consistent evidence finding possible possibly presence present probable probably sign suggestive suspected
auf befund fuer hinweis mehr moeglich moeglicherweise verdacht vorhanden zeichen
"""
# One word, or several, and words and abbreviations that mean the same.
_SYNONYMS = """
1: 1st first i erster
2: 2nd second ii zweiter
3: 3rd third iii dritter
abnormal: abnl abnormality pathological pathologic pathologisch pathology auffaellig
anterior: ant
atrial: auricular atr
av: atrioventricular atrioventrikulaer
bradycardia: brady bradykardie bradycardie
change: alteration
complete: komplett
depression: depr depressed
deviation: shift
ectopic: ectopy extrasystole extrasystoly premature
elevation: elev elevated
enlargement: enlarged dilatation dilation dilated
fibrillation: fib fibrill
hypertrophy: hypertrophie
incomplete: partial inkomplett
infarct: infarction infarkt myokardinfarkt mi
inversion: inverted negative
ischemia: ischemic ischemie ischemisch
left: leftward
long: prolonged prolongation lengthened lengthening verlaengert verlaengerung
low: reduced
nonspecific: unspecific unspezifisch
pacemaker: paced pacer pacing schrittmacher
right: rightward
supraventricular: supraventrikulaer
tachycardia: tach tachy tachykardie tachycardie
ventricular: vent ventr ventrikulaer
wide: broad breit widened
atrial ectopic: pac
atrial fibrillation: af afib
atrial flutter: afl aflutter
av block: avb
bundle branch block: bbb
fascicular block: hemiblock
incomplete left bundle branch block: ilbbb
incomplete right bundle branch block: irbbb
left anterior fascicular block: lafb lahb
left atrial: la
left atrial enlargement: lae
left axis deviation: lad
left bundle branch block: lbbb lsb
left posterior fascicular block: lpfb lphb
left ventricular: lv
left ventricular hypertrophy: lvh
right atrial: ra
right atrial enlargement: rae
right axis deviation: rad
right bundle branch block: rbbb rsb
right ventricular: rv
right ventricular hypertrophy: rvh
st depression: std
st elevation: ste
st elevation infarct: stemi
st t: stt
supraventricular ectopic: sves
supraventricular tachycardia: svt
t inversion: twi
ventricular ectopic: pvc ves
wolff parkinson white: wpw
"""
_NOT_BEFORE = re.compile(
    r"(?:(?:there (?:is|are) )?(?:no longer|no|not|never|without|lack of|lack(?:s|ing)|absence of|absent"
    r"|negative for|free (?:of|from))|kein\w{0,2}|ohne|nicht|non|frei von|fehlende\w?)"
    r"(?: (?:an?|any|anhalt|clear|definite|evidence|hinweise?|nachweis|signs?|zeichen|of|for|auf|fuer|von))* "
)
_NOT_AFTER = re.compile(
    r" (?:(?:is|are|was|were) )?(?:absent|excluded|ruled out|free|no|none|not (?:present|seen|found|detected)"
    r"|nicht (?:mehr )?(?:vorhanden|nachweisbar)|fehlt|fehlend|ausgeschlossen|nein)$"
)
# A negation anywhere in a label; "non" is none, as in "non-conducted".
_NEGATION = re.compile(
    r"\b(?:no|not|never|nor|neither|without|lack|lacks|lacking|absence|absent|negative for|free (?:of|from)|free$|none$"
    r"|rul(?:e|es|ed|ing) out|exclud(?:e|es|ed|ing)|exclusion|unlikely|den(?:y|ies|ied)"
    r"|kein\w{0,2}|ohne|nicht|weder|nein|frei von|fehlt|fehlend\w{0,2}|ausschluss|auszuschliessen|ausgeschlossen"
    r"|unwahrscheinlich)\b"
)
# What cannot be excluded is possible, and a finding.
_POSSIBLE = re.compile(
    r"\b(?:nicht auszuschliessen|kann nicht ausgeschlossen werden|not excluded"
    r"|(?:cannot|can not|can't) (?:be excluded|be ruled out|exclude|rule out))\b"
)


def _without_possible(label: str) -> str:
    """A label in lower case, without umlauts and without "cannot be excluded"."""
    return _POSSIBLE.sub(" ", label.casefold().translate(_UMLAUTS).replace("’", "'"))


def label_words(label: str) -> list[str]:
    """
    The words of a label in lower case and one spelling, without the word ECG.

    Example:
        >>> label_words("1° AV-Block"), label_words("Ischämie im EKG")
        (['1', 'av', 'block'], ['ischemie', 'im'])
    """
    text = _without_possible(label)
    text = re.sub(r"(\d) ?: ?(\d)", r"\1to\2", text)  # a ratio is one word
    words = re.findall(r"[^\W_]+", text)
    # "ischaemia" and "ischemia" are one word, and so are "Ischämie" and "ischemie".
    return [word.replace("aemi", "emi").replace("isation", "ization") for word in words if word not in _ECG]


def label_key(label: str) -> str:
    """The letters and digits of a label in one spelling, without the word ECG."""
    return "".join(label_words(label))


def canonical_words(label: str) -> tuple[str, ...]:
    """
    The words of a label that distinguish it from others, sorted: synonyms are one word, abbreviations are written out,
    and plurals, German endings, and words such as "degree", "wave" or "possible" are left out.

    Example:
        >>> canonical_words("AV block, 1st degree") == canonical_words("1° AVB")
        True
        >>> canonical_words("possible infero-lateral MI")
        ('infarct', 'inferolateral')
    """
    words, prefix = [], ""
    for word in label_words(label):
        if word in _PREFIXES:
            prefix += word
        else:
            words.append(prefix + word)
            prefix = ""
    if prefix:
        words.append(prefix)
    found: list[str] = []
    for word in words:
        found += (_synonyms().get(word) or _synonyms().get(_stem(word)) or word).split()
    kept = set(map(_stem, found)) - _stemmed_fillers()
    # A premature beat, contraction or depolarization is an ectopic one.
    if "ectopic" in kept:
        kept -= set(map(_stem, ("beat", "contraction", "depolarization")))
    return tuple(sorted(kept))


def _stem(word: str) -> str:
    """A word without the ending of a plural or of a German adjective, or a compound with "-zeichen"."""
    word = re.sub(r"(?<=.{4})zeichen$", "", word)
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return re.sub(r"(?<=.{5})(?:e[rsnm]?|n)$", "", word)


@cache
def _synonyms() -> dict[str, str]:
    rows = (row.split(": ") for row in _SYNONYMS.strip().splitlines())
    synonyms = {word: meaning for meaning, words in rows for word in words.split()}
    return {_stem(word): meaning for word, meaning in synonyms.items()} | synonyms


@cache
def _stemmed_fillers() -> frozenset[str]:
    return frozenset(map(_stem, _FILLERS.split()))


def split_negation(label: str) -> str | None:
    """
    What a label negates, or `None` if it does not begin or end with a negation.

    Example:
        >>> split_negation("No evidence of AF"), split_negation("Vorhofflimmern ausgeschlossen"), split_negation("AF")
        ('af', 'vorhofflimmern', None)
    """
    text = _negation_text(label)
    if match := _NOT_BEFORE.match(text):
        return text[match.end() :]
    if match := _NOT_AFTER.search(text):
        return text[: match.start()]
    return None


def has_negation(label: str) -> bool:
    """
    Whether a label negates anything, wherever the negation stands.

    Example:
        >>> has_negation("AF w/o flutter"), has_negation("isn't AF"), has_negation("nonspecific ST changes")
        (True, True, False)
    """
    return bool(_NEGATION.search(_negation_text(label)))


def _negation_text(label: str) -> str:
    """A label with its words apart and negations written out: "w/o" is "without", "isn't AF" is "is not AF"."""
    text = re.sub(r"\bw/o\b", "without", re.sub(r"n't\b", " not", _without_possible(label)))
    # Hyphens, brackets, and blanks of any width are one blank: "non-sinus rhythm", "AF (none)"; "2:1" stays.
    return " ".join(re.sub(r"[-‐‑–()\s]+|:(?!\d)", " ", text).split())


def edit_distance(first: str, second: str) -> int:
    """
    How many letters differ: each that is added, left out, replaced or exchanged with its neighbour counts 1.

    Example:
        >>> edit_distance("fibrilation", "fibrillation"), edit_distance("infraction", "infarction")
        (1, 1)
    """
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(second, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other)))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                row[j] = min(row[j], last[j - 2] + 1)
    return row[-1]
