"""What a model knows, measured on one data set by every protocol: the command `merit evaluate`.

    >>> encoder = CheckpointEncoder(model, processor)  # doctest: +SKIP
    >>> results = evaluate(encoder, load_data("path/to/ptbxl"), ["super"], ["zero-shot"])  # doctest: +SKIP
    >>> results[0]["metrics"]["auroc"]  # doctest: +SKIP
    {'value': 0.82145, 'low': 0.80922, 'high': 0.83313}

Any encoder will do, see `merit.training.scoring.encoders`; for how scores are measured, see
`merit.training.scoring.protocol`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from ...processing.zero_shot_merit import LabelEmbeddings
from ..batching.collator import SIGNAL_COLUMNS
from ..data.schema import label_names
from ..data.tasks import SHIFTS
from ..learning.finetuning import fine_tune
from ..results.result_files import FORMAT, provenance
from ..scoring import metrics
from ..scoring.embeddings import embed, fingerprint
from ..scoring.encoders import CheckpointClassifier, Encoder
from ..scoring.probes import FRACTIONS, LinearProbe, linear_probe, nearest_neighbours, published_probe
from ..scoring.protocol import Protocol
from ..scoring.zero_shot import LANGUAGES, label_embeddings, linear_start, zero_shot_scores
from .robustness import perturbations

# Measured unless one asks for others; "fine-tuned" takes hours and has to be asked for.
METHODS = ("zero-shot", "linear-probe", "linear-probe-from-zero-shot", "knn", "retrieval", "robustness")
ALL_METHODS = (*METHODS, "fine-tuned")
RECALLED = (1, 5, 10)
Result = dict[str, Any]


def evaluate(
    encoder: Encoder,
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
        encoder: a [`CheckpointEncoder`], or any object with `embed`. Zero-shot and retrieval also need `project` and
            `embed_texts`, fine-tuning a MERIT model; methods that an encoder has no means for are left out.
        dataset: as `load_data` returns it. Probes need "train", thresholds and whatever is chosen "validation".
        tasks: all of the data set if None.
        methods: of `ALL_METHODS`.
        cache: folder that keeps embeddings.
        published_protocol: also measure as the literature does: probes selected on test, scores after a softmax.
        shift_to: other data sets, on whose test splits the tasks that they share with this one are measured.
        seed: of added noise and of fine-tuning.
        fractions: of the training labels, for probes and fine-tuning, the smallest first.
        resamples: of the bootstrap.
        log: is shown each result when it is ready.

    Returns:
        results as they stand in a result file: task, method, setting (what differs from the default), split, and
        what [`Protocol.judge`] returns.

    Raises:
        ValueError: for a task, method or part of the labels that there is not, or a missing split.
    """
    tasks = task_names(dataset) if tasks is None else list(tasks)
    if unknown := [task for task in tasks if task not in task_names(dataset)]:
        raise ValueError(f"The data set has no task {', '.join(unknown)}; it has {', '.join(task_names(dataset))}.")
    if unknown := [method for method in methods if method not in ALL_METHODS]:
        raise ValueError(f"There is no method {', '.join(unknown)}; there are {', '.join(ALL_METHODS)}.")
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions) or list(fractions) != sorted(fractions):
        raise ValueError(f"Parts of the labels lie above 0 and up to 1, the smallest first, not {list(fractions)}.")
    probes = {"linear-probe", "linear-probe-from-zero-shot", "robustness"}
    probed = bool(probes & set(methods)) or bool(shift_to and "train" in dataset)
    trained = probed or bool({"knn", "fine-tuned"} & set(methods))
    needed = ["train", "validation", "test"] if trained else ["test"]
    if missing := [split for split in needed if split not in dataset]:
        raise ValueError(f"The data set has no split {', '.join(missing)}, which {', '.join(methods)} need.")
    results = _results(
        encoder, dataset, tasks, methods, cache, published_protocol, shift_to, seed, fractions, resamples, probed
    )
    return collected(results, log)


def collected(results: Iterable[Result], log: Callable[[Result], None]) -> list[Result]:
    """All results, each shown to `log` when it is ready."""
    ready = []
    for result in results:
        log(result)
        ready.append(result)
    return ready


def evaluate_classifier(classifier: CheckpointClassifier, dataset: DatasetDict, resamples: int = 1000) -> list[Result]:
    """
    Judge a fine-tuned classifier on the test split, its thresholds chosen on "validation".

    Returns:
        one result, of the task whose labels the classifier knows.

    Raises:
        ValueError: there is none, or a missing split.
    """
    if missing := [split for split in ("validation", "test") if split not in dataset]:
        raise ValueError(f"The data set has no split {', '.join(missing)}, which a classifier needs.")
    tasks = [task for task in task_names(dataset) if label_names(dataset["test"], task) == classifier.labels]
    if not tasks:
        raise ValueError(
            f"{classifier.name} knows {', '.join(classifier.labels)}, which are not the labels of "
            f"{', '.join(task_names(dataset))}: evaluate it on the data set that it was fine-tuned on."
        )
    scores = {split: embed(classifier, dataset[split], name=split) for split in ("validation", "test")}
    return [judged(protocol_of(dataset, tasks[0], resamples), scores, tasks[0], "fine-tuned", {})]


def _results(
    encoder, dataset, tasks, methods, cache, published_protocol, shift_to, seed, fractions, resamples, probed
) -> Iterator[Result]:
    splits = [
        split
        for split in ("train", "validation", "test")
        if split in dataset and (split != "train" or probed or "knn" in methods)
    ]
    features = {split: embed(encoder, dataset[split], cache=cache, name=split) for split in splits}
    speaks = hasattr(encoder, "embed_texts")
    protocols = {task: protocol_of(dataset, task, resamples) for task in tasks}
    probes: dict[str, LinearProbe] = {}
    labels: dict[str, LabelEmbeddings] = {}
    for task, protocol in protocols.items():
        scored = {split: features[split] for split in ("validation", "test") if split in features}
        if speaks and "zero-shot" in methods:
            by_prompts = ("both",) if getattr(encoder, "learned_labels", None) else ()
            for language in (None, *by_prompts, *LANGUAGES):
                said = label_embeddings(encoder, task, protocol.labels, language)
                labels.setdefault(task, said)
                scores = {split: zero_shot_scores(encoder, values, said) for split, values in scored.items()}
                setting = {"language": language} if language else {}
                yield judged(protocol, scores, task, "zero-shot", setting)
                if published_protocol and language is None:
                    softmax = {split: _softmax(values) for split, values in scores.items()}
                    yield judged(protocol, softmax, task, "zero-shot", {"scores": "softmax"})
        parts = with_records(fractions, protocol) if "train" in dataset else []
        start = None
        if speaks and hasattr(encoder, "model") and "linear-probe-from-zero-shot" in methods:
            start = linear_start(encoder, label_embeddings(encoder, task, protocol.labels), features["train"])
        for fraction in parts if probed else ():
            setting = {"train_fraction": fraction} if fraction < 1 else {}
            probe = linear_probe(features, protocol, fraction)
            probes[task] = probe
            if "linear-probe" in methods:
                yield judged(
                    protocol, {s: probe(values) for s, values in scored.items()}, task, "linear-probe", setting
                )
            if start is not None:
                probe = linear_probe(features, protocol, fraction, start)
                scores = {split: probe(values) for split, values in scored.items()}
                yield judged(protocol, scores, task, "linear-probe", {**setting, "start": "zero-shot"})
            if published_protocol and "linear-probe" in methods:
                for selection, scores in published_probe(features, protocol, fraction, seed=seed).items():
                    published = {**setting, "protocol": "published", "selection": selection}
                    yield judged(protocol, scores, task, "linear-probe", published)
        if "knn" in methods:
            scores, number = nearest_neighbours(features, protocol)
            yield judged(protocol, scores, task, "knn", {}) | {"chosen": {"neighbours": number}}
        if "fine-tuned" in methods and hasattr(encoder, "model"):
            for fraction in parts:
                scores = fine_tune(encoder.model, encoder.processor, dataset, task, protocol, fraction, seed).scores
                setting = {"train_fraction": fraction} if fraction < 1 else {}
                yield judged(protocol, scores, task, "fine-tuned", setting)
    if speaks and "retrieval" in methods:
        yield from retrieval(encoder, features["test"], dataset["test"], resamples)
    if "robustness" in methods:
        # Models are those of the recordings as they are, thresholds too.
        scorers: list[tuple[str, str, Callable[[np.ndarray], np.ndarray]]] = []
        for task in tasks:
            if task in labels:
                said = labels[task]
                scorers.append((task, "zero-shot", lambda values, said=said: zero_shot_scores(encoder, values, said)))
            scorers.append((task, "linear-probe", probes[task]))
        learned = [protocols[task].learn(score(features["validation"])) for task, _, score in scorers]
        for change in perturbations(float(dataset["test"][0]["sampling_rate"]), seed):
            setting = change.setting()
            name = ", ".join(f"{key} {value}" for key, value in setting.items())
            changed = embed(encoder, dataset["test"], change, cache, name=name)
            for (task, method, score), known in zip(scorers, learned):
                yield _result(protocols[task], known, score(changed), task, method, setting, detail=False)
    for other in shift_to:
        yield from shift(encoder, protocols, probes, other, cache, resamples)


def shift(
    encoder: Encoder,
    protocols: Mapping[str, Protocol],
    probes: Mapping[str, LinearProbe],
    other: DatasetDict,
    cache: str | Path | None = None,
    resamples: int = 1000,
) -> Iterator[Result]:
    """
    Figures on the test split of another data set, over the labels that one of its tasks shares with a source task.

    A probe of the source scores a target label by the highest score of the source labels that it stands for; zero-shot
    scores are those of the target's own labels. No threshold is carried over: only ranking figures are given.
    """
    features = embed(encoder, other["test"], cache=cache, name="another data set")
    for (source, target), overlap in SHIFTS.items():
        for source_task, target_task in _pairs(source, target, list(protocols), task_names(other)):
            known = label_names(other["test"], target_task)
            sources: dict[str, list[int]] = {label: [] for label in known}
            for label, stands_for in overlap.items():
                if label in protocols[source_task].labels:
                    for one in stands_for:
                        if one in sources:
                            sources[one].append(protocols[source_task].labels.index(label))
            shared = [label for label in known if sources[label]]
            protocol = Protocol(
                known, _targets({"test": other["test"]}, target_task), patients_of(other["test"]), shared, resamples
            )
            setting = {"shift": f"{source_task} > {target_task}"}
            if hasattr(encoder, "embed_texts"):
                said = label_embeddings(encoder, target_task, shared)
                scores = {"test": zero_shot_scores(encoder, features, said)}
                yield judged(protocol, scores, target_task, "zero-shot", setting)
            if source_task in probes:
                of_source = probes[source_task](features)
                scores = {"test": np.stack([of_source[:, sources[label]].max(1) for label in shared], axis=1)}
                yield judged(protocol, scores, target_task, "linear-probe", setting)


def with_records(fractions: Sequence[float], protocol: Protocol) -> list[float]:
    """The parts of the training labels that hold any record."""
    return [fraction for fraction in fractions if fraction * protocol.kept["train"].sum() >= 1]


