"""The drawing is to scale, holds what it is given, and is written whole or not at all."""

import builtins
import io
import struct

import numpy as np
import pytest

from merit.plot import MM_PER_MILLIVOLT, MM_PER_SECOND, draw_ecg

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SPIKE_SAMPLES = (200, 700)


def flat_with_spikes(height: float = 1.0) -> np.ndarray:
    signal = np.zeros((1, 1000))
    signal[0, SPIKE_SAMPLES] = height
    return signal


def read_png(picture: bytes) -> tuple[np.ndarray, float]:
    """Pixels (rows, columns, 3), and pixels for each millimetre as the file itself says."""
    from matplotlib.image import imread

    where = picture.index(b"pHYs") + 4
    per_metre = struct.unpack(">I", picture[where : where + 4])[0]
    return imread(io.BytesIO(picture))[..., :3], per_metre / 1000


def draw(signal: np.ndarray, **options) -> tuple[np.ndarray, float]:
    file = io.BytesIO()
    draw_ecg(signal, 100, LEADS[: len(signal)], file, **options)
    return read_png(file.getvalue())


def ink(pixels: np.ndarray) -> np.ndarray:
    return pixels.max(axis=2) < 0.45


def test_five_seconds_are_125_mm_and_a_millivolt_is_10_mm():
    assert (MM_PER_SECOND, MM_PER_MILLIVOLT) == (25, 10)
    pixels, per_mm = draw(flat_with_spikes(), dpi=254)
    assert per_mm == pytest.approx(10, rel=0.01)
    dark = ink(pixels)[: -round(10 * per_mm)]
    baseline_row = dark.sum(axis=1).argmax()
    above = dark[baseline_row - round(7 * per_mm)]
    # At seven millimetres: the two edges of the pulse of calibration, then both spikes with two flanks each.
    columns = np.flatnonzero(np.diff(above.astype(int)) == 1)
    columns = columns[columns > 18 * per_mm]
    spikes = [columns[columns < columns.mean()].mean(), columns[columns > columns.mean()].mean()]
    assert (spikes[1] - spikes[0]) / per_mm == pytest.approx(25 * 5, abs=0.2)
    spike = dark[:, round(spikes[0]) - 5 : round(spikes[0]) + 25].any(axis=1)
    assert (baseline_row - np.flatnonzero(spike)[0]) / per_mm == pytest.approx(10, abs=0.4)


def test_calibration_pulse_is_a_millivolt_and_200_ms():
    pixels, per_mm = draw(np.zeros((1, 1000)), dpi=254)
    dark = ink(pixels)[: -round(10 * per_mm), round(10 * per_mm) : round(19 * per_mm)]
    rows = np.flatnonzero(dark.any(axis=1))
    assert (rows[-1] - rows[0]) / per_mm == pytest.approx(10, abs=0.3)
    columns = np.flatnonzero(dark[rows[0] + 3])
    assert (columns[-1] - columns[0]) / per_mm == pytest.approx(5, abs=0.3)


def test_paper_has_a_fine_line_each_millimetre_and_a_bold_one_each_five():
    pixels, per_mm = draw(np.zeros((1, 1000)), dpi=254)
    row = pixels[round(2.5 * per_mm), :, 1]
    lines = [row[round(mm * per_mm) - 2 : round(mm * per_mm) + 3].min() for mm in range(200, 221)]
    between = [row[round((mm + 0.5) * per_mm)] for mm in range(200, 221)]
    assert max(lines) < min(between)
    assert max(lines[::5]) < min(line for mm, line in enumerate(lines) if mm % 5)


@pytest.mark.parametrize("dpi", [100, 150])
def test_size_of_the_picture_follows_from_the_scale(dpi):
    pixels, per_mm = draw(np.zeros((12, 1000)), dpi=dpi)
    assert per_mm == pytest.approx(dpi / 25.4, rel=0.01)
    assert pixels.shape[1] / per_mm == pytest.approx(275, abs=1)
    shorter, _ = draw(np.zeros((12, 500)), dpi=dpi)
    assert (pixels.shape[1] - shorter.shape[1]) / per_mm == pytest.approx(125, abs=1)


