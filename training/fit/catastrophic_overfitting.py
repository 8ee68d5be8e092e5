"""Detect catastrophic overfitting: robustness that is lost within an epoch.

Wong et al. 2020, arXiv:2001.03994: training with one attack step may lose all robustness against
PGD within an epoch, while the accuracy under its own attack increases. The detector distinguishes
this from robust overfitting (a slow decline, Rice et al. 2020, arXiv:2002.11569), from the sampling
error of few images, and from training that fails as a whole.
"""

import math
from dataclasses import dataclass
from typing import Self

from oodguard.training.config.recipe import Recipe
from oodguard.training.run_folder import Epoch

RELATIVE_MARGIN = 0.4
"""The share of the best value; robust overfitting loses far less."""

MIN_MARGIN = 0.1

STANDARD_ERRORS = 4
"""Of a share of the attacked validation images, at its maximum sqrt(0.25 / n)."""

TRAINING_ACCURACY_TOLERANCE = 0.05
"""Training accuracy varies by less from epoch to epoch."""

MEASURES = {"attacked_accuracy": "attacked accuracy", "attacked_auroc": "attacked AUROC"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustnessDrop:
    """A robustness measure below its best value; `depth` is the drop as a multiple of the margin.

    margin = max(0.4 best, 0.1, 4 sqrt(0.25 / n)) for n attacked images.
    """

    measure: str
    best: float
    value: float
    depth: float

    @property
    def is_catastrophic(self) -> bool:
        """True if the epoch is to be rolled back."""
        return self.depth > 1

    @property
    def is_small(self) -> bool:
        """True if the weights are robust enough to return to."""
        return self.depth <= 0.5

    def __str__(self) -> str:
        return f"{MEASURES[self.measure]} fell from {self.best:.3f} to {self.value:.3f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CatastrophicOverfittingDetector:
    """Compares each epoch with the best earlier one, from epoch number `first` on.

    In the epochs before `first` the learning rate and epsilon still grow, and robustness rises and
    falls for other reasons. `images` is the number of attacked validation images, of the smaller
    side.
    """

    first: int
    images: int

    @classmethod
    def from_recipe(cls, recipe: Recipe, *, images: int) -> Self:
        """Start after both the warm-up and the epsilon ramp; never, for a method without attack."""
        ramp = recipe.attack.ramp if recipe.attack else 1.0
        growing = max(ramp, recipe.schedule.warm_up)
        return cls(first=math.ceil(growing * recipe.schedule.epochs), images=images)

    def drop(self, before: tuple[Epoch, ...], epoch: Epoch) -> RobustnessDrop | None:
        """Return the largest drop from the best epoch, or None if nothing dropped."""
        drops = [
            drop
            for measure in MEASURES
            for best in before[self.first :]
            if (drop := self._drop_between(measure, best, epoch)) is not None
        ]
        return max(drops, key=lambda drop: drop.depth, default=None)

    def _drop_between(self, measure: str, best: Epoch, epoch: Epoch) -> RobustnessDrop | None:
        high, low = getattr(best, measure), getattr(epoch, measure)
        failed = epoch.training_accuracy < best.training_accuracy - TRAINING_ACCURACY_TOLERANCE
        if high is None or low is None or low >= high or failed:
            return None
        margin = max(
            RELATIVE_MARGIN * high, MIN_MARGIN, STANDARD_ERRORS * 0.5 / math.sqrt(self.images)
        )
        return RobustnessDrop(measure=measure, best=high, value=low, depth=(high - low) / margin)
