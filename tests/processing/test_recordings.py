"""Files to recordings: what wfdb reads is what we read, and every broken file says what is broken."""

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import wfdb

from merit.processing.recordings_merit import EcgError, Recording, read_csv, read_recording, read_wfdb

EXTERNAL = Path(__file__).parents[3] / "shared" / "external"
PTBXL = Path(os.environ.get("PTBXL_ROOT", "/nonexistent"))

RNG = np.random.default_rng(0)
TWO_LEADS = np.cumsum(RNG.integers(-20, 21, (600, 2)), axis=0) - RNG.integers(100)


def write_record(folder, name="rec", digital=TWO_LEADS, formats="16", leads=("I", "II"), **fields):
    count = digital.shape[1]
    fields = {"adc_gain": [200.0, 1000.0][:count], "baseline": [12, -7][:count], **fields}
    wfdb.wrsamp(
        name,
        fs=fields.pop("fs", 250),
        units=fields.pop("units", ["mV", "uV"][:count]),
        sig_name=list(leads),
        d_signal=digital.astype(np.int64),
        fmt=[formats] * count if isinstance(formats, str) else formats,
        write_dir=str(folder),
        **fields,
    )
    return folder / name


def write_header(folder, text, name="rec", samples=TWO_LEADS, file="rec.dat", prefix=b""):
    (folder / f"{name}.hea").write_text(text)
    if samples is not None:
        (folder / file).write_bytes(prefix + samples.astype("<i2").tobytes())
    return folder / name


def mat_header(rows, columns, kind=30):
    return struct.pack("<5i4s", kind, rows, columns, 0, 4, b"val")


def assert_reads_as_wfdb_does(path):
    ours, theirs = read_wfdb(path), wfdb.rdrecord(str(path))
    np.testing.assert_array_equal(ours.physical(), theirs.p_signal.T)
    assert ours.signal.flags.c_contiguous
    assert ours.sampling_rate == theirs.fs
    assert list(ours.lead_names) == theirs.sig_name
    assert list(ours.units) == theirs.units
    return ours


def records(folder, limit):
    return sorted(folder.glob("*.hea"))[:limit]


@pytest.mark.parametrize("name", ["cpsc2018", "chapman_shaoxing_ningbo"])
def test_physionet_mat_records_equal_wfdb_to_the_last_bit(name):
    if not (EXTERNAL / name).is_dir():
        pytest.skip(f"no sample records in {EXTERNAL / name}")
    for header in records(EXTERNAL / name, 20):
        assert assert_reads_as_wfdb_does(header.with_suffix("")).signal.dtype == np.int16


@pytest.mark.parametrize("folder", ["records100/00000", "records500/00000"])
def test_ptbxl_records_equal_wfdb_to_the_last_bit(folder):
    if not (PTBXL / folder).is_dir():
        pytest.skip(f"PTBXL_ROOT does not hold {folder}")
    for header in records(PTBXL / folder, 20):
        assert_reads_as_wfdb_does(header.with_suffix(""))


@pytest.mark.parametrize("formats", ["16", "212", "24", "32", "80", "508", "516", "524", ["16", "212"]])
def test_every_format_equals_wfdb_to_the_last_bit(tmp_path, formats):
    digital = TWO_LEADS if formats not in ("80", "508") else np.clip(TWO_LEADS, -127, 127)
    recording = assert_reads_as_wfdb_does(write_record(tmp_path, digital=digital, formats=formats))
    assert recording.signal.dtype == (np.int16 if formats == "16" else np.float64)
    assert (recording.gain is not None) == (formats == "16")


def test_invalid_samples_stay_marked_and_become_nan(tmp_path):
    digital = TWO_LEADS.copy()
    digital[10:20, 1] = -32768
    recording = assert_reads_as_wfdb_does(write_record(tmp_path, digital=digital))
    assert (recording.signal[1, 10:20] == -32768).all()
    assert np.isnan(recording.physical()).sum() == 10


