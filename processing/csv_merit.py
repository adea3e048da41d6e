"""Tables (CSV) to `Recording`."""

import csv
import io
import os
import re
from collections.abc import Sequence

import numpy as np

from .leads_merit import millivolts_per, standard_lead
from .recording_base_merit import EcgError, Recording, decode_text, file_size, open_file, per_lead, quote, to_path

MAX_BYTES = 1 << 26
_START_BYTES = 4096  # enough for two rows of a table
_UNIT = "s|secs?|seconds?|ms|msecs?|milliseconds?|[uµμ]s|microseconds?"
_TIME_COLUMN = re.compile(
    rf"(?:time|t)(?:[ _]*[(\[_ ] *(?P<unit>{_UNIT})[)\]]?)?|(?P<only>seconds|milliseconds|ms)", re.I
)
_NAME_AND_UNIT = re.compile(r"(.*?)\s*[(\[]\s*([munµμ]?V)\s*[)\]]", re.I)
_DECIMAL_COMMA = re.compile(r"^(\s*[-+]?\d*),(\d+)")


def read_csv(
    path: str | os.PathLike,
    sampling_rate: float | None = None,
    units: str | Sequence[str] | None = None,
    lead_names: list[str] | tuple[str, ...] | None = None,
) -> Recording:
    """Read a CSV table with one column per lead, lead names in the first row.

    Commas, semicolons and tabs separate columns; decimal commas are read where they do not separate. A lead name may
    state its unit, as in `II (mV)`. Without a row of names pass `lead_names`.

    A time column, such as "time", "t", "Time [s]" or "time_ms", gives the sampling rate where none is passed, and must
    agree with the one that is. Without a unit it holds seconds, or milliseconds where only these give 50 to 5000 Hz. A
    column without a name that counts the rows is left out. Empty cells and "nan" are invalid samples.

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
    first_line = text.lstrip("\r\n").partition("\n")[0]
    separator = next((character for character in ";\t," if character in first_line), ",")
    try:
        if "\0" in text:
            raise csv.Error("it contains NUL")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
    except csv.Error as error:
        raise EcgError(f"{name}: {path} is not a CSV table ({error})") from error
    del text
    if separator != ",":
        rows[1:] = [[_DECIMAL_COMMA.sub(r"\1.\2", cell) for cell in row] for row in rows[1:]]
    columns = [column.strip(" '\"") for column in rows[0]] if rows else []
    if columns and all(_is_number(column.replace(",", ".")) for column in columns):
        if lead_names is None:
            raise EcgError(
                f"{name}: the first row of {path} must name the leads, but it starts with {rows[0][0]!r}; pass the "
                "lead names if the table has no such row"
            )
        extra = [""] * (len(columns) - len(lead_names))
        rows.insert(0, [])
        rows[1] = [_DECIMAL_COMMA.sub(r"\1.\2", cell) for cell in rows[1]]
        columns = [*extra, *lead_names]
    if len(rows) < 2:
        raise EcgError(f"{name}: {path} holds no samples; the first row must name the leads, samples follow below")
    table = _parse_table(rows[1:], columns, name)

    times = [i for i, column in enumerate(columns) if column and _TIME_COLUMN.fullmatch(column)]
    if times:
        match = _TIME_COLUMN.fullmatch(columns[times[0]])
        unit = ((match and (match["unit"] or match["only"])) or "").lower().replace("µ", "u").replace("μ", "u")
        sampling_rate = _rate_of_time_column(table[times[0]], unit, sampling_rate, name)
    counters = [i for i, column in enumerate(columns) if not column and (np.diff(table[i]) == 1).all()]
    left_out = [*times[:1], *counters]
    table = np.delete(table, left_out, axis=0)
    columns = [column for i, column in enumerate(columns) if i not in left_out]
    if sampling_rate is None:
        raise EcgError(f"{name}: a CSV file without a time column does not say its rate; pass sampling_rate= in Hz")
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
    with open_file(path, quote(os.path.basename(path))) as file:
        rows = decode_text(file.read(_START_BYTES)).lstrip("\r\n").splitlines()
    cells = re.split("[;\t,]", rows[1]) if len(rows) > 1 else []
    return len(cells) > 1 and all(_is_number(cell) for cell in cells)


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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse_table(rows: list[list[str]], columns: list[str], name: str) -> np.ndarray:
    """The numbers below the first row, float64 of shape `(columns, rows)`."""
    table = np.empty((len(columns), len(rows)))
    for i, row in enumerate(rows):
        if len(row) != len(columns):
            hint = (
                "; separate the columns with semicolons if these are decimal commas" if len(row) > len(columns) else ""
            )
            raise EcgError(
                f"{name}: row {i + 2} has {len(row)} cells where the first row names {len(columns)} columns{hint}"
            )
        try:
            table[:, i] = [float(cell) if cell.strip() else np.nan for cell in row]
        except ValueError:
            column, cell = next((c, x) for c, x in zip(columns, row) if x.strip() and not _is_number(x))
            raise EcgError(f"{name}: column {column}, row {i + 2}: {cell!r} is not a number") from None
    return table


def _rate_of_time_column(times: np.ndarray, unit: str, sampling_rate: float | None, name: str) -> float:
    seconds = times * {"m": 1e-3, "u": 1e-6}.get(unit[:1], 1.0)
    step = (times[-1] - times[0]) / max(1, len(times) - 1)
    if not unit and 0 < step < np.inf:
        if step == 1 and sampling_rate is None:
            raise EcgError(
                f"{name}: its time column counts rows or milliseconds; call it time_ms, or pass sampling_rate="
            )
        if step == 1:
            return sampling_rate or 0.0
        if 50 <= 1e3 / step <= 5000:
            seconds = times * 1e-3
    duration = seconds[-1] - seconds[0]
    if not 0 < duration < np.inf:
        raise EcgError(f"{name}: its time column runs from {seconds[0]:g} to {seconds[-1]:g} s; it must increase")
    rate = (len(seconds) - 1) / duration
    # Printed times are rounded: half a sample is forgiven, and a rate within 0.1 % of a whole number is that number.
    if not np.all(np.abs(seconds - np.linspace(seconds[0], seconds[-1], len(seconds))) < 0.5 / rate):
        raise EcgError(f"{name}: its time column does not advance in equal steps; resample it or drop the column")
    if abs(rate - round(rate)) < 1e-3 * rate:
        rate = float(round(rate))
    if sampling_rate is not None and abs(sampling_rate - rate) > 0.01 * rate:
        raise EcgError(f"{name}: sampling_rate={sampling_rate:g} was passed but its time column says {rate:g} Hz")
    return rate if sampling_rate is None else sampling_rate