def test_large_waves_get_room():
    calm, _ = draw(np.zeros((2, 1000)))
    tall, _ = draw(np.concatenate([np.zeros((1, 1000)), flat_with_spikes(5.0)]))
    assert tall.shape[0] > calm.shape[0] + 20 * 150 / 25.4


def test_artefacts_and_offsets_do_not_stretch_the_picture():
    calm, _ = draw(np.zeros((2, 1000)))
    offset, _ = draw(np.full((2, 1000), 300.0))
    np.testing.assert_array_equal(calm, offset)
    wild, per_mm = draw(np.concatenate([np.zeros((1, 1000)), flat_with_spikes(1000.0)]))
    assert wild.shape[0] < 150 * per_mm


def test_answer_is_drawn_as_bars_as_long_as_the_scores():
    answer = [{"label": "normal ecg", "score": 0.8}, {"label": "infarction", "score": 0.2}]
    without, _ = draw(np.zeros((1, 1000)))
    pixels, _ = draw(np.zeros((1, 1000)), answer=answer)
    assert pixels.shape[0] > without.shape[0]
    blue = (pixels[..., 2] - pixels[..., 0]) > 0.2
    lengths = np.array([length for length in blue.sum(axis=1) if length > 10])
    assert lengths.max() / lengths.min() == pytest.approx(4, rel=0.05)
    assert np.flatnonzero(blue.sum(axis=1) == lengths.max())[0] < np.flatnonzero(blue.sum(axis=1) == lengths.min())[0]


def test_gaps_are_left_open():
    signal = flat_with_spikes()
    signal[0, 300:600] = np.nan
    pixels, per_mm = draw(signal)
    dark = ink(pixels)[: -round(10 * per_mm)]
    assert dark[:, round((20 + 25 * 3.2) * per_mm) : round((20 + 25 * 5.8) * per_mm)].sum() == 0


def test_every_picture_says_what_it_is_not(tmp_path):
    path = tmp_path / "ecg.svg"
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_ecg(np.zeros((1, 1000)), 100, ("II",), path, title="record 7")
    text = path.read_text()
    for words in ("research software, not a medical device", "25 mm/s", "10 mm/mV", "record 7", ">II<"):
        assert words in text


def test_file_is_replaced_whole_or_left_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "ecg.png"
    path.write_bytes(b"before")
    with monkeypatch.context() as patch:
        from matplotlib.figure import Figure

        def fail(self, file, **options):
            file.write(b"half")
            raise OSError("no space left")

        patch.setattr(Figure, "savefig", fail)
        with pytest.raises(OSError, match="no space left"):
            draw_ecg(np.zeros((1, 1000)), 100, ("I",), path)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["ecg.png"]
    draw_ecg(np.zeros((1, 1000)), 100, ("I",), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["ecg.png"]


def test_no_global_state_of_pyplot_is_touched():
    import sys

    before = "matplotlib.pyplot" in sys.modules
    draw(np.zeros((1, 1000)))
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"one of the 2 names for each lead, not \(3, 1000\)"):
        draw_ecg(np.zeros((3, 1000)), 100, ("I", "II"), io.BytesIO())
    with pytest.raises(ValueError, match="not \\(1, 0\\)"):
        draw_ecg(np.zeros((1, 0)), 100, ("I",), io.BytesIO())
    with pytest.raises(ValueError, match="sampling rate must be positive, not 0"):
        draw_ecg(np.zeros((1, 1000)), 0, ("I",), io.BytesIO())


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    whole_import = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return whole_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r"merit-ecg\[plot\]"):
        draw_ecg(np.zeros((1, 1000)), 100, ("I",), io.BytesIO())
