"""Write an exported folder whole, and replace nothing but an earlier export."""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from safetensors import SafetensorError

from .folder import HUB_STATE, example_record
from .onnx_files import CLASSIFIER, ENCODER, INT8_ENCODER

__all__ = ["require_replaceable", "write_whole"]

# What every export holds.
_ALWAYS = ("config.json", "processor_config.json", "LICENSE", "README.md")
# The files of a tokenizer, which depend on its kind.
_TOKENIZER = (
    *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja"),
)
# All that an export may hold, besides the example recording.
_PATTERNS = (
    *(
        *_ALWAYS,
        "generation_config.json",
        HUB_STATE,
        "*_merit.py",
        "*_merit.json",
        "example/answer.json",
        "results/*.json",
        *(f"onnx/{name}" for name in (ENCODER, CLASSIFIER, INT8_ENCODER)),
    ),
    *("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"),
    *(*_TOKENIZER, *(f"merit_tokenizer/{name}" for name in _TOKENIZER)),
)
# What `hf download` adds to it.
_OF_DOWNLOADS = ((".gitattributes",), (".cache", "huggingface"))
_MODEL_TYPES = ("merit", "merit_ecg", "merit_report")
# The disk is full, a quota or a limit of the file size is reached, or writing is not allowed.
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)


def require_replaceable(directory: Path) -> None:
    """
    Check that an export may take the place of `directory`: it is absent, empty, or an earlier export and nothing else.

    Raises:
        ValueError: it is something else; the message names what is in the way.
    """
    if directory.is_symlink():
        raise ValueError(f"{directory} is a symbolic link to {os.readlink(directory)}: name the folder itself.")
    if not directory.exists():
        return
    if Path.cwd().is_relative_to(directory.resolve()):
        raise ValueError(
            f"{directory} is the current folder or holds it, and an export replaces its folder as a whole: "
            "run it from another folder, or name a new folder."
        )
    try:
        _require_earlier_export(directory, directory)
    except FileNotFoundError:  # another export is replacing it at this moment
        return
    except NotADirectoryError:
        raise ValueError(f"{directory} is a file: name a folder to write.") from None


def _require_earlier_export(directory: Path, name: Path) -> None:
    """`name` is what messages call the folder."""
    if not any(directory.iterdir()):
        return
    record = example_record(directory)
    patterns = (*_PATTERNS, f"example/{escape(record.name)}.*") if record else _PATTERNS
    for path in sorted(path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir()):
        if not _is_exported(path.relative_to(directory), patterns):
            raise ValueError(
                f"{name} holds {path.relative_to(directory)}, which `merit export` did not write and will not delete: "
                "move it away, or name another folder."
            )
    reason = next((f"it has no {file}" for file in _ALWAYS if not (directory / file).is_file()), None)
    if reason is None and _model_type(directory / "config.json") not in _MODEL_TYPES:
        reason = "its config.json is not that of a MERIT model"
    if reason:
        raise ValueError(f"{name} is not empty and is no earlier export, as {reason}: name another folder.")


def _is_exported(path: Path, patterns: Iterable[str]) -> bool:
    """Whether an export or its download writes a file of this name; `path` is relative to the folder."""
    if any(path.parts[: len(parts)] == parts for parts in _OF_DOWNLOADS):
        return True
    same_depth = (pattern for pattern in patterns if pattern.count("/") == len(path.parts) - 1)
    return any(fnmatchcase(path.as_posix(), pattern) for pattern in same_depth)


def _model_type(config: Path) -> str | None:
    try:
        return json.loads(config.read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError):
        return None


@contextmanager
def write_whole(directory: Path) -> Iterator[Path]:
    """
    A temporary folder to write to, which takes the place of `directory` when the block ends without an error.

    Symbolic links in `directory` stay where the linked file is equal to the new one: in a checkout they lead to the
    code of the package. Several exports to one folder do not disturb each other: the last one wins.

    Raises:
        ValueError: see [`require_replaceable`].
        OSError: it could not be written. `directory` is as it was, and the temporary folder is gone.
    """
    require_replaceable(directory)
    place = directory.resolve()
    unfinished = _sibling(place, "unfinished")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        replaced = _put_in_place(unfinished, place)
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno not in _CANNOT_WRITE:
            raise
        raise OSError(
            f"{directory} was not written and is as it was before: {error}. Check the free space and the permissions "
            f"of {place.parent}, then run it again."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if replaced:
        try:
            shutil.rmtree(replaced)
        finally:  # an interrupt leaves a part of it
            shutil.rmtree(replaced, ignore_errors=True)


def _sibling(place: Path, purpose: str) -> Path:
    """A path beside a folder that nothing else uses."""
    return place.with_name(f".{place.name}.{secrets.token_hex(4)}.{purpose}")


def _keep(old: Path, new: Path) -> None:
    """Take over from an earlier export its links to equal files, and what it knows of the Hub."""
    if (old / HUB_STATE).is_file():
        shutil.copyfile(old / HUB_STATE, new / HUB_STATE)
    for link in (path for path in old.rglob("*") if path.is_symlink() and path.is_file()):
        written = new / link.relative_to(old)
        if written.is_file() and written.read_bytes() == link.read_bytes():
            written.unlink()
            written.symlink_to(os.readlink(link))


def _put_in_place(new: Path, place: Path) -> Path | None:
    """
    Rename `new` to `place`, with what is kept of the folder that was there.

    Returns:
        where the folder is now that was there before; it was checked once more, since it may have changed meanwhile.
    """
    while True:
        old: Path | None = _sibling(place, "replaced")
        try:
            place.rename(old)
        except FileNotFoundError:
            old = None
        try:
            if old:
                _require_earlier_export(old, place)
                _keep(old, new)
            new.rename(place)
            return old
        except BaseException as error:
            if old and not place.exists():
                old.rename(place)
            elif isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                if old:
                    shutil.rmtree(old)
                continue  # another export came first, and is replaced in turn
            raise
