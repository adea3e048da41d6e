"""Twelve-lead ECGs from a moving heart vector with known physiology.

The electrical activity of the heart is one current dipole whose three components are sums of smooth bumps, one or a
few for each of P, QRS, ST and T. McSharry, Clifford, Tarassenko and Smith (IEEE Trans. Biomed. Eng. 50, 2003) draw a
single lead this way; here the bumps are vectors, and the leads follow from where the electrodes lie on the body:

- the limb electrodes are the corners of Einthoven's equilateral triangle, so that lead I measures the component to the
  left with gain one and the frontal axis is `atan2(2 * aVF, sqrt(3) * I)`;
- a chest electrode at the place r from the dipole p sees `p . r / |r|^3` (Malmivuo and Plonsey, Bioelectromagnetism,
  1995, chapter 8), scaled to the limb leads;
- noise is added at the nine electrodes, before the leads are formed, so that Einthoven's and Goldberger's laws hold
  with the noise too.

Axes: x to the patient's left, y to the feet, z to the front. Times are in seconds and potentials in millivolts.

`sample_parameters` draws a patient, `simulate_ecg` lets the heart beat:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> parameters = sample_parameters(rng, statements=("AFIB", "CRBBB"))
    >>> ecg = simulate_ecg(parameters, duration=10.0, sampling_rate=100, rng=rng)
    >>> ecg.signal.shape, ecg.beats[0].kind
    ((12, 1000), 'conducted')
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ...processing.leads_merit import STANDARD_LEADS as LEAD_NAMES

ELECTRODE_NAMES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
# The statements that can be simulated, by their SCP-ECG code.
RHYTHMS = ("SR", "SBRAD", "STACH", "SARRH", "AFIB", "AFLT", "PACE")
SINUS_RHYTHMS = ("SR", "SBRAD", "STACH", "SARRH")
FINDINGS = (
    *("PAC", "PVC", "1AVB", "CLBBB", "CRBBB", "LAFB", "LVH", "RVH"),
    *("IMI", "AMI", "LMI", "STD_", "INVT", "LVOLT"),
)
STATEMENTS = ("NORM", *RHYTHMS, *FINDINGS)
# A recording is called normal when it holds nothing but these.
NORMAL_STATEMENTS = {*SINUS_RHYTHMS, "PAC", "NORM"}
# Pairs that exclude each other, or of which one hides the other on the tracing.
_HIDDEN_BY = {
    "PACE": set(FINDINGS),
    "AFIB": {"PAC", "1AVB"},
    "AFLT": {"PAC", "PVC", "1AVB", "STD_", "INVT", "LVOLT", "IMI"},
    "STACH": {"1AVB"},
    "SARRH": {"PAC", "PVC"},
    "PAC": {"PVC"},
    "CLBBB": {"CRBBB", "LAFB", "LVH", "RVH", "IMI", "AMI", "LMI", "STD_", "INVT", "LVOLT"},
    "CRBBB": {"LVH", "RVH", "LVOLT"},
    "LAFB": {"RVH", "IMI", "LMI", "LVOLT"},
    "LVH": {"LAFB", "RVH", "STD_", "INVT", "LVOLT", "AMI", "LMI"},
    "RVH": {"IMI", "AMI", "LMI", "STD_", "INVT", "LVOLT"},
    "IMI": {"AMI", "LMI", "STD_", "INVT"},
    "AMI": {"LMI", "STD_", "INVT"},
    "LMI": {"STD_", "INVT", "LVOLT"},
    "LVOLT": {"STD_", "INVT"},
}
# How often each is drawn, relative to the others of its group.
_RHYTHM_WEIGHTS = {"SR": 58, "SBRAD": 9, "STACH": 9, "SARRH": 7, "AFIB": 9, "AFLT": 4, "PACE": 4}
_FINDING_COUNT_WEIGHTS = {0: 0.42, 1: 0.38, 2: 0.17, 3: 0.03}
# Chest electrodes of an adult, in centimetres from the electrical centre of the heart.
_CHEST_PLACES = np.array(
    [[-5.5, 0.5, 9.6], [0.3, 0.8, 8.2], [4.2, 2.2, 7.3], [7.9, 3.6, 4.8], [10.2, 3.4, 0.9], [11.4, 3.2, -2.9]]
)
# Distance at which a chest electrode would see the dipole with the gain of lead I.
_UNIT_DISTANCE = 13.5
# Arms and legs are seldom as still as the chest.
_MUSCLE_AT_ELECTRODE = np.array([1.0, 1.0, 0.8, *[0.6] * 6])
# Where a negative T wave is never normal.
_T_LEADS = ("I", "II", "aVL", "aVF", "V2", "V3", "V4", "V5", "V6")
# One row for each bump of a wave: time of its peak, width before and after the peak, flatness, and the vector x, y, z.
# With u the distance to the peak in widths, the bump is exp(-(u^2)^flatness / 2): 1 a Gaussian, 2 a plateau.
# A bump begins and ends, to the eye, this many widths from its peak.
_WIDTHS_TO_END = 2.4
# Seconds after the onset of QRS beyond which no wave of a beat reaches.
_LONGEST_BEAT = 0.95
# QRS complexes; times and widths as fractions of the QRS duration, vectors in millivolts of the limb leads.
# The septum is activated to the right and front, then apex, free wall, and last the base.
_NORMAL_QRS = np.array(
    [
        [0.22, 0.080, 0.080, 1, -0.11, -0.04, 0.20],
        [0.42, 0.095, 0.095, 1, 0.66, 0.62, -0.02],
        [0.58, 0.095, 0.095, 1, 0.28, 0.14, -0.54],
        [0.81, 0.070, 0.075, 1, -0.10, -0.12, -0.17],
    ]
)
# Left bundle branch block: the septum from right to left (no q in I and V6), then slowly and in two steps to the left.
_LBBB_QRS = np.array(
    [
        [0.14, 0.055, 0.060, 1, 0.12, 0.06, 0.13],
        [0.37, 0.110, 0.120, 1, 0.58, 0.21, -0.80],
        [0.64, 0.130, 0.110, 1, 0.62, 0.11, -0.90],
        [0.85, 0.070, 0.065, 1, 0.14, 0.02, -0.22],
    ]
)
# Left anterior hemiblock: first down and to the right (r in II, III, aVF; q in aVL), then up and to the left.
_LAFB_QRS = np.array(
    [
        [0.20, 0.070, 0.070, 1, -0.16, 0.30, 0.17],
        [0.46, 0.095, 0.095, 1, 0.66, -0.30, 0.02],
        [0.64, 0.095, 0.095, 1, 0.32, -0.66, -0.40],
        [0.84, 0.070, 0.070, 1, -0.06, -0.24, -0.16],
    ]
)
# Right ventricular hypertrophy: the right ventricle pulls the main vector to the right and front.
_RVH_QRS = np.array(
    [
        [0.19, 0.065, 0.065, 1, 0.10, -0.06, 0.05],
        [0.44, 0.100, 0.100, 1, -0.14, 0.52, 0.40],
        [0.64, 0.095, 0.095, 1, -0.60, 0.45, 0.14],
        [0.83, 0.070, 0.070, 1, -0.26, -0.14, -0.10],
    ]
)
# Paced from the apex of the right ventricle: like a left bundle branch block, but away from the feet.
_PACED_QRS = np.array(
    [
        [0.22, 0.090, 0.100, 1, 0.10, -0.30, -0.14],
        [0.46, 0.120, 0.120, 1, 0.32, -0.85, -0.62],
        [0.72, 0.120, 0.100, 1, 0.24, -0.62, -0.56],
    ]
)
# Ventricular ectopic beats from the right and from the left ventricle.
_RIGHT_PVC_QRS = np.array(
    [[0.36, 0.130, 0.130, 1, 0.70, 0.75, -0.42], [0.64, 0.130, 0.130, 1, 0.62, 0.62, -0.60]],
)
_LEFT_PVC_QRS = np.array(
    [[0.36, 0.130, 0.130, 1, -0.45, -0.60, 0.72], [0.64, 0.130, 0.130, 1, -0.62, -0.55, 0.58]],
)


@dataclass(frozen=True)
class _Infarction:
    """What a dead piece of the left ventricle changes, as vectors x, y, z in mV (the first: factors)."""

    remaining: tuple[float, float, float]
    """The share of QRS that is left in each direction."""
    away: tuple[float, float, float]
    """The early QRS vector, which points away from the dead muscle."""
    acute_st: tuple[float, float, float]
    acute_t: tuple[float, float, float]
    old_st: tuple[float, float, float]
    old_t: tuple[float, float, float]


_INFARCTIONS = {
    "IMI": _Infarction(
        remaining=(1.0, 0.45, 1.0),
        away=(0.03, -0.40, 0.0),
        acute_st=(-0.06, 0.20, 0.0),
        acute_t=(-0.10, 0.15, 0.0),
        old_st=(0.0, 0.015, 0.0),
        old_t=(0.0, -0.30, 0.0),
    ),
    "AMI": _Infarction(
        remaining=(0.85, 1.0, 0.9),
        away=(0.0, 0.0, -0.12),
        acute_st=(0.04, -0.01, 0.12),
        acute_t=(-0.02, -0.03, 0.16),
        old_st=(0.0, 0.0, 0.015),
        old_t=(-0.09, -0.02, -0.25),
    ),
    "LMI": _Infarction(
        remaining=(0.90, 1.0, 1.0),
        away=(-0.29, -0.02, 0.0),
        acute_st=(0.13, -0.05, 0.02),
        acute_t=(0.08, -0.10, 0.0),
        old_st=(0.01, 0.0, 0.0),
        old_t=(-0.33, 0.0, 0.0),
    ),
}


@dataclass(frozen=True)
class EcgParameters:
    """Everything that decides how an ECG looks, but for the chance of each beat and of the noise.

    Times in seconds, potentials in millivolts, rates per minute, angles in degrees. The waves are arrays of shape
    (bumps, 7): time of the peak, width before and after it, flatness, and the vector x, y, z. P waves count their time
    from the onset of P, all others from the onset of QRS.
    """

    statements: tuple[str, ...]
    """SCP-ECG codes of all that is to be seen, a rhythm among them; with NORM if nothing is abnormal."""
    heart_rate: float
    """Ventricular rate, on average and without ectopic beats."""
    p_duration: float
    """From the onset of P to its end."""
    pr: float
    """From the onset of P to the onset of QRS; nan without P waves."""
    qrs_duration: float
    qt: float
    qrs_axis: float
    """Frontal axis of the net area of QRS, from -180 to 180, 0 to the left and 90 to the feet."""
    rr_variation: float
    """Relative size of the irregularity: respiratory in sinus rhythm, beat to beat in fibrillation."""
    atrial_rate: float
    """Rate of the flutter or fibrillatory waves; nan without."""
    atrial_vector: np.ndarray
    """Shape (3,): amplitude and direction of the flutter or fibrillatory waves; zero without."""
    conduction_ratio: int
    """Flutter waves for each conducted beat; 1 without flutter."""
    st_v5: float
    """Level of the ST segment in V5."""
    acute: bool
    """An infarction with ST elevation rather than an old one."""
    strain: bool
    """Hypertrophy with ST depression and T inversion."""
    negative_t: tuple[str, ...]
    """Leads but aVR, III and V1, where it may be normal, with a negative T wave."""
    depressed_st: tuple[str, ...]
    """Leads but aVR with an ST segment below -0.05 mV."""
    p_waves: np.ndarray
    ectopic_p_waves: np.ndarray
    qrs_waves: np.ndarray
    st_t_waves: np.ndarray
    pvc_waves: np.ndarray
    """QRS, ST and T of the ventricular ectopic beats."""
    pvc_duration: float
    electrode_field: np.ndarray
    """Shape (9, 3): potential of RA, LA, LL, V1 to V6 for a unit dipole along x, y and z."""
    respiration_rate: float
    wander: float
    """Standard deviation of the baseline at each electrode."""
    muscle: float
    """Standard deviation of the muscle noise at each electrode in the band of a 100 Hz recording."""
    mains: float
    """Amplitude of the 50 Hz interference; visible where the sampling rate allows."""
    contact: np.ndarray
    """Shape (9,): how many times more noise each electrode has than one that sticks well."""


@dataclass(frozen=True)
class Beat:
    """The truth of one beat: `kind` is conducted, atrial, ventricular or paced; times in seconds from the start of the
    recording, nan for the P wave of a beat without one."""

    kind: str
    p_onset: float
    p_offset: float
    qrs_onset: float
    r_peak: float
    qrs_offset: float
    t_peak: float
    t_offset: float


@dataclass(frozen=True)
class SimulatedEcg:
    """`signal` has shape (12, samples), float32, in millivolts, in the order of `LEAD_NAMES`; `beats` are those whose R
    peak lies in the recording."""

    signal: np.ndarray
    beats: list[Beat]
    parameters: EcgParameters


def leads_from_electrodes(potentials: np.ndarray) -> np.ndarray:
    """The twelve leads (12, ...) from the potentials (9, ...) of RA, LA, LL and V1 to V6.

    Bipolar limb leads after Einthoven, augmented after Goldberger, chest leads against Wilson's central terminal.
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


