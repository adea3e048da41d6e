"""Hospital formats: the same recording has the same values in each, and no file gives away whose it is."""

import logging
import pickle
import struct
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from format_files import (
    FIRST,
    IDENTITY,
    LAST,
    PATIENT,
    STANDARD,
    WRITERS,
    twelve_leads,
    write_aecg,
    write_dicom,
    write_edf,
    write_ishne,
    write_muse,
    write_philips,
    write_scp,
)
from wfdb_files import write_record

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.recording_base_merit import HOSPITAL_FORMATS
from merit.processing.recordings_merit import EcgError, read_recording

SAMPLES = Path(__file__).parents[3] / "shared" / "formats"
SIGNAL = twelve_leads()
EIGHT = [0, 1, *range(6, 12)]


def sample(name):
    if not (SAMPLES / name).is_file():
        pytest.skip(f"there is no {SAMPLES / name}")
    return SAMPLES / name


def write(kind, folder, name="ecg", **arguments):
    """A file of one of the formats, without the suffix that it usually has."""
    write_file, _ = WRITERS[kind]
    path = folder / f"{name}.file"
    write_file(path, arguments.pop("signal", SIGNAL), step=5.0, **arguments)
    return path


def error(path, **arguments):
    with pytest.raises(EcgError) as caught:
        read_recording(path, **arguments)
    assert str(path) in str(caught.value) or path.stem in str(caught.value)
    return str(caught.value)


def features(*arguments, **settings):
    return MeritFeatureExtractor(**settings)(*arguments)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_is_found_by_its_content_and_read_with_its_rhythm_rate_units_and_leads(kind, tmp_path):
    recording = read_recording(write(kind, tmp_path))
    np.testing.assert_allclose(recording.physical(), SIGNAL * 5.0, atol=1e-9)
    assert recording.sampling_rate == 500
    assert set(recording.units) == {"uV"}
    assert [lead.removeprefix("ECG ") for lead in recording.lead_names] == list(STANDARD)
    assert recording.name == "ecg"


def test_every_format_that_is_found_is_named_in_messages_tested_here_and_documented():
    assert set(HOSPITAL_FORMATS) == set(WRITERS)
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "formats.md").read_text(encoding="utf-8")
    assert [kind for kind in HOSPITAL_FORMATS if kind.removesuffix(" XML") not in guide] == []


@pytest.mark.parametrize("kind", WRITERS)
def test_a_recording_gives_the_model_the_same_values_in_every_format(kind, tmp_path):
    write_record(tmp_path / "record", SIGNAL.astype(np.int16), gain="200.0(0)/mV")
    expected, found = features(tmp_path / "record"), features(write(kind, tmp_path))
    np.testing.assert_allclose(found["ecg_values"], expected["ecg_values"], atol=1e-5)
    np.testing.assert_array_equal(found["lead_mask"], expected["lead_mask"])


@pytest.mark.parametrize(("version", "compressed"), [("1.03", False), ("1.04", True), ("1.04.01", False)])
def test_philips_files_are_read_in_every_version_compressed_or_not(version, compressed, tmp_path):
    write_philips(tmp_path / "ecg.xml", SIGNAL, version=version, compressed=compressed)
    np.testing.assert_allclose(read_recording(tmp_path / "ecg.xml").physical(), SIGNAL * 5.0)


def test_limb_leads_that_a_file_leaves_out_are_derived_as_for_wfdb(tmp_path):
    leads = [STANDARD[channel] for channel in EIGHT]
    write_muse(tmp_path / "ecg.xml", SIGNAL[EIGHT], step=5.0, leads=leads)
    write_record(tmp_path / "record", SIGNAL[EIGHT].astype(np.int16), leads=leads, gain="200.0(0)/mV")
    found, expected = features(tmp_path / "ecg.xml"), features(tmp_path / "record")
    assert found["lead_mask"].all()
    np.testing.assert_allclose(found["ecg_values"], expected["ecg_values"], atol=1e-5)
    np.testing.assert_allclose(found["ecg_values"], features(write("DICOM", tmp_path))["ecg_values"], atol=1e-5)


def test_leads_that_are_not_standard_follow_ignore_unknown_leads(tmp_path):
    leads = ["I", "II", "V3R", "V1", "V7"]
    write_scp(tmp_path / "ecg.scp", SIGNAL[:5], leads=leads)
    assert read_recording(tmp_path / "ecg.scp").lead_names == tuple(leads)
    with pytest.raises(EcgError, match="V3R"):
        features(tmp_path / "ecg.scp")
    assert features(tmp_path / "ecg.scp", ignore_unknown_leads=True)["lead_mask"].sum() == 7


