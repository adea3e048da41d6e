"""Data sets by name and by folder."""

from collections.abc import Sequence
from pathlib import Path

from datasets import DatasetDict

from .challenge import DATASETS, Challenge
from .folder import Folder
from .mimic import MimicIvEcg
from .preparation import MANIFEST, load_prepared
from .ptbxl import PtbXl, load_ptbxl
from .sources import Source
from .tasks import published_splits

__all__ = ["SOURCES", "load_data", "open_source"]

SOURCES = ("ptbxl", *DATASETS, "mimic-iv-ecg", "folder")

# The task whose published row lists split a data set.
_LISTED = {"cpsc2018": "cpsc2018", "csn": "csn-merl"}


def load_data(folder: str | Path) -> DatasetDict:
    """Open a prepared data set, or the tree of PTB-XL, which is prepared in the cache of `datasets` when first used.

    Raises:
        FileNotFoundError: the folder holds neither.
    """
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return load_prepared(folder)
    if (folder / "ptbxl_database.csv").is_file():
        return load_ptbxl(folder)
    raise FileNotFoundError(
        f"{folder} holds neither {MANIFEST} nor ptbxl_database.csv: name what `merit prepare` wrote, or PTB-XL's folder"
    )


def open_source(
    name: str,
    root: str | Path,
    sampling_rate: int | None = None,
    splits: str | Path | None = None,
    table: str | Path | None = None,
    labels: Sequence[str] | None = None,
) -> Source:
    """A data set as it was published, or a folder of one's own, by name.

    Args:
        name: one of `SOURCES`.
        root: its folder.
        sampling_rate: 100 or 500, of PTB-XL, which exists at both.
        splits: for "cpsc2018" and "csn", a folder with the published row lists.
        table: for "folder", its CSV file if that is not ROOT/records.csv.
        labels: for "folder", the labels of its task if they are not those that occur.

    Raises:
        ValueError: there is no such data set, an argument does not go with it, or its tables are wrong.
        FileNotFoundError: a file is missing.
    """
    if name not in SOURCES:
        raise ValueError(f"There is no data set {name!r}; there are {', '.join(SOURCES)}")
    if splits is not None and name not in _LISTED:
        raise ValueError(f"Row lists are published for {' and '.join(_LISTED)}, not for {name}")
    if name != "folder" and (table is not None or labels is not None):
        raise ValueError(f"A table and labels go with a folder of one's own, not with {name}")
    if not Path(root).is_dir():
        raise FileNotFoundError(f"{root} is no folder")
    if name == "ptbxl":
        return PtbXl(root, sampling_rate or 100)
    if name == "mimic-iv-ecg":
        return MimicIvEcg(root)
    if name == "folder":
        return Folder(root, table, labels)
    return Challenge(name, root, None if splits is None else published_splits(splits, _LISTED[name]))