def compatible(statements: tuple[str, ...]) -> bool:
    """Whether these statements can be seen together on one tracing.

    >>> compatible(("AFIB", "CRBBB")), compatible(("AFIB", "1AVB"))
    (True, False)
    """
    rhythms = [code for code in statements if code in RHYTHMS]
    return len(rhythms) <= 1 and not any(
        other in _HIDDEN_BY.get(code, ()) for code in statements for other in statements
    )


def sample_parameters(rng: np.random.Generator, statements: tuple[str, ...] | None = None) -> EcgParameters:
    """A patient drawn at random: body, heart, conduction and noise.

    Args:
        rng: the source of chance.
        statements: SCP-ECG codes out of `STATEMENTS` to be seen on the tracing; without a rhythm among them the rhythm
            is SR. Drawn at random when absent: about a third normal, else one to three findings that go together.

    Raises:
        ValueError: for a code that cannot be simulated or codes that cannot be seen together.
    """
    found = _sample_statements(rng) if statements is None else _complete_statements(statements)
    has = found.__contains__

    heart_rate = _sample_heart_rate(rng, found)
    atrial_rate, atrial_vector, conduction_ratio = _sample_atria(rng, found)
    if has("AFLT"):
        heart_rate = atrial_rate / conduction_ratio
    rr_variation = 0.0
    if has("AFIB"):
        rr_variation = rng.uniform(0.17, 0.28)
    elif has("SARRH"):
        rr_variation = rng.uniform(0.11, 0.20)
    elif not has("PACE") and not has("AFLT"):
        rr_variation = rng.uniform(0.005, 0.03)

    electrode_field = _sample_electrode_field(rng)
    qrs_waves, qrs_duration = _sample_qrs(rng, found)
    # An infarction is acute or old; hypertrophy comes with or without strain.
    acute = bool(_infarction_of(found) and rng.random() < 0.35)
    strain = bool((has("LVH") and rng.random() < 0.55) or (has("RVH") and rng.random() < 0.7))
    qrs_waves = _scale_voltage(rng, found, qrs_waves, electrode_field)
    qt = _sample_qt(rng, heart_rate, qrs_duration)
    st_vector, t_vector = _sample_repolarisation(rng, found, acute, strain, qrs_waves, electrode_field)
    st_t_waves = _repolarisation_waves(st_vector, t_vector, qrs_duration, qt)
    leads = leads_from_electrodes(electrode_field)
    pvc_waves, pvc_duration = _sample_pvc(rng)
    p_waves, p_duration = _sample_p_waves(rng)

    if has("AFIB") or has("AFLT") or (has("PACE") and rng.random() < 0.5):
        pr = math.nan
    elif has("1AVB"):
        pr = rng.uniform(0.215, 0.32)
    else:
        pr = rng.uniform(0.125, 0.19) - 0.0004 * (heart_rate - 70)
        pr = min(max(pr, 0.12), 0.196)

    return EcgParameters(
        statements=found,
        heart_rate=heart_rate,
        p_duration=p_duration,
        pr=pr,
        qrs_duration=qrs_duration,
        qt=qt,
        qrs_axis=_frontal_axis(_net_area(qrs_waves)),
        rr_variation=rr_variation,
        atrial_rate=atrial_rate,
        atrial_vector=atrial_vector,
        conduction_ratio=conduction_ratio,
        st_v5=float(leads[LEAD_NAMES.index("V5")] @ st_vector),
        acute=acute,
        strain=strain,
        negative_t=tuple(name for name, t in zip(LEAD_NAMES, leads @ t_vector) if t < -0.08 and name in _T_LEADS),
        depressed_st=tuple(name for name, st in zip(LEAD_NAMES, leads @ st_vector) if st < -0.05 and name != "aVR"),
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
        contact=_sample_contact(rng),
    )


