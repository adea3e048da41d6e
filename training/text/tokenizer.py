"""Tokenizers trained on the reports; their two thousand words in three languages need only a small vocabulary."""

from collections.abc import Iterable
from itertools import chain

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
# Characters that are always in the vocabulary, at the start of a word and within it, so that any word can be spelled.
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüßåéèâ0123456789.,;:-/()%&+<>'"


def train_tokenizer(
    reports: Iterable[str], vocab_size: int = 4096, model_max_length: int = 96
) -> PreTrainedTokenizerFast:
    """Train a lower-casing WordPiece tokenizer. The same reports give the same tokenizer.

    Args:
        reports: texts; empty ones are ignored.
        vocab_size: maximum size of the vocabulary, not counting single letters.
        model_max_length: number of tokens to which longer reports are truncated.

    Raises:
        ValueError: no report has text.

    Example:
        >>> tokenizer = train_tokenizer(["sinus rhythm. normal ecg.", "vorhofflimmern"])
        >>> tokenizer.decode(tokenizer("Sinus rhythm")["input_ids"], skip_special_tokens=True)
        'sinus rhythm'
    """
    reports = [report for report in reports if report.strip()]
    if not reports:
        raise ValueError("No report has any text: there is nothing to train a tokenizer on.")
    untrained = _wordpiece({})
    # The trainer numbers letters in an order that differs between processes, which changes how it breaks ties between
    # equally frequent pairs. Special tokens keep their order, so letters are passed as special tokens, and only the
    # trained vocabulary is used below.
    letters = sorted({*LETTERS, *chain.from_iterable(map(untrained.normalizer.normalize_str, reports))})
    letters = [letter for letter in letters if not letter.isspace()]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[*SPECIAL_TOKENS.values(), *letters, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    untrained.train_from_iterator(reports, trainer)
    tokenizer = _wordpiece(untrained.get_vocab())
    cls, sep = SPECIAL_TOKENS["cls_token"], SPECIAL_TOKENS["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B {sep}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=model_max_length,
        model_input_names=["input_ids", "attention_mask"],
        **SPECIAL_TOKENS,
    )


def train_causal_tokenizer(
    texts: Iterable[str], vocab_size: int = 2048, ecg_token: str = "[ECG]"
) -> PreTrainedTokenizerFast:
    """Train a lower-casing byte-level BPE tokenizer, which decodes to the original text. The same texts give the same
    tokenizer.

    Args:
        texts: reports and prompts; empty ones are ignored.
        vocab_size: maximum size of the vocabulary.
        ecg_token: special token that stands for a recording.

    Raises:
        ValueError: no text is non-empty.

    Example:
        >>> tokenizer = train_causal_tokenizer(["sinusrhythmus. st-hebung (v2)", "qrs 120 ms."])
        >>> tokenizer.decode(tokenizer("ST-Hebung, 20 ms (V2).")["input_ids"])
        'st-hebung, 20 ms (v2).'
    """
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise ValueError("No report has any text: there is nothing to train a tokenizer on.")
    special = {"pad_token": "[PAD]", "eos_token": "[EOS]"}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[*special.values(), ecg_token],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        additional_special_tokens=[ecg_token],
        clean_up_tokenization_spaces=False,
        **special,
    )


def _wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL_TOKENS["unk_token"]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer
