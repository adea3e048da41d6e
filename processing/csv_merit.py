"""Tables (CSV) to `Recording`."""

import csv
import math
import os
import re
from collections.abc import Sequence

import numpy as np

from .leads_merit import millivolts_per, standard_lead
from .recording_base_merit import EcgError, Recording, decode_text, file_size, open_file, per_lead, quote, to_path

MAX_BYTES = 1 << 26
_START_BYTES = 4096  # enough for two rows of a table
_MAX_COLUMNS = 1000
_MAX_COMMENTS = 1000  # rows above the names
_CHARACTERS_AT_ONCE = 1 << 18
_NO_SEPARATORS = bytes({*range(256)} - {*b",\n"})
_COARSEST_TIME = 0.01  # s; a time column with two decimals
_UNIT = "s|sec\\.|secs?|seconds?|ms|msecs?|milliseconds?|[uµμ]s|microseconds?"
_VOLT = "[munµμ]?V"
_TIME_COLUMN = re.compile(
    rf"(?:time|timestamp|t|elapsed time|zeit)(?:[ _]*[(\[_/ ] *(?P<unit>{_UNIT})[)\]]?)?"
    "|(?P<only>seconds|milliseconds|ms)",
    re.I,
)
_NAME_AND_UNIT = re.compile(rf"(.*?)\s*[(\[]\s*({_VOLT})\s*[)\]]", re.I)
_UNIT_ONLY = re.compile(rf"[(\[]?\s*({_VOLT}|{_UNIT}|)\s*[)\]]?", re.I)


