"""Parameters of a simulated patient, drawn at random: heart, conduction, electrodes and noise."""

import math
from dataclasses import dataclass

import numpy as np

from ...processing.leads_merit import STANDARD_LEADS
from .electrodes import leads_from_electrodes, sample_contact, sample_electrode_field
from .statements import complete_statements, sample_statements
from .waves import (
    INFARCTION_EFFECTS,
    LAFB_QRS,
    LBBB_QRS,
    LEFT_PVC_QRS,
    NORMAL_QRS,
    PACED_QRS,
    RIGHT_PVC_QRS,
    RVH_QRS,
    WIDTHS_TO_END,
    InfarctionEffect,
    frontal_axis,
    max_limb_voltage,
    net_area,
    qrs_in_leads,
    repolarisation_waves,
    rotate_frontal,
    sokolow_lyon_index,
)

__all__ = ["EcgParameters", "sample_parameters"]

# Leads in which a negative T wave is never normal.
_T_LEADS = ("I", "II", "aVL", "aVF", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True)
class EcgParameters:
    """Everything that determines a simulated ECG except the variation from beat to beat and the noise.

    Times are in seconds, potentials in millivolts, rates per minute, angles in degrees. Waves are arrays of shape
    (components, 7), see `waves`; the time of P waves is relative to the onset of P, that of all others to the onset of
    QRS.
    """

    statements: tuple[str, ...]
    """SCP-ECG codes of the visible statements: exactly one rhythm, findings, and NORM if nothing is abnormal."""
    heart_rate: float
    """Mean ventricular rate without ectopic beats."""
    p_duration: float
    """From the onset of P to its end."""
    pr: float
    """From the onset of P to the onset of QRS; NaN without P waves."""
    qrs_duration: float
    qt: float
    qrs_axis: float
    """Frontal axis of the net area of QRS, from -180 to 180, 0 to the left and 90 to the feet."""
    rr_variation: float
    """Relative variation of the RR interval: respiratory in sinus rhythm, from beat to beat in fibrillation."""
    atrial_rate: float
    """Rate of flutter or fibrillatory waves; NaN without."""
    atrial_vector: np.ndarray
    """Amplitude and direction (3,) of flutter or fibrillatory waves; zero without."""
    conduction_ratio: int
    """Flutter waves per conducted beat; 1 without flutter."""
    st_v5: float
    """Level of the ST segment in V5."""
    acute: bool
    """Whether an infarction is acute (with ST elevation) rather than old."""
    strain: bool
    """Whether hypertrophy comes with ST depression and T inversion."""
    negative_t: tuple[str, ...]
    """Leads with a negative T wave, without aVR, III and V1, where it may be normal."""
    depressed_st: tuple[str, ...]
    """Leads with an ST segment below -0.05 mV, without aVR."""
    p_waves: np.ndarray
    ectopic_p_waves: np.ndarray
    qrs_waves: np.ndarray
    st_t_waves: np.ndarray
    pvc_waves: np.ndarray
    """QRS, ST and T of premature ventricular beats."""
    pvc_duration: float
    electrode_field: np.ndarray
    """Potential (9, 3) of RA, LA, LL, V1 to V6 for a unit dipole along x, y and z."""
    respiration_rate: float
    wander: float
    """Standard deviation of the baseline wander at each electrode."""
    muscle: float
    """Standard deviation of the muscle noise at each electrode in a 100 Hz recording."""
    mains: float
    """Amplitude of the 50 Hz hum; absent at sampling rates up to 100 Hz."""
    contact: np.ndarray
    """Noise of each electrode (9,) relative to one with good contact."""

    @property
    def sokolow_lyon(self) -> float:
        """The index of Sokolow and Lyon (1949) of the noiseless beat in mV: S in V1 plus the greater R of V5 and V6."""
        return sokolow_lyon_index(qrs_in_leads(self.qrs_waves, self.electrode_field))

    @property
    def limb_voltage(self) -> float:
        """The largest peak-to-peak height in mV of the noiseless QRS in a limb lead; below 0.5 is low voltage."""
        return max_limb_voltage(qrs_in_leads(self.qrs_waves, self.electrode_field))


