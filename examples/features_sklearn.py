"""Train a scikit-learn classifier on the features of a frozen encoder.

    python examples/features_sklearn.py MODEL DATA TASK

DATA is the folder of PTB-XL or a prepared data set, and TASK one of its tasks, such as super or own. The features are
the encoder's pooled output, one vector for each recording. Prints the macro AUC on the test split.
"""

import sys

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader
from transformers import AutoModel, AutoProcessor

from merit import MeritCollator, load_data

model_folder, data_folder, task = sys.argv[1:4]
encoder = AutoModel.from_pretrained(model_folder).ecg_model
collator = MeritCollator(AutoProcessor.from_pretrained(model_folder), text_column=None)


@torch.inference_mode()
def features_and_labels(rows):
    batches = DataLoader(rows.with_format("numpy"), batch_size=64, collate_fn=collator)
    features = [encoder(**batch).pooler_output for batch in batches]
    return torch.cat(features).numpy(), np.array(rows[f"labels_{task}"])


data = load_data(data_folder)
probe = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression(C=0.01, max_iter=1000)))
probe.fit(*features_and_labels(data["train"]))
features, labels = features_and_labels(data["test"])
print("macro AUC", roc_auc_score(labels, probe.predict_proba(features), average="macro"))
