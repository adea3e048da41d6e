"""Hooks of mkdocs: the reference of the command, defaults of configurations, and links to files outside docs/."""

import re
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\[([^\]]*)\]\((\.\.[^)#]*)(#[^)]*)?\)")
_COMMAND_PAGE = "reference/command.md"
_DEFAULTS = re.compile(r"<!-- defaults of (\w+) -->")
# Sub-packages of `merit` that lie beside it.
_FOLDERS = ("modeling_merit", "processing", "training", "hub_cards")


def on_startup(command: str, dirty: bool) -> None:
    """Lay out the package as it is installed, for mkdocstrings, which reads sources."""
    package = ROOT / "build" / "docs" / "merit"
    package.mkdir(parents=True, exist_ok=True)
    for path in (*(ROOT / "merit").iterdir(), *(ROOT / name for name in _FOLDERS)):
        link = package / path.name
        if not link.is_symlink():
            link.symlink_to(path)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    if page.file.src_uri == _COMMAND_PAGE:
        markdown += command_reference()
    markdown = _DEFAULTS.sub(lambda marker: defaults_table(marker[1]), markdown)
    folder = Path(config.docs_dir, page.file.src_uri).parent
    return _LINK.sub(partial(_outside, folder=folder, docs=Path(config.docs_dir), url=config.repo_url), markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings of transformers write types and references with backquotes, which mkdocstrings shows as they stand."""
    html = re.sub(r"<code>[^<]*</code>", lambda code: code[0].replace("`", ""), html)
    return re.sub(r"\[(<code>\w+</code>)\]", r"\1", html)


def _outside(link: re.Match, folder: Path, docs: Path, url: str) -> str:
    """A link to a file of the repository that is no page: to `url`, or its path."""
    text, target, _ = link.groups()
    path = (folder / target).resolve()
    if path.is_relative_to(docs):
        return link[0]
    if not path.exists():
        raise FileNotFoundError(f"{folder}: {target} does not exist")
    name = path.relative_to(ROOT).as_posix()
    if url:
        return f"[{text}]({url.rstrip('/')}/blob/main/{name})"
    return f"`{name}`" if text in ("file", "files") or text.strip("`") in name else f"{text} (`{name}`)"


def defaults_table(name: str) -> str:
    """The fields that a configuration adds to those of transformers, with their defaults."""
    from dataclasses import MISSING, fields

    import merit

    configuration = getattr(merit, name)
    rows = ["| argument | default |", "| --- | --- |"]
    for field in fields(configuration):
        if field.name in vars(configuration)["__annotations__"]:
            default = field.default_factory() if field.default is MISSING else field.default
            rows.append(f"| `{field.name}` | `{default!r}` |")
    return "\n".join(rows)


def command_reference() -> str:
    import click
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from merit.commands import app

    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=click.Context(command, info_name="merit"), name="merit")
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)
