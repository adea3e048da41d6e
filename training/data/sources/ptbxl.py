"""PTB-XL: the published folder of WFDB records and CSV files as a source of `prepare`.

    >>> from merit.training.data.catalogue import load_ptbxl
    >>> ptbxl = load_ptbxl("path/to/ptbxl")  # doctest: +SKIP
    >>> row = ptbxl["train"][0]  # doctest: +SKIP
    >>> row["report"], row["codes"], len(row["signal"])  # doctest: +SKIP
    ('sinusrhythmus periphere niederspannung', ['NORM', 'LVOLT', 'SR'], 12000)

Published splits: folds 1 to 8 train, 9 validation, 10 test; folds respect patients.
"""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ....processing.leads_merit import STANDARD_LEADS, standard_lead
from ....processing.recordings_merit import Recording, read_wfdb
from ...text.cleaning import clean_report
from ..schema import Record
from ..tasks import Task, ptbxl_tasks
from .base import check_records, fingerprint, read_table, safe_path, to_age, to_fold

__all__ = ["PtbXl"]

PATH_COLUMNS = {100: "filename_lr", 500: "filename_hr"}


class PtbXl:
    """PTB-XL at 100 or 500 Hz as a [`Source`]; see [`load_ptbxl`]. The name of a simulated data set is "simulated"."""

    def __init__(self, root: str | Path, sampling_rate: int = 100):
        if sampling_rate not in PATH_COLUMNS:
            raise ValueError(f"PTB-XL exists at 100 and 500 Hz, not at {sampling_rate} Hz")
        self.root, self.sampling_rate = Path(root), sampling_rate
        self.name = "simulated" if (self.root / "simulation.csv").is_file() else "ptbxl"
        self.file = self.root / "ptbxl_database.csv"
        path = PATH_COLUMNS[sampling_rate]
        filled = ["ecg_id", "patient_id", "sex", "scp_codes", "strat_fold", path]
        database = read_table(self.file, filled, ["age", "report"]).rename(columns={path: "record_id"})
        database["fold"] = [
            to_fold(fold, f"{self.file}: strat_fold of ecg_id {ecg_id}")
            for ecg_id, fold in zip(database["ecg_id"], database["strat_fold"])
        ]
        for ecg_id, record_id in zip(database["ecg_id"], database["record_id"]):
            safe_path(self.root, record_id, f"{self.file}: {path} of ecg_id {ecg_id}")
        database["patient_id"] = database["patient_id"].str.removesuffix(".0")
        check_records(database, self.file)
        self.rows = {row["record_id"]: row for row in database.to_dict("records")}
        self.count = len(database)
        self.tasks = ptbxl_tasks(self.root)
        # Computed once, because it looks at every file and is needed twice.
        folders = {self.root / Path(record_id).parent for record_id in self.rows}
        self._fingerprint = fingerprint([self.file, self.root / "scp_statements.csv"], folders, sampling_rate)

    def fingerprint(self) -> str:
        return self._fingerprint

    def records(self) -> Iterator[Record]:
        for record_id, row in self.rows.items():
            yield Record(
                record_id=record_id,
                patient_id=row["patient_id"],
                fold=row["fold"],
                age=to_age(row["age"]),
                sex={"0": "male", "1": "female"}.get(row["sex"]),
                report_raw=row["report"],
            )

    def read(self, record: Record) -> tuple[Record, Recording]:
        recording = read_wfdb(self.root / record.record_id)
        if recording.sampling_rate != self.sampling_rate:
            raise ValueError(
                f"{record.record_id} was sampled at {recording.sampling_rate:g} Hz, not at {self.sampling_rate} Hz"
            )
        present = {standard_lead(name) for name in recording.lead_names}
        if missing := [lead for lead in STANDARD_LEADS if lead not in present]:
            raise ValueError(
                f"{record.record_id} lacks {', '.join(missing)}: it has the leads {', '.join(recording.lead_names)}"
            )
        row = self.rows[record.record_id]
        where = f"{self.file}: scp_codes of ecg_id {row['ecg_id']}"
        codes = _parse_codes(row["scp_codes"], where, self.tasks["all"])
        return replace(record, report=clean_report(record.report_raw), codes=codes), recording


def _parse_codes(text: str, where: str, statements: Task) -> list[str]:
    try:
        codes = [str(code) for code in dict(ast.literal_eval(text))]
    except (SyntaxError, TypeError, ValueError):
        raise ValueError(f"{where} is {text!r}, not a dictionary of statements") from None
    if unknown := [code for code in codes if code not in statements.labels_of]:
        raise ValueError(f"{where} names {', '.join(unknown)}, which scp_statements.csv does not list")
    return codes
