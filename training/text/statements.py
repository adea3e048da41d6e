"""Read from the text of a report which statements of PTB-XL it makes."""

import re
from functools import cache, lru_cache
from pathlib import Path

from ...processing.glossary_merit import Glossary
from .cleaning import spell_out_umlauts

PATTERNS = Path(__file__).parent / "report_patterns.tsv"
# A negation holds for up to four words of the same clause; "cannot be excluded" is no negation.
_NEGATION_BEFORE = re.compile(
    r"\b(?:no|not|without|rather than|risk of|kein\w*|nicht|ohne)(?: (?!auszu|be |exclude|change)[^\W\d]+){0,4} ?$"
)
_NEGATION_AFTER = re.compile(r"(?: (?:is|are|changes?))? (?:not (?:present|seen)|absent|nicht (?:mehr )?nachweisbar)\b")
# "Otherwise normal ECG" restricts itself to what was not mentioned before.
NORMAL_BUT = re.compile(r"\b(?:otherwise|sonst|ansonsten|except|probably|borderline|wahrscheinlich)\b")


@cache
def _patterns() -> tuple[tuple[frozenset[str], re.Pattern[str]], ...]:
    """Return the codes and the regular expression of each row of the table."""
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
    """Compile a pattern that matches whole words; a space in it matches spaces, hyphens or nothing."""
    return re.compile(rf"(?<!\w)(?:{pattern.replace(' ', '[ -]*')})(?!\w)")


STATEMENTS = tuple(sorted(frozenset[str]().union(*(codes for codes, _ in _patterns()))))


@cache
def _names() -> re.Pattern[str]:
    """Return a pattern of the glossary's names of the statements, longest first.

    Names of up to six characters are left out, because they are ambiguous in running text.
    """
    findings = [Glossary.default().findings[code] for code in STATEMENTS]
    names = {name for finding in findings for name in (finding.name, *finding.names) if len(name) > 6}
    ordered = sorted(map(normalized, names), key=len, reverse=True)
    return _compile("|".join(re.escape(name.replace("-", " ")).replace("\\ ", " ") for name in ordered))


def normalized(text: str) -> str:
    """Return text in a uniform spelling: lower case, umlauts written out, "ischemia", single spaces."""
    return " ".join(spell_out_umlauts(text.lower()).replace("schaem", "schem").split())


@lru_cache(maxsize=1 << 16)
def findings_in(text: str) -> frozenset[str]:
    """Return the SCP codes of the PTB-XL statements that a report in English or German makes.

    Uncertain statements count, as in the labels of PTB-XL ("possible", "cannot be excluded"); negated ones do not.

    Example:
        >>> sorted(findings_in("Sinus rhythm. Possible left ventricular hypertrophy. Old inferior infarct."))
        ['IMI', 'LVH', 'SR']
    """
    text = normalized(text)
    found = [(match.span(), codes) for codes, pattern in _patterns() for match in pattern.finditer(text)]
    found.sort(key=lambda one: one[0][0] - one[0][1])
    # Names from the glossary apply only where no phrase of the table matches.
    glossary = Glossary.default()
    found += [(match.span(), {glossary.find(match[0]).code}) for match in _names().finditer(text)]  # type: ignore[union-attr]
    used: list[tuple[int, int]] = []
    stated: set[str] = set()
    for (start, end), codes in found:
        if all(end <= first or last <= start for first, last in used):
            used.append((start, end))
            if not _NEGATION_BEFORE.search(text, max(0, start - 80), start) and not _NEGATION_AFTER.match(text, end):
                stated |= codes
    return frozenset(stated)
