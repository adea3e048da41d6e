"""The processor of MERIT: recordings by the feature extractor, text by the tokenizer, together in one batch."""

from typing import Any

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


__all__ = ["MeritProcessor"]
