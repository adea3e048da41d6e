"""The waves of one heartbeat as sums of Gaussian components of the heart's dipole.

McSharry, Clifford, Tarassenko and Smith (IEEE Trans. Biomed. Eng. 50, 2003) model one lead as a sum of Gaussians. Here
the components are vectors, and the leads follow from the positions of the electrodes, see `electrodes`.

Waves are arrays of shape (components, 7). The columns are the time of the peak, the width before and after the peak,
the flatness, and the vector x, y, z. With u the distance from the peak in widths, a component is
exp(-(u^2)^flatness / 2): a Gaussian for flatness 1, a plateau for flatness 2. Times are in seconds and vectors in
millivolts of the limb leads.
"""

import math
from dataclasses import dataclass

import numpy as np

from ...processing.leads_merit import STANDARD_LEADS
from .electrodes import leads_from_electrodes

__all__ = [
    "INFARCTION_EFFECTS",
    "WIDTHS_TO_END",
    "InfarctionEffect",
    "evaluate_waves",
    "frontal_axis",
    "max_limb_voltage",
    "net_area",
    "pacing_spike",
    "peak_time",
    "qrs_in_leads",
    "repolarisation_waves",
    "rotate_frontal",
    "sokolow_lyon_index",
]

# A component visibly begins and ends this many widths from its peak.
WIDTHS_TO_END = 2.4
# QRS templates: times and widths are fractions of the QRS duration.
# Normal: activation of the septum to the right and front, then of the apex, the free wall, and last the base.
NORMAL_QRS = np.array(
    [
        [0.22, 0.080, 0.080, 1, -0.11, -0.04, 0.20],
        [0.42, 0.095, 0.095, 1, 0.66, 0.62, -0.02],
        [0.58, 0.095, 0.095, 1, 0.28, 0.14, -0.54],
        [0.81, 0.070, 0.075, 1, -0.10, -0.12, -0.17],
    ]
)
# Left bundle branch block: the septum from right to left (no q in I and V6), then slowly and in two steps to the left.
LBBB_QRS = np.array(
    [
        [0.14, 0.055, 0.060, 1, 0.12, 0.06, 0.13],
        [0.37, 0.110, 0.120, 1, 0.58, 0.21, -0.80],
        [0.64, 0.130, 0.110, 1, 0.62, 0.11, -0.90],
        [0.85, 0.070, 0.065, 1, 0.14, 0.02, -0.22],
    ]
)
# Left anterior fascicular block: down and to the right (r in II, III, aVF; q in aVL), then up and to the left.
LAFB_QRS = np.array(
    [
        [0.20, 0.070, 0.070, 1, -0.16, 0.30, 0.17],
        [0.46, 0.095, 0.095, 1, 0.66, -0.30, 0.02],
        [0.64, 0.095, 0.095, 1, 0.32, -0.66, -0.40],
        [0.84, 0.070, 0.070, 1, -0.06, -0.24, -0.16],
    ]
)
# Right ventricular hypertrophy: the main vector points to the right and front.
RVH_QRS = np.array(
    [
        [0.19, 0.065, 0.065, 1, 0.10, -0.06, 0.05],
        [0.44, 0.100, 0.100, 1, -0.14, 0.52, 0.40],
        [0.64, 0.095, 0.095, 1, -0.60, 0.45, 0.14],
        [0.83, 0.070, 0.070, 1, -0.26, -0.14, -0.10],
    ]
)
# Paced from the apex of the right ventricle: like left bundle branch block, but pointing away from the feet.
PACED_QRS = np.array(
    [
        [0.22, 0.090, 0.100, 1, 0.10, -0.30, -0.14],
        [0.46, 0.120, 0.120, 1, 0.32, -0.85, -0.62],
        [0.72, 0.120, 0.100, 1, 0.24, -0.62, -0.56],
    ]
)
# Premature ventricular beats from the right and from the left ventricle.
RIGHT_PVC_QRS = np.array(
    [[0.36, 0.130, 0.130, 1, 0.70, 0.75, -0.42], [0.64, 0.130, 0.130, 1, 0.62, 0.62, -0.60]],
)
LEFT_PVC_QRS = np.array(
    [[0.36, 0.130, 0.130, 1, -0.45, -0.60, 0.72], [0.64, 0.130, 0.130, 1, -0.62, -0.55, 0.58]],
)


@dataclass(frozen=True)
class InfarctionEffect:
    """How an infarction changes a beat; vectors x, y, z in mV except for `qrs_scale`."""

    qrs_scale: tuple[float, float, float]
    """Factor on the QRS vector in each direction."""
    early_qrs: tuple[float, float, float]
    """Early QRS vector, which points away from the infarcted wall."""
    acute_st: tuple[float, float, float]
    acute_t: tuple[float, float, float]
    old_st: tuple[float, float, float]
    old_t: tuple[float, float, float]


