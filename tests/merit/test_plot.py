"""The drawing is to scale, holds what it is given, and is written whole or not at all."""

import builtins
import io
import struct

import numpy as np
import pytest

from merit import EcgAnswer, Explanation, MeritFeatureExtractor
from merit.plot import MM_PER_MILLIVOLT, MM_PER_SECOND, as_recorded, draw_ecg, draw_recording, ecg_figure
from merit.training.simulation.heart import simulate_ecg
from merit.training.simulation.parameters import sample_parameters

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
    dark = ink(pixels)[: -round(18 * per_mm)]
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
    dark = ink(pixels)[: -round(18 * per_mm), round(10 * per_mm) : round(19 * per_mm)]
    rows = np.flatnonzero(dark.any(axis=1))
    assert (rows[-1] - rows[0]) / per_mm == pytest.approx(10, abs=0.3)
    columns = np.flatnonzero(dark[rows[0] + 3])
    assert (columns[-1] - columns[0]) / per_mm == pytest.approx(5, abs=0.3)


def test_paper_has_a_fine_line_each_millimetre_and_a_bold_one_each_five():
    pixels, per_mm = draw(np.zeros((1, 1000)), dpi=254)
    row = pixels[round(2.5 * per_mm), :, 1]
    lines = [row[round(mm * per_mm) - 2 : round(mm * per_mm) + 3].min() for mm in range(200, 221)]
    beside_lines = [row[round((mm + 0.5) * per_mm)] for mm in range(200, 221)]
    assert max(lines) < min(beside_lines)
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
    dark = ink(pixels)[: -round(18 * per_mm)]
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


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def lead_places(figure) -> list[tuple[str, float]]:
    """Names of leads and where they stand from the left, row by row."""
    found = [text for text in figure.axes[0].texts if str(text.get_gid()).startswith("lead-")]
    found.sort(key=lambda text: (-round(text.get_position()[1]), text.get_position()[0]))
    return [(text.get_gid().removeprefix("lead-"), text.get_position()[0]) for text in found]


def test_the_usual_layout_has_three_rows_of_four_leads_and_a_rhythm_strip():
    figure = ecg_figure(np.zeros((12, 5000)), 500, LEADS)
    names = [name for name, _ in lead_places(figure)]
    rows = ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6"]
    assert names == [*rows, "II"]
    left = [place for _, place in lead_places(figure)[:4]]
    assert np.diff(left) == pytest.approx([62.5] * 3)  # 2.5 s each


@pytest.mark.parametrize(("layout", "rows", "leads"), [("6x2", 7, 13), ("12x1", 12, 12)])
def test_other_layouts_can_be_chosen(layout, rows, leads):
    figure = ecg_figure(np.zeros((12, 5000)), 500, LEADS, layout=layout)
    assert len(lead_places(figure)) == leads
    assert len({text.get_position()[1] for text in figure.axes[0].texts if text.get_gid()}) == rows
    without = ecg_figure(np.zeros((12, 5000)), 500, LEADS, layout="6x2", rhythm_lead=None)
    assert len(lead_places(without)) == 12


def test_columns_follow_each_other_in_time():
    signal = np.zeros((12, 5000))
    signal[:, 3000] = 1.0  # at 6 s, in the third column
    figure = ecg_figure(signal, 500, LEADS, rhythm_lead=None)
    high = [line for line in figure.axes[0].lines if len(line.get_ydata()) == 1250 and np.ptp(line.get_ydata()) > 5]
    assert len(high) == 3
    assert {round(line.get_xdata()[line.get_ydata().argmax()]) for line in high} == {20 + 6 * 25}


def test_absent_leads_are_named_and_derived_ones_marked():
    leads = ("I", "II", "III", "V1", "V2", "V3", "V4")
    words = texts(ecg_figure(np.zeros((7, 5000)), 500, leads, derived=["III"]))
    assert "III (derived)" in words
    assert words.count("not recorded") == 5
    assert "Derived from other limb leads: III" in words


def test_the_part_of_a_long_recording_is_stated_with_its_reason():
    signal = np.zeros((12, 30 * 100))
    assert "Drawn: 10.0 to 20.0 s of 30.0 s, the middle" in texts(ecg_figure(signal, 100, LEADS))
    words = texts(ecg_figure(signal, 100, LEADS, start=2))
    assert "Drawn: 2.0 to 12.0 s of 30.0 s, as chosen" in words
    assert "2 s" in words
    assert "12 s" in words
    explained = texts(ecg_figure(signal, 100, LEADS, explanation=explanation(start=20.0)))
    assert "Drawn: 20.0 to 30.0 s of 30.0 s, where the log-odds of PVC are highest" in explained
    with pytest.raises(ValueError, match="start must be from 0 to below 30 s"):
        ecg_figure(signal, 100, LEADS, start=30)