def test_invalid_samples_of_format_212_become_nan(tmp_path):
    digital = np.clip(TWO_LEADS, -2047, 2047)
    digital[10:20, 1] = -2048
    assert (
        np.isnan(assert_reads_as_wfdb_does(write_record(tmp_path, digital=digital, formats="212")).signal).sum() == 10
    )


@pytest.mark.parametrize(
    ("fields", "gain", "baseline", "unit"),
    [
        ("16", 200, 0, "mV"),
        ("16 0", 200, 0, "mV"),
        ("16 1000/uV", 1000, 0, "uV"),
        ("16 1e3(5)/mV 16 7", 1000, 5, "mV"),
        ("16 -500 16 7 0 0 0 II", -500, 7, "mV"),
    ],
)
def test_gain_baseline_and_units_follow_the_wfdb_defaults(tmp_path, fields, gain, baseline, unit):
    write_header(tmp_path, f"# a comment\nrec 1 250 1200\nrec.dat {fields}\n# another\n")
    recording = read_wfdb(tmp_path / "rec")
    assert (recording.gain.tolist(), recording.baseline.tolist(), recording.units) == ([gain], [baseline], (unit,))
    np.testing.assert_array_equal(recording.physical(), wfdb.rdrecord(str(tmp_path / "rec")).p_signal.T)


def test_a_mat_file_is_read_after_its_24_bytes(tmp_path):
    lines = "rec 2 500/1000(3) 600 12:00:00 01/02/2020\n" + "rec.mat 16+24 1000/mV 16 0 0 0 0 V1\n" * 2
    write_header(tmp_path, lines.replace("V1\n", "V2\n", 1), file="rec.mat", prefix=mat_header(2, 600))
    assert assert_reads_as_wfdb_does(tmp_path / "rec").sampling_rate == 500


def test_a_length_that_the_header_leaves_open_comes_from_the_file(tmp_path):
    write_header(tmp_path, "rec 2 250\n" + "rec.dat 16 1000 16 0 0 0 0 I\n" * 2)
    assert read_wfdb(tmp_path / "rec").signal.shape == (2, 600)


def test_lead_names_may_have_spaces_and_the_header_may_be_latin_1(tmp_path):
    write_header(tmp_path, "rec 1 250 1200\nrec.dat 16 1000/mV 16 0 0 0 0 lead I\n")
    (tmp_path / "rec.hea").write_bytes((tmp_path / "rec.hea").read_bytes().replace(b"/mV", b"/\xb5V"))
    recording = read_wfdb(tmp_path / "rec")
    assert (recording.lead_names, recording.units) == (("lead I",), ("µV",))


def test_skew_aligns_signals_as_wfdb_does(tmp_path):
    write_header(tmp_path, "rec 2 250 600\nrec.dat 16:3 1000 16 0 0 0 0 I\nrec.dat 16 1000 16 0 0 0 0 II\n")
    recording = assert_reads_as_wfdb_does(tmp_path / "rec")
    assert np.isnan(recording.physical()).sum(axis=1).tolist() == [3, 0]


def test_segments_are_joined(tmp_path):
    for name in ("a", "b"):
        write_record(tmp_path, name)
    layout = "~ 0 200(12)/mV 16 0 0 0 0 I\n~ 0 1000(-7)/uV 16 0 0 0 0 II\n"
    (tmp_path / "layout.hea").write_text(f"layout 2 250 0\n{layout}")
    (tmp_path / "rec.hea").write_text("rec/4 2 250 1300\nlayout 0\na 600\n~ 100\nb 600\n")
    recording = assert_reads_as_wfdb_does(tmp_path / "rec")
    assert recording.signal.shape == (2, 1300)
    assert np.isnan(recording.signal[:, 600:700]).all()


@pytest.mark.parametrize("suffix", ["", ".hea", ".dat"])
def test_a_path_works_with_and_without_suffix(tmp_path, suffix):
    write_record(tmp_path)
    for path in (f"{tmp_path}/rec{suffix}", tmp_path / f"rec{suffix}"):
        assert read_recording(path).name == "rec"


def error(path, reader=read_wfdb, **kwargs):
    with pytest.raises(EcgError) as caught:
        reader(path, **kwargs)
    return str(caught.value)


