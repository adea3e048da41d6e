"""WFDB records of every kind, compared with the values that they were written from."""

import os
import tracemalloc

import numpy as np
import pytest

from merit.processing import wfdb_header_merit, wfdb_merit
from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.recordings_merit import EcgError, read_recording, read_wfdb

BITS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12, "310": 10, "311": 10}
UNITS = ("mV", "uV", "µV", "μV", "V", "")
X = np.round(40 * np.sin(np.arange(2500) / 20)).astype(np.int16)
X[1000] = 240  # 1.2 mV at 200 steps per mV


def pack(samples, signal_format):
    """Samples, in the order of the file, as bytes; written from the specification, sample by sample for 212 and 31x."""
    if signal_format in ("8", "16", "32", "61"):
        kinds = {"8": "i1", "16": "<i2", "32": "<i4", "61": ">i2"}
        return samples.astype(kinds[signal_format]).tobytes()
    if signal_format in ("80", "160"):
        zero, kind = (128, "u1") if signal_format == "80" else (32768, "<u2")
        return (samples.astype(int) + zero).astype(kind).tobytes()
    values = [int(value) for value in samples]
    if signal_format == "24":
        return b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    packed = bytearray()
    if signal_format == "212":
        for first, second in zip(values[::2], [*values[1::2], 0] if len(values) % 2 else values[1::2]):
            first, second = first & 0xFFF, second & 0xFFF
            packed += bytes([first & 0xFF, first >> 8 | second >> 8 << 4, second & 0xFF])
        return bytes(packed[: len(packed) - len(values) % 2])
    values = [value & 0x3FF for value in values] + [0] * (-len(values) % 3)
    for first, second, third in zip(values[::3], values[1::3], values[2::3]):
        if signal_format == "311":
            packed += (first | second << 10 | third << 20).to_bytes(4, "little")
        else:
            packed += (first << 1 | (third & 31) << 11).to_bytes(2, "little")
            packed += (second << 1 | third >> 5 << 11).to_bytes(2, "little")
    return bytes(packed)


def write_signals(folder, name, frames, rate, signals, rng=None):
    """Write a record; each signal is a dictionary. Returns nothing: the dictionaries hold the expected values."""
    files = {}
    lines = [f"{name} {len(signals)} {rate:g} {frames}"]
    for signal in signals:
        per_frame, values = signal.get("per_frame", 1), signal["digital"]
        stored = np.diff(values, prepend=0) if signal["format"] == "8" else values
        files.setdefault((signal["file"], signal["format"], signal.get("offset", 0)), []).append(
            stored.reshape(frames, per_frame)
        )
        x = f"x{per_frame}" if per_frame > 1 else ""
        skew = f":{signal['skew']}" if signal.get("skew") else ""
        offset = f"+{signal['offset']}" if signal.get("offset") else ""
        units = f"/{signal['units']}" if signal.get("units", "mV") else ""
        total = int(values.sum()) % 65536
        lines.append(
            f"{signal['file']} {signal['format']}{x}{skew}{offset} {signal['gain']:g}({signal['baseline']}){units} "
            f"{BITS[signal['format']]} 0 0 {total} 0 {signal['lead']}"
        )
    for (file, signal_format, offset), columns in files.items():
        content = pack(np.concatenate(columns, axis=1).reshape(-1), signal_format)
        (folder / file).write_bytes(bytes(offset) + content)
    text = "\n".join(lines) + "\n"
    if rng is None:
        (folder / f"{name}.hea").write_text(text)
        return
    text = str(rng.choice(["", "# made by \x0b a tool\n", "#\x85 \u2028 comment\n"])) + text
    text += str(rng.choice(["", "# end\u2028\n", "\n\n", "\x1a", "\0\0\0"]))
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    if encoding == "latin-1":
        text = text.replace("μ", "µ").replace("\u2028", "")
    text = text.replace("\n", str(rng.choice(["\n", "\r\n"])))
    (folder / f"{name}.hea").write_bytes(text.encode(encoding))


