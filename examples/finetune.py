"""Fine-tune a checkpoint on the labels of a task with the Trainer of transformers.

    python examples/finetune.py MODEL DATA TASK OUTPUT

MODEL is a checkpoint such as hub_cards/merit-ptbxl-small. DATA is the folder of PTB-XL or of a prepared data set, or
one that `merit publish --type dataset` has sent to the Hub, such as org/ptbxl-merit. TASK is a task of PTB-XL such as
super, or own for a table of your own recordings. OUTPUT gets checkpoints/ and model/, a folder that
`pipeline("ecg-classification", model=...)` loads.
"""

import sys
from pathlib import Path

from datasets import load_dataset
from sklearn.metrics import roc_auc_score
from transformers import AutoModelForSequenceClassification, AutoProcessor, Trainer, TrainingArguments

from merit import MeritCollator, export, label_names, load_data

model_folder, name, task, output = sys.argv[1:5]
data = load_data(name) if Path(name).is_dir() else load_dataset(name)
labels = label_names(data["train"], task)
processor = AutoProcessor.from_pretrained(model_folder)
model = AutoModelForSequenceClassification.from_pretrained(
    model_folder,
    num_labels=len(labels),
    problem_type="multi_label_classification",
    id2label=dict(enumerate(labels)),
)


def macro_auc(prediction):
    return {"macro_auc": roc_auc_score(prediction.label_ids, prediction.predictions, average="macro")}


settings = {"num_train_epochs": 1, "learning_rate": 3e-4, "lr_scheduler_type": "cosine", "report_to": "none"}
batches = {"per_device_train_batch_size": 64, "per_device_eval_batch_size": 256, "remove_unused_columns": False}
trainer = Trainer(
    model,
    TrainingArguments(f"{output}/checkpoints", **settings, **batches),
    train_dataset=data["train"].with_format("numpy"),
    data_collator=MeritCollator(processor, text_column=None, label_column=f"labels_{task}", config=model.config),
    compute_metrics=macro_auc,
)
trainer.train()
print(trainer.evaluate(data["test"].with_format("numpy")))
export(model, processor, f"{output}/model")
