"""German and Swedish findings in English, by glossary.

    >>> translate("sinusrhythmus überdrehter linkstyp inferiorer infarkt möglich", "de")
    'sinus rhythm. extreme left axis deviation. possible inferior infarct.'

The glossary, `translations.tsv`, has one entry a line: language, phrase, English, and the place that the
English takes in a sentence. The longest phrase that fits is translated first, single words last. Umlauts may be written
out, and spaces do not matter where punctuation stands: "st- hebung" is "st-hebung", "veraenderung" is "veränderung".
What has no entry passes unchanged: numbers, punctuation, and the words that `untranslated` lists.

German and Swedish reports string findings together without a full stop. Their order of words is close to that of an
English report, so that the place of an entry is all the grammar there is:

    finding  names what was found ("sinus rhythm"). A new sentence begins before it when the one before has its finding.
    opens    comes before a finding ("incomplete", "suspected"). Begins a sentence likewise; what follows belongs to it.
    listed   a finding that goes on with a list of its kind ("..., possibly anterior ischaemia, lateral ischaemia"), so
             that the certainty said before the list holds for all of it.
    front    is said after a finding, and in English before it ("infarkt möglich": "possible infarct").
    links    ties what comes next to what stands before ("or", "in").
    follows  says more of what stands before ("cannot be excluded").

Left axis deviation is what PTB-XL itself records as the axis of "linkstyp", extreme left axis deviation that of
"überdrehter linkstyp".
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .cleaning import detect_language

__all__ = ["translate", "untranslated"]

GLOSSARY = Path(__file__).with_name("translations.tsv")
LANGUAGES = ("de", "sv")
PLACES = ("finding", "opens", "listed", "front", "links", "follows")
# A word, a number with its decimal point, or a single sign.
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|[^\w\s]|_")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


@dataclass(frozen=True)
class Entry:
    english: str
    place: str


class Glossary:
    """Entries of one language by their tokens."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, ...], Entry] = {}
        self.lengths: dict[str, list[int]] = {}  # of the phrases that begin with a token, longest first

    def add(self, phrase: tuple[str, ...], entry: Entry) -> None:
        self.entries[phrase] = entry
        lengths = {*self.lengths.get(phrase[0], ()), len(phrase)}
        self.lengths[phrase[0]] = sorted(lengths, reverse=True)

    def longest(self, tokens: tuple[str, ...], start: int) -> tuple[int, Entry | None]:
        """Return how many tokens from `start` the longest phrase takes, and its entry; (1, None) if there is none."""
        for length in self.lengths.get(tokens[start], ()):
            phrase = tokens[start : start + length]
            if entry := self.entries.get(phrase):
                return len(phrase), entry
        return 1, None


