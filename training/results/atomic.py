"""Files that appear whole or not at all."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """
    A temporary path beside `path` to write to; the file replaces `path` when the block ends, and goes on an error.

    The folder of `path` is made where it is missing. Two processes that write the same path do not disturb each other:
    the last one wins.

    Example:
        >>> with atomic_write("results/report.json") as temporary:  # doctest: +SKIP
        ...     temporary.write_text("{}", encoding="utf-8")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
