"""Checks heart rate and intervals against the truth of simulated ECGs, and the irregularity of rhythms on PTB-XL.

python benchmarks/delineation.py --data $PTBXL_ROOT [--records N] [--output results.json]
"""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from options import data_parser

from merit.delineation import MOST_IRREGULAR, irregularity, measure
from merit.processing.beats_merit import find_beats
from merit.processing.inputs_merit import recording_of_row
from merit.processing.leads_merit import STANDARD_LEADS
from merit.training.batching.collator import ecg_rows
from merit.training.data.catalogue import load_data
from merit.training.results.result_files import provenance, write_json
from merit.training.simulation.heart import simulate_ecg
from merit.training.simulation.parameters import sample_parameters

ECTOPIC = {"PAC", "PVC", "PRC(S)", "BIGU", "TRIGU"}
LIMITS = {0.03, 0.05, 0.07, MOST_IRREGULAR, 0.15}


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--records", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    errors: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, list[bool]] = defaultdict(list)
    for record in range(args.records):
        rng = np.random.default_rng([args.seed, record])
        parameters = sample_parameters(rng)
        ecg = simulate_ecg(parameters, 10.0, 500, rng=rng)
        measured = measure(ecg.signal, 500, STANDARD_LEADS)
        peaks = [beat.r_peak for beat in ecg.beats]
        truth = {
            "heart rate, per minute": 60 * (len(peaks) - 1) / (peaks[-1] - peaks[0]),
            "PR, ms": 1000 * parameters.pr,
            "QRS, ms": 1000 * parameters.qrs_duration,
            "QT, ms": 1000 * parameters.qt,
        }
        for (name, true), value in zip(truth.items(), (measured.heart_rate, measured.pr, measured.qrs, measured.qt)):
            if math.isnan(true):
                counts["PR measured where there are no P waves"].append(value is not None)
                continue
            counts[f"{name}: measured"].append(value is not None)
            if value is not None:
                errors[name].append(value - true)
    figures = {
        name: {
            "mean error": round(float(np.mean(values)), 1),
            "median absolute error": round(float(np.median(np.abs(values))), 1),
            "90 % within": round(float(np.quantile(np.abs(values), 0.9)), 1),
        }
        for name, values in errors.items()
    }
    shares = {name: round(float(np.mean(values)), 3) for name, values in counts.items()}
    rhythms = irregular_rhythms(load_data(args.data)["validation"])
    print(figures, shares, rhythms, sep="\n")
    if args.output:
        results = {"records": args.records, "errors": figures, "shares": shares, "irregular_on_fold_9": rhythms}
        write_json(args.output, {**provenance(), **results})


def irregular_rhythms(dataset: Dataset) -> dict[str, dict[str, float]]:
    """The share of recordings of a rhythm whose irregularity is above each threshold."""
    found: dict[str, list[float]] = {"atrial fibrillation": [], "sinus rhythm": [], "sinus rhythm, ectopic beats": []}
    signals: Any = ecg_rows(dataset, "codes")
    for row in signals:
        codes = set(row["codes"])
        if "AFIB" in codes:
            rhythm = "atrial fibrillation"
        elif "SR" in codes:
            rhythm = "sinus rhythm, ectopic beats" if codes & ECTOPIC else "sinus rhythm"
        else:
            continue
        recording = recording_of_row(row)
        beats = find_beats(np.nan_to_num(recording.physical()), recording.sampling_rate)
        if len(beats) > 2:
            found[rhythm].append(irregularity(beats))
    return {
        rhythm: {
            "records": len(values),
            "above": {f"{limit:g}": round(float(np.mean(np.array(values) > limit)), 3) for limit in sorted(LIMITS)},
        }
        for rhythm, values in found.items()
    }


if __name__ == "__main__":
    main()
