"""Conversion to WFDB: the same values, and nothing that identifies the patient."""

import sys

import numpy as np
import pytest
import wfdb
from format_files import IDENTITY, STANDARD, WRITERS, twelve_leads, write_edf, write_ishne, write_scp
from wfdb_files import write_record

from merit.commands import main
from merit.convert import convert
from merit.processing.recordings_merit import EcgError, read_recording, read_wfdb

SIGNAL = twelve_leads()


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_becomes_a_wfdb_record_of_the_same_values_without_an_identity(kind, tmp_path):
    WRITERS[kind][0](tmp_path / "ecg.file", SIGNAL, step=5.0)
    header = convert(tmp_path / "ecg.file", tmp_path / "new" / "ecg")
    record = wfdb.rdrecord(str(header.with_suffix("")))
    np.testing.assert_allclose(record.p_signal.T, SIGNAL * 0.005, atol=1e-9)
    assert (record.fs, record.units) == (500, ["mV"] * 12)
    np.testing.assert_array_equal(read_wfdb(header).signal, SIGNAL)
    written = b"".join(path.read_bytes() for path in (tmp_path / "new").iterdir()).decode("latin-1").lower()
    assert not [word for word in IDENTITY if word.lower() in written]


def test_a_wfdb_record_keeps_its_digital_samples_and_loses_its_comments(tmp_path):
    digital = SIGNAL.astype(np.int16)
    digital[0, 5] = -32768
    write_record(tmp_path / "a", digital, rate=257.3, gain="200.5(7)/uV", comments=[f"name: {IDENTITY[0]}"])
    header = convert(tmp_path / "a", tmp_path / "b.hea")
    before, after = read_wfdb(tmp_path / "a"), read_wfdb(header)
    np.testing.assert_array_equal(before.signal, after.signal)
    np.testing.assert_allclose(before.physical() / 1000, after.physical(), rtol=1e-12)
    assert after.sampling_rate == 257.3
    assert IDENTITY[0] not in header.read_text()


def test_values_beyond_16_bits_keep_the_resolution_of_their_range(tmp_path):
    far = SIGNAL * 100 + 400_000
    write_edf(tmp_path / "ecg.bdf", far, kind="Bdf", step=0.1)
    after = read_wfdb(convert(tmp_path / "ecg.bdf", tmp_path / "ecg")).physical()
    np.testing.assert_allclose(after, far * 1e-4, atol=(far.max(axis=1) - far.min(axis=1)).max() * 1e-4 / 65_000)


def test_gaps_stay_gaps(tmp_path):
    faulty = SIGNAL.copy()
    faulty[3, 100:110] = -32768
    write_ishne(tmp_path / "ecg.ecg", faulty)
    before = read_recording(tmp_path / "ecg.ecg").physical()
    after = read_wfdb(convert(tmp_path / "ecg.ecg", tmp_path / "ecg")).physical()
    np.testing.assert_array_equal(np.isnan(after), np.isnan(before))
    np.testing.assert_allclose(after, before / 1000, atol=1e-4)


def test_leads_that_are_not_standard_are_kept(tmp_path):
    write_scp(tmp_path / "ecg.scp", SIGNAL[:3], leads=("II", "V3R", "V7"))
    assert read_wfdb(convert(tmp_path / "ecg.scp", tmp_path / "ecg")).lead_names == ("II", "V3R", "V7")


def test_an_array_is_converted_with_its_description(tmp_path):
    np.save(tmp_path / "ecg.npy", SIGNAL[:2] * 0.005)
    header = convert(tmp_path / "ecg.npy", tmp_path / "ecg", sampling_rate=250, leads=["I", "II"], units="mV")
    np.testing.assert_allclose(read_wfdb(header).physical(), SIGNAL[:2] * 0.005, atol=1e-4)
    with pytest.raises(EcgError, match="sampling_rate"):
        convert(tmp_path / "ecg.npy", tmp_path / "other")
    assert not (tmp_path / "other.dat").exists()


def test_a_record_is_not_overwritten_and_has_a_name_that_wfdb_allows(tmp_path):
    write_record(tmp_path / "a", SIGNAL.astype(np.int16))
    convert(tmp_path / "a", tmp_path / "b")
    with pytest.raises(FileExistsError, match=r"b\.hea exists"):
        convert(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ValueError, match="cannot be the name of a WFDB record"):
        convert(tmp_path / "a", tmp_path / "two words")


def test_the_command_converts_and_reports_what_is_wrong(tmp_path, monkeypatch, capsys):
    write_scp(tmp_path / "ecg.scp", SIGNAL)
    monkeypatch.setattr(sys, "argv", ["merit", "convert", str(tmp_path / "ecg.scp"), str(tmp_path / "ecg")])
    assert main() == 0
    assert f"Written to {tmp_path / 'ecg.hea'}" in capsys.readouterr().out
    assert read_wfdb(tmp_path / "ecg").lead_names == STANDARD
    assert main() == 1
    assert "exists" in capsys.readouterr().err
