"""Compares encoders for report generation: the same generator on MERIT, its ablations and a random encoder.

    python benchmarks/report_encoders.py --data PTBXL --models runs/ablations [--arms merit ...] [--seed 0] [--epochs 2]
        [--output FOLDER]

The encoders are those that benchmarks/ablations.py or, with `--arms merit alignment-only reconstruction-only`,
benchmarks/full_length.py saved to --models. On each, frozen, a generator is trained on the English reports with the
recipe `small` and evaluated on fold 10. There is one result file for each encoder; existing ones are skipped.
"""

import tempfile
from pathlib import Path

from ablations import ARMS
from full_length import BEST
from options import data_parser, missing_results
from transformers import AutoModel, AutoProcessor

from merit.training.data.catalogue import load_data
from merit.training.evaluation.output import result_file
from merit.training.evaluation.reports import DECODING, evaluate_reports
from merit.training.learning.report_generation import train_reports
from merit.training.results.result_files import write_json
from merit.training.scoring.encoders import CheckpointReporter
from merit.training.trainer.recipe import ReportRecipe, load_recipe


def main() -> None:
    parser = data_parser(__doc__)
    parser.add_argument("--models", type=Path, default=Path("runs") / "ablations")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seed", type=int, default=0, help="seed of encoder and generator (default: 0)")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of the generator (default: 2)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "report-encoders")
    args = parser.parse_args()
    dataset = load_data(args.data)
    arms = {f"{arm}-{args.seed}": arm for arm in args.arms}
    for name, path in missing_results(args.output, arms):
        folder = args.models / name
        if (folder / BEST).is_dir():
            folder = folder / BEST
        settings = ["languages=[en]", f"training.num_train_epochs={args.epochs}", f"training.seed={args.seed}"]
        with tempfile.TemporaryDirectory() as scratch:
            model, processor = train_reports(
                AutoModel.from_pretrained(folder),
                AutoProcessor.from_pretrained(folder),
                dataset,
                load_recipe("small", settings, ReportRecipe),
                scratch,
            )
        reporter = CheckpointReporter(model, processor, f"reports on {arms[name]}")
        results = evaluate_reports(reporter, dataset, ["en"], {"greedy": DECODING["greedy"]})
        write_json(path, result_file(reporter, dataset, args.data.name, args.seed, results))
        print(f"{path} written", flush=True)


if __name__ == "__main__":
    main()
