"""Soundings: what other attacks find where the suite's own has been, on a few images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from training.attacks.attack import Attack
from training.attacks.gradient import frozen
from training.attacks.noise import Noise
from training.attacks.square import Square
from training.graph import Scored
from training.measuring.climb import ascent_attack
from training.probe import Probe, Scorer
from training.suite import Ascent, Suite

FEW_STEPS = 10
LARGE_255 = 64.0  # a quarter of all brightness: within it any image can be made to look like noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Soundings:
    """AUROC by attack, both sides attacked; None is what was not tried.

    `by_epsilon` is the whole evaluation's mean by budget in 255ths, 0 for clean, ascending. All
    else is of the same few images at `budget_255`: `by_steps` under the gradient attack with so
    many steps, ascending; `white_box` under it with the suite's own, `steps`; `at_64` likewise, but
    within 64/255. `bad_gradients` is the share of images whose gradient is all zero or not finite
    at the image itself or at a random start.
    """

    by_epsilon: Mapping[float, float]
    budget_255: float | None
    steps: int | None
    by_steps: Mapping[int, float]
    clean: float | None
    white_box: float | None
    noise: float | None
    square: float | None
    transfer: float | None
    at_64: float | None
    bad_gradients: float | None

    @classmethod
    def of_budgets(cls, by_epsilon: Mapping[float, float]) -> Self:
        """Return the soundings of a suite that tries nothing but its own attack."""
        return cls(
            by_epsilon=by_epsilon,
            budget_255=None,
            steps=None,
            by_steps={},
            clean=None,
            white_box=None,
            noise=None,
            square=None,
            transfer=None,
            at_64=None,
            bad_gradients=None,
        )


def sound(  # noqa: PLR0913  (a classifier, and all that it is tried with)
    classifier: Scored,
    score: str,
    inliers: Tensor,
    outliers: Tensor,
    *,
    suite: Suite,
    budget_255: float,
    by_epsilon: Mapping[float, float],
    twin: tuple[Scored, str] | None,
    generator: torch.Generator,
) -> Soundings:
    """Try the suite's trials on in-distribution images `(n, 3, H, W)` and outliers `(m, 3, H, W)`.

    All pixels are in [0, 1]. `twin` is another classifier with one of its scores, by which images
    are attacked that are then shown to this one; None where there is none.
    """
    probe = Probe(
        victim=Scorer(classifier=classifier, score=score), inliers=inliers, outliers=outliers
    )
    epsilon, ascent, trials = budget_255 / 255, suite.ascent, suite.trials
    seed = int(torch.randint(2**62, (), generator=generator))

    def same_starts() -> torch.Generator:
        # For all attacks, so that they differ by what they do and not by where they begin.
        return torch.Generator().manual_seed(seed)

    def under(attack: Attack) -> float:
        return probe.auroc_under(attack, same_starts())

    with frozen(classifier):
        all_steps = sorted({FEW_STEPS, ascent.steps, trials.long_steps or ascent.steps})
        by_steps = {steps: under(_with_steps(ascent, steps, budget_255)) for steps in all_steps}
        noise = Noise(epsilon=epsilon, draws=trials.noise_draws)
        square = Square(epsilon=epsilon, queries=trials.square_queries)
        return Soundings(
            by_epsilon=by_epsilon,
            budget_255=budget_255,
            steps=ascent.steps,
            by_steps=by_steps,
            clean=probe.clean_auroc(),
            white_box=by_steps[ascent.steps],
            noise=under(noise) if trials.noise_draws else None,
            square=under(square) if trials.square_queries else None,
            transfer=_transferred(probe, ascent, budget_255, twin, same_starts()),
            at_64=under(_at_64(ascent, budget_255)),
            bad_gradients=probe.bad_gradients(epsilon, same_starts()),
        )


def _with_steps(ascent: Ascent, steps: int, budget_255: float) -> Attack:
    return ascent_attack(ascent.model_copy(update={"steps": steps}), budget_255)


def _at_64(ascent: Ascent, budget_255: float) -> Attack:
    """Return the suite's attack within 64/255, its step as long as it is to the budget."""
    if ascent.step_255 is not None:  # or it would not come to the edge of the larger ball
        longer = ascent.step_255 * LARGE_255 / budget_255
        ascent = ascent.model_copy(update={"step_255": longer})
    return ascent_attack(ascent, LARGE_255)


def _transferred(
    probe: Probe,
    ascent: Ascent,
    budget_255: float,
    twin: tuple[Scored, str] | None,
    generator: torch.Generator,
) -> float | None:
    if twin is None:
        return None
    source = Scorer(classifier=twin[0], score=twin[1])
    with frozen(source.classifier):
        return probe.auroc_transferred(ascent_attack(ascent, budget_255), source, generator)
