"""From the heart's dipole to the leads: the potentials of the electrodes, their noise, and the leads between them.

- The limb electrodes are the corners of Einthoven's equilateral triangle: lead I measures the component of the dipole
  to the left with gain one, and the frontal axis is `atan2(2 * aVF, sqrt(3) * I)`.
- A chest electrode at position r measures `p . r / |r|^3` of the dipole p (Malmivuo and Plonsey, Bioelectromagnetism,
  1995, chapter 8), scaled to match the limb leads.
- Noise is added to the nine electrodes before the leads are computed, so Einthoven's and Goldberger's laws hold for the
  noise too.

Axes: x points to the patient's left, y to the feet, z to the front. Potentials are in millivolts.
"""

import math

import numpy as np
from scipy.ndimage import gaussian_filter1d

__all__ = ["ELECTRODE_NAMES", "electrode_noise", "leads_from_electrodes", "sample_contact", "sample_electrode_field"]

ELECTRODE_NAMES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
# Positions of the chest electrodes of an adult, in centimetres from the electrical centre of the heart.
_CHEST_POSITIONS = np.array(
    [[-5.5, 0.5, 9.6], [0.3, 0.8, 8.2], [4.2, 2.2, 7.3], [7.9, 3.6, 4.8], [10.2, 3.4, 0.9], [11.4, 3.2, -2.9]]
)
# Distance in centimetres at which a chest electrode measures the dipole with the gain of lead I.
_UNIT_DISTANCE = 13.5
# Relative muscle noise: the arms and legs are rarely as still as the chest.
_RELATIVE_MUSCLE_NOISE = np.array([1.0, 1.0, 0.8, *[0.6] * 6])


def leads_from_electrodes(potentials: np.ndarray) -> np.ndarray:
    """Return the twelve standard leads (12, ...) from the potentials (9, ...) of RA, LA, LL and V1 to V6.

    Bipolar limb leads after Einthoven, augmented leads after Goldberger, chest leads against Wilson's central terminal.
    """
    right_arm, left_arm, left_leg = potentials[:3]
    return np.stack(
        [
            left_arm - right_arm,
            left_leg - right_arm,
            left_leg - left_arm,
            right_arm - (left_arm + left_leg) / 2,
            left_arm - (right_arm + left_leg) / 2,
            left_leg - (right_arm + left_arm) / 2,
            *(potentials[3:] - (right_arm + left_arm + left_leg) / 3),
        ]
    )


def sample_electrode_field(rng: np.random.Generator) -> np.ndarray:
    """Draw the potential (9, 3) of each electrode for a unit dipole along x, y and z.

    The positions of chest electrodes vary by about a centimetre, and so does the position of the heart.
    """
    limbs = np.array([[-math.sqrt(3) / 2, -0.5, 0], [math.sqrt(3) / 2, -0.5, 0], [0, 1, 0]]) / math.sqrt(3)
    heart = rng.normal(0, [0.5, 0.8, 0.3])
    positions = _CHEST_POSITIONS * rng.normal(1, 0.05) + rng.normal(0, 0.5, (6, 3)) - heart
    distance = np.linalg.norm(positions, axis=1, keepdims=True)
    return np.concatenate([limbs, _UNIT_DISTANCE**2 * positions / distance**3])


def sample_contact(rng: np.random.Generator) -> np.ndarray:
    """Draw the noise factor (9,) of each electrode; one recording in twelve has an electrode with poor contact."""
    contact = np.ones(9)
    if rng.random() < 1 / 12:
        contact[rng.integers(9)] = rng.uniform(2, 5)
    return contact


def electrode_noise(
    time: np.ndarray,
    sampling_rate: float,
    breathing: np.ndarray,
    *,
    wander: float,
    muscle: float,
    mains: float,
    contact: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return noise potentials (9, samples): baseline wander, muscle noise and mains hum, scaled by electrode contact.

    Args:
        time: seconds (samples,).
        sampling_rate: in Hz.
        breathing: respiration (samples,) from -1 to 1; part of the baseline wander follows it.
        wander: standard deviation of the baseline wander in mV.
        muscle: standard deviation of the muscle noise in mV at 100 Hz.
        mains: amplitude of the 50 Hz hum in mV; absent at sampling rates up to 100 Hz.
        contact: noise factor (9,) of each electrode.
        rng: random generator.
    """
    frequency = rng.uniform(0.04, 0.4, (9, 3))
    phase = rng.uniform(0, 2 * np.pi, (9, 3))
    drift = np.sin(2 * np.pi * frequency[:, :, None] * time + phase[:, :, None]).sum(axis=1)
    noise = wander * (0.55 * drift + 0.5 * rng.standard_normal((9, 1)) * breathing)
    # White noise up to about 60 Hz, falling off above.
    white = math.sqrt(sampling_rate / 100) * rng.standard_normal((9, len(time)))
    noise += muscle * _RELATIVE_MUSCLE_NOISE[:, None] * gaussian_filter1d(white, 0.002 * sampling_rate, axis=1)
    if sampling_rate > 2 * 50:
        gain = mains * rng.standard_normal((9, 1))
        noise += gain * np.sin(2 * np.pi * 50 * time + rng.uniform(0, 2 * np.pi))
    return noise * contact[:, None]
