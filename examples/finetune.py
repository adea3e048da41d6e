"""Fine-tune a checkpoint on PTB-XL's superclasses with the Trainer of transformers.

    python examples/finetune.py MODEL PTBXL OUTPUT

MODEL is a checkpoint such as hub_cards/merit-ptbxl-small, PTBXL the folder of PTB-XL or a prepared data set. OUTPUT
gets checkpoints/ and model/, a folder that `pipeline("ecg-classification", model=...)` loads.
"""

import sys

from sklearn.metrics import roc_auc_score
from transformers import AutoModelForSequenceClassification, AutoProcessor, Trainer, TrainingArguments

from merit import MeritCollator, export, label_names, load_ptbxl

model_folder, ptbxl_folder, output = sys.argv[1:4]
ptbxl = load_ptbxl(ptbxl_folder)
labels = label_names(ptbxl["train"], "super")
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
    train_dataset=ptbxl["train"].with_format("numpy"),
    data_collator=MeritCollator(processor, text_column=None, label_column="labels_super", config=model.config),
    compute_metrics=macro_auc,
)
trainer.train()
print(trainer.evaluate(ptbxl["test"].with_format("numpy")))
export(model, processor, f"{output}/model")
