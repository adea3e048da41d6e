"""Tables of what answers rest on, for docs/results.md, and of hospital files and archives, for benchmarks/README.md."""

from pathlib import Path
from typing import Any

from trust_labels import rows as rows_of

from merit.delineation import MOST_IRREGULAR

from . import facts, load, section

WAYS = ("before", "after")


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def trust_scores() -> str:
    """Unlearned labels, competition, calibration and AUROC, before and after calibration."""
    content = load("trust-scores.json")
    models = content["models"]

    def row(title: str, of: Any) -> list[str]:
        return [title, *(of(model, way) for model in models.values() for way in WAYS)]

    def share(part: str, what: str) -> Any:
        return lambda model, way: f"{percent(model[part][way][what])} %"

    listed = {row["label"] for row in rows_of("benchmarks/unknown-labels.csv")}

    def first(is_listed: bool) -> Any:
        def largest(model, way) -> str:
            labels = model["unlearned_labels"]["labels"].items()
            return f"{100 * max(of[way]['first'] for name, of in labels if (name in listed) == is_listed):.2f} %"

        return largest

    def error(kind: str, what: str) -> Any:
        return lambda model, way: f"{model['calibration'][way][kind][what]:.4f}"

    some = next(iter(models.values()))
    labels, kinds = len(some["unlearned_labels"]["labels"]), some["calibration"]["labels"]
    rows = [
        row(
            f"{labels} unlearned labels: recordings that score above 0.5, mean",
            share("unlearned_labels", "mean_above_half"),
        ),
        row("of the label with the most", share("unlearned_labels", "largest_above_half")),
        row(
            "of one that is no finding of PTB-XL: recordings in which it ranks above six learned findings, at most",
            first(True),
        ),
        row(
            "of one that is a finding of PTB-XL: the same, among recordings without the finding, at most", first(False)
        ),
        row("accuracy among six learned findings", share("competition", "alone")),
        row("with one unlearned label beside them, at the lowest", share("competition", "lowest_beside")),
        row(f"calibration error of {kinds['learned']} learned labels", error("learned", "ece")),
        row("their Brier score", error("learned", "brier")),
        row(f"calibration error of {kinds['not_learned']} findings not learned", error("not_learned", "ece")),
        row("their Brier score", error("not_learned", "brier")),
    ]
    for basis in ("learned", "prompts"):
        for task in some["auroc"]["before"][basis]:
            rows.append(
                row(
                    f"macro AUROC, {task}, {'learned labels' if basis == 'learned' else 'prompts'}",
                    lambda model, way, basis=basis, task=task: f"{model['auroc'][way][basis][task]:.1f}",
                )
            )
    text = (
        "**Labels that the model has not learned, and calibration**: answers on fold 10 before and after "
        "`merit calibrate`, which reads labels of fold 9 ([file](../benchmarks/results/trust-scores.json)). Unlearned "
        "labels are nonsense, words of findings that together name none, findings that PTB-XL does not have, other "
        "languages, and findings that too few reports state."
    )
    return section(text, (f"{name}, {way}" for name in models for way in WAYS), rows)


def reliability() -> str:
    """Predicted and observed shares of the learned labels."""
    models = load("trust-scores.json")["models"]
    name, model = next(iter(models.items()))
    bins = {way: model["calibration"][way]["reliability"] for way in WAYS}
    rows = (
        [
            f"{number / 10:.1f} to {(number + 1) / 10:.1f}",
            *(f"{bins[way][what][number]:.3f}" for way in WAYS for what in ("predicted", "observed")),
            f"{bins['after']['number'][number]:,}",
        ]
        for number in range(len(bins["after"]["number"]))
    )
    text = (
        f"**Reliability of the learned labels** of {name} on fold 10: mean score and share of positives, by score "
        "([file](../benchmarks/results/trust-scores.json))."
    )
    header = (f"{what}, {way}" for way in WAYS for what in ("mean score", "positives"))
    return section(text, [*header, "scores"], rows)


def typed_labels() -> str:
    content = load("trust-labels.json")
    models = {name: one for name, one in content.items() if isinstance(one, dict) and "unknown_labels" in one}
    rows = [
        [f"typed labels understood, {half}", *[f"{one['understood']} of {one['labels']}"] * len(models)]
        for half, one in content["typed_labels"].items()
    ]
    unknown = [one["unknown_labels"] for one in models.values()]
    for kind in ("nonsense", "words of findings", "outside PTB-XL", "other language"):
        cells = (f"{one[kind]['recognised']} of {one[kind]['labels']}" for one in unknown)
        rows.append([f"{kind}: recognised as unknown", *cells])
    rows.append(
        ["reports of fold 10 called unknown", *(percent(x["reports_unknown_on_fold_10"]) + " %" for x in unknown)]
    )
    for way, title in (("answered", "as answered"), ("own_prompt", "as its own prompt")):
        medians = []
        for one in models.values():
            values = sorted(figures[way] for figures in one["typed_labels"].values())
            medians.append(f"{values[len(values) // 2]:.3f} ({len(values)} labels)")
        rows.append([f"median AUROC of a typed finding, {title}", *medians])
    text = (
        "**Labels as people type them** ([file](../benchmarks/results/trust-labels.json)); those that were missed at "
        "first have since been mended, so that the shares of typed labels are not those of new ones."
    )
    return section(text, models, rows)


def disturbances() -> str:
    content = load("trust-disturbances.json")
    rows = []
    for name, one in content["disturbances"].items():
        figures = [percent(one["auroc"]), percent(one["sensitivity_at_2_percent"])] if "auroc" in one else ["-", "-"]
        before = [percent(one["before"]["auroc"])] if "before" in one else ["-"]
        reason = next(iter(one["reasons"]), "-").replace("_", " ")
        rows.append([name, *figures, percent(one["with_a_reason"]), reason, *before])
    records = content["disturbances"]["unchanged"]["records"]
    text = (
        f"**Recordings that are not right**: {records} recordings of fold 10 of PTB-XL, changed, and unchanged ones of "
        f"other hospitals, with {content['model']}; in percent "
        "([file](../benchmarks/results/trust-disturbances.json)). A faulty lead stands still for longer, or drifts "
        "further, than any lead of 98 % of fold 9. AUROC and sensitivity are those of the most extreme measure of a "
        "recording. `quality` of an answer gives a reason for the share in the third column."
    )
    header = [
        "AUROC",
        "sensitivity at 2 % false alarms",
        "with a reason",
        "most frequent reason",
        "AUROC of atypicality",
    ]
    return section(text, header, rows)


def other_hospitals() -> str:
    content = load("other-hospitals.json")
    rows = []
    for name, one in content["results"].items():
        for method, settings in one["methods"].items():
            cells = []
            for setting in settings:
                figure = setting["macro_auroc"]
                interval = f" ({percent(figure['low'])} to {percent(figure['high'])})" if not setting["setting"] else ""
                cells.append(percent(figure["value"]) + interval)
            rows.append([f"{name}, {method}", *cells])
    settings = next(iter(content["results"]["cpsc2018"]["methods"].values()))
    header = [_setting(one["setting"]) for one in settings]
    sizes = " and ".join(f"{one['records']} of {name}" for name, one in content["results"].items())
    text = (
        f"**Other hospitals**: macro AUROC in percent of {content['model']}, and of {content['classifier']} as "
        f"fine-tuned, on {sizes} ([file](../benchmarks/results/other-hospitals.json)). So few recordings check the "
        f"behaviour; they are no benchmark. On the full data sets: `{content['command']}`."
    )
    return section(text, header, rows)


def _setting(setting: dict[str, Any]) -> str:
    if "noise" in setting:
        return f"{setting['noise']} noise, {setting['noise_db']:g} dB"
    if "leads" in setting:
        return f"leads {', '.join(setting['leads'])}"
    return f"{setting['seconds']:g} s" if "seconds" in setting else "unchanged"


def other_hospitals_by_label() -> str:
    content = load("other-hospitals.json")
    rows = []
    for name, one in content["results"].items():
        methods = one["methods"]
        for label, facts_of_label in methods["zero-shot, learned labels"][0]["labels"].items():
            figures = [methods[method][0]["labels"][label] for method in methods]
            cells = []
            for figure in figures:
                against = figure["against_normal"]
                cells.append(percent(figure["auroc"]["value"]) + (f" / {percent(against)}" if against else ""))
            rows.append([f"{name}, {label}", str(facts_of_label["positives"]), *cells])
    methods = list(content["results"]["cpsc2018"]["methods"])
    depression = content["results"]["cpsc2018"]["methods"][methods[0]][0]["labels"]["STD"]
    text = (
        "**Other hospitals, by label**: AUROC in percent, among all recordings / against normal ones only. Where the "
        "second is much higher, recordings with other labels score as high: CPSC2018 gives most recordings one label "
        "only, and ST depression, which often comes with another finding, is told from normal recordings at "
        f"{percent(depression['against_normal'])} and from all at {percent(depression['auroc']['value'])}."
    )
    return section(text, ["positives", *methods], rows)


def faithfulness() -> str:
    content = load("explanation-faithfulness.json")
    columns = {
        "occlusion": "occlusion: share on the right parts",
        "integrated gradients": "integrated_gradients: share on the right parts",
        "chance": "chance",
        "occlusion, highest is right": "occlusion: highest is right",
        "integrated gradients, highest is right": "integrated_gradients: highest is right",
    }
    rows = (
        [finding, *(percent(one[key]) if key in one else "-" for key in columns.values()), str(one["recordings"])]
        for finding, one in content["findings"].items()
    )
    checks = "; ".join(f"{name} {value:g}" for name, value in content["checks"].items())
    text = (
        f"**Explanations** of {content['model']} on simulated ECGs whose abnormal leads or beats are known: share of "
        "the positive contributions on them, in percent, beside chance "
        f"([file](../benchmarks/results/explanation-faithfulness.json)). {checks}."
    )
    return section(text, [*columns, "recordings"], rows)


def backends() -> str:
    content = load("backends.json")
    rows = []
    for name, one in content["results"].items():
        change = max(one["auroc_change"].values(), key=abs)
        rows.append([name, f"{one['records_per_second']:.0f}", f"{one['times_torch']:.2f}", f"{change:+.3f}"])
    text = (
        f"**Backends of the encoder** on {content['threads']} threads, recordings per second, and the largest change "
        "of macro AUROC over the tasks of PTB-XL in percentage points ([file](results/backends.json))."
    )
    return section(text, ["records/s", "times torch", "AUROC"], rows)


def archive_times() -> str:
    """Recordings per second of the model and of one reader, and the time that a million take."""
    backends, reading = load("backends.json"), load("archive.json")["results"]
    model = Path(backends["command"].split("--model ")[1].split()[0]).name
    files = {one["file"]: one["readers"]["merit"] for one in load("formats.json")["files"]}
    rates = {
        f"{model}, `torch`": backends["results"]["torch"]["records_per_second"],
        f"{model}, `openvino-int8`": backends["results"]["openvino-int8"]["records_per_second"],
        "one reader: WFDB": reading["wfdb_records_per_second"]["reading_alone"],
        "one reader: GE MUSE XML at 500 Hz": 1000 / files["muse.xml"]["milliseconds"],
        "one reader: DICOM at 1000 Hz": reading["dicom_records_per_second"]["reading_alone"],
        "one reader: Philips XML 1.04 at 500 Hz": 1000 / files["philips_1_04.xml"]["milliseconds"],
    }
    rows = []
    for name, rate in rates.items():
        minutes = 1e6 / rate / 60
        rows.append([name, f"{rate:,.0f}", f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"])
    return section("", ["recordings/s", "a million"], rows).lstrip()


def archive() -> str:
    content = load("archive.json")
    results = content["results"]
    kills = results["kills"]
    memory = results["memory"]
    rows = {
        "WFDB, end to end": "{records_per_second[wfdb]:.0f} records/s",
        "of which reading alone, preparing alone, the model alone": (
            "{wfdb_records_per_second[reading_alone]:,.0f}, {wfdb_records_per_second[preparing_alone]:,.0f}, "
            "{wfdb_records_per_second[answering_alone]:,.0f} records/s"
        ),
        "DICOM at 1000 Hz, end to end": "{records_per_second[dicom]:.0f} records/s",
        "reading DICOM alone, one process": "{dicom_records_per_second[reading_alone]:.0f} records/s",
    }
    sizes = ", ".join(f"{int(size):,}" for size in memory)
    peaks = ", ".join(f"{one['peak_megabytes']} MB" for one in memory.values())
    stopped = sum(not kill["finished"] for kill in kills)
    equal = sum(kill["equal"] for kill in kills)
    rows |= {
        f"peak memory for {sizes} recordings": peaks,
        "largest reading process": ", ".join(f"{one['peak_of_a_reader_megabytes']} MB" for one in memory.values()),
        "killed at a random moment, and continued": f"{stopped} of {len(kills)} runs; {equal} tables identical",
    }
    return facts(
        f"**Archives**: `merit predict --embeddings` with {content['command'].split('--model ')[1].split()[0]}, "
        f"{content['threads']} cores ([file](results/archive.json)).",
        rows,
        results,
    )


def hostile_files() -> str:
    content = load("hostile-files.json")
    results, limits = content["results"], content["limits"]
    within = sum(
        one["seconds"] <= limits["seconds"] and one["megabytes"] <= limits["megabytes"] for one in results.values()
    )
    rows = (
        [name, f"{one['seconds']:.2f} s", f"{one['megabytes']:.0f} MB", one["answer"].split(":")[0]]
        for name, one in results.items()
    )
    text = (
        f"**Hostile files** of {content['megabytes']} MB: time and memory until the answer; {within} of {len(results)} "
        f"within {limits['seconds']:g} s and {limits['megabytes']} MB ([file](results/hostile-files.json))."
    )
    return section(text, ["time", "memory", "answer"], rows)


def delineation() -> str:
    content = load("delineation.json")
    rows = ([name, *(f"{value:g}" for value in errors.values())] for name, errors in content["errors"].items())
    text = (
        f"**Intervals measured by neurokit2** on {content['records']} simulated ECGs, against what was simulated "
        "([file](results/delineation.json))."
    )
    return section(text, next(iter(content["errors"].values())), rows)


def irregular_rhythms() -> str:
    rhythms = load("delineation.json")["irregular_on_fold_9"]
    rows = (
        [f"{rhythm} ({one['records']} recordings)", *(f"{percent(share)} %" for share in one["above"].values())]
        for rhythm, one in rhythms.items()
    )
    text = (
        "**Irregular rhythms** on fold 9 of PTB-XL: recordings whose median change from one RR interval to the next is "
        f"more than a share of the median interval. Above {MOST_IRREGULAR:g} no PR is given "
        "([file](results/delineation.json))."
    )
    return section(text, [f"above {limit}" for limit in next(iter(rhythms.values()))["above"]], rows)
