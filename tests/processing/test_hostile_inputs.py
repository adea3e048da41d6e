"""Invalid inputs of every kind, made from a seed: each is a documented error or gives a documented output."""

import array
import warnings
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from merit.processing.feature_extraction_merit import MeritFeatureExtractor
from merit.processing.recordings_merit import EcgError, Recording

CASES = 1000
NESTED = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
RATES = (100, 250, 500.0, np.float32(250), np.array(100), torch.tensor(250.0))
BAD_RATES = (
    *(0, -1, float("nan"), float("inf"), 1e-300, 1e300, 10**400, -(10**400), 49.9, 2001, True, None, 1 + 2j),
    *("100", "x", b"100", [100], [100, 250], (), {}, {100}, object(), Decimal("1e999"), np.array([100, 250])),
    *(
        np.datetime64("2020"),
        np.array(["100"]),
        torch.empty(1, device="meta"),
        torch.tensor([1.0, 2.0]),
        NESTED,
        range(3),
    ),
)
LEADS = (["I", "II"], ("V1", "V2"), np.array(["I", "aVF"]), ["lead II", "MLII"], pd.Series(["I", "II"]))
BAD_LEADS = (
    *(None, 5, "I", "", b"I", [], ["I"], ["I", "I"], ["I", "i"], ["I", 5], ["I", None], ["I", ""], ["I", "\ud800"]),
    *({"I", "II"}, {"I": 1}, ["I\0", "II"], [["I"], ["II"]], [["I", "II"]], iter(["I", "II"]), object(), np.array(5)),
    *(["EMG", "RESP"], ["I"] * 300, ["x" * 10_000, "II"], np.array([1.5, 2.5]), torch.zeros(2), NESTED, ["I", b"II"]),
)
UNITS = ("mV", "uV", "µV", "V", ["mV", "uV"], ("mV", "mV"))
BAD_UNITS = (
    *(None, 1, [1], "", "kg", b"mV", ["mV"], ["mV"] * 3, {"mV"}, {}, object(), ["mV", None], "\ud800", float("nan")),
    *([["mV", "mV"]], np.array(["mV", "kg"]), np.array("mV"), torch.zeros(2), NESTED, "m" * 10_000),
)
TYPES = ("f8", "f4", "f2", "i2", "i1", "u1", "u8", "i8", "?", "c16", "O", "U8", "M8[s]", "S4")
SHAPES = ("2,n", "n,2", "n", "2,0", "0,n", "1,2,n", "2,2,2,n", "", "3,n", "1,n", "2,1")
FILLS = (0.0, 1e308, -1e308, float("nan"), float("inf"), 1e-320, 32767.0, -32768.0, 1000.0)


def one_of(rng, values):
    return values[rng.integers(len(values))]


def signal(rng):
    """An array in millivolts, of any type, shape and content; usually a usable one."""
    samples = int(one_of(rng, (0, 1, 2, 249, 250, 1000, 1000, 1000, 2600)))
    shape = one_of(rng, SHAPES) if rng.random() < 0.3 else SHAPES[0]
    shape = tuple(int(size) for size in shape.replace("n", str(samples)).split(",") if size)
    values = rng.normal(size=shape) * one_of(rng, (1.0, 1.0, 100.0))
    if rng.random() < 0.4 and values.size:
        where = rng.random(shape) < one_of(rng, (0.01, 0.5, 1.0))
        values = np.where(where, one_of(rng, FILLS), values)
    kind = one_of(rng, TYPES) if rng.random() < 0.4 else "f8"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return np.asarray(values).astype(kind, casting="unsafe") if kind != "M8[s]" else np.zeros(shape, kind)


