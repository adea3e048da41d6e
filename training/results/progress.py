"""Progress of what takes long: a bar in a terminal or notebook, a line at about every tenth in a log file."""

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from tqdm.std import tqdm

_QUIET = "TQDM_DISABLE"  # tqdm's own variable, which processes inherit
_OF_LIBRARIES = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")


def progress_bar(total: int | None, description: str, unit: str = "records", **options: Any) -> tqdm:
    """
    The bar of a stage, a context manager with `update(n)`.

    Args:
        total: None if it is not known.
        description: what the stage does.
        unit: what is counted.
        options: of tqdm.
    """
    from tqdm.auto import tqdm as bar
    from tqdm.notebook import tqdm_notebook

    terminal = sys.stderr.isatty() or issubclass(bar, tqdm_notebook)
    options = {"disable": False, **options}
    options["disable"] = options["disable"] or bool(os.environ.get(_QUIET))
    return (bar if terminal else _Lines)(total=total, desc=description, unit=f" {unit}", **options)


class _Lines(tqdm):
    """Prints a line at the beginning, at the end, and in between at every tenth but not more than one a second."""

    def __init__(self, total: int | None = None, **options: Any):
        self._printed: int | float | None = None
        layout = "{desc}: {percentage:.0f} %, {n_fmt} of {total_fmt}{unit}, {elapsed}, {remaining} left{postfix}"
        if total is None:
            layout = "{desc}: {n_fmt}{unit}, {elapsed}{postfix}"
        often = {"mininterval": 1, "miniters": total / 10} if total else {"mininterval": 60, "miniters": 1}
        super().__init__(total=total, **{**options, **often, "bar_format": layout})

    def display(self, msg=None, pos=None):
        if self.n != self._printed:
            self._printed = self.n
            print(str(self), file=self.fp, flush=True)

    def clear(self, nolock=False):
        """A line that is printed stays."""

    def close(self):
        if not self.disable:
            self.display()
            self.disable = True
            self._decr_instances(self)


def configure_output(quiet: bool = False) -> None:
    """
    Set what this process prints on standard error; libraries read it when they are imported.

    The bars of transformers, datasets and huggingface_hub appear in terminals only. A warning is one line, and the same
    warning is printed once.

    Args:
        quiet: without any progress.
    """
    if quiet:
        os.environ[_QUIET] = "1"
    if quiet or not sys.stderr.isatty():
        for name in _OF_LIBRARIES:
            os.environ.setdefault(name, "1")
    if not sys.warnoptions:
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = _once()


def _once() -> Callable[..., None]:
    """Prints a warning that has not been printed. The action "once" forgets after a block of `catch_warnings`."""
    printed = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        line = f"merit: {category.__name__}: {message}"
        if line not in printed:
            printed.add(line)
            print(line, file=sys.stderr)

    return show
