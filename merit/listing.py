"""The recordings of an archive: folders, globs, tables of paths and prepared data sets, as one list on disk."""

import glob
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from .processing.csv_merit import names_no_lead
from .processing.formats_merit import detect_format
from .processing.inputs_merit import to_recordings
from .processing.recordings_merit import EcgError, Recording
from .processing.wfdb_header_merit import read_header
from .training.results.atomic import atomic_write

# Files that are taken from a folder, besides those whose content is that of a hospital format.
SUFFIXES = (".hea", ".csv", ".tsv", ".npy", ".dcm", ".dicom", ".xml", ".scp", ".edf", ".bdf", ".ecg")
# Signal files of WFDB, which are read through the header beside them.
_SIGNAL_FILES = (".dat", ".mat")
_TABLES = (".csv", ".tsv", ".parquet")
# `row` is the position in a prepared data set; the other columns describe files that do not state it.
_COLUMNS = pa.schema(
    [
        ("path", pa.string()),
        ("record_id", pa.string()),
        ("row", pa.int64()),
        ("sampling_rate", pa.float64()),
        ("units", pa.string()),
        ("leads", pa.list_(pa.string())),
    ]
)
_ROWS_IN_MEMORY = 10_000


def write_listing(sources: Iterable[str | Path], path: str | Path, leads_given: bool = False) -> int:
    """
    Write the list of all recordings of `sources` to an Arrow file, which [`Listing`] reads.

    Args:
        sources: each is a folder, of which all files with a suffix of `SUFFIXES` or of a hospital format are taken, in
            all folders below, but no table whose first row names columns and no lead, and no segment of a WFDB record
            of several; a glob with `*`, `?` or `[`; a recording; a table (.csv, .tsv, .parquet) with a column `path`,
            relative to the table's folder, and optionally `record_id`, `sampling_rate`, `units` and `leads` (names with
            blanks between them); or a prepared data set.
        path: of the file.
        leads_given: the leads of files that do not name them are known, so that tables of a folder need not.

    Returns:
        the number of recordings.

    Raises:
        FileNotFoundError: there is no such file or folder, or it holds no recording.
        ValueError: a column of a table cannot be read.
    """
    count = 0
    with (
        atomic_write(path) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, _COLUMNS) as listing,
    ):
        for source in sources:
            before = count
            for batch in _batches(_recordings_of(str(source), leads_given)):
                listing.write_batch(pa.RecordBatch.from_pylist(batch, schema=_COLUMNS))
                count += len(batch)
            if count == before:
                raise FileNotFoundError(
                    f"{source} holds no recording; a folder is searched for files of hospital formats and for the "
                    f"suffixes {', '.join(SUFFIXES)}, a glob matches others too"
                )
    return count


class Listing:
    """
    The recordings of a list that [`write_listing`] wrote. It is mapped into memory, so that its length costs nothing.

    Args:
        path: of the Arrow file.
    """

    def __init__(self, path: str | Path):
        self.table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        self._data_sets: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return len(self.table)

    def rows(self, positions: Iterable[int]) -> list[dict[str, Any]]:
        """What the list says of the recordings at some positions."""
        return [self.table.slice(position, 1).to_pylist()[0] for position in positions]

    def read(self, row: dict[str, Any], description: dict[str, Any]) -> Recording:
        """
        Read a recording.

        Args:
            row: of the list.
            description: `sampling_rate`, `leads` and `units` of files for which neither the file nor the list has them.

        Raises:
            EcgError: it cannot be read.
        """
        if row["row"] is not None:
            return to_recordings(self._row_of_data_set(row["path"], row["row"]))[0]
        own = {name: row[name] for name in ("sampling_rate", "units", "leads") if row[name] is not None}
        return to_recordings(row["path"], **{**description, **own})[0]

    def _row_of_data_set(self, folder: str, row: int) -> Any:
        if folder not in self._data_sets:
            self._data_sets[folder] = _splits(folder)
        for rows in self._data_sets[folder]:
            if row < len(rows):
                return rows[row]
            row -= len(rows)
        raise IndexError(row)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS_IN_MEMORY:
            yield batch
            batch = []
    if batch:
        yield batch


