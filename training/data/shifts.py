"""Distribution shift: the labels that the tasks of two data sets share."""

from collections.abc import Mapping

__all__ = ["SHIFTS", "name_in_shifts"]


def _reverse(overlap: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Invert an overlap: from its target to its source."""
    targets = dict.fromkeys(target for several in overlap.values() for target in several)
    return {target: tuple(label for label, several in overlap.items() if target in several) for target in targets}


_SUPER_TO_CPSC2018 = {"NORM": ("NORM",), "CD": ("1AVB", "CRBBB", "CLBBB"), "STTC": ("STE", "STD")}
_SUPER_TO_CSN = {
    "HYP": ("RVH", "LVH"),
    "NORM": ("SR",),
    "CD": ("2AVB", "2AVB1", "1AVB", "AVB", "LBBB", "RBBB"),
    "MI": ("MI",),
    "STTC": ("STTC", "STE", "TWO", "STTU", "QTIE", "TWC"),
}
_CPSC2018_TO_CSN = {
    "AFIB": ("AFIB",),
    "VPC": ("VPB",),
    "NORM": ("SR",),
    "1AVB": ("1AVB",),
    "CRBBB": ("RBBB",),
    "STE": ("STE",),
    "PAC": ("APB",),
    "CLBBB": ("LBBB",),
    "STD": ("STTC", "STTU", "STDD"),
}
# By source and target, see `name_in_shifts`: the labels of the target for each label of the source, as published. Pairs
# that were published in one direction only are inverted.
SHIFTS = {
    ("super", "cpsc2018"): _SUPER_TO_CPSC2018,
    ("super", "csn"): _SUPER_TO_CSN,
    ("cpsc2018", "super"): _reverse(_SUPER_TO_CPSC2018),
    ("cpsc2018", "csn"): _CPSC2018_TO_CSN,
    ("csn", "super"): _reverse(_SUPER_TO_CSN),
    ("csn", "cpsc2018"): _reverse(_CPSC2018_TO_CSN),
}
# Two versions of one task have the same labels in common with others.
_NAMES = {"csn-clean": "csn", "csn-merl": "csn"}


def name_in_shifts(task: str) -> str:
    """
    The name of a task in `SHIFTS`.

    Example:
        >>> name_in_shifts("csn-clean"), name_in_shifts("super")
        ('csn', 'super')
    """
    return _NAMES.get(task, task)
