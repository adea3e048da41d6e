"""`merit classify`, `report`, `predict` and `demo`."""

import inspect
import json
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from ..processing.answers_merit import DISCLAIMER, DoNotRelyWarning, basis_text, cautions, decision_text
from .options import split_commas

Records = Annotated[
    list[str], Argument(metavar="RECORD", help="WFDB record, with or without suffix, or CSV file.", show_default=False)
]
Checkpoint = Annotated[str, Option("--model", metavar="MODEL", help="Folder or Hub id of a checkpoint.")]
Json = Annotated[bool, Option("--json", help="Print JSON.")]
Decisions = Annotated[
    bool, Option("--decisions", help="Say whether each label is present, where the model has a threshold for it.")
]
WindowPooling = Annotated[
    str,
    Option(metavar="mean|max", help="How the windows of a long recording are combined; max finds short episodes."),
]
_READING = "Reading recordings"  # a panel of its own


def _reading_options(
    sampling_rate: Annotated[
        float | None,
        Option(metavar="HZ", help="Sampling rate of CSV files that do not state it.", rich_help_panel=_READING),
    ] = None,
    leads: Annotated[
        list[str] | None,
        Option(
            metavar="LEAD...",
            callback=split_commas,
            help="Leads of files that do not name them, in their order.",
            rich_help_panel=_READING,
        ),
    ] = None,
    units: Annotated[
        str | None,
        Option(
            metavar="UNIT", help="Units of files that do not state them: mV, uV, V or nV.", rich_help_panel=_READING
        ),
    ] = None,
    verify_checksums: Annotated[
        bool | None,
        Option(
            "--verify-checksums/--no-verify-checksums",
            help="Refuse files with a wrong checksum, or read them with a warning.",
            rich_help_panel=_READING,
        ),
    ] = None,
    ignore_unknown_leads: Annotated[
        bool | None,
        Option(
            "--ignore-unknown-leads", help="Leave out channels that are not a standard lead.", rich_help_panel=_READING
        ),
    ] = None,
    on_bad_lead: Annotated[
        str | None,
        Option(
            metavar="drop|error",
            help="Leave out a flat or interrupted lead with a warning, or refuse the recording.",
            rich_help_panel=_READING,
        ),
    ] = None,
    max_gap: Annotated[
        float | None,
        Option(metavar="SECONDS", help="Longest gap in a lead that is interpolated.", rich_help_panel=_READING),
    ] = None,
    max_amplitude: Annotated[
        float | None, Option(metavar="MV", help="Refuse leads that exceed this amplitude.", rich_help_panel=_READING)
    ] = None,
    min_duration: Annotated[
        float | None, Option(metavar="SECONDS", help="Refuse shorter recordings.", rich_help_panel=_READING)
    ] = None,
    sampling_rate_range: Annotated[
        tuple[float, float] | None,
        Option(
            metavar="LOW HIGH", help="Refuse recordings with another sampling rate, in Hz.", rich_help_panel=_READING
        ),
    ] = None,
    window_stride: Annotated[
        float | None,
        Option(metavar="SECONDS", help="Distance of the windows of a long recording.", rich_help_panel=_READING),
    ] = None,
    derive_limb_leads: Annotated[
        bool | None,
        Option(
            "--derive-limb-leads/--no-derive-limb-leads",
            help="Compute missing limb leads from two others.",
            rich_help_panel=_READING,
        ),
    ] = None,
) -> None:
    """Options that describe files, and settings of the feature extractor."""


# An argument of Python in a message, such as units='mV' or leads=['I', 'II'].
_ARGUMENT = re.compile(
    rf"\b({'|'.join(inspect.signature(_reading_options).parameters)}|multi_label|on_unknown_label)="
    r"(\[[^\]]*\]|\([^)]*\)|'[^']*'|\"[^\"]*\"|-?\w*)"
)


