"""When robustness is lost at one blow, and what a run that was rolled back does otherwise.

Wong et al. 2020, arXiv:2001.03994: training with one step may, within an epoch, lose all robustness
against PGD while the accuracy under its own attack rises: catastrophic overfitting. It is told here
from a slow decline, from chance on few images and from training that fails as a whole.
"""

import math
from dataclasses import dataclass
from typing import Self

from oodguard.training.config.recipe import AttackSettings, Recipe
from oodguard.training.run_folder import Epoch

LOST = 0.4  # of the best so far; what overfits slowly (arXiv:2002.11569) loses far less

LEAST = 0.1  # at the least so much, a share

STANDARD_ERRORS = 4  # of a share of the watched images, at its largest

SLACK = 0.05  # training accuracy wavers by less

MOST_ROLL_BACKS = 3

FIGURES = {"attacked_accuracy": "attacked accuracy", "attacked_auroc": "attacked AUROC"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustnessDrop:
    """A watched figure below its best so far; `depth` 1 is where a collapse begins."""

    figure: str
    best: float
    came: float
    depth: float

    @property
    def is_collapse(self) -> bool:
        """Whether to roll back."""
        return self.depth > 1

    @property
    def is_slight(self) -> bool:
        """Whether the weights are good ones to go back to."""
        return self.depth <= 0.5

    def __str__(self) -> str:
        return f"{FIGURES[self.figure]} fell from {self.best:.3f} to {self.came:.3f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CatastrophicOverfittingDetector:
    """Judges the epochs from number `first` on; `images` were watched on the smaller side.

    Before, while the rate warms up and epsilon grows, the figures fall and rise for other reasons:
    a network that has learnt nothing has no gradient to attack either.
    """

    first: int
    images: int

    @classmethod
    def from_recipe(cls, recipe: Recipe, *, images: int) -> Self:
        """Judge from the first epoch that lies behind both the warm-up and the ramp."""
        ramp = recipe.attack.ramp if recipe.attack else 1.0  # where none attacks, none is judged
        growing = max(ramp, recipe.schedule.warm_up)
        return cls(first=math.ceil(growing * recipe.schedule.epochs), images=images)

    def fall(self, before: tuple[Epoch, ...], epoch: Epoch) -> RobustnessDrop | None:
        """Return the deepest fall of this epoch's figures, of which None is below its best."""
        falls = [
            fall
            for figure in FIGURES
            for best in before[self.first :]
            if (fall := self._between(figure, best, epoch)) is not None
        ]
        return max(falls, key=lambda fall: fall.depth, default=None)

    def _between(self, figure: str, best: Epoch, epoch: Epoch) -> RobustnessDrop | None:
        high, low = getattr(best, figure), getattr(epoch, figure)
        failed = epoch.training_accuracy < best.training_accuracy - SLACK
        if high is None or low is None or low >= high or failed:
            return None
        margin = max(LOST * high, LEAST, STANDARD_ERRORS * 0.5 / math.sqrt(self.images))
        return RobustnessDrop(figure=figure, best=high, came=low, depth=(high - low) / margin)


def strengthened(attack: AttackSettings, times: int) -> AttackSettings:
    """Return the attack with twice the steps of half the size, `times` over; always PGD then."""
    if times == 0:
        return attack
    factor = 2**times
    return attack.model_copy(
        update={
            "kind": "pgd",
            "steps": min(attack.steps * factor, 100),
            "step_size": attack.step_size / factor,
        }
    )
