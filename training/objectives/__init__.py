"""The training methods by name, all of one shape: (network, batch, generator) -> Step.

What each asks of its recipe stands in `training.methods`, under the same name.
"""

from collections.abc import Callable, Mapping

from training.objectives.acet import Acet
from training.objectives.adv import Adversarial
from training.objectives.aloe import Aloe
from training.objectives.aloe_abstain import AloeAbstain
from training.objectives.aoe import AdversarialOutlierExposure
from training.objectives.atom import Atom
from training.objectives.base import Objective
from training.objectives.energy_oe import EnergyBounded
from training.objectives.oe import OutlierExposure
from training.objectives.standard import Standard
from training.objectives.trades_aloe import TradesAloe
from training.recipe import Recipe

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
