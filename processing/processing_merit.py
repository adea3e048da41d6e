"""The processors of MERIT: a feature extractor for recordings, tokenizers for text, and the glossary of findings."""

import inspect
import os
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.feature_extraction_utils import BatchFeature
from transformers.processing_utils import ProcessorMixin
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from .glossary_merit import GLOSSARY_FILE, Glossary

if TYPE_CHECKING:
    # Never executed. transformers finds it in the text of this file, and saves the pipelines with every processor.
    from .pipelines_merit import EcgPipeline  # noqa: F401

# Arguments of `from_pretrained` that find files, on the Hub or in a folder.
_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")
# Other arguments of transformers and settings of its tokenizers that no signature names.
_OTHER_ARGUMENTS = (
    *("adapter_kwargs", "attn_implementation", "backend", "code_revision", "config", "device_map", "dtype"),
    *("torch_dtype", "trust_remote_code", "use_auth_token", "use_fast", "user_agent"),
    *("additional_special_tokens", "chat_template", "clean_up_tokenization_spaces", "extra_special_tokens"),
    *("model_input_names", "model_max_length", "padding_side", "split_special_tokens", "tokenizer_type"),
    *("truncation_side", "verbose"),
)


class MeritBaseProcessor(ProcessorMixin):
    """A processor with a glossary, which is saved and loaded like a vocabulary."""

    _glossary: Glossary | None = None

    @property
    def glossary(self) -> Glossary:
        """
        The findings that labels are looked up in: those of the checkpoint, or else of the package.

        Raises:
            FileNotFoundError: neither the checkpoint nor a package holds one.
        """
        return Glossary.default() if self._glossary is None else self._glossary

    @glossary.setter
    def glossary(self, glossary: Glossary | None) -> None:
        self._glossary = glossary

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """
        Load a processor, see [`~transformers.ProcessorMixin.from_pretrained`]. Settings of the feature extractor and of
        the tokenizer can be overridden by name.

        Raises:
            ValueError: there is no setting of that name.
        """
        glossary = kwargs.pop("glossary", None)  # the tokenizers would take it as a setting of theirs
        processor = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        if glossary is not None:
            processor.glossary = glossary
        if "_from_pipeline" not in kwargs:  # a pipeline also passes the settings of the model
            processor._check_settings(kwargs)
        return processor

    @classmethod
    def get_processor_dict(cls, pretrained_model_name_or_path, **kwargs) -> tuple[dict[str, Any], dict[str, Any]]:
        processor_dict, unused = super().get_processor_dict(pretrained_model_name_or_path, **kwargs)
        if not os.path.isfile(pretrained_model_name_or_path):
            path = cached_file(
                pretrained_model_name_or_path,
                GLOSSARY_FILE,
                **{name: kwargs[name] for name in _HUB_ARGUMENTS if name in kwargs},
                _raise_exceptions_for_missing_entries=False,
            )
            processor_dict["glossary"] = None if path is None else Glossary.from_file(path)
        return processor_dict, unused

    def save_pretrained(self, save_directory, push_to_hub: bool = False, **kwargs):
        """Save the feature extractor, the tokenizers and the glossary, see [`~transformers.ProcessorMixin`]."""
        files = super().save_pretrained(save_directory)
        path = Path(save_directory) / GLOSSARY_FILE
        self.glossary.save(path)
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", path.parent.name), **kwargs)
        return [*files, str(path)]

    def _check_settings(self, settings: dict[str, Any]) -> None:
        known = {*_HUB_ARGUMENTS, *_OTHER_ARGUMENTS, *PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES}
        for part in (self, *(getattr(self, name) for name in self.get_attributes())):
            for kind in type(part).__mro__:
                known |= inspect.signature(kind.__init__).parameters.keys() - {"self", "args", "kwargs"}
        for name in settings:
            if name not in known and not name.startswith("_"):
                close = get_close_matches(name, known, n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"{type(self).__name__} has no setting {name!r}.{hint}")


