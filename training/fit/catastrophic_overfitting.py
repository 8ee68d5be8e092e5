"""Catastrophic overfitting, robustness that is lost within an epoch: detection and rollback.

Wong et al. 2020, arXiv:2001.03994: training with one attack step may lose all robustness against
PGD within an epoch, while the accuracy under its own attack increases. The detector distinguishes
this from robust overfitting (a slow decline, Rice et al. 2020, arXiv:2002.11569), from the sampling
error of few images, and from training that fails as a whole. A rollback returns to the last robust
weights and strengthens the attack.
"""

import math
from dataclasses import dataclass
from typing import Self

from oodguard.models.counts import count_of
from oodguard.models.errors import RecipeError
from oodguard.training.config.attack import AttackSettings
from oodguard.training.config.recipe import Recipe
from oodguard.training.run_progress import Epoch, Rollback, RunProgress, tensors_name

RELATIVE_MARGIN = 0.4
"""The share of the best value; robust overfitting loses far less."""

MIN_MARGIN = 0.1

STANDARD_ERRORS = 4
"""Of a share of the attacked validation images, at its maximum sqrt(0.25 / n)."""

TRAINING_ACCURACY_TOLERANCE = 0.05
"""Training accuracy varies by less from epoch to epoch."""

MAX_ROLLBACKS = 3

MEASURES = {"attacked_accuracy": "attacked accuracy", "attacked_auroc": "attacked AUROC"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustnessDrop:
    """A robustness measure below its best value; `depth` is the drop as a multiple of the margin.

    margin = max(0.4 best, 0.1, 4 sqrt(0.25 / n)) for n attacked images. `failed` states that
    training accuracy fell too: training fails as a whole.
    """

    measure: str
    best: float
    value: float
    depth: float
    failed: bool

    @property
    def is_catastrophic(self) -> bool:
        """True if the epoch is to be rolled back."""
        return self.depth > 1 and not self.failed

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
        """Return the largest drop from an earlier epoch, or None if nothing dropped.

        A catastrophic drop comes before a larger one with which training fails as a whole.
        """
        drops = [
            drop
            for measure in MEASURES
            for best in before[self.first :]
            if (drop := self._drop_between(measure, best, epoch)) is not None
        ]
        return max(drops, key=lambda drop: (drop.is_catastrophic, drop.depth), default=None)

    def _drop_between(self, measure: str, best: Epoch, epoch: Epoch) -> RobustnessDrop | None:
        high, low = getattr(best, measure), getattr(epoch, measure)
        failed = epoch.training_accuracy < best.training_accuracy - TRAINING_ACCURACY_TOLERANCE
        if high is None or low is None or low >= high:
            return None
        margin = max(
            RELATIVE_MARGIN * high, MIN_MARGIN, STANDARD_ERRORS * 0.5 / math.sqrt(self.images)
        )
        depth = (high - low) / margin
        return RobustnessDrop(measure=measure, best=high, value=low, depth=depth, failed=failed)


def strengthen(attack: AttackSettings, rollbacks: int) -> AttackSettings:
    """Return the attack after so many rollbacks: each doubles the steps and halves their size.

    The result is always PGD, with at most 100 steps.
    """
    if rollbacks == 0:
        return attack
    factor = 2**rollbacks
    return attack.model_copy(
        update={
            "kind": "pgd",
            "steps": min(attack.steps * factor, 100),
            "step_size": attack.step_size / factor,
        }
    )


def roll_back(
    progress: RunProgress, epoch: Epoch, drop: RobustnessDrop, recipe: Recipe
) -> RunProgress:
    """Return the progress without `epoch` and the epochs since robustness was last intact.

    Raises:
        RecipeError: The run was rolled back `MAX_ROLLBACKS` times already.
    """
    rollbacks = len(progress.rolled_back)
    if recipe.attack is None or progress.good is None:
        raise ValueError("a rollback requires an attack and a checkpoint")
    if rollbacks == MAX_ROLLBACKS:
        raise RecipeError(
            f"epoch {epoch.epoch + 1}: {drop}, after {rollbacks} rollbacks: catastrophic"
            " overfitting persists. The last checkpoint is intact; train again with more"
            " attack.steps, a smaller attack.epsilon_255 or a smaller schedule.peak_rate"
        )
    attack = strengthen(recipe.attack, rollbacks + 1)
    entry = Rollback(
        reason=str(drop),
        kept=progress.good,
        attack=f"pgd, {count_of(attack.steps, 'step')} of {attack.step_size:g} epsilon",
        lost=(*progress.epochs[progress.good :], epoch),
    )
    return progress.model_copy(
        update={
            "tensors": tensors_name(progress.good),
            "epochs": progress.epochs[: progress.good],
            "rolled_back": (*progress.rolled_back, entry),
        }
    )


def rollback_warning(progress: RunProgress, epoch: Epoch) -> str:
    """Return the warning about the last rollback of `progress`, which discarded `epoch`."""
    entry = progress.rolled_back[-1]
    return (
        f"epoch {epoch.epoch + 1}: catastrophic overfitting: {entry.reason} while training accuracy"
        f" is {epoch.training_accuracy:.1%}. Rolled back to the weights after epoch {entry.kept};"
        f" the training attack is now {entry.attack} (rollback {len(progress.rolled_back)} of at"
        f" most {MAX_ROLLBACKS})"
    )
