"""Pretrain a model on simulated recordings and use it: simulate, pretrain, export, classify.

    python examples/pretrain.py OUTPUT

Takes about two minutes on two cores. On real data, replace the simulated folder by that of PTB-XL and the recipe by
`ptbxl-tiny` or `ptbxl-small`; `torchrun` or `accelerate launch` starts it on several GPUs.
"""

import sys
from pathlib import Path

from transformers import pipeline

from merit import export, load_data
from merit.training.learning.pretraining import pretrain
from merit.training.simulation.ptbxl_tree import write_simulated_ptbxl
from merit.training.trainer.recipe import load_recipe

output = Path(sys.argv[1])
simulated = write_simulated_ptbxl(output / "simulated", records=500, seed=0)
recipe = load_recipe("demo", ["training.num_train_epochs=2"])
model, processor = pretrain(load_data(simulated), recipe, output / "run")
folder = export(model, processor, output / "model")

classify = pipeline("zero-shot-ecg-classification", model=str(folder))
recording = simulated / "records100" / "00000" / "00001_lr"
print(classify(str(recording), candidate_labels=["normal ECG", "atrial fibrillation"]))
