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


# When transformers loads a module on the left, ours on the right follows; and once ours is complete, it is registered.
# Two steps, because ours imports theirs: whichever comes first, the registration finds both complete.
_FOLLOWS = {
    "transformers.models.auto.configuration_auto": "merit.modeling_merit.configuration_merit",
    "transformers.models.auto.modeling_auto": "merit.modeling_merit.modeling_merit",
}
for _theirs, _ours in _FOLLOWS.items():
    when_imported(_theirs)(lambda _, ours=_ours: import_module(ours))


@when_imported("merit.modeling_merit.configuration_merit")
def _register_configs(ours):
    from transformers import AutoConfig

    AutoConfig.register("merit", ours.MeritConfig)
    AutoConfig.register("merit_ecg", ours.MeritEcgConfig)


@when_imported("merit.modeling_merit.modeling_merit")
def _register_models(ours):
    from transformers.models.auto import modeling_auto as auto

    from .modeling_merit.configuration_merit import MeritConfig, MeritEcgConfig

    auto.AutoModel.register(MeritEcgConfig, ours.MeritEcgModel)
    auto.AutoModel.register(MeritConfig, ours.MeritModel)
    auto.AutoModelForPreTraining.register(MeritConfig, ours.MeritForPreTraining)
    auto.AutoModelForSequenceClassification.register(MeritConfig, ours.MeritForEcgClassification)
    auto.AutoModelForAudioClassification.register(MeritConfig, ours.MeritForEcgClassification)


__all__ = [*_HOMES, "__version__"]
