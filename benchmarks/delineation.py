"""Checks heart rate and intervals against the truth of simulated ECGs.

python benchmarks/delineation.py [--records N] [--output results.json]
"""

import argparse
import math
from collections import defaultdict
from pathlib import Path

import numpy as np

from merit.delineation import measure
from merit.processing.leads_merit import STANDARD_LEADS
from merit.training.results.result_files import provenance, write_json
from merit.training.simulation.heart import simulate_ecg
from merit.training.simulation.parameters import sample_parameters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    print(figures, shares, sep="\n")
    if args.output:
        write_json(args.output, {**provenance(), "records": args.records, "errors": figures, "shares": shares})


if __name__ == "__main__":
    main()
