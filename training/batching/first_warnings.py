"""Warnings about single recordings of a data set: the first of each kind instead of one for each recording."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ...processing.recording_base_merit import LeadWarning, PaddingWarning

_KINDS = (LeadWarning, PaddingWarning)


class FirstWarnings:
    """
    Passes on the first [`LeadWarning`], the first [`PaddingWarning`] and every warning of another category.

    Example:
        >>> first = FirstWarnings()
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     for record in ("a", "b"):
        ...         with first.only():
        ...             warnings.warn(f"{record}: lead II is flat", LeadWarning, stacklevel=1)
        >>> [str(one.message) for one in caught]
        ['a: lead II is flat. There may be more such recordings; no other is named.']
    """

    def __init__(self):
        # In shared memory, since loader workers are other processes, often new ones in each epoch.
        self._given = torch.zeros(len(_KINDS), dtype=torch.bool).share_memory_()

    @contextmanager
    def only(self) -> Iterator[None]:
        """A block in which a feature extractor is called."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for one in caught:
            message = one.message
            if one.category in _KINDS:
                kind = _KINDS.index(one.category)
                if self._given[kind]:
                    continue
                self._given[kind] = True
                message = one.category(f"{message}. There may be more such recordings; no other is named.")
            warnings.warn_explicit(message, one.category, one.filename, one.lineno, source=one.source)
