"""Translate German and Swedish findings to English with a phrase table.

    >>> translate("sinusrhythmus überdrehter linkstyp inferiorer infarkt möglich", "de")
    'sinus rhythm. extreme left axis deviation. possible inferior infarct.'

The table, `translations.tsv`, has one entry per line: language, phrase, English, and the role of the English text in a
sentence. The longest matching phrase is translated first, single words last. Umlauts may be written out, and spaces
around punctuation are ignored: "st- hebung" matches "st-hebung", "veraenderung" matches "veränderung". Numbers,
punctuation and words without an entry (see `untranslated`) are copied unchanged.

German and Swedish reports list findings without full stops. Their word order is close to English, so the role of each
entry is the only grammar needed:

    finding  names a finding ("sinus rhythm"). It starts a new sentence if the current one already has a finding.
    opens    precedes a finding ("incomplete", "suspected"). It starts a new sentence likewise and belongs to what
             follows.
    listed   a finding that continues a list ("..., possibly anterior ischaemia, lateral ischaemia"), so that the
             certainty stated before the list applies to all of it.
    front    follows a finding, but precedes it in English ("infarkt möglich": "possible infarct").
    links    connects what follows to what precedes ("or", "in").
    follows  qualifies what precedes ("cannot be excluded").

PTB-XL itself records "linkstyp" as left axis deviation and "überdrehter linkstyp" as extreme left axis deviation.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .cleaning import detect_language, spell_out_umlauts

__all__ = ["translate", "untranslated"]

TRANSLATIONS = Path(__file__).with_name("translations.tsv")
LANGUAGES = ("de", "sv")
ROLES = ("finding", "opens", "listed", "front", "links", "follows")
# A word, a number with its decimal point, or a single punctuation mark.
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|[^\w\s]|_")


@dataclass(frozen=True)
class Entry:
    english: str
    role: str


class PhraseTable:
    """Entries of one language by the tokens of their phrase."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, ...], Entry] = {}
        self.lengths: dict[str, list[int]] = {}  # lengths of the phrases by first token, longest first

    def add(self, phrase: tuple[str, ...], entry: Entry) -> None:
        self.entries[phrase] = entry
        lengths = {*self.lengths.get(phrase[0], ()), len(phrase)}
        self.lengths[phrase[0]] = sorted(lengths, reverse=True)

    def longest(self, tokens: tuple[str, ...], start: int) -> tuple[int, Entry | None]:
        """Return the number of tokens and the entry of the longest phrase at `start`; (1, None) if there is none."""
        for length in self.lengths.get(tokens[start], ()):
            phrase = tokens[start : start + length]
            if entry := self.entries.get(phrase):
                return len(phrase), entry
        return 1, None