def read_glossary(path: Path) -> dict[str, Glossary]:
    """Read a glossary, by language.

    Raises:
        ValueError: a line has not four fields, an empty one, an unknown language or place, or a phrase that an earlier
            line has; the message names the line.
    """
    glossaries = {language: Glossary() for language in LANGUAGES}
    line_of: dict[tuple[str, tuple[str, ...]], int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{path.name}, line {number}"
        fields = line.split("\t")
        if len(fields) != 4:
            raise ValueError(f"{where} has {len(fields)} fields; write language, phrase, English, place between tabs")
        if not all(fields) or fields != [text.strip() for text in fields]:
            raise ValueError(f"{where} has an empty field or spaces around one: {line!r}")
        language, phrase, english, place = fields
        if language not in LANGUAGES:
            raise ValueError(f"{where} is in the language {language!r}; write {' or '.join(LANGUAGES)}")
        if place not in PLACES:
            raise ValueError(f"{where} has the place {place!r}; write one of {', '.join(PLACES)}")
        key = _key(_TOKEN.findall(phrase))
        if (first := line_of.setdefault((language, key), number)) != number:
            raise ValueError(f"{where} has the phrase {phrase!r}, which line {first} has too; keep one of them")
        glossaries[language].add(key, Entry(english, place))
    return glossaries


@cache
def _glossaries() -> dict[str, Glossary]:
    return read_glossary(GLOSSARY)


def translate(report: str, language: str | None = None) -> str:
    """Return a cleaned report in English; an English or an empty one unchanged.

    Args:
        report: findings in lower case on one line, as `clean_report` returns them.
        language: "de", "en" or "sv" ("" for a report without words); by default it is detected.

    Example:
        >>> translate("sinusrytm inferior infarkt ålder ej bestämmbar")
        'sinus rhythm. inferior infarct, age undetermined.'
    """
    units = _units(report, language)
    if not units:
        return report
    prose = _Prose()
    for source, entry, spaced in units:
        if entry:
            prose.add(entry, spaced)
        else:
            prose.add_unknown(source, spaced)
    return prose.finish()


def untranslated(report: str, language: str | None = None) -> list[str]:
    """Return the words of a cleaned report that `translate` passes unchanged because the glossary lacks them.

    Example:
        >>> untranslated("sinusrhythmus mit firlefanz in v1", "de")
        ['firlefanz']
    """
    return [source for source, entry, _ in _units(report, language) if entry is None and source.isalpha()]


def _key(tokens: list[str]) -> tuple[str, ...]:
    return tuple(token.translate(_UMLAUTS) for token in tokens)


def _units(report: str, language: str | None) -> list[tuple[str, Entry | None, bool]]:
    """Cut a report into phrases of the glossary and single tokens: its text, its entry, whether a space precedes it."""
    language = detect_language(report) if language is None else language
    if language in ("en", ""):
        return []
    if language not in LANGUAGES:
        raise ValueError(f"There is no glossary for the language {language!r}; known are en, {', '.join(LANGUAGES)}")
    glossary = _glossaries()[language]
    matches = list(_TOKEN.finditer(report))
    tokens = _key([match.group() for match in matches])
    units = []
    position = 0
    while position < len(tokens):
        length, entry = glossary.longest(tokens, position)
        first, last = matches[position], matches[position + length - 1]
        units.append((report[first.start() : last.end()], entry, report[: first.start()].endswith(" ")))
        position += length
    return units


class _Prose:
    """Sentences, made as their parts come."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self.parts: list[str] = []  # of the sentence, with the space before each
        self.phrase = 0  # the part with which its last finding begins, adjectives included
        self.named = False  # that finding is named already, not only its adjectives
        self.joins = True  # what comes next belongs to what stands before
        self.lists = False  # a list has begun

    def add(self, entry: Entry, spaced: bool) -> None:
        if entry.place in ("finding", "opens", "listed"):
            if not self.joins and entry.place == "listed" and self.lists:
                self.parts.append(",")
            elif not self.joins:
                self._end(".")
            if self._last() in ("", "(", ":") or (self._last() == "," and self.named):
                self.phrase, self.named = len(self.parts), False
            self.named = self.named or entry.place != "opens"
        elif entry.english.startswith(",") or entry.place == "front":
            self._drop(",")
        if entry.place == "front" and self._last() not in ("", "("):
            self.parts.insert(self.phrase, f" {entry.english}")
            self.parts[self.phrase + 1] = f" {self.parts[self.phrase + 1].lstrip()}"
        else:
            self._append(entry.english.lstrip(", ") if self._last() in ("", "(") else entry.english, spaced)
        self.joins = entry.place in ("opens", "links")
        self.lists = self.lists or entry.place == "listed"

    def add_unknown(self, source: str, spaced: bool) -> None:
        """Add a word, a number or a sign that has no entry."""
        if source in (".", "!", "?"):
            self._end(source)
        elif self.parts or source not in ",;)":
            self._append(source, spaced)
            self.joins = not source.isalnum() and source != ")"

    def finish(self) -> str:
        self._end(".")
        return " ".join(self.sentences)

    def _append(self, text: str, spaced: bool) -> None:
        # Signs keep the spacing of the source; words have a space before them except after an opening sign.
        spaced = spaced or (text[0].isalpha() and self._last() not in tuple("(-/+<>="))
        self.parts.append(f" {text}" if spaced and text[0] != "," else text)

    def _last(self) -> str:
        return self.parts[-1].strip() if self.parts else ""

    def _drop(self, *signs: str) -> None:
        while self._last() in signs:
            self.parts.pop()

    def _end(self, mark: str) -> None:
        self._drop(",", ":", "-", "/", "(", "+", "&")  # a report may break off anywhere
        if self.parts:
            self.sentences.append("".join(self.parts).strip().removesuffix(".") + mark)
        self._begin()