def simulate_ecg(
    parameters: EcgParameters, duration: float = 10.0, sampling_rate: float = 500, *, rng: np.random.Generator
) -> SimulatedEcg:
    """Let the heart of `parameters` beat for `duration` seconds.

    The beats are drawn before the noise: with generators in the same state, recordings at several sampling rates show
    the same beats. The waves are evaluated at the sampling rate itself; all are wide enough for 100 Hz, and the spikes
    of a pacemaker are broadened to the band of the recording.

    Raises:
        ValueError: for a duration that is not positive or a sampling rate below 100 Hz.
    """
    if duration <= 0:
        raise ValueError(f"the duration must be positive, not {duration} s")
    if sampling_rate < 100:
        raise ValueError(f"the sampling rate must be at least 100 Hz, not {sampling_rate} Hz")
    samples = round(duration * sampling_rate)
    time = np.arange(samples) / sampling_rate
    dipole = np.zeros((3, samples))

    beats = []
    conducted_waves = np.concatenate([parameters.qrs_waves, parameters.st_t_waves])
    conducted_peak, pvc_peak = _peak_time(conducted_waves), _peak_time(parameters.pvc_waves)
    for kind, p_onset, qrs_onset in _rhythm(parameters, duration, rng):
        strength = 1 + 0.02 * rng.standard_normal()
        if not math.isnan(p_onset):
            waves = parameters.ectopic_p_waves if kind == "atrial" else parameters.p_waves
            _add_waves(dipole, waves, p_onset, sampling_rate, strength)
        if kind == "dropped":
            continue
        if kind == "ventricular":
            waves, qrs_duration, peak = parameters.pvc_waves, parameters.pvc_duration, pvc_peak
        else:
            waves, qrs_duration, peak = conducted_waves, parameters.qrs_duration, conducted_peak
        _add_waves(dipole, waves, qrs_onset, sampling_rate, strength)
        if kind == "paced":
            _add_waves(dipole, _pacing_spike(sampling_rate), qrs_onset, sampling_rate, 1.0)
        r_peak = qrs_onset + peak
        if 0 <= r_peak < duration:
            t_peak, t_width = float(waves[-1, 0]), float(waves[-1, 2])
            beats.append(
                Beat(
                    kind=kind,
                    p_onset=p_onset,
                    p_offset=p_onset + parameters.p_duration,
                    qrs_onset=qrs_onset,
                    r_peak=r_peak,
                    qrs_offset=qrs_onset + qrs_duration,
                    t_peak=qrs_onset + t_peak,
                    t_offset=qrs_onset + t_peak + _WIDTHS_TO_END * t_width,
                )
            )

    dipole += _atrial_waves(parameters, time, rng)
    # The heart moves with breathing, which scales what the electrodes see.
    breathing = np.sin(2 * np.pi * (parameters.respiration_rate / 60 * time + rng.random()))
    potentials = parameters.electrode_field @ (dipole * (1 + 0.03 * breathing))
    potentials += _electrode_noise(parameters, time, sampling_rate, breathing, rng)
    return SimulatedEcg(leads_from_electrodes(potentials).astype(np.float32), beats, parameters)