def expected(signal):
    values = (signal["digital"].astype(float) - signal["baseline"]) / signal["gain"]
    bits = BITS[signal["format"]]
    if signal["format"] != "8":
        values[signal["digital"] == -(2 ** (bits - 1))] = np.nan
    skip = signal.get("skew", 0) * signal.get("per_frame", 1)
    return np.concatenate([values[skip:], np.full(min(skip, len(values)), np.nan)])


def random_signal(rng, frames, lead, file, signal_format, per_frame):
    high = 2 ** (BITS[signal_format] - 1)
    if signal_format == "8":
        digital = np.cumsum(rng.integers(-127, 128, frames * per_frame))
    else:
        digital = rng.integers(-high, high, frames * per_frame)
    return {
        "lead": lead,
        "file": file,
        "format": signal_format,
        "per_frame": per_frame,
        "digital": digital,
        "gain": float(rng.choice([200, 1000, 4.88, -500])),
        "baseline": int(rng.integers(-50, 50)),
        "units": str(rng.choice(UNITS)),
        "skew": int(rng.choice([0, 0, 0, 3])),
    }


@pytest.mark.parametrize("part", range(12))
def test_generated_records_have_the_values_that_they_were_written_from(tmp_path, part):
    for seed in range(25):
        rng = np.random.default_rng([part, seed])
        frames, per_frame = int(rng.integers(4, 60)), int(rng.choice([1, 1, 2, 3, 8, 250]))
        name = str(rng.choice(["rec", "re.c1", "r-1.mat", "ä"])) + f"{seed}"
        signals = []
        for lead in rng.permutation(["I", "V1", "MLII", "lead aVF"])[: rng.integers(1, 5)]:
            file = f"{name}_{rng.integers(2)}.dat"
            same = [signal for signal in signals if signal["file"] == file]
            signal_format = same[0]["format"] if same else str(rng.choice([*BITS]))
            offset = same[0]["offset"] if same else int(rng.choice([0, 0, 7]))
            signals.append({**random_signal(rng, frames, lead, file, signal_format, per_frame), "offset": offset})
        others = []
        if rng.random() < 0.4:
            own = per_frame + 1
            others = [random_signal(rng, frames, "RESP", f"{name}_resp.dat", str(rng.choice([*BITS])), own)]
        rate = float(rng.choice([62.5, 1, 250, 360]))
        order = [signals, others][:: int(rng.choice([1, -1]))]
        write_signals(tmp_path, name, frames, rate, [signal for group in order for signal in group], rng)
        if others:
            with pytest.warns(UserWarning, match="RESP left out"):
                recording = read_wfdb(tmp_path / name)
        else:
            recording = read_wfdb(f"{tmp_path / name}.hea")
        assert recording.sampling_rate == rate * per_frame
        assert recording.lead_names == tuple(signal["lead"] for signal in signals)
        micro = str.maketrans("μ", "µ")  # Latin-1 has only the sign
        units = [(signal["units"] or "mV").translate(micro) for signal in signals]
        assert [unit.translate(micro) for unit in recording.units] == units
        np.testing.assert_array_equal(recording.physical(), [expected(signal) for signal in signals])


