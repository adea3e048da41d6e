"""
Whether the text encoder knows the words of a label that is no finding of the glossary.

The encoder has learned the words of reports. It returns an embedding of any other text too, and this embedding is as
near to those of reports as the embedding of a finding, so similarity does not show which words it knows. The tokenizer
does: it is trained on the reports, and holds each of their words as one token, unless the word is rare.
benchmarks/trust_labels.py compares thresholds on fold 9 of PTB-XL.

Reports also have words that are about no finding ("computer"). A label needs at least one word of the names and phrases
of the glossary's findings. Words such as "lead" and "wave" are none, because they distinguish no findings.

A label may pass both tests and still mean nothing ("old wall").
"""

import re
from collections.abc import Sequence, Set

from .label_words_merit import canonical_words

__all__ = ["KNOWN_SHARE", "has_known_words", "known_share"]

# Smallest share of the letters of a label that belong to known words.
KNOWN_SHARE = 0.8


def known_share(text: str, tokenizer) -> float:
    """
    The share of the letters of a text that belong to words which the tokenizer holds as one token; 0 without letters.

    Args:
        text: in any language.
        tokenizer: of the text encoder, trained on reports.
    """
    words = re.findall(r"[^\W\d_]+", text)
    known = 0
    for word in words:
        tokens = tokenizer.tokenize(f" {word}")
        known += len(word) * (len(tokens) == 1 and tokens[0] != tokenizer.unk_token)
    return known / max(1, sum(map(len, words)))


def has_known_words(texts: Sequence[str], tokenizer, words: Set[str], share: float = KNOWN_SHARE) -> bool:
    """
    Whether at least one of the prompts of a label is made of known words, one of them about findings.

    Args:
        texts: in any language.
        tokenizer: of the text encoder, trained on reports.
        words: of findings, see `Glossary.words`.
        share: of letters in known words, at least.
    """
    return any(known_share(text, tokenizer) >= share and not words.isdisjoint(canonical_words(text)) for text in texts)