def read_csv(
    path: str | os.PathLike,
    sampling_rate: float | None = None,
    units: str | Sequence[str] | None = None,
    lead_names: list[str] | tuple[str, ...] | None = None,
) -> Recording:
    """Read a CSV table with one column per lead, lead names in the first row.

    Commas, semicolons and tabs separate columns; decimal commas are read where they do not separate. A lead name may
    state its unit, as in `II (mV)`, or a second row the units of all columns. Without a row of names pass `lead_names`.

    A time column, such as "time", "t", "Time [s]", "Zeit (ms)" or "time_ms", gives the sampling rate where none is
    passed, and must agree with the one that is. A first column without a name that always increases is one, too.
    Without a unit it holds seconds, or milliseconds where only these give 50 to 5000 Hz. Where its printed times are
    coarser than the samples, the rate is the only whole number that they allow. A column that is no lead and counts the
    rows is left out, and so are a column without a name and values, and rows above the names that start with "#". Empty
    cells and "nan" are invalid samples.

    Args:
        path (`str` or `os.PathLike`): The table.
        sampling_rate (`float`, *optional*): Samples per second; needed without a time column.
        units (`str` or `list[str]`, *optional*): The unit of all leads or of each, such as "mV"; needed where the
            lead names do not state it.
        lead_names (`list[str]`, *optional*): Names to use instead of those in the first row.

    Returns:
        `Recording`: physical, `signal` float64 of shape `(leads, samples)`.

    Raises:
        EcgError: the file is missing or no table of numbers, or units or sampling rate are not known.

    Example:

    ```python
    >>> recording = read_csv("ecg.csv", sampling_rate=250, units="mV")  # doctest: +SKIP
    ```
    """
    path = to_path(path)
    name = quote(os.path.splitext(os.path.basename(path))[0])
    if not os.path.exists(path):
        raise EcgError(f"{name}: there is no file {quote(path)}")
    if file_size(path, name) > MAX_BYTES:
        raise EcgError(f"{name}: {path} has more than {MAX_BYTES} bytes; store it as a WFDB record")
    with open_file(path, name) as file:
        text = decode_text(file.read())
    if "\0" in text:
        raise EcgError(f"{name}: {path} is not a CSV table (it contains NUL)")
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    if "\n\n" in text:
        text = re.sub("\n+", "\n", text)
    text, skipped = _without_comments(text)
    first, _, rest = text.partition("\n")
    separator = next((character for character in ";\t," if character in first), ",")
    columns, first_row = _split_row(first, separator, path, name), 1 + skipped
    # Data and no names; pandas writes the names ",0,1" if there are none.
    if columns and columns[0] and all(not column or _is_number(column.replace(",", ".")) for column in columns):
        if lead_names is None:
            raise EcgError(
                f"{name}: the first row of {path} must name the leads, but it starts with {columns[0]!r}; pass the "
                "lead names if the table has no such row"
            )
        unnamed = [""] * (len(columns) - len(lead_names))  # before the leads, but a separator at the end of every row
        ends = unnamed and f"{text}\n".count(f"{separator}\n") == text.count("\n") + 1
        columns = [*unnamed[1:], *lead_names, ""] if ends else [*unnamed, *lead_names]
    else:
        text, first_row = rest, first_row + 1
        second, _, rest = text.partition("\n")
        cells = _split_row(second, separator, path, name)
        if any(cells) and len(cells) == len(columns) and all(_UNIT_ONLY.fullmatch(cell) for cell in cells):
            columns = [_with_unit(column, cell) for column, cell in zip(columns, cells)]
            text, first_row = rest, first_row + 1
    if not text:
        raise EcgError(f"{name}: {path} holds no samples; the first row must name the leads, samples follow below")
    table = _parse_table(text, columns, separator, first_row, name)

    steps = np.diff(table[0])
    times = [i for i, column in enumerate(columns) if column and _TIME_COLUMN.fullmatch(column)]
    if not times and not columns[0] and (steps > 0).all() and not (steps == 1).all():
        times = [0]
    if times:
        match = _TIME_COLUMN.fullmatch(columns[times[0]])
        unit = ((match and (match["unit"] or match["only"])) or "").lower().replace("µ", "u").replace("μ", "u")
        resolution = _printed_resolution(text, times[0], separator)
        sampling_rate = _rate_of_time_column(table[times[0]], unit, resolution, sampling_rate, name)
    counters = [
        i
        for i, column in enumerate(columns)
        if standard_lead(column) is None and not _NAME_AND_UNIT.fullmatch(column) and (np.diff(table[i]) == 1).all()
    ]
    empty = [i for i, column in enumerate(columns) if not column and np.isnan(table[i]).all()]
    if left_out := [*times[:1], *counters, *empty]:
        table = np.delete(table, left_out, axis=0)
        columns = [column for i, column in enumerate(columns) if i not in left_out]
    if sampling_rate is None:
        needs_units = units is None and not all(map(_NAME_AND_UNIT.fullmatch, columns))
        raise EcgError(
            f"{name}: a CSV file without a time column, such as 'time', does not say its rate; pass sampling_rate= "
            "in Hz" + ", and units=, for example units='mV', which no lead name states" * needs_units
        )
    columns, units = _split_units(columns, units, name)
    if lead_names is not None and len(lead_names) != len(columns):
        raise EcgError(f"{name}: {len(lead_names)} lead names for the {len(columns)} lead columns {columns}")
    for given, own in zip(lead_names or (), columns):
        if standard_lead(own) not in (None, standard_lead(given)):
            raise EcgError(
                f"{name}: the lead names call {given!r} what the table calls {own!r}; pass none, or correct it"
            )
    return Recording(
        name=name,
        signal=table,
        sampling_rate=float(sampling_rate),
        lead_names=tuple(columns if lead_names is None else lead_names),
        units=units,
    )


def is_table(path: str) -> bool:
    """Whether a file has the suffix of a table, or a second row of several numbers."""
    if path.lower().endswith((".csv", ".tsv")):
        return True
    if not os.path.isfile(path):
        return False
    rows = _start_of(path).splitlines()
    cells = re.split("[;\t,]", rows[1]) if len(rows) > 1 else []
    return len(cells) > 1 and all(_is_number(cell) for cell in cells)


def names_no_lead(path: str) -> bool:
    """Whether the first row of a table names columns of which none is a lead, as in a list of patients."""
    first = _without_comments(_start_of(path).replace("\r", "\n"))[0].partition("\n")[0]
    cells = [cell.strip(" '\"") for cell in re.split("[;\t,]", first)]
    names = [match[1] if (match := _NAME_AND_UNIT.fullmatch(cell)) else cell for cell in cells]
    return bool(first) and not all(map(_is_number, names)) and not any(map(standard_lead, names))


def _start_of(path: str) -> str:
    """The text with which a file begins, without empty lines before it."""
    with open_file(path, quote(os.path.basename(path))) as file:
        return decode_text(file.read(_START_BYTES)).lstrip("\r\n")