def sokolow_lyon(parameters: EcgParameters) -> float:
    """The index of Sokolow and Lyon (1949) of the noiseless beat in mV: S in V1 plus the greater R of V5 and V6."""
    leads = qrs_in_leads(parameters.qrs_waves, parameters.electrode_field)
    return _sokolow_lyon(leads)


def limb_voltage(parameters: EcgParameters) -> float:
    """The greatest peak-to-peak height in mV of the noiseless QRS in a limb lead; below 0.5 is low voltage."""
    return _limb_voltage(qrs_in_leads(parameters.qrs_waves, parameters.electrode_field))


def _complete_statements(statements: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [code for code in statements if code not in STATEMENTS]
    if unknown:
        raise ValueError(f"cannot simulate {', '.join(unknown)}; known are {', '.join(STATEMENTS)}")
    if not compatible(statements):
        raise ValueError(f"{', '.join(statements)} cannot be seen together on one tracing")
    found = set(statements)
    if not found & set(RHYTHMS):
        found.add("SR")
    if found <= NORMAL_STATEMENTS:
        found.add("NORM")
    elif "NORM" in found:
        raise ValueError(f"{', '.join(statements)}: not normal")
    return tuple(code for code in STATEMENTS if code in found)


def _sample_statements(rng: np.random.Generator) -> tuple[str, ...]:
    rhythm = _choose(rng, _RHYTHM_WEIGHTS)
    count = _choose(rng, _FINDING_COUNT_WEIGHTS)
    chosen = (rhythm,)
    for finding in rng.permutation(FINDINGS):
        if len(chosen) <= count and compatible((*chosen, str(finding))):
            chosen = (*chosen, str(finding))
    return _complete_statements(chosen)


def _choose(rng: np.random.Generator, weights: dict):
    probabilities = np.array(list(weights.values()), dtype=float)
    return list(weights)[rng.choice(len(weights), p=probabilities / probabilities.sum())]


def _sample_heart_rate(rng: np.random.Generator, found: tuple[str, ...]) -> float:
    if "SBRAD" in found:
        return rng.uniform(40, 57)
    if "STACH" in found:
        return rng.uniform(104, 145)
    if "AFIB" in found:
        return float(np.clip(rng.normal(92, 24), 50, 155))
    if "PACE" in found:
        return rng.uniform(58, 82)
    return float(np.clip(rng.normal(73, 10), 61, 98))


def _sample_atria(rng: np.random.Generator, found: tuple[str, ...]) -> tuple[float, np.ndarray, int]:
    """Rate, vector and conduction ratio of flutter or fibrillation."""
    if "AFLT" in found:
        # Typical flutter turns counter-clockwise: away from the feet, and upright in V1.
        vector = np.array([0.0, -0.17, 0.11]) * rng.uniform(0.8, 1.4)
        return rng.uniform(250, 320), vector, int(rng.choice([2, 3, 4], p=[0.35, 0.25, 0.4]))
    if "AFIB" in found:
        return rng.uniform(330, 460), np.array([-0.035, 0.03, 0.032]) * rng.lognormal(-0.1, 0.4), 1
    return math.nan, np.zeros(3), 1


def _sample_electrode_field(rng: np.random.Generator) -> np.ndarray:
    """Shape (9, 3). Electrodes slip by about a centimetre, the heart lies a little differently in every chest."""
    limbs = np.array([[-math.sqrt(3) / 2, -0.5, 0], [math.sqrt(3) / 2, -0.5, 0], [0, 1, 0]]) / math.sqrt(3)
    heart = rng.normal(0, [0.5, 0.8, 0.3])
    places = _CHEST_PLACES * rng.normal(1, 0.05) + rng.normal(0, 0.5, (6, 3)) - heart
    distance = np.linalg.norm(places, axis=1, keepdims=True)
    return np.concatenate([limbs, _UNIT_DISTANCE**2 * places / distance**3])


def _sample_contact(rng: np.random.Generator) -> np.ndarray:
    """Shape (9,). One recording in twelve has an electrode that sticks badly."""
    contact = np.ones(9)
    if rng.random() < 1 / 12:
        contact[rng.integers(9)] = rng.uniform(2, 5)
    return contact


def _sample_qrs(rng: np.random.Generator, found: tuple[str, ...]) -> tuple[np.ndarray, float]:
    """Bumps of QRS at their usual voltage, and its duration."""
    if "PACE" in found:
        template, duration, axis = _PACED_QRS, rng.uniform(0.145, 0.18), rng.uniform(-85, -58)
    elif "CLBBB" in found:
        template, duration, axis = _LBBB_QRS, rng.uniform(0.128, 0.16), np.clip(rng.normal(-4, 24), -45, 50)
    elif "LAFB" in found:
        template, duration, axis = _LAFB_QRS, rng.uniform(0.09, 0.112), rng.uniform(-70, -47)
    elif "RVH" in found:
        template, duration, axis = _RVH_QRS, rng.uniform(0.085, 0.11), rng.uniform(103, 140)
    elif "LVH" in found:
        template, duration, axis = _NORMAL_QRS, rng.uniform(0.092, 0.112), np.clip(rng.normal(18, 18), -25, 60)
    elif "CRBBB" in found or "LMI" in found:
        # What they add to QRS points to the right, and turns the axis back.
        template, duration, axis = _NORMAL_QRS, rng.uniform(0.08, 0.1), np.clip(rng.normal(28, 20), -20, 60)
    else:
        template, duration, axis = _NORMAL_QRS, rng.uniform(0.08, 0.104), np.clip(rng.normal(46, 22), -12, 82)
    waves = template.copy()
    waves[:, 4:] *= rng.normal(1, 0.10, (len(waves), 1)) * rng.normal(1, 0.06, (len(waves), 3))
    waves[:, :3] *= duration
    waves = _turn(waves, axis - _frontal_axis(_net_area(waves)))
    waves = _infarct(rng, found, waves, duration)
    if "CRBBB" in found:
        waves, duration = _delay_right_ventricle(rng, found, waves, duration)
    return waves, duration


def _infarction_of(found: tuple[str, ...]) -> _Infarction | None:
    return next((infarction for code, infarction in _INFARCTIONS.items() if code in found), None)


def _infarct(rng: np.random.Generator, found: tuple[str, ...], waves: np.ndarray, duration: float) -> np.ndarray:
    """Dead muscle leaves the early vector pointing away from it: a Q wave in the leads that look at it."""
    infarction = _infarction_of(found)
    if infarction is None:
        return waves
    waves = waves.copy()
    waves[:, 4:] *= infarction.remaining
    if "AMI" in found:
        # No force to the front is left.
        waves[:2, 6] = -0.28, -0.45
    early = [0.23 * duration, 0.010, 0.011, 1, *(np.array(infarction.away) * rng.uniform(0.85, 1.25))]
    return np.concatenate([waves, [early]])


def _delay_right_ventricle(
    rng: np.random.Generator, found: tuple[str, ...], waves: np.ndarray, duration: float
) -> tuple[np.ndarray, float]:
    """Right bundle branch block: the right ventricle follows late and slowly, to the right and front."""
    total = rng.uniform(0.124, 0.15)
    centre = (0.80 * duration + total) / 2
    width = (total - centre) / _WIDTHS_TO_END
    vector = np.array([-0.30, 0.02, 0.44]) * rng.uniform(0.8, 1.25) * (0.75 if "LAFB" in found else 1.0)
    return np.concatenate([waves, [[centre, width, width, 1, *vector]]]), total


def _scale_voltage(
    rng: np.random.Generator, found: tuple[str, ...], waves: np.ndarray, electrode_field: np.ndarray
) -> np.ndarray:
    """Low voltage, left hypertrophy, and what is neither, by the criteria a reader would measure."""
    leads = qrs_in_leads(waves, electrode_field)
    index, height = _sokolow_lyon(leads), _limb_voltage(leads)
    if "LVOLT" in found:
        scale = rng.uniform(0.30, 0.45) / height
    elif "LVH" in found:
        scale = rng.uniform(3.75, 5.2) / index
    elif "RVH" in found:
        scale = rng.uniform(0.8, 1.5) / leads[LEAD_NAMES.index("V1")].max()
    elif "CLBBB" in found or "PACE" in found:
        scale = min(rng.lognormal(0.03, 0.2), 4.0 / np.abs(leads).max())
    else:
        scale = np.clip(rng.lognormal(0, 0.18), 0.65 / height, max(3.2 / index, 0.65 / height))
    scaled = waves.copy()
    scaled[:, 4:] *= scale
    if "LVOLT" in found:
        # It is low above all in the limb leads.
        scaled[:, 6] *= 1.6
    return scaled


def _sample_qt(rng: np.random.Generator, heart_rate: float, qrs_duration: float) -> float:
    """QT scaled with the rate after Fridericia (1920), and longer by most of what a wide QRS adds."""
    corrected = float(np.clip(rng.normal(0.405, 0.014), 0.37, 0.44))
    return corrected * (60 / heart_rate) ** (1 / 3) + 0.7 * max(0.0, qrs_duration - 0.1)


def _sample_repolarisation(
    rng: np.random.Generator,
    found: tuple[str, ...],
    acute: bool,
    strain: bool,
    qrs_waves: np.ndarray,
    electrode_field: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the ST segment and of the peak of T."""
    lead_v5 = leads_from_electrodes(electrode_field)[LEAD_NAMES.index("V5")]
    strength = rng.lognormal(0, 0.22)
    st = np.array([0.01, 0.01, 0.015]) * rng.normal(0.7, 0.5)
    t = np.array([0.19, 0.18, 0.10]) + rng.normal(0, [0.03, 0.035, 0.035])
    if "PACE" in found or "CLBBB" in found:
        # Secondary to the abnormal activation: against the main direction of QRS.
        against = -_net_area(qrs_waves) / 0.06
        st, t = 0.10 * against, 0.32 * against
    elif "LVH" in found and strain:
        st, t = np.array([-0.07, -0.03, 0.06]), np.array([-0.19, -0.06, 0.16])
    elif "RVH" in found:
        st, t = (np.array([0.0, -0.04, -0.05]), np.array([0.14, -0.09, -0.15])) if strain else (st, t * [1, 1, -0.2])
    elif "CRBBB" in found:
        t = t * [1, 1, -0.9]

    infarction = _infarction_of(found)
    if infarction:
        st = st + (infarction.acute_st if acute else infarction.old_st)
        t = t + (infarction.acute_t if acute else infarction.old_t)
    if "INVT" in found:
        lateral = np.array([-0.17, 0.02, -0.03])
        anterior = np.array([-0.03, 0.10, -0.20])
        t = lateral if rng.random() < 0.55 else anterior
        t = t * rng.uniform(0.8, 1.4)
    if "STD_" in found:
        direction = np.array([-0.6, -0.55, -0.1])
        st = direction * (-rng.uniform(0.10, 0.25) / (lead_v5 @ direction))
        t = t if "INVT" in found else t * 0.5
    if "LVOLT" in found:
        st, t = 0.5 * st, 0.5 * t
    return st, t * strength


def _repolarisation_waves(st: np.ndarray, t: np.ndarray, qrs_duration: float, qt: float) -> np.ndarray:
    """ST, a plateau from the end of QRS to the peak of T, and T, which rises slowly and falls faster."""
    before, after = 0.150 * (qt - 0.5 * qrs_duration), 0.100 * (qt - 0.5 * qrs_duration)
    t_peak = qt - _WIDTHS_TO_END * after
    # A plateau of flatness 2 has fallen to half at 1.085 widths.
    shoulder = qrs_duration + 0.03
    plateau = [shoulder, 0.03 / 1.085, (t_peak - shoulder) / 1.085, 2, *st]
    return np.array([plateau, [t_peak, before, after, 1, *t]])


def _sample_pvc(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Waves and QRS duration of ventricular ectopic beats from one focus."""
    duration = rng.uniform(0.135, 0.17)
    qrs = (_RIGHT_PVC_QRS if rng.random() < 0.6 else _LEFT_PVC_QRS).copy()
    qrs[:, 4:] *= rng.uniform(0.9, 1.3) * rng.normal(1, 0.1, (len(qrs), 3))
    qrs[:, :3] *= duration
    against = -_net_area(qrs) / 0.06
    return np.concatenate([qrs, _repolarisation_waves(0.08 * against, 0.28 * against, duration, 0.44)]), duration


def _sample_p_waves(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Right, then left atrium, and the duration of P."""
    duration = rng.uniform(0.088, 0.112)
    waves = np.array([[0.38, 0.16, 0.16, 1, 0.025, 0.065, 0.030], [0.60, 0.16, 0.16, 1, 0.050, 0.050, -0.032]])
    waves[:, :3] *= duration
    waves[:, 4:] *= rng.lognormal(0, 0.2) * rng.normal(1, 0.15, (2, 3))
    return waves, duration


def _frontal_axis(vector: np.ndarray) -> float:
    """Degrees from the left (0) towards the feet (90)."""
    return math.degrees(math.atan2(vector[1], vector[0]))


def _net_area(waves: np.ndarray) -> np.ndarray:
    """Integral over time of Gaussian bumps, shape (3,), in mV s."""
    return math.sqrt(math.pi / 2) * (waves[:, 1] + waves[:, 2]) @ waves[:, 4:]


def _turn(waves: np.ndarray, degrees: float) -> np.ndarray:
    """Turn in the frontal plane, from the left towards the feet."""
    angle = math.radians(degrees)
    turned = waves.copy()
    turned[:, 4] = math.cos(angle) * waves[:, 4] - math.sin(angle) * waves[:, 5]
    turned[:, 5] = math.sin(angle) * waves[:, 4] + math.cos(angle) * waves[:, 5]
    return turned


def _bumps(waves: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The dipole (3, samples) of the waves at these times."""
    distance = time - waves[:, :1]
    distance /= np.where(distance < 0, waves[:, 1:2], waves[:, 2:3])
    return waves[:, 4:].T @ np.exp(-0.5 * (distance * distance) ** waves[:, 3:4])


def qrs_in_leads(qrs_waves: np.ndarray, electrode_field: np.ndarray) -> np.ndarray:
    """The noiseless QRS complex (12, samples) at 1000 Hz."""
    return leads_from_electrodes(electrode_field @ _bumps(qrs_waves, np.arange(-0.02, 0.22, 0.001)))


def _sokolow_lyon(leads: np.ndarray) -> float:
    return float(max(leads[LEAD_NAMES.index("V5")].max(), leads[LEAD_NAMES.index("V6")].max()) - leads[6].min())


def _limb_voltage(leads: np.ndarray) -> float:
    return float(np.ptp(leads[:6], axis=1).max())


def _peak_time(waves: np.ndarray) -> float:
    """Time from the onset at which the dipole is strongest."""
    time = np.arange(0, 0.2, 0.001)
    return float(time[np.linalg.norm(_bumps(waves, time), axis=0).argmax()])


def _add_waves(dipole: np.ndarray, waves: np.ndarray, onset: float, sampling_rate: float, strength: float) -> None:
    """Add one beat's waves to the dipole (3, samples), over the samples that they reach."""
    first = max(0, math.ceil((onset - 0.1) * sampling_rate))
    last = min(dipole.shape[1], math.ceil((onset + _LONGEST_BEAT) * sampling_rate))
    if first < last:
        dipole[:, first:last] += strength * _bumps(waves, np.arange(first, last) / sampling_rate - onset)


def _pacing_spike(sampling_rate: float) -> np.ndarray:
    """Half a millisecond of stimulus as a recorder of this sampling rate shows it: wider and lower."""
    width = max(0.001, 0.6 / sampling_rate)
    height = 2.5 * 0.001 / width + 0.25
    return np.array([[-0.01, width, width, 1, *(height * np.array([0.35, -0.85, -0.4]))]])


def _rhythm(parameters: EcgParameters, duration: float, rng: np.random.Generator) -> list[tuple[str, float, float]]:
    """Kind, onset of P and onset of QRS of each beat, from before the recording to after it.

    A P wave that is not conducted, because a ventricular beat came before it, has the kind "dropped".
    """
    fibrillation = "AFIB" in parameters.statements
    usual = "paced" if "PACE" in parameters.statements else "conducted"
    ectopic = {"PAC": "atrial", "PVC": "ventricular"}
    ectopic = next((kind for code, kind in ectopic.items() if code in parameters.statements), None)
    mean = 60 / parameters.heart_rate
    variation = parameters.rr_variation
    phase = rng.uniform(0, 2 * np.pi)
    events = []
    onset = -2 + rng.uniform(0, mean)
    until_ectopic = int(rng.integers(1, 4))
    while onset < duration + 1:
        events.append((usual, onset - parameters.pr, onset))
        if fibrillation:
            interval = max(0.33, mean * rng.gamma(1 / variation**2) * variation**2)
        else:
            breath = math.sin(2 * np.pi * parameters.respiration_rate / 60 * onset + phase)
            interval = mean * (1 + variation * breath + 0.2 * variation * rng.standard_normal())
        # The first ectopic beat comes soon after the recording has begun, so that there is one to be seen.
        until_ectopic -= onset > 0
        if ectopic is None or until_ectopic > 0:
            onset += interval
            continue
        until_ectopic = int(rng.integers(3, 9))
        if ectopic == "atrial":
            early = onset + interval * rng.uniform(0.6, 0.74)
            events.append(("atrial", early - parameters.pr, early))
            onset = early + interval * rng.uniform(1.0, 1.15)
        else:
            early = onset + max(interval * rng.uniform(0.5, 0.65), 0.36)
            events.append(("ventricular", math.nan, early))
            if fibrillation:
                onset = early + interval * rng.uniform(1.1, 1.4)
            else:
                # The sinus node goes on: its next P meets the ventricles refractory, and the pause is compensatory.
                events.append(("dropped", onset + interval - parameters.pr, math.nan))
                onset += 2 * interval
    return events


def _atrial_waves(parameters: EcgParameters, time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dipole (3, samples) of flutter or fibrillation."""
    if not parameters.atrial_vector.any():
        return np.zeros((3, len(time)))
    frequency = parameters.atrial_rate / 60
    start = rng.uniform(0, 2 * np.pi, 6)
    if "AFLT" in parameters.statements:
        phase = 2 * np.pi * frequency * time + start[0]
        sawtooth = sum(np.sin(k * phase) / k * math.exp(-0.06 * k * k) for k in range(1, 5))
        return parameters.atrial_vector[:, None] * sawtooth
    # Fibrillation: the wave fronts wander, and so do rate, strength and direction.
    phase = 2 * np.pi * frequency * time + 1.6 * np.sin(2 * np.pi * 0.7 * time + start[0]) + start[1]
    other = 2 * np.pi * 0.77 * frequency * time + 1.9 * np.sin(2 * np.pi * 0.43 * time + start[2]) + start[3]
    swell = 1 + 0.45 * np.sin(2 * np.pi * 0.31 * time + start[4])
    mixture = np.array([[0.8, 0.7], [0.9, -0.6], [1.0, 0.5]])
    waves = mixture @ np.stack([np.sin(phase) + 0.35 * np.sin(2 * phase + start[5]), np.sin(other)])
    return parameters.atrial_vector[:, None] * swell * waves


def _electrode_noise(
    parameters: EcgParameters, time: np.ndarray, sampling_rate: float, breathing: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Potentials (9, samples): drift and breathing, muscle, mains, each worse where an electrode sticks badly."""
    frequency = rng.uniform(0.04, 0.4, (9, 3))
    phase = rng.uniform(0, 2 * np.pi, (9, 3))
    drift = np.sin(2 * np.pi * frequency[:, :, None] * time + phase[:, :, None]).sum(axis=1)
    noise = parameters.wander * (0.55 * drift + 0.5 * rng.standard_normal((9, 1)) * breathing)
    # White up to some 60 Hz, and falling above.
    white = math.sqrt(sampling_rate / 100) * rng.standard_normal((9, len(time)))
    noise += parameters.muscle * _MUSCLE_AT_ELECTRODE[:, None] * gaussian_filter1d(white, 0.002 * sampling_rate, axis=1)
    if sampling_rate > 2 * 50:
        gain = parameters.mains * rng.standard_normal((9, 1))
        noise += gain * np.sin(2 * np.pi * 50 * time + rng.uniform(0, 2 * np.pi))
    return noise * parameters.contact[:, None]
