"""Soundings: what other attacks find where the suite's own has been, on a few images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor

from oodguard.training.attacks.base import Attack, AttackObjective, uniform, value_and_gradient
from oodguard.training.attacks.noise import RandomNoise, transfer_attack
from oodguard.training.attacks.objectives import acceptance_objectives, rejection_objective
from oodguard.training.attacks.square import Square
from oodguard.training.config.suites import Ascent, Suite
from oodguard.training.evaluation.attack_runner import gradient_attack
from oodguard.training.report.metrics import auroc
from oodguard.training.report.model import Scores
from oodguard.training.scoring.graph import ScoredClassifier
from oodguard.training.scoring.network import frozen

BATCH = 250

Push = Callable[[Tensor], Tensor]
"""Images `(n, 3, H, W)` in [0, 1] to what an attack makes of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackedScore:
    """A classifier by one of its scores, higher more OOD."""

    classifier: ScoredClassifier
    score: str

    @property
    def goals(self) -> tuple[AttackObjective, AttackObjective]:
        """What raises the score of in-distribution images, and what lowers that of outliers."""
        rejected = rejection_objective(self.classifier, self.score)
        return rejected, acceptance_objectives(self.classifier, self.score)[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialImages:
    """The images, float `(n, 3, H, W)` and `(m, 3, H, W)` in [0, 1], and who scores them.

    Images go through in batches. The caller holds all networks still, with
    `training.attacks.gradient.frozen`.
    """

    victim: AttackedScore
    inliers: Tensor
    outliers: Tensor

    def clean_auroc(self) -> float:
        """Return the AUROC of the images as they are."""
        return self._auroc(_as_they_are, _as_they_are)

    def auroc_under(self, attack: Attack, generator: torch.Generator) -> float:
        """Return the AUROC with both sides attacked."""
        rejected, accepted = self.victim.goals
        return self._auroc(
            partial(attack, rejected, generator=generator),
            partial(attack, accepted, generator=generator),
        )

    def auroc_transferred(
        self, attack: Attack, source: AttackedScore, generator: torch.Generator
    ) -> float:
        """Return the AUROC with both sides attacked by way of `source`, and judged here."""
        pushes = [
            partial(transfer_attack, attack, generator=generator, source=theirs, victim=ours)
            for theirs, ours in zip(source.goals, self.victim.goals, strict=True)
        ]
        return self._auroc(pushes[0], pushes[1])

    def bad_gradients(self, epsilon: float, generator: torch.Generator) -> float:
        """Return the share of images with a gradient that leads nowhere: all zero or not finite.

        At the image itself or at a random start of the ball of radius `epsilon` around it.
        """
        rejected, accepted = self.victim.goals
        sides = ((rejected, self.inliers), (accepted, self.outliers))
        parts = [
            _bad(goal, part, epsilon, generator)
            for goal, images in sides
            for part in images.split(BATCH)
        ]
        return float(torch.cat(parts).float().mean())

    def _auroc(self, push_inliers: Push, push_outliers: Push) -> float:
        inside = self._scores(push_inliers, self.inliers)
        return auroc(inside, self._scores(push_outliers, self.outliers))

    def _scores(self, push: Push, images: Tensor) -> Scores:
        parts = []
        for part in images.split(BATCH):
            pushed = push(part)
            with torch.no_grad():
                parts.append(self.victim.classifier.score(self.victim.score, pushed))
        scores: Scores = torch.cat(parts).numpy()
        return scores


def _as_they_are(images: Tensor) -> Tensor:
    return images


def _bad(
    goal: AttackObjective, images: Tensor, epsilon: float, generator: torch.Generator
) -> Tensor:
    rows = torch.arange(len(images))
    bad = torch.zeros_like(rows, dtype=torch.bool)
    for point in (images, uniform(images, epsilon, generator)):
        gradient = value_and_gradient(goal, point, rows)[1].flatten(1)
        bad |= (gradient == 0).all(dim=1) | ~gradient.isfinite().all(dim=1)
    return bad


FEW_STEPS = 10

LARGE_255 = 64.0  # a quarter of all brightness: within it any image can be made to look like noise


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackTrials:
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


def run_attack_trials(  # noqa: PLR0913  (a classifier, and all that it is tried with)
    classifier: ScoredClassifier,
    score: str,
    inliers: Tensor,
    outliers: Tensor,
    *,
    suite: Suite,
    budget_255: float,
    by_epsilon: Mapping[float, float],
    twin: tuple[ScoredClassifier, str] | None,
    generator: torch.Generator,
) -> AttackTrials:
    """Try the suite's trials on in-distribution images `(n, 3, H, W)` and outliers `(m, 3, H, W)`.

    All pixels are in [0, 1]. `twin` is another classifier with one of its scores, by which images
    are attacked that are then shown to this one; None where there is none.
    """
    probe = TrialImages(
        victim=AttackedScore(classifier=classifier, score=score), inliers=inliers, outliers=outliers
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
        noise = RandomNoise(epsilon=epsilon, draws=trials.noise_draws)
        square = Square(epsilon=epsilon, queries=trials.square_queries)
        return AttackTrials(
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
    return gradient_attack(ascent.model_copy(update={"steps": steps}), budget_255)


def _at_64(ascent: Ascent, budget_255: float) -> Attack:
    """Return the suite's attack within 64/255, its step as long as it is to the budget."""
    if ascent.step_255 is not None:  # or it would not come to the edge of the larger ball
        longer = ascent.step_255 * LARGE_255 / budget_255
        ascent = ascent.model_copy(update={"step_255": longer})
    return gradient_attack(ascent, LARGE_255)


def _transferred(
    probe: TrialImages,
    ascent: Ascent,
    budget_255: float,
    twin: tuple[ScoredClassifier, str] | None,
    generator: torch.Generator,
) -> float | None:
    if twin is None:
        return None
    source = AttackedScore(classifier=twin[0], score=twin[1])
    with frozen(source.classifier):
        return probe.auroc_transferred(gradient_attack(ascent, budget_255), source, generator)
