"""Tables (CSV) to `Recording`."""

import csv
import os
from collections.abc import Sequence

import numpy as np

from .recording_base_merit import EcgError, Recording, per_lead


def read_csv(
    path: str | os.PathLike,
    sampling_rate: float | None = None,
    units: str | Sequence[str] | None = None,
    lead_names: list[str] | tuple[str, ...] | None = None,
) -> Recording:
    """Read a CSV table with one column per lead, lead names in the first row.

    A column named "time" or "t" holds seconds; it gives the sampling rate where none is passed, and must agree with
    the one that is. Empty cells and "nan" are invalid samples.

    Args:
        path (`str` or `os.PathLike`): The table, separated by commas.
        sampling_rate (`float`, *optional*): Samples per second; needed without a time column.
        units (`str` or `list[str]`): The unit of all leads or of each, such as "mV"; a table cannot say it.
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
    path = os.fspath(path)
    name = os.path.splitext(os.path.basename(path))[0]
    if units is None:
        raise EcgError(f"{name}: a CSV file does not say its units; pass units=, for example units='mV'")
    if not os.path.isfile(path):
        raise EcgError(f"{name}: there is no file {path}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise EcgError(f"{name}: {path} is not a CSV table ({error})") from error
    if len(rows) < 2:
        raise EcgError(f"{name}: {path} holds no samples; the first row must name the leads, samples follow below")
    columns = [column.strip() for column in rows[0]]
    if all(_is_number(column) for column in columns):
        raise EcgError(f"{name}: the first row of {path} must name the leads, but it starts with {rows[0][0]!r}")
    table = _parse_table(rows[1:], columns, name)

    time_column = next((i for i, column in enumerate(columns) if column.lower() in ("time", "t")), None)
    if time_column is not None:
        sampling_rate = _rate_of_time_column(table[time_column], sampling_rate, name)
        table = np.delete(table, time_column, axis=0)
        del columns[time_column]
    if sampling_rate is None:
        raise EcgError(f"{name}: a CSV file without a time column does not say its rate; pass sampling_rate= in Hz")
    if lead_names is not None and len(lead_names) != len(columns):
        raise EcgError(f"{name}: {len(lead_names)} lead names for the {len(columns)} lead columns {columns}")
    return Recording(
        name=name,
        signal=table,
        sampling_rate=float(sampling_rate),
        lead_names=tuple(columns if lead_names is None else lead_names),
        units=per_lead(units, len(columns), name),
    )


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
            raise EcgError(f"{name}: row {i + 2} has {len(row)} cells where the first row names {len(columns)} columns")
        try:
            table[:, i] = [float(cell) if cell.strip() else np.nan for cell in row]
        except ValueError:
            column, cell = next((c, x) for c, x in zip(columns, row) if x.strip() and not _is_number(x))
            raise EcgError(f"{name}: column {column}, row {i + 2}: {cell!r} is not a number") from None
    return table


def _rate_of_time_column(seconds: np.ndarray, sampling_rate: float | None, name: str) -> float:
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
