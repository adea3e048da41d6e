"""Fine-tuning of all weights, for each fraction of the training labels."""

from collections.abc import Iterator

from ..learning.finetuning import fine_tune
from ..results.result_files import Result
from ..scoring.encoders import Finetunable
from ..scoring.protocol import score
from .context import EvaluationContext, fraction_setting


def fine_tuning(context: EvaluationContext, task: str) -> Iterator[Result]:
    """One result for each fraction of the training labels."""
    encoder, protocol = context.encoder, context.protocols[task]
    if not isinstance(encoder, Finetunable):
        return
    for fraction in context.fractions_of(task):
        tuned = fine_tune(encoder.model, encoder.processor, context.dataset, task, protocol, fraction, context.seed)
        yield score(protocol, tuned.scores, task, "fine-tuned", fraction_setting(fraction))