def test_a_sampling_rate_that_is_not_a_whole_number_is_kept(tmp_path):
    write_aecg(tmp_path / "a.xml", SIGNAL, rate=257.3)
    write_dicom(tmp_path / "d.dcm", SIGNAL, rate=976.5625)
    assert read_recording(tmp_path / "a.xml").sampling_rate == pytest.approx(257.3)
    assert read_recording(tmp_path / "d.dcm").sampling_rate == pytest.approx(976.5625, rel=1e-6)


def test_a_file_with_a_median_beat_only_is_refused(tmp_path):
    write_dicom(tmp_path / "ecg.dcm", SIGNAL[:, :300], median=False)
    content = (tmp_path / "ecg.dcm").read_bytes().replace(b"RHYTHM", b"MEDIAN")
    (tmp_path / "ecg.dcm").write_bytes(content)
    assert "no rhythm" in error(tmp_path / "ecg.dcm")


def test_a_short_waveform_before_the_rhythm_of_a_dicom_file_is_not_taken_for_it(tmp_path):
    from pydicom import dcmread

    write_dicom(tmp_path / "ecg.dcm", SIGNAL)
    dataset = dcmread(tmp_path / "ecg.dcm")
    dataset.WaveformSequence[1].MultiplexGroupLabel = "TEMPLATE"
    dataset.WaveformSequence = dataset.WaveformSequence[::-1]
    dataset.save_as(tmp_path / "ecg.dcm")
    with pytest.warns(UserWarning, match="additional"):
        assert "first waveform has 0.6 s, another one 5 s" in error(tmp_path / "ecg.dcm")


def test_units_that_a_file_does_not_state_are_not_guessed(tmp_path):
    write_muse(tmp_path / "ecg.xml", SIGNAL)
    text = (tmp_path / "ecg.xml").read_text("latin-1")
    (tmp_path / "ecg.xml").write_text(text.replace("MICROVOLTS", ""))
    assert "does not state gain and units of lead I" in error(tmp_path / "ecg.xml")


def test_a_wrong_checksum_is_an_error_or_a_warning(tmp_path):
    write_scp(tmp_path / "ecg.scp", SIGNAL)
    content = bytearray((tmp_path / "ecg.scp").read_bytes())
    content[-1] ^= 1
    (tmp_path / "ecg.scp").write_bytes(content)
    assert "CRC mismatch" in error(tmp_path / "ecg.scp")
    with pytest.warns(UserWarning, match="CRC mismatch"):
        assert read_recording(tmp_path / "ecg.scp", verify_checksums=False).signal.shape == SIGNAL.shape


def test_leads_of_different_lengths_or_starts_are_refused(tmp_path):
    write_muse(tmp_path / "ecg.xml", SIGNAL)
    text = (tmp_path / "ecg.xml").read_text("latin-1")
    write_muse(tmp_path / "short.xml", SIGNAL[:, :-100])
    lead = (tmp_path / "short.xml").read_text("latin-1").split("<LeadData>")[-1]
    start, _, _ = text.rpartition("<LeadData>")
    (tmp_path / "ecg.xml").write_text(f"{start}<LeadData>{lead}")
    assert "V5 2500, V6 2400" in error(tmp_path / "ecg.xml")


def test_an_scp_file_with_an_impossible_sample_range_is_named_with_the_reason(tmp_path):
    write_scp(tmp_path / "ecg.scp", SIGNAL, first=0)
    message = error(tmp_path / "ecg.scp")
    assert "cannot be read as SCP-ECG" in message
    assert "invalid sample range 0-2499" in message


def test_edf_channels_at_other_rates_are_left_out_with_a_warning(tmp_path):
    import edfio

    breath = edfio.EdfSignal(np.sin(np.arange(125.0)), 25, label="Resp", physical_dimension="V")
    write_edf(tmp_path / "ecg.edf", SIGNAL, extra=[breath])
    with pytest.warns(UserWarning, match="Resp left out"):
        assert read_recording(tmp_path / "ecg.edf").signal.shape == SIGNAL.shape


