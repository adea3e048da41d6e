"""
How well recordings are told that are not an ECG, or not a correct one.

    python benchmarks/trust_disturbances.py runs/calibrated --data ptbxl --external cpsc2018 chapman_shaoxing_ningbo

Fold 9 of PTB-XL gives the scale of every measure, fold 10 is reported. The score of a recording is its most extreme
measure: the distance from the median of fold 9, relative to that of its 99.5 % quantile. For each disturbance: the
AUROC of this score, the sensitivity at 2 % false alarms, the share with a reason at the thresholds of the checkpoint,
the most frequent reasons, and, as before, the AUROC of the atypicality alone. The checks were fitted to rates x2 and
x0.5 and no other disturbance.

Recordings of other hospitals are as their data sets have them, and some have a faulty lead: it stands still for longer,
or drifts further, than any lead of 98 % of fold 9. The share with a reason is given for all of them, and for those
without a faulty lead.
"""

import argparse
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy.ndimage import median_filter
from sklearn.metrics import roc_auc_score

from merit.hub_cards.export import load
from merit.processing.leads_merit import STANDARD_LEADS, millivolts_per
from merit.processing.quality_merit import MEASURES, assess, signal_measures
from merit.processing.recordings_merit import read_recording
from merit.training.data.catalogue import load_data
from merit.training.results.result_files import FORMAT, provenance, write_json
from merit.training.scoring.embeddings import batches

FALSE_ALARMS = 0.02
RNG = np.random.default_rng(0)
# A disturbed recording `(12, samples)` in millivolts, from one in millivolts and its time in seconds `(samples,)`.
Disturbance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def arms_exchanged(ecg: np.ndarray, time: np.ndarray) -> np.ndarray:
    return np.concatenate([-ecg[:1], ecg[[2, 1, 4, 3]], ecg[5:]])


def electrode_pop(ecg: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Steps of about 3 mV, three in each of four leads."""
    popped = ecg.copy()
    for lead in RNG.choice(12, 4, replace=False):
        for start in RNG.integers(0, ecg.shape[1], 3):
            popped[lead, start:] += 3 * RNG.normal()
    return popped


def consistent_noise(ecg: np.ndarray, time: np.ndarray) -> np.ndarray:
    """White noise whose limb leads keep their relations, as from unconnected electrodes."""
    one, two, *chest = 0.3 * RNG.normal(size=(8, len(time)))
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *chest])


def right_electrodes_exchanged(ecg: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The electrodes of right arm and right leg: II is the difference between the legs, almost flat."""
    one, two = -ecg[2], 0.005 * RNG.normal(size=len(time))
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *ecg[6:]])


