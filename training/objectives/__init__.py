"""The training methods by name, all of one shape: (network, batch, generator) -> Step.

What each asks of its recipe stands in `training.methods`, under the same name.
"""

from collections.abc import Callable, Mapping

from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.acet import Acet
from oodguard.training.objectives.adv import Adversarial
from oodguard.training.objectives.aloe import Aloe
from oodguard.training.objectives.aloe_abstain import AloeAbstain
from oodguard.training.objectives.aoe import AdversarialOutlierExposure
from oodguard.training.objectives.atom import Atom
from oodguard.training.objectives.base import Objective
from oodguard.training.objectives.energy_oe import EnergyBounded
from oodguard.training.objectives.oe import OutlierExposure
from oodguard.training.objectives.standard import Standard
from oodguard.training.objectives.trades_aloe import TradesAloe

OBJECTIVES: Mapping[str, Callable[[Recipe], Objective]] = {
    "standard": Standard.from_recipe,
    "oe": OutlierExposure.from_recipe,
    "adv": Adversarial.from_recipe,
    "aoe": AdversarialOutlierExposure.from_recipe,
    "aloe": Aloe.from_recipe,
    "aloe-abstain": AloeAbstain.from_recipe,
    "trades-aloe": TradesAloe.from_recipe,
    "acet": Acet.from_recipe,
    "energy-oe": EnergyBounded.from_recipe,
    "energy-aloe": EnergyBounded.from_recipe,
    "atom": Atom.from_recipe,
}
