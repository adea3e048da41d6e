"""The form of the answers that pipelines give."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["DISCLAIMER", "DoNotRelyWarning", "EcgAnswer", "basis_text", "cautions", "decision_text", "quality_of"]

# Goes with answers that people read.
DISCLAIMER = "Research software, not a medical device: no finding here may guide the care of a patient."


class DoNotRelyWarning(UserWarning):
    """
    Warns of an answer that there are reasons not to trust: those in its `quality`, and its `caution`.

    Example:

    ```python
    >>> import warnings
    >>> warnings.filterwarnings("ignore", category=DoNotRelyWarning)  # doctest: +SKIP

    ```"""


class EcgAnswer(list):
    """
    The labels of one recording by decreasing score, `[{"label": ..., "score": ...}, ...]`, as pipelines of transformers
    return them, with attributes for what concerns the recording as a whole.

    Attributes:
        quality (`dict`): `"abstained"`, `"atypicality"` and `"reasons"`, see [`EcgPipeline`].
        windows (`list[dict]`, *optional*): with `per_window=True`, `"start"` and `"end"` in seconds and the `"labels"`
            of each window of the recording.
        explanation (`dict`, *optional*): with `explain=True`, see [`explain`].
        caution (`str`): why the scores are misleading: labels compete of which none is present by itself. Empty if
            there is no such reason.

    Example:

    ```python
    >>> answer = EcgAnswer([{"label": "normal ECG", "score": 0.93}], quality={"abstained": False})
    >>> answer[0]["label"], answer.quality["abstained"]
    ('normal ECG', False)
    >>> answer.to_dict()
    {'labels': [{'label': 'normal ECG', 'score': 0.93}], 'quality': {'abstained': False}}

    ```"""

    def __init__(
        self,
        labels: Iterable[dict[str, Any]] = (),
        *,
        quality: dict[str, Any] | None = None,
        windows: list[dict[str, Any]] | None = None,
        explanation: dict[str, Any] | None = None,
        caution: str = "",
    ):
        super().__init__(labels)
        self.quality = {} if quality is None else quality
        self.windows = windows
        self.explanation = explanation
        self.caution = caution

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON can hold it; what is absent is left out."""
        names = ("quality", "caution", "windows", "explanation")
        parts = {name: getattr(self, name) for name in names}
        return {"labels": list(self), **{name: part for name, part in parts.items() if part}}


def quality_of(answer: Any) -> Mapping[str, Any]:
    """The quality of the recording, of an [`EcgAnswer`] or of a report; empty for what has none."""
    return answer.get("quality", {}) if isinstance(answer, dict) else getattr(answer, "quality", {})


def cautions(answer: Any, advice: bool = True) -> list[str]:
    """
    What speaks against trusting an answer: the quality of the recording, and the `caution` of an [`EcgAnswer`].

    Args:
        advice: whether to say with which argument of a pipeline the labels do not compete.

    Example:

    ```python
    >>> cautions(EcgAnswer(quality={"reasons": [{"code": "noise", "message": "it is noise"}]}))
    ['it is noise']

    ```"""
    found = [reason["message"] for reason in quality_of(answer).get("reasons", ())]
    if caution := getattr(answer, "caution", ""):
        found.append(f"{caution}: pass multi_label=True to score each by itself" if advice else caution)
    return found


def basis_text(entry: Mapping[str, Any]) -> str:
    """
    What the score of a label rests on.

    Example:

    ```python
    >>> basis_text({"label": "normal ECG", "score": 0.9, "basis": "learned", "reports": 6512})
    'learned from 6,512 reports'
    >>> basis_text({"label": "Osborn waves", "score": 0.1, "basis": "unknown"})
    'unknown'

    ```"""
    if "reports" in entry:
        return f"learned from {entry['reports']:,} reports"
    if "auroc" in entry:
        return f"prompt with AUROC {entry['auroc']:.2f}"
    return entry.get("basis", "")


def decision_text(entry: Mapping[str, Any]) -> str:
    """
    Whether a label is present and how good this decision is, or "" where the model has no threshold for it.

    Example:

    ```python
    >>> decision_text({"label": "normal ECG", "score": 0.9, "present": True, "sensitivity": 0.97, "specificity": 0.8})
    'present (sensitivity 0.97, specificity 0.80)'

    ```"""
    if "present" not in entry:
        return ""
    rates = f"sensitivity {entry['sensitivity']:.2f}, specificity {entry['specificity']:.2f}"
    return f"{'present' if entry['present'] else 'absent'} ({rates})"
