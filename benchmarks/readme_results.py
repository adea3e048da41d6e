"""Write the figures of both READMEs from result files, and from nothing else: python benchmarks/readme_results.py"""

import csv
import json
import statistics
from functools import partial
from importlib.resources import files
from pathlib import Path

from ablations import ARMS

from merit.training.evaluation.physiology import QUANTITIES
from merit.training.results.comparison import find_result, paired_difference, table
from merit.training.results.published import published_rows
from merit.training.results.wording import cell, setting_in_words

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CHECKPOINTS = ("merit-ptbxl-small", "merit-ptbxl-tiny")
REPORTER = "merit-ptbxl-report"
TASKS = ("all", "diagnostic", "sub", "super", "form", "rhythm")
FROM_ZERO_SHOT = {"start": "zero-shot"}
# What is shown of a checkpoint, and the published systems beside it.
SHOWN = {
    "without labels, supervised by reports": ("zero-shot", {}),
    "zero-shot, prompts": ("zero-shot", {"language": "both"}),
    "zero-shot, English prompts": ("zero-shot", {"language": "en"}),
    "zero-shot, German prompts": ("zero-shot", {"language": "de"}),
    "linear probe, 1 % of the labels": ("linear-probe", {"train_fraction": 0.01}),
    "linear probe, 10 % of the labels": ("linear-probe", {"train_fraction": 0.1}),
    "linear probe": ("linear-probe", {}),
    "linear probe from zero-shot, 1 % of the labels": ("linear-probe", {"train_fraction": 0.01, **FROM_ZERO_SHOT}),
    "linear probe from zero-shot, 10 % of the labels": ("linear-probe", {"train_fraction": 0.1, **FROM_ZERO_SHOT}),
    "linear probe from zero-shot": ("linear-probe", FROM_ZERO_SHOT),
    "fine-tuned, 1 % of the labels": ("fine-tuned", {"train_fraction": 0.01}),
    "fine-tuned, 10 % of the labels": ("fine-tuned", {"train_fraction": 0.1}),
    "fine-tuned": ("fine-tuned", {}),
}
BESIDE = {
    "zero-shot, prompts": [("D-BETA", "zero-shot"), ("MERL", "zero-shot")],
    "linear probe": [
        ("D-BETA", "linear-probe"),
        ("MERL", "linear-probe"),
        ("xresnet1d101 (Strodthoff et al.)", "supervised"),
    ],
}
BEGIN, END = "<!-- results -->\n", "<!-- /results -->\n"


def main() -> None:
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(with_results(path.read_text(encoding="utf-8"), name), encoding="utf-8")


def with_results(text: str, name: str) -> str:
    """A document with what stands between its marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(section() for section in DOCUMENTS[name]) + END + after


def checkpoint(name: str) -> str:
    """A checkpoint that ships: macro AUROC and F1 on fold 10, beside the same model before training and others."""
    folder = ROOT / "hub_cards" / name / "results"
    own = [read(path) for path in sorted(folder.glob("*.json"))]
    # Classifiers that were fine-tuned on it and ship beside it.
    heads = sorted(ROOT.glob(f"hub_cards/{name}-*/results/evaluation.json"))
    training = next(file["training"] for file in own if "training" in file)
    untrained = next(file for file in own if file.get("model", {}).get("name") == "random initialisation")
    trained = [file for file in own if "results" in file and file["model"]["name"] != "random initialisation"]
    trained += [read(path) for path in heads]
    published = {(row["model"], row["method"], row["train_fraction"], row["task"]): row for row in published_rows()}
    text = (
        f"**{name}**: {trained[0]['model']['parameters'] / 1e6:.1f} M parameters, pretrained {effort(training)} by the "
        "recipe of its name "
        f"([files](hub_cards/{name}/results)). Fold 10 of PTB-XL, macro AUROC in percent with 95 % intervals."
    )
    rows = []
    for title, (method, setting) in SHOWN.items():
        cells = of_tasks(trained, method, setting, "auroc")
        if set(cells) == {"-"}:
            continue
        rows.append([f"**{title}**", *cells])
        if setting in ({}, {"language": "both"}):
            rows.append([f"{title}, F1", *of_tasks(trained, method, setting, "f1")])
        if title in BESIDE:
            before = of_tasks([untrained], method, {}, "auroc")
            rows.append([f"{title}, before training", *before])
        for model, how in BESIDE.get(title, ()):
            found = [published.get((model, how, 1.0, task)) for task in TASKS]
            rows.append(
                [
                    f"{model}, {how.replace('-', ' ')}, as published",
                    *(f"{100 * row['auroc']:.1f}" if row else "-" for row in found),
                ]
            )
    return text + "\n\n" + table(["", *TASKS], rows + supervised())


def effort(training: dict) -> str:
    """How long a pretraining took, and where; of one that another process began, the part that the record knows."""
    end = training["log"][-1]
    machine = training["machine"].get("gpu") or f"{training['machine']['cores']} cores"
    took = f"in {end['train_runtime'] / 60:.0f} minutes on {machine}"
    begun = training.get("resumed_at_step")
    return f"for {end['epoch']:.0f} epochs, the steps after {begun:,} of {end['step']:,} {took}," if begun else took


def supervised() -> list[list[str]]:
    """The baseline that `merit baseline` trained."""
    rows = []
    for path in sorted(RESULTS.glob("supervised-*-epochs.json")):
        file, epochs = load(path.name), path.stem.split("-")[1]
        for metric, said in (("auroc", ""), ("f1", ", F1")):
            title = f"xresnet1d101, supervised, trained here for {epochs} epochs{said}"
            rows.append([title, *of_tasks([file], "supervised", {}, metric)])
    return rows


def of_tasks(files: list[dict], method: str, setting: dict, metric: str) -> list[str]:
    """The figure of each task, from whichever file has it."""
    cells = []
    for task in TASKS:
        results = [result for file in files if (result := find_result(file, task, method, setting))]
        cells.append(cell(results[0]["metrics"].get(metric), metric) if results else "-")
    return cells


def robustness() -> str:
    """Fewer leads, noise, less time, lower rates: thresholds and probes are those of the recordings as they are."""
    path = f"hub_cards/{CHECKPOINTS[0]}/results/evaluation.json"
    file = read(ROOT / path)
    columns = [(method, task) for method in ("zero-shot", "linear-probe") for task in ("super", "all", "rhythm")]
    settings = [{}]
    for result in file["results"]:
        setting = result["setting"]
        if {"leads", "noise", "seconds", "sampling_rate"} & set(setting) and setting not in settings:
            settings.append(setting)
    rows = [
        [
            ", ".join(setting_in_words(setting)) or "as they are",
            *(cell(find_result(file, task, method, setting)["metrics"]["auroc"], "auroc") for method, task in columns),
        ]
        for setting in settings
    ]
    text = (
        f"**Fewer leads, noise, less time**: macro AUROC of {CHECKPOINTS[0]} on fold 10, in percent; zero shot "
        f"by the labels that it has learned from reports ([file](../{path})).\n\n"
    )
    return text + table(["", *(f"{method.replace('-', ' ')} {task}" for method, task in columns)], rows)


def demo() -> str:
    """What real training says of simulated disease."""
    content = load("demo.json")
    columns = content["auc"]
    labels = list(next(iter(columns.values())))
    rows = [[label, *(f"{figures[label]:.3f}" for figures in columns.values())] for label in labels]
    text = (
        f"**Simulated disease**, which no training recording showed: AUC of {content['model']} on patients of the "
        f"simulator, `{content['command']}`, {content['seconds']} s in all on {content['machine']['cores']} cores "
        "([file](results/demo.json)).\n\n"
    )
    return text + table(["", *(how.replace("_", " ") for how in columns)], rows)


def search() -> str:
    return _search("search", "What the recipes rest on")


def choices() -> str:
    return _search("search-choices", "Objective, tokens and text, one choice at a time") + (
        "\nThey ran beside other programs, so their seconds say nothing.\n"
    )


def _search(name: str, title: str) -> str:
    """Variants of a recipe on fold 9."""
    rows = []
    for path in sorted((RESULTS / name).glob("*.json")):
        content = read(path)
        figures = content["macro_auc"]
        shown = [
            f"{figures[how][task]:.3f}" for how in ("zero-shot", "linear-probe") for task in ("super", "all", "rhythm")
        ]
        settings = dict(setting.split("=", 1) for setting in content["settings"])
        steps = settings.get("training.max_steps", "-")
        rows.append([path.stem, steps, f"{content['seconds']:.0f} s", *shown])
    header = [
        "",
        "steps",
        "training",
        *(f"{how} {task}" for how in ("zero-shot", "probe") for task in ("super", "all", "rhythm")),
    ]
    text = (
        f"**{title}**: macro AUC on fold 9 after some minutes of pretraining, variants of [{name}.yaml]({name}.yaml)."
    )
    return text + "\n\n" + table(header, rows)


def preparation() -> str:
    content = load("preparation.json")
    results = content["results"]
    seconds, rates, peaks = (results[name] for name in ("seconds", "training_records_per_second", "peak_megabytes"))
    quarter, whole = peaks.values()
    cores = content["machine"]["cores"]
    rows = [
        [f"preparing all {results['records']:,} records, {cores} processes", f"{seconds['all_cores']:.1f} s"],
        ["the same, one process", f"{seconds['one_process']:.1f} s"],
        ["reading the records and nothing else, one process", f"{seconds['read_wfdb_alone']:.1f} s"],
        ["a loop of `wfdb.rdrecord`", f"{seconds['wfdb_loop']:.1f} s"],
        ["which takes so many times as long", f"{results['times_as_fast_as_wfdb']:.1f}"],
        ["signals equal to wfdb's to the last bit", f"{results['signals_equal_to_the_last_bit']:,}"],
        ["peak memory, a quarter of the records and all", f"{quarter['peak']:.0f} MB, {whole['peak']:.0f} MB"],
        ["of which before the first record", f"{whole['before']:.0f} MB"],
        ["batches for training, one process", f"{rates['collated_by_0_workers']:,} records/s"],
        ["of which fetching the rows alone", f"{rates['fetching_rows']:,} records/s"],
        ["floor: copying the same bytes", f"{rates['copying_the_bytes']:,} records/s"],
    ]
    text = "**`merit prepare ptbxl`** at 100 Hz, and reading what it wrote "
    return text + "([file](results/preparation.json)).\n\n" + table(["", ""], rows)


def load(name: str) -> dict:
    return read(RESULTS / name)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def auc_section(name: str) -> str:
    content = load(name)
    minutes, auc = content["seconds"] / 60, content["auc"]
    what = "PTB-XL, fold 10" if name == "demo-ptbxl.json" else "simulated patients"
    text = (
        f"**{what}**: AUC after `{content['command']}`, {minutes:.1f} minutes in all on "
        f"{content['machine']['cores']} cores ([file](results/{name})).\n\n"
    )
    rows = []
    for task in auc["trained"]["zero_shot"]:
        for how in ("zero_shot", "linear_probe"):
            trained, untrained = (auc[which][how][task] for which in ("trained", "random_initialisation"))
            labels = [label for label in trained if label != "macro"]
            shown = ", ".join(f"{label} {trained[label]:.3f}" for label in labels) if len(labels) <= 5 else ""
            measured = f"{how.replace('_', ' ')} {task} ({len(labels)} labels)"
            rows.append([measured, f"{trained['macro']:.3f}", f"{untrained['macro']:.3f}", shown])
    return text + table(["", "macro AUC", "random initialisation", "per label"], rows)


def scores() -> str:
    content = load("zero-shot-scores.json")
    tasks = list(next(iter(content["macro_auc"].values())))
    rows = [[way, *(f"{figures[task]:.3f}" for task in tasks)] for way, figures in content["macro_auc"].items()]
    text = (
        "**How a label is scored**: zero-shot macro AUC on fold 9, where the pipeline's ways were chosen; by "
        "merit-ptbxl-small ([file](results/zero-shot-scores.json)). The choice was made with an earlier encoder."
    )
    return text + "\n\n" + table(["", *tasks], rows)


def processing() -> str:
    content = load("processing.json")
    rows = [
        [
            row["folder"],
            f"{row['records_per_second']['merit']:.0f}",
            f"{row['records_per_second']['plain']:.0f}",
            f"{row['ratio']:.1f}",
            f"{row['records_per_second']['floor']:.0f}",
        ]
        for row in content["results"]
    ]
    text = "**From WFDB path to tensor**, records per second, beside wfdb and scipy record by record in the same run "
    header = ["", "MERIT", "wfdb + scipy", "times as many", "floor: reading the bytes"]
    return text + "([file](results/processing.json)).\n\n" + table(header, rows)


def pretraining() -> str:
    content = load("pretraining.json")
    results = content["results"]
    rates, peaks = results["records_per_second"], results["peak_bytes"]
    done, possible = results["operations_per_second"], results["matrix_operations_per_second"]["bfloat16"]
    [loader] = results["loader_records_per_second"].values()
    [(memory, batch)] = results["largest_batch"].items()
    rows = [
        ["as `merit pretrain` runs it", f"{rates['recipe']:.0f} records/s"],
        ["with mask tokens through the encoder", f"{rates['mask-tokens']:.0f} records/s"],
        ["in float32, without compilation", f"{rates['float32']:.0f} records/s"],
        ["both: the straightforward version", f"{rates['straightforward']:.0f} records/s"],
        ["times as many as the straightforward version", f"{rates['recipe'] / rates['straightforward']:.1f}"],
        [
            "share of the rate at which this machine multiplies matrices in bfloat16",
            f"{100 * done / possible:.0f} % of {possible / 1e9:.0f} Gflop/s",
        ],
        ["the loader, one process", f"{loader:.0f} records/s"],
        *([f"peak memory, batch of {size}", f"{peak / 1e9:.1f} GB"] for size, peak in peaks.items()),
        [f"largest batch in {memory}, by the line through both", f"{batch:,}"],
    ]
    text = f"**A step of pretraining**, recipe {content['recipe']}, {content['machine']['cores']} cores, no GPU "
    return text + "([file](results/pretraining.json)).\n\n" + table(["", ""], rows)


def pipeline() -> str:
    results = load("pipeline.json")["results"]
    imports = results["import_seconds"]
    rows = [
        ["one record, from path to answer", f"{results['milliseconds_for_one_record']:.0f} ms"],
        [f"batches of {results['batch_size']}", f"{results['records_per_second_in_batches']:.0f} records/s"],
        ["the ECG encoder alone", f"{results['records_per_second_encoder_alone']:.0f} records/s"],
        ["load the folder and first answer", f"{results['seconds_to_load_and_first_answer']:.1f} s"],
        ["the same by a fresh process", f"{results['seconds_from_nothing_to_first_answer']:.1f} s"],
        ["its peak memory", f"{results['peak_megabytes']:.0f} MB"],
        ["`import merit`, `import transformers`", f"{imports['merit']:.2f} s, {imports['transformers']:.2f} s"],
    ]
    text = f"**The zero-shot pipeline**, {results['parameters'] / 1e6:.1f} M parameters "
    return text + "([file](results/pipeline.json)).\n\n" + table(["", ""], rows)


def reports() -> str:
    """The checkpoint that reports, what it has to beat, and published systems."""
    content = read(ROOT / "hub_cards" / REPORTER / "results" / "evaluation.json")
    meteor = next(metric for metric in content["results"][0]["metrics"] if metric.startswith("meteor"))
    metrics = {
        "bleu_1": "BLEU-1",
        "bleu_4": "BLEU-4",
        "rouge_l": "ROUGE-L",
        meteor: "METEOR" if meteor == "meteor" else "METEOR of exact and stemmed words",
        "statements_f1": "F1 of statements",
        "normal_with_pathology": "normal and pathological",
        "wrong_side": "left for right",
    }
    rows = []
    for language in ("en", "de"):
        for result in content["results"]:
            if (result["task"], result["method"]) == (f"reports-{language}", "report-generation"):
                who = ", ".join(result["setting"].values())
                mark = "**" if result["setting"]["reports"] == "generated" else ""
                cells = (cell(result["metrics"].get(metric), metric) for metric in metrics)
                rows.append([f"{mark}{ {'en': 'English', 'de': 'German'}[language] }: {who}{mark}", *cells])
    published = (files("merit.training.results") / "published_reports.csv").read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(published):
        rows.append([f"{row['system']}, as published", *(row.get(metric, "-") for metric in metrics)])
    model, language_model = content["model"], load("report-speed.json")["results"]["parameters"]["language model"]
    text = (
        f"**{REPORTER}**: reports of fold 10, by {model['parameters'] / 1e6:.1f} M parameters in all, of which "
        f"{language_model / 1e6:.1f} M are a language model trained from scratch "
        f"([file](hub_cards/{REPORTER}/results/evaluation.json)). In percent with 95 % intervals. Statements are read "
        "out of the text and held against the labels; the written reports, read in the same way, are the limit. "
        "Published systems prepared the reports in ways of their own."
    )
    for result in content["results"]:
        if (result["task"], result["method"]) == ("reports-en", "support"):
            within, over = (
                cell(result["metrics"][f"auroc_{which}_statements"], "auroc") for which in ("within", "over")
            )
            text += (
                f" Support tells the recordings of which a statement is right from those of which it is wrong with an "
                f"AUROC of {within}; between different statements it cannot be compared ({over})."
            )
    return text + "\n\n" + table(["", *metrics.values()], rows) + "\n" + abstention(content)


def abstention(content: dict) -> str:
    rows = [
        [
            result["setting"]["recordings"],
            *(
                cell(result["metrics"].get(metric), metric)
                for metric in ("abstained", "auroc_by_atypicality", "auroc_by_doubt", "states_a_finding")
            ),
            result["says_most_often"]["report"],
        ]
        for result in content["results"]
        if result["method"] == "abstention"
    ]
    text = "**Where it should say that it cannot tell**: the threshold refuses 2 % of fold 9; share refused in fold 10."
    header = ["", "refused", "AUROC by atypicality", "by doubt", "would state a finding", "would say most often"]
    return text + "\n\n" + table(header, rows)


def input_rate() -> str:
    content = load("input-rate.json")
    results = content["results"]
    cosine, auroc = results["cosine_of_the_embeddings"], results["macro_auroc"]
    return (
        f"**500 Hz and 100 Hz**: of {results['records']} recordings both files of PTB-XL, through {content['model']} "
        f"([file](results/input-rate.json)). Embeddings have a cosine of {cosine['mean']:.3f} in the mean, "
        f"{cosine['lowest']:.3f} at the lowest; zero-shot scores of {content['task']} correlate with "
        f"{results['correlation_of_the_scores']:.3f}; macro AUROC {100 * auroc['100 Hz']:.1f} at 100 Hz and "
        f"{100 * auroc['500 Hz']:.1f} at 500 Hz (most of these recordings trained the model).\n"
    )


def claim() -> str:
    """MERIT and its ablations after the same time, over seeds."""
    folder = RESULTS / "ablations"
    arms = {arm: [read(path) for path in sorted(folder.glob(f"{arm}-[0-9]*.json"))] for arm in ARMS}
    minutes = load("ablations/steps.json")["minutes"]
    seeds = ", ".join(f"{len(group)} of {arm}" for arm, group in arms.items())
    rows = []
    for method, metric in (
        ("zero-shot", "auroc"),
        ("linear-probe", "auroc"),
        ("zero-shot", "f1"),
        ("linear-probe", "f1"),
    ):
        for task in TASKS if metric == "auroc" else ("all", "sub"):
            values = {
                arm: [
                    100 * result["metrics"][metric]["value"]
                    for file in group
                    if (result := find_result(file, task, method))
                ]
                for arm, group in arms.items()
            }
            name = f"{method.replace('-', ' ')} {task}, {'macro AUROC' if metric == 'auroc' else 'macro F1'}"
            rows.append([name, *map(_mean_and_range, values.values()), _paired(arms, task, method, metric)])
    for quantity in QUANTITIES:
        values = [[100 * file["physiology"][quantity]["r2"]["value"] for file in group] for group in arms.values()]
        rows.append([f"{quantity.replace('_', ' ')}, R² in percent", *map(_mean_and_range, values), "-"])
    text = (
        f"**MERIT and its ablations**, {minutes:g} minutes of training each; seeds: {seeds} "
        "([files](results/ablations)): mean (lowest to highest). Classification on fold 10, zero-shot by prompts; "
        "physiology regressed from frozen features of simulated recordings. The last column: MERIT minus "
        "alignment-only, mean over seeds, and in how many seeds the paired 95 % interval lies above or below 0."
    )
    return text + "\n\n" + table(["", *ARMS, "difference"], rows)


def _mean_and_range(values: list[float]) -> str:
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})" if values else "-"


def _paired(arms: dict[str, list[dict]], task: str, method: str, metric: str) -> str:
    pairs = [
        paired_difference(*(find_result(file, task, method) for file in pair), metric)
        for pair in zip(arms["merit"], arms["alignment-only"])
    ]
    above, below = sum(pair["low"] > 0 for pair in pairs), sum(pair["high"] < 0 for pair in pairs)
    return f"{100 * statistics.mean(pair['value'] for pair in pairs):+.1f}, {above} above, {below} below"


def report_encoders() -> str:
    """What the encoder is worth to the reports."""
    rows = []
    for arm in ARMS:
        for path in sorted((RESULTS / "report-encoders").glob(f"{arm}-[0-9]*.json")):
            for result in read(path)["results"]:
                if result["setting"].get("reports") == "generated":
                    metrics = ("bleu_1", "bleu_4", "rouge_l", "statements_f1", "statements_f1_macro")
                    cells = (cell(result["metrics"][metric], metric) for metric in metrics)
                    rows.append([f"{arm}, {result['setting']['decoding']}", *cells])
    text = (
        "**Reports by encoder**: the same generator, trained on the frozen encoders of the table above (seed 0), "
        "English reports of fold 10 ([files](results/report-encoders))."
    )
    return text + "\n\n" + table(["", "BLEU-1", "BLEU-4", "ROUGE-L", "F1 of statements", "macro F1"], rows)


def report_speed() -> str:
    results = load("report-speed.json")["results"]
    rows = [[way, f"{rate:.0f}"] for way, rate in results["reports_per_second"].items()]
    text = (
        f"**Writing reports**, batches of {results['batch_size']}, {results['threads']} threads "
        "([file](results/report-speed.json))."
    )
    return text + "\n\n" + table(["", "reports/s"], rows)


def protocol() -> str:
    """What each mended defect of published evaluations does to our own figures."""
    content, csn = load("evaluation.json"), load("csn-label-errors.json")["results"]
    rows = []
    for task, figures in content["defects"].items():
        selected = content["published_selection"][f"{task}, 100 %"]
        by_epoch = (f"{100 * selected[f'selected on {split}']:.1f}" for split in ("validation", "test"))
        rows.append([task, *(f"{100 * value:.1f}" for value in figures.values()), *by_epoch])
    header = ["", *next(iter(content["defects"].values())), "probe AUROC, epoch chosen on fold 9", "on fold 10"]
    seconds = content["seconds"]
    text = (
        "**What the published protocol does to figures**, on fold 10, of the model of "
        f"`{content['command']}` ([file](results/evaluation.json)), zero-shot by labels learned from reports; in "
        "percent. On CSN a classifier that is never wrong reaches a macro AUROC of "
        f"{100 * csn['macro_auroc_of_the_diagnoses']:.1f} and a macro F1 of "
        f"{100 * csn['macro_f1_of_the_diagnoses']:.1f} by the published labels, as {csn['records_with_a_false_label']} "
        f"of {csn['test_records']:,} test records carry a false one ([file](results/csn-label-errors.json))."
    )
    times = (
        f"The whole evaluation, {content['results']} results, took {seconds['evaluation from signals']:.0f} s from "
        f"signals and {seconds['evaluation from kept embeddings']:.0f} s from kept embeddings; the probes of the "
        f"published protocol alone {seconds['published probes from embeddings']:.0f} s from embeddings, and, with the "
        f"encoder run in every epoch as published, {seconds['published probes from signals, reckoned'] / 3600:.1f} h "
        "(reckoned from one pass).\n"
    )
    return text + "\n\n" + table(header, rows) + "\n" + times


def balance() -> str:
    return _search("search-balance", "How both terms share the time") + (
        "\nTwo more ideas were tried at the commits that their files name, and taken out again: *partial-reports* cut "
        "half of the English reports down to some of their statements, as prompts are; in a *shared-pass* the "
        "recordings that are reconstructed met their reports by what the masked branch saw of them, which costs no "
        "second pass. depth-1 and shared-pass ran beside other programs, so their seconds say nothing.\n"
    )


# What stands where.
DOCUMENTS = {
    "README.md": [*(partial(checkpoint, name) for name in CHECKPOINTS), reports],
    "benchmarks/README.md": [
        *(claim, balance, report_encoders, protocol, search, choices, robustness, input_rate, demo),
        *(partial(auc_section, name) for name in ("demo-ptbxl.json", "demo-simulated.json")),
        *(scores, preparation, processing, pretraining, pipeline, report_speed),
    ],
}

if __name__ == "__main__":
    main()
