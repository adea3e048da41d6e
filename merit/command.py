"""The `merit` command. What a subcommand needs is imported when it runs, so that `merit --help` is immediate."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

DISCLAIMER = "Research software, not a medical device: no finding here may guide the care of a patient."


def parser() -> argparse.ArgumentParser:
    """The command line, one subparser for each subcommand."""
    top = argparse.ArgumentParser(prog="merit", description="MERIT: an ECG-text foundation model.", epilog=DISCLAIMER)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    simulate = commands.add_parser("simulate", help="write simulated twelve-lead ECGs as a PTB-XL tree")
    simulate.add_argument("directory", metavar="DIR", help="folder to write; absent or empty")
    simulate.add_argument("--records", type=int, default=1000, help="how many recordings (default: 1000)")
    simulate.add_argument("--seed", type=int, default=0, help="decides every recording (default: 0)")
    simulate.add_argument(
        "--sampling-rates", type=int, nargs="+", default=[100], metavar="HZ", help="100, 500 or both (default: 100)"
    )
    simulate.set_defaults(run=run_simulate)

    download = commands.add_parser("download", help="fetch an open data set from PhysioNet, or what is missing of it")
    download.add_argument("name", metavar="NAME", help="ptbxl, cpsc2018, georgia, csn or mimic-iv-ecg")
    download.add_argument("--output", required=True, metavar="DIR", help="gets the tree as PhysioNet has it")
    download.add_argument(
        "--only", nargs="+", default=[], metavar="PREFIX", help="beginnings of the paths to fetch, such as records100"
    )
    download.add_argument("--connections", type=int, default=4, help="files fetched at the same time (default: 4)")
    download.add_argument("--mirror", metavar="URL", help="address of a copy of https://physionet.org/files")
    download.set_defaults(run=run_download)

    prepare = commands.add_parser("prepare", help="write a data set as Arrow files that train fast")
    prepare.add_argument(
        "name", metavar="NAME", help="ptbxl, cpsc2018, georgia, csn, mimic-iv-ecg, or folder: your own"
    )
    prepare.add_argument("--source", required=True, metavar="DIR", help="the data set as it was published")
    prepare.add_argument("--output", required=True, metavar="DIR", help="gets the Arrow files; absent or empty")
    prepare.add_argument("--sampling-rate", type=int, metavar="HZ", help="resample; of ptbxl, which files: 100 or 500")
    prepare.add_argument("--splits", metavar="DIR", help="published row lists that split cpsc2018 or csn")
    prepare.add_argument("--table", metavar="FILE.csv", help="of a folder of your own (default: records.csv in it)")
    prepare.add_argument("--labels", nargs="+", metavar="LABEL", help="the only labels a folder of your own may have")
    prepare.add_argument("--skip-bad", action="store_true", help="leave out bad records and list them in skipped.csv")
    prepare.add_argument(
        "--ignore-unknown-leads", action="store_true", help="leave out channels that are no standard lead"
    )
    prepare.add_argument("--processes", type=int, metavar="N", help="how many work (default: one for each core)")
    prepare.set_defaults(run=run_prepare)

    pretrain = commands.add_parser("pretrain", help="pretrain a model on a data set")
    pretrain.add_argument(
        "--data", required=True, nargs="+", metavar="DIR", help="prepared data sets, or PTB-XL's folder"
    )
    pretrain.add_argument("--recipe", required=True, metavar="NAME", help="demo, ptbxl-cpu, ..., or a YAML file")
    pretrain.add_argument("--output", required=True, metavar="DIR", help="gets checkpoints/ and, at the end, model/")
    pretrain.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="override the recipe, such as training.num_train_epochs=3; may be repeated",
    )
    pretrain.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output")
    pretrain.set_defaults(run=run_pretrain)

    learn = commands.add_parser(
        "learn-labels", help="learn the labels of the glossary from recordings and what their reports state"
    )
    learn.add_argument("model", metavar="MODEL", help="folder or Hub id")
    learn.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="DIR",
        help="whose split train; prepared data sets, or PTB-XL's folder",
    )
    learn.add_argument("--output", required=True, metavar="DIR", help="gets the model with what it has learned")
    learn.add_argument("--least", type=int, metavar="N", help="how many reports have to state a label (default: 10)")
    learn.set_defaults(run=run_learn_labels)

    evaluate = commands.add_parser("evaluate", help="measure what a model knows on a data set")
    evaluate.add_argument("model", metavar="MODEL", help="folder or Hub id")
    evaluate.add_argument("--data", required=True, metavar="DIR", help="a prepared data set, or PTB-XL's folder")
    evaluate.add_argument("--output", required=True, metavar="FILE", help="JSON file for the results")
    evaluate.add_argument("--name", help="what tables call the model (default: its folder's name)")
    evaluate.add_argument("--tasks", nargs="+", metavar="TASK", help="such as super (default: all of the data set)")
    evaluate.add_argument(
        "--only",
        nargs="+",
        metavar="METHOD",
        help="zero-shot, linear-probe, linear-probe-from-zero-shot, knn, retrieval, robustness, fine-tuned "
        "(default: all but fine-tuned)",
    )
    evaluate.add_argument(
        "--fractions",
        nargs="+",
        type=float,
        metavar="SHARE",
        help="of the training labels, for probes and fine-tuning (default: 0.01 0.1 1)",
    )
    evaluate.add_argument("--cache", metavar="DIR", help="keep embeddings here and use those that are there")
    evaluate.add_argument("--shift-to", nargs="+", default=[], metavar="DIR", help="data sets with shared labels")
    evaluate.add_argument("--random-initialisation", action="store_true", help="measure the model before training")
    evaluate.add_argument(
        "--published-protocol", action="store_true", help="also with the selection on test that is usual, as it biases"
    )
    evaluate.add_argument("--seed", type=int, default=0, help="of noise and fine-tuning (default: 0)")
    evaluate.set_defaults(run=run_evaluate)

    finetune = commands.add_parser("finetune", help="train a model and a head on the labels of a task")
    finetune.add_argument("model", metavar="MODEL", help="folder or Hub id")
    finetune.add_argument("--data", required=True, metavar="DIR", help="a prepared data set, or PTB-XL's folder")
    finetune.add_argument("--task", required=True, metavar="TASK", help="such as super")
    finetune.add_argument("--output", required=True, metavar="DIR", help="gets the classifier")
    finetune.add_argument("--fraction", type=float, default=1.0, help="of the training labels (default: 1)")
    finetune.add_argument(
        "--epochs", type=float, help="default: 8, each of 3 passes over a tenth of the labels and of 8 over a hundredth"
    )
    finetune.add_argument("--seed", type=int, default=0, help="default: 0")
    finetune.set_defaults(run=run_finetune)

    reports = commands.add_parser("train-reports", help="train a language model to report what a model sees")
    reports.add_argument("model", metavar="MODEL", help="folder or Hub id")
    reports.add_argument("--data", required=True, metavar="DIR", help="a prepared data set, or PTB-XL's folder")
    reports.add_argument("--recipe", default="small", metavar="NAME", help="small, llama-lora, or a YAML file")
    reports.add_argument("--output", required=True, metavar="DIR", help="gets checkpoints/ and, at the end, model/")
    reports.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="override the recipe, such as language_model=Qwen/Qwen3-0.6B; may be repeated",
    )
    reports.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output")
    reports.set_defaults(run=run_train_reports)

    baseline = commands.add_parser("baseline", help="train and measure the supervised baseline, xresnet1d101")
    baseline.add_argument("--data", required=True, metavar="DIR", help="a prepared data set, or PTB-XL's folder")
    baseline.add_argument("--output", required=True, metavar="DIR", help="gets checkpoints and results.json")
    baseline.add_argument("--tasks", nargs="+", metavar="TASK", help="one network for each (default: all)")
    baseline.add_argument("--epochs", type=int, default=50, help="default: 50")
    baseline.add_argument("--seed", type=int, default=0, help="default: 0")
    baseline.set_defaults(run=run_baseline)

    compare = commands.add_parser("compare", help="put result files side by side")
    compare.add_argument("files", nargs="+", metavar="FILE", help="as merit evaluate writes them")
    compare.add_argument("--plots", metavar="DIR", help="draw figures into this folder")
    compare.add_argument("--no-published", action="store_true", help="without the figures of the literature")
    compare.set_defaults(run=run_compare)

    classify = commands.add_parser("classify", help="classify recordings zero-shot", epilog=DISCLAIMER)
    classify.add_argument("records", nargs="+", metavar="RECORD", help="WFDB record, with or without suffix, or CSV")
    classify.add_argument("--model", required=True, metavar="M", help="folder or Hub id")
    classify.add_argument("--labels", required=True, nargs="+", metavar="LABEL", help="findings as you would say them")
    classify.add_argument("--multi-label", action="store_true", help="judge each label by itself")
    classify.add_argument("--template", default="{}", help="text in which {} is the label (default: {})")
    classify.add_argument("--top-k", type=int, metavar="K", help="only the best K labels")
    classify.add_argument("--json", action="store_true", help="print JSON instead of a table")
    classify.add_argument("--plot", metavar="FILE.png", help="draw the leads and the answer (one record)")
    classify.add_argument("--sampling-rate", type=float, metavar="HZ", help="of CSV files that do not say it")
    classify.add_argument("--units", help="of CSV files: mV, uV or V")
    classify.set_defaults(run=run_classify)

    report = commands.add_parser("report", help="report recordings in words", epilog=DISCLAIMER)
    report.add_argument("records", nargs="+", metavar="RECORD", help="WFDB record, with or without suffix, or CSV")
    report.add_argument("--model", required=True, metavar="M", help="folder or Hub id of a model that reports")
    report.add_argument("--language", choices=["en", "de"], help="of the report (default: en)")
    report.add_argument("--text", help="an instruction or a question instead")
    report.add_argument("--beams", type=int, default=1, metavar="N", help="of beam search (default: 1, greedy)")
    report.add_argument("--json", action="store_true", help="print JSON instead of text")
    report.add_argument("--sampling-rate", type=float, metavar="HZ", help="of CSV files that do not say it")
    report.add_argument("--units", help="of CSV files: mV, uV or V")
    report.set_defaults(run=run_report)

    export = commands.add_parser("export", help="write a model as the complete folder that others load")
    export.add_argument("model", metavar="MODEL", help="folder or Hub id")
    export.add_argument("directory", metavar="DIR", help="folder to write; absent, empty, or an earlier export")
    export.add_argument("--dtype", help="of the weights: float32, bfloat16 or float16 (default: as they are)")
    export.add_argument("--max-shard-size", default="5GB", metavar="SIZE", help="of a file of weights (default: 5GB)")
    export.add_argument("--results", nargs="+", default=[], metavar="FILE", help="result files that go along")
    export.set_defaults(run=run_export)

    publish = commands.add_parser("publish", help="check an exported folder and send it to the Hub in one commit")
    publish.add_argument("directory", metavar="DIR", help="folder that `merit export` wrote")
    publish.add_argument("--repo-id", required=True, metavar="ORG/NAME", help="made when it does not exist")
    publish.add_argument("--private", action="store_true", help="make it a private repository")
    publish.add_argument("--revision", default="main", metavar="BRANCH", help="branch to change (default: main)")
    publish.add_argument("--create-pr", action="store_true", help="propose the change as a pull request")
    publish.add_argument("--dry-run", action="store_true", help="check and compare, and send nothing")
    publish.add_argument("--force", action="store_true", help="replace a commit that the folder does not come from")
    publish.set_defaults(run=run_publish)

    demo = commands.add_parser("demo", help="classify, draw and fine-tune with the checkpoint that ships")
    demo.add_argument("--train", action="store_true", help="pretrain a model instead, and evaluate it")
    demo.add_argument("--data", metavar="DIR", help="a PTB-XL tree instead of simulated recordings")
    demo.add_argument("--output", default="demo", metavar="DIR", help="folder for all of it (default: demo)")
    demo.set_defaults(run=run_demo)
    return top


def run_simulate(arguments: argparse.Namespace) -> None:
    from .training.simulation.ptbxl_tree import write_simulated_ptbxl

    directory = write_simulated_ptbxl(
        arguments.directory, arguments.records, arguments.seed, tuple(arguments.sampling_rates)
    )
    print(f"{arguments.records} simulated recordings in {directory}")


def run_download(arguments: argparse.Namespace) -> None:
    from .training.data.download import PHYSIONET, download
    from .training.data.open_datasets import OPEN_DATASETS

    if arguments.name in OPEN_DATASETS:
        print(OPEN_DATASETS[arguments.name].notice(), flush=True)
    directory = download(
        arguments.name, arguments.output, arguments.only, arguments.connections, arguments.mirror or PHYSIONET
    )
    print(f"Complete and verified in {directory}")


def run_prepare(arguments: argparse.Namespace) -> None:
    from .hub_cards.dataset_card import write_dataset_card
    from .training.data.catalogue import open_source
    from .training.data.preparation import describe, prepare

    source = open_source(
        arguments.name,
        arguments.source,
        sampling_rate=arguments.sampling_rate,
        splits=arguments.splits,
        table=arguments.table,
        labels=arguments.labels,
    )
    output = prepare(
        source,
        arguments.output,
        # PTB-XL was asked for the files of this rate.
        sampling_rate=None if arguments.name == "ptbxl" else arguments.sampling_rate,
        skip_bad=arguments.skip_bad,
        ignore_unknown_leads=arguments.ignore_unknown_leads,
        processes=arguments.processes,
    )
    print(f"{describe(output)}\nCard in {write_dataset_card(output)}")


def export_run(model, processor, output: str) -> None:
    """Write the model of a run into its folder; of several processes the first does, and all end after it."""
    from pathlib import Path

    from .hub_cards.export import export
    from .training.trainer.distributed import is_main_process, shut_down_process_group
    from .training.trainer.training_record import TRAINING_RECORD

    if is_main_process():
        folder = Path(output)
        print(f"Model in {export(model, processor, folder / 'model', results=[folder / TRAINING_RECORD])}")
    shut_down_process_group()


def run_pretrain(arguments: argparse.Namespace) -> None:
    from .training.data.catalogue import load_data
    from .training.learning.pretraining import combine, pretrain
    from .training.trainer.distributed import main_process_first
    from .training.trainer.recipe import load_recipe

    recipe = load_recipe(arguments.recipe, arguments.overrides)
    with main_process_first():
        dataset = combine([load_data(folder) for folder in arguments.data])
    model, processor = pretrain(dataset, recipe, arguments.output, arguments.resume)
    export_run(model, processor, arguments.output)


def run_learn_labels(arguments: argparse.Namespace) -> None:
    import tempfile
    from pathlib import Path

    from .hub_cards.export import export, load
    from .hub_cards.folder import example_record, fetch
    from .training.batching.report_text import with_text
    from .training.data.catalogue import load_data
    from .training.learning.label_learning import LEAST, PENALTY, learn_labels, results_that_hold
    from .training.learning.pretraining import combine
    from .training.results.result_files import FORMAT, provenance, write_json
    from .training.results.weights import answering, weights_sha256
    from .training.trainer.training_record import TRAINING_RECORD

    source, _ = fetch(arguments.model)
    model, processor = load(source)
    dataset = combine([load_data(folder) for folder in arguments.data])
    if "train" not in dataset:
        raise ValueError(f"{', '.join(arguments.data)} has no split train, which labels are learned from.")
    least = LEAST if arguments.least is None else arguments.least
    taught, stated = learn_labels(model, processor, dataset["train"], least=least)
    before, after = (answering(one.state_dict()) for one in (model, taught))
    # Without what it may have learned before.
    start = weights_sha256({name: tensor for name, tensor in before.items() if not name.startswith("label_")})
    facts = {
        "start": {"name": Path(arguments.model).name, "weights_sha256": start},
        "penalty": PENALTY,
        "least": least,
        "reports": len(with_text(dataset["train"])),
        "stated": stated,
    }
    kept = dict(results_that_hold(source, weights_sha256(before), weights_sha256(after)))
    kept["learned-labels.json"] = {"format": FORMAT, "learned_labels": facts | provenance()}
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in kept.items():
            write_json(Path(scratch) / name, content)
        results = [*source.glob(f"results/{TRAINING_RECORD}"), *(Path(scratch) / name for name in kept)]
        directory = export(taught, processor, arguments.output, example=example_record(source), results=results)
    print(f"{len(stated)} labels, model in {directory}")


def run_evaluate(arguments: argparse.Namespace) -> None:
    from functools import partial
    from pathlib import Path

    from transformers import (
        AutoConfig,
        AutoModel,
        AutoModelForMultimodalLM,
        AutoModelForSequenceClassification,
        AutoProcessor,
        set_seed,
    )

    from .training.data.catalogue import load_data
    from .training.evaluation.classifier import evaluate_classifier
    from .training.evaluation.evaluate import METHODS, evaluate
    from .training.evaluation.output import result_file
    from .training.evaluation.reports import evaluate_abstention, evaluate_reports
    from .training.results.result_files import write_json
    from .training.scoring.encoders import CheckpointClassifier, CheckpointEncoder, CheckpointReporter
    from .training.scoring.probes import FRACTIONS

    started = time.monotonic()
    name, dataset = arguments.name or Path(arguments.model).name, load_data(arguments.data)
    processor = AutoProcessor.from_pretrained(arguments.model)

    def write(measured: Any, results: Sequence[dict]) -> None:
        content = result_file(measured, dataset, Path(arguments.data).name, arguments.seed, results)
        write_json(arguments.output, content)

    def refuse_options(what: str) -> None:
        for option in (
            "tasks",
            "only",
            "fractions",
            "random_initialisation",
            "published_protocol",
            "cache",
            "shift_to",
        ):
            if getattr(arguments, option):
                raise ValueError(f"{arguments.model} {what}: --{option.replace('_', '-')} does not go with it.")

    architectures = AutoConfig.from_pretrained(arguments.model).architectures or ()
    if "MeritForReportGeneration" in architectures:
        refuse_options("reports, and is judged by its reports")
        reporter = CheckpointReporter(AutoModelForMultimodalLM.from_pretrained(arguments.model), processor, name)
        show = partial(show_result, started=started)
        results = [*evaluate_reports(reporter, dataset, log=show), *evaluate_abstention(reporter, dataset, log=show)]
        write(reporter, results)
        print(f"{len(results)} results in {arguments.output}")
        return
    if "MeritForEcgClassification" in architectures:
        refuse_options("is a classifier, judged on its own labels")
        classifier = CheckpointClassifier(
            AutoModelForSequenceClassification.from_pretrained(arguments.model), processor, name
        )
        results = evaluate_classifier(classifier, dataset)
        write(classifier, results)
        print(f"{results[0]['task']}: {results[0]['metrics']['auroc']}, in {arguments.output}")
        return
    model = AutoModel.from_pretrained(arguments.model)
    if arguments.random_initialisation:
        set_seed(arguments.seed)
        model.config.learned_labels = []
        model, name = AutoModel.from_config(model.config), arguments.name or "random initialisation"
    encoder = CheckpointEncoder(model, processor, name)

    results = evaluate(
        encoder,
        dataset,
        arguments.tasks,
        arguments.only or METHODS,
        arguments.cache,
        arguments.published_protocol,
        [load_data(folder) for folder in arguments.shift_to],
        arguments.seed,
        sorted(set(arguments.fractions or FRACTIONS)),
        log=partial(show_result, started=started),
    )
    write(encoder, results)
    print(f"{len(results)} results in {arguments.output}")


def show_result(result: dict[str, Any], started: float) -> None:
    """Print a line: when it was ready, what was measured, and the first figure, or the AUROC if there is one."""
    what = ", ".join(f"{key} {value}" for key, value in result["setting"].items())
    metric = "auroc" if "auroc" in result["metrics"] else next(iter(result["metrics"]))
    figure = result["metrics"][metric]
    print(
        f"[{time.monotonic() - started:4.0f} s] {result['task']} {result['method']}{what and f' ({what})'}: "
        f"{metric} {figure['value']} ({figure['low']} to {figure['high']})",
        flush=True,
    )


def run_finetune(arguments: argparse.Namespace) -> None:
    import tempfile
    from pathlib import Path

    from transformers import AutoModel, AutoProcessor

    from .hub_cards.export import export
    from .training.data.catalogue import load_data
    from .training.learning.finetuning import EPOCHS, SETTINGS, fine_tune
    from .training.results.weights import weights_sha256
    from .training.scoring.probes import train_rows
    from .training.scoring.protocol import protocol_of, task_names
    from .training.trainer.training_record import TrainingRecord

    if not 0 < arguments.fraction <= 1:
        raise ValueError(f"--fraction must be above 0 and at most 1, not {arguments.fraction:g}.")
    dataset = load_data(arguments.data)
    if missing := [split for split in ("train", "validation", "test") if split not in dataset]:
        raise ValueError(f"{arguments.data} has no split {', '.join(missing)}.")
    if arguments.task not in task_names(dataset):
        raise ValueError(f"{arguments.data} has no task {arguments.task}; it has {', '.join(task_names(dataset))}.")
    pretrained, processor = AutoModel.from_pretrained(arguments.model), AutoProcessor.from_pretrained(arguments.model)
    task, fraction, seed = arguments.task, arguments.fraction, arguments.seed
    settings = SETTINGS | {"num_train_epochs": arguments.epochs or EPOCHS}
    start = {"name": Path(arguments.model).name, "weights_sha256": weights_sha256(pretrained.state_dict())}
    facts = {"start": start, "task": task, "fraction": fraction, "training": {**settings, "seed": seed}}
    protocol = protocol_of(dataset, task, resamples=0)
    learned = {"train": dataset["train"].select(train_rows(protocol, fraction)), "validation": dataset["validation"]}
    with tempfile.TemporaryDirectory() as scratch:
        record = TrainingRecord(learned, facts, Path(scratch))
        tuned = fine_tune(pretrained, processor, dataset, task, protocol, fraction, seed, **settings)
        record.write(tuned.log)
        print(f"Model in {export(tuned.model, processor, arguments.output, results=[record.path])}")


def run_train_reports(arguments: argparse.Namespace) -> None:
    from transformers import AutoModel, AutoProcessor

    from .training.data.catalogue import load_data
    from .training.learning.report_generation import train_reports
    from .training.trainer.distributed import main_process_first
    from .training.trainer.recipe import REPORTS, load_recipe

    recipe = load_recipe(arguments.recipe, arguments.overrides, REPORTS)
    with main_process_first():
        dataset = load_data(arguments.data)
    merit, processor = AutoModel.from_pretrained(arguments.model), AutoProcessor.from_pretrained(arguments.model)
    model, processor = train_reports(merit, processor, dataset, recipe, arguments.output, arguments.resume)
    export_run(model, processor, arguments.output)


def run_baseline(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    from .training.data.catalogue import load_data
    from .training.evaluation.supervised_baseline import supervised_baseline
    from .training.results.result_files import write_json
    from .training.scoring.protocol import task_names

    dataset, name = load_data(arguments.data), Path(arguments.data).name
    tasks = arguments.tasks or task_names(dataset)
    output = Path(arguments.output)
    results = supervised_baseline(dataset, name, tasks, output, arguments.epochs, arguments.seed)
    write_json(output / "results.json", results)
    print(f"{len(tasks)} results in {output / 'results.json'}")


def run_compare(arguments: argparse.Namespace) -> None:
    from .training.results.comparison import comparison, read_results

    read = read_results(arguments.files)
    print(comparison(read, published=not arguments.no_published))
    if arguments.plots:
        from .training.results.plots import draw_comparison

        for path in draw_comparison(read, arguments.plots):
            print(f"Drawn in {path}", file=sys.stderr)


def run_classify(arguments: argparse.Namespace) -> None:
    import json

    from transformers import pipeline

    if arguments.plot and len(arguments.records) > 1:
        raise ValueError(f"--plot draws one record, and {len(arguments.records)} were given.")
    # transformers' overloads list its own tasks only.
    classifier: Any = pipeline("zero-shot-ecg-classification", model=arguments.model)  # type: ignore[call-overload]
    answers = classifier(
        arguments.records,
        candidate_labels=arguments.labels,
        hypothesis_template=arguments.template,
        multi_label=arguments.multi_label,
        top_k=arguments.top_k,
        sampling_rate=arguments.sampling_rate,
        units=arguments.units,
    )
    if arguments.json:
        print(json.dumps(dict(zip(arguments.records, answers)), indent=2))
    else:
        for record, answer in zip(arguments.records, answers):
            print(f"{record}\n{table(answer)}")
        print(DISCLAIMER)
    if arguments.plot:
        draw(arguments, classifier.processor.feature_extractor, answers[0])


def run_report(arguments: argparse.Namespace) -> None:
    import json

    from transformers import pipeline

    reporter: Any = pipeline("ecg-report-generation", model=arguments.model)  # type: ignore[call-overload]
    answers = reporter(
        arguments.records,
        text=arguments.text,
        language=arguments.language,
        generate_kwargs={"num_beams": arguments.beams},
        sampling_rate=arguments.sampling_rate,
        units=arguments.units,
    )
    if arguments.json:
        print(json.dumps(dict(zip(arguments.records, answers)), indent=2))
        return
    for record, answer in zip(arguments.records, answers):
        print(record)
        supported = [{"label": said["text"], "score": said["support"]} for said in answer["statements"]]
        print(table(supported) if supported else f"  {answer['report']}")
    print(f"Beside each statement: its support by the encoder alone. {DISCLAIMER}")


def table(answer: Sequence[dict]) -> str:
    """One line for each label: name, score, and a bar of its length."""
    width = max(len(entry["label"]) for entry in answer)
    return "\n".join(
        f"  {entry['label']:<{width}}  {entry['score']:.3f}  {'█' * round(20 * entry['score'])}" for entry in answer
    )


def draw(arguments: argparse.Namespace, feature_extractor, answer: Sequence[dict]) -> None:
    """Draw the recording as it is, not as the model's filters leave it."""
    from copy import copy
    from pathlib import Path

    from .plot import draw_ecg

    unfiltered = copy(feature_extractor)
    unfiltered.bandpass, unfiltered.sampling_rate = None, 500
    record = arguments.records[0]
    batch = unfiltered(record, sampling_rate=arguments.sampling_rate, units=arguments.units)
    recorded = batch["lead_mask"][0]
    leads = [name for name, present in zip(unfiltered.lead_names, recorded) if present]
    draw_ecg(
        batch["ecg_values"][0][recorded],
        unfiltered.sampling_rate,
        leads,
        arguments.plot,
        title=Path(record).name,
        answer=answer,
    )
    print(f"Drawn in {arguments.plot}", file=sys.stderr)


def run_export(arguments: argparse.Namespace) -> None:
    import tempfile
    from pathlib import Path

    from .hub_cards.folder import example_record, fetch, remember

    source, commit = fetch(arguments.model)
    from .hub_cards.export import export, load  # after the download, which needs no torch

    results = {path.name: path for path in (*sorted(source.glob("results/*.json")), *map(Path, arguments.results))}
    with tempfile.TemporaryDirectory() as scratch:
        directory = export(
            *load(source),
            arguments.directory,
            dtype=arguments.dtype,
            max_shard_size=arguments.max_shard_size,
            example=example_record(source) or simulated_record(scratch),
            results=results.values(),
        )
    if commit:
        remember(directory, arguments.model, "main", commit)
    print(f"Model in {directory}")


def simulated_record(scratch: str) -> str:
    """The recording that goes along with models that have none yet."""
    from .training.simulation.ptbxl_tree import write_simulated_ptbxl

    return f"{write_simulated_ptbxl(f'{scratch}/tree', 1, seed=0, progress=False)}/records100/00000/00001_lr"


def run_publish(arguments: argparse.Namespace) -> None:
    from .hub_cards.publish import publish

    publish(
        arguments.directory,
        arguments.repo_id,
        private=arguments.private,
        revision=arguments.revision,
        create_pr=arguments.create_pr,
        dry_run=arguments.dry_run,
        force=arguments.force,
    )


def run_demo(arguments: argparse.Namespace) -> None:
    from . import demo

    (demo.train if arguments.train else demo.run)(arguments.data, arguments.output)


def main() -> int:
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except (OSError, ValueError) as error:
        print(f"merit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