def sample_parameters(rng: np.random.Generator, statements: tuple[str, ...] | None = None) -> EcgParameters:
    """Draw the parameters of a patient: body, heart, conduction and noise.

    Args:
        rng: random generator.
        statements: SCP-ECG codes from `STATEMENTS` that the tracing shows; the rhythm is "SR" if none is given. By
            default they are drawn too: about a third of the recordings are normal, the others have one to three
            compatible findings.

    Raises:
        ValueError: a code cannot be simulated, or the codes cannot occur together.
    """
    statements = sample_statements(rng) if statements is None else complete_statements(statements)
    heart_rate = _sample_heart_rate(rng, statements)
    atrial_rate, atrial_vector, conduction_ratio = _sample_atria(rng, statements)
    if "AFLT" in statements:
        heart_rate = atrial_rate / conduction_ratio
    rr_variation = 0.0
    if "AFIB" in statements:
        rr_variation = rng.uniform(0.17, 0.28)
    elif "SARRH" in statements:
        rr_variation = rng.uniform(0.11, 0.20)
    elif "PACE" not in statements and "AFLT" not in statements:
        rr_variation = rng.uniform(0.005, 0.03)

    electrode_field = sample_electrode_field(rng)
    qrs_waves, qrs_duration = _sample_qrs(rng, statements)
    # An infarction is acute or old; hypertrophy comes with or without strain.
    acute = bool(_infarction_effect(statements) and rng.random() < 0.35)
    strain = bool(("LVH" in statements and rng.random() < 0.55) or ("RVH" in statements and rng.random() < 0.7))
    qrs_waves = _scale_voltage(rng, statements, qrs_waves, electrode_field)
    qt = _sample_qt(rng, heart_rate, qrs_duration)
    st_vector, t_vector = _sample_repolarisation(rng, statements, acute, strain, qrs_waves, electrode_field)
    st_t_waves = repolarisation_waves(st_vector, t_vector, qrs_duration, qt)
    leads = leads_from_electrodes(electrode_field)
    pvc_waves, pvc_duration = _sample_pvc(rng)
    p_waves, p_duration = _sample_p_waves(rng)

    if "AFIB" in statements or "AFLT" in statements or ("PACE" in statements and rng.random() < 0.5):
        pr = math.nan
    elif "1AVB" in statements:
        pr = rng.uniform(0.215, 0.32)
    else:
        pr = rng.uniform(0.125, 0.19) - 0.0004 * (heart_rate - 70)
        pr = min(max(pr, 0.12), 0.196)

    return EcgParameters(
        statements=statements,
        heart_rate=heart_rate,
        p_duration=p_duration,
        pr=pr,
        qrs_duration=qrs_duration,
        qt=qt,
        qrs_axis=frontal_axis(net_area(qrs_waves)),
        rr_variation=rr_variation,
        atrial_rate=atrial_rate,
        atrial_vector=atrial_vector,
        conduction_ratio=conduction_ratio,
        st_v5=float(leads[STANDARD_LEADS.index("V5")] @ st_vector),
        acute=acute,
        strain=strain,
        negative_t=tuple(name for name, t in zip(STANDARD_LEADS, leads @ t_vector) if t < -0.08 and name in _T_LEADS),
        depressed_st=tuple(name for name, st in zip(STANDARD_LEADS, leads @ st_vector) if st < -0.05 and name != "aVR"),
        p_waves=p_waves,
        ectopic_p_waves=p_waves * [1, 1, 1, 1, -0.6, 1 if rng.random() < 0.5 else -0.8, 1.2],
        qrs_waves=qrs_waves,
        st_t_waves=st_t_waves,
        pvc_waves=pvc_waves,
        pvc_duration=pvc_duration,
        electrode_field=electrode_field,
        respiration_rate=rng.uniform(12, 20),
        wander=0.04 * rng.lognormal(0, 0.7),
        muscle=0.004 * rng.lognormal(0, 0.6),
        mains=0.005 * rng.lognormal(0, 0.7),
        contact=sample_contact(rng),
    )


def _sample_heart_rate(rng: np.random.Generator, statements: tuple[str, ...]) -> float:
    if "SBRAD" in statements:
        return rng.uniform(40, 57)
    if "STACH" in statements:
        return rng.uniform(104, 145)
    if "AFIB" in statements:
        return float(np.clip(rng.normal(92, 24), 50, 155))
    if "PACE" in statements:
        return rng.uniform(58, 82)
    return float(np.clip(rng.normal(73, 10), 61, 98))


def _sample_atria(rng: np.random.Generator, statements: tuple[str, ...]) -> tuple[float, np.ndarray, int]:
    """Draw rate, vector and conduction ratio of flutter or fibrillation."""
    if "AFLT" in statements:
        # Typical (counter-clockwise) flutter: the waves point away from the feet and are upright in V1.
        vector = np.array([0.0, -0.17, 0.11]) * rng.uniform(0.8, 1.4)
        return rng.uniform(250, 320), vector, int(rng.choice([2, 3, 4], p=[0.35, 0.25, 0.4]))
    if "AFIB" in statements:
        return rng.uniform(330, 460), np.array([-0.035, 0.03, 0.032]) * rng.lognormal(-0.1, 0.4), 1
    return math.nan, np.zeros(3), 1


def _sample_qrs(rng: np.random.Generator, statements: tuple[str, ...]) -> tuple[np.ndarray, float]:
    """Draw the components of QRS at their usual voltage, and the QRS duration."""
    if "PACE" in statements:
        template, duration, axis = PACED_QRS, rng.uniform(0.145, 0.18), rng.uniform(-85, -58)
    elif "CLBBB" in statements:
        template, duration, axis = LBBB_QRS, rng.uniform(0.128, 0.16), np.clip(rng.normal(-4, 24), -45, 50)
    elif "LAFB" in statements:
        template, duration, axis = LAFB_QRS, rng.uniform(0.09, 0.112), rng.uniform(-70, -47)
    elif "RVH" in statements:
        template, duration, axis = RVH_QRS, rng.uniform(0.085, 0.11), rng.uniform(103, 140)
    elif "LVH" in statements:
        template, duration, axis = NORMAL_QRS, rng.uniform(0.092, 0.112), np.clip(rng.normal(18, 18), -25, 60)
    elif "CRBBB" in statements or "LMI" in statements:
        # The components added below point to the right and turn the axis back.
        template, duration, axis = NORMAL_QRS, rng.uniform(0.08, 0.1), np.clip(rng.normal(28, 20), -20, 60)
    else:
        template, duration, axis = NORMAL_QRS, rng.uniform(0.08, 0.104), np.clip(rng.normal(46, 22), -12, 82)
    waves = template.copy()
    waves[:, 4:] *= rng.normal(1, 0.10, (len(waves), 1)) * rng.normal(1, 0.06, (len(waves), 3))
    waves[:, :3] *= duration
    waves = rotate_frontal(waves, axis - frontal_axis(net_area(waves)))
    waves = _apply_infarction(rng, statements, waves, duration)
    if "CRBBB" in statements:
        waves, duration = _delay_right_ventricle(rng, statements, waves, duration)
    return waves, duration


def _infarction_effect(statements: tuple[str, ...]) -> InfarctionEffect | None:
    return next((effect for code, effect in INFARCTION_EFFECTS.items() if code in statements), None)


def _apply_infarction(
    rng: np.random.Generator, statements: tuple[str, ...], waves: np.ndarray, duration: float
) -> np.ndarray:
    """Make the early QRS vector point away from an infarcted wall: a Q wave in the leads that face it."""
    infarction = _infarction_effect(statements)
    if infarction is None:
        return waves
    waves = waves.copy()
    waves[:, 4:] *= infarction.qrs_scale
    if "AMI" in statements:
        # Almost no QRS vector to the front remains.
        waves[:2, 6] = -0.28, -0.45
    early = [0.23 * duration, 0.010, 0.011, 1, *(np.array(infarction.early_qrs) * rng.uniform(0.85, 1.25))]
    return np.concatenate([waves, [early]])


def _delay_right_ventricle(
    rng: np.random.Generator, statements: tuple[str, ...], waves: np.ndarray, duration: float
) -> tuple[np.ndarray, float]:
    """Right bundle branch block: add late, slow activation of the right ventricle, to the right and front."""
    total = rng.uniform(0.124, 0.15)
    centre = (0.80 * duration + total) / 2
    width = (total - centre) / WIDTHS_TO_END
    vector = np.array([-0.30, 0.02, 0.44]) * rng.uniform(0.8, 1.25) * (0.75 if "LAFB" in statements else 1.0)
    return np.concatenate([waves, [[centre, width, width, 1, *vector]]]), total


def _scale_voltage(
    rng: np.random.Generator, statements: tuple[str, ...], waves: np.ndarray, electrode_field: np.ndarray
) -> np.ndarray:
    """Scale QRS so that it meets the voltage criteria of its statements, and no others."""
    leads = qrs_in_leads(waves, electrode_field)
    index, height = sokolow_lyon_index(leads), max_limb_voltage(leads)
    if "LVOLT" in statements:
        scale = rng.uniform(0.30, 0.45) / height
    elif "LVH" in statements:
        scale = rng.uniform(3.75, 5.2) / index
    elif "RVH" in statements:
        scale = rng.uniform(0.8, 1.5) / leads[STANDARD_LEADS.index("V1")].max()
    elif "CLBBB" in statements or "PACE" in statements:
        scale = min(rng.lognormal(0.03, 0.2), 4.0 / np.abs(leads).max())
    else:
        scale = np.clip(rng.lognormal(0, 0.18), 0.65 / height, max(3.2 / index, 0.65 / height))
    scaled = waves.copy()
    scaled[:, 4:] *= scale
    if "LVOLT" in statements:
        # Low voltage mainly concerns the limb leads.
        scaled[:, 6] *= 1.6
    return scaled


def _sample_qt(rng: np.random.Generator, heart_rate: float, qrs_duration: float) -> float:
    """Draw QT, which follows the heart rate after Fridericia (1920) and is prolonged by a wide QRS."""
    corrected = float(np.clip(rng.normal(0.405, 0.014), 0.37, 0.44))
    return corrected * (60 / heart_rate) ** (1 / 3) + 0.7 * max(0.0, qrs_duration - 0.1)


def _sample_repolarisation(
    rng: np.random.Generator,
    statements: tuple[str, ...],
    acute: bool,
    strain: bool,
    qrs_waves: np.ndarray,
    electrode_field: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the vectors of the ST segment and of the peak of T."""
    lead_v5 = leads_from_electrodes(electrode_field)[STANDARD_LEADS.index("V5")]
    strength = rng.lognormal(0, 0.22)
    st = np.array([0.01, 0.01, 0.015]) * rng.normal(0.7, 0.5)
    t = np.array([0.19, 0.18, 0.10]) + rng.normal(0, [0.03, 0.035, 0.035])
    if "PACE" in statements or "CLBBB" in statements:
        # Secondary to the abnormal activation: opposite to the main direction of QRS.
        opposite = -net_area(qrs_waves) / 0.06
        st, t = 0.10 * opposite, 0.32 * opposite
    elif "LVH" in statements and strain:
        st, t = np.array([-0.07, -0.03, 0.06]), np.array([-0.19, -0.06, 0.16])
    elif "RVH" in statements:
        st, t = (np.array([0.0, -0.04, -0.05]), np.array([0.14, -0.09, -0.15])) if strain else (st, t * [1, 1, -0.2])
    elif "CRBBB" in statements:
        t = t * [1, 1, -0.9]

    infarction = _infarction_effect(statements)
    if infarction:
        st = st + (infarction.acute_st if acute else infarction.old_st)
        t = t + (infarction.acute_t if acute else infarction.old_t)
    if "INVT" in statements:
        lateral = np.array([-0.17, 0.02, -0.03])
        anterior = np.array([-0.03, 0.10, -0.20])
        t = lateral if rng.random() < 0.55 else anterior
        t = t * rng.uniform(0.8, 1.4)
    if "STD_" in statements:
        direction = np.array([-0.6, -0.55, -0.1])
        st = direction * (-rng.uniform(0.10, 0.25) / (lead_v5 @ direction))
        t = t if "INVT" in statements else t * 0.5
    if "LVOLT" in statements:
        st, t = 0.5 * st, 0.5 * t
    return st, t * strength


def _sample_pvc(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draw waves and QRS duration of premature ventricular beats from one focus."""
    duration = rng.uniform(0.135, 0.17)
    qrs = (RIGHT_PVC_QRS if rng.random() < 0.6 else LEFT_PVC_QRS).copy()
    qrs[:, 4:] *= rng.uniform(0.9, 1.3) * rng.normal(1, 0.1, (len(qrs), 3))
    qrs[:, :3] *= duration
    opposite = -net_area(qrs) / 0.06
    return np.concatenate([qrs, repolarisation_waves(0.08 * opposite, 0.28 * opposite, duration, 0.44)]), duration


def _sample_p_waves(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draw the P wave (right atrium, then left atrium) and its duration."""
    duration = rng.uniform(0.088, 0.112)
    waves = np.array([[0.38, 0.16, 0.16, 1, 0.025, 0.065, 0.030], [0.60, 0.16, 0.16, 1, 0.050, 0.050, -0.032]])
    waves[:, :3] *= duration
    waves[:, 4:] *= rng.lognormal(0, 0.2) * rng.normal(1, 0.15, (2, 3))
    return waves, duration
