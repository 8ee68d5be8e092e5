"""What every out-of-distribution score is, and how one that looks at training images is fitted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from oodguard.models.scores.options import ScoreOptions

Score = Callable[[Tensor, Tensor], Tensor]
"""`(features (n, D), logits (n, K))` to `(n,)`; higher always means more out-of-distribution."""

LogitScore = Callable[[Tensor], Tensor]
"""Logits `(n, K)` to `(n,)`: a score that needs no features."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitContext:
    """What a fitted score knows before it sees the first image.

    `head` maps features `(n, features)` to logits, of which the first `classes` are those of the
    classes. `seed` decides which images a score keeps, where it cannot keep all.
    """

    features: int
    classes: int
    head: nn.Module
    options: ScoreOptions
    seed: int


class Accumulator(Protocol):
    """Gathers a score's statistics in one pass over the training images."""

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:
        """See features `(n, D)`, logits `(n, K)` and labels `(n,)` of the next images."""
        ...

    def finish(self) -> nn.Module:
        """Return the score: `forward(features, logits)` is a `Score`, its buffers are constants.

        Raises:
            RecipeError: the images that were seen do not determine the score.
        """
        ...


@runtime_checkable
class LeastOfClasses(Protocol):
    """A fitted score that is the least of one value a class, of which each can be asked for alone.

    An attack wants them one by one: the gradient of the least knows of the nearest class only, and
    another may be the easier one to come close to.
    """

    @property
    def targets(self) -> int:
        """How many values there are to take the least of."""
        ...

    def toward(self, target: int, features: Tensor, logits: Tensor) -> Tensor:
        """Return the value `(n,)` of one of them; the score is nowhere larger."""
        ...


def of_logits(score: LogitScore) -> Score:
    """Return a score of the logits alone as one that is handed features too."""

    def scored(features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG001  (the shape of a score)
        return score(logits)

    return scored
