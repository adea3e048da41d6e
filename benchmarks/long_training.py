"""MERIT and alignment alone after an hour's training: what ablations.py measures after minutes.

    merit pretrain --data PTBXL --recipe ptbxl-small --set model.reconstruction_weight=0 --output runs/alignment-only
    python benchmarks/long_training.py --data PTBXL --alignment-only runs/alignment-only/model

MERIT is the checkpoint that ships, with prompts for labels as the other has them. One result file for each.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

from ablations import SIMULATED_RECORDS, measured
from transformers import AutoModel, AutoProcessor

from merit.training.data import load_data
from merit.training.embeddings import MeritEncoder
from merit.training.pretraining import TRAINING_RECORD
from merit.training.results import write_json
from merit.training.simulated_ptbxl import write_simulated_ptbxl

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("PTBXL_ROOT"), help="prepared data set or PTB-XL's folder")
    parser.add_argument("--merit", type=Path, default=ROOT / "hub_cards" / "merit-ptbxl-small", help="exported folder")
    parser.add_argument("--alignment-only", type=Path, required=True, help="exported folder")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "long-training")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name PTB-XL with --data or in PTBXL_ROOT")
    dataset = load_data(args.data)
    with tempfile.TemporaryDirectory() as scratch:
        simulated = load_data(write_simulated_ptbxl(f"{scratch}/simulated", SIMULATED_RECORDS, seed=0))
        for arm, folder in (("merit", args.merit), ("alignment-only", args.alignment_only)):
            model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
            model.config.learned_labels = []
            content = measured(MeritEncoder(model, processor, arm), dataset, Path(args.data).name, 0, simulated)
            trained = json.loads((folder / "results" / TRAINING_RECORD).read_text(encoding="utf-8"))["training"]
            write_json(args.output / f"{arm}-0.json", {**content, "trained": trained})
            print(f"{arm} written", flush=True)


if __name__ == "__main__":
    main()
