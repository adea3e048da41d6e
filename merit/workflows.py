"""
What the `merit` command does, as functions: each loads data and model, trains or evaluates, and writes the result.

Each function imports what it needs, so that `merit export` works without the extra `train`.

    >>> from merit import workflows
    >>> workflows.finetune("hub_cards/merit-ptbxl-tiny", "ptbxl-100hz", "super", "classifier")  # doctest: +SKIP
    PosixPath('classifier')
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .training.learning.label_learning import LearnedLabels

from . import checkpoints


def refuse_options(reason: str, **options: Any) -> None:
    """
    Refuse options that do not apply.

    Args:
        reason: why they do not.
        options: their values; an empty or false one was not given.

    Raises:
        ValueError: at least one was given; the message names them as on the command line.

    Example:

    ```python
    >>> refuse_options("Without --plot nothing is drawn", layout="3x4")
    Traceback (most recent call last):
    ValueError: Without --plot nothing is drawn: leave out --layout.

    ```"""
    if given := [f"--{name.replace('_', '-')}" for name, value in options.items() if value]:
        raise ValueError(f"{reason}: leave out {', '.join(given)}.")


def prepare(
    name: str,
    source: str | Path,
    output: str | Path,
    *,
    sampling_rate: int | None = None,
    splits: str | Path | None = None,
    table: str | Path | None = None,
    labels: Sequence[str] | None = None,
    skip_bad: bool = False,
    ignore_unknown_leads: bool = False,
    processes: int | None = None,
) -> tuple[Path, Path]:
    """
    Convert a data set to Arrow files and write its card.

    Args:
        name: ptbxl, cpsc2018, georgia, csn, mimic-iv-ecg, or folder.
        sampling_rate: rate to resample to; for ptbxl, which of its files to read.
        splits, table, labels: see `open_source`.
        skip_bad, ignore_unknown_leads, processes: see `merit.training.data.preparation.prepare`.

    Returns:
        the folder and the path of its card.
    """
    from .hub_cards.dataset_card import write_dataset_card
    from .training.data import preparation
    from .training.data.catalogue import open_source

    opened = open_source(name, source, sampling_rate=sampling_rate, splits=splits, table=table, labels=labels)
    folder = preparation.prepare(
        opened,
        output,
        sampling_rate=None if name == "ptbxl" else sampling_rate,  # ptbxl has files at this rate
        skip_bad=skip_bad,
        ignore_unknown_leads=ignore_unknown_leads,
        processes=processes,
    )
    return folder, write_dataset_card(folder)


def publish(
    directory: str | Path,
    repo_id: str,
    *,
    type: Literal["model", "dataset"] = "model",
    licence: str | None = None,
    private: bool = False,
    revision: str = "main",
    create_pr: bool = False,
    dry_run: bool = False,
    force: bool = False,
    space: str | Path | None = None,
    report_model: str | None = None,
) -> str:
    """
    Check an exported folder or a prepared data set and send it to the Hub in one commit, or publish the web page.

    Args:
        directory: the folder; with `space`, the Hub id of the model of the web page.
        repo_id: such as "org/merit"; created if it does not exist.
        type: whether `directory` is an export or a prepared data set.
        licence: of a data set of your own.
        private, revision, create_pr, dry_run, force: see `merit.hub_cards.publish.send`.
        space: a wheel of this package, to publish the web page with it as a Space.
        report_model: Hub id of the model that writes the reports of the web page.

    Returns:
        the address of the commit or pull request, or of the repository if nothing was sent; with `space`, its address.

    Raises:
        ValueError: an option does not apply to what is published; the folder or the Hub does not allow it.
    """
    from .hub_cards import publish as hub
    from .hub_cards.space_publishing import publish_space

    options: dict[str, Any] = {"private": private, "revision": revision, "create_pr": create_pr, "force": force}
    if space:
        refuse_options(
            "A Space is public, since it installs the wheel that it holds, and is replaced as a whole",
            **{**options, "revision": revision != "main"},
            type=type != "model",
            licence=licence,
        )
        return publish_space(repo_id, space, Path(directory).as_posix(), report_model, dry_run=dry_run)
    refuse_options("Only the web page writes reports, which --space publishes", report_model=report_model)
    if type == "dataset":
        return publish_dataset(directory, repo_id, licence, dry_run=dry_run, **options)
    refuse_options("A model is published with the file LICENSE of its folder", licence=licence)
    return hub.publish(directory, repo_id, dry_run=dry_run, **options)


def publish_dataset(folder: str | Path, repo_id: str, licence: str | None = None, **options) -> str:
    """
    Check the files of a prepared data set and send them with its card to the Hub, in one commit.

    Args:
        folder: the prepared data set.
        repo_id, licence, options: see `merit.hub_cards.dataset_card.publish_dataset`.

    Returns:
        the address of the commit, or of the repository if nothing was sent.
    """
    from .hub_cards import dataset_card
    from .training.data.preparation import load_prepared

    rows = {split: len(rows) for split, rows in load_prepared(folder, verify=True).items()}
    print(f"{folder} holds what its manifest lists: {', '.join(f'{count} {split}' for split, count in rows.items())}.")
    return dataset_card.publish_dataset(folder, repo_id, licence, **options)


def pretrain(
    data: Sequence[str | Path],
    recipe: str,
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
) -> Path | None:
    """
    Pretrain a model and export it to `output`/model.

    Args:
        data: prepared data sets, or PTB-XL's own folder.
        recipe: name of a recipe or path of a YAML file.
        overrides: settings such as "training.num_train_epochs=3".
        resume: continue from the last checkpoint in `output`.

    Returns:
        the folder of the model; None in all but the first of several processes.
    """
    from .training.data.catalogue import load_data
    from .training.learning import pretraining
    from .training.trainer.distributed import main_process_first
    from .training.trainer.recipe import load_recipe

    settings = load_recipe(recipe, overrides)
    with main_process_first():
        dataset = pretraining.combine([load_data(folder) for folder in data])
    trained, processor = pretraining.pretrain(dataset, settings, output, resume)
    return _export_run(trained, processor, output)


def train_reports(
    model: str,
    data: str | Path,
    output: str | Path,
    *,
    recipe: str = "small",
    overrides: Sequence[str] = (),
    resume: bool = False,
) -> Path | None:
    """
    Train a language model to write reports and export it, with its encoder, to `output`/model.

    Arguments and return value are those of [`pretrain`]; `model` is the checkpoint of the encoder.
    """
    from transformers import AutoModel, AutoProcessor

    from .training.data.catalogue import load_data
    from .training.learning import report_generation
    from .training.trainer.distributed import main_process_first
    from .training.trainer.recipe import ReportRecipe, load_recipe

    checkpoints.require(model, checkpoints.DUAL_ENCODER)
    settings = load_recipe(recipe, overrides, ReportRecipe)
    with main_process_first():
        dataset = load_data(data)
    source = checkpoints.find(model)
    encoder, processor = AutoModel.from_pretrained(source), AutoProcessor.from_pretrained(source)
    trained, report_processor = report_generation.train_reports(encoder, processor, dataset, settings, output, resume)
    return _export_run(trained, report_processor, output)


def _export_run(model, processor, output: str | Path) -> Path | None:
    """Export the model of a run in the first of several processes, and end the process group after that."""
    from .hub_cards.export import export
    from .training.trainer.distributed import is_main_process, shut_down_process_group
    from .training.trainer.training_record import TRAINING_RECORD

    folder = None
    if is_main_process():
        folder = export(model, processor, Path(output) / "model", results=[Path(output) / TRAINING_RECORD])
    shut_down_process_group()
    return folder


def learn_labels(
    model: str, data: Sequence[str | Path], output: str | Path, *, least: int | None = None
) -> tuple[Path, "LearnedLabels"]:
    """
    Fit one linear classifier per finding that enough training reports mention, and export the model with them.

    Labels that the model had learned before are kept, unless they are learned again. Result files of `model` that the
    new classifiers do not change go along.

    Args:
        model: folder or Hub id of a dual encoder.
        data: prepared data sets, or PTB-XL's own folder.
        least: number of reports that must mention a finding.

    Returns:
        the folder, and which labels were learned, replaced and kept.
    """
    from .hub_cards.export import export, load
    from .hub_cards.folder import example_record, fetch
    from .training.batching.report_text import with_text
    from .training.data.catalogue import load_data
    from .training.learning import label_learning, pretraining
    from .training.results.result_files import FORMAT, provenance, write_json
    from .training.results.weights import answering, weights_sha256
    from .training.trainer.training_record import TRAINING_RECORD

    checkpoints.require(model, checkpoints.DUAL_ENCODER)
    source, _ = fetch(checkpoints.find(model))
    encoder, processor = load(source)
    dataset = pretraining.combine([load_data(folder) for folder in data])
    if "train" not in dataset:
        raise ValueError(f"{', '.join(map(str, data))} has no split train, which labels are learned from.")
    least = label_learning.LEAST if least is None else least
    learned = label_learning.learn_labels(encoder, processor, dataset["train"], least=least)
    before, after = (answering(one.state_dict()) for one in (encoder, learned.model))
    # The start is the model without labels that it learned earlier.
    start = weights_sha256({name: tensor for name, tensor in before.items() if not name.startswith("label_")})
    facts = {
        "start": {"name": Path(model).name, "weights_sha256": start},
        "penalty": label_learning.PENALTY,
        "least": least,
        "reports": len(with_text(dataset["train"])),
        "stated": learned.stated,
        "kept": learned.kept,
    }
    files = dict(label_learning.results_that_hold(source, weights_sha256(before), weights_sha256(after)))
    files[label_learning.LEARNED_LABELS] = {"format": FORMAT, "learned_labels": facts | provenance()}
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in files.items():
            write_json(Path(scratch) / name, content)
        results = [*source.glob(f"results/{TRAINING_RECORD}"), *(Path(scratch) / name for name in files)]
        folder = export(learned.model, processor, output, example=example_record(source), results=results)
    return folder, learned


def calibrate(model: str, data: Sequence[str | Path], output: str | Path) -> Path:
    """
    Fit what makes the answers of a checkpoint trustworthy, and export it with that.

    A checkpoint of any kind can then tell recordings that are out of distribution or at a wrong rate. With a labelled
    data set, a dual encoder gets the scale of its zero-shot scores and thresholds for its learned labels, a classifier
    thresholds for its labels. Result files of `model` that this does not change go along.

    Args:
        model: folder or Hub id.
        data: prepared data sets, or PTB-XL's own folder, with the splits train, which the model has learned from,
            validation, on which everything is chosen, and, if it is labelled, test.

    Returns:
        the folder.
    """
    from .hub_cards.export import export, load
    from .hub_cards.folder import example_record, fetch
    from .training.data.catalogue import load_data
    from .training.learning import pretraining
    from .training.learning.label_calibration import calibrate_labels, decide_labels
    from .training.learning.label_learning import reports_of, results_that_hold
    from .training.learning.typicality import learn_quality
    from .training.results.result_files import results_of, write_json
    from .training.results.weights import stored_weights, weights_sha256
    from .training.scoring.protocol import task_names

    kind = checkpoints.kind_of(model)
    source, _ = fetch(checkpoints.find(model))
    network, processor = load(source)
    dataset = pretraining.combine([load_data(folder) for folder in data])
    pretraining.require_splits(dataset)
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "embeddings"  # both parts use those of validation records
        calibrated: Any = learn_quality(network, processor, dataset["train"], dataset["validation"], cache=cache)
        if task_names(dataset) and kind is checkpoints.DUAL_ENCODER:
            calibrated = calibrate_labels(calibrated, processor, dataset, reports_of(source), cache)
        elif task_names(dataset) and kind is checkpoints.CLASSIFIER:
            calibrated = decide_labels(calibrated, processor, dataset)
        before, after = (weights_sha256(stored_weights(one)) for one in (network, calibrated))
        files = dict(results_that_hold(source, before, after, lambda result: result["method"] == "abstention"))
        # Records of training and of labels, which hold no results.
        measured = {Path(path).name for path, content in results_of(source).items() if "results" in content}
        others = [path for path in sorted(source.glob("results/*.json")) if path.name not in measured]
        for name, content in files.items():
            write_json(Path(scratch) / name, content)
        results = [*others, *(Path(scratch) / name for name in files)]
        return export(calibrated, processor, output, example=example_record(source), results=results)


def finetune(
    model: str,
    data: str | Path,
    task: str,
    output: str | Path,
    *,
    fraction: float = 1.0,
    epochs: float | None = None,
    seed: int = 0,
) -> Path:
    """
    Fine-tune an encoder and a head on the labels of a task, and export the classifier with its training record.

    Args:
        model: folder or Hub id of a dual encoder.
        data: a prepared data set, or PTB-XL's own folder; with splits train, validation and test.
        task: label task of the data set.
        fraction: share of the training labels to use.
        epochs: number of epochs; by default that of `merit.training.learning.finetuning`.
        seed: of sampling and training.
    """
    from transformers import AutoModel, AutoProcessor

    from .hub_cards.export import export
    from .training.data.catalogue import load_data
    from .training.learning import finetuning
    from .training.learning.typicality import learn_quality
    from .training.results.weights import weights_sha256
    from .training.scoring.probes import train_rows
    from .training.scoring.protocol import protocol_of, task_names
    from .training.trainer.training_record import TrainingRecord

    if not 0 < fraction <= 1:
        raise ValueError(f"The fraction of the training labels must be above 0 and at most 1, not {fraction:g}.")
    checkpoints.require(model, checkpoints.DUAL_ENCODER)
    dataset = load_data(data)
    if missing := [split for split in ("train", "validation", "test") if split not in dataset]:
        raise ValueError(f"{data} has no split {', '.join(missing)}.")
    if task not in (names := task_names(dataset)):
        raise ValueError(f"{data} has no task {task}; it has {', '.join(names)}.")
    source = checkpoints.find(model)
    pretrained, processor = AutoModel.from_pretrained(source), AutoProcessor.from_pretrained(source)
    settings = finetuning.SETTINGS | {"num_train_epochs": finetuning.EPOCHS if epochs is None else epochs}
    start = {"name": Path(model).name, "weights_sha256": weights_sha256(pretrained.state_dict())}
    facts = {"start": start, "task": task, "fraction": fraction, "training": {**settings, "seed": seed}}
    protocol = protocol_of(dataset, task, resamples=0)
    used = {"train": dataset["train"].select(train_rows(protocol, fraction)), "validation": dataset["validation"]}
    with tempfile.TemporaryDirectory() as scratch:
        record = TrainingRecord(used, facts, Path(scratch))
        tuned = finetuning.fine_tune(pretrained, processor, dataset, task, protocol, fraction, seed, **settings)
        record.write(tuned.log)
        classifier = learn_quality(tuned.model, processor, used["train"], used["validation"])
        return export(classifier, processor, output, results=[record.path])


def evaluate(
    model: str,
    data: str | Path,
    output: str | Path,
    *,
    name: str | None = None,
    tasks: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    fractions: Sequence[float] | None = None,
    cache: str | Path | None = None,
    shift_to: Sequence[str | Path] = (),
    random_initialisation: bool = False,
    published_protocol: bool = False,
    seed: int = 0,
    log: Callable[[dict[str, Any]], None] = lambda result: None,
) -> list[dict[str, Any]]:
    """
    Evaluate a checkpoint by its kind; write a result file and, beside it, a file of the scores.

    A dual encoder is evaluated with the chosen methods, a classifier on its own labels, a report model by its reports.
    The options from `tasks` to `published_protocol` apply to a dual encoder only.

    Args:
        model: folder or Hub id.
        data: a prepared data set, or PTB-XL's own folder.
        output: JSON file for the results; the scores go to the same name with the suffix .safetensors.
        name: of the model in tables; by default the name of its folder.
        tasks: label tasks; by default all of the data set.
        only: methods; by default all but fine-tuning.
        fractions: shares of the training labels that probes and fine-tuning use.
        cache: folder that keeps embeddings.
        shift_to: data sets on whose test splits the shared labels are scored, too.
        random_initialisation: give the model random weights first.
        published_protocol: also select probes on the test set, as many papers do.
        seed: of added noise and fine-tuning.
        log: called with each result as soon as it is known.

    Returns:
        the results, with their scores.
    """
    from transformers import (
        AutoModel,
        AutoModelForMultimodalLM,
        AutoModelForSequenceClassification,
        AutoProcessor,
        set_seed,
    )

    from .training.data.catalogue import load_data
    from .training.evaluation import evaluate as evaluation
    from .training.evaluation.classifier import evaluate_classifier
    from .training.evaluation.output import write_evaluation
    from .training.evaluation.reports import evaluate_abstention, evaluate_reports
    from .training.scoring.encoders import CheckpointClassifier, CheckpointEncoder, CheckpointReporter
    from .training.scoring.probes import FRACTIONS

    kind, source = checkpoints.kind_of(model), checkpoints.find(model)
    dataset, processor = load_data(data), AutoProcessor.from_pretrained(source)
    of_dual_encoders = {
        "tasks": tasks,
        "only": only,
        "fractions": fractions,
        "cache": cache,
        "shift_to": shift_to,
        "random_initialisation": random_initialisation,
        "published_protocol": published_protocol,
    }
    measured: Any
    if kind is checkpoints.REPORT_MODEL:
        refuse_options(f"{model} is a report model, which is evaluated by its reports", **of_dual_encoders)
        network = AutoModelForMultimodalLM.from_pretrained(source)
        measured = CheckpointReporter(network, processor, name or Path(model).name)
        results = [*evaluate_reports(measured, dataset, log=log), *evaluate_abstention(measured, dataset, log=log)]
    elif kind is checkpoints.CLASSIFIER:
        refuse_options(f"{model} is a classifier, which is evaluated on its own labels", **of_dual_encoders)
        network = AutoModelForSequenceClassification.from_pretrained(source)
        measured = CheckpointClassifier(network, processor, name or Path(model).name)
        results = evaluate_classifier(measured, dataset)
        for result in results:
            log(result)
    else:
        network = AutoModel.from_pretrained(source)
        if random_initialisation:
            set_seed(seed)
            network.config.learned_labels, network.config.calibration = [], None
            network, name = AutoModel.from_config(network.config), name or "random initialisation"
        measured = CheckpointEncoder(network, processor, name or Path(model).name)
        results = evaluation.evaluate(
            measured,
            dataset,
            tasks,
            only or evaluation.METHODS,
            cache,
            published_protocol,
            [load_data(folder) for folder in shift_to],
            seed,
            sorted(set(fractions or FRACTIONS)),
            log=log,
        )
    write_evaluation(output, measured, dataset, Path(data).name, seed, results)
    return results


def baseline(
    data: str | Path, output: str | Path, *, tasks: Sequence[str] | None = None, epochs: int = 50, seed: int = 0
) -> dict[str, Any]:
    """
    Train and evaluate the supervised baseline and write `output`/results.json.

    Returns:
        the content of the result file.
    """
    from .training.data.catalogue import load_data
    from .training.evaluation.supervised_baseline import supervised_baseline
    from .training.results.result_files import write_json
    from .training.scoring.protocol import task_names

    dataset = load_data(data)
    tasks = tasks or task_names(dataset)
    content = supervised_baseline(dataset, Path(data).name, tasks, Path(output), epochs, seed)
    write_json(Path(output) / "results.json", content)
    return content


def export_checkpoint(
    model: str,
    directory: str | Path,
    *,
    dtype: str | None = None,
    max_shard_size: str = "5GB",
    results: Iterable[str | Path] = (),
    encoder_only: bool = False,
    onnx: bool = False,
    quantize_with: str | Path | None = None,
) -> Path:
    """
    Export a checkpoint as a complete folder, with its result files and an example recording.

    Args:
        model: folder or Hub id.
        directory, dtype, max_shard_size, encoder_only, onnx: see `merit.export`.
        quantize_with: a data set whose training records give the ranges of an 8-bit encoder in onnx/.
        results: files that are added to those of the checkpoint, or replace those of the same name.
    """
    from .hub_cards.folder import example_record, fetch, remember

    source, commit = fetch(checkpoints.find(model))
    from .hub_cards.export import export, load  # imports torch, which the download can do without

    files = {path.name: path for path in (*sorted(source.glob("results/*.json")), *map(Path, results))}
    with tempfile.TemporaryDirectory() as scratch:
        example = example_record(source) or _simulated_record(Path(scratch))
        exported, processor = load(source)
        folder = export(
            exported,
            processor,
            directory,
            dtype=dtype,
            max_shard_size=max_shard_size,
            example=example,
            results=files.values(),
            encoder_only=encoder_only,
            onnx=onnx,
            quantize_with=quantize_with and quantization_batches(quantize_with, processor),
        )
    if commit:
        remember(folder, model, "main", commit)
    return folder


def quantization_batches(data: str | Path, processor: Any, records: int = 256) -> list[dict[str, Any]]:
    """Batches of the feature extractor from training records of a data set, for `merit.export(quantize_with=...)`."""
    from .training.batching.first_warnings import FirstWarnings
    from .training.data.catalogue import load_data
    from .training.scoring.embeddings import batches

    train = load_data(data)["train"]
    rows = train.select(range(0, len(train), max(1, len(train) // records))[:records])
    extractor = getattr(processor, "feature_extractor", processor)
    with FirstWarnings().only():
        return [dict(extractor(part, return_tensors="pt")) for part in batches(rows, 64)]


def _simulated_record(scratch: Path) -> Path:
    """The example recording of a checkpoint that has none yet."""
    from .training.simulation.ptbxl_tree import write_simulated_ptbxl

    tree = write_simulated_ptbxl(scratch / "tree", 1, seed=0, progress=False)
    return tree / "records100" / "00000" / "00001_lr"


def classify(
    records: Sequence[str | Path],
    model: str,
    labels: Sequence[str] | None = None,
    *,
    template: str = "{}",
    multi_label: bool = False,
    on_unknown_label: str = "warn",
    top_k: int | None = None,
    decisions: bool = False,
    window_pooling: str = "mean",
    plot: str | Path | None = None,
    layout: str | None = None,
    explain: str | None = None,
    description: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> list[list[dict[str, Any]] | Exception]:
    """
    Classify recordings: with `labels` by a dual encoder (zero-shot), without by a classifier with its own labels.

    Args:
        records: WFDB records or CSV files.
        model: folder, name in hub_cards, or Hub id.
        labels: findings in plain English or German.
        template: prompt; {} is replaced by the label.
        multi_label: score each label independently.
        on_unknown_label: "warn" of labels that the model does not know, or "error" to refuse them.
        top_k: return only so many labels.
        decisions: say whether each label is present, where the model has a threshold for it.
        window_pooling: "mean" or "max" over the windows of a long recording.
        plot: file for a drawing of the one recording with its scores.
        layout: of the drawing, "3x4", "6x2" or "12x1".
        explain: label whose score is explained, in the answer and in the drawing; "best" for the one with the highest.
        description: `sampling_rate`, `leads` and `units` of files that do not state them, and `verify_checksums`.
        settings: of the feature extractor, such as `{"max_amplitude": 20}`.

    Returns:
        for each recording `[{"label": ..., "score": ...}, ...]`, or the `EcgError` that says why it cannot be used.
    """
    if plot and len(records) > 1:
        raise ValueError(f"--plot draws one record, and {len(records)} were given.")
    if not plot:
        refuse_options("Without --plot nothing is drawn", layout=layout)
    kind = checkpoints.require(model, checkpoints.DUAL_ENCODER, checkpoints.CLASSIFIER)
    options: dict[str, Any] = {"top_k": top_k, "decisions": decisions, "window_pooling": window_pooling}
    if explain:
        options["explain"] = True if explain == "best" else explain
    if kind is checkpoints.DUAL_ENCODER:
        if not labels:
            raise ValueError(f"{model} is {kind.name}: pass the labels to score, such as --labels AFIB 'normal ECG'.")
        options |= {"candidate_labels": labels, "hypothesis_template": template, "multi_label": multi_label}
        options["on_unknown_label"] = on_unknown_label
    else:
        refuse_options(
            f"{model} is {kind.name}",
            labels=labels,
            template=template != "{}",
            multi_label=multi_label,
            on_unknown_label=on_unknown_label != "warn",
        )
    pipeline = checkpoints.load_pipeline(model, kind)
    answers = pipeline(list(map(str, records)), on_error="return", **options, **(description or {}), **(settings or {}))
    if plot and not isinstance(answers[0], Exception):
        from .plot import draw_recording

        extractor = pipeline.processor.feature_extractor.with_settings(**(settings or {}))
        draw_recording(records[0], plot, extractor, answers[0], {"layout": layout}, **(description or {}))
    return answers


def report(
    records: Sequence[str | Path],
    model: str,
    *,
    text: str | None = None,
    language: str | None = None,
    beams: int = 1,
    window_pooling: str = "mean",
    description: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> list[dict[str, Any] | Exception]:
    """
    Write a report for each recording.

    Args:
        text: instruction or question, instead of that of a report in `language`.
        language: "en" (the default) or "de".
        beams: number of beams; 1 is greedy decoding.
        records, model, window_pooling, description, settings: see [`classify`].

    Returns:
        for each recording what the pipeline "ecg-report-generation" returns, or the `EcgError` that says why it cannot
        be used.
    """
    if text:
        refuse_options("--text takes the place of the instruction in a language", language=language)
    pipeline = checkpoints.load_pipeline(model, checkpoints.REPORT_MODEL)
    return pipeline(
        list(map(str, records)),
        text=text,
        language=language,
        generate_kwargs={"num_beams": beams},
        window_pooling=window_pooling,
        on_error="return",
        **(description or {}),
        **(settings or {}),
    )