def copied_leads(ecg: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Two leads are copies of a third."""
    copied = ecg.copy()
    source, *targets = RNG.choice(12, 3, replace=False)
    copied[targets] = ecg[source]
    return copied


def drop_outs(ecg: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Three gaps of 1 s, each in one lead."""
    gaps = ecg.copy()
    for start in RNG.uniform(0, time[-1] - 1, 3):
        gaps[RNG.integers(12), (time >= start) & (time < start + 1)] = 0
    return gaps


def clipped(ecg: np.ndarray, time: np.ndarray) -> np.ndarray:
    limit = 0.4 * np.abs(ecg).max()
    return ecg.clip(-limit, limit)


DISTURBANCES: dict[str, Disturbance] = {
    "right and left arm exchanged": arms_exchanged,
    "leads shuffled": lambda ecg, time: ecg[RNG.permutation(12)],
    "inverted": lambda ecg, time: -ecg,
    "time reversed": lambda ecg, time: ecg[:, ::-1],
    "unit uV called mV": lambda ecg, time: 1000 * ecg,
    "unit mV called uV": lambda ecg, time: ecg / 1000,
    "gain x10": lambda ecg, time: 10 * ecg,
    "gain x5": lambda ecg, time: 5 * ecg,
    "gain x0.1": lambda ecg, time: ecg / 10,
    "white noise, 0.2 mV": lambda ecg, time: 0.2 * RNG.normal(size=ecg.shape),
    "white noise, 5 uV": lambda ecg, time: 0.005 * RNG.normal(size=ecg.shape),
    "white noise, consistent limb leads": consistent_noise,
    "constant with noise": lambda ecg, time: 1 + 0.02 * RNG.normal(size=ecg.shape),
    "mains": lambda ecg, time: 0.3 * np.sin(2 * np.pi * 49.7 * time + RNG.uniform(0, 6, (12, 1))),
    "sine": lambda ecg, time: RNG.uniform(0.3, 1, (12, 1)) * np.sin(2 * np.pi * RNG.uniform(0.8, 10) * time),
    "muscle noise, 0.5 mV, on the ECG": lambda ecg, time: ecg + 0.5 * RNG.normal(size=ecg.shape),
    "electrode pop": electrode_pop,
    "right arm and right leg exchanged": right_electrodes_exchanged,
    "right arm and left leg exchanged": lambda ecg, time: np.stack([*-ecg[[2, 1, 0]], *ecg[[5, 4, 3, *range(6, 12)]]]),
    "left arm and left leg exchanged": lambda ecg, time: np.stack(
        [*ecg[[1, 0]], -ecg[2], *ecg[[3, 5, 4, *range(6, 12)]]]
    ),
    "limb and chest leads exchanged": lambda ecg, time: np.roll(ecg, 6, axis=0),
    "V1 and V2 exchanged": lambda ecg, time: ecg[[*range(6), 7, 6, *range(8, 12)]],
    "limb leads inverted": lambda ecg, time: np.concatenate([-ecg[:6], ecg[6:]]),
    "chest leads inverted": lambda ecg, time: np.concatenate([ecg[:6], -ecg[6:]]),
    "two leads copies of a third": copied_leads,
    "lead I in all leads": lambda ecg, time: np.repeat(ecg[:1], 12, axis=0),
    "drop-outs of 1 s": drop_outs,
    "clipped": clipped,
    "hum of 60 Hz, 0.3 mV": lambda ecg, time: ecg + 0.3 * np.sin(2 * np.pi * 60 * time),
    "sine of 0.5 Hz": lambda ecg, time: np.repeat(np.sin(np.pi * time)[None], 12, axis=0),
}
RATES = {f"rate x{factor:g}": factor for factor in (2, 0.5, 2.5, 3)}
HARMLESS = {"the first 5 s": 5.0, "the first 2.5 s": 2.5}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder with a calibrated checkpoint")
    parser.add_argument("--data", required=True, help="PTB-XL's own folder or a prepared data set")
    parser.add_argument("--external", nargs="*", default=[], help="folders of WFDB records of other hospitals")
    parser.add_argument("--records", type=int, help="draw so many records of each fold; all by default")
    parser.add_argument("--output", default="benchmarks/results/trust-disturbances.json")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    data = load_data(options.data)
    measure = Measure(options.model)
    splits = {split: drawn(data[split], options.records) for split in ("validation", "test")}
    null = measure.of(recordings(splits["validation"], None))
    usual = measure.of(recordings(splits["test"], None))
    figures: dict[str, Any] = {"unchanged": {"records": len(usual), "with_a_reason": usual.share(), **usual.top()}}
    for name, disturb in DISTURBANCES.items():
        figures[name] = compare(null, usual, measure.of(recordings(splits["test"], disturb)))
    for name, factor in RATES.items():
        figures[name] = compare(null, usual, measure.of(recordings(splits["test"], None), factor))
    for name, seconds in HARMLESS.items():
        found = measure.of(recordings(splits["test"], lambda ecg, time, s=seconds: ecg[:, time < s]))
        figures[name] = {"with_a_reason": found.share(), **found.top()}
    if options.external:
        figures |= of_other_hospitals(measure, options.external, splits["validation"])
    for name, figure in figures.items():
        print(f"{name:40} {figure}")
    content = {"format": FORMAT, "model": Path(options.model).name, "disturbances": figures}
    write_json(options.output, content | provenance())


def drawn(rows: Dataset, count: int | None) -> Dataset:
    return rows.select(np.random.default_rng(0).permutation(len(rows))[:count])


def recordings(rows: Dataset, disturb: Disturbance | None) -> Iterator[np.ndarray]:
    """Recordings at 100 Hz in millivolts, `(12, samples)`."""
    for batch in batches(rows):
        for row in batch:
            ecg = np.asarray(row["signal"], np.float64).reshape(12, -1) / np.asarray(row["gain"])[:, None]
            yield ecg if disturb is None else disturb(ecg, np.arange(ecg.shape[1]) / row["sampling_rate"])


def of_other_hospitals(measure: "Measure", folders: Sequence[str], validation: Dataset) -> dict[str, Any]:
    """Figures of the WFDB records in each folder, and of those without a faulty lead."""
    faults = np.array([lead_faults(ecg, 100) for ecg in recordings(validation, None)])
    largest = np.quantile(faults, 1 - FALSE_ALARMS, axis=0)
    figures = {}
    for folder in map(Path, folders):
        paths = [str(path.with_suffix("")) for path in sorted(folder.glob("*.hea"))]
        found = measure.of(paths)
        intact = found.where([(lead_faults(*in_millivolts(path)) <= largest).all() for path in paths])
        for name, some in ((folder.name, found), (f"{folder.name}, without a faulty lead", intact)):
            if len(some):
                figures[f"recordings of {name}"] = {"records": len(some), "with_a_reason": some.share(), **some.top()}
    return figures


def in_millivolts(path: str) -> tuple[np.ndarray, float]:
    """The samples `(leads, samples)` of a record, and its sampling rate."""
    recording = read_recording(path)
    units = np.array([[millivolts_per(unit)] for unit in recording.units], float)
    return recording.physical() * units, recording.sampling_rate


def lead_faults(ecg: np.ndarray, sampling_rate: float) -> np.ndarray:
    """
    What the worst lead of a recording in millivolts, `(leads, samples)`, does: `(2,)`.

    Returns:
        the longest time in seconds in which a lead keeps its value or has none, and the largest span of a baseline in
        millivolts, which is the median over 0.6 s.
    """
    still, drift = [], []
    step = max(1, round(sampling_rate / 100))  # a filter would hide that a lead stands still
    for lead in np.nan_to_num(ecg[:, ::step]):
        changes = np.flatnonzero(np.diff(lead, prepend=np.nan, append=np.nan) != 0)
        still.append(np.diff(changes).max() * step / sampling_rate)
        drift.append(np.ptp(median_filter(lead, size=round(0.6 * sampling_rate / step), mode="nearest")))
    return np.array([max(still), max(drift)])


class Found:
    """Measures `(records, measures)`, each higher for more suspicious recordings, and the reasons of each record."""

    def __init__(self, measures: np.ndarray, reasons: list[list[str]]):
        self.measures, self.reasons = measures, reasons

    def __len__(self) -> int:
        return len(self.reasons)

    def where(self, kept: list[bool]) -> "Found":
        return Found(self.measures[kept], [codes for codes, is_kept in zip(self.reasons, kept) if is_kept])

    def share(self) -> float:
        return round(float(np.mean([bool(codes) for codes in self.reasons])), 4)

    def top(self) -> dict[str, Any]:
        # Reasons that are equally frequent stand in the order in which they are found.
        counts = Counter(code for codes in self.reasons for code in dict.fromkeys(codes))
        return {"reasons": {code: round(count / len(self), 4) for code, count in counts.most_common(4)}}

    def scores(self, null: "Found") -> np.ndarray:
        """The most extreme measure of each recording on the scale of `null`, where 1 is the 99.5 % quantile."""
        middle, extreme = np.quantile(null.measures, [0.5, 0.995], axis=0)
        return ((self.measures - middle) / (extreme - middle)).max(1)


def compare(null: Found, usual: Found, disturbed: Found) -> dict[str, Any]:
    target = np.repeat([0, 1], [len(usual), len(disturbed)])
    one, other = usual.scores(null), disturbed.scores(null)
    atypicality = [found.measures[:, 0] for found in (usual, disturbed)]
    return {
        "auroc": round(roc_auc_score(target, np.r_[one, other]), 4),
        "sensitivity_at_2_percent": round(float(np.mean(other > np.quantile(one, 1 - FALSE_ALARMS))), 4),
        "with_a_reason": disturbed.share(),
        **disturbed.top(),
        "before": {
            "auroc": round(roc_auc_score(target, np.concatenate(atypicality)), 4),
            "sensitivity_at_2_percent": round(
                float(np.mean(atypicality[1] > np.quantile(atypicality[0], 1 - FALSE_ALARMS))), 4
            ),
        },
    }


class Measure:
    """Measures recordings as the pipelines do."""

    def __init__(self, model: str):
        network, processor = load(model)
        self.model: Any = network.eval()
        # Any amplitude, to see whether a wrong unit is told by more than the error of the feature extractor.
        self.extractor = processor.feature_extractor.with_settings(  # type: ignore[attr-defined]
            long_recordings="window", max_amplitude=1e6, ignore_unknown_leads=True, sampling_rate_range=[20, 2000]
        )
        self.encoder = self.model.merit.ecg_model if hasattr(self.model, "merit") else self.model.ecg_model

    @torch.inference_mode()
    def of(self, ecgs: Any, rate_factor: float = 1.0) -> Found:
        """The measures of arrays at 100 Hz whose rate is stated `rate_factor` times too high, or of files."""
        measures, reasons, ecgs = [], [], list(ecgs)
        described = {} if isinstance(ecgs[0], str) else {"leads": list(STANDARD_LEADS), "units": "mV"}
        if described:
            described["sampling_rate"] = 100 * rate_factor
        for start in range(0, len(ecgs), 64):
            batch = self.extractor(ecgs[start : start + 64], return_tensors="pt", padding="max_length", **described)
            masks = batch["lead_mask"], batch["sample_mask"]
            signal = signal_measures(batch["ecg_values"], *masks, STANDARD_LEADS)
            features = self.encoder(batch["ecg_values"], *masks).pooler_output
            for record in range(int(batch["record_index"].max()) + 1):
                own = batch["record_index"] == record
                feature, of_signal = features[own].mean(0), signal[own].nanmedian(0).values
                partial = not all(mask[own].all() for mask in masks)
                quality = assess(self.model, feature, of_signal, STANDARD_LEADS, partial=partial)
                reasons.append([reason["code"] for reason in quality["reasons"]])
                amplitude, limb_error, noise, arms, polarity = of_signal[: len(MEASURES)].tolist()
                noisiest = of_signal[len(MEASURES) :].nan_to_num().max().item()
                checks = self.model.quality_logits(feature[None])[0].tolist()
                signs = amplitude, -amplitude, limb_error, noise, noisiest, -arms, -polarity
                row = [quality["atypicality"], *signs, *checks]
                measures.append(np.nan_to_num(row, nan=-1e9))
        return Found(np.array(measures), reasons)


if __name__ == "__main__":
    main()