def test_an_edf_file_with_an_offset_is_read_exactly(tmp_path):
    import edfio

    signal = edfio.EdfSignal(
        np.linspace(-1, 2.5, 2500), 500, label="EKG II", physical_dimension="mV", physical_range=(-1, 2.5)
    )
    edfio.Edf([signal]).write(tmp_path / "ecg.edf")
    recording = read_recording(tmp_path / "ecg.edf")
    np.testing.assert_allclose(recording.physical()[0], signal.data, atol=1e-9)
    assert recording.units == ("mV",)


@pytest.mark.parametrize(
    ("start", "field", "message"),
    [
        (236, b"8       ", "not as many as its header declares"),
        (236, b"99999999", "not as many as its header declares"),
        (244, b"0       ", "in its header"),
        (252, b"9999", "cannot be read as EDF"),
    ],
)
def test_an_edf_header_that_contradicts_its_file_is_refused(tmp_path, start, field, message):
    write_edf(tmp_path / "ecg.edf", SIGNAL)
    content = bytearray((tmp_path / "ecg.edf").read_bytes())
    content[start : start + len(field)] = field
    (tmp_path / "ecg.edf").write_bytes(content)
    with pytest.raises(EcgError, match=message):
        read_recording(tmp_path / "ecg.edf")


def test_an_edf_signal_without_a_range_has_no_gain(tmp_path):
    write_edf(tmp_path / "ecg.edf", SIGNAL)
    content = (tmp_path / "ecg.edf").read_bytes()
    (tmp_path / "ecg.edf").write_bytes(content.replace(b"-163835", b"163835 "))
    assert "the range of ECG I" in error(tmp_path / "ecg.edf")


def test_a_discontinuous_edf_file_is_refused(tmp_path):
    write_edf(tmp_path / "ecg.edf", SIGNAL)
    content = (tmp_path / "ecg.edf").read_bytes()
    (tmp_path / "ecg.edf").write_bytes(content.replace(b"EDF+C", b"EDF+D").replace(b"+2\x14\x14", b"+7\x14\x14"))
    assert "discontinuous" in error(tmp_path / "ecg.edf")


def test_lead_faults_of_ishne_become_nan(tmp_path):
    faulty = SIGNAL.copy()
    faulty[3, 100:110] = -32768
    write_ishne(tmp_path / "ecg.ecg", faulty)
    physical = read_recording(tmp_path / "ecg.ecg").physical()
    assert np.flatnonzero(np.isnan(physical[3])).tolist() == list(range(100, 110))
    np.testing.assert_allclose(np.delete(physical, 3, axis=0), np.delete(SIGNAL * 5.0, 3, axis=0))


def test_holter_channels_without_a_name_can_be_named(tmp_path):
    write_ishne(tmp_path / "ecg.ecg", SIGNAL[:2], leads=("A", "B"))
    with pytest.raises(EcgError, match="leads="):
        features(tmp_path / "ecg.ecg")
    found = MeritFeatureExtractor()(tmp_path / "ecg.ecg", leads=["II", "V5"])
    assert found["lead_mask"].sum() == 2


def test_an_xml_file_of_another_kind_is_refused_with_those_that_are_read(tmp_path):
    (tmp_path / "page.xml").write_text("<html><body>no ECG</body></html>")
    assert "GE MUSE XML, Philips Sierra XML, HL7 aECG, Mortara XML" in error(tmp_path / "page.xml")


@pytest.mark.parametrize("kind", WRITERS)
def test_without_the_libraries_the_error_names_the_extra(kind, tmp_path, monkeypatch):
    path = write(kind, tmp_path)
    for library in ("edfio", "ecgdatakit", "pydicom"):
        monkeypatch.setitem(sys.modules, library, None)
    message = error(path)
    assert kind in message
    assert "merit-ecg[formats]" in message


def test_tables_and_arrays_are_found_by_their_content_too(tmp_path):
    (tmp_path / "table.txt").write_text("I (mV);II (mV)\n" + "0,1;0,25\n" * 3)
    assert read_recording(tmp_path / "table.txt", sampling_rate=500).physical().tolist() == [[0.1] * 3, [0.25] * 3]
    with open(tmp_path / "array.bin", "wb") as file:
        np.save(file, SIGNAL * 0.005)
    arguments = {"sampling_rate": 500, "units": "mV"}
    found = MeritFeatureExtractor()(tmp_path / "array.bin", leads=list(STANDARD), **arguments)
    np.testing.assert_allclose(found["ecg_values"], features(write("ISHNE", tmp_path))["ecg_values"], atol=1e-5)


# Identity


def assert_anonymous(text):
    found = [word for word in IDENTITY if word.lower() in str(text).lower()]
    assert not found, f"{found} in {text!r:.500}"


