"""The card of a prepared data set, made from the counts of its preparation and from nothing else."""

import json
from pathlib import Path

from huggingface_hub import DatasetCard, DatasetCardData

from ..training.results.atomic import atomic_write
from .markdown import code, escape

__all__ = ["write_dataset_card"]

MANIFEST = "prepared.json"
_TEMPLATE = Path(__file__).with_name("dataset_card.md")
_LICENCES = {
    "https://creativecommons.org/licenses/by/4.0/": "cc-by-4.0",
    "https://opendatacommons.org/licenses/odbl/1-0/": "odbl",
}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def write_dataset_card(folder: str | Path, repo_id: str = "org/name") -> Path:
    """Write README.md of a prepared data set: counts, columns, terms, and where `load_dataset` finds the splits.

    Args:
        folder: the prepared data set.
        repo_id: the name on the Hub, for the example in the card.

    Returns:
        The path of the card.

    Raises:
        FileNotFoundError: `folder` holds no prepared data set.
    """
    manifest = Path(folder) / MANIFEST
    if not manifest.is_file():
        raise FileNotFoundError(f"{folder} holds no prepared data set: it has no {MANIFEST}.")
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    counts, published = facts["splits"], facts["published"]
    if facts["preparation"]["source"] == "simulated":
        title = "Simulated ECGs"
    else:
        title = f"{published['title'] if published else facts['preparation']['source']}, prepared for MERIT"
    languages = sorted({language for split in counts.values() for language in split["languages"]} - {""})
    records = sum(split["records"] for split in counts.values())
    licence = next((tag for url, tag in _LICENCES.items() if published and url in published["licence"]), None)
    card_data = DatasetCardData(
        pretty_name=title,
        license=licence,
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
        repo_id=repo_id,
        counts=counts,
        tasks=list(next(iter(counts.values()))["tasks"]),
        languages=languages,
        **{name: facts[name] for name in facts if name != "splits"},
    )
    path = Path(folder) / "README.md"
    with atomic_write(path) as temporary:
        card.save(temporary)
    return path
