"""APGD: projected gradient ascent with momentum that chooses its own step size."""

from collections.abc import Iterator
from dataclasses import dataclass

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

MOMENTUM = 0.75  # alpha in the paper: the weight of the new step; the rest is the previous move's
MIN_INCREASES = 0.75  # rho in the paper: the share of steps that has to increase the objective


@dataclass(frozen=True, kw_only=True, slots=True)
class Apgd:
    """Auto-PGD (APGD): Croce and Hein 2020, arXiv:2003.01690.

    With step size eta, alpha = 0.75 and P the projection onto the ball and [0, 1]:

        z_{t+1} = P(x_t + eta sign(grad J(x_t)))
        x_{t+1} = P(x_t + alpha (z_{t+1} - x_t) + (1 - alpha) (x_t - x_{t-1}))

    eta starts at 2 epsilon. At checkpoints whose distance shrinks from 22 % to 6 % of the steps,
    eta is halved for every image whose objective increased in at most 75 % of the steps since the
    last checkpoint, or whose best value did not change although eta was not halved there; such an
    image continues from its best iterate.

    Where the paper and its authors' code differ, this follows the code, which is stronger in few
    steps: checkpoints are rounded down, exactly 75 % of increases is too few, and after a return
    to the best iterate the next value is compared with the one before the return.

    The attack runs once from each of `starts`; the best iterate of all runs is the result. An image
    leaves the batch when its objective reaches `stop_at`.
    """

    epsilon: float
    steps: int
    starts: tuple[Start, ...] = (uniform,)
    stop_at: float | None = None

    def __call__(
        self, objective: AttackObjective, images: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return, of all iterates and the clean image, those with the highest objective."""
        best = BestIterates.from_clean(objective, images)
        for start in self.starts:
            rows = best.unfinished(self.stop_at)
            if len(rows) == 0:
                break
            point = start(images, self.epsilon, generator)[rows]
            state = _State(objective, rows, images[rows], point, self.epsilon)
            best.update(rows, point, state.value)
            self._run(objective, state, best)
        return best.images

    def _run(self, objective: AttackObjective, state: "_State", best: BestIterates) -> None:
        """Take all steps, or stop when no image is left."""
        checkpoints = dict(_checkpoints(self.steps))
        for step in range(1, self.steps + 1):
            if self.stop_at is not None:
                state.keep(~(state.best_value >= self.stop_at))
                if len(state.rows) == 0:
                    return
            state.move(self.epsilon, MOMENTUM if step > 1 else 1.0)
            value, gradient = value_and_gradient(objective, state.point, state.rows)
            best.update(state.rows, state.point, value)
            state.record(value, gradient)
            if step in checkpoints:
                state.check(checkpoints[step])


class _State:
    """State of the `m` images that are still attacked; every attribute has `m` entries."""

    def __init__(
        self,
        objective: AttackObjective,
        rows: Tensor,
        centre: Tensor,
        point: Tensor,
        epsilon: float,
    ) -> None:
        value, gradient = value_and_gradient(objective, point, rows)
        self.rows, self.centre = rows, centre
        self.point, self.previous, self.best_point = point, point, point
        self.gradient, self.best_gradient = gradient, gradient
        self.value, self.best_value = value, nan_to_lowest(value)
        self.step_size = torch.full_like(point[:, :1, :1, :1], 2 * epsilon)
        self.increases = torch.zeros_like(rows)  # since the last checkpoint
        self.best_value_at_checkpoint = nan_to_lowest(value)
        self.halved_at_checkpoint = torch.zeros_like(rows, dtype=torch.bool)

    def keep(self, chosen: Tensor) -> None:
        """Continue with the images `chosen`, bool `(m,)`, only."""
        if not chosen.all():
            for name, tensor in vars(self).items():
                setattr(self, name, tensor[chosen])

    def move(self, epsilon: float, momentum: float) -> None:
        """Take a signed step with the weight `momentum`; the previous move has the rest."""
        stepped = project(self.point + self.step_size * self.gradient.sign(), self.centre, epsilon)
        moved = self.point + momentum * (stepped - self.point)
        moved += (1 - momentum) * (self.point - self.previous)
        self.previous, self.point = self.point, project(moved, self.centre, epsilon)

    def record(self, value: Tensor, gradient: Tensor) -> None:
        """Record the objective and its gradient at the current point."""
        self.increases = self.increases + (value > self.value)
        self.value, self.gradient = value, gradient
        better = value > self.best_value
        self.best_point = _where(better, self.point, self.best_point)
        self.best_gradient = _where(better, gradient, self.best_gradient)
        self.best_value = torch.where(better, value, self.best_value)

    def check(self, steps: int) -> None:
        """Halve the step size of images without progress in the `steps` since the last checkpoint.

        They continue from their best iterate.
        """
        stuck = (self.best_value == self.best_value_at_checkpoint) & ~self.halved_at_checkpoint
        halved = (self.increases <= MIN_INCREASES * steps) | stuck
        self.step_size = _where(halved, self.step_size / 2, self.step_size)
        self.point = _where(halved, self.best_point, self.point)
        self.gradient = _where(halved, self.best_gradient, self.gradient)
        self.halved_at_checkpoint, self.best_value_at_checkpoint = halved, self.best_value
        self.increases = torch.zeros_like(self.increases)


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Select whole images: from `one` where `chosen` `(m,)`, else from `other`."""
    return torch.where(chosen[:, None, None, None], one, other)


def _checkpoints(steps: int) -> Iterator[tuple[int, int]]:
    """Yield each checkpoint as its step and the number of steps since the one before.

    The first interval is 22 % of the steps. Each is 3 % shorter than the one before, down to 6 %.
    All three are rounded down to whole steps, but not below 1.
    """
    width, decrease, least = (max(percent * steps // 100, 1) for percent in (22, 3, 6))
    step = width
    while step <= steps:
        yield step, width
        width = max(width - decrease, least)
        step += width
