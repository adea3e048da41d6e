"""Text from files and users in Markdown: it is shown as it is, and cannot become a table cell, a link or HTML."""

import html
import re
from typing import Any
from urllib.parse import quote

__all__ = ["code", "escape", "link"]

# Underscores inside of a word mean nothing in Markdown.
_SPECIAL = re.compile(r"[\\`*\[\]|]|(?<!\w)_|_(?!\w)")


def escape(text: Any) -> str:
    r"""
    Plain text on one line.

    Example:

    ```python
    >>> escape("a|b <b>\n[c](d)")
    'a\\|b &lt;b&gt; \\[c\\](d)'

    ```"""
    return _SPECIAL.sub(r"\\\g<0>", html.escape(_one_line(text), quote=False))


def code(text: Any) -> str:
    """A code span, also in a table."""
    return f"`{_one_line(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def link(path: str) -> str:
    """The target of a link to a file beside the card."""
    return quote(path)


def _one_line(text: Any) -> str:
    """Text with single spaces, and � for characters without a shape, such as those that reverse the line."""
    return "".join(character if character.isprintable() else "\ufffd" for character in " ".join(str(text).split()))
