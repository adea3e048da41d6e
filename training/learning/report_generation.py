"""Training a language model to write the report of an ECG from MERIT's features.

The model learns to answer an instruction with the report of a recording: in English (translated if necessary), and in
German if the report was written in German. At the end, the distribution of the training features is fitted, so that the
model can abstain on recordings that are out of distribution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, set_seed

from ...modeling_merit.configuration_merit import MeritReportConfig
from ...modeling_merit.modeling_merit import MeritModel
from ...modeling_merit.report_generation_merit import MeritForReportGeneration
from ...processing.processing_merit import INSTRUCTIONS, MeritProcessor, MeritReportProcessor
from ..batching.augmentation import RecordRng
from ..batching.collator import advice_on_bad_records, ecg_rows, random_crop
from ..batching.first_warnings import FirstWarnings
from ..text.tokenizer import train_causal_tokenizer
from ..trainer.checkpoints import checkpoint_folder, train_from_recipe
from ..trainer.distributed import is_main_process
from ..trainer.hardware import fast_attention
from ..trainer.recipe import ReportRecipe, training_arguments
from ..trainer.trainer import EcgTrainer
from ..trainer.training_record import TrainingRecord
from .pretraining import require_splits
from .typicality import learn_quality

# The column of the report in each language.
COLUMNS = {"en": "report_en", "de": "report"}
ECG_TOKEN = "[ECG]"
# More tokens than the longest report of any data set that we know.
MAX_NEW_TOKENS = 96


class ReportRows(torch.utils.data.Dataset):
    """
    Recordings with their reports, once for each language in which a recording has a report.

    Args:
        dataset: a split of a data set.
        languages: keys of `COLUMNS`.
    """

    def __init__(self, dataset: Dataset, languages: Sequence[str]):
        self.rows = ecg_rows(dataset)
        self.reports = {language: reported(dataset, language) for language in languages}
        self.pairs = [(row, language) for language, reports in self.reports.items() for row in reports]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        pairs = [self.pairs[i] for i in indices]
        rows = self.rows.__getitems__([row for row, _ in pairs])
        return [
            {**row, "text": INSTRUCTIONS[language], "answer": self.reports[language][index]}
            for row, (index, language) in zip(rows, pairs)
        ]

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def texts(self) -> list[str]:
        """All instructions with their reports."""
        return [f"{INSTRUCTIONS[language]}\n{self.reports[language][row]}" for row, language in self.pairs]


def reported(dataset: Dataset, language: str) -> dict[int, str]:
    """The reports in a language by row number: all of them in English, else those that were written in the language."""
    reports, written = dataset[COLUMNS[language]], dataset["language"]
    return {
        row: report
        for row, (report, own) in enumerate(zip(reports, written))
        if report and (language == "en" or own == language)
    }


@dataclass
class ReportCollator:
    """
    Turns [`ReportRows`] into a batch for the model.

    Args:
        processor: a `MeritReportProcessor`.
        max_length: tokens after which a text is truncated, including the instruction.
        crop_seconds: length of random crops; None for whole recordings.
    """

    processor: MeritReportProcessor
    max_length: int | None = None
    crop_seconds: float | None = None
    first_warnings: FirstWarnings = field(default_factory=FirstWarnings, init=False, repr=False, compare=False)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        instructions, reports = [row["text"] for row in rows], [row["answer"] for row in rows]
        with advice_on_bad_records(), self.first_warnings.only():
            batch = dict(self.processor(ecg=list(rows), text=instructions, report=reports, max_length=self.max_length))
        if self.crop_seconds is not None:
            rng = RecordRng(torch.randint(2**62, ()).item() for _ in rows)
            batch |= random_crop(batch, self.crop_seconds, self.processor.feature_extractor.sampling_rate, rng)
        return batch


def build(
    merit: MeritModel, processor: MeritProcessor, recipe: ReportRecipe, texts: Sequence[str]
) -> tuple[MeritForReportGeneration, MeritReportProcessor]:
    """
    Build the untrained model of a recipe and its processor on a dual encoder.

    The language model is the one that the recipe names, or a new one with a tokenizer trained on `texts`.

    Raises:
        ValueError: the recipe's model settings are unknown or invalid.
    """
    merit.forget_typicality()  # the whole model learns its own
    settings, name = dict(recipe.model), recipe.language_model
    # Sizes of a language model from scratch; a pretrained one has its own.
    text_config: Any = settings.pop("text_config", {})
    language_model: PreTrainedModel | None = None
    if name is None:
        tokenizer = train_causal_tokenizer(texts, ecg_token=ECG_TOKEN, **recipe.tokenizer)
        tokens = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
        text_config = {**text_config, **tokens, "eos_token_id": tokenizer.eos_token_id}
    else:
        tokenizer = AutoTokenizer.from_pretrained(name)
        language_model = AutoModelForCausalLM.from_pretrained(name)
        tokenizer.add_special_tokens({"additional_special_tokens": [ECG_TOKEN]})
        if len(tokenizer) > language_model.get_input_embeddings().num_embeddings:  # type: ignore[operator]
            language_model.resize_token_embeddings(len(tokenizer))
        text_config = language_model.config
    if unknown := sorted(set(settings) - set(MeritReportConfig.__dataclass_fields__)):
        raise ValueError(f"The recipe's model has {', '.join(unknown)}, which MeritReportConfig does not have.")
    try:
        config = MeritReportConfig(
            **settings,
            merit_config=merit.config,
            text_config=text_config,
            ecg_token_id=tokenizer.get_vocab()[ECG_TOKEN],
        )
    except StrictDataclassError as error:
        raise ValueError(f"The recipe's model settings are not those of MeritReportConfig: {error}") from None
    report_processor = MeritReportProcessor(
        processor.feature_extractor, tokenizer, processor.tokenizer, config.num_ecg_tokens, ECG_TOKEN
    )
    model = MeritForReportGeneration(config, merit, language_model)
    generation = model.generation_config
    generation.eos_token_id, generation.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    generation.max_new_tokens, generation.do_sample = MAX_NEW_TOKENS, False
    return model, report_processor


def train_reports(
    merit: MeritModel,
    processor: MeritProcessor,
    dataset: DatasetDict,
    recipe: ReportRecipe,
    output_dir: str | Path,
    resume: bool = False,
) -> tuple[MeritForReportGeneration, MeritReportProcessor]:
    """
    Train on the reports of "train" and keep the epoch with the lowest loss on "validation". Labels are not used.

    Args:
        merit: the dual encoder, as `AutoModel` loads it.
        processor: its processor.
        dataset: as `load_data` returns it.
        recipe: as `load_recipe(..., kind=ReportRecipe)` returns it. With `lora`, low-rank adapters of the language
            model are trained and merged into it at the end.
        output_dir: folder for checkpoints/, recipe.yaml and training.json.
        resume: continue from the last checkpoint in it.

    Returns:
        The model, which knows when to abstain, and its processor.

    Raises:
        ValueError: `output_dir` holds checkpoints and `resume` is false, or the recipe or the data set is invalid.
    """
    checkpoints = checkpoint_folder(output_dir, resume)
    require_splits(dataset)
    if unknown := [language for language in recipe.languages if language not in COLUMNS]:
        raise ValueError(f"languages has {', '.join(unknown)}; there are {', '.join(COLUMNS)}.")
    crop, longest = recipe.crop_seconds, processor.feature_extractor.duration
    if crop is not None and not 1 <= crop <= longest:
        raise ValueError(f"crop_seconds is {crop:g}; it must be from 1 to {longest:g}, or null.")
    arguments = training_arguments(
        checkpoints, {"load_best_model_at_end": True, "metric_for_best_model": "loss", **recipe.training}
    )
    set_seed(arguments.seed)
    rows = {split: ReportRows(dataset[split], recipe.languages) for split in ("train", "validation")}
    if empty := [split for split, pairs in rows.items() if not pairs]:
        raise ValueError(f"No recording of split {', '.join(empty)} has a report in {', '.join(recipe.languages)}.")
    model, report_processor = build(merit, processor, recipe, rows["train"].texts())
    model.set_attn_implementation(fast_attention())
    record = TrainingRecord({split: dataset[split] for split in rows}, asdict(recipe), checkpoints.parent)
    trained: Any = _with_lora(model, recipe.lora) if recipe.lora else model
    collator = ReportCollator(report_processor, recipe.max_length)
    trainer = EcgTrainer(
        trained,
        arguments,
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        data_collator=replace(collator, crop_seconds=crop),
        eval_collator=collator,
    )
    train_from_recipe(asdict(recipe), trainer, checkpoints)
    if trained is not model:
        model = trained.merge_and_unload()
    model.eval()
    model = learn_quality(model, report_processor, dataset["train"], dataset["validation"])
    if is_main_process():
        record.write(trainer.state.log_history)
    return model, report_processor


def _with_lora(model: MeritForReportGeneration, settings: Mapping[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model

    # Restricted to the language model: some encoders have projections of the same names.
    modules = "|".join(settings.get("target_modules", ["q_proj", "v_proj"]))
    options = {**settings, "target_modules": rf"language_model\..*\.({modules})", "modules_to_save": ["connector"]}
    return get_peft_model(model, LoraConfig(**options))
