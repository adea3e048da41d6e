"""Linear probes on frozen features, for each fraction of the training labels."""

from collections.abc import Collection, Iterator

from ..results.result_files import Result
from ..scoring.encoders import Finetunable, TextEncoder
from ..scoring.probes import linear_probe, published_probe
from ..scoring.protocol import score
from ..scoring.zero_shot import linear_start
from .context import EvaluationContext, fraction_setting


def linear_probes(context: EvaluationContext, task: str, methods: Collection[str]) -> Iterator[Result]:
    """
    Results of the probes that `methods` name: "linear-probe" starts from zero, "linear-probe-from-zero-shot" from the
    zero-shot classifier. The published protocol adds the probe of the literature.
    """
    encoder, protocol, features = context.encoder, context.protocols[task], context.features_of_all()
    start = None
    if (
        "linear-probe-from-zero-shot" in methods
        and isinstance(encoder, TextEncoder)
        and isinstance(encoder, Finetunable)
    ):
        start = linear_start(encoder, context.label_embeddings(task), features["train"])  # type: ignore[arg-type]
    for fraction in context.fractions_of(task):
        setting = fraction_setting(fraction)
        if "linear-probe" in methods:
            probe = context.probe(task, fraction)
            scores = {split: probe(features[split]) for split in context.scored_splits}
            yield score(protocol, scores, task, "linear-probe", setting)
        if start is not None:
            probe = linear_probe(features, protocol, fraction, start)
            scores = {split: probe(features[split]) for split in context.scored_splits}
            yield score(protocol, scores, task, "linear-probe", {**setting, "start": "zero-shot"})
        if context.published_protocol and "linear-probe" in methods:
            for selection, scores in published_probe(features, protocol, fraction, seed=context.seed).items():
                published = {**setting, "protocol": "published", "selection": selection}
                yield score(protocol, scores, task, "linear-probe", published)
