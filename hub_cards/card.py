"""The card of an exported model, made from its configuration and the result files beside it, and from nothing else.

A result belongs to the model if its file has the hash of the model's weights. Results of other weights on the same
data, such as a random initialisation, are shown in the tables under their own name and are not in the model-index.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from safetensors.torch import load_file

from ..training.results.atomic import atomic_write
from ..training.results.figures import Figure, figures_of, setting_key
from ..training.results.result_files import results_of
from ..training.results.weights import answering, weights_sha256
from ..training.results.wording import cell, how_measured, metric_name
from .markdown import escape, link

__all__ = ["CardError", "check_card", "name_card", "write_card"]

CARD = "README.md"
# The name in the examples of a model without a name on the Hub.
NAMELESS = "org/name"

# The metrics that tables of reports show.
_OF_REPORTS = (
    *("bleu_1", "bleu_4", "rouge_l", "meteor", "meteor_exact_stem"),
    *("statements_f1", "normal_with_pathology", "wrong_side"),
)
_TASK_TYPES = {
    "zero-shot": "zero-shot-classification",
    "report-generation": "text-generation",
}
# What a card shows: scores of recordings as they are, with all labels. Other results are in the files.
_HEADLINES = ("zero-shot", "linear-probe", "fine-tuned", "supervised")
_SETTINGS = (setting_key({}), setting_key({"language": "both"}))
_MOST_FIGURES = 10  # of the model-index
# Learned labels whose thresholds a card lists.
_MOST_THRESHOLDS = 8
_MARKED = re.compile(r"<!-- results -->\n.*?<!-- /results -->", re.DOTALL)

Table = dict[str, Any]


class CardError(ValueError):
    """The card of a folder disagrees with its result files; the message names figure and file."""


def write_card(folder: str | Path, repo_id: str = NAMELESS) -> Path:
    """
    Write README.md of an exported folder from its configuration and the JSON files in results/.

    Args:
        folder: the exported folder.
        repo_id: the name on the Hub, for the examples.

    Returns:
        The path of the card.

    Raises:
        ValueError: a result file has a format that this version does not read.
    """
    folder = Path(folder)
    path = folder / CARD
    with atomic_write(path) as temporary:
        _card(folder, repo_id).save(temporary)
    return path


def check_card(folder: str | Path) -> None:
    """
    Compare the figures of a folder's card with its result files. Text outside of the marked parts is not checked.

    Raises:
        CardError: the card is missing, a figure differs from its result file, or a figure is missing.
    """
    folder = Path(folder)
    path = folder / CARD
    if not path.is_file():
        raise CardError(f"{folder} has no {CARD}: `merit export MODEL DIR` writes one.")
    card = ModelCard.load(path)
    expected = _card(folder, _name(card))
    figures, expected_figures = _by_figure(card), _by_figure(expected)
    for figure in sorted(figures.keys() | expected_figures.keys()):
        if figures.get(figure) != expected_figures.get(figure):
            of_card, of_file = (_interval(each.get(figure)) for each in (figures, expected_figures))
            raise CardError(
                f"{path} says {of_card} for {', '.join(figure[1:])}, and {figure[0]} says {of_file}. "
                "Export the model again with the right result files."
            )
    for of_card, of_file in zip_longest(_lines(card), _lines(expected), fillvalue="nothing"):
        if of_card != of_file:
            raise CardError(
                f"{path} says {of_card!r} where the files in results/ say {of_file!r}. "
                "Export the model again with the right result files."
            )


def name_card(folder: str | Path, repo_id: str) -> None:
    """Replace the name of the model in the examples and the model-index of its card, and nothing else."""
    path = Path(folder) / CARD
    card = ModelCard.load(path)
    old = re.escape(_name(card))
    text = re.sub(rf"(?<![\w./-]){old}(?![\w/-])", repo_id, card.content)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _card(folder: Path, repo_id: str) -> ModelCard:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    processor = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))["feature_extractor"]
    weights = _weights(folder)
    read = results_of(folder)
    headlines = list(filter(_is_headline, figures_of(read)))
    own_sha256 = weights_sha256(weights)
    own = [figure for figure in headlines if figure.weights == own_sha256]
    others = [figure for figure in headlines if figure.weights != own_sha256]
    training = [file["training"] | {"file": name} for name, file in read.items() if "training" in file]
    task = next(iter(config["custom_pipelines"]))
    card_data = ModelCardData(
        license="apache-2.0",
        library_name="transformers",
        tags=["ecg", "electrocardiogram", "medical", task],
        model_name=repo_id,
        eval_results=list(islice(_model_index(own), _MOST_FIGURES)) or None,
    )
    return ModelCard.from_template(
        card_data,
        template_path=str(Path(__file__).with_name("model_card.md")),
        repo_id=repo_id,
        md=escape,
        link=link,
        task=task,
        config=config,
        ecg=config if task == "ecg-feature-extraction" else config.get("merit_config", config)["ecg_config"],
        processor=processor,
        labels=list(config["id2label"].values()) if task == "ecg-classification" else [],
        parameters=f"{sum(tensor.numel() for tensor in weights.values()):,}",
        stored=", ".join(_unique(str(tensor.dtype).removeprefix("torch.") for tensor in weights.values())),
        training=training,
        tables=list(_tables(own, others)),
        decisions=_decisions(config),
        example=_example(folder),
        version=version("merit-ecg"),
        files=sorted(name for name, file in read.items() if "results" in file),
        plots=sorted(path.relative_to(folder).as_posix() for path in folder.glob("results/*.png")),
    )


def _example(folder: Path) -> str:
    """The first labels of the answer to the example of the folder, or its report; empty if it has neither."""
    path = folder / "example" / "answer.json"
    answer = json.loads(path.read_text(encoding="utf-8"))["answer"] if path.is_file() else []
    if isinstance(answer, dict):
        return answer["report"]
    return ", ".join(f"{entry['label']} {entry['score']:.3f}" for entry in answer[:3] if isinstance(entry, dict))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= answering(load_file(path))
    return tensors


def _model_index(own: Iterable[Figure]) -> Iterator[EvalResult]:
    """Entries of the model-index: the macro AUROC of each task, and the measures of reports, with their intervals."""
    for figure in own:
        if figure.value is None or figure.metric not in ("auroc", *_OF_REPORTS):
            continue
        yield EvalResult(
            task_type=_TASK_TYPES.get(figure.method, "time-series-classification"),
            dataset_type=re.sub(r"[^\w.-]+", "-", figure.data),
            dataset_name=figure.data,
            dataset_config=figure.task,
            dataset_split=figure.split,
            metric_type="roc_auc" if figure.metric == "auroc" else figure.metric,
            metric_value=figure.value,
            metric_name=f"{metric_name(figure.metric)}, {_how(figure)}",
            metric_args={**json.loads(figure.setting), "low": figure.low, "high": figure.high, "file": figure.file},
        )


def _tables(own: Sequence[Figure], others: Sequence[Figure]) -> Iterator[Table]:
    """The results by data set, with those of other weights on the same records, whose rows begin with their name."""
    named = [("", figure) for figure in own] + [(f"{escape(figure.model)}: ", figure) for figure in others]
    for name, sha256 in _unique((figure.data, figure.data_sha256) for figure in own):
        shown = [
            (who + escape(_how(figure)), figure)
            for who, figure in named
            if (figure.data, figure.data_sha256) == (name, sha256)
        ]
        scored = [(row, figure) for row, figure in shown if figure.method in _HEADLINES and figure.metric == "auroc"]
        if scored:
            columns = {figure.task: f"{escape(figure.task)} ({figure.records} records)" for _, figure in scored}
            yield {
                "title": f"{escape(name)}: {metric_name('auroc')}",
                **_pivot(columns, [(row, figure.task, figure) for row, figure in scored]),
            }
        reports = [(row, figure) for row, figure in shown if figure.method not in _HEADLINES]
        for task in _unique(figure.task for _, figure in reports):
            of_task = [(row, figure.metric, figure) for row, figure in reports if figure.task == task]
            measured = {metric for _, metric, _ in of_task}
            columns = {metric: escape(metric_name(metric)) for metric in _OF_REPORTS if metric in measured}
            yield {"title": escape(f"{name}, {task}: report-generation"), **_pivot(columns, of_task)}


def _pivot(columns: Mapping[str, str], cells: Iterable[tuple[str, str, Figure]]) -> Table:
    """Header and rows of a table from cells with the titles of their rows and the keys of their columns."""
    rows: dict[str, dict[str, str]] = {}
    for title, column, figure in cells:
        rows.setdefault(title, {})[column] = cell(figure._asdict(), figure.metric)
    return {
        "header": ["", *columns.values()],
        "rows": [[title, *(found.get(column, "-") for column in columns)] for title, found in rows.items()],
    }


def _decisions(config: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the labels with thresholds, those with the most training reports first."""
    calibration = config.get("calibration") or {}
    labels = {**calibration.get("learned", {}), **calibration.get("labels", {})}
    known = sorted(labels.items(), key=lambda label: -label[1].get("reports", 0))
    return [
        [escape(name), *(str(facts.get(fact, "-")) for fact in ("reports", "threshold", "sensitivity", "specificity"))]
        for name, facts in known
        if "threshold" in facts
    ][:_MOST_THRESHOLDS]