def read_translations(path: Path) -> dict[str, PhraseTable]:
    """Read a phrase table for each language.

    Raises:
        ValueError: a line does not have four fields, has an empty field, an unknown language or role, or the phrase of
            an earlier line; the message names the line.
    """
    tables = {language: PhraseTable() for language in LANGUAGES}
    line_of: dict[tuple[str, tuple[str, ...]], int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{path.name}, line {number}"
        fields = line.split("\t")
        if len(fields) != 4:
            raise ValueError(
                f"{where} has {len(fields)} fields; write language, phrase, English and role, separated by tabs"
            )
        if not all(fields) or fields != [text.strip() for text in fields]:
            raise ValueError(f"{where} has an empty field or spaces around one: {line!r}")
        language, phrase, english, role = fields
        if language not in LANGUAGES:
            raise ValueError(f"{where} is in the language {language!r}; write {' or '.join(LANGUAGES)}")
        if role not in ROLES:
            raise ValueError(f"{where} has the role {role!r}; write one of {', '.join(ROLES)}")
        key = _key(_TOKEN.findall(phrase))
        if (first := line_of.setdefault((language, key), number)) != number:
            raise ValueError(f"{where} has the phrase {phrase!r}, which is also in line {first}; keep one of them")
        tables[language].add(key, Entry(english, role))
    return tables


@cache
def _phrase_tables() -> dict[str, PhraseTable]:
    return read_translations(TRANSLATIONS)


def translate(report: str, language: str | None = None) -> str:
    """Translate a cleaned report to English; English and empty reports are returned unchanged.

    Args:
        report: findings in lower case on one line, as `clean_report` returns them.
        language: "de", "en", "sv", or "" if unknown; detected by default.

    Example:
        >>> translate("sinusrytm inferior infarkt ålder ej bestämmbar")
        'sinus rhythm. inferior infarct, age undetermined.'
    """
    units = _units(report, language)
    if not units:
        return report
    writer = _SentenceWriter()
    for source, entry, spaced in units:
        if entry:
            writer.add(entry, spaced)
        else:
            writer.add_unknown(source, spaced)
    return writer.finish()


def untranslated(report: str, language: str | None = None) -> list[str]:
    """Return the words of a cleaned report that `translate` copies unchanged because they have no entry.

    Example:
        >>> untranslated("sinusrhythmus mit firlefanz in v1", "de")
        ['firlefanz']
    """
    return [source for source, entry, _ in _units(report, language) if entry is None and source.isalpha()]


def _key(tokens: list[str]) -> tuple[str, ...]:
    return tuple(map(spell_out_umlauts, tokens))


def _units(report: str, language: str | None) -> list[tuple[str, Entry | None, bool]]:
    """Split a report into known phrases and other tokens: text, entry, and whether a space precedes it."""
    language = detect_language(report) if language is None else language
    if language in ("en", ""):
        return []
    if language not in LANGUAGES:
        raise ValueError(
            f"There are no translations for the language {language!r}; known are en, {', '.join(LANGUAGES)}"
        )
    table = _phrase_tables()[language]
    matches = list(_TOKEN.finditer(report))
    tokens = _key([match.group() for match in matches])
    units = []
    position = 0
    while position < len(tokens):
        length, entry = table.longest(tokens, position)
        first, last = matches[position], matches[position + length - 1]
        units.append((report[first.start() : last.end()], entry, report[: first.start()].endswith(" ")))
        position += length
    return units


class _SentenceWriter:
    """Builds sentences from translated phrases in their order."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self.parts: list[str] = []  # of the current sentence, each with the space before it
        self.phrase = 0  # index of the part where the last finding begins, including its adjectives
        self.named = False  # whether that finding has been named, not only its adjectives
        self.joins = True  # whether the next part continues the current phrase
        self.lists = False  # whether a list has begun

    def add(self, entry: Entry, spaced: bool) -> None:
        if entry.role in ("finding", "opens", "listed"):
            if not self.joins and entry.role == "listed" and self.lists:
                self.parts.append(",")
            elif not self.joins:
                self._end(".")
            if self._last() in ("", "(", ":") or (self._last() == "," and self.named):
                self.phrase, self.named = len(self.parts), False
            self.named = self.named or entry.role != "opens"
        elif entry.english.startswith(",") or entry.role == "front":
            self._drop(",")
        if entry.role == "front" and self._last() not in ("", "("):
            self.parts.insert(self.phrase, f" {entry.english}")
            self.parts[self.phrase + 1] = f" {self.parts[self.phrase + 1].lstrip()}"
        else:
            self._append(entry.english.lstrip(", ") if self._last() in ("", "(") else entry.english, spaced)
        self.joins = entry.role in ("opens", "links")
        self.lists = self.lists or entry.role == "listed"

    def add_unknown(self, source: str, spaced: bool) -> None:
        """Add a word, number or punctuation mark without an entry."""
        if source in (".", "!", "?"):
            self._end(source)
        elif self.parts or source not in ",;)":
            self._append(source, spaced)
            self.joins = not source.isalnum() and source != ")"

    def finish(self) -> str:
        self._end(".")
        return " ".join(self.sentences)

    def _append(self, text: str, spaced: bool) -> None:
        # Punctuation keeps the spacing of the source; words get a space before them except after an opening mark.
        spaced = spaced or (text[0].isalpha() and self._last() not in tuple("(-/+<>="))
        self.parts.append(f" {text}" if spaced and text[0] != "," else text)

    def _last(self) -> str:
        return self.parts[-1].strip() if self.parts else ""

    def _drop(self, *signs: str) -> None:
        while self._last() in signs:
            self.parts.pop()

    def _end(self, mark: str) -> None:
        self._drop(",", ":", "-", "/", "(", "+", "&")  # reports may be truncated anywhere
        if self.parts:
            self.sentences.append("".join(self.parts).strip().removesuffix(".") + mark)
        self._begin()
