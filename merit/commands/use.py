"""`merit classify`, `report` and `demo`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from .options import DISCLAIMER, split_commas

Records = Annotated[
    list[str], Argument(metavar="RECORD", help="WFDB record, with or without suffix, or CSV file.", show_default=False)
]
Checkpoint = Annotated[str, Option("--model", metavar="MODEL", help="Folder or Hub id of a checkpoint.")]
Json = Annotated[bool, Option("--json", help="Print JSON.")]
SamplingRate = Annotated[float | None, Option(metavar="HZ", help="Sampling rate of CSV files that do not state it.")]
Units = Annotated[str | None, Option(metavar="UNIT", help="Units of CSV files that do not state them: mV, uV or V.")]


def classify(
    records: Records,
    model: Checkpoint,
    labels: Annotated[
        list[str],
        Option(
            metavar="LABEL...",
            callback=split_commas,
            help="Findings in plain English or German; commas separate labels, too.",
        ),
    ],
    multi_label: Annotated[
        bool, Option("--multi-label", help="Score each label independently; scores do not sum to 1.")
    ] = False,
    template: Annotated[str, Option(metavar="TEXT", help="Prompt; {} is replaced by the label.")] = "{}",
    top_k: Annotated[int | None, Option(metavar="K", help="Print only the K best labels.")] = None,
    as_json: Json = False,
    plot: Annotated[
        Path | None, Option(metavar="FILE.png", help="Draw the leads and the scores of one record.")
    ] = None,
    sampling_rate: SamplingRate = None,
    units: Units = None,
) -> None:
    """Classify recordings with labels of your choice (zero-shot)."""
    from transformers import pipeline

    if plot and len(records) > 1:
        raise ValueError(f"--plot draws one record, and {len(records)} were given.")
    # transformers' overloads list its own tasks only.
    classifier: Any = pipeline("zero-shot-ecg-classification", model=model)  # type: ignore[call-overload]
    answers = classifier(
        records,
        candidate_labels=labels,
        hypothesis_template=template,
        multi_label=multi_label,
        top_k=top_k,
        sampling_rate=sampling_rate,
        units=units,
    )
    if as_json:
        typer.echo(json.dumps(dict(zip(records, answers)), indent=2))
    else:
        for record, answer in zip(records, answers):
            typer.echo(f"{record}\n{score_table(answer)}")
        typer.echo(DISCLAIMER)
    if plot:
        from ..plot import draw_recording

        extractor = classifier.processor.feature_extractor
        draw_recording(records[0], plot, extractor, answers[0], sampling_rate=sampling_rate, units=units)
        print(f"Drawn in {plot}", file=sys.stderr)


def report(
    records: Records,
    model: Checkpoint,
    language: Annotated[
        str | None, Option(metavar="LANGUAGE", help="Language of the report: en or de.", show_default="en")
    ] = None,
    text: Annotated[str | None, Option(metavar="TEXT", help="Instruction or question to use instead.")] = None,
    beams: Annotated[int, Option(metavar="N", help="Number of beams; 1 is greedy decoding.")] = 1,
    as_json: Json = False,
    sampling_rate: SamplingRate = None,
    units: Units = None,
) -> None:
    """Write a report for each recording."""
    from transformers import pipeline

    reporter: Any = pipeline("ecg-report-generation", model=model)  # type: ignore[call-overload]
    answers = reporter(
        records,
        text=text,
        language=language,
        generate_kwargs={"num_beams": beams},
        sampling_rate=sampling_rate,
        units=units,
    )
    if as_json:
        typer.echo(json.dumps(dict(zip(records, answers)), indent=2))
        return
    for record, answer in zip(records, answers):
        statements = [{"label": one["text"], "score": one["support"]} for one in answer["statements"]]
        typer.echo(f"{record}\n{score_table(statements) if statements else '  ' + answer['report']}")
    typer.echo(f"Next to each statement: its zero-shot score by the same encoder. {DISCLAIMER}")


def score_table(answer: Sequence[dict]) -> str:
    """One line per label: name, score, and a bar."""
    width = max(len(entry["label"]) for entry in answer)
    return "\n".join(
        f"  {entry['label']:<{width}}  {entry['score']:.3f}  {'█' * round(20 * entry['score'])}" for entry in answer
    )


def demo(
    train: Annotated[bool, Option("--train", help="Pretrain and evaluate a model instead.")] = False,
    data: Annotated[Path | None, Option(metavar="DIR", help="A PTB-XL tree instead of simulated recordings.")] = None,
    output: Annotated[Path, Option(metavar="DIR", help="Folder for all results.")] = Path("demo"),
) -> None:
    """Classify, draw and fine-tune with a pretrained checkpoint."""
    from .. import demo as demonstration

    (demonstration.train if train else demonstration.run)(data, output)


COMMANDS = (classify, report, demo)