def _recordings_of(source: str, leads_given: bool) -> Iterator[dict[str, Any]]:
    from .training.data.preparation import MANIFEST

    if os.path.isfile(os.path.join(source, MANIFEST)):
        identities = (str(one) for rows in _splits(source) for one in rows["record_id"])
        yield from ({"path": source, "record_id": one, "row": row} for row, one in enumerate(identities))
    elif os.path.isdir(source):
        yield from ({"path": path} for path in _files_below(source, leads_given))
    elif source.lower().endswith(_TABLES) and os.path.isfile(source) and "path" in (names := _column_names(source)):
        yield from _rows_of_table(source, names)
    elif os.path.isfile(source) or os.path.isfile(f"{source}.hea"):
        yield {"path": source}
    elif glob.has_magic(source):
        matched = [path for path in sorted(glob.iglob(source, recursive=True)) if _is_recording(path)]
        yield from ({"path": path} for path in _without_segments(matched))
    else:
        raise FileNotFoundError(f"There is no file, folder, WFDB record or prepared data set {source}")


def _splits(folder: str) -> list[Any]:
    from .training.batching.collator import ecg_rows
    from .training.data.catalogue import load_data

    return [ecg_rows(rows) for rows in load_data(folder).values()]


def _files_below(folder: str, leads_given: bool) -> Iterator[str]:
    other_tables = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found = []
        for name in sorted(files):
            path = os.path.join(parent, name)
            if name.startswith("."):
                continue
            if not leads_given and _is_other_table(path):
                other_tables.append(path)
            elif name.lower().endswith(SUFFIXES) or _has_format(path):
                found.append(path)
        yield from _without_segments(found)
    if other_tables:
        more = f" and {len(other_tables) - 3} more" if len(other_tables) > 3 else ""
        warnings.warn(
            f"{', '.join(other_tables[:3])}{more} left out, because the first row names no lead; give the names of the "
            "leads if these are recordings",
            stacklevel=2,
        )


def _without_segments(paths: list[str]) -> list[str]:
    """The paths without WFDB headers of segments of which a record among the paths consists."""
    segments: set[str] = set()
    for header in (path for path in paths if path.endswith(".hea")):
        name = os.path.basename(header)
        folder = header.removesuffix(name)
        try:
            parts = read_header(header.removesuffix(".hea"), name).segments
        except EcgError:  # it cannot be read, which is reported as any other failure
            continue
        segments |= {f"{folder}{part}.hea" for part, _ in parts} - {header}
    return [path for path in paths if path not in segments]


def _is_other_table(path: str) -> bool:
    """Whether a table holds something else than a recording, such as the list of all recordings."""
    try:
        return path.lower().endswith((".csv", ".tsv")) and names_no_lead(path) and detect_format(path) is None
    except EcgError:  # it cannot be read, which is reported as any other failure
        return False


def _has_format(path: str) -> bool:
    """Whether a file without a known suffix is one of a hospital system, such as DICOM files without any."""
    try:
        return _is_recording(path) and detect_format(path) not in (None, "XML")  # web pages and drawings are XML, too
    except EcgError:  # it cannot be read
        return False


def _is_recording(path: str) -> bool:
    """Whether a file that a glob matches is one, and no signal file of which the header is matched or read, too."""
    stem, suffix = os.path.splitext(path)
    return os.path.isfile(path) and not (suffix in _SIGNAL_FILES and os.path.isfile(f"{stem}.hea"))


def _column_names(path: str) -> list[str]:
    if path.lower().endswith(".parquet"):
        return pa.parquet.read_schema(path).names
    return _split_names(path)[0]


def _split_names(path: str) -> tuple[list[str], str]:
    """The names in the first row of a text table, and what separates them: that by which one of them is "path"."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        line = file.readline()
    usual = "\t" if path.lower().endswith(".tsv") else ","
    names: list[str] = []
    for separator in (usual, ";", "\t", ","):
        names = [name.strip().strip('"') for name in line.split(separator)]
        if "path" in names:
            return names, separator
    return names, usual


def _rows_of_table(path: str, names: list[str]) -> Iterator[dict[str, Any]]:
    names = [name for name in _COLUMNS.names if name in names and name != "row"]
    try:
        if path.lower().endswith(".parquet"):
            table = pa.parquet.read_table(path, columns=names)
        else:
            convert = pa.csv.ConvertOptions(
                include_columns=names,
                column_types={name: pa.float64() if name == "sampling_rate" else pa.string() for name in names},
                strings_can_be_null=True,
            )
            parse = pa.csv.ParseOptions(delimiter=_split_names(path)[1])
            table = pa.csv.read_csv(path, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        hint = "; save the table as UTF-8" if "UTF8" in str(error) else ""
        raise ValueError(f"{path}: {error}{hint}") from None
    folder = os.path.dirname(path)
    for number, row in enumerate((row for batch in table.to_batches() for row in batch.to_pylist()), start=2):
        if not row["path"]:
            raise ValueError(f"{path}: the path in row {number} is empty")
        if isinstance(row.get("leads"), str):
            row["leads"] = row["leads"].split()
        yield row | {"path": os.path.join(folder, row["path"])}