def tensor(rng):
    values = torch.from_numpy(rng.normal(size=(2, 1000)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return one_of(
            rng,
            (
                lambda: values,
                lambda: values.bfloat16(),
                lambda: values.half().requires_grad_(),
                lambda: values.to(torch.complex64),
                lambda: values > 0,
                lambda: values.to_sparse(),
                lambda: values.to_sparse_csr(),
                lambda: values.to("meta"),
                lambda: torch.quantize_per_tensor(values.float(), 0.1, 0, torch.qint8),
                lambda: torch.nested.nested_tensor([values[0], values[1, :500]]),
                lambda: torch.nested.nested_tensor([values[0], values[1, :500]], layout=torch.jagged),
                lambda: torch.nested.nested_tensor([values, values]),
                lambda: [values[0], values[1, :500]],
                lambda: [torch.nested.nested_tensor([values, values]), values],
                lambda: values.to("meta")[None],
            ),
        )()


def row(rng, values):
    """A mapping with digital samples, of which one entry is often wrong."""
    made = {"signal": values, "sampling_rate": one_of(rng, RATES), "lead_names": one_of(rng, LEADS), "units": "mV"}
    if rng.random() < 0.5:
        made |= {"signal": rng.integers(-900, 900, (2, 1000)), "gain": 200.0, "baseline": [0, 3]}
    key = one_of(rng, ("signal", "sampling_rate", "lead_names", "units", "gain", "baseline", "record_id", 5))
    if rng.random() < 0.7:
        gains = (
            0,
            -1,
            1e-300,
            1e300,
            float("nan"),
            "1000",
            [1],
            [1, 2, 3],
            [[1, 2]],
            10**400,
            {},
            None,
            1j,
            "",
            NESTED,
        )
        pools = {"sampling_rate": BAD_RATES, "lead_names": BAD_LEADS, "units": BAD_UNITS}
        made[key] = one_of(rng, pools.get(key, gains))
    if rng.random() < 0.1:
        made.pop(key, None)
    return made


def container(rng, folder):
    """A recording, or something in its place."""
    values = signal(rng)
    good = rng.normal(size=(2, 1000))
    fields = row(rng, values)
    return one_of(
        rng,
        (
            lambda: values,
            lambda: values,
            lambda: values.tolist(),
            lambda: [values, good],
            lambda: [good, one_of(rng, (None, 5, "missing", [], {}, good[0], good[:, :0], [good]))],
            lambda: np.ma.masked_array(good, rng.random(good.shape) < one_of(rng, (0, 0.01, 1))),
            lambda: np.ma.masked_all((2, 1000)),
            lambda: [np.ma.masked_array(good[0], good[0] > 3), good[1, :500]],
            lambda: tensor(rng),
            lambda: fields,
            lambda: [fields, fields],
            lambda: SimpleNamespace(sig_name=["I", "II"], fs=fields.get("sampling_rate"), units=fields.get("units")),
            lambda: (
                values.T if values.ndim == 2 else values,
                {"sig_name": ["I", "II"], "fs": 250, "units": ["mV"] * 2},
            ),
            lambda: (good.T, {"sig_name": one_of(rng, BAD_LEADS), "fs": one_of(rng, BAD_RATES)}),
            lambda: pd.DataFrame(good.T, columns=one_of(rng, (["I", "II"], ["I", "I"], [1, 2], ["a", "b"]))),
            lambda: pd.DataFrame({"I": ["x"] * 300, "II": [1.0] * 300}),
            lambda: Recording("r", values, one_of(rng, BAD_RATES), one_of(rng, BAD_LEADS), one_of(rng, BAD_UNITS)),
            lambda: Recording("r", values, 250, ("I", "II"), ("mV", "mV"), np.array([200.0, 0.0]), np.array([0])),
            lambda: one_of(
                rng, ("", "\0", "x" * 300, "a/" * 3000, b"bytes", Path(), folder, str(folder), "r.dat", "é")
            ),
            lambda: one_of(
                rng, (folder / "folder.dat", f"{folder}/folder.csv", "missing.npy", "\ud800.hea", "x.csv\0")
            ),
            lambda: one_of(rng, (None, 5, 1.5, True, object(), range(10), iter([good]), {1, 2}, {}, [], (), Ellipsis)),
            lambda: one_of(
                rng, (array.array("d", [1, 2]), memoryview(b"abc"), bytearray(9), np.void(b"abc"), type, len)
            ),
        ),
    )()


def check_output(features):
    values, leads, samples = (np.asarray(features[name]) for name in ("ecg_values", "lead_mask", "sample_mask"))
    assert values.dtype == np.float32
    assert leads.dtype == samples.dtype == bool
    assert values.ndim == 3
    assert values.shape[1] == 12
    assert leads.shape == values.shape[:2]
    assert samples.shape == (values.shape[0], values.shape[2])
    assert np.isfinite(values).all()
    assert leads.any(1).all()
    assert samples.any(1).all()
    assert not values[~leads].any()
    assert not values.transpose(0, 2, 1)[~samples].any()
    assert (np.diff(samples.astype(np.int8), axis=1) <= 0).all()  # signal first, then padding


def failure(case, folder):
    """What is wrong with the answer to a case, or None."""
    rng = np.random.default_rng([*b"hostile", case])
    arguments = {
        "sampling_rate": one_of(rng, BAD_RATES if rng.random() < 0.15 else RATES),
        "leads": one_of(rng, BAD_LEADS if rng.random() < 0.15 else LEADS),
        "units": one_of(rng, BAD_UNITS if rng.random() < 0.15 else UNITS),
        "padding": one_of(rng, (True, "longest", "max_length", 5, "x", None, [])) if rng.random() < 0.1 else True,
        "return_tensors": one_of(rng, ("pt", "np", "tf", 5, [])) if rng.random() < 0.1 else None,
    }
    recording = container(rng, folder)
    if rng.random() < 0.3:
        arguments |= dict.fromkeys(("sampling_rate", "leads", "units"))
    settings = one_of(rng, ({}, {}, {"long_recordings": "window"}, {"long_recordings": "keep", "bandpass": None}))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_output(MeritFeatureExtractor(**settings)(recording, **arguments))
    except Exception as error:
        if type(error) not in (EcgError, ValueError) or not str(error):
            return f"case {case}: {type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 20))])
def test_an_invalid_input_is_a_documented_error_or_gives_a_valid_output(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.dat").mkdir()
    (tmp_path / "folder.csv").mkdir()
    failures = [failure(case, tmp_path) for case in range(part * CASES, (part + 1) * CASES)]
    assert not [one for one in failures if one]
