"""The evaluation suites by name, from cheapest to strongest, and the ALOE paper's protocol."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from oodguard.models.frozen_model import FrozenModel


class SuiteAttack(FrozenModel):
    """The gradient attack on the score, with `steps` steps from each of `restarts` starts.

    `apgd` halves its step when progress stalls, returns the best iterate and, from the second
    budget on, also starts from the result of the previous budget. `pgd` moves by `step_255` 255ths
    and returns its last iterate, as the reference implementation does. `targeted` images of each
    set are also attacked once towards every class. `black-box` replaces the gradient attack for a
    graph that torch cannot run (`evaluation.black_box`); its steps are queries. `end_to_end` steps
    move an in-distribution image to a wrong class that is accepted; 0 disables that attack.
    """

    kind: Literal["apgd", "pgd", "black-box"]
    steps: int = Field(ge=1)
    restarts: int = Field(ge=1)
    step_255: float | None = Field(default=None, gt=0)
    targeted: int = Field(default=0, ge=0)
    end_to_end: int = Field(default=0, ge=0)

    @property
    def step_size(self) -> float | None:
        """The step of `pgd` in [0, 1] pixel units; None for `apgd`, which chooses its own."""
        return None if self.step_255 is None else self.step_255 / 255


class SuiteTrials(FrozenModel):
    """Other attacks on a subset of the images, to cross-check the gradient attack.

    `images` is the number of test images and also the number of outliers, divided among their sets;
    0 disables the trials. `square_queries` of Square, `noise_draws` of random noise and
    `long_steps` of the gradient attack, also within larger budgets, are tried; 0 disables each.
    """

    images: int = Field(default=0, ge=0)
    square_queries: int = Field(default=0, ge=0)
    noise_draws: int = Field(default=0, ge=0)
    long_steps: int = Field(default=0, ge=0)


class Suite(FrozenModel):
    """An evaluation protocol; `budgets_255` are L-infinity radii in 255ths, ascending.

    At most `test_images` of the test set and `outlier_images` of each out-of-distribution set are
    used.
    """

    name: str
    budgets_255: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    test_images: int = Field(ge=2)
    outlier_images: int = Field(ge=2)
    ascent: SuiteAttack
    trials: SuiteTrials = SuiteTrials()
    seed: int = 0

    @property
    def budgets(self) -> tuple[float, ...]:
        """The L-infinity radii in [0, 1] pixel units, ascending."""
        return tuple(budget / 255 for budget in self.budgets_255)


_SUITES = (
    Suite(
        name="paper",
        test_images=400,
        outlier_images=200,
        # The paper's protocol: one random start, and the last iterate counts. It overestimates
        # robustness compared with the suites below.
        ascent=SuiteAttack(kind="pgd", steps=10, restarts=1, step_255=1.0),
    ),
    Suite(
        name="quick",
        test_images=250,
        outlier_images=100,
        ascent=SuiteAttack(kind="apgd", steps=10, restarts=1, end_to_end=10),
        trials=SuiteTrials(images=100, square_queries=100, noise_draws=10),
    ),
    Suite(
        name="standard",
        test_images=800,
        outlier_images=200,
        ascent=SuiteAttack(kind="apgd", steps=20, restarts=1, targeted=20, end_to_end=15),
        trials=SuiteTrials(images=100, square_queries=300, noise_draws=10, long_steps=100),
    ),
    Suite(
        name="long",
        test_images=400,
        outlier_images=100,
        # For guards that are robust at large budgets, where 20 steps do not find the minimum.
        ascent=SuiteAttack(kind="apgd", steps=300, restarts=1, targeted=5, end_to_end=15),
        trials=SuiteTrials(images=100, square_queries=300, noise_draws=10, long_steps=1000),
    ),
    Suite(
        name="full",
        test_images=5000,
        outlier_images=5000,
        ascent=SuiteAttack(kind="apgd", steps=100, restarts=5, targeted=500, end_to_end=100),
        trials=SuiteTrials(images=500, square_queries=2000, noise_draws=50, long_steps=500),
    ),
)

SUITES: Mapping[str, Suite] = MappingProxyType({suite.name: suite for suite in _SUITES})

RELEASE_SUITES = ("standard", "long", "full")
"""The suites whose report is the evaluation of a run or bundle."""

SHIPPABLE_SUITES = ("quick", *RELEASE_SUITES)
"""The suites whose report a bundle may carry; a bundle with that of `quick` is stamped."""