def reads_recordings(command: Callable[..., None]) -> Callable[..., None]:
    """
    Add the options of `_reading_options` to a command, which takes those that were given from `_reading`. Errors then
    name options of the command.
    """
    own, added = (inspect.signature(function).parameters for function in (command, _reading_options))

    @wraps(command)
    def run(**options: Any) -> None:
        try:
            with warnings.catch_warnings():
                # The command prints the reasons with the answer.
                warnings.simplefilter("ignore", DoNotRelyWarning)
                command(**{name: value for name, value in options.items() if name in own})
        except ValueError as error:
            raise ValueError(_for_command(error)) from error

    parameters = [*own.values(), *added.values()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


@reads_recordings
def classify(
    context: typer.Context,
    records: Records,
    model: Checkpoint,
    labels: Annotated[
        list[str] | None,
        Option(
            metavar="LABEL...",
            callback=split_commas,
            help="Findings in plain English or German; commas separate labels, too. Not with a fine-tuned classifier.",
        ),
    ] = None,
    multi_label: Annotated[
        bool, Option("--multi-label", help="Score each label independently; scores do not sum to 1.")
    ] = False,
    template: Annotated[str, Option(metavar="TEXT", help="Prompt; {} is replaced by the label.")] = "{}",
    on_unknown_label: Annotated[
        str, Option(metavar="warn|error", help="Warn of labels that the model does not know, or refuse them.")
    ] = "warn",
    top_k: Annotated[int | None, Option(metavar="K", help="Print only the K best labels.")] = None,
    decisions: Decisions = False,
    as_json: Json = False,
    plot: Annotated[
        Path | None, Option(metavar="FILE.png|pdf|svg", help="Draw the leads and the scores of one record.")
    ] = None,
    layout: Annotated[
        str | None, Option(metavar="3x4|6x2|12x1", help="Rows by columns of the drawing.", show_default="3x4")
    ] = None,
    explain: Annotated[
        str | None,
        Option(metavar="LABEL", help="Show what the score of this label depends on; 'best' for the best one."),
    ] = None,
    window_pooling: WindowPooling = "mean",
) -> None:
    """Classify recordings, with labels of your choice (zero-shot) or those of a fine-tuned classifier."""
    from .. import workflows

    answers = workflows.classify(
        records,
        model,
        labels,
        template=template,
        multi_label=multi_label,
        on_unknown_label=on_unknown_label,
        top_k=top_k,
        decisions=decisions,
        window_pooling=window_pooling,
        plot=plot,
        layout=layout,
        explain=explain,
        **_reading(context),
    )
    failed = _print_answers(records, answers, as_json, explained_table if explain else score_table, DISCLAIMER)
    if plot and not failed:
        print(f"Drawn in {plot}", file=sys.stderr)
    raise typer.Exit(failed)


@reads_recordings
def report(
    context: typer.Context,
    records: Records,
    model: Checkpoint,
    language: Annotated[str | None, Option(metavar="en|de", help="Language of the report.", show_default="en")] = None,
    text: Annotated[str | None, Option(metavar="TEXT", help="Instruction or question to use instead.")] = None,
    beams: Annotated[int, Option(metavar="N", help="Number of beams; 1 is greedy decoding.")] = 1,
    as_json: Json = False,
    window_pooling: WindowPooling = "mean",
) -> None:
    """Write a report for each recording."""
    from .. import workflows

    answers = workflows.report(
        records,
        model,
        text=text,
        language=language,
        beams=beams,
        window_pooling=window_pooling,
        **_reading(context),
    )

    def statements(answer: dict) -> str:
        scores = [{"label": statement["text"], "score": statement["support"]} for statement in answer["statements"]]
        return score_table(scores) if scores else f"  {answer['report']}"

    note = f"Next to each statement: its zero-shot score by the same encoder. {DISCLAIMER}"
    raise typer.Exit(_print_answers(records, answers, as_json, statements, note))


@reads_recordings
def predict(
    context: typer.Context,
    sources: Annotated[
        list[str],
        Argument(
            metavar="SOURCE...",
            help="Folder with recordings, glob, recording, table with a column path, or prepared data set.",
            show_default=False,
        ),
    ],
    model: Checkpoint,
    output: Annotated[Path, Option(metavar="DIR", help="Folder of the parts; the command goes on with those in it.")],
    labels: Annotated[
        list[str] | None,
        Option(
            metavar="LABEL...",
            callback=split_commas,
            help="Findings in plain English or German, scored beside the learned labels of the model.",
        ),
    ] = None,
    decisions: Decisions = False,
    embeddings: Annotated[
        bool, Option("--embeddings", help="Add the embedding of each recording in the space shared with texts.")
    ] = False,
    report_model: Annotated[
        str | None, Option(metavar="MODEL", help="Checkpoint that also writes a report of each recording.")
    ] = None,
    language: Annotated[str | None, Option(metavar="en|de", help="Language of the reports.", show_default="en")] = None,
    backend: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="What computes the ECG encoder: torch, bf16, compile, onnx, onnx-int8, openvino or openvino-int8.",
            show_default="bf16 on a GPU, torch on a CPU",
        ),
    ] = None,
    format: Annotated[str, Option(metavar="parquet|csv", help="Format of the parts.")] = "parquet",
    batch_size: Annotated[int, Option(metavar="N", help="Recordings in a batch of the model.")] = 64,
    part_size: Annotated[int, Option(metavar="N", help="Recordings in a part.")] = 1024,
    readers: Annotated[
        int | None,
        Option(
            metavar="N",
            help="Processes that read beside the model; 0 reads in the same process.",
            show_default="one per three cores, at least one",
        ),
    ] = None,
    window_pooling: WindowPooling = "mean",
) -> None:
    """Answer for all recordings of an archive: a table with one row per recording, in parts."""
    from ..predict import predict

    done = predict(
        sources,
        model,
        output,
        labels=labels,
        decisions=decisions,
        embeddings=embeddings,
        report_model=report_model,
        language=language,
        backend=backend,
        format=format,
        batch_size=batch_size,
        part_size=part_size,
        readers=readers,
        window_pooling=window_pooling,
        **_reading(context),
    )
    earlier = f", {done.already_done} were there" if done.already_done else ""
    reason = " (see column error)" if done.failed else ""
    typer.echo(f"{done.recordings} recordings, {done.failed} of them failed{reason}{earlier}; parts in {done.folder}")


def _reading(context: typer.Context) -> dict[str, Any]:
    """The options for reading recordings that were given; the file or the checkpoint decides the others."""
    from ..processing.feature_extraction_merit import SETTINGS
    from ..processing.pipelines_merit import DESCRIPTION

    given = {name: value for name, value in context.params.items() if value is not None}
    return {
        part: {name: given[name] for name in names if name in given}
        for part, names in (("description", DESCRIPTION), ("settings", SETTINGS))
    }


def _print_answers(
    records: Sequence[str], answers: Sequence[Any], as_json: bool, show: Callable[[Any], str], note: str
) -> int:
    """Print the answer to each recording, or its error on standard error; returns the exit code, 1 if any failed."""
    errors = {index: answer for index, answer in enumerate(answers) if isinstance(answer, Exception)}
    for index, error in errors.items():
        position = f"recording {index + 1} of {len(records)}, {records[index]}: " if len(records) > 1 else ""
        print(f"merit: {position}{_for_command(error)}", file=sys.stderr)
    if as_json:
        typer.echo(json.dumps(dict(zip(records, map(_printable, answers))), indent=2))
    elif len(errors) < len(answers):
        for record, answer in zip(records, answers):
            failed = isinstance(answer, Exception)
            lines = [f"  error: {_for_command(answer)}"] if failed else [*reasons(answer), show(answer)]
            typer.echo("\n".join([record, *lines]))
        typer.echo(note)
    return int(bool(errors))


