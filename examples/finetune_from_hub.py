"""Fine-tune a checkpoint on a data set that `merit publish --type dataset` has sent to the Hub.

    python examples/finetune_from_hub.py MODEL org/ptbxl-merit OUTPUT [STEPS]

MODEL is a checkpoint such as hub_cards/merit-ptbxl-small; OUTPUT gets checkpoints/ and model/.
"""

import sys

from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoProcessor, Trainer, TrainingArguments

from merit import MeritCollator, export, label_names

model_folder, name, output = sys.argv[1:4]
steps = int(sys.argv[4]) if len(sys.argv) > 4 else -1
data = load_dataset(name)
labels = label_names(data["train"], "super")
processor = AutoProcessor.from_pretrained(model_folder)
model = AutoModelForSequenceClassification.from_pretrained(
    model_folder,
    num_labels=len(labels),
    problem_type="multi_label_classification",
    id2label=dict(enumerate(labels)),
)
settings = {"num_train_epochs": 1, "max_steps": steps, "learning_rate": 3e-4, "report_to": "none"}
batches = {"per_device_train_batch_size": 64, "per_device_eval_batch_size": 256, "remove_unused_columns": False}
trainer = Trainer(
    model,
    TrainingArguments(f"{output}/checkpoints", **settings, **batches),
    train_dataset=data["train"].with_format("numpy"),
    data_collator=MeritCollator(processor, text_column=None, label_column="labels_super", config=model.config),
)
trainer.train()
print(trainer.evaluate(data["test"].with_format("numpy")))
export(model, processor, f"{output}/model")
