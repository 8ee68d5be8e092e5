"""The training methods by name, all of one shape: (network, batch, generator) -> Step."""

from collections.abc import Callable, Mapping

from training.objectives.aloe import Aloe
from training.objectives.base import Objective
from training.objectives.standard import Standard
from training.recipe import Recipe

OBJECTIVES: Mapping[str, Callable[[Recipe], Objective]] = {
    "standard": Standard.from_recipe,
    "aloe": Aloe.from_recipe,
}
