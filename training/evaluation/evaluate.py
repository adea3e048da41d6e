"""Evaluation of an encoder on one data set by several methods: the command `merit evaluate`.

    >>> encoder = CheckpointEncoder(model, processor)  # doctest: +SKIP
    >>> results = evaluate(encoder, load_data("path/to/ptbxl"), ["super"], ["zero-shot"])  # doctest: +SKIP
    >>> results[0]["metrics"]["auroc"]  # doctest: +SKIP
    {'value': 0.82145, 'low': 0.80922, 'high': 0.83313}

Each method is a function of an [`EvaluationContext`] in a file of its own. Any encoder can be evaluated, see
`merit.training.scoring.encoders`; `merit.training.scoring.protocol` says how scores are measured.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from datasets import DatasetDict

from ..results.result_files import Result
from ..scoring.encoders import EcgEncoder
from ..scoring.probes import FRACTIONS
from ..scoring.protocol import task_names
from .context import EvaluationContext
from .finetuning import fine_tuning
from .linear_probe import linear_probes
from .nearest_neighbours import nearest_neighbours
from .retrieval import retrieval
from .robustness import robustness
from .shift import shift
from .zero_shot import zero_shot

# The default methods; fine-tuning takes hours and has to be requested.
METHODS = ("zero-shot", "linear-probe", "linear-probe-from-zero-shot", "knn", "retrieval", "robustness")
ALL_METHODS = (*METHODS, "fine-tuned")
_LINEAR_PROBES = {"linear-probe", "linear-probe-from-zero-shot"}


def evaluate(
    encoder: EcgEncoder,
    dataset: DatasetDict,
    tasks: Sequence[str] | None = None,
    methods: Sequence[str] = METHODS,
    cache: str | Path | None = None,
    published_protocol: bool = False,
    shift_to: Sequence[DatasetDict] = (),
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    resamples: int = 1000,
    log: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """
    Measure an encoder on the test split of a data set.

    Args:
        encoder: a [`CheckpointEncoder`], or any [`EcgEncoder`]. Zero-shot classification and retrieval also need a
            [`TextEncoder`], fine-tuning a [`Finetunable`]; methods that the encoder does not support are left out.
        dataset: as `load_data` returns it. Probes need "train"; thresholds and hyperparameters need "validation".
        tasks: all of the data set if None.
        methods: of `ALL_METHODS`.
        cache: folder of cached embeddings.
        published_protocol: also measure as the literature does: probes selected on test, scores after a softmax.
        shift_to: other data sets; the tasks that share labels with this one are measured on their test splits.
        seed: of noise and fine-tuning.
        fractions: of the training labels, for probes and fine-tuning, in ascending order.
        resamples: number of bootstrap resamples.
        log: is called with each result when it is ready.

    Returns:
        results as they stand in a result file: task, method, setting (what differs from the default of the method),
        split, and the figures of [`Protocol.score`].

    Raises:
        ValueError: for an unknown task or method, an invalid fraction, or a missing split.
    """
    tasks = task_names(dataset) if tasks is None else list(tasks)
    if unknown := [task for task in tasks if task not in task_names(dataset)]:
        raise ValueError(f"The data set has no task {', '.join(unknown)}; it has {', '.join(task_names(dataset))}.")
    if unknown := [method for method in methods if method not in ALL_METHODS]:
        raise ValueError(f"There is no method {', '.join(unknown)}; there are {', '.join(ALL_METHODS)}.")
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions) or list(fractions) != sorted(fractions):
        raise ValueError(
            f"Fractions of the labels must be above 0 and at most 1, in ascending order, not {list(fractions)}."
        )
    trained = set(methods) & {*_LINEAR_PROBES, "knn", "robustness", "fine-tuned"}
    needed = ["train", "validation", "test"] if trained or (shift_to and "train" in dataset) else ["test"]
    if missing := [split for split in needed if split not in dataset]:
        raise ValueError(f"The data set has no split {', '.join(missing)}, which {', '.join(methods)} need.")
    context = EvaluationContext(encoder, dataset, tasks, cache, published_protocol, seed, fractions, resamples)
    return collect(_results(context, methods, shift_to), log)


def _results(context: EvaluationContext, methods: Collection[str], shift_to: Sequence[DatasetDict]) -> Iterator[Result]:
    for task in context.tasks:
        if "zero-shot" in methods:
            yield from zero_shot(context, task)
        if _LINEAR_PROBES & set(methods):
            yield from linear_probes(context, task, methods)
        if "knn" in methods:
            yield from nearest_neighbours(context, task)
        if "fine-tuned" in methods:
            yield from fine_tuning(context, task)
    if "retrieval" in methods:
        yield from retrieval(context)
    if "robustness" in methods:
        yield from robustness(context, methods)
    for target in shift_to:
        yield from shift(context, target)


def collect(results: Iterable[Result], log: Callable[[Result], None]) -> list[Result]:
    """All results, each passed to `log` as soon as it is ready."""
    collected = []
    for result in results:
        log(result)
        collected.append(result)
    return collected
