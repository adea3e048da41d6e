"""What config.json says so that the Auto classes and `pipeline` of transformers find the code beside it."""

from copy import deepcopy
from dataclasses import dataclass
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


@dataclass(frozen=True)
class ModelKind:
    """
    What a saved model is.

    Args:
        name: in messages.
        task: of `pipeline(model=...)`.
    """

    name: str
    task: str


ECG_ENCODER = ModelKind("an ECG encoder alone", "ecg-feature-extraction")
DUAL_ENCODER = ModelKind("a dual encoder", "zero-shot-ecg-classification")
CLASSIFIER = ModelKind("a classifier with its own labels", "ecg-classification")
REPORT_MODEL = ModelKind("a report model", "ecg-report-generation")
# By class of the saved model.
KINDS = {
    "MeritEcgModel": ECG_ENCODER,
    "MeritModel": DUAL_ENCODER,
    "MeritForPreTraining": DUAL_ENCODER,
    "MeritForEcgClassification": CLASSIFIER,
    "MeritForReportGeneration": REPORT_MODEL,
}
# By model type, where the class of the saved model is not known.
_KINDS_BY_TYPE = {"merit_ecg": ECG_ENCODER, "merit": DUAL_ENCODER, "merit_report": REPORT_MODEL}


class CustomPipelines(dict):
    """
    The pipelines of a checkpoint as `pipeline` looks them up. All tasks are found; only the main one is listed.

    `pipeline(model=...)` takes the task from a checkpoint that lists exactly one. Tasks that are registered with
    transformers, as importing the package does, are not found here: they need no code from the checkpoint, and so no
    `trust_remote_code`.

    Raises:
        ValueError: no class of the model can be loaded for the task that is looked up.
    """

    def __init__(self, config: "HubConfig"):
        kind = config.model_kind
        super().__init__({kind.task: deepcopy(PIPELINES[kind.task])})
        self._auto_classes = AUTO_MAPS[config.model_type]
        self._description = f"{config.name_or_path or 'this model'} is {kind.name}"

    def __contains__(self, task: object) -> bool:
        from transformers.pipelines import PIPELINE_REGISTRY

        # `pipeline` looks its task up here before it loads the model, which would fail with an error of transformers.
        if isinstance(task, str) and task in PIPELINES and PIPELINES[task]["pt"][0] not in self._auto_classes:
            (own,) = self
            raise ValueError(
                f"The pipeline {task} needs another kind of model, but {self._description}; call "
                f"pipeline({own!r}, model=...) or name another model"
            )
        return task in PIPELINES and task not in PIPELINE_REGISTRY.supported_tasks

    def __missing__(self, task: str) -> dict[str, Any]:
        return deepcopy(PIPELINES[task])  # `pipeline` changes what it gets


class HubConfig(PreTrainedConfig):
    """
    Writes `auto_map` and `custom_pipelines` to config.json however a model is saved.

    A folder that holds the code too then loads where this package is not installed.
    """

    @property
    def model_kind(self) -> ModelKind:
        """What a saved model of this configuration is."""
        known = (KINDS[name] for name in self.architectures or () if name in KINDS)
        return next(known, _KINDS_BY_TYPE[self.model_type])

    @property
    def custom_pipelines(self) -> CustomPipelines:
        return CustomPipelines(self)

    @custom_pipelines.setter
    def custom_pipelines(self, value: dict[str, Any]):
        """Values from a file or a pipeline are ignored: the class of the saved model determines them."""

    def to_diff_dict(self) -> dict[str, Any]:
        """The content of config.json."""
        added = {"auto_map": AUTO_MAPS[self.model_type], "custom_pipelines": dict(self.custom_pipelines)}
        return super().to_diff_dict() | added


__all__ = ["AUTO_MAPS", "KINDS", "PIPELINES", "CustomPipelines", "HubConfig", "ModelKind"]
