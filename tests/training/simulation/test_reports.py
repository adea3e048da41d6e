"""Reports of simulated recordings state what the recordings show."""

import re

import numpy as np
import pytest

from merit.training.simulation.parameters import EcgParameters, sample_parameters
from merit.training.simulation.reports import write_report


def draw(seed: int, *statements: str) -> EcgParameters:
    return sample_parameters(np.random.default_rng(seed), statements)


# Regular expressions for each statement in either language.
WORDS = {
    "SBRAD": r"brady",
    "STACH": r"tachy",
    "SARRH": r"sinus ?arr?h?yth?m",
    "AFIB": r"fibrillation|flimmern",
    "AFLT": r"flutter|vorhofflattern",
    "PACE": r"pace|schrittmacher",
    "PAC": r"atrial (contraction|premature|complex)|supraventri|vorhofextra|\bsves\b",
    "PVC": r"premature ventricular|(?<!supra)ventricular (extra|premature)|\bventrikuläre extra|\bves\b|kammerextra",
    "1AVB": r"first degree|prolonged pr|pq-(zeit )?verl|av block i\b|a-v block i|av-block (i\.|1\.)",
    "CLBBB": r"left bundle|lbbb|linksschenkelblock|\blsb\b",
    "CRBBB": r"right bundle|rbbb|rechtsschenkelblock|\brsb\b",
    "LAFB": r"left anterior (fascicular|hemi)|links-?anteriorer hemi|\blah\b",
    "LVH": r"left ventricular hyper|\blvh\b|linkshyper|linksventrikuläre hyper",
    "RVH": r"right ventricular hyper|rechtshyper|rechtsventrikuläre hyper",
    "IMI": r"inferior|hinterwand",
    "AMI": r"anterior (myocardial|infarct|chest)|anteroseptal|anteriorer infarkt|vorderwand",
    "LMI": r"lateral",
    "STD_": r"\bst[ -](depr|segments|senk|strecken)",
    "INVT": r"t[ -](wave|neg|inversion)|neg(ative|\.) t\b",
    "LVOLT": r"low (limb|voltage|qrs)|niederspannung|niedervolt",
    "NORM": r"\bnormal ecg|no definite path|normales ekg|unauffälliges ekg",
}


@pytest.mark.slow
@pytest.mark.parametrize("language", ["english", "german"])
def test_reports_name_every_statement_and_no_other(language):
    rng = np.random.default_rng(0)
    for seed in range(1200):
        parameters = sample_parameters(np.random.default_rng(seed))
        report = write_report(parameters, language, rng)
        assert report == report.lower()
        assert "\n" not in report
        assert "{" not in report
        named = {code for code, words in WORDS.items() if re.search(words, report.replace("seitenwand", "lateral"))}
        assert named == set(parameters.statements) - {"SR"}, report


def test_reports_of_normal_recordings_often_agree_and_others_vary():
    rng = np.random.default_rng(0)

    def reports(*statements):
        return [write_report(draw(seed, *statements), "english", rng) for seed in range(100)]

    assert reports("NORM").count("sinus rhythm. normal ecg.") > 50
    assert len(set(reports("SBRAD", "CRBBB", "LAFB"))) > 30


def test_reports_state_the_true_rate_of_fibrillation():
    rng = np.random.default_rng(0)
    for seed in range(200):
        parameters = draw(seed, "AFIB")
        report = write_report(parameters, "english", rng)
        assert ("rapid" not in report) or parameters.heart_rate > 100
        assert ("slow" not in report) or parameters.heart_rate < 60
