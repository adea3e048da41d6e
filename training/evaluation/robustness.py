"""Scores on perturbed test recordings, by models and thresholds that were fitted to unperturbed recordings."""

from collections.abc import Callable, Collection, Iterator
from functools import partial

import numpy as np

from ..results.result_files import Result
from ..scoring.embeddings import embed
from ..scoring.encoders import TextEncoder
from ..scoring.perturbations import perturbations
from ..scoring.zero_shot import zero_shot_scores
from .context import EvaluationContext


def robustness(context: EvaluationContext, methods: Collection[str]) -> Iterator[Result]:
    """Results of the linear probe, and of zero-shot classification if `methods` names it, for each perturbation."""
    scorers: list[tuple[str, str, Callable[[np.ndarray], np.ndarray]]] = []
    for task in context.tasks:
        if "zero-shot" in methods and isinstance(context.encoder, TextEncoder):
            scorers.append((task, "zero-shot", partial(_zero_shot, context, task)))
        scorers.append((task, "linear-probe", context.probe(task)))
    points = [context.protocols[task].fit(scorer(context.features("validation"))) for task, _, scorer in scorers]
    test = context.dataset["test"]
    for perturbation in perturbations(float(test[0]["sampling_rate"]), context.seed):
        setting = perturbation.setting()
        name = ", ".join(f"{key} {value}" for key, value in setting.items())
        features = embed(context.encoder, test, perturbation, context.cache, name=name)
        for (task, method, scorer), fitted in zip(scorers, points):
            figures = context.protocols[task].score(scorer(features), fitted, detail=False)
            yield {"task": task, "method": method, "setting": setting, "split": "test"} | figures


def _zero_shot(context: EvaluationContext, task: str, features: np.ndarray) -> np.ndarray:
    return zero_shot_scores(context.encoder, features, context.label_embeddings(task))