def _is_headline(figure: Figure) -> bool:
    if figure.label:
        return False
    if figure.method == "report-generation":
        return not json.loads(figure.setting).keys() - {"decoding", "reports"}
    return figure.setting in _SETTINGS and figure.method in _HEADLINES


def _how(figure: Figure) -> str:
    return how_measured(figure.method, json.loads(figure.setting))


def _name(card: ModelCard) -> str:
    """The name of the model in a card."""
    return card.data.get("model_name", NAMELESS)


def _by_figure(card: ModelCard) -> dict[tuple[str, ...], tuple]:
    """The figures of a card's model-index with their intervals, by result file, data and method."""
    found = {}
    for entry in card.data.get("eval_results", []):
        args = entry.metric_args or {}
        where = (f"{entry.dataset_name} {entry.dataset_config} {entry.dataset_split}", str(entry.metric_name))
        figure = (str(args.get("file", "no file in results/")), *where)
        found[figure] = (entry.metric_value, args.get("low"), args.get("high"))
    return found


def _interval(figure: tuple | None) -> str:
    return "nothing" if figure is None else f"{figure[0]} ({figure[1]} to {figure[2]})"


def _lines(card: ModelCard) -> list[str]:
    """The lines of a card that are made from result files."""
    return [line for part in _MARKED.findall(card.text) for line in part.splitlines()]


def _unique(values: Iterable) -> list:
    return list(dict.fromkeys(values))
