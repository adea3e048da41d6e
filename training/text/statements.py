"""The statements of PTB-XL that a report makes, read from its text."""

import re
from functools import cache, lru_cache
from pathlib import Path

from ...processing.prompts_merit import FINDINGS, find

PATTERNS = Path(__file__).parent / "report_patterns.tsv"
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
# Up to four words after it, in the same clause, are denied; what cannot be excluded is not.
_DENIAL = re.compile(
    r"\b(?:no|not|without|rather than|risk of|kein\w*|nicht|ohne)(?: (?!auszu|be |exclude|change)[^\W\d]+){0,4} ?$"
)
_DENIED_AFTER = re.compile(r"(?: (?:is|are|changes?))? (?:not (?:present|seen)|absent|nicht (?:mehr )?nachweisbar)\b")
# "Otherwise normal ECG" goes with what stands before it.
NORMAL_BUT = re.compile(r"\b(?:otherwise|sonst|ansonsten|except|probably|borderline|wahrscheinlich)\b")


@cache
def _patterns() -> tuple[tuple[frozenset[str], re.Pattern[str]], ...]:
    """The rows of the table: codes, and a phrase that states them."""
    parts: dict[str, str] = {}
    rows = []
    for line in PATTERNS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            codes, pattern = line.split("\t")
            pattern = re.sub(r"\{([A-Z]+)\}", lambda name: parts[name[1]], pattern)
            if codes.startswith("@"):
                parts[codes[1:]] = pattern
            else:
                rows.append((frozenset(codes.split()) - {"-"}, _compile(pattern)))
    return tuple(rows)


def _compile(pattern: str) -> re.Pattern[str]:
    """Whole words, with spaces, hyphens or nothing where the pattern has a space."""
    return re.compile(rf"(?<!\w)(?:{pattern.replace(' ', '[ -]*')})(?!\w)")


STATEMENTS = tuple(sorted(frozenset[str]().union(*(codes for codes, _ in _patterns()))))


@cache
def _names() -> re.Pattern[str]:
    """Names that the glossary has for the statements, the longest first; short ones are ambiguous in running text."""
    names = {name for code in STATEMENTS for name in (FINDINGS[code].name, *FINDINGS[code].names) if len(name) > 6}
    ordered = sorted(map(normalized, names), key=len, reverse=True)
    return _compile("|".join(re.escape(name.replace("-", " ")).replace("\\ ", " ") for name in ordered))


def normalized(text: str) -> str:
    """One spelling: lower case, no umlauts, "ischemia", single spaces."""
    return " ".join(text.lower().translate(_UMLAUTS).replace("schaem", "schem").split())


@lru_cache(maxsize=1 << 16)
def findings_in(text: str) -> frozenset[str]:
    """
    The statements of PTB-XL, as SCP codes, that a report in English or German makes, in whatever certainty.

    What is denied does not count, but what is possible or cannot be excluded does, as PTB-XL's labels do.

    Example:
        >>> sorted(findings_in("Sinus rhythm. Possible left ventricular hypertrophy. Old inferior infarct."))
        ['IMI', 'LVH', 'SR']
    """
    text = normalized(text)
    found = [(match.span(), codes) for codes, pattern in _patterns() for match in pattern.finditer(text)]
    found.sort(key=lambda one: one[0][0] - one[0][1])
    # The names of the glossary, where no phrase of the table lies.
    found += [(match.span(), {find(match[0]).code}) for match in _names().finditer(text)]  # type: ignore[union-attr]
    taken: list[tuple[int, int]] = []
    stated: set[str] = set()
    for (start, end), codes in found:
        if all(end <= first or last <= start for first, last in taken):
            taken.append((start, end))
            if not _DENIAL.search(text, max(0, start - 80), start) and not _DENIED_AFTER.match(text, end):
                stated |= codes
    return frozenset(stated)