INFARCTION_EFFECTS = {
    "IMI": InfarctionEffect(
        qrs_scale=(1.0, 0.45, 1.0),
        early_qrs=(0.03, -0.40, 0.0),
        acute_st=(-0.06, 0.20, 0.0),
        acute_t=(-0.10, 0.15, 0.0),
        old_st=(0.0, 0.015, 0.0),
        old_t=(0.0, -0.30, 0.0),
    ),
    "AMI": InfarctionEffect(
        qrs_scale=(0.85, 1.0, 0.9),
        early_qrs=(0.0, 0.0, -0.12),
        acute_st=(0.04, -0.01, 0.12),
        acute_t=(-0.02, -0.03, 0.16),
        old_st=(0.0, 0.0, 0.015),
        old_t=(-0.09, -0.02, -0.25),
    ),
    "LMI": InfarctionEffect(
        qrs_scale=(0.90, 1.0, 1.0),
        early_qrs=(-0.29, -0.02, 0.0),
        acute_st=(0.13, -0.05, 0.02),
        acute_t=(0.08, -0.10, 0.0),
        old_st=(0.01, 0.0, 0.0),
        old_t=(-0.33, 0.0, 0.0),
    ),
}


def evaluate_waves(waves: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the dipole (3, samples) of the waves at these times."""
    distance = time - waves[:, :1]
    distance /= np.where(distance < 0, waves[:, 1:2], waves[:, 2:3])
    return waves[:, 4:].T @ np.exp(-0.5 * (distance * distance) ** waves[:, 3:4])


def net_area(waves: np.ndarray) -> np.ndarray:
    """Return the integral over time (3,) of Gaussian components, in mV s."""
    return math.sqrt(math.pi / 2) * (waves[:, 1] + waves[:, 2]) @ waves[:, 4:]


def frontal_axis(vector: np.ndarray) -> float:
    """Return the frontal axis in degrees: 0 to the left, 90 to the feet."""
    return math.degrees(math.atan2(vector[1], vector[0]))


def rotate_frontal(waves: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate waves in the frontal plane, from the left towards the feet."""
    angle = math.radians(degrees)
    rotated = waves.copy()
    rotated[:, 4] = math.cos(angle) * waves[:, 4] - math.sin(angle) * waves[:, 5]
    rotated[:, 5] = math.sin(angle) * waves[:, 4] + math.cos(angle) * waves[:, 5]
    return rotated


def peak_time(waves: np.ndarray) -> float:
    """Return the time from the onset at which the dipole is strongest."""
    time = np.arange(0, 0.2, 0.001)
    return float(time[np.linalg.norm(evaluate_waves(waves, time), axis=0).argmax()])


def repolarisation_waves(st: np.ndarray, t: np.ndarray, qrs_duration: float, qt: float) -> np.ndarray:
    """Return the ST segment, a plateau from QRS to the peak of T, and the T wave, which falls faster than it rises.

    Args:
        st: vector (3,) of the ST segment.
        t: vector (3,) at the peak of T.
        qrs_duration: seconds.
        qt: QT interval in seconds.
    """
    before, after = 0.150 * (qt - 0.5 * qrs_duration), 0.100 * (qt - 0.5 * qrs_duration)
    t_peak = qt - WIDTHS_TO_END * after
    # A component of flatness 2 has fallen to half its height at 1.085 widths.
    shoulder = qrs_duration + 0.03
    plateau = [shoulder, 0.03 / 1.085, (t_peak - shoulder) / 1.085, 2, *st]
    return np.array([plateau, [t_peak, before, after, 1, *t]])


def pacing_spike(sampling_rate: float) -> np.ndarray:
    """Return the pacing spike as a recorder of this sampling rate shows it: wider and lower than half a millisecond."""
    width = max(0.001, 0.6 / sampling_rate)
    height = 2.5 * 0.001 / width + 0.25
    return np.array([[-0.01, width, width, 1, *(height * np.array([0.35, -0.85, -0.4]))]])


def qrs_in_leads(qrs_waves: np.ndarray, electrode_field: np.ndarray) -> np.ndarray:
    """Return the noiseless QRS complex (12, samples) at 1000 Hz."""
    return leads_from_electrodes(electrode_field @ evaluate_waves(qrs_waves, np.arange(-0.02, 0.22, 0.001)))


def sokolow_lyon_index(qrs: np.ndarray) -> float:
    """Return the index of Sokolow and Lyon (1949) in mV of QRS in leads: S in V1 plus the greater R of V5 and V6."""
    v1, v5, v6 = (qrs[STANDARD_LEADS.index(name)] for name in ("V1", "V5", "V6"))
    return float(max(v5.max(), v6.max()) - v1.min())


def max_limb_voltage(qrs: np.ndarray) -> float:
    """Return the largest peak-to-peak height in mV of QRS in a limb lead; below 0.5 is low voltage."""
    return float(np.ptp(qrs[:6], axis=1).max())