def test_a_missing_record_is_named(tmp_path):
    assert "there is no record" in error(tmp_path / "nothing")


def test_a_folder_is_no_record(tmp_path):
    assert "is a folder, not a record" in error(tmp_path)


def test_a_file_without_header_is_no_record(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    assert "notes.txt is not a WFDB record" in error(tmp_path / "notes.txt")


def test_an_empty_file_is_named_as_such(tmp_path):
    (tmp_path / "ecg.dcm").touch()
    assert "ecg.dcm is empty" in error(tmp_path / "ecg.dcm", read_recording)


@pytest.mark.parametrize(("formats", "cut", "expected"), [("16", 1, 2400), ("212", 3, 1800), ("24", 6, 3600)])
def test_a_truncated_file_gives_bytes_expected_and_found(tmp_path, formats, cut, expected):
    record = write_record(tmp_path, formats=formats)
    signal = record.with_suffix(".dat")
    signal.write_bytes(signal.read_bytes()[:-cut])
    assert f"rec.dat is truncated: {expected} bytes expected" in error(record)
    assert f"{expected - cut} found" in error(record)


def test_a_truncated_file_is_seen_even_where_the_header_leaves_the_length_open(tmp_path):
    write_header(tmp_path, "rec 2 250\n" + "rec.dat 16 1000 16 0 0 0 0 I\n" * 2)
    (tmp_path / "rec.dat").write_bytes(b"123456")
    assert "rec.dat has 6 bytes" in error(tmp_path / "rec")


def test_a_truncated_segment_is_found(tmp_path):
    write_record(tmp_path, "a")
    (tmp_path / "rec.hea").write_text("rec/1 2 250 600\na 600\n")
    (tmp_path / "a.dat").write_bytes(b"12")
    assert "a.dat is truncated" in error(tmp_path / "rec")


def test_a_header_that_disagrees_with_its_file_is_refused(tmp_path):
    write_header(tmp_path, "rec 1 250 600\nrec.dat 16 1000 16 0 0 0 0 I\n")
    assert "disagrees with rec.dat: 1200 bytes expected" in error(tmp_path / "rec")


def test_a_header_that_describes_other_than_it_announces_is_refused(tmp_path):
    write_header(tmp_path, "rec 3 250 400\n" + "rec.dat 16 1000 16 0 0 0 0 I\n" * 2)
    assert "announces 3 signals but describes 2" in error(tmp_path / "rec")


def test_a_missing_signal_file_is_named(tmp_path):
    write_header(tmp_path, "rec 1 250 600\nother.dat 16 1000 16 0 0 0 0 I\n")
    assert "names the file other.dat, which is not in" in error(tmp_path / "rec")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "is empty"),
        ("rec", "record line of its header is corrupt: 'rec'"),
        ("rec two 250 600", "record line of its header is corrupt"),
        ("rec 1 250 many\nrec.dat 16", "record line of its header is corrupt"),
        ("rec 1\nrec.dat 16", "gives no sampling rate"),
        ("rec 1 0 600\nrec.dat 16", "gives a sampling rate of 0 Hz"),
        ("rec 1 -5 600\nrec.dat 16", "gives a sampling rate of -5 Hz"),
        ("rec 0 250 600", "has no signals"),
        ("rec 1 250 600\nrec.dat", "signal line of its header is corrupt: 'rec.dat'"),
        ("rec 1 250 600\nrec.dat sixteen 200", "signal line of its header is corrupt"),
        ("rec 1 250 600\nrec.dat 16 gain/mV", "signal line of its header is corrupt"),
        ("rec 1 250 600\nrec.dat 16 200/mV 16 zero", "signal line of its header is corrupt"),
        ("rec 1 250 1200\nrec.dat 99 200/mV 16 0", "rec.dat is stored in format 99, which is not one of"),
    ],
)
def test_a_corrupt_header_quotes_its_line(tmp_path, header, message):
    found = error(write_header(tmp_path, header))
    assert message in found
    assert "rec" in found


def test_a_record_without_samples_is_refused(tmp_path):
    write_header(tmp_path, "rec 1 250\nrec.dat 16", samples=np.zeros(0))
    assert "hold no samples" in error(tmp_path / "rec")


@pytest.mark.parametrize("file", ["../secret.dat", "/etc/passwd", "..", "sub/x.dat", "c:x.dat", "..\\x.dat", "-"])
def test_a_header_may_not_reach_outside_of_its_folder(tmp_path, file):
    (tmp_path / "secret.dat").write_bytes(TWO_LEADS.astype("<i2").tobytes())
    (tmp_path / "inner").mkdir()
    write_header(tmp_path / "inner", f"rec 1 250 1200\n{file} 16 1000 16 0 0 0 0 I\n")
    assert f"names {file!r}, which is not a plain file name" in error(tmp_path / "inner" / "rec")


def test_a_segment_may_not_reach_outside_of_its_folder(tmp_path):
    write_header(tmp_path, "rec/1 1 250 1200\n../a 1200\n")
    assert "names '../a', which is not a plain file name" in error(tmp_path / "rec")
    write_header(tmp_path, "rec/1 1 250 1200\na 1200\n")
    write_header(tmp_path, "a 1 250 1200\n/etc/passwd 16\n", name="a")
    assert "names '/etc/passwd', which is not a plain file name" in error(tmp_path / "rec")


def test_without_soundfile_the_message_says_to_install_it(tmp_path, monkeypatch):
    record = write_record(tmp_path, formats="516")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert "pip install soundfile" in error(record)


def csv(tmp_path, text):
    (tmp_path / "ecg.csv").write_text(text)
    return tmp_path / "ecg.csv"


def test_a_csv_table_has_a_column_per_lead(tmp_path):
    recording = read_recording(csv(tmp_path, "I, aVR\n1,2\n3,nan\n,6\n"), 250, "uV")
    np.testing.assert_array_equal(recording.signal, [[1, 3, np.nan], [2, np.nan, 6]])
    assert recording == Recording("ecg", recording.signal, 250.0, ("I", "aVR"), ("uV", "uV"))


def test_a_csv_time_column_gives_the_rate(tmp_path):
    rows = "\n".join(f"{i / 360:.3f},{i}" for i in range(1000))
    recording = read_csv(csv(tmp_path, f"Time,II\n{rows}\n"), units="mV")
    assert recording.sampling_rate == 360
    assert recording.lead_names == ("II",)
    assert recording.signal.shape == (1, 1000)


@pytest.mark.parametrize("rate", [100, 128, 250, 257, 360, 500])
@pytest.mark.parametrize("rounded", [True, False])
def test_a_time_column_of_two_decimals_gives_the_rate(tmp_path, rate, rounded):
    times = np.arange(12 * rate) / rate
    times = np.round(times, 2) if rounded else np.floor(times * 100) / 100
    path = csv(tmp_path, "Time,II\n" + "\n".join(f"{time:.2f},{i % 7}" for i, time in enumerate(times)))
    assert read_csv(path, units="mV").sampling_rate == rate


def test_a_time_column_that_allows_several_rates_needs_the_rate(tmp_path):
    path = csv(tmp_path, "Time,II\n" + "\n".join(f"{i / 500:.2f},{i % 7}" for i in range(2500)))
    assert "printed in steps of 0.01 s, which is 498.8 to 500.8 Hz; pass sampling_rate=" in error(
        path, read_csv, units="mV"
    )
    assert read_csv(path, 499, "mV").sampling_rate == 499
    assert "its time column says" in error(path, read_csv, sampling_rate=250, units="mV")


