"""Files that are made to exhaust the memory or to read other files are refused; times are in benchmarks/."""

import resource
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from format_files import twelve_leads, write_philips
from hostile_files import SIGNAL, write_all

from merit.processing import formats_merit
from merit.processing.recordings_merit import EcgError, read_recording

# What is hostile about these is not in the way of their signal.
READ = ("muse: nested elements", "aecg: nested elements", "mortara: nested elements", "dicom: length")
MEMORY = 500 * 2**20


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("hostile"))


def peak_memory():
    """The most bytes that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def test_hostile_files_are_refused_in_bounded_memory(files):
    read_recording(files["dicom: length"])  # loads the libraries
    secret = Path("/etc/passwd").read_text().splitlines()[0]
    messages = {}
    for name, path in files.items():
        before = peak_memory()
        try:
            np.testing.assert_array_equal(read_recording(path).signal, SIGNAL)
        except EcgError as error:
            messages[name] = str(error)
        assert peak_memory() - before < MEMORY, name
    assert sorted(files.keys() - messages.keys()) == sorted(READ)
    for name, message in messages.items():
        assert files[name].stem in message
        assert secret not in message
        assert len(message) < 1000


@pytest.mark.parametrize("kind", ["muse", "philips", "aecg", "mortara"])
def test_entities_are_refused_before_they_are_expanded(kind, files):
    for attack in ("entity expansion", "external entity", "remote entity", "parameter entity"):
        with pytest.raises(EcgError, match="entity declarations are not allowed"):
            read_recording(files[f"{kind}: {attack}"])


def test_the_size_of_compressed_leads_is_known_without_decompressing_them(tmp_path):
    signal = twelve_leads()
    write_philips(tmp_path / "ecg.xml", signal, compressed=True)
    text = (tmp_path / "ecg.xml").read_text(encoding="utf-16")
    [(_, data)] = formats_merit._PLAIN_WAVEFORMS.findall(text)
    assert formats_merit._decompressed_bytes(data) == signal.size * 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("philips: compressed", "decompresses to more than 8388608 bytes"),
        ("dicom: deflated", "is a deflated DICOM file"),
        ("philips: hidden channels", "does not declare its number of channels by a number up to 99"),
    ],
)
def test_what_would_expand_too_far_is_refused_before_it_is_read(name, message, files):
    with pytest.raises(EcgError, match=message):
        read_recording(files[name])


@pytest.mark.parametrize(("kind", "limit"), [("GE MUSE XML", 1 << 23), ("SCP-ECG", 1 << 22)])
def test_a_file_that_is_too_large_is_not_read(kind, limit, tmp_path):
    start = b"<RestingECG>" if kind == "GE MUSE XML" else bytes(22) + struct.pack("<HII", 0, 56, 7)
    with open(tmp_path / "large.file", "wb") as file:
        file.write(start)
        file.truncate(limit + 1)
    with pytest.raises(EcgError, match=f"{limit + 1} bytes, and of {kind} files at most {limit} are read"):
        read_recording(tmp_path / "large.file")
