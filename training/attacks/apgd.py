"""APGD: projected gradient ascent with momentum that finds its own step size.

Croce and Hein 2020, arXiv:2003.01690. The step begins at twice epsilon and is halved, image by
image, at checkpoints that come closer and closer, where the goal no longer rises often stop_at; the
image then goes on from its best point. There is nothing to tune but the number of steps.

Where the paper and its authors' code differ this is the code's way, which finds more in few steps:
checkpoints are rounded down, three rises of four are too few, and after a return to the best point
the next value is held against the one before the return.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from oodguard.training.attacks.base import (
    AttackObjective,
    BestIterates,
    Start,
    nan_to_lowest,
    project,
    uniform,
    value_and_gradient,
)

MOMENTUM = 0.75  # the weight of the new step; the rest is the last move's

TOO_FEW_RISES = 0.75  # of the steps since the last checkpoint; the paper's rho


@dataclass(frozen=True, kw_only=True, slots=True)
class Apgd:
    """`steps` steps once from each of `starts`; each image's best iterate of all of them counts.

    The unperturbed image and every start are candidates. An image whose goal has come to `stop_at`
    is broken and leaves the batch, so that the others become cheaper. `epsilon` is in [0, 1] pixel
    units.
    """

    epsilon: float
    steps: int
    starts: tuple[Start, ...] = (uniform,)
    stop_at: float | None = None

    def __call__(self, goal: AttackObjective, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return, of all points tried, the images `(n, 3, H, W)` with the highest goal."""
        best = BestIterates.of_clean(goal, images)
        for start in self.starts:
            rows = best.open(self.stop_at)
            if len(rows) == 0:
                break
            self._climb(goal, images, rows, start(images[rows], self.epsilon, generator), best)
        return best.images

    def _climb(
        self, goal: AttackObjective, images: Tensor, rows: Tensor, point: Tensor, best: BestIterates
    ) -> None:
        value, gradient = value_and_gradient(goal, point, rows)
        best.offer(rows, point, value)
        climb = _Climb.begin(
            rows,
            centre=images[rows],
            point=point,
            value=value,
            gradient=gradient,
            step_size=2 * self.epsilon,
        )
        checkpoints = dict(_checkpoints(self.steps))
        for step in range(1, self.steps + 1):
            if self.stop_at is not None:
                climb.keep(~(climb.highest >= self.stop_at))
                if len(climb.rows) == 0:
                    return
            climb.move(self.epsilon, MOMENTUM if step > 1 else 1.0)
            value, gradient = value_and_gradient(goal, climb.point, climb.rows)
            best.offer(climb.rows, climb.point, value)
            climb.see(value, gradient)
            if step in checkpoints:
                climb.check(checkpoints[step])


@dataclass(slots=True)
class _Climb:
    """Where each of the `m` images that are still climbed stands; all fields have `m` entries."""

    rows: Tensor
    centre: Tensor
    point: Tensor
    previous: Tensor
    value: Tensor
    gradient: Tensor
    peak: Tensor
    peak_gradient: Tensor
    highest: Tensor
    step_size: Tensor  # (m, 1, 1, 1)
    rises: Tensor  # since the last checkpoint
    highest_at_check: Tensor
    halved_at_check: Tensor

    @classmethod
    def begin(  # noqa: PLR0913  (what a climb begins with)
        cls,
        rows: Tensor,
        *,
        centre: Tensor,
        point: Tensor,
        value: Tensor,
        gradient: Tensor,
        step_size: float,
    ) -> Self:
        """Begin at `point`, where the goal has this value and gradient."""
        return cls(
            rows=rows,
            centre=centre,
            point=point,
            previous=point,
            value=value,
            gradient=gradient,
            peak=point,
            peak_gradient=gradient,
            highest=nan_to_lowest(value),
            step_size=torch.full_like(point[:, :1, :1, :1], step_size),
            rises=torch.zeros_like(rows),
            highest_at_check=nan_to_lowest(value),
            halved_at_check=torch.zeros_like(rows, dtype=torch.bool),
        )

    def keep(self, chosen: Tensor) -> None:
        """Go on with the images `chosen` `(m,)` alone."""
        if chosen.all():
            return
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[chosen])

    def move(self, epsilon: float, fresh: float) -> None:
        """Take a signed step; `fresh` is its weight against the last move's."""
        stepped = project(self.point + self.step_size * self.gradient.sign(), self.centre, epsilon)
        moved = self.point + fresh * (stepped - self.point)
        moved += (1 - fresh) * (self.point - self.previous)
        self.previous, self.point = self.point, project(moved, self.centre, epsilon)

    def see(self, value: Tensor, gradient: Tensor) -> None:
        """Take note of the goal at the point."""
        self.rises = self.rises + (value > self.value)
        self.value, self.gradient = value, gradient
        better = value > self.highest
        self.peak = _where(better, self.point, self.peak)
        self.peak_gradient = _where(better, gradient, self.peak_gradient)
        self.highest = torch.where(better, value, self.highest)

    def check(self, steps: int) -> None:
        """Halve the step of the images that rise no more, which go on from their best point.

        Such are those that rose in no more than three quarters of the `steps` since the last
        checkpoint, and those that have found nothing better since then although their step was not
        halved there.
        """
        stuck = (self.highest == self.highest_at_check) & ~self.halved_at_check
        halved = (self.rises <= TOO_FEW_RISES * steps) | stuck
        self.step_size = _where(halved, self.step_size / 2, self.step_size)
        self.point = _where(halved, self.peak, self.point)
        self.gradient = _where(halved, self.peak_gradient, self.gradient)
        self.halved_at_check, self.highest_at_check = halved, self.highest
        self.rises = torch.zeros_like(self.rises)


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return the images of `one` where `chosen` `(m,)` and else those of `other`."""
    return torch.where(chosen[:, None, None, None], one, other)


def _checkpoints(steps: int) -> Iterator[tuple[int, int]]:
    """Yield the steps after which progress is checked, each with the steps since the one before.

    The first is after 22 % of the steps, and each interval is shorter than the last by 3 % of them
    until it is 6 %; all three are rounded down, but not below one step.
    """
    width, less, least = (max(percent * steps // 100, 1) for percent in (22, 3, 6))
    step = width
    while step <= steps:
        yield step, width
        width = max(width - less, least)
        step += width
