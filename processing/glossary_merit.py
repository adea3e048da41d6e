"""The glossary: findings with their names and the phrases that reports use for them.

The text encoder is trained on short reports, most of them German, some English. It knows a finding by the wording of
reports ("qrs(t) abnorm inferiorer infarkt alter unbest.") and not by its code ("IMI"). A label is therefore looked up,
and the phrases of its finding, in both languages, serve as text prompts:

    >>> glossary = Glossary.default()
    >>> glossary.find("Vorhofflimmern").code
    'AFIB'
    >>> glossary.prompts("RBBB")[0]
    'right bundle branch block.'

The findings stand in `glossary_merit.json`, which a processor saves and loads like a vocabulary. They are the 71
statements of PTB-XL, its 23 subclasses and 5 superclasses, and the findings that CPSC2018, Chapman-Shaoxing-Ningbo and
the PhysioNet/CinC Challenge have beyond them. Three rules decide what a name means:

- A code that is both a statement and a class of PTB-XL (IMI, AMI, STTC, LVH, ...) is one finding with the phrases of
  both.
- A class has the phrases of its members besides its own. Its members are the statements that at least one in 25 of its
  training records carry: prompts are averaged, so many rare statements would outweigh the frequent ones. Classes of
  closely related statements (_AVB, ISCA, ISCI, LAFB/LPFB) have all of them. Subendocardial injury is no member of the
  infarctions, because the reports call it ischaemia.
- An unqualified name has its usual clinical meaning: "LBBB" is complete, "AF" is fibrillation, "AMI" is anterior as in
  PTB-XL. Where a data set uses such a name otherwise, its label map in `training/data/label_maps.py` says so.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from pathlib import Path

from .label_words_merit import canonical_words, edit_distance, has_negation, label_key, label_words, split_negation

GLOSSARY_FILE = "glossary_merit.json"


@dataclass(frozen=True)
class Finding:
    """A finding with its names and prompts.

    Attributes:
        code (`str`): its code in PTB-XL, otherwise in another data set.
        name (`str`): its name in plain clinical English.
        names (`tuple[str]`): other names: abbreviations, synonyms, German names. Reports are searched for them, too.
        typed (`tuple[str]`): more names, which users type but reports are not searched for.
        related (`tuple[str]`): terms for something else that is near it. They are not this finding, but suggest it.
        english (`tuple[str]`): phrases of English reports.
        german (`tuple[str]`): phrases of German reports.
        members (`tuple[str]`): codes of the findings whose phrases it shares. `Glossary.findings` has them added to
            `english` and `german`.
        opposites (`tuple[str]`, defaults to `("NORM",)`): codes of the findings that it is contrasted with: a normal
            ECG, or abnormal ones for a finding that is part of a normal ECG.
    """

    code: str
    name: str
    names: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    english: tuple[str, ...] = ()
    german: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    opposites: tuple[str, ...] = ("NORM",)

    def prompts(self, language: str | None = None) -> tuple[str, ...]:
        """
        Args:
            language (`str`, *optional*): `"en"` or `"de"`; both by default, and where there are none in the language.
        """
        return {"en": self.english, "de": self.german}.get(language or "") or self.english + self.german


class Glossary:
    """
    Findings by code and by name.

    Args:
        findings (`Iterable[Finding]`): members stand before the findings that name them.

    Attributes:
        findings (`dict[str, Finding]`): by code, each with the phrases of its members after its own.

    Raises:
        ValueError: two findings have one name or code, one has no prompts, or a member or opposite is not defined.
    """

    def __init__(self, findings: Iterable[Finding]):
        self._defined = tuple(findings)
        self.findings: dict[str, Finding] = {}
        self._code_of: dict[str, str] = {}
        codes_by_words: dict[tuple[str, ...], set[str]] = {}
        for finding in self._defined:
            if finding.code in self.findings:
                raise ValueError(f"{finding.code} is defined twice")
            if missing := [code for code in finding.members if code not in self.findings]:
                raise ValueError(f"{finding.code} has the member {missing[0]}, which is not defined before it")
            group = (finding, *(self.findings[code] for code in finding.members))
            self.findings[finding.code] = whole = replace(
                finding,
                english=tuple(dict.fromkeys(phrase for one in group for phrase in one.english)),
                german=tuple(dict.fromkeys(phrase for one in group for phrase in one.german)),
            )
            if not whole.prompts():
                raise ValueError(f"{finding.code} has no phrase in english or german")
            for name in (finding.code, finding.name, *finding.names, *finding.typed):
                other = self._code_of.setdefault(label_key(name), finding.code)
                if other != finding.code:
                    raise ValueError(f"{name!r} is a name of both {other} and {finding.code}")
            for name in (finding.name, *finding.names, *finding.typed):
                codes_by_words.setdefault(canonical_words(name), set()).add(finding.code)
        # Words that stand for more than one finding, or hardly say anything ("T"), find none.
        self._code_by_words = {
            words: code for words, (code, *others) in codes_by_words.items() if not others and len("".join(words)) > 2
        }
        # The default opposite is also that of labels which are no finding.
        opposites = {code for finding in self._defined for code in finding.opposites}.union(Finding.opposites)
        if missing := sorted(opposites - self.findings.keys()):
            raise ValueError(f"the opposite {missing[0]} is not defined")

    @classmethod
    @cache
    def default(cls) -> "Glossary":
        """The glossary of this package.

        Raises:
            FileNotFoundError: this code was loaded from a checkpoint without the package, and its glossary stays there.
        """
        path = Path(__file__).with_name(GLOSSARY_FILE)
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no {GLOSSARY_FILE} beside the code in {path.parent}. A checkpoint holds this file: load the "
                "processor with AutoProcessor.from_pretrained from a folder or Hub repository that has it, or install "
                "the package merit-ecg."
            )
        return cls.from_file(path)

    @classmethod
    def from_file(cls, path: str | Path) -> "Glossary":
        """
        Read what `save` wrote.

        Raises:
            ValueError: the file is no glossary.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(content, dict) or not isinstance(content.get("findings"), list):
                raise ValueError('it has no list "findings"')
            return cls(map(_read_finding, content["findings"]))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no glossary: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write the findings as JSON. A file that holds them already, or a link to one, stays as it is."""
        findings = [asdict(finding) for finding in self._defined]
        for finding in findings:  # what most findings have alike is left out
            for name in ("typed", "related", "members"):
                if not finding[name]:
                    del finding[name]
            if finding["opposites"] == Finding.opposites:
                del finding["opposites"]
        text = json.dumps({"findings": findings}, ensure_ascii=False, indent=2) + "\n"
        path, content = Path(path), text.encode()
        if not path.is_file() or path.read_bytes() != content:
            path.unlink(missing_ok=True)
            path.write_bytes(content)

    @cached_property
    def words(self) -> frozenset[str]:
        """
        The words of the names and phrases of all findings, in the form of `canonical_words`, without numbers.

        Example:
            >>> {"infarct", "computer", "wave"} & Glossary.default().words
            {'infarct'}
        """
        texts = [
            text for one in self._defined for text in (one.name, *one.names, *one.typed, *one.english, *one.german)
        ]
        return frozenset(word for text in texts for word in canonical_words(text) if not word.isdigit())

    def find(self, label: str) -> Finding | None:
        """
        Look a label up by code or name. Case, punctuation, blanks, plural, the order of words, British or American
        spelling, usual abbreviations, and words such as "ECG", "possible" or "evidence of" do not matter.

        Example:
            >>> Glossary.default().find("left bundle-branch block").code, Glossary.default().find("Normal ECG").code
            ('CLBBB', 'NORM')
            >>> Glossary.default().find("1° AV blocks").code, Glossary.default().find("AFib with RVR").code
            ('1AVB', 'AFIB')
            >>> Glossary.default().find("blue") is None
            True
        """
        code = self._code_of.get(label_key(label)) or self._code_by_words.get(canonical_words(label))
        return self.findings[code] if code else None

    def read(self, label: str) -> tuple[Finding | None, bool]:
        """
        The finding of a label, or `None`, and whether the label negates it.

        Raises:
            ValueError: the label negates something that is no finding, or holds a negation within.

        Example:
            >>> finding, negated = Glossary.default().read("no evidence of atrial fibrillation")
            >>> finding.code, negated
            ('AFIB', True)
            >>> finding, negated = Glossary.default().read("without abnormalities")
            >>> finding.code, negated
            ('NORM', False)
        """
        if (finding := self.find(label)) or self._related(label):
            return finding, False
        if (rest := split_negation(label)) is not None:
            # "no abnormality" is a name of a normal ECG, and so is any other negation of it.
            if finding := self.find(f"no {rest}"):
                return finding, False
            if finding := self.find(rest):
                return finding, True
        if not has_negation(label):
            return None, False
        raise ValueError(
            f"The label {label!r} negates something that is no finding of the glossary, or in a way that is not "
            f"understood{did_you_mean(self.suggestions(rest or label))}. Name the findings without negation, each in a "
            'label of its own, or negate one finding, as in "no atrial fibrillation".'
        )

    def suggestions(self, label: str) -> tuple[str, ...]:
        """
        Names of at most three findings that may be meant by a label that is none: related ones, those with the same
        spelling but for one or two letters, or else those that the label contains besides other words.

        Example:
            >>> Glossary.default().suggestions("atrial fibrilation"), Glossary.default().suggestions("frequent PVCs")
            (('atrial fibrillation',), ('ventricular premature complex',))
            >>> Glossary.default().suggestions("ventricular fibrillation"), Glossary.default().suggestions("banana")
            ((), ())
        """
        codes = self._related(label) or self._misspelled(label) or self._contained(label)
        return tuple(self.findings[code].name for code in list(dict.fromkeys(codes))[:3])

    def _related(self, label: str) -> list[str]:
        words = canonical_words(label)
        return [f.code for f in self._defined if words in map(canonical_words, f.related)]

    def _misspelled(self, label: str) -> list[str]:
        typed = label_words(label)
        distances: dict[str, int] = {}
        for finding in self._defined:
            for name in (finding.name, *finding.names, *finding.typed):
                distance = _spelling_distance(typed, label_words(name))
                if distance is not None and distance <= distances.get(finding.code, 2):
                    distances[finding.code] = distance
        return [code for code, distance in distances.items() if distance == min(distances.values())]

    def _contained(self, label: str) -> list[str]:
        words = set(canonical_words(label))
        inside = [names for names in self._code_by_words if words.issuperset(names)]
        longest = max(map(len, inside), default=0)
        return [self._code_by_words[names] for names in inside if len(names) == longest]

    def prompts(self, label: str, language: str | None = None) -> tuple[str, ...]:
        """The prompts of a label: the phrases of its finding, English then German; of an unknown label its own text.

        Example:
            >>> Glossary.default().prompts("low voltage")[:2]
            ('low limb lead voltage.', 'sinus rhythm. low limb lead voltage.')
            >>> Glossary.default().prompts("  Brugada   pattern")
            ('brugada pattern',)
        """
        finding = self.find(label)
        return finding.prompts(language) if finding else (as_prompt(label),)

    def opposites(self, label: str) -> tuple[str, ...]:
        """The codes of the findings that a label is contrasted with.

        Example:
            >>> Glossary.default().opposites("left bundle branch block"), Glossary.default().opposites("sinus rhythm")
            (('NORM',), ('AFIB', 'AFLT', 'PACE'))
        """
        finding = self.find(label)
        return finding.opposites if finding else Finding.opposites


def as_prompt(label: str) -> str:
    """A label that is no finding, as text for the encoder."""
    return " ".join(label.lower().split())


def did_you_mean(names: Iterable[str]) -> str:
    """A question that names findings, to be put after a label; empty if there are none."""
    quoted = [repr(name) for name in names]
    return f" (did you mean {' or '.join(quoted)}?)" if quoted else ""


def _spelling_distance(typed: list[str], name: list[str]) -> int | None:
    """
    How many letters differ between two spellings, or `None` for more than a slip: two letters in all, one in words of
    less than eight letters, none in words of less than four, in numbers, or in the first letter of a short word.
    """
    if len(typed) != len(name):  # a blank too many or too few
        typed, name = ["".join(typed)], ["".join(name)]
    total = 0
    for word, other in zip(typed, name):
        if word == other:
            continue
        length = min(len(word), len(other))
        allowed = 0 if length < 4 or not (word + other).isalpha() else 1 if length < 8 else 2
        distance = edit_distance(word, other) if abs(len(word) - len(other)) <= allowed else allowed + 1
        if distance > allowed:
            return None
        total += distance
    return total if total <= 2 else None


def _read_finding(entry: object) -> Finding:
    known = {field.name for field in fields(Finding)}
    if not isinstance(entry, dict) or not {"code", "name"} <= entry.keys() <= known:
        raise ValueError(f"a finding has code, name and any of {', '.join(sorted(known))}; there is {_short(entry)}")
    for name, value in entry.items():
        texts = [value] if name in ("code", "name") else value
        if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError(f"{name} of {_short(entry['code'])} is {_short(value)}")
    phrases = {name: tuple(value) for name, value in entry.items() if name not in ("code", "name")}
    return Finding(entry["code"], entry["name"], **phrases)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


__all__ = ["GLOSSARY_FILE", "Finding", "Glossary", "as_prompt", "did_you_mean"]