class MeritProcessor(MeritBaseProcessor):
    """Prepares ECG recordings and text for MERIT.

    Args:
        feature_extractor (`MeritFeatureExtractor`): Turns recordings into `ecg_values` and their masks.
        tokenizer (`PreTrainedTokenizerBase`): Any tokenizer of transformers.
        glossary (`Glossary`, *optional*): The findings that labels are looked up in, by default those of the package.

    Example:

    ```python
    >>> from transformers import AutoProcessor
    >>> processor = AutoProcessor.from_pretrained("org/merit", trust_remote_code=True)  # doctest: +SKIP
    >>> batch = processor(ecg="00001_lr", text="sinus rhythm. normal ecg.")  # doctest: +SKIP
    >>> sorted(batch)  # doctest: +SKIP
    ['attention_mask', 'ecg_values', 'input_ids', 'lead_mask', 'sample_mask']
    ```
    """

    _auto_class = "AutoProcessor"  # save_pretrained copies the code

    def __init__(self, feature_extractor, tokenizer, glossary=None):
        self.glossary = glossary
        super().__init__(feature_extractor, tokenizer)

    def __call__(  # type: ignore[override]  (transformers' processors take images, text, videos and audio)
        self,
        ecg: Any = None,
        text: str | list[str] | None = None,
        sampling_rate: Any = None,
        leads: Any = None,
        units: Any = None,
        return_tensors: str | None = "pt",
        verify_checksums: bool = True,
        **text_kwargs,
    ) -> BatchFeature:
        """Prepare recordings, text, or both.

        Args:
            ecg (*optional*): A recording or a list of recordings, see `MeritFeatureExtractor.__call__`.
            text (`str` or `list[str]`, *optional*): Texts. Their number may differ from the number of recordings.
            sampling_rate (`float`, *optional*): Sampling rate of arrays in Hz.
            leads (`list[str]`, *optional*): Lead names of arrays.
            units (`str`, *optional*): Units of arrays.
            return_tensors (`str`, *optional*, defaults to `"pt"`): `"pt"` or `"np"`.
            verify_checksums (`bool`, defaults to `True`): Whether a file with a wrong checksum is an error.
            **text_kwargs: Arguments of the tokenizer. By default text is padded to the longest of the batch and
                truncated to the maximum length of the text encoder.

        Returns:
            `BatchFeature`: the fields of the feature extractor if `ecg` is given, and those of the tokenizer if `text`
            is given.

        Raises:
            ValueError: neither `ecg` nor `text` is given, or arguments of the tokenizer without `text`.
            EcgError: a recording cannot be used.
        """
        if ecg is None and text is None:
            raise ValueError("There is nothing to prepare: pass ecg=, text= or both.")
        if text is None and text_kwargs:
            raise ValueError(f"{', '.join(text_kwargs)} cannot be used without text=; correct it or leave it out.")
        batch = BatchFeature()
        if ecg is not None:
            options = {"return_tensors": return_tensors, "verify_checksums": verify_checksums}
            batch.update(self.feature_extractor(ecg, sampling_rate, leads, units, **options))
        if text is not None:
            text_kwargs = {"padding": True, "truncation": True, **text_kwargs}
            batch.update(self.tokenizer(text, return_tensors=return_tensors, **text_kwargs))
        return batch


# The default instruction to the language model, by the language of the report.
INSTRUCTIONS = {"en": "Report this ECG in English.", "de": "Befunde dieses EKG auf Deutsch."}


