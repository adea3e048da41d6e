"""Small trees in the layout of published data sets, written fast: thousands of recordings a second."""

import csv
import struct
from pathlib import Path

import numpy as np

STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
STATEMENTS = [
    ["Sinus rhythm", "Normal ECG"],
    ["Atrial fibrillation", "", "Left axis deviation", "Abnormal ECG"],
    ["Warning: Data quality may affect interpretation", "Sinus rhythm with PVC(s)"],
    ["Analysis error"],
]


def noise(seed, samples, leads=12):
    """A signal of its own for each seed, (leads, samples) int16."""
    return np.random.default_rng(seed).integers(-2000, 2000, (leads, samples), dtype=np.int16)


def write_record(path, signal, rate=500, leads=STANDARD, gain="1000.0(0)/mV", comments=(), suffix="dat"):
    """Write a WFDB record of format 16; `signal` is (leads, samples) int16, `gain` one for all or one for each lead.

    With the suffix "mat" the signal file is a MATLAB level 4 file, as the Challenges of PhysioNet ship it.
    """
    start = struct.pack("<5i4s", 30, *signal.shape, 0, 4, b"val") if suffix == "mat" else b""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    gains = [gain] * len(leads) if isinstance(gain, str) else gain
    lines = [f"{path.name} {len(leads)} {rate:g} {signal.shape[1]}"]
    lines += [
        f"{path.name}.{suffix} 16{f'+{len(start)}' if start else ''} {gain} 16 0 {values[0]} 0 0 {lead}"
        for gain, values, lead in zip(gains, signal, leads)
    ]
    lines += [f"# {comment}" if comment[0] != "#" else comment for comment in comments]
    Path(f"{path}.hea").write_text("\n".join(lines) + "\n")
    with open(f"{path}.{suffix}", "wb") as file:
        file.write(start)
        signal.T.astype("<i2").tofile(file)


def write_mimic(root, records, samples=1000, rate=500):
    """Write a tree in the layout of MIMIC-IV-ECG, three recordings of each subject; returns the ids of the records."""
    root.mkdir(parents=True)
    names = []
    with open(root / "machine_measurements.csv", "w", newline="") as file:
        writer = csv.writer(file)
        report = [f"report_{number}" for number in range(18)]
        writer.writerow(["subject_id", "study_id", "cart_id", "ecg_time", *report, "bandwidth", "rr_interval"])
        for index in range(records):
            subject, study = f"{10000032 + 11 * (index // 3)}", f"{40689238 + index}"
            names.append(f"files/p{subject[:4]}/p{subject}/s{study}/{study}")
            write_record(root / names[-1], noise(index, samples), rate, MIMIC_ORDER, "200.0(0)/mV")
            said = STATEMENTS[index % len(STATEMENTS)]
            said = said + [""] * (18 - len(said))
            writer.writerow([subject, study, 6848296, "2180-07-23 08:44:00", *said, "0.005-150 Hz", 659])
    return names


def write_challenge(path, seed, said=("Age: 74", "Sex: Female", "Dx: 426177001,164889003"), samples=1250, **options):
    """Write a record as the Challenges do: its signal in a .mat file, age, sex and diagnoses in the header."""
    write_record(path, noise(seed, samples), comments=said, suffix="mat", **options)


def content(folder):
    """What a folder holds: the bytes of every file by its path."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }
