"""The suites by name, from the cheapest to the strongest, and the reference's own protocol."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ascent(_Frozen):
    """The gradient attack on the score: its steps, and how often it starts anew.

    `apgd` halves its step as it stalls, keeps the best iterate of all and, from the second budget
    on, also starts from what it found within the budget before; `pgd` steps by `step_255` 255ths
    and hands out its last iterate, as the reference does. `targeted` images of each set are also
    attacked once for every class; `end_to_end` steps push an in-distribution image to a wrong class
    that is accepted, 0 for none.
    """

    kind: Literal["apgd", "pgd"]
    steps: int = Field(ge=1)
    restarts: int = Field(ge=1)
    step_255: float | None = Field(default=None, gt=0)
    targeted: int = Field(default=0, ge=0)
    end_to_end: int = Field(default=0, ge=0)

    @property
    def step_size(self) -> float | None:
        """The step of `pgd` in [0, 1] pixel units; None for `apgd`, which chooses its own."""
        return None if self.step_255 is None else self.step_255 / 255


class Trials(_Frozen):
    """What a subset of the images also meets, so that the attack itself can be judged.

    `images` of the test set and as many outliers, shared among their sets; 0: no such trials.
    `square_queries` of Square, `noise_draws` of random noise, `long_steps` of the gradient attack;
    0: not tried.
    """

    images: int = Field(default=0, ge=0)
    square_queries: int = Field(default=0, ge=0)
    noise_draws: int = Field(default=0, ge=0)
    long_steps: int = Field(default=0, ge=0)


class Suite(_Frozen):
    """One way to measure a guard; `budgets_255` are L-infinity radii in 255ths, ascending.

    `test_images` and `outlier_images` are the most taken from the test set and from each
    out-of-distribution set.
    """

    name: str
    budgets_255: tuple[float, ...]
    test_images: int = Field(ge=2)
    outlier_images: int = Field(ge=2)
    ascent: Ascent
    trials: Trials = Trials()
    seed: int = 0

    @property
    def budgets(self) -> tuple[float, ...]:
        """The L-infinity radii in [0, 1] pixel units, ascending."""
        return tuple(budget / 255 for budget in self.budgets_255)


BUDGETS_255 = (1.0, 2.0, 4.0, 8.0)

_SUITES = (
    Suite(
        name="paper",
        budgets_255=BUDGETS_255,
        test_images=400,
        outlier_images=200,
        # One run from a random start, of which the last iterate counts: kind to the defender.
        ascent=Ascent(kind="pgd", steps=10, restarts=1, step_255=1.0),
    ),
    Suite(
        name="quick",
        budgets_255=BUDGETS_255,
        test_images=250,
        outlier_images=100,
        ascent=Ascent(kind="apgd", steps=10, restarts=1, end_to_end=10),
        trials=Trials(images=100, square_queries=100, noise_draws=10),
    ),
    Suite(
        name="standard",
        budgets_255=BUDGETS_255,
        test_images=800,
        outlier_images=200,
        ascent=Ascent(kind="apgd", steps=20, restarts=1, targeted=20, end_to_end=15),
        trials=Trials(images=100, square_queries=300, noise_draws=10, long_steps=100),
    ),
    Suite(
        name="full",
        budgets_255=BUDGETS_255,
        test_images=5000,
        outlier_images=5000,
        ascent=Ascent(kind="apgd", steps=100, restarts=5, targeted=500, end_to_end=100),
        trials=Trials(images=500, square_queries=2000, noise_draws=50, long_steps=500),
    ),
)

SUITES: Mapping[str, Suite] = MappingProxyType({suite.name: suite for suite in _SUITES})

FIT_TO_SHIP = ("standard", "full")
"""The suites whose report a bundle may carry."""
