"""How much of PTB-XL's German and Swedish reports the translation glossary covers.

    python benchmarks/translation_coverage.py PTBXL_ROOT [--output results.json]

Reports are cleaned first. A word is covered if the glossary has it, alone or as part of a phrase; a report is covered
if all its words are. Numbers and signs are not counted.
"""

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from merit.training.results.result_files import provenance, write_json
from merit.training.text.cleaning import clean_report, detect_language
from merit.training.text.translation import untranslated

RESULTS = Path(__file__).parent / "results" / "translation-coverage.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="PTB-XL tree")
    parser.add_argument("--output", type=Path, default=RESULTS, help="JSON file for the results")
    args = parser.parse_args()
    covered = coverage(args.root)
    for language, figures in covered.items():
        shares = ", ".join(
            f"{figures[what]['covered_percent']:.3f} % of {figures[what]['all']} {what}" for what in COUNTED
        )
        print(f"{language}: {shares}; {len(figures['missed'])} words missed")
    write_json(args.output, {**provenance(args.root), "coverage": covered})


COUNTED = ("tokens", "distinct_words", "reports", "distinct_reports")


def coverage(root: Path) -> dict[str, dict[str, Any]]:
    """Coverage for each language of the glossary, and the words that are not covered with their counts."""
    column = pd.read_csv(root / "ptbxl_database.csv", usecols=["report"], dtype=str)["report"].fillna("")
    counts = Counter(clean_report(raw) for raw in column)
    return {
        language: _coverage({report: count for report, count in counts.items() if detect_language(report) == language})
        for language in ("de", "sv")
    }


def _coverage(reports: dict[str, int]) -> dict[str, Any]:
    tokens, missed, complete = Counter(), Counter(), {}
    for report, count in reports.items():
        misses = untranslated(report)
        complete[report] = not misses
        for word in re.findall(r"[^\W\d_]+", report):
            tokens[word] += count
        for word in misses:
            missed[word] += count
    whole = [report for report in reports if complete[report]]
    figures = {
        "tokens": (tokens.total(), tokens.total() - missed.total()),
        "distinct_words": (len(tokens), len(tokens) - len(missed)),
        "reports": (sum(reports.values()), sum(reports[report] for report in whole)),
        "distinct_reports": (len(reports), len(whole)),
    }
    return {
        **{
            what: {"all": everything, "covered": covered, "covered_percent": round(100 * covered / everything, 3)}
            for what, (everything, covered) in figures.items()
        },
        "missed": dict(sorted(missed.items(), key=lambda item: (-item[1], item[0]))),
    }


if __name__ == "__main__":
    main()