@pytest.mark.parametrize("part", range(4))
def test_generated_segments_are_joined_by_name_and_unit(tmp_path, part):
    millivolts = {"mV": 1.0, "uV": 1e-3, "V": 1e3}
    for seed in range(15):
        rng = np.random.default_rng([99, part, seed])
        name, per_frame, lines, at = f"m{seed}", int(rng.choice([1, 4])), [], 0
        leads = ["I", "II", "V1"]
        truth = {lead: [] for lead in leads}
        for number in range(int(rng.integers(2, 6))):
            frames = int(rng.integers(5, 40))
            if rng.random() < 0.25:
                lines.append(f"~ {frames}")
                present = []
            else:
                segment, signal_format = f"{name}_{number}", str(rng.choice([*BITS]))
                present = list(rng.permutation(leads)[: rng.integers(1, 4)])
                signals = [
                    {
                        **random_signal(rng, frames, lead, f"{segment}.dat", signal_format, per_frame),
                        "units": str(rng.choice([*millivolts])),
                    }
                    for lead in present
                ]
                write_signals(tmp_path, segment, frames, 100, signals)
                lines.append(f"{segment} {frames}")
            for lead in leads:
                if lead in present:
                    signal = signals[present.index(lead)]
                    truth[lead].append(expected(signal) * millivolts[signal["units"]])
                else:
                    truth[lead].append(np.full(frames * per_frame, np.nan))
            at += frames
        if not any(np.isfinite(np.concatenate(parts)).any() for parts in truth.values()):
            continue
        (tmp_path / f"{name}.hea").write_text("\n".join([f"{name}/{len(lines)} 3 100 {at}", *lines]) + "\n")
        recording = read_wfdb(tmp_path / name) if all_present(truth) else warns_and_reads(tmp_path / name)
        assert recording.sampling_rate == 100 * per_frame
        for lead, unit, values in zip(recording.lead_names, recording.units, recording.signal):
            np.testing.assert_allclose(values * millivolts[unit], np.concatenate(truth.pop(lead)), rtol=1e-12)
        assert all(np.isnan(np.concatenate(parts)).all() for parts in truth.values())


def all_present(truth):
    return all(np.isfinite(np.concatenate(parts)).any() for parts in truth.values())


def warns_and_reads(path):
    with pytest.warns(UserWarning, match="left out"):
        return read_wfdb(path)


def plain(lead="II", digital=X, file="r.dat", units="mV", gain=200, **more):
    return {
        "lead": lead,
        "file": file,
        "format": "16",
        "digital": digital,
        "gain": gain,
        "baseline": 0,
        "units": units,
        **more,
    }


@pytest.mark.parametrize(("rate", "per_frame"), [(62.5, 4), (1, 250), (250, 1)])
def test_a_signal_has_the_frame_rate_times_its_samples_per_frame(tmp_path, rate, per_frame):
    frames = 2500 // per_frame
    resp = plain("RESP", np.resize(X, 2 * frames), per_frame=2, gain=100)
    write_signals(tmp_path, "k1", frames, rate, [plain(per_frame=per_frame), resp])
    with pytest.warns(UserWarning, match="RESP left out, because the leads are at 250 Hz"):
        recording = read_wfdb(tmp_path / "k1")
    assert (recording.sampling_rate, recording.lead_names) == (250, ("II",))
    assert np.nanmax(recording.physical()) == 1.2


def test_leads_at_several_rates_are_named(tmp_path):
    write_signals(tmp_path, "k", 1250, 125, [plain(per_frame=2), plain("V1", X[:1250])])
    with pytest.raises(EcgError, match="different sampling rates: II at 250 Hz, V1 at 125 Hz"):
        read_wfdb(tmp_path / "k")


def write_master(folder, text, *segments):
    for name, signals, rate in segments:
        write_signals(folder, name, len(signals[0]["digital"]), rate, signals)
    (folder / "m.hea").write_text(text)
    return folder / "m"


@pytest.mark.parametrize(
    ("text", "rate", "message"),
    [
        ("m/2 1 250 5000\na 2500\nb 2500\n", 500, "m: segment b has a sampling rate of 500 Hz, its master header 250"),
        ("m/2 1 250 2500\na 2500\nb 2500\n", 250, "announces 2500 samples, but its segment b ends at 5000"),
        ("m/2 1 250 6000\na 2500\nb 2500\n", 250, "announces 6000 samples, but its last segment b ends at 5000"),
        ("m/2 1 250 5001\na 2500\nb 2501\n", 250, "m: segment b holds 2500 samples, its master header announces 2501"),
        ("m/2 1 250 3500\na 2500\na 1000\n", 250, "m: segment a holds 2500 samples, its master header announces 1000"),
        ("m/2 1 250 6500\na 2500\na 4000\n", 250, "m: segment a holds 2500 samples, its master header announces 4000"),
        ("m/2 1 250 5000\na 2500\nm 2500\n", 250, "m: segment m consists of segments itself"),
        ("m/3 1 250 5000\na 2500\nb 2500\n", 250, "announces 3 segments but describes 2"),
        ("m/2 1 250\na 2500\n~ 300000000\n", 250, "too many to be read at once"),
        ("m/1 1 250\n~ 2500\n", 250, "none of its 1 segments holds a signal"),
        ("m/2 1 250\na 2500\nc 2500\n", 250, "^m: segment c cannot be read: .*there is no record .*c "),
    ],
)
def test_segments_that_disagree_are_named(tmp_path, text, rate, message):
    path = write_master(tmp_path, text, ("a", [plain(file="a.dat")], 250), ("b", [plain(file="b.dat")], rate))
    tracemalloc.start()
    with pytest.raises(EcgError, match=message):
        read_wfdb(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_leads_that_only_the_layout_names_are_left_out(tmp_path):
    (tmp_path / "lay.hea").write_text("lay 2 250 0\n~ 0 200 16 0 0 0 0 V5\n~ 0 200 16 0 0 0 0 II\n")
    path = write_master(
        tmp_path, "m/3 2 250\nlay 0\na 2500\n~ 10\n", ("a", [plain(file="a.dat"), plain("I", X, "a.dat")], 250)
    )
    with pytest.warns(UserWarning, match="3 signals are announced, 2 are present; V5 left out"):
        recording = read_wfdb(path)
    assert recording.lead_names == ("II", "I")
    np.testing.assert_array_equal(recording.signal[:, :2500], [X / 200, X / 200])


def test_a_segment_that_occurs_thousands_of_times_is_read_once(tmp_path, monkeypatch):
    calls, decode = [], wfdb_merit._decode
    monkeypatch.setattr(wfdb_merit, "_decode", lambda *args: calls.append(args) or decode(*args))
    path = write_master(tmp_path, "m/3000 1 250\n" + "a 25\n" * 3000, ("a", [plain(digital=X[:25], file="a.dat")], 250))
    assert read_wfdb(path).signal.shape == (1, 75000)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("r 1 250 " + "9" * 5000, "record line of its header is corrupt"),
        ("r 1 250 999999999999999999", "is truncated"),
        ("r 1 250 2500\nr.dat 16x999999999999999999", "is truncated"),
        ("r 1 250\nr.dat 16x999999999999999999", "no whole number of samples"),
        ("r 1 250 2500\nr.dat 16+999999999999999999", "is truncated"),
        ("r 1 250 2500\nr.dat 16 1e999/mV", "signal line of its header is corrupt"),
        ("r 1 nan 2500", "record line of its header is corrupt"),
        ("r 999999 250 2500", "announces 999999 signals"),
    ],
)
def test_numbers_in_a_header_are_checked_before_anything_is_allocated(tmp_path, line, message):
    (tmp_path / "r.dat").write_bytes(X.tobytes())
    (tmp_path / "r.hea").write_text(line + ("" if "\n" in line else "\nr.dat 16 200/mV 16 0 0 0 0 II") + "\n")
    tracemalloc.start()
    with pytest.raises(EcgError, match=message):
        read_wfdb(tmp_path / "r")
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize("scale", ["", " 200", " 200(0)", " 200/", " 200(0)/ 16 0 0 0 0 II"])
def test_a_signal_without_units_is_in_millivolts(tmp_path, scale):
    (tmp_path / "r.dat").write_bytes(X.tobytes())
    (tmp_path / "r.hea").write_text(f"r 1 250 2500\nr.dat 16{scale}\n")
    recording = read_wfdb(tmp_path / "r")
    assert recording.units == ("mV",)
    assert np.nanmax(recording.physical()) == 1.2


def test_a_skew_beyond_the_end_leaves_no_sample(tmp_path):
    write_signals(tmp_path, "r", 2500, 250, [plain(skew=10**17), plain("V1")])
    assert np.isnan(read_wfdb(tmp_path / "r").physical()).sum(axis=1).tolist() == [2500, 0]


