"""Label tasks: the labels of each task, and which of them each code of a record sets.

>>> snomed_tasks()["cpsc2018"].encode(["AF", "59118001"])
array([1, 0, 0, 0, 1, 0, 0, 0, 0], dtype=uint8)
>>> unmapped(["AF", "59118001", "123"])
['123']
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from .label_maps import CHALLENGE_LABELS, CPSC2018_LABELS, CSN_LABELS

__all__ = ["Task", "ptbxl_tasks", "snomed_tasks", "unmapped"]

# Some copies of CPSC2018 name its nine classes by acronym, others by SNOMED CT id (PVC by 164884008, which the
# Challenge does not score).
_CPSC2018_ACRONYMS = {
    "AF": "164889003",
    "I-AVB": "270492004",
    "LBBB": "164909002",
    "Normal": "426783006",
    "PAC": "284470004",
    "PVC": "427172004",
    "RBBB": "59118001",
    "STD": "429622005",
    "STE": "164931005",
}


@dataclass(frozen=True)
class Task:
    """A multi-label classification task.

    Attributes:
        name: for example "super".
        labels: the classes, in the order of the label vector.
        labels_of: the labels that each code sets; other codes are not part of the task.
    """

    name: str
    labels: tuple[str, ...]
    labels_of: Mapping[str, tuple[str, ...]]

    def encode(self, codes: Iterable[str]) -> np.ndarray:
        """Return the label vector (labels,) of a record, uint8 of 0 and 1; all 0 if no code is part of the task.

        Example:
            >>> Task("super", ("CD", "MI"), {"IMI": ("MI",), "CLBBB": ("CD",)}).encode(["IMI", "SR"])
            array([0, 1], dtype=uint8)
        """
        present = {label for code in codes for label in self.labels_of.get(code, ())}
        return np.array([label in present for label in self.labels], dtype=np.uint8)


def ptbxl_tasks(root: str | Path) -> dict[str, Task]:
    """Build the tasks "all", "diagnostic", "sub", "super", "form" and "rhythm" from ROOT/scp_statements.csv.

    The labels of a task are those that occur in the file, sorted: 71, 44, 23, 5, 19 and 12 in PTB-XL 1.0.3, fewer where
    the file lists only some statements; a task of which it lists none is left out. Statements count at any
    likelihood.

    Raises:
        FileNotFoundError: there is no scp_statements.csv.
        ValueError: it lacks a column, or names a statement twice.
    """
    path = Path(root) / "scp_statements.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; the root of a PTB-XL tree holds it")
    statements = pd.read_csv(path, index_col=0)
    statements.index = statements.index.astype(str)
    columns = {"diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"}
    if missing := sorted(columns - set(statements.columns)):
        raise ValueError(f"{path} lacks the column {', '.join(missing)}")
    if not statements.index.is_unique:
        raise ValueError(f"{path} names {statements.index[statements.index.duplicated()][0]} twice")

    def by_column(name: str, column: str) -> Task:
        labels_of = {str(code): (str(label),) for code, label in statements[column].dropna().items()}
        return Task(name, tuple(sorted({label for (label,) in labels_of.values()})), labels_of)

    def by_code(name: str, codes: Iterable[str]) -> Task:
        labels_of = {code: (code,) for code in codes}
        return Task(name, tuple(sorted(labels_of)), labels_of)

    def of_kind(kind: str) -> Task:
        return by_code(kind, statements.index[statements[kind] == 1])

    tasks = [
        by_code("all", statements.index),
        of_kind("diagnostic"),
        by_column("sub", "diagnostic_subclass"),
        by_column("super", "diagnostic_class"),
        of_kind("form"),
        of_kind("rhythm"),
    ]
    return {task.name: task for task in tasks if task.labels}


def snomed_tasks() -> dict[str, Task]:
    """Build the tasks of records whose codes are SNOMED CT ids: "cpsc2018", "csn-clean", "csn-merl" and "challenge".

    - "cpsc2018": the nine classes of CPSC2018 under the names of the published row lists.
    - "csn-merl": Chapman-Shaoxing-Ningbo as published, 38 labels. The published lists set a label wherever it is a
      substring of the comma-separated acronyms of a record, so an acronym sets every label it contains: STTC also ST,
      AFIB AF, AVB VB, 1AVB both AVB and VB, 2AVB1 2AVB, CCR CR, LVQRSAL SA. For comparison with published figures only.
    - "csn-clean": the same by exact acronym, 37 labels. VB is left out: three records have it, none of the test.
    - "challenge": the 30 scored diagnoses of the PhysioNet/CinC Challenge 2021 in its 26 classes. Diagnoses that are
      scored as equivalent are one class, named by the second: CLBBB and LBBB, CRBBB and RBBB, SVPB and PAC, VPB and
      PVC. The Challenge of 2020 scored the same without BBB, CLBBB and PRWP.

    SNOMED CT ids mean the same in every task. Acronyms do not, so each task reads only those of its own data set:
    "cpsc2018" and "challenge" those of CPSC2018's headers, where AF is atrial fibrillation and STE is ST elevation; the
    "csn" tasks those of CSN, where AF is atrial flutter (164890007), AFIB is fibrillation (164889003) and STE is "ST
    extension" (164930006). Flutter is kept as labelled, although none of the published rows from Ningbo (JS10647 on) is
    AFIB and 2,950 are AF, among which there must be fibrillation.

    CSN's headers carry more codes than CSN's own table. The published rows are the records that have only codes of this
    table and at least one label; the "csn" tasks know no other codes and are meant for these rows.
    """
    table = _snomed_table()

    def by_column(name: str, labels: Iterable[str], code_of_acronym: Mapping[str, str]) -> Task:
        labels_of = {str(code): (label,) for code, label in table[name].items() if label}
        labels_of |= {acronym: labels_of[code] for acronym, code in code_of_acronym.items() if code in labels_of}
        return Task(name, tuple(labels), labels_of)

    def by_acronym(name: str, labels: Iterable[str], sets: Callable[[str, str], bool]) -> Task:
        labels = tuple(labels)
        labels_of = {}
        for code, acronym in table["csn"].items():
            if labels_of_acronym := tuple(label for label in labels if sets(acronym, label)):
                labels_of[str(code)] = labels_of[acronym] = labels_of_acronym
        return Task(name, labels, labels_of)

    tasks = [
        by_column("cpsc2018", CPSC2018_LABELS, _CPSC2018_ACRONYMS),
        by_acronym("csn-clean", (label for label in CSN_LABELS if label != "VB"), operator.eq),
        by_acronym("csn-merl", CSN_LABELS, operator.contains),
        by_column("challenge", CHALLENGE_LABELS, _CPSC2018_ACRONYMS),
    ]
    return {task.name: task for task in tasks}


def unmapped(codes: Iterable[str]) -> list[str]:
    """Return the codes that are neither a SNOMED CT id of snomed.csv nor an acronym of CPSC2018 or CSN, each once.

    A known code need not belong to a task: sinus bradycardia is no label of CPSC2018.
    """
    table = _snomed_table()
    known = {*table.index, *table["csn"], *_CPSC2018_ACRONYMS} - {""}
    return [code for code in dict.fromkeys(codes) if code not in known]


@cache
def _snomed_table() -> pd.DataFrame:
    """Read snomed.csv: by SNOMED CT id its label in CSN, CPSC2018 and the Challenge, "" if none, and an English name.

    The ids are those that the Challenge lists for its data sets and CSN for itself. Where CSN has several acronyms for
    one id (LBBB, LBBBB and LFBBB; IDC and IVB; MI and four walls; WAVN and SAAWR), a header does not tell which; the
    table has the first, as the published row lists do.
    """
    table = pd.read_csv(Path(__file__).with_name("snomed.csv"), dtype=str, keep_default_na=False)
    return table.set_index("code")  # as index_col, codes were numbers before pandas 3
