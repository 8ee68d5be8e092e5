"""A few images of both kinds, on which attacks are held against each other."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from training.attacks.attack import Attack
from training.attacks.goals import to_accepted, to_rejected
from training.attacks.gradient import Goal, value_and_gradient
from training.attacks.starts import uniform
from training.attacks.transfer import transferred
from training.graph import Scored
from training.metrics import Scores, auroc

BATCH = 250

Push = Callable[[Tensor], Tensor]
"""Images `(n, 3, H, W)` in [0, 1] to what an attack makes of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorer:
    """A classifier by one of its scores, higher more OOD."""

    classifier: Scored
    score: str

    @property
    def goals(self) -> tuple[Goal, Goal]:
        """What raises the score of in-distribution images, and what lowers that of outliers."""
        rejected = to_rejected(self.classifier, self.score)[0]
        return rejected, to_accepted(self.classifier, self.score)[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """The images, float `(n, 3, H, W)` and `(m, 3, H, W)` in [0, 1], and who scores them.

    Images go through in batches. The caller holds all networks still, with
    `training.attacks.gradient.frozen`.
    """

    victim: Scorer
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
        self, attack: Attack, source: Scorer, generator: torch.Generator
    ) -> float:
        """Return the AUROC with both sides attacked by way of `source`, and judged here."""
        pushes = [
            partial(transferred, attack, generator=generator, source=theirs, victim=ours)
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


def _bad(goal: Goal, images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    rows = torch.arange(len(images))
    bad = torch.zeros_like(rows, dtype=torch.bool)
    for point in (images, uniform(images, epsilon, generator)):
        gradient = value_and_gradient(goal, point, rows)[1].flatten(1)
        bad |= (gradient == 0).all(dim=1) | ~gradient.isfinite().all(dim=1)
    return bad
