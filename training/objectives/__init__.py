"""The training objectives by name; `config/methods.py` lists the recipe tables of each."""

from collections.abc import Callable, Mapping

from torch import nn

from oodguard.training.config.methods import EnergySettings, MiningSettings, TradesSettings
from oodguard.training.config.recipe import Recipe
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.atom import Atom
from oodguard.training.objectives.base import Objective
from oodguard.training.objectives.distillation import Distilled
from oodguard.training.objectives.energy import EnergyBounded
from oodguard.training.objectives.mirror import MirrorConsistent
from oodguard.training.objectives.table import OBJECTIVE_TABLE, TableObjective
from oodguard.training.objectives.trades import TradesAloe


def _adversary(recipe: Recipe) -> Adversary:
    if recipe.attack is None:
        raise ValueError(f"method {recipe.method!r} requires the [attack] table")
    return Adversary(recipe.attack)


def _table_objective(recipe: Recipe) -> TableObjective:
    return TableObjective(
        terms=OBJECTIVE_TABLE[recipe.method],
        adversary=Adversary(recipe.attack) if recipe.attack else None,
        outlier_weight=recipe.outlier_weight,
    )


def _energy_bounded(recipe: Recipe) -> EnergyBounded:
    return EnergyBounded(
        margins=recipe.energy or EnergySettings(),
        weight=recipe.outlier_weight,
        adversary=Adversary(recipe.attack) if recipe.attack else None,
    )


OBJECTIVES: Mapping[str, Callable[[Recipe], Objective]] = {
    **dict.fromkeys(OBJECTIVE_TABLE, _table_objective),
    "trades-aloe": lambda recipe: TradesAloe(
        adversary=_adversary(recipe),
        beta=(recipe.trades or TradesSettings()).beta,
        outlier_weight=recipe.outlier_weight,
    ),
    "energy-oe": _energy_bounded,
    "energy-aloe": _energy_bounded,
    "atom": lambda recipe: Atom(
        adversary=_adversary(recipe),
        mining=recipe.mining or MiningSettings(),
        outlier_weight=recipe.outlier_weight,
    ),
}


def build_objective(recipe: Recipe, teacher: nn.Module | None = None) -> Objective:
    """Return the objective of the recipe's method, with mirror consistency if it has a weight.

    `teacher` maps images to logits; it is required if the recipe has the [teacher] table.
    """
    objective = OBJECTIVES[recipe.method](recipe)
    if recipe.teacher is not None:
        if teacher is None:
            raise ValueError("the recipe has a [teacher] table, and no teacher was given")
        objective = Distilled(
            objective=objective,
            teacher=teacher,
            share=recipe.teacher.share,
            outlier_weight=recipe.outlier_weight,
        )
    weight = recipe.schedule.mirror_consistency
    return MirrorConsistent(objective=objective, weight=weight) if weight else objective
