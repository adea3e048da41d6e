"""
Whether the text encoder has a ground for a label that is no finding of the glossary.

The encoder has learned the words of reports. Of a text with other words it still returns an embedding, which is as near
to those of reports as that of a finding, so that similarity does not tell the two apart. The words do: the tokenizer is
trained on the reports, and holds each of their words as one token, unless the word is rare.
benchmarks/trust_labels.py compares thresholds on fold 9 of PTB-XL.

A label may consist of known words and still mean nothing ("lead wall").
"""

import re
from collections.abc import Sequence

__all__ = ["KNOWN_SHARE", "has_ground", "known_share"]

# Share of the letters of a label that belong to known words, at least.
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


def has_ground(texts: Sequence[str], tokenizer) -> bool:
    """Whether any of the texts that stand for a label is made of known words."""
    return any(known_share(text, tokenizer) >= KNOWN_SHARE for text in texts)
