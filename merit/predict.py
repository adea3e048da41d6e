"""Answers for archives: recordings of any number to Parquet parts, in one process or many, resumed after a stop.

>>> from merit.predict import predict
>>> predict(["archive"], "hub_cards/merit-ptbxl-small", "predictions", embeddings=True)  # doctest: +SKIP
Prediction(folder=PosixPath('predictions'), recordings=21799, already_done=0, failed=2)
"""

import json
import os
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch
import torch.nn.functional as F

from . import checkpoints
from .backends import use_backend
from .listing import Listing, write_listing
from .processing.feature_extraction_merit import SETTINGS
from .processing.inputs_merit import to_recordings
from .processing.pipelines_merit import DESCRIPTION, PreparedBatch
from .processing.recordings_merit import EcgError, Recording
from .training.results.atomic import atomic_write
from .training.results.progress import progress_bar
from .training.results.weights import own_weights, weights_sha256

FORMATS = ("parquet", "csv")
# Within the folder of the parts. Readers of Parquet folders leave out what begins with a dot.
_PLAN, _LISTING = ".plan.json", ".recordings.arrow"
_BASIC = {
    "path": pa.string(),
    "record_id": pa.string(),
    "error": pa.string(),
    "duration": pa.float32(),
    "sampling_rate": pa.float32(),
    "leads": pa.list_(pa.string()),
    "warnings": pa.list_(pa.string()),
}
# Of the fields of answers, where a value does not tell it.
_TYPES = {
    "present": pa.bool_(),
    "statements": pa.list_(pa.struct([("text", pa.string()), ("support", pa.float32())])),
    "atypicality": pa.float32(),
    "reasons": pa.list_(pa.struct([("code", pa.string()), ("message", pa.string())])),
}


@dataclass(frozen=True)
class Prediction:
    """
    What [`predict`] did.

    Args:
        folder: of the parts.
        recordings: answered now, failures included.
        already_done: recordings in parts that were there before.
        failed: recordings of now that could not be used; the column `error` says why.
    """

    folder: Path
    recordings: int
    already_done: int
    failed: int


@dataclass
class PreparedRows:
    """
    Recordings that were read, ready for the models of a [`Predictor`].

    Args:
        rows: the columns that do not depend on a model, for each recording; `error` is set for those that failed.
        good: positions of the others.
        batches: what each pipeline prepared of the good ones.
    """

    rows: list[dict[str, Any]]
    good: list[int]
    batches: list[PreparedBatch]


