"""Open data sets by name or by folder."""

from collections.abc import Sequence
from pathlib import Path

from datasets import DatasetDict, config

from .preparation import MANIFEST, VERSION, load_prepared, prepare
from .row_lists import published_splits
from .sources.base import Source
from .sources.challenge import DATASETS, Challenge
from .sources.folder import Folder
from .sources.mimic import MimicIvEcg
from .sources.ptbxl import PtbXl

__all__ = ["SOURCES", "load_data", "open_source"]

SOURCES = ("ptbxl", *DATASETS, "mimic-iv-ecg", "folder")
# The task whose published row lists define the splits of a data set.
_TASKS_WITH_ROW_LISTS = {"cpsc2018": "cpsc2018", "csn": "csn-merl"}


def load_data(folder: str | Path, verify: bool = False) -> DatasetDict:
    """Load a prepared data set, or PTB-XL, which is prepared in the cache of `datasets` when first used.

    Args:
        folder: as `merit prepare` wrote it, or the folder of PTB-XL.
        verify: compare the SHA-256 of every file of a prepared data set, not only their number, rows and sizes.

    Raises:
        FileNotFoundError: the folder holds neither.
        ValueError: a file of a prepared data set is missing or damaged.
    """
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return load_prepared(folder, verify)
    if (folder / "ptbxl_database.csv").is_file():
        return load_ptbxl(folder)
    raise FileNotFoundError(
        f"{folder} holds neither {MANIFEST} nor ptbxl_database.csv; pass the output of `merit prepare`, or PTB-XL"
    )


def open_source(
    name: str,
    root: str | Path,
    sampling_rate: int | None = None,
    splits: str | Path | None = None,
    table: str | Path | None = None,
    labels: Sequence[str] | None = None,
) -> Source:
    """Open a published data set by name, or a folder of your own recordings.

    Args:
        name: one of `SOURCES`.
        root: its folder.
        sampling_rate: 100 or 500 Hz, for PTB-XL, which is published at both.
        splits: for "cpsc2018" and "csn", a folder with the published row lists.
        table: for "folder", its CSV file; by default ROOT/records.csv.
        labels: for "folder", the labels of its task; by default those that occur.

    Raises:
        ValueError: there is no such data set, an argument does not apply to it, or its tables are invalid.
        FileNotFoundError: a file is missing.
    """
    if name not in SOURCES:
        raise ValueError(f"There is no data set {name!r}; there are {', '.join(SOURCES)}")
    if splits is not None and name not in _TASKS_WITH_ROW_LISTS:
        raise ValueError(f"Row lists are published for {' and '.join(_TASKS_WITH_ROW_LISTS)}, not for {name}")
    if name != "folder" and (table is not None or labels is not None):
        raise ValueError(f"table and labels apply to the data set 'folder' only, not to {name}")
    if not Path(root).is_dir():
        raise FileNotFoundError(f"{root} is not a folder")
    if name == "ptbxl":
        return PtbXl(root, sampling_rate or 100)
    if name == "mimic-iv-ecg":
        return MimicIvEcg(root)
    if name == "folder":
        return Folder(root, table, labels)
    return Challenge(name, root, None if splits is None else published_splits(splits, _TASKS_WITH_ROW_LISTS[name]))


def load_ptbxl(root: str | Path, sampling_rate: int = 100, cache_dir: str | Path | None = None) -> DatasetDict:
    """Load PTB-XL, or any folder with its layout, as "train", "validation" and "test" (those that have records).

    The first call reads every record and writes Arrow files with the columns of `merit.training.data.schema`; later
    calls map them into memory. They are written again when a CSV file or the size or time of a record changes.
    Statements count at any likelihood; an age of 300 means above 89.

    Args:
        root: the folder with ptbxl_database.csv, scp_statements.csv and records100/ or records500/.
        sampling_rate: 100 or 500 Hz; PTB-XL has separate files for each.
        cache_dir: folder of the Arrow files; by default a folder "merit" in the cache of `datasets`.

    Raises:
        FileNotFoundError: a CSV file is missing.
        ValueError: a CSV file lacks a column or holds a bad value, a statement is not in scp_statements.csv, a path
            leads out of root, a patient is in two splits, or a record is missing, cannot be read, lacks a lead or has
            another rate.
    """
    source = PtbXl(root, sampling_rate)
    cache = Path(cache_dir or Path(config.HF_DATASETS_CACHE) / "merit")
    return load_prepared(prepare(source, cache / f"ptbxl-{sampling_rate}hz-{VERSION}-{source.fingerprint()}"))
