"""The interface of scores: options, fitting on training images, and attack targets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pydantic import ConfigDict, Field
from torch import Tensor, nn

from oodguard.models.frozen_model import FrozenModel

Score = Callable[[Tensor, Tensor], Tensor]
"""Map features `(n, D)` and logits `(n, K)` to `(n,)`; higher means more out-of-distribution."""

LogitScore = Callable[[Tensor], Tensor]
"""Map logits `(n, K)` to `(n,)`: a score without features."""


class ScoreOptions(FrozenModel):
    """The table `[score_options]` of a recipe. The defaults are those of the papers."""

    model_config = ConfigDict(allow_inf_nan=False)

    temperature: float = Field(default=1.0, gt=0)
    """Temperature of `energy`."""

    gen_gamma: float = Field(default=0.1, gt=0, lt=1)
    """Exponent of `gen`."""

    gen_top: int = Field(default=100, ge=1)
    """Number of largest probabilities that `gen` sums over."""

    knn_bank: int = Field(default=2000, ge=1, le=100_000)
    """Number of training images whose features `knn` stores in the graph."""

    knn_neighbour: int = Field(default=5, ge=1)
    """Rank of the neighbour that `knn` measures, 1 being the nearest."""

    vim_dimensions: int | None = Field(default=None, ge=1)
    """Dimension of the principal space of `vim`; none: half of the features."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitContext:
    """The inputs of fitting a score, except for the images.

    Attributes:
        features: The number of features D.
        classes: The number of classes K; the first K logits belong to them.
        head: Maps features `(n, D)` to logits.
        options: The score options of the recipe.
        seed: Selects the images that a score keeps if it does not keep all.
    """

    features: int
    classes: int
    head: nn.Module
    options: ScoreOptions
    seed: int


class Accumulator(Protocol):
    """Collect the statistics of a score in one pass over the training images."""

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add features `(n, D)`, logits `(n, K)` and labels `(n,)` of the next images."""

    def finish(self) -> nn.Module:
        """Return the score as a module whose `forward(features, logits)` is a `Score`.

        Raises:
            RecipeError: The images do not determine the score.
        """


@runtime_checkable
class MinimumOverClasses(Protocol):
    """A fitted score that is the minimum of one value per class, each available by itself.

    An attack minimizes them one by one: the gradient of the minimum depends on the nearest class
    only, and another class may be easier to approach.
    """

    @property
    def targets(self) -> int:
        """The number of values."""

    def toward(self, target: int, features: Tensor, logits: Tensor) -> Tensor:
        """Return one of the values `(n,)`; the score is at most this value."""


def of_logits(score: LogitScore) -> Score:
    """Return a logit score with the signature of `Score`."""

    def scored(features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG001  (the shape of a score)
        return score(logits)

    return scored
