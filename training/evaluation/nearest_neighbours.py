"""k-nearest-neighbours classification on frozen features."""

from collections.abc import Iterator

from ..results.result_files import Result
from ..scoring import probes
from ..scoring.protocol import score
from .context import EvaluationContext


def nearest_neighbours(context: EvaluationContext, task: str) -> Iterator[Result]:
    """One result, with the number of neighbours chosen on "validation"."""
    protocol = context.protocols[task]
    scores, number = probes.nearest_neighbours(context.features_of_all(), protocol)
    yield score(protocol, scores, task, "knn", {}) | {"chosen": {"neighbours": number}}