def test_a_header_has_a_size_limit(tmp_path, monkeypatch):
    write_signals(tmp_path, "r", 2500, 250, [plain()])
    monkeypatch.setattr(wfdb_header_merit, "MAX_HEADER_BYTES", 20)
    with pytest.raises(EcgError, match="has more than 20 bytes"):
        read_wfdb(tmp_path / "r")


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_only_regular_files_are_opened(tmp_path, kind):
    write_signals(tmp_path, "r", 2500, 250, [plain()])
    (tmp_path / "r.dat").unlink()
    os.mkfifo(tmp_path / "r.dat") if kind == "fifo" else (tmp_path / "r.dat").mkdir()
    with pytest.raises(EcgError, match=r"r\.dat is not a regular file"):
        read_wfdb(tmp_path / "r")


def test_a_large_record_is_mapped_and_not_read(tmp_path, monkeypatch):
    write_signals(tmp_path, "r", 2500, 250, [plain(), plain("V1", -X)])
    monkeypatch.setattr(wfdb_merit, "MAPPED_BYTES", 1000)
    signal = read_wfdb(tmp_path / "r").signal
    assert isinstance(signal, np.memmap)
    np.testing.assert_array_equal(signal, [X, -X])
    monkeypatch.setattr(wfdb_merit, "MAX_DECODED_SAMPLES", 1000)
    write_signals(tmp_path, "s", 2500, 250, [plain(skew=1)])
    with pytest.raises(EcgError, match="at most 1000 are decoded at once"):
        read_wfdb(tmp_path / "s")


@pytest.mark.parametrize("signal_format", BITS)
def test_a_changed_byte_is_found_by_the_checksum(tmp_path, signal_format):
    digital = X % 100
    write_signals(tmp_path, "r", 2500, 250, [plain(digital=digital, format=signal_format)])
    read_wfdb(tmp_path / "r")
    content = bytearray((tmp_path / "r.dat").read_bytes())
    content[600] ^= 2
    (tmp_path / "r.dat").write_bytes(content)
    with pytest.raises(EcgError, match=r"r: lead II has the checksum .* pass verify_checksums=False"):
        read_recording(tmp_path / "r")
    with pytest.warns(UserWarning, match="the file is damaged or belongs to another header"):
        assert read_recording(tmp_path / "r", verify_checksums=False).signal.shape == (1, 2500)
    with pytest.warns(UserWarning, match="the file is damaged"):
        assert MeritFeatureExtractor()(tmp_path / "r", verify_checksums=False)["ecg_values"].shape == (1, 12, 1000)


@pytest.mark.parametrize("start", [bytes(24), b"MATLAB 5.0 MAT-file     ", b"x" * 24])
def test_a_mat_file_without_its_magic_is_refused(tmp_path, start):
    (tmp_path / "r.mat").write_bytes(start + X.tobytes())
    (tmp_path / "r.hea").write_text("r 1 250 2500\nr.mat 16+24 200/mV 16 0 0 0 0 II\n")
    with pytest.raises(EcgError, match="is not a MATLAB level 4 file of 2500 samples"):
        read_wfdb(tmp_path / "r")


@pytest.mark.parametrize("date", ["2006", "10/2006", "05-Feb-2020 11:39:16", "12:00:00 31/31/2020"])
@pytest.mark.parametrize("signal_format", ["16", "212"])
def test_dates_of_any_form_and_unusual_names_are_read(tmp_path, signal_format, date):
    write_signals(tmp_path, "r.1", 2500, 250, [plain(file="äf.dat", format=signal_format, units="μV")])
    header = tmp_path / "r.1.hea"
    header.write_text(header.read_text().replace("250 2500", f"250 2500 {date}"))
    recording = read_wfdb(tmp_path / "r.1")
    assert recording.units == ("μV",)
    np.testing.assert_array_equal(recording.physical(), [X / 200])


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "\udcff", "", b"nothing", 5, None, "a\0b.csv", "x" * 300 + ".csv"])
def test_unusable_paths_are_an_ecg_error(path):
    with pytest.raises(EcgError):
        read_recording(path, 100, "mV")


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    write_signals(tmp_path, "r", 2500, 250, [plain()])

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(EcgError, match=r"r: .*r\.hea cannot be read: Permission denied"):
        read_wfdb(tmp_path / "r")
