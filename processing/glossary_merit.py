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
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path

GLOSSARY_FILE = "glossary_merit.json"
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


@dataclass(frozen=True)
class Finding:
    """A finding with its names and prompts.

    Attributes:
        code (`str`): its code in PTB-XL, otherwise in another data set.
        name (`str`): its name in plain clinical English.
        names (`tuple[str]`): other names: abbreviations, synonyms, German names.
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
            for name in (finding.code, finding.name, *finding.names):
                other = self._code_of.setdefault(_key(name), finding.code)
                if other != finding.code:
                    raise ValueError(f"{name!r} is a name of both {other} and {finding.code}")
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
            if not finding["members"]:
                del finding["members"]
            if finding["opposites"] == Finding.opposites:
                del finding["opposites"]
        text = json.dumps({"findings": findings}, ensure_ascii=False, indent=2) + "\n"
        path, content = Path(path), text.encode()
        if not path.is_file() or path.read_bytes() != content:
            path.unlink(missing_ok=True)
            path.write_bytes(content)

    def find(self, label: str) -> Finding | None:
        """Look a label up by code or name. Case, punctuation, blanks and the word "ECG" do not matter.

        Example:
            >>> Glossary.default().find("left bundle-branch block").code, Glossary.default().find("Normal ECG").code
            ('CLBBB', 'NORM')
            >>> Glossary.default().find("blue") is None
            True
        """
        code = self._code_of.get(_key(label))
        return self.findings[code] if code else None

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


def _key(label: str) -> str:
    """What distinguishes a label from others: its letters and digits in one spelling, without the word ECG."""
    words = re.findall(r"[^\W_]+", label.casefold().translate(_UMLAUTS))
    # "ischaemia" and "ischemia" are one word, and so are "Ischämie" and "ischemie".
    return "".join(word for word in words if word not in ("ecg", "ekg")).replace("aemi", "emi")


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


__all__ = ["GLOSSARY_FILE", "Finding", "Glossary", "as_prompt"]