@pytest.mark.parametrize(("speed", "gain"), [(50, 10), (25, 20)])
def test_speed_and_gain_can_be_chosen(speed, gain):
    figure = ecg_figure(flat_with_spikes(), 100, ("II",), speed=speed, gain=gain)
    curve = max(figure.axes[0].lines, key=lambda line: len(line.get_xdata()))
    assert np.ptp(curve.get_xdata()) == pytest.approx(9.99 * speed)
    assert np.ptp(curve.get_ydata()) == pytest.approx(gain)
    assert f"{speed} mm/s   {gain} mm/mV" in texts(figure)


def explanation(start: float = 0.0) -> Explanation:
    """One in which the second half of V1 speaks for PVC."""
    leads = [float(lead == "V1") for lead in LEADS]
    cells = [[0.0, lead] for lead in leads]
    return Explanation("PVC", "occlusion", 1.5, list(LEADS), leads, [start, start + 5, start + 10], [0.0, 1.0], cells)


def test_an_explanation_is_shaded_where_it_lies_with_a_bar_for_its_lead():
    figure = ecg_figure(np.zeros((12, 1000)), 100, LEADS, layout="12x1", explanation=explanation())
    shaded = [patch.get_path().get_extents() for patch in figure.axes[0].patches if not hasattr(patch, "get_width")]
    strong = [box for box, patch in zip(shaded, figure.axes[0].patches) if patch.get_alpha()]
    assert len(strong) == 1
    assert (strong[0].x0, strong[0].x1) == pytest.approx((20 + 125, 20 + 250))
    [v1] = [text for text in figure.axes[0].texts if text.get_gid() == "lead-V1"]
    bars = [patch for patch in figure.axes[0].patches if hasattr(patch, "get_width") and patch.get_width() > 1]
    assert len(bars) == 1
    assert abs(bars[0].get_y() - v1.get_position()[1]) < 6
    words = " ".join(texts(figure))
    assert "no evidence" in words
    assert "log-odds of PVC (+1.50), by occlusion" in words


def test_what_a_score_rests_on_is_written_beside_it():
    answer = [{"label": "normal ecg", "score": 0.8, "basis": "text prompts"}]
    assert "text prompts" in texts(ecg_figure(np.zeros((1, 1000)), 100, ("I",), answer=answer))
    answer[0] |= {"present": True, "sensitivity": 0.9, "specificity": 0.75}
    written = "text prompts, present (sensitivity 0.90, specificity 0.75)"
    assert written in texts(ecg_figure(np.zeros((1, 1000)), 100, ("I",), answer=answer))


def test_what_speaks_against_an_answer_stands_in_its_picture():
    reasons = [{"code": "noise", "message": "it is noise"}]
    answer = EcgAnswer([{"label": "AF", "score": 0.8}], quality={"reasons": reasons}, caution="labels compete")
    written = texts(ecg_figure(np.zeros((1, 1000)), 100, ("I",), answer=answer))
    assert "Do not rely on this answer: it is noise." in written
    assert "Do not rely on this answer: labels compete." in written
    assert not [text for text in written if "=True" in text]


@pytest.mark.parametrize(("format", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_files_and_paths_can_be_png_pdf_and_svg(format, start, tmp_path):
    file = io.BytesIO()
    draw_ecg(np.zeros((1, 1000)), 100, ("I",), file, format=format)
    draw_ecg(np.zeros((1, 1000)), 100, ("I",), tmp_path / f"ecg.{format}")
    assert file.getvalue().startswith(start)
    assert (tmp_path / f"ecg.{format}").read_bytes().startswith(start)


def test_a_recording_is_drawn_unfiltered_with_its_heart_rate_and_derived_leads():
    rng = np.random.default_rng(0)
    signal = simulate_ecg(sample_parameters(rng, ("NORM",)), 30.0, 500, rng=rng).signal[[0, 1, *range(6, 12)]]
    recording = {"signal": signal, "sampling_rate": 500, "leads": ["I", "II", *LEADS[6:]], "units": "mV"}
    drawn, rate, leads, derived = as_recorded(recording, MeritFeatureExtractor())
    assert (rate, tuple(leads), derived) == (500, LEADS, ["III", "aVR", "aVL", "aVF"])
    np.testing.assert_allclose(drawn[[0, 1, *range(6, 12)]], signal, atol=1e-3)
    file = io.BytesIO()
    draw_recording(recording, file, MeritFeatureExtractor(), options={"format": "svg"})
    assert file.getvalue().startswith(b"<?xml")


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="layout must be one of 3x4, 6x2, 12x1, not '4x3'"):
        ecg_figure(np.zeros((12, 1000)), 100, LEADS, layout="4x3")
