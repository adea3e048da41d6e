"""WFDB records for tests."""

import struct
from pathlib import Path

STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


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