def _split_units(columns: list[str], units: str | Sequence[str] | None, name: str) -> tuple[list[str], tuple[str, ...]]:
    """Lead names without their units, and the unit of each lead."""
    matches = [_NAME_AND_UNIT.fullmatch(column) for column in columns]
    names = [match[1] if match else column for match, column in zip(matches, columns)]
    stated = [match[2] if match else None for match in matches]
    if units is None:
        if None in stated:
            lead = names[stated.index(None)]
            raise EcgError(
                f"{name}: a CSV file does not say its units unless a lead is named as in 'II (mV)', and {lead!r} is "
                "not; pass units=, for example units='mV'"
            )
        return names, tuple([unit or "" for unit in stated])
    given = per_lead(units, len(columns), name)
    for lead, unit, own in zip(names, given, stated):
        if own is not None and millivolts_per(own) != millivolts_per(unit):
            raise EcgError(f"{name}: units={unit!r} was passed, but its lead {lead} is in {own!r}; pass none")
    return names, given


def _without_comments(text: str) -> tuple[str, int]:
    """The table without the comments above it, and how many rows these are; `numpy.savetxt` writes names as one."""
    start, skipped = 0, 0
    while text.startswith("#", start) and skipped < _MAX_COMMENTS:
        end = text.find("\n", start) % (len(text) + 1)
        following = text[end + 1 : end + _START_BYTES].partition("\n")[0]
        cells = re.split("[;\t,]", following)
        if all(map(_is_number, cells)) and sum(text.count(mark, start, end) for mark in ";\t,") == len(cells) - 1:
            return text[start + 1 :].lstrip(" "), skipped
        start, skipped = end + 1, skipped + 1
    return text[start:], skipped


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _split_row(row: str, separator: str, path: str, name: str) -> list[str]:
    """The cells of a row of names or units."""
    if row.count(separator) >= _MAX_COLUMNS:
        raise EcgError(f"{name}: a row of {path} has more than {_MAX_COLUMNS} columns; write one for each lead")
    try:
        cells = next(csv.reader([row], delimiter=separator), [])
    except csv.Error as error:
        raise EcgError(f"{name}: {path} is not a CSV table ({error})") from error
    return [cell.strip(" '\"") for cell in cells]


def _with_unit(column: str, cell: str) -> str:
    """The name of a column with the unit below it, unless the name states one."""
    time, unit = _TIME_COLUMN.fullmatch(column), _UNIT_ONLY.fullmatch(cell)
    states_unit = _NAME_AND_UNIT.fullmatch(column) or (time and (time["unit"] or time["only"]))
    return column if states_unit or unit is None or not unit[1] else f"{column} ({unit[1]})"


def _parse_table(text: str, columns: list[str], separator: str, first_row: int, name: str) -> np.ndarray:
    """
    The numbers below the names, float64 of shape `(columns, rows)`.

    Args:
        first_row: the number of the first row of `text` in the file, for messages.
    """
    if separator != ",":
        text = text.replace(",", ".").replace(separator, ",")
    text = text.replace('"', "").replace("'", "")
    parts, start = [], 0
    while start <= len(text):
        end = text.find("\n", start + _CHARACTERS_AT_ONCE)
        part = text[start : end if end >= 0 else len(text)]
        numbers = _parse_rows(part, columns)
        if numbers is None:
            first_row += text.count("\n", 0, start)
            raise EcgError(f"{name}: {_describe_bad_row(part, columns, first_row)}")
        parts.append(numbers)
        start += len(part) + 1
    return np.concatenate(parts).T


def _parse_rows(text: str, columns: list[str]) -> np.ndarray | None:
    """The numbers `(rows, columns)`; None if a row has other columns, or a cell that is no number."""
    rows = text.count("\n") + 1
    if f"{text}\n".encode().translate(None, _NO_SEPARATORS) != (b"," * (len(columns) - 1) + b"\n") * rows:
        return None
    # Only whole-text replacements: a regular expression takes seconds for millions of empty cells.
    text = f"\n{text}\n".replace("\t", " ")
    if " " in text:
        while "  " in text:
            text = text.replace("  ", " ")
        text = text.replace(", ", ",").replace(" ,", ",").replace("\n ", "\n").replace(" \n", "\n")
    text = text.replace("\n", ",")
    while ",," in text:
        text = text.replace(",,", ",nan,")
    try:
        values = np.fromstring(text[1:-1], sep=",")
    except ValueError:
        return None
    return values.reshape(rows, -1) if values.size == rows * len(columns) else None


def _describe_bad_row(text: str, columns: list[str], first_row: int) -> str:
    """What is wrong with the first bad row."""
    for number, line in enumerate(text.split("\n"), first_row):
        cells = line.split(",")
        if len(cells) != len(columns):
            hint = ""
            if len(cells) == len(columns) + 1 and not cells[-1]:
                hint = "; remove the separator at its end"
            elif len(cells) > len(columns):
                hint = "; separate the columns with semicolons if these are decimal commas"
            return f"row {number} has {len(cells)} cells where the first row names {len(columns)} columns{hint}"
        for column, cell in zip(columns, cells):
            if cell.strip() and not _is_number(cell):
                hint = "; separate the columns with commas, semicolons or tabs" * (len(columns) == 1)
                return f"column {column}, row {number}: {cell!r:.100} is not a number{hint}"
    return f"rows from {first_row} hold something that is not a number"


def _printed_resolution(text: str, column: int, separator: str) -> float:
    """The last decimal place of the first cells of a column; 0 where they have exponents."""
    rows = (row.split(separator) for row in text[:_START_BYTES].split("\n")[:-1])
    cells = [row[column].strip(" '\"") for row in rows if len(row) > column]
    if not cells or any("e" in cell.lower() for cell in cells):
        return 0.0
    return 10.0 ** -max(len(cell.replace(",", ".").partition(".")[2]) for cell in cells)


def _rate_of_time_column(
    times: np.ndarray, unit: str, resolution: float, sampling_rate: float | None, name: str
) -> float:
    """
    The sampling rate in Hz.

    Args:
        resolution: the last decimal place that is printed.
        sampling_rate: that was passed.
    """
    factor = {"m": 1e-3, "u": 1e-6}.get(unit[:1], 1.0)
    step = (times[-1] - times[0]) / max(1, len(times) - 1)
    if not unit and 0 < step < np.inf:
        if step == 1 and sampling_rate is None:
            raise EcgError(
                f"{name}: its time column counts rows or milliseconds; call it time_ms, or pass sampling_rate="
            )
        if step == 1:
            return sampling_rate or 0.0
        if 50 <= 1e3 / step <= 5000:
            factor = 1e-3
    seconds, resolution = times * factor, resolution * factor
    duration = seconds[-1] - seconds[0]
    if not 0 < duration < np.inf:
        raise EcgError(f"{name}: its time column runs from {seconds[0]:g} to {seconds[-1]:g} s; it must increase")
    intervals = len(seconds) - 1
    rate = intervals / duration
    # Printed times are rounded: half a sample is forgiven, or what is not printed if that is more.
    deviation = np.abs(seconds - np.linspace(seconds[0], seconds[-1], len(seconds))).max()
    slowest, fastest = 0.99 * rate, 1.01 * rate
    if not deviation < 0.5 / rate:
        if not (deviation <= resolution + 1e-9 and resolution <= _COARSEST_TIME and resolution < duration):
            raise EcgError(f"{name}: its time column does not advance in equal steps; resample it or drop the column")
        slowest, fastest = intervals / (duration + resolution), intervals / (duration - resolution)
        whole = range(math.ceil(slowest), math.floor(fastest) + 1)
        if sampling_rate is None and len(whole) != 1:
            raise EcgError(
                f"{name}: its time column is printed in steps of {resolution:g} s, which is {slowest:.1f} to "
                f"{fastest:.1f} Hz; pass sampling_rate="
            )
        rate = float(whole[0]) if len(whole) == 1 else rate
    # A rate within 0.1 % of a whole number is that number.
    if abs(rate - round(rate)) < 1e-3 * rate:
        rate = float(round(rate))
    if sampling_rate is not None and not slowest <= sampling_rate <= fastest:
        raise EcgError(f"{name}: sampling_rate={sampling_rate:g} was passed but its time column says {rate:g} Hz")
    return rate if sampling_rate is None else sampling_rate