def test_a_table_of_many_rows_has_every_value_and_names_the_bad_one(tmp_path):
    rows = [f"{i},{-i / 8}" if i % 5 else f"{i}," for i in range(100_000)]
    expected = [[i, -i / 8 if i % 5 else np.nan] for i in range(100_000)]
    table = read_csv(csv(tmp_path, "II,V1\n" + "\n".join(rows)), 250, "mV").signal
    np.testing.assert_array_equal(table.T, expected)
    rows[77_777] = "1,2,3"
    assert "row 77779 has 3 cells" in error(
        csv(tmp_path, "II,V1\n" + "\n".join(rows)), read_csv, sampling_rate=250, units="mV"
    )
    rows[77_777] = "1,x"
    assert "column V1, row 77779: 'x' is" in error(
        csv(tmp_path, "II,V1\n" + "\n".join(rows)), read_csv, sampling_rate=250, units="mV"
    )


def test_csv_columns_can_be_renamed_and_have_units_each(tmp_path):
    recording = read_csv(csv(tmp_path, "a,b\n1,2\n3,4\n"), 100, ["mV", "uV"], lead_names=["I", "II"])
    assert (recording.lead_names, recording.units) == (("I", "II"), ("mV", "uV"))


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        ("1,2,\n3,4,\n", [[1, 3], [2, 4]]),
        ("1,\n3,4\n", [[1, 3], [np.nan, 4]]),
        ("0.00,1,2,\n0.01,3,4,\n", [[1, 3], [2, 4]]),
        (",0,1\n0,1,2\n1,3,4\n", [[1, 3], [2, 4]]),  # pandas numbers rows and columns
    ],
)
def test_the_first_row_of_a_csv_table_without_names_is_read_where_cells_are_empty(tmp_path, text, samples):
    recording = read_csv(csv(tmp_path, text), 100, "mV", lead_names=["I", "II"])
    np.testing.assert_array_equal(recording.signal, samples)


@pytest.mark.parametrize(
    ("text", "kwargs", "message"),
    [
        ("I\n1\n2\n", {"units": None}, "pass units="),
        ("I\n1\n2\n", {"sampling_rate": None}, "pass sampling_rate="),
        ("I\n1\n2\n", {"units": ["mV", "V"]}, "2 units for 1 leads"),
        ("I\n1\n2\n", {"lead_names": ["I", "II"]}, "2 lead names for the 1 lead columns"),
        ("I\n", {}, "holds no samples"),
        ("1,2\n3,4\n", {}, "first row of"),
        ("I,II\n1,2\n3\n", {}, "row 3 has 1 cells"),
        ("I,II\n1,2\n3,high\n", {}, "column II, row 3: 'high' is not a number"),
        ("t,I\n0,2\n0,4\n", {}, "it must increase"),
        ("t,I\n0,2\n1,4\n5,4\n", {"sampling_rate": None}, "equal steps"),
        ("t,I\n0,2\n0.1,4\n0.2,4\n", {"sampling_rate": 20}, "its time column says 10 Hz"),
        ("I\n\x00\udc80", {}, "is not a CSV table"),
        ('I\n""""\nx\n', {}, "column I, row 3: 'x' is not a number"),
    ],
)
def test_a_csv_table_says_what_is_wrong(tmp_path, text, kwargs, message):
    path = tmp_path / "ecg.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    found = error(path, read_csv, **{"sampling_rate": 100, "units": "mV", **kwargs})
    assert message in found
    assert found.startswith("ecg: ")


def test_a_missing_csv_file_is_named(tmp_path):
    assert "there is no file" in error(tmp_path / "ecg.csv", read_csv, units="mV")


