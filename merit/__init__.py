"""
MERIT: an ECG-text foundation model.

Importing this package makes MERIT known to the Auto classes and to `pipeline(...)` of transformers. Nothing heavy is
imported before it is used: the registrations wait until transformers loads the module that they belong to.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from wrapt import when_imported

__version__ = "0.1.0"

_HOMES = {
    "MeritConfig": "modeling_merit.configuration_merit",
    "MeritEcgConfig": "modeling_merit.configuration_merit",
    "MeritReportConfig": "modeling_merit.configuration_merit",
    "MeritEcgModel": "modeling_merit.modeling_merit",
    "MeritForEcgClassification": "modeling_merit.modeling_merit",
    "MeritForPreTraining": "modeling_merit.modeling_merit",
    "MeritModel": "modeling_merit.modeling_merit",
    "MeritPreTrainedModel": "modeling_merit.modeling_merit",
    "MeritForReportGeneration": "modeling_merit.report_generation_merit",
    "EcgError": "processing.recordings_merit",
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
    from .processing.feature_extraction_merit import MeritFeatureExtractor
    from .processing.pipelines_merit import (
        EcgClassificationPipeline,
        EcgFeatureExtractionPipeline,
        EcgReportGenerationPipeline,
        ZeroShotEcgClassificationPipeline,
    )
    from .processing.processing_merit import MeritProcessor, MeritReportProcessor
    from .processing.recordings_merit import EcgError
    from .training.batching.collator import MeritCollator
    from .training.data.catalogue import load_data, load_ptbxl
    from .training.data.schema import label_names


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'merit' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return sorted([*globals(), *_HOMES])


class _Registered(dict):
    """Lists the pipeline of a checkpoint, so that `pipeline(model=...)` knows the task, but has no code for it."""

    def __contains__(self, task):
        return False


def _registered_pipeline(config) -> _Registered:
    classifies = "MeritForEcgClassification" in (config.architectures or ())
    return _Registered({"ecg-classification" if classifies else "zero-shot-ecg-classification": {}})


def _registered_report_pipeline(config) -> _Registered:
    return _Registered({"ecg-report-generation": {}})


# When transformers loads a module on the left, ours on the right follows; and once ours is complete, it is registered.
# Two steps, because ours imports theirs: whichever comes first, the registration finds both complete.
_FOLLOWS = {
    "transformers.models.auto.configuration_auto": "merit.modeling_merit.configuration_merit",
    "transformers.models.auto.modeling_auto": "merit.modeling_merit.modeling_merit",
    "merit.modeling_merit.modeling_merit": "merit.modeling_merit.report_generation_merit",
    "transformers.models.auto.feature_extraction_auto": "merit.processing.feature_extraction_merit",
    "transformers.models.auto.processing_auto": "merit.processing.processing_merit",
    "transformers.pipelines": "merit.processing.pipelines_merit",
}
for _theirs, _ours in _FOLLOWS.items():
    when_imported(_theirs)(lambda _, ours=_ours: import_module(ours))


@when_imported("merit.modeling_merit.configuration_merit")
def _register_configs(ours):
    from transformers import AutoConfig

    AutoConfig.register("merit", ours.MeritConfig)
    AutoConfig.register("merit_ecg", ours.MeritEcgConfig)
    AutoConfig.register("merit_report", ours.MeritReportConfig)
    # A published folder names pipeline code for those without this package; with it, the registered pipelines serve,
    # and need no trust in remote code.
    ours.MeritConfig.custom_pipelines = property(_registered_pipeline, lambda config, value: None)
    ours.MeritReportConfig.custom_pipelines = property(_registered_report_pipeline, lambda config, value: None)


@when_imported("merit.modeling_merit.modeling_merit")
def _register_models(ours):
    from transformers.models.auto import modeling_auto as auto

    from .modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig

    auto.AutoModel.register(MeritEcgConfig, ours.MeritEcgModel)
    auto.AutoModel.register(MeritConfig, ours.MeritModel)
    auto.AutoModelForPreTraining.register(MeritConfig, ours.MeritForPreTraining)
    auto.AutoModelForSequenceClassification.register(MeritConfig, ours.MeritForEcgClassification)
    auto.AutoModelForAudioClassification.register(MeritConfig, ours.MeritForEcgClassification)


@when_imported("merit.modeling_merit.report_generation_merit")
def _register_report_generation(ours):
    from transformers import AutoModelForMultimodalLM

    from .modeling_merit.configuration_merit import MeritReportConfig

    AutoModelForMultimodalLM.register(MeritReportConfig, ours.MeritForReportGeneration)


@when_imported("merit.processing.feature_extraction_merit")
def _register_feature_extractor(ours):
    from transformers import AutoFeatureExtractor

    from .modeling_merit.configuration_merit import MeritConfig, MeritReportConfig

    AutoFeatureExtractor.register(MeritConfig, ours.MeritFeatureExtractor)
    AutoFeatureExtractor.register(MeritReportConfig, ours.MeritFeatureExtractor)


@when_imported("merit.processing.processing_merit")
def _register_processor(ours):
    from transformers import AutoProcessor

    from .modeling_merit.configuration_merit import MeritConfig, MeritReportConfig

    AutoProcessor.register(MeritConfig, ours.MeritProcessor)
    AutoProcessor.register(MeritReportConfig, ours.MeritReportProcessor)


@when_imported("merit.processing.pipelines_merit")
def _register_pipelines(ours):
    from transformers import AutoModel, AutoModelForMultimodalLM, AutoModelForSequenceClassification
    from transformers.pipelines import PIPELINE_REGISTRY

    for task, pipeline, model in (
        ("zero-shot-ecg-classification", ours.ZeroShotEcgClassificationPipeline, AutoModel),
        ("ecg-classification", ours.EcgClassificationPipeline, AutoModelForSequenceClassification),
        ("ecg-feature-extraction", ours.EcgFeatureExtractionPipeline, AutoModel),
        ("ecg-report-generation", ours.EcgReportGenerationPipeline, AutoModelForMultimodalLM),
    ):
        PIPELINE_REGISTRY.register_pipeline(task, pipeline_class=pipeline, pt_model=model, type="multimodal")


__all__ = [*_HOMES, "__version__"]
