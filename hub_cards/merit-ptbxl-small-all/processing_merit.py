"""The processors of MERIT: recordings by the feature extractor, text by the tokenizer, together in one batch."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.feature_extraction_utils import BatchFeature
from transformers.processing_utils import ProcessorMixin


class MeritProcessor(ProcessorMixin):
    """Prepares ECG recordings and text for MERIT.

    Args:
        feature_extractor (`MeritFeatureExtractor`): Turns recordings into `ecg_values` and their masks.
        tokenizer (`PreTrainedTokenizerBase`): Any tokenizer of transformers.

    Example:

    ```python
    >>> from transformers import AutoProcessor
    >>> processor = AutoProcessor.from_pretrained("org/merit", trust_remote_code=True)  # doctest: +SKIP
    >>> batch = processor(ecg="00001_lr", text="sinus rhythm. normal ecg.")  # doctest: +SKIP
    >>> sorted(batch)  # doctest: +SKIP
    ['attention_mask', 'ecg_values', 'input_ids', 'lead_mask', 'sample_mask']
    ```
    """

    _auto_class = "AutoProcessor"  # saving takes the code along

    def __init__(self, feature_extractor, tokenizer):
        super().__init__(feature_extractor, tokenizer)

    def __call__(  # type: ignore[override]  (transformers' processors take images, text, videos and audio)
        self,
        ecg: Any = None,
        text: str | list[str] | None = None,
        sampling_rate: Any = None,
        leads: Any = None,
        units: Any = None,
        return_tensors: str | None = "pt",
        **text_kwargs,
    ) -> BatchFeature:
        """Prepare recordings, text, or both.

        Args:
            ecg (*optional*): A recording or a list of recordings, see `MeritFeatureExtractor.__call__`.
            text (`str` or `list[str]`, *optional*): Texts; there need not be as many as recordings.
            sampling_rate (`float`, *optional*): Samples per second of arrays.
            leads (`list[str]`, *optional*): Lead names of arrays.
            units (`str`, *optional*): Units of arrays.
            return_tensors (`str`, *optional*, defaults to `"pt"`): `"pt"` or `"np"`.
            **text_kwargs: Arguments of the tokenizer; unless they say otherwise, text is padded to the longest of the
                batch and truncated to what the text encoder takes.

        Returns:
            `BatchFeature`: the fields of the feature extractor, if there is `ecg`, and those of the tokenizer, if
            there is `text`.

        Raises:
            ValueError: neither `ecg` nor `text` was passed.
            EcgError: a recording cannot be used.
        """
        if ecg is None and text is None:
            raise ValueError("pass ecg=, text= or both; there is nothing to prepare")
        batch = BatchFeature()
        if ecg is not None:
            batch.update(self.feature_extractor(ecg, sampling_rate, leads, units, return_tensors=return_tensors))
        if text is not None:
            text_kwargs = {"padding": True, "truncation": True, **text_kwargs}
            batch.update(self.tokenizer(text, return_tensors=return_tensors, **text_kwargs))
        return batch


# What a language model is asked for when nobody says otherwise, by the language of the report.
INSTRUCTIONS = {"en": "Report this ECG in English.", "de": "Befunde dieses EKG auf Deutsch."}


class MeritReportProcessor(ProcessorMixin):
    """Prepares recordings and instructions for report generation, and reports for training it.

    A row is a text of `num_ecg_tokens` places for the recording, the instruction and, in training, the report.

    Args:
        feature_extractor (`MeritFeatureExtractor`): Turns recordings into `ecg_values` and their masks.
        tokenizer (`PreTrainedTokenizerBase`): That of the language model, with an end-of-sequence token.
        merit_tokenizer (`PreTrainedTokenizerBase`): That of MERIT's text encoder, for what supports a statement.
        num_ecg_tokens (`int`): How many places a recording takes among the tokens, as the model's configuration says.
        ecg_token (`str`, defaults to `"[ECG]"`): The token that stands there; the tokenizer knows it.

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

    def __init__(self, feature_extractor, tokenizer, merit_tokenizer, num_ecg_tokens=16, ecg_token="[ECG]"):
        self.num_ecg_tokens, self.ecg_token = num_ecg_tokens, ecg_token
        if tokenizer.eos_token_id is None:
            raise ValueError("The tokenizer has no end-of-sequence token, by which a report ends: give it one.")
        if ecg_token not in tokenizer.get_vocab():
            raise ValueError(f"The tokenizer does not know {ecg_token}: add it as a special token.")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
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
    ) -> BatchFeature:
        """Prepare recordings and what is asked about them.

        Args:
            ecg: A recording or a list of recordings, see `MeritFeatureExtractor.__call__`.
            text (`str` or `list[str]`, *optional*): Instructions or questions; one for all, or one for each.
            report (`list[str]`, *optional*): What the model is to learn to answer, one for each recording.
            sampling_rate, leads, units (*optional*): Of arrays.
            max_length (`int`, *optional*): Tokens at which reports are cut, all else included.
            return_tensors (`str`, defaults to `"pt"`): No other than torch's.

        Returns:
            `BatchFeature`: the fields of the feature extractor, `input_ids` and `attention_mask`; for generation padded
            at the left; with `report` padded at the right, and with `labels`, -100 but for the report and its end.

        Raises:
            ValueError: there are not as many texts as recordings, or other tensors are asked for.
            EcgError: a recording cannot be used.
        """
        if return_tensors != "pt":
            raise ValueError(f"Reports are prepared as torch tensors, not as return_tensors={return_tensors!r}.")
        batch = BatchFeature(dict(self.feature_extractor(ecg, sampling_rate, leads, units, return_tensors="pt")))
        number = len(batch["ecg_values"])
        batch.update(self.write([text] * number if text is None or isinstance(text, str) else text, report, max_length))
        if len(batch["input_ids"]) != number:
            raise ValueError(f"There are {len(batch['input_ids'])} texts for {number} recordings: pass one for each.")
        return batch

    def write(
        self, instructions: Sequence[str | None], reports: list[str] | None = None, max_length: int | None = None
    ) -> BatchFeature:
        """The text alone, see `__call__`; the instruction of English reports stands for None."""
        prompts = [
            f"{self.ecg_token * self.num_ecg_tokens} {INSTRUCTIONS['en'] if said is None else said.strip()}\n"
            for said in instructions
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
        whole = {"input_ids": [row + answer for row, answer in zip(rows, answers)]}
        batch = self.tokenizer.pad(whole, padding_side="right", return_tensors="pt")
        position = torch.arange(batch["input_ids"].shape[1])
        start = torch.tensor([[len(row)] for row in rows])
        end = start + torch.tensor([[len(answer)] for answer in answers])
        batch["labels"] = batch["input_ids"].masked_fill((position < start) | (position >= end), -100)
        return batch

    def read(self, generated: torch.Tensor) -> list[str]:
        """The texts of tokens `(batch, length)` that were generated after a prompt."""
        return [text.strip() for text in self.tokenizer.batch_decode(generated, skip_special_tokens=True)]


__all__ = ["INSTRUCTIONS", "MeritProcessor", "MeritReportProcessor"]