def _pairs(source: str, target: str, sources: Sequence[str], targets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Tasks of two data sets by the names of an overlap, which calls both versions of CSN "csn"."""
    for source_task in sources:
        for target_task in targets:
            if source_task.partition("-")[0] == source and target_task.partition("-")[0] == target:
                yield source_task, target_task


def retrieval(encoder: Any, features: np.ndarray, test: Dataset, resamples: int = 1000) -> Iterator[Result]:
    """
    ECG to report among all different reports of the split, and report to ECG among all its recordings.

    Every recording with a report asks once in either direction, and every recording with the same report is a right
    answer. Ties count against the model: what cannot tell recordings apart ranks its answer last.
    """
    reports = np.array(test["report"], dtype=object)
    spoken = np.flatnonzero(reports != "")
    texts, which = np.unique(reports[spoken].astype(str), return_inverse=True)
    ecg, text = encoder.project(features[spoken]), encoder.embed_texts(list(texts))
    similarity = ecg @ text.T
    own = similarity[np.arange(len(ecg)), which]
    ranks = {"ecg to report": (similarity >= own[:, None]).sum(1)}
    of_text = np.empty(len(texts), int)
    for i in range(len(texts)):
        right = which == i
        of_text[i] = 1 + (similarity[~right, i] >= similarity[right, i].max()).sum()
    ranks["report to ecg"] = of_text[which]
    counts = metrics.resample_counts(patients_of(test)[spoken], resamples)
    for direction, rank in ranks.items():
        figures = {f"recall_at_{k}": (rank <= k) @ counts / counts.sum(0) for k in RECALLED}
        figures["median_rank"] = metrics.median(rank.astype(float), counts)
        yield {
            "task": "reports",
            "method": "retrieval",
            "setting": {"direction": direction},
            "split": "test",
            "records": len(spoken),
            "candidates": len(texts) if direction == "ecg to report" else len(spoken),
            "metrics": {name: metrics.interval(values) for name, values in figures.items()},
        }


def result_file(encoder: Encoder, dataset: DatasetDict, name: str, seed: int, results: Sequence[Result]) -> Result:
    """
    Results together with all they depend on: model, data, seed, command, commit, versions, machine.

    The same command gives the same file: there is no time in it.

    Args:
        name: of the data set.
    """
    splits = {}
    for split, rows in dataset.items():
        labels = [f"labels_{task}" for task in task_names(dataset)]
        columns = [column for column in ("record_id", "patient_id", *labels) if column in rows.column_names]
        splits[split] = {"records": len(rows), "sha256": fingerprint(rows, columns)}
    whole = [splits[split]["sha256"] + fingerprint(dataset[split], SIGNAL_COLUMNS) for split in splits]
    facts = provenance()
    return {
        "format": FORMAT,
        "model": {
            "name": encoder.name,
            "weights_sha256": getattr(encoder, "weights_sha256", None),
            "parameters": getattr(encoder, "parameters", None),
        },
        "data": {"name": name, "sha256": hashlib.sha256("".join(whole).encode()).hexdigest(), "splits": splits},
        "seed": seed,
        **{key: facts[key] for key in ("command", "commit", "versions", "machine")},
        "results": list(results),
    }


def protocol_of(dataset: DatasetDict, task: str, resamples: int = 1000) -> Protocol:
    """The protocol of a task of a data set."""
    names, patients = label_names(dataset["test"], task), patients_of(dataset["test"])
    return Protocol(names, _targets(dataset, task), patients, resamples=resamples)


def task_names(dataset: DatasetDict) -> list[str]:
    """The tasks of a data set, by its columns labels_TASK."""
    columns = dataset["test"].column_names if "test" in dataset else []
    return [column.removeprefix("labels_") for column in columns if column.startswith("labels_")]


def _targets(dataset: Mapping[Any, Dataset], task: str) -> dict[str, np.ndarray]:
    column = f"labels_{task}"
    return {str(s): np.asarray(rows.with_format("numpy", columns=[column])[:][column]) for s, rows in dataset.items()}


def patients_of(rows: Dataset) -> np.ndarray:
    """The patient of each record, what a bootstrap draws, `(records,)`."""
    return np.asarray(rows.with_format("numpy", columns=["patient_id"])[:]["patient_id"])


def judged(protocol: Protocol, scores: Mapping[str, np.ndarray], task: str, method: str, setting: dict) -> Result:
    """A result as it stands in a result file."""
    learned = protocol.learn(scores["validation"]) if "validation" in scores else None
    return _result(protocol, learned, scores["test"], task, method, setting)


def _result(protocol, learned, scores, task, method, setting, detail=True) -> Result:
    figures = protocol.judge(learned, scores, detail)
    return {"task": task, "method": method, "setting": setting, "split": "test", **figures}


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