@pytest.mark.parametrize("kind", WRITERS)
def test_the_files_of_these_tests_do_identify_the_patient(kind, tmp_path):
    content = write(kind, tmp_path).read_bytes()
    for word in (LAST, FIRST, PATIENT):
        assert word.encode() in content or word.encode("utf-16-le") in content


@pytest.mark.parametrize("kind", WRITERS)
def test_nothing_that_identifies_the_patient_is_read_warned_of_or_logged(kind, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    path = write(kind, tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recording = read_recording(path)
        batch = features(path)
    assert_anonymous(pickle.dumps(recording).decode("latin-1"))
    assert_anonymous([repr(recording), vars(recording), dict(batch), [warning.message for warning in caught]])
    assert_anonymous([caplog.text, *capfd.readouterr()])


@pytest.mark.parametrize("kind", WRITERS)
def test_no_damage_to_a_file_brings_an_identity_into_an_error_or_a_log(kind, tmp_path, caplog):
    """Fields move when bytes are lost, so that a name may stand where the reader expects a number."""
    caplog.set_level(logging.DEBUG)
    content = write(kind, tmp_path, signal=SIGNAL[:, :500]).read_bytes()
    rng, outcomes = np.random.default_rng(0), []
    limit = min(len(content), 4000)
    damaged = [content[: rng.integers(len(content))] for _ in range(10)]
    damaged += [content[:at] + content[at + rng.integers(1, 9) :] for at in rng.integers(200, limit, 25)]
    damaged += [content[:at] + bytes([rng.integers(256)]) + content[at + 1 :] for at in rng.integers(0, limit, 25)]
    damaged += [content[:at] + b"PX47110815 Quirina" + content[at:] for at in rng.integers(150, limit, 25)]
    for number, changed in enumerate(damaged):
        path = tmp_path / f"damaged{number}.file"
        path.write_bytes(changed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                outcomes.append(read_recording(path))
            except EcgError:
                outcomes.append(traceback.format_exc())
        assert_anonymous([warning.message for warning in caught])
    assert_anonymous(outcomes)
    assert_anonymous(caplog.text)
    assert any(isinstance(outcome, str) for outcome in outcomes)


def test_what_pydicom_finds_invalid_in_fields_of_the_patient_is_neither_logged_nor_warned_of(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    write_dicom(tmp_path / "ecg.dcm", SIGNAL)
    content = (tmp_path / "ecg.dcm").read_bytes()
    stored = b"LO" + struct.pack("<H", len(PATIENT)) + PATIENT.encode()
    assert stored in content
    too_long = b"LO" + struct.pack("<H", 10 * len(PATIENT)) + 10 * PATIENT.encode()
    (tmp_path / "ecg.dcm").write_bytes(content.replace(stored, too_long))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_recording(tmp_path / "ecg.dcm")
    assert not [record for record in caplog.records if record.name == "pydicom"]


# Real files


@pytest.mark.parametrize(
    ("name", "shape", "rate", "largest"),
    [
        ("muse.xml", (8, 5000), 500, 1688.48),
        ("philips_1_03.xml", (12, 5500), 500, 1000.0),
        ("philips_1_04.xml", (12, 5500), 500, 4015.0),
        ("aecg.xml", (12, 1000), 100, 2705.0),
        ("anonymised.scp", (8, 6000), 600, 2250.0),
    ],
)
def test_real_files_are_read(name, shape, rate, largest):
    recording = read_recording(sample(name))
    assert recording.signal.shape == shape
    assert recording.sampling_rate == rate
    assert np.abs(recording.physical()).max() == pytest.approx(largest)
    assert set(recording.units) == {"uV"}
    found = features(sample(name), ignore_unknown_leads=True)
    assert found["lead_mask"].sum() >= 9


def test_a_real_scp_file_that_the_library_does_not_read_is_named_with_the_reason():
    path = sample("huffman_none_8_leads_1000hz.scp")
    assert "lead 1 has invalid sample range 0-10000" in error(path)


def test_a_real_dicom_file_has_the_values_that_pydicom_reads():
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    path = get_testdata_file("waveform_ecg.dcm", download=False)
    if path is None:
        pytest.skip("pydicom is installed without its test file waveform_ecg.dcm")
    recording = read_recording(path)
    np.testing.assert_allclose(recording.physical().T, dcmread(path).waveform_array(0), atol=1e-9)
    assert (recording.sampling_rate, recording.lead_names) == (1000, STANDARD)
