"""The suites by name, from the cheapest to the strongest, and the reference's own protocol."""

from collections.abc import Mapping
from types import MappingProxyType

from training.suite import Ascent, Suite, Trials

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
