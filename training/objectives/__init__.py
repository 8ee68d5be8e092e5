"""The training objectives by name; `config/methods.py` lists the recipe tables of each."""

from collections.abc import Callable, Mapping

from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.atom import Atom
from oodguard.training.objectives.base import Objective
from oodguard.training.objectives.energy import EnergyBounded
from oodguard.training.objectives.table import OBJECTIVE_TABLE, TableObjective
from oodguard.training.objectives.trades import TradesAloe

OBJECTIVES: Mapping[str, Callable[[Recipe], Objective]] = {
    **dict.fromkeys(OBJECTIVE_TABLE, TableObjective.from_recipe),
    "trades-aloe": TradesAloe.from_recipe,
    "energy-oe": EnergyBounded.from_recipe,
    "energy-aloe": EnergyBounded.from_recipe,
    "atom": Atom.from_recipe,
}
