"""A batch of images pushed through ascending budgets by a suite's gradient attack."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodguard.training.attacks.apgd import Apgd
from oodguard.training.attacks.base import (
    Attack,
    AttackObjective,
    BestIterates,
    Start,
    decontrasted,
    gaussian,
    restrict_to_rows,
    uniform,
    unperturbed,
)
from oodguard.training.attacks.ensemble import Ensemble, Member
from oodguard.training.attacks.pgd import Pgd
from oodguard.training.config.suites import Ascent


def whole_pixels(attacked: Tensor, clean: Tensor, epsilon_255: float) -> NDArray[np.uint8]:
    """Round float `(n, 3, H, W)` in [0, 1] to uint8 `(n, H, W, 3)` near uint8 `clean` of its shape.

    A value is at most the whole part of `epsilon_255` away from the clean one, so that an attack
    of less than one 255th changes nothing.
    """
    rounded = np.rint(attacked.permute(0, 2, 3, 1).numpy() * 255).astype(np.int16)
    centre, most = clean.numpy().astype(np.int16), int(epsilon_255 + 1e-6)
    near: NDArray[np.int16] = np.clip(rounded, centre - most, centre + most)
    return near.clip(0, 255).astype(np.uint8)


STARTS: tuple[Start, ...] = (uniform, decontrasted, unperturbed, gaussian)
"""The starts of the first restarts, in this order; further ones are uniform."""

BROKEN = 1e-6
"""A goal this far above 0 is above it beyond rounding."""


def gradient_attack(ascent: Ascent, epsilon_255: float, *, before: Tensor | None = None) -> Attack:
    """Return the gradient attack of one budget.

    `before` `(n, 3, H, W)` was found for the same images within a smaller budget: APGD starts from
    it in place of its first start, so that a larger budget never finds less.
    """
    epsilon = epsilon_255 / 255
    if ascent.kind == "pgd":
        step_size = (ascent.step_255 or 1.0) / 255
        return Pgd(epsilon=epsilon, steps=ascent.steps, step_size=step_size)
    fresh = (*STARTS, *(uniform,) * ascent.restarts)[: ascent.restarts]
    starts = fresh if before is None else (_from(before), *fresh[1:])
    return Apgd(epsilon=epsilon, steps=ascent.steps, starts=starts)


def run_attack(  # noqa: PLR0913  (a suite, and what goes through it)
    ascent: Ascent,
    goals: Sequence[AttackObjective],
    images: Tensor,
    budgets_255: Sequence[float],
    generator: torch.Generator,
    *,
    targeted: int,
) -> Iterator[tuple[float, Tensor]]:
    """Yield every budget with what was found within it for images `(n, 3, H, W)`, ascending.

    The first goal is climbed for all images, those that follow for the first `targeted`, of which
    whatever the first goal likes best is kept. The caller holds the network still.
    """
    found: Tensor | None = None
    for epsilon_255 in budgets_255:
        attack = gradient_attack(ascent, epsilon_255, before=found)
        found = attack(goals[0], images, generator)
        if targeted and len(goals) > 1:
            short = gradient_attack(ascent.model_copy(update={"restarts": 1}), epsilon_255)
            found = _with_targets(short, goals, images, found, generator, count=targeted)
        yield epsilon_255, found


def run_end_to_end_attack(
    steps: int,
    goal: AttackObjective,
    images: Tensor,
    budgets_255: Sequence[float],
    generator: torch.Generator,
) -> Iterator[tuple[float, Tensor]]:
    """Yield every budget with images `(n, 3, H, W)` pushed until the goal has come above 0.

    An image that a budget broke is left as it is by those after it; the others go on from what was
    found. The caller holds the network still.
    """
    found = images
    every = torch.arange(len(images))
    for epsilon_255 in budgets_255:
        with torch.no_grad():
            rows = every[goal(found, every) < BROKEN]
        if len(rows):
            start = uniform if found is images else _from(found[rows])
            attack = Apgd(epsilon=epsilon_255 / 255, steps=steps, starts=(start,), stop_at=BROKEN)
            found = found.clone()
            found[rows] = attack(restrict_to_rows(goal, rows), images[rows], generator)
        yield epsilon_255, found


def _with_targets(  # noqa: PLR0913  (two attacks, and what they were)
    attack: Attack,
    goals: Sequence[AttackObjective],
    images: Tensor,
    found: Tensor,
    generator: torch.Generator,
    *,
    count: int,
) -> Tensor:
    member = Member(name="targeted", attack=attack, goals=tuple(goals[1:]))
    worst = Ensemble(members=(member,), judge=goals[0])(images[:count], generator)
    rows = torch.arange(len(found))
    with torch.no_grad():
        best = BestIterates(found, goals[0](found, rows))
    best.offer(rows[:count], worst.images, worst.values)
    return best.images


def _from(before: Tensor) -> Start:
    def start(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
        return before.clone()

    return start
