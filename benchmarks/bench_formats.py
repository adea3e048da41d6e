"""Which libraries read which hospital files, and what hostile files cost.

    python benchmarks/bench_formats.py --samples FOLDER [--output results.json]

Reads the files in FOLDER, the DICOM file that comes with pydicom, and one generated file of each format with merit,
ecgdatakit, pydicom, edfio and sierraecg (`pip install sierraecg`). For each: leads, samples, milliseconds of CPU time
of the second reading, and the largest difference to merit in microvolts. Then reads every hostile file of the tests in
a forked process and measures seconds of CPU time and peak memory beyond the loaded process.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import ecgdatakit
import edfio
import numpy as np
import pydicom
from pydicom.data import get_testdata_file

from merit.processing.formats_merit import detect_format
from merit.processing.leads_merit import millivolts_per
from merit.processing.recordings_merit import EcgError, read_recording
from merit.training.results.result_files import provenance, write_json

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from format_files import WRITERS, twelve_leads
from hostile_files import write_all

FILLER = 1 << 23  # bytes of the largest XML file that is read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True, help="folder with real files")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        real = [path for path in sorted(args.samples.iterdir()) if path.suffix != ".md"]
        if dicom := get_testdata_file("waveform_ecg.dcm", download=False):
            real.append(Path(dicom))
        for kind, (write, suffix) in WRITERS.items():
            write(folder / f"generated {kind}.{suffix}", twelve_leads(), step=5.0)
        files = [compare(path) for path in [*real, *sorted(folder.iterdir())]]
        for row in files:
            print(f"{row['file']} ({row['format']})")
            for name, outcome in row["readers"].items():
                print(f"    {name:12} {outcome}")
        hostile = write_all(folder)
        elements = folder / "elements.xml"
        elements.write_bytes(b"<RestingECG>" + b"<a/>" * (FILLER // 4 - 8) + b"</RestingECG>")
        costs = [cost(name, path) for name, path in {**hostile, "muse: two million elements": elements}.items()]
    for row in costs:
        print(
            f"{row['file']:32} {row['bytes']:9} B {row['seconds']:6.2f} s {row['megabytes']:6.0f} MB  {row['outcome']}"
        )
    if args.output:
        write_json(args.output, {**provenance(), "files": files, "hostile": costs})


def by_merit(path: Path) -> np.ndarray:
    recording = read_recording(path)
    return recording.physical() * [[millivolts_per(unit)] for unit in recording.units]


def by_ecgdatakit(path: Path) -> np.ndarray:
    return np.stack([lead.samples for lead in ecgdatakit.FileParser.parse(path).leads])


def by_pydicom(path: Path) -> np.ndarray:
    return pydicom.dcmread(path).waveform_array(0).T / 1000


def by_edfio(path: Path) -> np.ndarray:
    read = edfio.read_bdf if path.suffix == ".bdf" else edfio.read_edf
    return np.stack([signal.data * millivolts_per(signal.physical_dimension) for signal in read(path).signals])


def by_sierraecg(path: Path) -> np.ndarray:
    from sierraecg import read_file

    # The library does not return the resolution; that of all files here is 5 microvolts.
    return np.stack([lead.samples for lead in read_file(str(path)).leads])[:12] * 0.005


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    "merit": by_merit,
    "ecgdatakit": by_ecgdatakit,
    "pydicom": by_pydicom,
    "edfio": by_edfio,
    "sierraecg": by_sierraecg,
}
READ_BY = {"pydicom": ("DICOM",), "edfio": ("EDF", "BDF"), "sierraecg": ("Philips Sierra XML",)}


def compare(path: Path) -> dict:
    kind, ours, readers = detect_format(str(path)), None, {}
    for name, read in READERS.items():
        if kind not in READ_BY.get(name, (kind,)):
            continue
        try:
            read(path)
            start = time.process_time()
            values = read(path)
            milliseconds = 1e3 * (time.process_time() - start)
        except Exception as error:  # the outcome of this reader
            readers[name] = {"error": f"{type(error).__name__}: {str(error).replace(str(path), path.name)[:200]}"}
            continue
        ours = values if name == "merit" else ours
        readers[name] = {"leads": len(values), "samples": values.shape[1], "milliseconds": round(milliseconds, 1)}
        if name != "merit" and ours is not None and ours.shape == values.shape:
            readers[name]["largest_difference_uv"] = float(f"{1e3 * np.abs(values - ours).max():.3g}")
    return {"file": path.name, "format": kind, "readers": readers}


def cost(name: str, path: Path) -> dict:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        outcome, seconds, kilobytes = pool.apply(read_once, (path,))
    megabytes = round(kilobytes / 1024, 1)
    size = path.stat().st_size
    return {"file": name, "bytes": size, "seconds": seconds, "megabytes": megabytes, "outcome": outcome}


def read_once(path: Path) -> tuple[str, float, int]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    try:
        read_recording(path)
        outcome = "read"
    except EcgError as error:
        outcome = str(error).replace(str(path), "FILE")[:160]
    return outcome, round(time.process_time() - start, 3), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


if __name__ == "__main__":
    main()
