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
    "MeritEcgModel": "modeling_merit.modeling_merit",
    "MeritForEcgClassification": "modeling_merit.modeling_merit",
    "MeritForPreTraining": "modeling_merit.modeling_merit",
    "MeritModel": "modeling_merit.modeling_merit",
    "MeritPreTrainedModel": "modeling_merit.modeling_merit",
}

if TYPE_CHECKING:
    from .modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig
    from .modeling_merit.modeling_merit import (
        MeritEcgModel,
        MeritForEcgClassification,
        MeritForPreTraining,
        MeritModel,
        MeritPreTrainedModel,
    )


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'merit' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return sorted([*globals(), *_HOMES])


@when_imported("transformers.models.auto.configuration_auto")
def _register_configs(auto):
    from .modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig

    auto.AutoConfig.register("merit", MeritConfig)
    auto.AutoConfig.register("merit_ecg", MeritEcgConfig)


@when_imported("transformers.models.auto.modeling_auto")
def _register_models(auto):
    from .modeling_merit import modeling_merit as models
    from .modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig

    auto.AutoModel.register(MeritEcgConfig, models.MeritEcgModel)
    auto.AutoModel.register(MeritConfig, models.MeritModel)
    auto.AutoModelForPreTraining.register(MeritConfig, models.MeritForPreTraining)
    auto.AutoModelForSequenceClassification.register(MeritConfig, models.MeritForEcgClassification)
    auto.AutoModelForAudioClassification.register(MeritConfig, models.MeritForEcgClassification)


__all__ = [*_HOMES, "__version__"]
