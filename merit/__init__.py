"""
MERIT: an ECG-text foundation model.

Importing this package registers MERIT with the Auto classes and `pipeline(...)` of transformers (registration.py).
Nothing heavy is imported until it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from . import registration

__version__ = "0.2.0"

_MODULES = {
    "MeritConfig": "modeling_merit.configuration_merit",
    "MeritEcgConfig": "modeling_merit.configuration_merit",
    "MeritReportConfig": "modeling_merit.configuration_merit",
    "MeritEcgModel": "modeling_merit.modeling_merit",
    "MeritForEcgClassification": "modeling_merit.modeling_merit",
    "MeritForPreTraining": "modeling_merit.modeling_merit",
    "MeritModel": "modeling_merit.modeling_merit",
    "MeritPreTrainedModel": "modeling_merit.modeling_merit",
    "MeritForReportGeneration": "modeling_merit.report_generation_merit",
    "DoNotRelyWarning": "processing.answers_merit",
    "EcgAnswer": "processing.answers_merit",
    "EcgError": "processing.recordings_merit",
    "LeadWarning": "processing.recording_base_merit",
    "PaddingWarning": "processing.recording_base_merit",
    "Explanation": "processing.explanation_merit",
    "explain": "processing.explanation_merit",
    "MeritFeatureExtractor": "processing.feature_extraction_merit",
    "MeritProcessor": "processing.processing_merit",
    "MeritReportProcessor": "processing.processing_merit",
    "EcgClassificationPipeline": "processing.pipelines_merit",
    "EcgFeatureExtractionPipeline": "processing.pipelines_merit",
    "EcgReportGenerationPipeline": "processing.pipelines_merit",
    "ZeroShotEcgClassificationPipeline": "processing.pipelines_merit",
    "MeritCollator": "training.batching.collator",
    "load_data": "training.data.catalogue",
    "load_ptbxl": "training.data.catalogue",
    "label_names": "training.data.schema",
    "export": "hub_cards.export",
}

if TYPE_CHECKING:
    from .hub_cards.export import export
    from .modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig, MeritReportConfig
    from .modeling_merit.modeling_merit import (
        MeritEcgModel,
        MeritForEcgClassification,
        MeritForPreTraining,
        MeritModel,
        MeritPreTrainedModel,
    )
    from .modeling_merit.report_generation_merit import MeritForReportGeneration
    from .processing.answers_merit import DoNotRelyWarning, EcgAnswer
    from .processing.explanation_merit import Explanation, explain
    from .processing.feature_extraction_merit import MeritFeatureExtractor
    from .processing.pipelines_merit import (
        EcgClassificationPipeline,
        EcgFeatureExtractionPipeline,
        EcgReportGenerationPipeline,
        ZeroShotEcgClassificationPipeline,
    )
    from .processing.processing_merit import MeritProcessor, MeritReportProcessor
    from .processing.recording_base_merit import LeadWarning, PaddingWarning
    from .processing.recordings_merit import EcgError
    from .training.batching.collator import MeritCollator
    from .training.data.catalogue import load_data, load_ptbxl
    from .training.data.schema import label_names


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module 'merit' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__():
    return sorted([*globals(), *_MODULES])


__all__ = [*_MODULES, "__version__"]
