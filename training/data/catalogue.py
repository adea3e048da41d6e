"""Data sets by name and by folder."""

from collections.abc import Sequence
from pathlib import Path

from datasets import DatasetDict, config

from .preparation import MANIFEST, VERSION, load_prepared, prepare
from .sources.base import Source
from .sources.challenge import DATASETS, Challenge
from .sources.folder import Folder
from .sources.mimic import MimicIvEcg
from .sources.ptbxl import PtbXl
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


def load_ptbxl(root: str | Path, sampling_rate: int = 100, cache_dir: str | Path | None = None) -> DatasetDict:
    """Load PTB-XL, or any tree laid out like it, as "train", "validation" and "test" (those that have records).

    The first call reads every record and writes Arrow files, see `merit.training.data.schema` for their columns; later
    calls map these into memory. They are made anew when a CSV file or the size or time of a record changes. Statements
    count whatever their likelihood; an age of 300 stands for more than 89.

    Args:
        root: the folder with ptbxl_database.csv, scp_statements.csv and records100/ or records500/.
        sampling_rate: 100 or 500 (Hz); the two are different files, not resamplings of each other.
        cache_dir: where the Arrow files go; by default a folder "merit" in the cache of `datasets`.

    Raises:
        FileNotFoundError: a CSV file is missing.
        ValueError: a CSV file lacks a column or holds a bad value, a statement is not in scp_statements.csv, a path
            leads out of root, a patient is in two splits, or a record is missing, cannot be read, lacks a lead or has
            another rate.
    """
    source = PtbXl(root, sampling_rate)
    cache = Path(cache_dir or Path(config.HF_DATASETS_CACHE) / "merit")
    return load_prepared(prepare(source, cache / f"ptbxl-{sampling_rate}hz-{VERSION}-{source.fingerprint()}"))
