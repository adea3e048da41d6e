"""The open ECG data sets: their collections on PhysioNet, licences and citations."""

from dataclasses import dataclass

__all__ = ["OPEN_DATASETS", "PHYSIONET_CITATION", "OpenDataset"]

PHYSIONET_CITATION = (
    "Goldberger et al., PhysioBank, PhysioToolkit, and PhysioNet, Circulation 101 (23), e215-e220 (2000), "
    "https://doi.org/10.1161/01.CIR.101.23.e215"
)


@dataclass(frozen=True)
class OpenDataset:
    """A data set on PhysioNet, its licence and its citation.

    Attributes:
        title: display name.
        slug: name of the collection in the addresses of PhysioNet.
        version: of the collection.
        licence: of the recordings.
        citation: what a publication that uses them cites, beside `PHYSIONET_CITATION`.
        gigabytes: approximate size of the whole data set on disk.
        folder: the folder of the collection that holds this data set; empty for all of it.
    """

    title: str
    slug: str
    version: str
    licence: str
    citation: str
    gigabytes: float
    folder: str = ""

    @property
    def max_bytes(self) -> int:
        """Upper limit of the size of one file: more than the whole data set has."""
        return round(1.5e9 * self.gigabytes)

    def notice(self) -> str:
        """Return licence and citations, for display before a download."""
        return (
            f"{self.title}, version {self.version} of {self.slug} on PhysioNet, about {self.gigabytes:g} GB in all\n"
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
        gigabytes=3.2,
    ),
    "cpsc2018": OpenDataset(
        title="CPSC2018",
        slug="challenge-2020",
        version="1.0.2",
        licence=_CC_BY,
        citation=_CHALLENGE + "; Liu et al., Journal of Medical Imaging and Health Informatics 8, 1368-1373 (2018)",
        gigabytes=1.3,
        folder="training/cpsc_2018/",
    ),
    "georgia": OpenDataset(
        title="Georgia",
        slug="challenge-2020",
        version="1.0.2",
        licence=_CC_BY,
        citation=_CHALLENGE,
        gigabytes=1.2,
        folder="training/georgia/",
    ),
    "csn": OpenDataset(
        title="Chapman-Shaoxing-Ningbo",
        slug="ecg-arrhythmia",
        version="1.0.0",
        licence=_CC_BY,
        citation="Zheng, Guo and Chu, A large scale 12-lead electrocardiogram database for arrhythmia study "
        "(version 1.0.0), PhysioNet (2022), https://doi.org/10.13026/wgex-er52; Scientific Reports 10, 2898 (2020)",
        gigabytes=5.5,
    ),
    "mimic-iv-ecg": OpenDataset(
        title="MIMIC-IV-ECG",
        slug="mimic-iv-ecg",
        version="1.0",
        licence="Open Data Commons Open Database License 1.0, https://opendatacommons.org/licenses/odbl/1-0/",
        citation="Gow et al., MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset (version 1.0), "
        "PhysioNet (2023), https://doi.org/10.13026/4nqg-sb35",
        gigabytes=97,
    ),
}
