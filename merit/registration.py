"""
Register MERIT with the Auto classes and pipelines of transformers, without importing transformers or torch.

Each registration waits until the module it needs is imported.
"""

from importlib import import_module

from wrapt import when_imported

# When transformers imports a module on the left, we import ours on the right; the functions below register ours once
# it is imported. Two steps, because our module imports theirs: whichever comes first, both are complete by then.
_IMPORT_WITH = {
    "transformers.models.auto.configuration_auto": "merit.modeling_merit.configuration_merit",
    "transformers.models.auto.modeling_auto": "merit.modeling_merit.modeling_merit",
    "merit.modeling_merit.modeling_merit": "merit.modeling_merit.report_generation_merit",
    "transformers.models.auto.feature_extraction_auto": "merit.processing.feature_extraction_merit",
    "transformers.models.auto.processing_auto": "merit.processing.processing_merit",
    "transformers.pipelines": "merit.processing.pipelines_merit",
}
for _theirs, _ours in _IMPORT_WITH.items():
    when_imported(_theirs)(lambda _, ours=_ours: import_module(ours))


@when_imported("merit.modeling_merit.configuration_merit")
def _register_configs(ours):
    from transformers import AutoConfig

    AutoConfig.register("merit", ours.MeritConfig)
    AutoConfig.register("merit_ecg", ours.MeritEcgConfig)
    AutoConfig.register("merit_report", ours.MeritReportConfig)


@when_imported("merit.modeling_merit.modeling_merit")
def _register_models(ours):
    from transformers.models.auto import modeling_auto as auto

    from .modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig

    auto.AutoModel.register(MeritEcgConfig, ours.MeritEcgModel)
    auto.AutoModel.register(MeritConfig, ours.MeritModel)
    auto.AutoModelForPreTraining.register(MeritConfig, ours.MeritForPreTraining)
    for classification in (auto.AutoModelForSequenceClassification, auto.AutoModelForAudioClassification):
        classification.register(MeritConfig, ours.MeritForEcgClassification)
        # A classifier on an encoder that was saved alone; `register` takes a model's own configuration class only.
        classification._model_mapping.register(MeritEcgConfig, ours.MeritForEcgClassification)


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
