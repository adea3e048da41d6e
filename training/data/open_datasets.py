"""The open ECG data sets: where PhysioNet has them, and the terms on which they are given."""

from dataclasses import dataclass

__all__ = ["OPEN_DATASETS", "PHYSIONET_CITATION", "OpenDataset"]

PHYSIONET_CITATION = (
    "Goldberger et al., PhysioBank, PhysioToolkit, and PhysioNet, Circulation 101 (23), e215-e220 (2000), "
    "https://doi.org/10.1161/01.CIR.101.23.e215"
)


@dataclass(frozen=True)
class OpenDataset:
    """A data set on PhysioNet and the terms on which it is given.

    Attributes:
        title: its name for people.
        slug: the collection's name in PhysioNet's addresses.
        version: of the collection.
        licence: of the recordings.
        citation: what a publication that uses them cites, beside `PHYSIONET_CITATION`.
        size: about how much all of it takes on the disk.
        folder: the part of the collection that is this data set; empty for all of it.
    """

    title: str
    slug: str
    version: str
    licence: str
    citation: str
    size: str
    folder: str = ""

    def notice(self) -> str:
        """Licence and citations, to be read before the first byte arrives."""
        return (
            f"{self.title}, version {self.version} of {self.slug} on PhysioNet, {self.size} in all\n"
            f"Licence: {self.licence}\nPlease cite: {self.citation}\n         and: {PHYSIONET_CITATION}"
        )


_CC_BY = "Creative Commons Attribution 4.0, https://creativecommons.org/licenses/by/4.0/"
_CHALLENGE = (
    "Perez Alday et al., Classification of 12-lead ECGs: the PhysioNet/Computing in Cardiology Challenge 2020 "
    "(version 1.0.2), PhysioNet (2022), https://doi.org/10.13026/dvyd-kd57"
)
OPEN_DATASETS = {
    "ptbxl": OpenDataset(
        title="PTB-XL",
        slug="ptb-xl",
        version="1.0.3",
        licence=_CC_BY,
        citation="Wagner et al., PTB-XL, a large publicly available electrocardiography dataset (version 1.0.3), "
        "PhysioNet (2022), https://doi.org/10.13026/kfzx-aw45; Scientific Data 7, 154 (2020)",
        size="about 3.2 GB",
    ),
    "cpsc2018": OpenDataset(
        title="CPSC2018",
        slug="challenge-2020",
        version="1.0.2",
        licence=_CC_BY,
        citation=_CHALLENGE + "; Liu et al., Journal of Medical Imaging and Health Informatics 8, 1368-1373 (2018)",
        size="about 1.3 GB",
        folder="training/cpsc_2018/",
    ),
    "georgia": OpenDataset(
        title="Georgia",
        slug="challenge-2020",
        version="1.0.2",
        licence=_CC_BY,
        citation=_CHALLENGE,
        size="about 1.2 GB",
        folder="training/georgia/",
    ),
    "csn": OpenDataset(
        title="Chapman-Shaoxing-Ningbo",
        slug="ecg-arrhythmia",
        version="1.0.0",
        licence=_CC_BY,
        citation="Zheng, Guo and Chu, A large scale 12-lead electrocardiogram database for arrhythmia study "
        "(version 1.0.0), PhysioNet (2022), https://doi.org/10.13026/wgex-er52; Scientific Reports 10, 2898 (2020)",
        size="about 5.5 GB",
    ),
    "mimic-iv-ecg": OpenDataset(
        title="MIMIC-IV-ECG",
        slug="mimic-iv-ecg",
        version="1.0",
        licence="Open Data Commons Open Database License 1.0, https://opendatacommons.org/licenses/odbl/1-0/",
        citation="Gow et al., MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset (version 1.0), "
        "PhysioNet (2023), https://doi.org/10.13026/4nqg-sb35",
        size="about 97 GB",
    ),
}
