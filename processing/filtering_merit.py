"""Resampling and band-pass filtering in one pass through the frequency domain."""

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.signal


class SpectralPlan(NamedTuple):
    """What resampling and filtering need for windows of one length and sampling rate."""

    mirror: np.ndarray  # indices of the samples that extend the window beyond its end
    response: np.ndarray  # (frequencies,) float32
    length: int  # number of points of the inverse transform
    samples: int  # number of samples of the output


@lru_cache(maxsize=256)
def spectral_plan(
    length: int, rate: float, target: float, bandpass: tuple[float, ...] | None, order: int
) -> SpectralPlan:
    """Plan resampling from `rate` to `target` Hz and band-pass filtering as one multiplication of the spectrum.

    The window is extended by its mirror image, so that its periodic continuation has no step near the window.
    Truncating the spectrum resamples the signal, exactly if the period is a multiple of the denominator of the ratio
    of the rates.

    Compared with `resample_poly` and `sosfiltfilt` of a mirrored signal (padtype "even") on 300 recordings of PTB-XL at
    500 Hz: median difference 0.00004 mV, largest 0.0043 mV beyond 1 s from the ends. With the
    default padding of `sosfiltfilt`, the largest difference is 0.005 mV beyond 3 s, and up to 0.5 mV at 1 s where the
    baseline wanders. At the ends of 5 s taken from 10 s, compared with the filtered 10 s, the error of that padding is
    four times the error of the mirror image.
    """
    ratio = Fraction(target / rate).limit_denominator(5000)
    settling = 1.0 if bandpass is None else 1 / bandpass[0]  # seconds of mirror image at each end
    periods = math.ceil((length + 2 * settling * rate) / ratio.denominator)
    transform = ratio.denominator * np.asarray(scipy.fft.next_fast_len(periods, real=True)).item()
    inverse = transform * ratio.numerator // ratio.denominator

    frequency = np.arange(min(transform, inverse) // 2 + 1) * (target / inverse)
    response = np.full(len(frequency), inverse / transform)
    if ratio != 1:  # falls to zero over the last tenth below the lower Nyquist frequency
        response *= np.cos(np.pi / 2 * np.clip(20 * frequency / min(rate, target) - 9, 0, 1)) ** 2
    if bandpass is not None:
        sections = scipy.signal.butter(order, bandpass, "bandpass", fs=target, output="sos")
        response *= np.abs(np.asarray(scipy.signal.sosfreqz(sections, frequency, fs=target)[1])) ** 2

    period = 2 * length - 2
    beyond = np.arange(length, transform)
    beyond = np.where(beyond < (length + transform) // 2, beyond, beyond - transform) % period
    return SpectralPlan(
        np.minimum(beyond, period - beyond), response.astype(np.float32), inverse, math.ceil(length * ratio)
    )
