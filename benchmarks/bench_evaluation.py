"""Time of the whole evaluation of a checkpoint, and of the probes of the published protocol.

    python benchmarks/bench_evaluation.py --model FOLDER [--data PTBXL] [--output results.json] [--tasks super ...]

The evaluation (zero-shot, probes with three fractions of the labels, nearest neighbours, retrieval, robustness) runs
twice: first from signals, then from the embeddings that the first run has cached. The published protocol trains each
probe for 100 epochs; here it is timed on cached embeddings, which is in its favour. As published, the encoder embeds
the training records again in every epoch; that time is estimated from the time of one pass.

The script also measures how much the published protocol changes the figures: selection of the epoch and of the F1
thresholds on the test set, and AUROC after a softmax over the labels.
"""

import tempfile
import time
from pathlib import Path

from options import data_parser
from transformers import AutoModel, AutoProcessor

from merit.training.data.catalogue import load_data
from merit.training.evaluation.evaluate import evaluate
from merit.training.results.result_files import provenance, write_json
from merit.training.scoring.embeddings import embed
from merit.training.scoring.encoders import CheckpointEncoder
from merit.training.scoring.probes import FRACTIONS, published_probe, train_rows, usable_fractions
from merit.training.scoring.protocol import protocol_of, task_names

EPOCHS = 100


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--model", required=True, help="exported folder")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--tasks", nargs="+", help="default: all of the data set")
    args = parser.parse_args()
    model, processor = AutoModel.from_pretrained(args.model), AutoProcessor.from_pretrained(args.model)
    encoder, dataset = CheckpointEncoder(model, processor), load_data(args.data)
    tasks = args.tasks or task_names(dataset)
    seconds: dict[str, float] = {}

    def timed(name: str, run):
        started = time.perf_counter()
        result = run()
        seconds[name] = round(time.perf_counter() - started, 1)
        print(f"{name:<60} {seconds[name]:8.1f} s", flush=True)
        return result

    with tempfile.TemporaryDirectory() as cache:
        fresh = timed("evaluation from signals", lambda: evaluate(encoder, dataset, tasks, cache=cache))
        kept = timed("evaluation from kept embeddings", lambda: evaluate(encoder, dataset, tasks, cache=cache))
        if [result["metrics"] for result in fresh] != [result["metrics"] for result in kept]:
            raise SystemExit("The results from cached embeddings differ from those from signals.")
        softmax = evaluate(encoder, dataset, tasks, ["zero-shot"], cache=cache, published_protocol=True)
        features = {str(split): embed(encoder, rows, cache=cache) for split, rows in dataset.items()}
    one_pass = timed("embedding all recordings once", lambda: [embed(encoder, rows) for rows in dataset.values()])
    records = sum(map(len, one_pass))

    defects = {task: defects_of(task, [*fresh, *softmax]) for task in tasks}
    bias: dict[str, dict[str, float]] = {}
    encoded = 0.0
    for task in tasks:
        protocol = protocol_of(dataset, task, resamples=0)
        for fraction in usable_fractions(FRACTIONS, protocol):
            name = f"{task}, {100 * fraction:g} %"
            by = timed(
                f"published probe: {name}",
                lambda protocol=protocol, fraction=fraction: published_probe(features, protocol, fraction, EPOCHS),
            )
            bias[name] = {f"selected on {split}": protocol.macro_auroc("test", by[split]["test"]) for split in by}
            scored = sum(int(protocol.kept[split].sum()) for split in ("validation", "test"))
            encoded += EPOCHS * (len(train_rows(protocol, fraction)) + scored) / records
    seconds["published probes from embeddings"] = round(
        sum(value for name, value in seconds.items() if name.startswith("published probe: ")), 1
    )
    reckoned = encoded * seconds["embedding all recordings once"] + seconds["published probes from embeddings"]
    seconds["published probes from signals, reckoned"] = round(reckoned, 1)
    for name in ("published probes from embeddings", "published probes from signals, reckoned"):
        print(f"{name:<60} {seconds[name]:8.1f} s")
    for name, figures in bias.items():
        print(f"{name:<20}" + "".join(f"  {which}: {value:.4f}" for which, value in figures.items()))
    if args.output:
        content = {"results": len(fresh), "seconds": seconds, "published_selection": bias, "defects": defects}
        write_json(args.output, {**provenance(args.data), **content})


def defects_of(task: str, results: list[dict]) -> dict[str, float]:
    """Figures of a task with this protocol and with the published one."""

    def figure(method: str, metric: str, **setting) -> float:
        wanted = (task, method, setting)
        found = next(r for r in results if (r["task"], r["method"], r["setting"]) == wanted)
        return found["metrics"][metric]["value"]

    return {
        "zero-shot AUROC": figure("zero-shot", "auroc"),
        "after a softmax over labels": figure("zero-shot", "auroc", scores="softmax"),
        "zero-shot F1": figure("zero-shot", "f1"),
        "zero-shot F1, thresholds chosen on test": figure("zero-shot", "f1_oracle_threshold"),
        "probe F1": figure("linear-probe", "f1"),
        "probe F1, thresholds chosen on test": figure("linear-probe", "f1_oracle_threshold"),
    }


if __name__ == "__main__":
    main()