class Predictor:
    """
    Reads recordings and answers with a table, one row per recording.

    It is also a callable for `map_batches` of Ray Data and for `datasets.Dataset.map(..., batched=True)`, which takes a
    batch with a column `path`.

    Args:
        model: folder, name in hub_cards or Hub id of a dual encoder, a classifier or a report model.
        labels: of a dual encoder: findings in plain English or German, scored beside its learned labels.
        decisions: add for each label with a threshold whether it is `present`, with the `sensitivity` and `specificity`
            measured at the threshold, see `merit calibrate`.
        embeddings: add the embedding of each recording in the space shared with texts, of unit length.
        report_model: a checkpoint that writes reports, beside the answers of `model`.
        language: of the reports, "en" (the default) or "de".
        window_pooling: "mean" or "max" over the windows of a long recording.
        description: `sampling_rate`, `leads` and `units` of files that do not state them.
        settings: of the feature extractor, such as `{"ignore_unknown_leads": True}`.
        device: by default the GPU of this process, or the CPU.
        backend: what computes the ECG encoder, see `merit.backends.use_backend`; by default "bf16" on a GPU and "torch"
            on a CPU.

    The columns are `path`; `record_id`; `error`; `duration` in seconds and `sampling_rate` in Hz of the file; `leads`,
    those that the model saw, derived ones included; `warnings`; each field of an answer, for labels with their name,
    such as `score_AFIB`; and `embedding`.

    Raises:
        ValueError: a checkpoint is of the wrong kind, or an option does not apply to it.

    Example:

    ```python
    >>> predictor = Predictor("hub_cards/merit-ptbxl-tiny", labels=["tall T waves"])  # doctest: +SKIP
    >>> predictor({"path": ["00001_lr"]})["score_AFIB"]  # doctest: +SKIP

    ```"""

    def __init__(
        self,
        model: str | Path,
        *,
        labels: Sequence[str] | None = None,
        decisions: bool = False,
        embeddings: bool = False,
        report_model: str | Path | None = None,
        language: str | None = None,
        window_pooling: str = "mean",
        description: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        device: str | torch.device | None = None,
        backend: str | None = None,
    ):
        self.description, self.settings = dict(description or {}), dict(settings or {})
        if unknown := [*(self.description.keys() - {*DESCRIPTION}), *(self.settings.keys() - {*SETTINGS})]:
            raise ValueError(f"There is no option {', '.join(unknown)} for reading recordings.")
        kind = checkpoints.kind_of(model)
        device = torch.device(device or _device())
        self.backend = backend or ("torch" if device.type == "cpu" else "bf16")
        shared: dict[str, Any] = {"device": device, "window_pooling": window_pooling, **self.settings}
        options: dict[str, Any] = {}
        if kind is checkpoints.DUAL_ENCODER:
            options = {"candidate_labels": _all_labels(model, labels), "multi_label": True}
        elif labels or embeddings:
            raise ValueError(
                f"{model} is {kind.name}: labels of your own and embeddings need {checkpoints.DUAL_ENCODER.name}."
            )
        elif kind is checkpoints.REPORT_MODEL:
            options = {"language": language}
        if language and kind is not checkpoints.REPORT_MODEL and report_model is None:
            raise ValueError(
                f"{model} is {kind.name} and writes no reports: add a report model, or leave the language out."
            )
        if decisions:
            if kind is checkpoints.REPORT_MODEL:
                raise ValueError(f"{model} is {kind.name}: it scores no labels, so there is nothing to decide.")
            options["decisions"] = True
        self.pipelines = [checkpoints.load_pipeline(model, kind, **shared, **options)]
        if report_model is not None:
            self.pipelines.append(
                checkpoints.load_pipeline(report_model, checkpoints.REPORT_MODEL, language=language, **shared)
            )
        for pipeline in self.pipelines:
            use_backend(pipeline.model, self.backend)
        self._projected: list[torch.Tensor] = []
        self.embeddings = embeddings
        if embeddings:
            self.pipelines[0].model.ecg_projection.register_forward_hook(
                lambda module, inputs, output: self._projected.append(output.detach())
            )
        example = self._answers(self.prepare([_example()]))[0]
        if isinstance(example, Exception):
            raise example
        self.schema = pa.schema([*_BASIC.items(), *((name, _type(name, value)) for name, value in example.items())])
        if decisions and not any(name.startswith("present_") for name in self.schema.names):
            raise ValueError(f"{model} has no threshold for any label, so it cannot decide: see `merit calibrate`.")

    def facts(self) -> dict[str, Any]:
        """What the answers depend on besides the recordings: weights, processing and options."""
        return {
            "weights_sha256": [weights_sha256(own_weights(pipeline.model)) for pipeline in self.pipelines],
            "processing": [pipeline.extractor.to_dict() for pipeline in self.pipelines],
            "backend": self.backend,
            "description": self.description,
            "settings": self.settings,
            "options": [
                {**pipeline._preprocess_params, **pipeline._forward_params, **pipeline._postprocess_params}
                for pipeline in self.pipelines
            ],
            "columns": self.schema.names,
        }

    def __call__(self, batch: Mapping[str, Any]) -> pa.Table:
        """
        Read and answer a batch.

        Args:
            batch: columns, one of them `path`; `sampling_rate`, `units`, `leads` may describe files.

        Returns:
            a row per recording, with the columns of `schema`.
        """
        names = [name for name in DESCRIPTION if name in batch]
        rows = [{"path": str(path)} for path in batch["path"]]
        recordings = []
        for row, *values in zip(rows, *(batch[name] for name in names)):
            own = {name: value for name, value in zip(names, values) if value is not None}
            recordings.append(_read(_first, row["path"], **{**self.description, **own}))
        return self.answer(self.prepare(recordings, rows))

    def prepare(
        self, recordings: Sequence[Recording | Exception], rows: Sequence[Mapping[str, Any]] | None = None
    ) -> PreparedRows:
        """
        What is done before the models; another process than that of `answer` can do it.

        Args:
            recordings: what was read, or why not.
            rows: `path` and, where it is known, `record_id` of each.
        """
        rows = rows or [{"path": one.name if isinstance(one, Recording) else ""} for one in recordings]
        done = [_basic_row(row, recording) for row, recording in zip(rows, recordings)]
        good = [position for position, row in enumerate(done) if row["error"] is None]
        # Messages begin with the name of a recording, and names in files are not unique.
        named = [replace(recordings[position], name=f"recording {position}") for position in good]  # type: ignore[type-var]
        batches: list[PreparedBatch] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for number, pipeline in enumerate(self.pipelines if good else []):
                same = number and pipeline.extractor.to_dict() == self.pipelines[0].extractor.to_dict()
                batches.append(batches[0] if same else pipeline.prepare(named, on_error="return"))
        for position, recording in zip(good, named):
            start = f"{recording.name}: "
            texts = dict.fromkeys(str(one.message) for one in caught if str(one.message).startswith(start))
            done[position]["warnings"] = [text.removeprefix(start) for text in texts]
        for batch in batches:
            for number, error in batch.errors.items():
                text = str(error).removeprefix(f"recording {number}: ")
                done[good[number]]["error"] = text.removeprefix(f"{named[number].name}: ")
        if batches and (features := batches[0].features) is not None:
            usable = [position for number, position in enumerate(good) if number not in batches[0].errors]
            names = self.pipelines[0].extractor.lead_names
            seen = [features["lead_mask"][features["record_index"] == number].any(0) for number in range(len(usable))]
            for position, mask in zip(usable, seen):
                done[position]["leads"] = [name for name, present in zip(names, mask.tolist()) if present]
        return PreparedRows(done, good, batches)

    def answer(self, prepared: PreparedRows) -> pa.Table:
        """The rows of a prepared batch, with the columns of `schema`."""
        answers = self._answers(prepared)
        for position, row in enumerate(prepared.rows):
            if isinstance(answer := answers.get(position), Mapping):
                for field in self.schema:
                    if field.name in answer:
                        row[field.name] = _as_type(answer[field.name], field.type)
        return pa.Table.from_pylist(prepared.rows, schema=self.schema)

    def _answers(self, prepared: PreparedRows) -> dict[int, dict[str, Any] | Exception]:
        """By position: the columns from all pipelines, or the error, of each recording that could be prepared."""
        answers: dict[int, dict[str, Any] | Exception] = {position: {} for position in prepared.good}
        for pipeline, batch in zip(self.pipelines, prepared.batches):
            for position, columns in zip(prepared.good, self._columns(pipeline, batch)):
                earlier = answers[position]
                if isinstance(columns, Exception):
                    answers[position] = columns
                elif not isinstance(earlier, Exception):
                    earlier.update(columns)
        return answers

    def _columns(self, pipeline: Any, batch: PreparedBatch) -> list[dict[str, Any] | Exception]:
        """The columns from one pipeline, or the error, of each recording of a batch."""
        self._projected.clear()
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they repeat what the row says
            answers = pipeline.answer(batch)
        columns = [answer if isinstance(answer, Exception) else _fields(answer) for answer in answers]
        if self.embeddings and pipeline is self.pipelines[0] and batch.features is not None:
            answered = [fields for fields in columns if not isinstance(fields, Exception)]
            for fields, embedding in zip(answered, self._pooled(batch.features["record_index"])):
                fields["embedding"] = embedding
        return columns

    def _pooled(self, record_index: torch.Tensor) -> np.ndarray:
        """The mean over windows of the captured embeddings, of unit length; `(recordings, dim)`."""
        windows = F.normalize(torch.cat(self._projected).float(), dim=-1).cpu()
        pooled = windows.new_zeros(int(record_index.max()) + 1, windows.shape[1]).index_add_(0, record_index, windows)
        return F.normalize(pooled, dim=-1).numpy()