def _for_command(message: Any) -> str:
    """A message of the package with options of the command instead of arguments of Python, without its position."""

    def as_option(argument: re.Match) -> str:
        name, value = argument[1].replace("_", "-"), argument[2]
        if value in ("True", "False"):
            return f"--{name}" if value == "True" else f"--no-{name}"
        return " ".join([f"--{name}", *re.findall(r"[\w.+-]+", value)])

    text = re.sub(r"^recording \d+: ", "", str(message))
    return _ARGUMENT.sub(as_option, text)


def _printable(answer: Any) -> Any:
    if isinstance(answer, Exception):
        return {"error": _for_command(answer)}
    return answer.to_dict() if isinstance(answer, list) else answer


def reasons(answer: Any) -> list[str]:
    """The reasons against trusting an answer, one per line; none for an abstaining report, which states them itself."""
    if isinstance(answer, dict) and answer["abstained"]:
        return []
    return [f"  caution: {_for_command(caution)}" for caution in cautions(answer)]


def score_table(answer: Sequence[dict]) -> str:
    """One line per label: name, score, a bar, and what the score rests on."""
    width = max(len(entry["label"]) for entry in answer)
    lines = []
    for entry in answer:
        bar = "█" * round(20 * entry["score"])
        grounds = ", ".join(filter(None, (basis_text(entry), decision_text(entry))))
        lines.append(f"  {entry['label']:<{width}}  {entry['score']:.3f}  {bar:<20}  {grounds}".rstrip())
    return "\n".join(lines)


def explained_table(answer: Any) -> str:
    """The scores of an `EcgAnswer`, and the leads that carry most of the explained one."""
    explanation = answer.explanation
    leads = sorted(zip(explanation["leads"], explanation["lead_names"]), reverse=True)
    best = ", ".join(f"{name} {value:+.2f}" for value, name in leads[:3])
    summary = f"  {explanation['label']}: log-odds {explanation['log_odds']:+.2f}, most from {best}"
    return f"{score_table(answer)}\n{summary}\n  {explanation['caption']}"


def app(
    model: Checkpoint = "merit-ptbxl-small",
    report_model: Annotated[
        str | None, Option(metavar="MODEL", help="Folder or Hub id of a model that writes reports.")
    ] = None,
    port: Annotated[int, Option(metavar="N", help="Port of the page.")] = 7860,
    host: Annotated[str, Option(metavar="NAME", help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
) -> None:
    """Start a web page that reads an ECG: picture, scores, explanation and report."""
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ImportError("the web page needs gradio: pip install 'merit-ecg[app]'") from error
    from ..hub_cards.space.app import build, launch

    page = build(model, report_model)
    typer.echo(f"Web page on http://{host}:{port}, without login or encryption. {DISCLAIMER} Stop it with Ctrl+C.")
    launch(page, server_port=port, server_name=host, quiet=True)


def demo(
    train: Annotated[bool, Option("--train", help="Pretrain and evaluate a model instead.")] = False,
    model: Annotated[
        str | None,
        Option(metavar="MODEL", help="Folder or Hub id of a dual encoder.", show_default="merit-ptbxl-tiny"),
    ] = None,
    data: Annotated[Path | None, Option(metavar="DIR", help="A PTB-XL tree instead of simulated recordings.")] = None,
    output: Annotated[Path, Option(metavar="DIR", help="Folder for all results.")] = Path("demo"),
) -> None:
    """Classify, draw and fine-tune with a pretrained checkpoint."""
    from .. import demo as demonstration
    from .. import workflows

    if train:
        workflows.refuse_options("--train pretrains a new model", model=model)
        demonstration.train(data, output)
    else:
        demonstration.run(data, output, model)


COMMANDS = (app, classify, report, predict, demo)
