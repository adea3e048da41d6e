"""What config.json says so that the Auto classes and `pipeline` of transformers find the code beside it."""

from copy import deepcopy
from typing import Any

from transformers import PreTrainedConfig

_CLASSIFIERS = {
    "AutoModelForSequenceClassification": "modeling_merit.MeritForEcgClassification",
    "AutoModelForAudioClassification": "modeling_merit.MeritForEcgClassification",
}
# By model type: the class that each Auto class loads.
AUTO_MAPS = {
    "merit_ecg": {
        "AutoConfig": "configuration_merit.MeritEcgConfig",
        "AutoModel": "modeling_merit.MeritEcgModel",
        **_CLASSIFIERS,
    },
    "merit": {
        "AutoConfig": "configuration_merit.MeritConfig",
        "AutoModel": "modeling_merit.MeritModel",
        "AutoModelForPreTraining": "modeling_merit.MeritForPreTraining",
        **_CLASSIFIERS,
    },
    "merit_report": {
        "AutoConfig": "configuration_merit.MeritReportConfig",
        "AutoModelForMultimodalLM": "report_generation_merit.MeritForReportGeneration",
    },
}


def _entry(pipeline_class: str, auto_class: str) -> dict[str, Any]:
    return {"impl": f"pipelines_merit.{pipeline_class}", "pt": [auto_class], "type": "multimodal"}


# By task: its pipeline, as `pipeline` reads it from a configuration.
PIPELINES = {
    "zero-shot-ecg-classification": _entry("ZeroShotEcgClassificationPipeline", "AutoModel"),
    "ecg-classification": _entry("EcgClassificationPipeline", "AutoModelForSequenceClassification"),
    "ecg-feature-extraction": _entry("EcgFeatureExtractionPipeline", "AutoModel"),
    "ecg-report-generation": _entry("EcgReportGenerationPipeline", "AutoModelForMultimodalLM"),
}
# By model type: the task of `pipeline(model=...)`.
_MAIN_TASKS = {
    "merit_ecg": "ecg-feature-extraction",
    "merit": "zero-shot-ecg-classification",
    "merit_report": "ecg-report-generation",
}


class CustomPipelines(dict):
    """
    The pipelines of a checkpoint as `pipeline` looks them up. All tasks are found; only the main one is listed.

    `pipeline(model=...)` takes the task from a checkpoint that lists exactly one. Tasks that are registered with
    transformers, as importing the package does, are not found here: they need no code from the checkpoint, and so no
    `trust_remote_code`.
    """

    def __contains__(self, task: object) -> bool:
        from transformers.pipelines import PIPELINE_REGISTRY

        return task in PIPELINES and task not in PIPELINE_REGISTRY.supported_tasks

    def __missing__(self, task: str) -> dict[str, Any]:
        return deepcopy(PIPELINES[task])  # `pipeline` changes what it gets


class HubConfig(PreTrainedConfig):
    """
    Writes `auto_map` and `custom_pipelines` to config.json however a model is saved.

    A folder that holds the code too then loads where this package is not installed.
    """

    @property
    def custom_pipelines(self) -> CustomPipelines:
        classifies = "MeritForEcgClassification" in (self.architectures or ())
        task = "ecg-classification" if classifies else _MAIN_TASKS[self.model_type]
        return CustomPipelines({task: deepcopy(PIPELINES[task])})

    @custom_pipelines.setter
    def custom_pipelines(self, value: dict[str, Any]):
        """Values from a file or a pipeline are ignored: the class of the saved model determines them."""

    def to_diff_dict(self) -> dict[str, Any]:
        """The content of config.json."""
        added = {"auto_map": AUTO_MAPS[self.model_type], "custom_pipelines": dict(self.custom_pipelines)}
        return super().to_diff_dict() | added


__all__ = ["AUTO_MAPS", "PIPELINES", "CustomPipelines", "HubConfig"]
