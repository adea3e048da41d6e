"""`merit simulate`, `download`, `prepare`, `verify` and `convert`."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from .options import split_commas


def simulate(
    directory: Annotated[Path, Argument(metavar="DIR", help="Folder to write; must be absent or empty.")],
    records: Annotated[int, Option(metavar="N", help="Number of recordings.")] = 1000,
    seed: Annotated[int, Option(metavar="N", help="Seed; the same seed gives the same recordings.")] = 0,
    sampling_rates: Annotated[
        list[int] | None, Option(metavar="HZ...", help="100, 500 or both.", show_default="100")
    ] = None,
) -> None:
    """Write simulated twelve-lead ECGs as a PTB-XL tree."""
    from ..training.simulation.ptbxl_tree import write_simulated_ptbxl

    directory = write_simulated_ptbxl(directory, records, seed, tuple(sampling_rates or [100]))
    typer.echo(f"{records} simulated recordings in {directory}")


def download(
    name: Annotated[str, Argument(metavar="NAME", help="ptbxl, cpsc2018, georgia, csn or mimic-iv-ecg.")],
    output: Annotated[Path, Option(metavar="DIR", help="Folder for the files, laid out as on PhysioNet.")],
    only: Annotated[
        list[str] | None, Option(metavar="PREFIX...", help="Fetch only paths that begin so, such as records100.")
    ] = None,
    connections: Annotated[int, Option(metavar="N", help="Number of files fetched at the same time.")] = 4,
    mirror: Annotated[
        str | None, Option(metavar="URL", help="Address of a copy of https://physionet.org/files.")
    ] = None,
) -> None:
    """Download an open data set from PhysioNet, or the files of it that are missing."""
    from ..training.data import download as physionet
    from ..training.data.open_datasets import OPEN_DATASETS

    if name in OPEN_DATASETS:
        print(OPEN_DATASETS[name].notice(), flush=True)
    directory = physionet.download(name, output, only or [], connections, mirror or physionet.PHYSIONET)
    typer.echo(f"Complete and verified in {directory}")


def prepare(
    name: Annotated[
        str, Argument(metavar="NAME", help="ptbxl, cpsc2018, georgia, csn or mimic-iv-ecg; folder for your own data.")
    ],
    source: Annotated[Path, Option(metavar="DIR", help="The data set as it was published.")],
    output: Annotated[Path, Option(metavar="DIR", help="Folder for the Arrow files; must be absent or empty.")],
    sampling_rate: Annotated[
        int | None, Option(metavar="HZ", help="Resample to this rate. For ptbxl: which files to read, 100 or 500.")
    ] = None,
    splits: Annotated[
        Path | None, Option(metavar="DIR", help="Published row lists that split cpsc2018 or csn.")
    ] = None,
    table: Annotated[
        Path | None,
        Option(metavar="FILE.csv", help="Table of your own recordings.", show_default="records.csv in --source"),
    ] = None,
    labels: Annotated[
        list[str] | None,
        Option(
            metavar="LABEL...",
            callback=split_commas,
            help="The only labels that a table of your own recordings may use.",
        ),
    ] = None,
    skip_bad: Annotated[
        bool, Option("--skip-bad", help="Leave out records that cannot be read and list them in skipped.csv.")
    ] = False,
    ignore_unknown_leads: Annotated[
        bool, Option("--ignore-unknown-leads", help="Leave out channels that are not a standard lead.")
    ] = False,
    processes: Annotated[
        int | None, Option(metavar="N", help="Number of worker processes.", show_default="one per core")
    ] = None,
) -> None:
    """Convert a data set to Arrow files for training."""
    from .. import workflows
    from ..training.data.preparation import describe

    directory, card = workflows.prepare(
        name,
        source,
        output,
        sampling_rate=sampling_rate,
        splits=splits,
        table=table,
        labels=labels,
        skip_bad=skip_bad,
        ignore_unknown_leads=ignore_unknown_leads,
        processes=processes,
    )
    typer.echo(f"{describe(directory)}\nCard in {card}")


def verify(
    directory: Annotated[Path, Argument(metavar="DIR", help="A data set as `merit prepare` wrote it.")],
) -> None:
    """Compare every file of a prepared data set with its manifest."""
    from ..training.data.preparation import describe, load_prepared

    load_prepared(directory, verify=True)
    typer.echo(f"{describe(directory)}\nComplete and verified.")


def convert(
    source: Annotated[str, Argument(metavar="IN", help="A recording in any format that is read.")],
    output: Annotated[Path, Argument(metavar="OUT", help="The WFDB record to write: OUT.hea and OUT.dat.")],
    sampling_rate: Annotated[float | None, Option(metavar="HZ", help="Of a file that does not state it.")] = None,
    leads: Annotated[
        list[str] | None,
        Option(metavar="LEAD...", callback=split_commas, help="Lead names of a file that does not state them."),
    ] = None,
    units: Annotated[
        str | None, Option(metavar="UNIT", help="mV, uV or V, of a file that does not state them.")
    ] = None,
) -> None:
    """Write a recording in any format as a WFDB record, without what identifies the patient."""
    from ..convert import convert

    typer.echo(f"Written to {convert(source, output, sampling_rate, leads, units)}")


COMMANDS = (simulate, download, prepare, verify, convert)
