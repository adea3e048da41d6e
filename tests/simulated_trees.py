"""Small data sets in the layout of published ones, written fast: thousands of recordings per second."""

import csv
from pathlib import Path

import numpy as np
from wfdb_files import write_record

MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
STATEMENTS = [
    ["Sinus rhythm", "Normal ECG"],
    ["Atrial fibrillation", "", "Left axis deviation", "Abnormal ECG"],
    ["Warning: Data quality may affect interpretation", "Sinus rhythm with PVC(s)"],
    ["Analysis error"],
]


def noise(seed, samples, leads=12):
    """Return a signal (leads, samples) int16 that is different for each seed."""
    return np.random.default_rng(seed).integers(-2000, 2000, (leads, samples), dtype=np.int16)


def write_mimic(root, records, samples=1000, rate=500):
    """Write a data set in the layout of MIMIC-IV-ECG, three recordings per subject; returns the ids of the records."""
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
            statements = STATEMENTS[index % len(STATEMENTS)]
            statements = statements + [""] * (18 - len(statements))
            writer.writerow([subject, study, 6848296, "2180-07-23 08:44:00", *statements, "0.005-150 Hz", 659])
    return names


def write_challenge(
    path, seed, comments=("Age: 74", "Sex: Female", "Dx: 426177001,164889003"), samples=1250, **options
):
    """Write a record in the format of the Challenges: signal in a .mat file; age, sex and diagnoses in the header."""
    write_record(path, noise(seed, samples), comments=comments, suffix="mat", **options)


def content(folder):
    """Return the content of a folder: the bytes of every file by its path, None for folders."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }
