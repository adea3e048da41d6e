"""Write the figures of README.md from the result files, and from nothing else: python benchmarks/readme_results.py"""

import json
from pathlib import Path

from merit.training.compare import table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- results -->\n", "<!-- /results -->\n"


def main() -> None:
    readme = ROOT / "README.md"
    readme.write_text(with_results(readme.read_text(encoding="utf-8")), encoding="utf-8")


def with_results(readme: str) -> str:
    """The README with what stands between its marks made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + sections() + END + after


def sections() -> str:
    parts = [auc_section("demo-ptbxl.json"), auc_section("demo-simulated.json"), scores()]
    parts += [preparation(), processing(), pipeline()]
    return "\n".join(parts)


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
    return text + "([file](benchmarks/results/preparation.json)).\n\n" + table(["", ""], rows)


def load(name: str) -> dict:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def auc_section(name: str) -> str:
    content = load(name)
    minutes, auc = content["seconds"] / 60, content["auc"]
    what = "PTB-XL, fold 10" if name == "demo-ptbxl.json" else "simulated patients"
    text = (
        f"**{what}**: AUC after `{content['command']}`, {minutes:.1f} minutes in all on "
        f"{content['machine']['cores']} cores ([file](benchmarks/results/{name})).\n\n"
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
    text = "**How a label is scored**: zero-shot macro AUC on fold 9, where the last was chosen "
    return text + "([file](benchmarks/results/zero-shot-scores.json)).\n\n" + table(["", *tasks], rows)


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
    return text + "([file](benchmarks/results/processing.json)).\n\n" + table(header, rows)


def pipeline() -> str:
    results = load("pipeline.json")["results"]
    imports = results["import_seconds"]
    rows = [
        ["one record, from path to answer", f"{results['milliseconds_for_one_record']:.0f} ms"],
        [f"batches of {results['batch_size']}", f"{results['records_per_second_in_batches']:.0f} records/s"],
        ["the ECG encoder alone", f"{results['records_per_second_encoder_alone']:.0f} records/s"],
        ["load the folder and first answer", f"{results['seconds_to_load_and_first_answer']:.1f} s"],
        ["`import merit`, `import transformers`", f"{imports['merit']:.2f} s, {imports['transformers']:.2f} s"],
    ]
    text = f"**The zero-shot pipeline**, {results['parameters'] / 1e6:.1f} M parameters "
    return text + "([file](benchmarks/results/pipeline.json)).\n\n" + table(["", ""], rows)


if __name__ == "__main__":
    main()