class MeritReportProcessor(MeritBaseProcessor):
    """Prepares recordings and instructions for report generation, and reports for training it.

    A row of `input_ids` has `num_ecg_tokens` placeholders for the recording, the instruction and, in training, the
    report.

    Args:
        feature_extractor (`MeritFeatureExtractor`): Turns recordings into `ecg_values` and their masks.
        tokenizer (`PreTrainedTokenizerBase`): The tokenizer of the language model, with an end-of-sequence token.
        merit_tokenizer (`PreTrainedTokenizerBase`): The tokenizer of MERIT's text encoder, which scores statements.
        num_ecg_tokens (`int`, defaults to 16): The number of placeholder tokens for a recording, as in the model's
            configuration.
        ecg_token (`str`, defaults to `"[ECG]"`): The placeholder, which is in the tokenizer's vocabulary.
        glossary (`Glossary`, *optional*): The findings that labels are looked up in, by default those of the package.

    Example:

    ```python
    >>> from transformers import AutoProcessor
    >>> processor = AutoProcessor.from_pretrained("org/merit-report", trust_remote_code=True)  # doctest: +SKIP
    >>> batch = processor(ecg="00001_lr", text="Report this ECG in English.")  # doctest: +SKIP
    >>> sorted(batch)  # doctest: +SKIP
    ['attention_mask', 'ecg_values', 'input_ids', 'lead_mask', 'sample_mask']
    ```
    """

    _auto_class = "AutoProcessor"

    def __init__(
        self, feature_extractor, tokenizer, merit_tokenizer, num_ecg_tokens=16, ecg_token="[ECG]", glossary=None
    ):
        self.num_ecg_tokens, self.ecg_token = num_ecg_tokens, ecg_token
        if tokenizer.eos_token_id is None:
            raise ValueError("The tokenizer has no end-of-sequence token, which ends a report: set its eos_token.")
        if ecg_token not in tokenizer.get_vocab():
            raise ValueError(f"The vocabulary of the tokenizer lacks {ecg_token}: add it as a special token.")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.glossary = glossary
        super().__init__(feature_extractor, tokenizer, merit_tokenizer)

    def __call__(  # type: ignore[override]
        self,
        ecg: Any = None,
        text: str | list[str] | None = None,
        report: list[str] | None = None,
        sampling_rate: Any = None,
        leads: Any = None,
        units: Any = None,
        max_length: int | None = None,
        return_tensors: str = "pt",
        verify_checksums: bool = True,
    ) -> BatchFeature:
        """Prepare recordings with an instruction or question for each.

        Args:
            ecg: A recording or a list of recordings, see `MeritFeatureExtractor.__call__`.
            text (`str` or `list[str]`, *optional*): One instruction or question for all recordings, or one for each.
                By default the instruction for a report in English.
            report (`list[str]`, *optional*): The target texts for training, one for each recording.
            sampling_rate, leads, units (*optional*): Description of arrays, see `MeritFeatureExtractor.__call__`.
            max_length (`int`, *optional*): The length in tokens to which rows with reports are truncated.
            return_tensors (`str`, defaults to `"pt"`): Only `"pt"` is supported.
            verify_checksums (`bool`, defaults to `True`): Whether a file with a wrong checksum is an error.

        Returns:
            `BatchFeature`: the fields of the feature extractor, `input_ids` and `attention_mask`. Without `report`,
            rows are padded on the left, for generation. With `report`, they are padded on the right and there are
            `labels`, which are -100 except for the report and its end-of-sequence token.

        Raises:
            ValueError: the numbers of texts and recordings differ, or `return_tensors` is not `"pt"`.
            EcgError: a recording cannot be used.
        """
        if return_tensors != "pt":
            raise ValueError(f"Reports are prepared as torch tensors, not as return_tensors={return_tensors!r}.")
        options = {"return_tensors": "pt", "verify_checksums": verify_checksums}
        batch = BatchFeature(dict(self.feature_extractor(ecg, sampling_rate, leads, units, **options)))
        number = len(batch["ecg_values"])
        batch.update(self.write([text] * number if text is None or isinstance(text, str) else text, report, max_length))
        if len(batch["input_ids"]) != number:
            raise ValueError(f"There are {len(batch['input_ids'])} texts for {number} recordings: pass one for each.")
        return batch

    def write(
        self, instructions: Sequence[str | None], reports: list[str] | None = None, max_length: int | None = None
    ) -> BatchFeature:
        """The text part of `__call__`. An instruction of None is that for a report in English."""
        prompts = [
            f"{self.ecg_token * self.num_ecg_tokens} {INSTRUCTIONS['en'] if text is None else text.strip()}\n"
            for text in instructions
        ]
        rows = self.tokenizer(prompts)["input_ids"]
        if reports is None:
            return self.tokenizer.pad({"input_ids": rows}, padding_side="left", return_tensors="pt")
        if len(reports) != len(rows):
            raise ValueError(f"There are {len(reports)} reports for {len(rows)} instructions: pass one for each.")
        answers = self.tokenizer(reports, add_special_tokens=False)["input_ids"]
        answers = [
            [*answer, self.tokenizer.eos_token_id][: max_length and max(0, max_length - len(row))]
            for row, answer in zip(rows, answers)
        ]
        joined = {"input_ids": [row + answer for row, answer in zip(rows, answers)]}
        batch = self.tokenizer.pad(joined, padding_side="right", return_tensors="pt")
        position = torch.arange(batch["input_ids"].shape[1])
        start = torch.tensor([[len(row)] for row in rows])
        end = start + torch.tensor([[len(answer)] for answer in answers])
        batch["labels"] = batch["input_ids"].masked_fill((position < start) | (position >= end), -100)
        return batch

    def read(self, generated: torch.Tensor) -> list[str]:
        """Decode generated tokens `(batch, length)` without their prompt."""
        return [text.strip() for text in self.tokenizer.batch_decode(generated, skip_special_tokens=True)]


__all__ = ["INSTRUCTIONS", "MeritProcessor", "MeritReportProcessor"]
