"""Zero-shot classification by report-supervised labels, where the model has them, and by prompts in each language."""

from collections.abc import Iterator

from scipy.special import softmax

from ..results.result_files import Result
from ..scoring.encoders import ReportSupervised, TextEncoder
from ..scoring.protocol import score
from ..scoring.zero_shot import LANGUAGES, zero_shot_scores
from .context import EvaluationContext


def zero_shot(context: EvaluationContext, task: str) -> Iterator[Result]:
    """
    One result without a setting (the scores of the pipeline), and one for each language of the prompts.

    A model with report-supervised labels also gets a result for all prompts, `{"language": "both"}`. The published
    protocol adds scores after a softmax over the labels.
    """
    encoder, protocol = context.encoder, context.protocols[task]
    if not isinstance(encoder, TextEncoder):
        return
    all_prompts = ("both",) if isinstance(encoder, ReportSupervised) and encoder.learned_labels else ()
    for language in (None, *all_prompts, *LANGUAGES):
        labels = context.label_embeddings(task, language)
        scores = {split: zero_shot_scores(encoder, context.features(split), labels) for split in context.scored_splits}
        yield score(protocol, scores, task, "zero-shot", {"language": language} if language else {})
        if context.published_protocol and language is None:
            normalised = {split: softmax(values, axis=1) for split, values in scores.items()}
            yield score(protocol, normalised, task, "zero-shot", {"scores": "softmax"})
