"""How errors in the published labels of Chapman-Shaoxing-Ningbo (CSN) limit the score of a perfect classifier.

    python benchmarks/csn_label_errors.py --splits FOLDER [--output results.json]

The published row list sets a label wherever its acronym is part of another one. Compared with the diagnoses in the same
rows, matched by whole acronyms: the number of test records with a false label, and the macro AUROC and F1 that the
diagnoses themselves reach when scored with the published labels. FOLDER holds the published lists.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, roc_auc_score

from merit.training.data.label_maps import CSN_LABELS
from merit.training.results.result_files import provenance, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", required=True, type=Path, help="folder that contains chapman/chapman_test.csv")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    rows = pd.read_csv(args.splits / "chapman" / "chapman_test.csv")
    labels = [label for label in CSN_LABELS if label in rows]
    published = rows[labels].to_numpy(bool)
    diagnoses = [{code.strip() for code in text.split(",")} for text in rows["diagnose"].astype(str)]
    true = np.array([[label in codes for label in labels] for codes in diagnoses])
    false = published & ~true
    defined = [i for i in range(len(labels)) if 0 < published[:, i].sum() < len(rows)]
    results = {
        "test_records": len(rows),
        "records_with_a_false_label": int(false.any(1).sum()),
        "labels_never_missing": not (true & ~published).any(),
        "macro_auroc_of_the_diagnoses": roc_auc_score(published[:, defined], true[:, defined], average="macro"),
        "macro_f1_of_the_diagnoses": f1_score(published[:, defined], true[:, defined], average="macro"),
        "labels": {
            label: {"published": int(published[:, i].sum()), "false": int(false[:, i].sum())}
            for i, label in enumerate(labels)
            if false[:, i].any()
        },
    }
    for name, value in results.items():
        print(f"{name}: {value}")
    if args.output:
        write_json(args.output, {**provenance(), "results": results})


if __name__ == "__main__":
    main()