def predict(
    sources: Sequence[str | Path],
    model: str | Path,
    output: str | Path,
    *,
    labels: Sequence[str] | None = None,
    decisions: bool = False,
    embeddings: bool = False,
    report_model: str | Path | None = None,
    language: str | None = None,
    window_pooling: str = "mean",
    description: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    backend: str | None = None,
    format: str = "parquet",
    batch_size: int = 64,
    part_size: int = 1024,
    readers: int | None = None,
    progress: bool = True,
) -> Prediction:
    """
    Answer for all recordings of an archive: one row per recording, in parts.

    A part appears when it is whole. A call with the same arguments goes on after a stop, and computes the missing parts
    only. A recording that cannot be used is a row with its error. Under `torchrun` or `accelerate launch`, each process
    computes its share of the parts.

    Args:
        sources: folders, globs, recordings, tables of paths and prepared data sets, see `merit.listing.write_listing`.
        model, labels, decisions, embeddings, report_model, language, window_pooling, description, settings, backend:
            see [`Predictor`].
        output: folder of the parts, part-00000.parquet and so on.
        format: "parquet" or "csv".
        batch_size: recordings in a batch of the model.
        part_size: recordings in a part.
        readers: processes that read beside the model; 0 reads in this process. By default one per three cores, and at
            least one.
        progress: show how many are done, the rate and the time left on standard error.

    Raises:
        FileNotFoundError: a source does not exist or holds no recording.
        ValueError: an option is invalid, or `output` holds parts of other recordings, models or options.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}.")
    for name, count in (("batch_size", batch_size), ("part_size", part_size)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}.")
    predictor = Predictor(
        model,
        labels=labels,
        decisions=decisions,
        embeddings=embeddings,
        report_model=report_model,
        language=language,
        window_pooling=window_pooling,
        description=description,
        settings=settings,
        backend=backend,
    )
    folder, rank, processes = Path(output), *_rank()
    plan = {"sources": list(map(str, sources)), "format": format, "part_size": part_size, **predictor.facts()}
    with _first_process_first(processes):
        if rank == 0:
            _start(folder, plan, sources)
    listing = Listing(folder / _LISTING)
    parts = range(rank, -(-len(listing) // part_size), processes)
    missing = [part for part in parts if not _part(folder, part, format).is_file()]
    sizes = {part: min(part_size, len(listing) - part * part_size) for part in parts}
    todo, failed = sum(sizes[part] for part in missing), 0
    bar = progress_bar(todo, "Predicting", "recordings", disable=not progress or rank > 0)
    rows: list[pa.Table] = []
    with bar:
        for part, prepared in _prepared(predictor, listing, missing, part_size, batch_size, readers):
            rows.append(predictor.answer(prepared))
            bar.update(len(rows[-1]))
            if sum(map(len, rows)) == sizes[part]:
                table, rows = pa.concat_tables(rows), []
                failed += len(table) - table["error"].null_count
                _write(table, _part(folder, part, format))
    return Prediction(folder, todo, sum(sizes.values()) - todo, failed)


class _Reader(torch.utils.data.Dataset):
    """What readers do: the batch at some positions of a list, read and prepared."""

    def __init__(self, predictor: Predictor, listing: Listing):
        self.predictor, self.listing = predictor, listing

    def __getitems__(self, positions: list[int]) -> PreparedRows:
        rows = self.listing.rows(positions)
        recordings = [_read(self.listing.read, row, self.predictor.description) for row in rows]
        return self.predictor.prepare(recordings, rows)


def _prepared(
    predictor: Predictor, listing: Listing, parts: Sequence[int], part_size: int, batch_size: int, readers: int | None
) -> Iterator[tuple[int, PreparedRows]]:
    """The batches of some parts with the number of the part, in order; no batch has recordings of two parts."""
    if readers is None:
        readers = max(1, (os.cpu_count() or 1) // 3)
    waiting = deque(
        (part, range(start, min(start + batch_size, (part + 1) * part_size, len(listing))))
        for part in parts
        for start in range(part * part_size, min((part + 1) * part_size, len(listing)), batch_size)
    )
    while waiting:
        try:
            for prepared in _load(predictor, listing, [positions for _, positions in waiting], readers):
                yield waiting.popleft()[0], prepared
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            # A file has ended a reader, by a crash in a library or for want of memory.
            part, positions = waiting.popleft()
            for position in positions:
                yield part, _load_one(predictor, listing, position)


def _load(
    predictor: Predictor, listing: Listing, batches: Sequence[Sequence[int]], readers: int
) -> Iterable[PreparedRows]:
    return torch.utils.data.DataLoader(
        _Reader(predictor, listing),
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=_unchanged,
        num_workers=readers,
        # A fork shares the models with this process; readers do not use them.
        multiprocessing_context="fork" if readers and sys.platform == "linux" else None,
    )


def _load_one(predictor: Predictor, listing: Listing, position: int) -> PreparedRows:
    """A batch of one recording, read in a process of its own, which may end."""
    try:
        [prepared] = _load(predictor, listing, [[position]], readers=1)
        return prepared
    except RuntimeError:
        ended = EcgError("The process that read this file ended without an answer: the file is damaged or too large.")
        return predictor.prepare([ended], listing.rows([position]))


def _unchanged(batch: Any) -> Any:
    return batch


def _first(path: str, **description: Any) -> Recording:
    return to_recordings(path, **description)[0]


def _read(read: Any, *arguments: Any, **options: Any) -> Recording | Exception:
    """What a function reads, or its error; a broken file may raise any."""
    try:
        return read(*arguments, **options)
    except Exception as error:
        return error


def _basic_row(row: Mapping[str, Any], recording: Recording | Exception) -> dict[str, Any]:
    """The columns that every row has."""
    path = row["path"]
    if isinstance(recording, Exception):
        # An EcgError says what is wrong; any other error needs its type to be understood.
        error = str(recording) if isinstance(recording, EcgError) else f"{type(recording).__name__}: {recording}"
        name = row.get("record_id") or os.path.splitext(os.path.basename(path))[0]
        return {"path": path, "record_id": name, "error": error}
    return {
        "path": path,
        "record_id": row.get("record_id") or recording.name,
        "error": None,
        "duration": recording.signal.shape[1] / recording.sampling_rate if recording.sampling_rate else None,
        "sampling_rate": recording.sampling_rate,
    }


def _fields(answer: Any) -> dict[str, Any]:
    """
    An answer of a pipeline as columns: the fields of a report, or those of each label with its name, and those of the
    quality of the recording.
    """
    if isinstance(answer, Mapping):
        quality = {f"report_quality_{name}": value for name, value in answer.get("quality", {}).items()}
        return {name: value for name, value in answer.items() if name != "quality"} | quality
    labels = sorted(answer, key=lambda entry: entry["label"])
    names = dict.fromkeys(name for entry in labels for name in entry if name != "label")
    fields = {f"{name}_{entry['label']}": entry[name] for name in names for entry in labels if name in entry}
    return {**{f"quality_{name}": value for name, value in answer.quality.items()}, **fields}


def _type(name: str, value: Any) -> pa.DataType:
    """The type of a column, by its name or by a value."""
    if isinstance(value, np.ndarray):
        return pa.list_(pa.float32(), len(value))
    names = (name, name.partition("_")[0], name.rpartition("_")[2])
    found = next((_TYPES[one] for one in names if one in _TYPES), None) or pa.infer_type([value])
    if pa.types.is_null(found):  # other answers may have anything here
        return pa.string()
    return pa.float32() if pa.types.is_floating(found) else found


def _as_type(value: Any, type: pa.DataType) -> Any:
    """A value for a column; what is no text in a column of texts is JSON."""
    return json.dumps(value) if pa.types.is_string(type) and not isinstance(value, str | None) else value


def _all_labels(model: str | Path, labels: Sequence[str] | None) -> list[str]:
    """The learned labels of a dual encoder, and those that are asked for."""
    from transformers import AutoConfig

    learned = AutoConfig.from_pretrained(checkpoints.find(model)).learned_labels
    if not learned and not labels:
        raise ValueError(f"{model} has no learned labels: pass labels to score, such as 'atrial fibrillation'.")
    return [*learned, *(label for label in labels or () if label not in learned)]


def _example() -> Recording:
    """Ten beats in eight leads, whose answer has the columns of all answers."""
    seconds = np.arange(1000) / 100 % 1
    waves = ((0.1, 0.2, 0.03), (1.0, 0.4, 0.012), (0.3, 0.65, 0.05))  # height in mV, time and width in s of P, R and T
    beat = sum(height * np.exp(-0.5 * ((seconds - time) / width) ** 2) for height, time, width in waves)
    leads = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    heights = np.linspace(0.6, 1.4, len(leads))[:, None]
    return Recording("example", heights * beat, 100.0, leads, ("mV",) * len(leads))


def _rank() -> tuple[int, int]:
    """The number of this process among those of `torchrun` or `accelerate launch`, and how many there are."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


