"""Fine-tune low-rank adapters of the attention and a head (LoRA, Hu et al., arXiv 2106.09685); needs the extra `lora`.

    python examples/lora.py MODEL DATA TASK OUTPUT

DATA is the folder of PTB-XL or a prepared data set, and TASK one of its tasks, such as super or own. OUTPUT gets
adapter/, a few percent of the weights, which `PeftModel.from_pretrained(model, "OUTPUT/adapter")` applies to MODEL
again, and model/, the merged model.
"""

import sys

from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoProcessor, Trainer, TrainingArguments

from merit import MeritCollator, export, label_names, load_data

model_folder, data_folder, task, output = sys.argv[1:5]
data = load_data(data_folder)
labels = label_names(data["train"], task)
processor = AutoProcessor.from_pretrained(model_folder)
model = AutoModelForSequenceClassification.from_pretrained(
    model_folder,
    num_labels=len(labels),
    problem_type="multi_label_classification",
    id2label=dict(enumerate(labels)),
)
adapted = get_peft_model(
    model, LoraConfig(r=8, lora_alpha=16, target_modules=["qkv_proj", "out_proj"], modules_to_save=["classifier"])
)
adapted.print_trainable_parameters()
settings = {"num_train_epochs": 1, "learning_rate": 1e-3, "lr_scheduler_type": "cosine", "report_to": "none"}
batches = {"per_device_train_batch_size": 64, "per_device_eval_batch_size": 256, "remove_unused_columns": False}
trainer = Trainer(
    adapted,
    TrainingArguments(f"{output}/checkpoints", label_names=["labels"], **settings, **batches),
    train_dataset=data["train"].with_format("numpy"),
    data_collator=MeritCollator(processor, text_column=None, label_column=f"labels_{task}", config=model.config),
)
trainer.train()
print(trainer.evaluate(data["test"].with_format("numpy")))
adapted.save_pretrained(f"{output}/adapter")  # the adapter and the head alone
export(adapted.merge_and_unload(), processor, f"{output}/model")  # the whole, as any other model
