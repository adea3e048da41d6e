"""Write the tables of README.md, of pages in docs/ and of benchmarks/README.md: python benchmarks/readme_results.py"""

import json
from functools import partial
from typing import Any

import pandas as pd
from ablations import ARMS
from result_tables import RESULTS, ROOT, TASKS, behaviour, claim, facts, load, mean_and_range, read, section, trials

from merit.training.evaluation.physiology import QUANTITIES
from merit.training.results.figures import setting_key
from merit.training.results.published import published_figures
from merit.training.results.result_files import PERTURBED
from merit.training.results.table import markdown, results_table, select
from merit.training.results.wording import cell, how_measured, metric_name, setting_in_words

CHECKPOINTS = ("merit-ptbxl-small", "merit-ptbxl-tiny")
REPORTER = "merit-ptbxl-report"
FROM_ZERO_SHOT = {"start": "zero-shot"}
# The rows of a checkpoint: title, method and setting.
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "zero-shot, report-supervised labels": ("zero-shot", {}),
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
# Rows that are followed by the model before training and by published models.
COMPARED = {
    "zero-shot, prompts": [("D-BETA", "zero-shot"), ("MERL", "zero-shot")],
    "linear probe": [
        ("D-BETA", "linear-probe"),
        ("MERL", "linear-probe"),
        ("xresnet1d101 (Strodthoff et al.)", "supervised"),
    ],
}
# The checkpoints that ship: what they are for, and the figure that stands for each: task, method, metric.
PURPOSES = {
    "merit-ptbxl-small": ("zero-shot classification, features, fine-tuning", "all", "linear-probe", "auroc"),
    "merit-ptbxl-tiny": ("the same, small and fast", "all", "linear-probe", "auroc"),
    "merit-ptbxl-small-super": ("classifier of the 5 superclasses", "super", "fine-tuned", "auroc"),
    "merit-ptbxl-small-all": ("classifier of the 71 statements", "all", "fine-tuned", "auroc"),
    "merit-ptbxl-report": ("report generation", "reports-en", "report-generation", "rouge_l"),
}
GREEDY = setting_key({"reports": "generated", "decoding": "greedy"})
HEADLINE = ("all", "super", "rhythm")
# Published models beside the rows of the headline table.
PUBLISHED_BESIDE = {
    "fine-tuned": [
        ("ECG-CPC, ecg-fm-benchmarking", "fine-tuned"),
        ("S4, ecg-fm-benchmarking", "supervised"),
    ],
    "linear probe": [("ECGFounder, ecg-fm-benchmarking", "linear-probe"), ("D-BETA", "linear-probe")],
    "zero-shot, prompts": [("D-BETA", "zero-shot"), ("MERL", "zero-shot")],
}
BEGIN, END = "<!-- results -->\n", "<!-- /results -->\n"


def main() -> None:
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(with_results(path.read_text(encoding="utf-8"), name), encoding="utf-8")


def with_results(text: str, name: str) -> str:
    """The text of a document with new tables between its markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(filter(None, (section() for section in DOCUMENTS[name]))) + END + after


def by_task(table: pd.DataFrame, method: str, setting: dict[str, Any], metric: str) -> list[str]:
    """The figures of the tasks; a task in several files has that of the first."""
    found = select(table, setting, method=method, metric=metric).drop_duplicates("task")
    cells = {row["task"]: cell(row, metric) for row in found.to_dict("records")}
    return [cells.get(task, "-") for task in TASKS]


def evaluations(name: str) -> list[dict[str, Any]]:
    """The result files of a checkpoint that measured its own weights, and those of its classifiers."""
    paths = [*sorted(ROOT.glob(f"hub_cards/{name}/results/*.json")), *ROOT.glob(f"hub_cards/{name}-*/results/*.json")]
    files = [content for content in map(read, paths) if "results" in content]
    return [content for content in files if content["model"]["name"] != "random initialisation"]


def checkpoints() -> str:
    """The checkpoints that ship: size, purpose, one figure, and the time of training."""
    rows = []
    for name, (purpose, task, method, metric) in PURPOSES.items():
        own = ROOT / "hub_cards" / name / "results"
        content, training = read(own / "evaluation.json"), read(own / "training.json")["training"]
        found = select(results_table([content]), task=task, method=method, metric=metric)
        figure = cell(found[found["setting"].isin(["{}", GREEDY])].to_dict("records")[0], metric)
        timed = "train_runtime" in training["log"][-1]  # those of fine-tuning end with the choice of the epoch
        time = effort(training).removeprefix("in ").rstrip(",") if timed else "-"
        size = f"{content['model']['parameters'] / 1e6:.1f} M"
        rows.append([f"[{name}](hub_cards/{name})", size, purpose, f"{metric_name(metric)} {task}: {figure}", time])
    return markdown(["checkpoint", "parameters", "for", "on fold 10 of PTB-XL", "training"], rows)


def headline() -> str:
    """Macro AUROC of the small checkpoint and of published models, on three tasks."""
    table = results_table(evaluations(CHECKPOINTS[0]))
    rows = []
    for title, method, setting in (
        ("fine-tuned", "fine-tuned", {}),
        ("linear probe", "linear-probe", {}),
        ("zero-shot, report-supervised labels", "zero-shot", {}),
        ("zero-shot, prompts", "zero-shot", {"language": "both"}),
    ):
        ours = dict(zip(TASKS, by_task(table, method, setting, "auroc")))
        rows.append([f"**{CHECKPOINTS[0]}, {title}**", *(ours[task] for task in HEADLINE)])
        for model, how in PUBLISHED_BESIDE.get(title, ()):
            row = dict(zip(TASKS, published(model, how)[1:]))
            rows.append([f"{model}, {how_measured(how, {})}", *(row[task] for task in HEADLINE)])
    text = (
        "Macro AUROC in percent on fold 10 of PTB-XL, with 95 % intervals. The models marked ecg-fm-benchmarking were "
        "measured with one protocol that is close to ours: selection on fold 9, windows of a record averaged. D-BETA "
        "and MERL were pretrained on another hospital's reports, so their zero-shot figures are not like for like."
    )
    return section(text, HEADLINE, rows)


def checkpoint(name: str) -> str:
    """Macro AUROC and F1 of a checkpoint on fold 10, with the model before training and published models."""
    own = [read(path) for path in sorted((ROOT / "hub_cards" / name / "results").glob("*.json"))]
    classifiers = [read(path) for path in sorted(ROOT.glob(f"hub_cards/{name}-*/results/evaluation.json"))]
    training = next(file["training"] for file in own if "training" in file)
    measured = [file for file in own if "results" in file]
    untrained = results_table([file for file in measured if file["model"]["name"] == "random initialisation"])
    measured = [file for file in measured if file["model"]["name"] != "random initialisation"]
    trained = results_table([*measured, *classifiers])
    rows = []
    for title, (method, setting) in ROWS.items():
        figures = by_task(trained, method, setting, "auroc")
        if set(figures) == {"-"}:
            continue
        rows.append([f"**{title}**", *figures])
        if setting in ({}, {"language": "both"}):
            rows.append([f"{title}, F1", *by_task(trained, method, setting, "f1")])
        if title in COMPARED:
            rows.append([f"{title}, before training", *by_task(untrained, method, {}, "auroc")])
        rows += [published(model, how) for model, how in COMPARED.get(title, ())]
    text = (
        f"**{name}**: {measured[0]['model']['parameters'] / 1e6:.1f} M parameters, pretrained {effort(training)} with "
        f"the recipe of the same name ([files](../hub_cards/{name}/results)). Macro AUROC on fold 10 of PTB-XL in "
        "percent, with 95 % intervals."
    )
    notes = dict.fromkeys(file["intervals"] for file in measured if "intervals" in file)
    return section(" ".join([text, *notes]), TASKS, rows + supervised())


def published(model: str, method: str) -> list[str]:
    table = published_figures()
    wanted = (table["model"] == model) & (table["method"] == method) & (table["train_fraction"] == 1)
    values = table[wanted & (table["metric"] == "auroc")].set_index("task")["value"]
    figures = (f"{100 * values[task]:.1f}" if task in values else "-" for task in TASKS)
    return [f"{model}, {how_measured(method, {})}, as published", *figures]


def effort(training: dict[str, Any]) -> str:
    """Duration and machine of a pretraining; of a resumed one, the part that its record covers."""
    end = training["log"][-1]
    machine = training["machine"].get("gpu") or f"{training['machine']['cores']} cores"
    duration = f"in {end['train_runtime'] / 60:.0f} minutes on {machine}"
    if start := training.get("resumed_at_step"):
        return f"for {end['epoch']:.0f} epochs, the steps after {start:,} of {end['step']:,} {duration},"
    return duration


def supervised() -> list[list[str]]:
    """The supervised baseline, trained by `merit baseline`."""
    rows = []
    for path in sorted(RESULTS.glob("supervised-*-epochs.json")):
        table, epochs = results_table([read(path)]), path.stem.split("-")[1]
        for metric, suffix in (("auroc", ""), ("f1", ", F1")):
            title = f"xresnet1d101, supervised, trained here for {epochs} epochs{suffix}"
            rows.append([title, *by_task(table, "supervised", {}, metric)])
    return rows


def robustness() -> str:
    """Macro AUROC on perturbed recordings, with probes and thresholds fitted to unperturbed ones."""
    path = f"hub_cards/{CHECKPOINTS[0]}/results/evaluation.json"
    content = read(ROOT / path)
    table = select(results_table([content]), metric="auroc")
    columns = [(method, task) for method in ("zero-shot", "linear-probe") for task in ("super", "all", "rhythm")]
    rows = []
    for key in table["setting"].unique():
        setting = json.loads(key)
        if not setting or set(setting) & PERTURBED:
            found = {(row["method"], row["task"]): row for row in select(table, setting).to_dict("records")}
            name = ", ".join(setting_in_words(setting)) or "unperturbed"
            rows.append([name, *(cell(found[column], "auroc") for column in columns)])
    text = (
        f"**Robustness**: macro AUROC of {CHECKPOINTS[0]} on perturbed recordings of fold 10, in percent; zero-shot "
        f"with report-supervised labels ([file](../{path})). {content.get('intervals', '')}"
    )
    return section(text.rstrip(), (f"{method.replace('-', ' ')} {task}" for method, task in columns), rows)


def reports() -> str:
    """The checkpoint that generates reports, its baselines and published systems."""
    content = read(ROOT / "hub_cards" / REPORTER / "results" / "evaluation.json")
    table = results_table([content])
    meteor = next(metric for metric in table["metric"] if metric.startswith("meteor"))
    metrics = {
        "bleu_1": "BLEU-1",
        "bleu_4": "BLEU-4",
        "rouge_l": "ROUGE-L",
        meteor: "METEOR" if meteor == "meteor" else "METEOR of exact and stemmed words",
        "statements_f1": "F1 of statements",
        "normal_with_pathology": "normal and pathological",
        "wrong_side": "left and right confused",
    }
    rows = []
    for language, code in (("English", "en"), ("German", "de")):
        generation = select(table, task=f"reports-{code}", method="report-generation")
        for key, figures in generation.groupby("setting", sort=False):
            # Who wrote the reports, then how they were decoded.
            setting = sorted(json.loads(str(key)).items(), reverse=True)
            mark = "**" if ("reports", "generated") in setting else ""
            found = {row["metric"]: row for row in figures.to_dict("records")}
            name = f"{mark}{language}: {', '.join(value for _, value in setting)}{mark}"
            rows.append([name, *(cell(found.get(metric), metric) for metric in metrics)])
    others = published_figures().query("method == 'report-generation'")
    for model, figures in others.groupby("model", sort=False):
        values = figures.set_index("metric")["value"]
        cells = (f"{100 * values[metric]:.1f}" if metric in values else "-" for metric in metrics)
        rows.append([f"{model}, as published", *cells])
    support = {row["metric"]: row for row in select(table, task="reports-en", method="support").to_dict("records")}
    within, over = (cell(support[f"auroc_{which}_statements"], "auroc") for which in ("within", "over"))
    language_model = load("report-speed.json")["results"]["parameters"]["language model"]
    text = (
        f"**{REPORTER}**: generated reports of fold 10. {content['model']['parameters'] / 1e6:.1f} M parameters, of "
        f"which {language_model / 1e6:.1f} M belong to a language model trained from scratch "
        f"([file](../hub_cards/{REPORTER}/results/evaluation.json)). In percent, with 95 % intervals. Statements are "
        "read from the text and compared with the labels; the written reports, read in the same way, are the upper "
        "limit. Published systems preprocessed the reports differently. The support of a statement separates the "
        f"recordings for which it is right from those for which it is wrong with an AUROC of {within}; the support of "
        f"different statements is not comparable ({over})."
    )
    return section(text, metrics.values(), rows) + "\n" + abstention(content, table)


def abstention(content: dict[str, Any], table: pd.DataFrame) -> str:
    metrics = ("abstained", "auroc_by_atypicality", "auroc_by_doubt", "states_a_finding")
    rows = []
    for result in content["results"]:
        if result["method"] == "abstention":
            figures = select(table, result["setting"], method="abstention").to_dict("records")
            found = {row["metric"]: row for row in figures}
            cells = (cell(found.get(metric), metric) for metric in metrics)
            rows.append([result["setting"]["recordings"], *cells, result["says_most_often"]["report"]])
    text = "**Abstention**: at a threshold that rejects 2 % of fold 9, the share of fold 10 that is rejected."
    header = ["rejected", "AUROC by atypicality", "by uncertainty", "would state a finding", "most frequent report"]
    return section(text, header, rows)


def ablations() -> str:
    """MERIT and its ablations after the same training time, over seeds."""
    paths = {arm: sorted((RESULTS / "ablations").glob(f"{arm}-[0-9]*.json")) for arm in ARMS}
    contents = {arm: [read(path) for path in group] for arm, group in paths.items()}
    tables = {arm: results_table(group) for arm, group in contents.items()}
    differences = pd.DataFrame(load("ablations/differences.json")["differences"])
    rows = []
    for metric, name in (("auroc", "macro AUROC"), ("f1", "macro F1")):
        for method in ("zero-shot", "linear-probe"):
            for task in TASKS if metric == "auroc" else ("all", "sub"):
                wanted = {"method": method, "task": task, "metric": metric}
                values = (select(table, {}, **wanted)["value"] for table in tables.values())
                paired = differences[(differences[list(wanted)] == pd.Series(wanted)).all(axis=1)]
                above, below = (paired["low"] > 0).sum(), (paired["high"] < 0).sum()
                difference = f"{100 * paired['value'].mean():+.1f}, {above} above, {below} below"
                rows.append([f"{method.replace('-', ' ')} {task}, {name}", *map(mean_and_range, values), difference])
    for quantity in QUANTITIES:
        values = ([file["physiology"][quantity]["r2"]["value"] for file in group] for group in contents.values())
        rows.append([f"{quantity.replace('_', ' ')}, R² in percent", *map(mean_and_range, values), "-"])
    seeds = ", ".join(f"{len(group)} of {arm}" for arm, group in paths.items())
    text = (
        f"**MERIT and its ablations** after {load('ablations/steps.json')['minutes']:g} minutes of training each; "
        f"number of seeds: {seeds} ([files](results/ablations)). Mean (lowest to highest) over seeds. Classification "
        "on fold 10, zero-shot with prompts; physiology regressed from frozen features of simulated recordings. Last "
        "column: MERIT minus alignment-only, mean over seeds, and the number of seeds whose paired 95 % interval lies "
        "above or below 0."
    )
    return section(text, [*ARMS, "difference"], rows)


def report_encoders(name: str, link: str) -> str:
    """Reports generated from the arms whose results are in the folder `name`; empty without results."""
    metrics = ("bleu_1", "bleu_4", "rouge_l", "statements_f1", "statements_f1_macro")
    rows = []
    for arm in ARMS:
        for path in sorted((RESULTS / name).glob(f"{arm}-[0-9]*.json")):
            content = read(path)
            generated = select(results_table([content]), {"reports": "generated", "decoding": "greedy"})
            found = {row["metric"]: row for row in generated.to_dict("records")}
            rows.append([f"{arm}, seed {content['seed']}", *(cell(found[metric], metric) for metric in metrics)])
    text = (
        "**Reports by encoder**: the same generator trained on the frozen encoders of the table above, "
        f"English reports of fold 10, greedy decoding ([files]({link}/{name}))."
    )
    return section(text, ["BLEU-1", "BLEU-4", "ROUGE-L", "F1 of statements", "macro F1"], rows) if rows else ""


def protocol() -> str:
    """The effect of each flaw of published evaluations on our own figures."""
    content, csn = load("evaluation.json"), load("csn-label-errors.json")["results"]
    rows = []
    for task, figures in content["defects"].items():
        selected = content["published_selection"][f"{task}, 100 %"]
        by_epoch = (selected[f"selected on {split}"] for split in ("validation", "test"))
        rows.append([task, *(f"{100 * value:.1f}" for value in (*figures.values(), *by_epoch))])
    header = [*next(iter(content["defects"].values())), "probe AUROC, epoch chosen on fold 9", "on fold 10"]
    seconds = content["seconds"]
    text = (
        f"**The effect of the published protocol** on fold 10, for the model of `{content['command']}` "
        "([file](results/evaluation.json)), zero-shot with report-supervised labels; in percent. On CSN, a classifier "
        f"without errors reaches a macro AUROC of {100 * csn['macro_auroc_of_the_diagnoses']:.1f} and a macro F1 of "
        f"{100 * csn['macro_f1_of_the_diagnoses']:.1f} on the published labels, because "
        f"{csn['records_with_a_false_label']} of {csn['test_records']:,} test records have a wrong one "
        "([file](results/csn-label-errors.json))."
    )
    times = (
        f"The whole evaluation, {content['results']} results, took {seconds['evaluation from signals']:.0f} s from "
        f"signals and {seconds['evaluation from kept embeddings']:.0f} s from cached embeddings. The probes of the "
        f"published protocol alone took {seconds['published probes from embeddings']:.0f} s from embeddings; with the "
        "encoder run in every epoch, as published, they would take "
        f"{seconds['published probes from signals, reckoned'] / 3600:.1f} h (estimated from one pass).\n"
    )
    return section(text, header, rows) + "\n" + times


def search(name: str, title: str, remark: str = "") -> str:
    """Variants of a recipe on fold 9."""
    columns = [(how, task) for how in ("zero-shot", "linear-probe") for task in ("super", "all", "rhythm")]
    rows = []
    for path in sorted((RESULTS / name).glob("*.json")):
        content = read(path)
        settings = dict(setting.split("=", 1) for setting in content["settings"])
        steps, seconds = settings.get("training.max_steps", "-"), f"{content['seconds']:.0f} s"
        rows.append([path.stem, steps, seconds, *(f"{content['macro_auc'][how][task]:.3f}" for how, task in columns)])
    text = (
        f"**{title}**: macro AUC on fold 9 after some minutes of pretraining, variants of [{name}.yaml]({name}.yaml)."
    )
    header = ["steps", "training", *(f"{how.removeprefix('linear-')} {task}" for how, task in columns)]
    return section(text, header, rows) + (f"\n{remark}\n" if remark else "")


def input_rate() -> str:
    return (
        "**500 Hz and 100 Hz**: both files of {results[records]} recordings of PTB-XL, with {model} "
        "([file](results/input-rate.json)). The cosine similarity of the embeddings is "
        "{results[cosine_of_the_embeddings][mean]:.3f} on average and {results[cosine_of_the_embeddings][lowest]:.3f} "
        "at the lowest; zero-shot scores of {task} have a correlation of {results[correlation_of_the_scores]:.3f}; "
        "macro AUROC is {results[macro_auroc][100 Hz]:.1%} at 100 Hz and {results[macro_auroc][500 Hz]:.1%} at 500 Hz "
        "(most of these recordings were used in training).\n"
    ).format(**load("input-rate.json"))


def demo() -> str:
    """A checkpoint trained on real recordings, on simulated disease."""
    content = load("demo.json")
    columns = content["auc"]
    labels = next(iter(columns.values()))
    text = (
        f"**Simulated disease**, which the training data does not contain: AUC of {content['model']} on simulated "
        f"patients, `{content['command']}`, {content['seconds']} s in total on {content['machine']['cores']} cores "
        "([file](results/demo.json))."
    )
    rows = ([label, *(f"{figures[label]:.3f}" for figures in columns.values())] for label in labels)
    return section(text, (how.replace("_", " ") for how in columns), rows)


def demo_training(name: str, recordings: str) -> str:
    content = load(name)
    trained, untrained = content["auc"]["trained"], content["auc"]["random_initialisation"]
    rows = []
    for task in trained["zero_shot"]:
        for how in ("zero_shot", "linear_probe"):
            labels = {label: value for label, value in trained[how][task].items() if label != "macro"}
            per_label = ", ".join(f"{label} {value:.3f}" for label, value in labels.items()) if len(labels) < 6 else ""
            macro = (f"{figures[how][task]['macro']:.3f}" for figures in (trained, untrained))
            rows.append([f"{how.replace('_', ' ')} {task} ({len(labels)} labels)", *macro, per_label])
    text = (
        f"**{recordings}**: AUC after `{content['command']}`, {content['seconds'] / 60:.1f} minutes in total on "
        f"{content['machine']['cores']} cores ([file](results/{name}))."
    )
    return section(text, ["macro AUC", "random initialisation", "per label"], rows)


def intervals() -> str:
    """Coverage of bootstrap intervals on rare labels, by simulation."""
    content = load("intervals.json")
    results = content["results"]
    ways = next(iter(results.values()))
    columns = [(what, way) for what in ("coverage", "holds_its_figure") for way in ways]
    rows = (
        [
            metric_name(metric).removeprefix("macro "),
            *(f"{100 * results[metric][way][what]:.1f}" for what, way in columns),
        ]
        for metric in results
    )
    text = (
        "**Bootstrap intervals of macro figures with rare labels**: in percent of "
        f"{content['samples']} simulated samples, coverage of the mean figure and share of the intervals that hold the "
        "figure of their own sample ([file](results/intervals.json)). "
        "Result files have percentile intervals for AUROC, sensitivity, specificity and Brier score, and centred "
        "intervals for all other metrics."
    )
    return section(text, [*ways, *(f"{way}, holds its figure" for way in ways)], rows)


def zero_shot_scores() -> str:
    figures = pd.DataFrame(load("zero-shot-scores.json")["macro_auc"])
    text = (
        "**How a label is scored**: zero-shot macro AUROC on fold 9, where the methods of the pipeline were chosen, "
        "with merit-ptbxl-small ([file](results/zero-shot-scores.json)). The choice was made with an earlier encoder."
    )
    return section(text, figures.index, ([way, *figures[way].map("{:.3f}".format)] for way in figures))


def preparation() -> str:
    content = load("preparation.json")
    quarter, whole = content["results"]["peak_megabytes"].values()
    rows = {
        "prepare all {records:,} records, {machine[cores]} processes": "{seconds[all_cores]:.1f} s",
        "the same, one process": "{seconds[one_process]:.1f} s",
        "only read the records, one process": "{seconds[read_wfdb_alone]:.1f} s",
        "a loop of `wfdb.rdrecord`": "{seconds[wfdb_loop]:.1f} s",
        "the ratio of this loop to one process": "{times_as_fast_as_wfdb:.1f}",
        "signals identical to those of wfdb": "{signals_equal_to_the_last_bit:,}",
        "peak memory, a quarter of the records and all": "{quarter[peak]:.0f} MB, {whole[peak]:.0f} MB",
        "of which before the first record": "{whole[before]:.0f} MB",
        "batches for training, one process": "{training_records_per_second[collated_by_0_workers]:,} records/s",
        "of which only fetching the rows": "{training_records_per_second[fetching_rows]:,} records/s",
        "limit: copying the same bytes": "{training_records_per_second[copying_the_bytes]:,} records/s",
    }
    values = {**content, **content["results"], "quarter": quarter, "whole": whole}
    return facts("**`merit prepare ptbxl`** at 100 Hz ([file](results/preparation.json)).", rows, values)


def processing() -> str:
    rows = (
        [
            row["folder"],
            f"{row['records_per_second']['merit']:.0f}",
            f"{row['records_per_second']['plain']:.0f}",
            f"{row['ratio']:.1f}",
            f"{row['records_per_second']['floor']:.0f}",
        ]
        for row in load("processing.json")["results"]
    )
    text = (
        "**From WFDB path to tensor**, records per second, compared with wfdb and scipy record by record in the same "
        "run ([file](results/processing.json))."
    )
    return section(text, ["MERIT", "wfdb + scipy", "ratio", "limit: reading the bytes"], rows)


def pretraining() -> str:
    content = load("pretraining.json")
    results = content["results"]
    rates, possible = results["records_per_second"], results["matrix_operations_per_second"]["bfloat16"]
    [(memory, batch)] = results["largest_batch"].items()
    [loader] = results["loader_records_per_second"].values()
    rows = {
        "`merit pretrain`": "{recipe:.0f} records/s",
        "with mask tokens in the encoder": "{mask-tokens:.0f} records/s",
        "in float32, not compiled": "{float32:.0f} records/s",
        "both: the straightforward version": "{straightforward:.0f} records/s",
        "ratio to the straightforward version": "{ratio:.1f}",
        "share of the matrix multiplication rate in bfloat16": "{share:.0f} % of {possible:.0f} Gflop/s",
        "the loader, one process": "{loader:.0f} records/s",
        **{f"peak memory, batch of {size}": f"{peak / 1e9:.1f} GB" for size, peak in results["peak_bytes"].items()},
        f"largest batch in {memory}, extrapolated": f"{batch:,}",
    }
    share = 100 * results["operations_per_second"] / possible
    ratio = rates["recipe"] / rates["straightforward"]
    values = {**rates, "share": share, "possible": possible / 1e9, "loader": loader, "ratio": ratio}
    title = f"**A step of pretraining**, recipe {content['recipe']}, {content['machine']['cores']} cores, no GPU"
    return facts(f"{title} ([file](results/pretraining.json)).", rows, values)


def pipeline() -> str:
    rows = {
        "one record, from path to answer": "{milliseconds_for_one_record:.0f} ms",
        "batches of {batch_size}": "{records_per_second_in_batches:.0f} records/s",
        "only the ECG encoder": "{records_per_second_encoder_alone:.0f} records/s",
        "load the folder and give the first answer": "{seconds_to_load_and_first_answer:.1f} s",
        "the same in a new process": "{seconds_from_nothing_to_first_answer:.1f} s",
        "its peak memory": "{peak_megabytes:.0f} MB",
        "`import merit`, `import transformers`": "{import_seconds[merit]:.2f} s, {import_seconds[transformers]:.2f} s",
    }
    results = load("pipeline.json")["results"]
    title = f"**The zero-shot pipeline**, {results['parameters'] / 1e6:.1f} M parameters"
    return facts(f"{title} ([file](results/pipeline.json)).", rows, results)


def report_speed() -> str:
    results = load("report-speed.json")["results"]
    title = f"**Generating reports**, batches of {results['batch_size']}, {results['threads']} threads"
    rows = ([way, f"{rate:.0f}"] for way, rate in results["reports_per_second"].items())
    return section(f"{title} ([file](results/report-speed.json)).", ["reports/s"], rows)


BALANCE = (
    "Two more ideas were tried at the commits that their files name, and removed again. *partial-reports* shortened "
    "half of the English reports to some of their statements, as prompts are. In *shared-pass*, the reconstructed "
    "recordings were aligned with their reports through the output of the masked branch, which saves the second pass. "
    "depth-1 and shared-pass ran at the same time as other programs, so their seconds are not comparable."
)
NOT_COMPARABLE = "They ran at the same time as other programs, so their seconds are not comparable."
# The sections of each document.
DOCUMENTS = {
    "README.md": [checkpoints, headline],
    "docs/results.md": [
        *(partial(checkpoint, name) for name in CHECKPOINTS),
        reports,
        claim.full_length,
        partial(report_encoders, "full-length-reports", "../benchmarks/results"),
        trials.encoder_trials,
        *(behaviour.trust_scores, behaviour.reliability, behaviour.typed_labels, behaviour.disturbances),
        *(behaviour.other_hospitals, behaviour.other_hospitals_by_label, behaviour.faithfulness),
    ],
    "docs/how-to/archives.md": [behaviour.archive_times],
    "benchmarks/README.md": [
        ablations,
        partial(report_encoders, "report-encoders", "results"),
        partial(search, "search-balance", "How the two terms share the time", BALANCE),
        protocol,
        partial(search, "search", "Choices of the recipes"),
        partial(search, "search-choices", "Objective, tokens and text, one choice at a time", NOT_COMPARABLE),
        *(robustness, input_rate, demo),
        partial(demo_training, "demo-ptbxl.json", "PTB-XL, fold 10"),
        partial(demo_training, "demo-simulated.json", "Simulated patients"),
        *(zero_shot_scores, intervals, preparation, processing, pretraining, pipeline, report_speed),
        *(behaviour.backends, behaviour.archive, behaviour.hostile_files),
        *(behaviour.delineation, behaviour.irregular_rhythms),
    ],
}

if __name__ == "__main__":
    main()
