"""The card of a prepared data set, made from the counts of its preparation, and its publication on the Hub."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData

from ..processing.glossary_merit import Glossary
from ..training.results.atomic import atomic_write
from .markdown import code, escape
from .publish import PublishError, send

__all__ = ["publish_dataset", "write_dataset_card"]

MANIFEST = "prepared.json"
OWN = "own"  # the source of `merit prepare folder`
_TEMPLATE = Path(__file__).with_name("dataset_card.md")
# Licences that allow copies.
_LICENCES = {
    "https://creativecommons.org/licenses/by/4.0/": "cc-by-4.0",
    "https://opendatacommons.org/licenses/odbl/1-0/": "odbl",
}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def write_dataset_card(folder: str | Path, repo_id: str = "org/name", licence: str | None = None) -> Path:
    """Write README.md of a prepared data set: counts, columns, terms, and where `load_dataset` finds the splits.

    Args:
        folder: the prepared data set.
        repo_id: the name on the Hub, for the example in the card.
        licence: of recordings of your own, as the Hub abbreviates it, such as "cc-by-4.0". Published recordings have
            theirs.

    Returns:
        The path of the card.

    Raises:
        FileNotFoundError: `folder` holds no prepared data set.
    """
    facts = _facts(folder)
    counts, published = facts["splits"], facts["published"]
    source = facts["preparation"]["source"]
    if source == "simulated":
        title = "Simulated ECGs"
    else:
        name = published["title"] if published else "ECG recordings" if source == OWN else source
        title = f"{name}, prepared for MERIT"
    languages = sorted({language for split in counts.values() for language in split["languages"]} - {""})
    records = sum(split["records"] for split in counts.values())
    card_data = DatasetCardData(
        pretty_name=title,
        license=_published_licence(published) if published else licence,
        language=languages or None,
        size_categories=next(size for limit, size in _SIZES if records < limit),
        tags=["ecg", "electrocardiogram", "medical"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}/*.arrow"} for split in counts],
            }
        ],
    )
    card = DatasetCard.from_template(
        card_data,
        template_path=str(_TEMPLATE),
        title=title,
        md=escape,
        code=code,
        finding=_finding,
        numbered=_numbered,
        repo_id=repo_id,
        licence=licence,
        counts=counts,
        tasks=list(next(iter(counts.values()))["tasks"]),
        languages=languages,
        **{name: facts[name] for name in facts if name != "splits"},
    )
    path = Path(folder) / "README.md"
    with atomic_write(path) as temporary:
        card.save(temporary)
    return path


def publish_dataset(folder: str | Path, repo_id: str, licence: str | None = None, **options) -> str:
    """Send a prepared data set with its card to the Hub, in one commit; see [`send`] for the options.

    The shards, their manifest and the card are sent, and nothing else that lies in the folder.

    Args:
        folder: the prepared data set.
        repo_id: such as "org/ptbxl-merit"; created if it does not exist.
        licence: that you give recordings of your own, as the Hub abbreviates it.

    Returns:
        The address of the commit, or of the repository if nothing was sent.

    Raises:
        FileNotFoundError: `folder` holds no prepared data set.
        PublishError: its licence does not allow it or is not stated, or the Hub refused it.
    """
    facts = _facts(folder)
    if facts["published"]:
        if licence:
            raise PublishError(f"{folder} holds published recordings, which have a licence: leave out --licence.")
        if not _published_licence(facts["published"]):
            raise PublishError(
                f"The licence of {facts['published']['title']} ({facts['published']['licence']}) does not allow copies "
                f"on the Hub. Publish how to prepare it instead: `merit prepare {facts['preparation']['source']}`."
            )
    elif not licence and facts["preparation"]["source"] != "simulated":
        raise PublishError(
            f"{folder} holds recordings of your own, for which no licence is stated. If you may publish them, and no "
            "report, record id or patient id in them tells who a patient is, pass one, such as --licence cc-by-4.0."
        )
    if not facts.get("shards"):
        raise PublishError(f"{folder} was prepared by an earlier version: prepare it again.")
    card = write_dataset_card(folder, repo_id, licence)
    files = [card.name, MANIFEST, *facts["shards"]]
    return send(
        folder, repo_id, repo_type="dataset", files=files, message="Publish a data set prepared by MERIT", **options
    )


def _facts(folder: str | Path) -> dict[str, Any]:
    manifest = Path(folder) / MANIFEST
    if not manifest.is_file():
        raise FileNotFoundError(f"{folder} holds no prepared data set: it has no {MANIFEST}.")
    return json.loads(manifest.read_text(encoding="utf-8"))


def _finding(label: str) -> str:
    """The name of the finding that a label of recordings of your own is read as."""
    found = Glossary.default().find(label)
    return found.name if found else ""


def _numbered(counts: Mapping[str, int]) -> str:
    """Values with their counts, the most frequent first; a single value needs no count."""
    values = sorted(counts, key=lambda value: -counts[value])
    return ", ".join(f"{value} ({counts[value]:,})" if len(counts) > 1 else value for value in values)


def _published_licence(published: Mapping[str, Any]) -> str | None:
    """The licence of a published data set as the Hub abbreviates it, if it allows copies."""
    return next((tag for url, tag in _LICENCES.items() if url in published["licence"]), None)
