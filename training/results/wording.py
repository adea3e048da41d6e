"""Names of metrics, methods and settings in tables, and the format of figures."""

import math
from collections.abc import Callable, Mapping
from typing import Any

_METRICS = {
    "auroc": "macro AUROC",
    "auroc_weighted": "weighted AUROC",
    "auprc": "macro AUPRC",
    "f1": "macro F1",
    "f1_oracle_threshold": "macro F1 at thresholds chosen on test",
    "brier": "Brier score",
    "ece": "calibration error",
    **{f"bleu_{order}": f"BLEU-{order}" for order in range(1, 5)},
    **{f"rouge_{kind}": f"ROUGE-{kind.upper()}" for kind in "12l"},
    "meteor": "METEOR",
    "meteor_exact_stem": "METEOR of exact and stemmed words",
    "statements_f1": "F1 of statements",
    "normal_with_pathology": "normal and pathological at once",
    "wrong_side": "left for right",
    "auroc_by_atypicality": "AUROC by atypicality",
    "auroc_by_doubt": "AUROC by doubt",
    "auroc_within_statements": "AUROC within statements",
    "auroc_over_statements": "AUROC over all statements",
}
# Other methods keep the name that they have in the file.
_METHODS = {
    "linear-probe": "linear probe",
    "knn": "nearest neighbours",
    "report-generation": "reports",
    "abstention": "recordings",
    "support": "right against wrong statements by their support",
}
# Settings in words, in the order in which they are named; other settings keep their name and value.
_SETTINGS: dict[str, Callable[[Any], str]] = {
    "direction": str,
    "reports": str,
    "decoding": str,
    "recordings": str,
    "language": lambda language: {"en": "English prompts", "de": "German prompts", "both": "prompts"}[language],
    "leads": lambda leads: f"leads {' '.join(leads)}",
    "noise": lambda kind: f"{kind} noise",
    "noise_db": lambda ratio: f"{ratio:g} dB",
    "sampling_rate": lambda rate: f"{rate:g} Hz",
    "seconds": lambda seconds: f"{seconds:g} s",
    "train_fraction": lambda fraction: f"{100 * fraction:g} % of the labels",
    "start": lambda start: f"from {start}",
}


def metric_name(metric: str) -> str:
    """
    The name of a metric.

    Example:
        >>> metric_name("auroc"), metric_name("recall_at_10")
        ('macro AUROC', 'recall at 10')
    """
    return _METRICS.get(metric, metric.replace("_", " "))


def how_measured(method: str, setting: Mapping[str, Any]) -> str:
    """
    Method and setting of a result in words.

    Example:
        >>> how_measured("linear-probe", {"train_fraction": 0.1})
        'linear probe, 10 % of the labels'
    """
    return ", ".join([_METHODS.get(method, method), *setting_in_words(setting)])


def setting_in_words(setting: Mapping[str, Any]) -> list[str]:
    """The settings of a result that differ from the default of its method."""
    order = [key for key in _SETTINGS if key in setting] + [key for key in setting if key not in _SETTINGS]
    return [_SETTINGS[key](setting[key]) if key in _SETTINGS else f"{key} {setting[key]}" for key in order]


def cell(figure: Mapping[str, Any] | None, metric: str) -> str:
    """
    A figure with its interval, in percent except for ranks; "-" for a missing figure.

    Args:
        figure: with "value", "low" and "high", missing as None or NaN.

    Example:
        >>> cell({"value": 0.915, "low": 0.9, "high": 0.93}, "auroc")
        '91.5 (90.0 to 93.0)'
    """
    if figure is None or _missing(figure["value"]):
        return "-"
    scale, digits = (1, 0) if metric == "median_rank" else (100, 1)
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    text = f"{scale * value:.{digits}f}"
    return text if _missing(low) else f"{text} ({scale * low:.{digits}f} to {scale * high:.{digits}f})"


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