@contextmanager
def _first_process_first(processes: int) -> Iterator[None]:
    """Let the first of several processes do the block before the others; then they go their own ways."""
    if processes == 1:
        yield
        return
    from .training.trainer.distributed import main_process_first, shut_down_process_group

    with main_process_first():
        yield
    # Shares take different times, and a process group would wait for the last one with a time limit.
    shut_down_process_group()


def _start(folder: Path, plan: dict[str, Any], sources: Iterable[str | Path]) -> None:
    """Make or check the folder: the plan that its parts belong to, and the list of the recordings."""
    plan = json.loads(json.dumps(plan, default=str))
    file = folder / _PLAN
    if file.is_file():
        earlier = json.loads(file.read_text(encoding="utf-8"))
        if changed := [name for name in plan if plan[name] != earlier.get(name)]:
            raise ValueError(
                f"{folder} holds parts that were computed with other {', '.join(changed)}: give the command as it was "
                "to go on, choose another folder, or remove this one."
            )
    elif folder.is_dir() and any(folder.glob("part-*")):
        raise ValueError(f"{folder} holds parts without their plan, {_PLAN}: choose another folder.")
    for temporary in folder.glob(".*.tmp"):  # of a process that was killed
        temporary.unlink(missing_ok=True)
    if not (folder / _LISTING).is_file():
        write_listing(sources, folder / _LISTING, leads_given=bool(plan["description"].get("leads")))
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(plan, indent=1), encoding="utf-8")


def _part(folder: Path, number: int, format: str) -> Path:
    return folder / f"part-{number:05d}.{format}"


def _write(table: pa.Table, path: Path) -> None:
    with atomic_write(path) as temporary:
        if path.suffix == ".parquet":
            pa.parquet.write_table(table, temporary)
        else:
            columns = [_as_text(column) if pa.types.is_nested(column.type) else column for column in table.columns]
            pa.csv.write_csv(pa.table(columns, names=table.column_names), temporary)


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    """A column of lists as JSON."""
    values = column.to_pylist()
    return pa.array([None if value is None else json.dumps(value, ensure_ascii=False) for value in values], pa.string())


__all__ = ["FORMATS", "Prediction", "Predictor", "predict"]
