"""Draft a report for a recording, in English and in German.

    python examples/report.py MODEL RECORDING

MODEL is a checkpoint for report generation such as hub_cards/merit-ptbxl-report. If the recording is unlike those of
training, the model abstains.
"""

import sys

from transformers import pipeline

import merit  # noqa: F401  registers the pipeline

model_folder, recording = sys.argv[1:3]
report = pipeline("ecg-report-generation", model=model_folder)
for language in ("en", "de"):
    answer = report(recording, language=language)
    print(f"{language}: {answer['report']}")
    for statement in answer["statements"]:
        print(f"  {statement['support']:.3f}  {statement['text']}")