@pytest.mark.parametrize(
    ("text", "kwargs"),
    [
        ("II;V1\n0,5;1\n-1,25;2\n", {}),
        ("II\tV1\n0,5\t1\n-1.25\t2\n", {}),
        ("time;II;V1\n0;0,5;1\n4;-1,25;2\n", {"sampling_rate": None}),
        ("Time [s],II,V1\n0,0.5,1\n0.004,-1.25,2\n", {"sampling_rate": None}),
        ("time_ms,II,V1\n0,0.5,1\n4,-1.25,2\n", {"sampling_rate": None}),
        ("Zeit [s];II;V1\n0,000;0,5;1\n0,004;-1,25;2\n", {"sampling_rate": None}),
        ('II (mV),"V1 [mV]"\n0.5,1\n-1.25,2\n', {"units": None}),
        ("\"'II'\",V1\n0.5,1\n-1.25,2\n", {}),
        (",II,V1\n0,0.5,1\n1,-1.25,2\n", {}),
        ("0.5,1\n-1.25,2\n", {"lead_names": ["II", "V1"]}),
        ("0,5;1\n-1,25;2\n", {"lead_names": ["II", "V1"]}),
        ("sample,II,V1\n0,0.5,1\n1,-1.25,2\n", {}),
        ("Unnamed: 0;II;V1\n17;0,5;1\n18;-1,25;2\n", {}),
        ("II,V1\nmV,mV\n0.5,1\n-1.25,2\n", {"units": None}),
        ("'Elapsed time','II','V1'\n'seconds','mV','mV'\n0.000,0.5,1\n0.004,-1.25,2\n", {"sampling_rate": None}),
        ("n;time;II;V1\n;[ms];[mV];[mV]\n0;0;0,5;1\n1;4;-1,25;2\n", {"sampling_rate": None, "units": None}),
        ("Zeit;II;V1\n0,000;0,5;1\n0,004;-1,25;2\n", {"sampling_rate": None}),
        ("Time/ms,II,V1\n0,0.5,1\n4,-1.25,2\n", {"sampling_rate": None}),
        ("timestamp_ms,II,V1\n0,0.5,1\n4,-1.25,2\n", {"sampling_rate": None}),
        (",II,V1\n0.000,0.5,1\n0.004,-1.25,2\n", {"sampling_rate": None}),
        ("0.000,0.5,1\n0.004,-1.25,2\n", {"sampling_rate": None, "lead_names": ["II", "V1"]}),
        ("II,V1,\n0.5,1,\n-1.25,2,\n", {}),
        ("# II,V1\n0.5,1\n-1.25,2\n", {}),
        ("# exported 2020\n#\nII,V1\n0.5,1\n-1.25,2\n", {}),
        ("# exported 2020\n0.5,1\n-1.25,2\n", {"lead_names": ["II", "V1"]}),
        ('II,V1\r"0.5",1\r\r-1.25,2', {}),
        ("II, V1\r\n 0.5 , 1\r\n\r\n-1.25,\t2\r\n", {}),
    ],
)
def test_usual_forms_of_tables_are_read(tmp_path, text, kwargs):
    recording = read_csv(csv(tmp_path, text), **{"sampling_rate": 250, "units": "mV", **kwargs})
    assert (recording.sampling_rate, recording.lead_names, recording.units) == (250, ("II", "V1"), ("mV", "mV"))
    np.testing.assert_array_equal(recording.signal, [[0.5, -1.25], [1, 2]])


@pytest.mark.parametrize(
    ("text", "kwargs", "message"),
    [
        ("II\n0,5\n1,5\n", {}, "if these are decimal commas"),
        ("# a\n#b\nII,V1\n1,2\n3,4,\n", {}, "row 5 has 3 cells where the first row names 2 columns; remove the sep"),
        ("#\n" * 2000 + "II,V1\n1,2\n", {}, "column #, row 1002: '#' is not a number"),
        ("II V1\n1 2\n3 4\n", {}, "'1 2' is not a number; separate the columns with commas, semicolons or tabs"),
        ("II (mV),V1\n1,2\n", {"units": None}, "'V1' is not; pass units="),
        ("II (mV)\n1\n2\n", {"units": "uV"}, "units='uV' was passed, but its lead II is in 'mV'"),
        ("time,II\n0,1\n1,2\n", {"sampling_rate": None}, "counts rows or milliseconds"),
        ("V1,II\n1,2\n3,4\n", {"lead_names": ["II", "V1"]}, "call 'II' what the table calls 'V1'"),
        ("II,V1\nmV,uV\n1,2\n", {}, "units='mV' was passed, but its lead V1 is in 'uV'"),
    ],
)
def test_tables_with_several_meanings_are_refused(tmp_path, text, kwargs, message):
    assert message in error(csv(tmp_path, text), read_csv, **{"sampling_rate": 250, "units": "mV", **kwargs})
