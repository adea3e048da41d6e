"""The table of what was tried for a better encoder, from results/encoder-trials."""

from statistics import mean
from typing import Any

from . import RESULTS, read, section

FOLDER = RESULTS / "encoder-trials"
AS_IT_IS = "as-it-is"


def encoder_trials() -> str:
    """Figures of fold 9 of each trial, and what it gains over the recipe; empty without results."""
    files = {path.stem: read(path) for path in sorted(FOLDER.glob("*.json"))}
    if AS_IT_IS not in files:
        return ""
    files = {AS_IT_IS: files.pop(AS_IT_IS), **files}
    base = figures(files[AS_IT_IS])
    rows = [
        [
            name,
            f"{content['seconds'] / 60:.0f} min",
            *(cell(value, base[title]) for title, value in figures(content).items()),
        ]
        for name, content in files.items()
    ]
    steps = next(setting for setting in files[AS_IT_IS]["settings"] if "max_steps" in setting).split("=")[1]
    tasks = ", ".join(files[AS_IT_IS]["macro_auc"]["linear-probe"])
    text = (
        f"**Ideas for a better encoder**, each changing one thing of the recipe ptbxl-tiny, after {steps} steps, one "
        f"seed: macro AUROC on fold 9 in percent, mean of {tasks}, and the gain over the recipe. Noise is white, 6 dB, "
        "mean of super and all. [benchmarks/encoder_trials.py](../benchmarks/encoder_trials.py) says what each changes "
        "([files](../benchmarks/results/encoder-trials)). Two trials ran at the same time, so the minutes are "
        "approximate."
    )
    return section(text, ["time of training", *base], rows)


def figures(content: dict[str, Any]) -> dict[str, float]:
    measured = content["macro_auc"]
    titles = {
        "linear-probe": "linear probe",
        "zero-shot": "zero-shot with prompts",
        "noise": "linear probe under noise",
    }
    return {title: 100 * mean(measured[method].values()) for method, title in titles.items()}


def cell(value: float, base: float) -> str:
    return f"{value:.1f}" if value == base else f"{value:.1f} ({value - base:+.1f})"
