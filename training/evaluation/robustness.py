"""Scores on perturbed test recordings, by models and thresholds that were fitted to unperturbed recordings."""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

import numpy as np
from datasets import Dataset

from ...processing.leads_merit import standard_lead
from ..results.result_files import Result
from ..scoring.embeddings import embed
from ..scoring.encoders import TextEncoder
from ..scoring.perturbations import Perturbation, perturbations
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
    for perturbation in _applicable(perturbations(float(test[0]["sampling_rate"]), context.seed), test):
        setting = perturbation.setting()
        name = ", ".join(f"{key} {value}" for key, value in setting.items())
        features = embed(context.encoder, test, perturbation, context.cache, name=name)
        for (task, method, scorer), fitted in zip(scorers, points):
            figures = context.protocols[task].score(scorer(features), fitted, detail=False)
            yield {"task": task, "method": method, "setting": setting, "split": "test"} | figures


def _applicable(changes: Iterable[Perturbation], test: Dataset) -> Iterator[Perturbation]:
    """The perturbations that leave every recording at least one lead; warns of the others."""
    recorded = [{standard_lead(name) for name in names} for names in {tuple(names) for names in test["lead_names"]}]
    for change in changes:
        if change.leads is None or all(leads & set(change.leads) for leads in recorded):
            yield change
        else:
            leads = ", ".join(change.leads)
            warnings.warn(f"no figures with leads {leads} alone: some test recordings have none of them", stacklevel=2)


def _zero_shot(context: EvaluationContext, task: str, features: np.ndarray) -> np.ndarray:
    return zero_shot_scores(context.encoder, features, context.label_embeddings(task))
