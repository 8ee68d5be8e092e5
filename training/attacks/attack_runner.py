"""Attack a batch of images with the suite's gradient attack, within ascending epsilons."""

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
from oodguard.training.attacks.pgd import Pgd
from oodguard.training.config.suites import SuiteAttack

STARTS: tuple[Start, ...] = (uniform, decontrasted, unperturbed, gaussian)
"""The starts of the first restarts, in this order; further restarts are uniform."""

SUCCESS = 1e-6
"""An end-to-end objective this far above 0 is above 0 beyond rounding."""


def gradient_attack(  # noqa: PLR0913  (overrides by keyword)
    settings: SuiteAttack,
    epsilon: float,
    *,
    start_from: Tensor | None = None,
    steps: int | None = None,
    restarts: int | None = None,
    step_scale: float = 1.0,
) -> Attack:
    """Return the suite's gradient attack for one epsilon.

    `start_from` are images `(n, 3, H, W)` found for the same images within a smaller epsilon. APGD
    starts from them in place of its first start, so a larger epsilon never finds less. `steps` and
    `restarts` replace the suite's, and `step_scale` is a factor of PGD's step size.
    """
    steps = steps or settings.steps
    if settings.kind == "pgd":
        step_size = (settings.step_size or 1 / 255) * step_scale
        return Pgd(epsilon=epsilon, steps=steps, step_size=step_size)
    restarts = restarts or settings.restarts
    starts = (*STARTS, *(uniform,) * restarts)[:restarts]
    if start_from is not None:
        starts = (_from(start_from), *starts[1:])
    return Apgd(epsilon=epsilon, steps=steps, starts=starts)


def run_attack(  # noqa: PLR0913  (an attack and its images)
    settings: SuiteAttack,
    objectives: Sequence[AttackObjective],
    images: Tensor,
    epsilons: Sequence[float],
    generator: torch.Generator,
    *,
    targeted: int,
) -> Iterator[tuple[float, Tensor]]:
    """Attack images within each epsilon; the caller freezes the network.

    The first of the objectives, the direct one, is maximized for all images. The other, targeted
    ones are maximized for the first `targeted` images too; a result counts if it is better by the
    direct objective. The epsilons are ascending.

    Yields:
        Each epsilon and the attacked images `(n, 3, H, W)`.
    """
    direct, *others = objectives
    found: Tensor | None = None
    rows = torch.arange(len(images))
    for epsilon in epsilons:
        found = gradient_attack(settings, epsilon, start_from=found)(direct, images, generator)
        if targeted and others:
            attack = gradient_attack(settings, epsilon, restarts=1)
            with torch.no_grad():
                best = BestIterates(found, direct(found, rows))
            for objective in others:
                attacked = attack(objective, images[:targeted], generator)
                with torch.no_grad():
                    best.update(rows[:targeted], attacked, direct(attacked, rows[:targeted]))
            found = best.images
        yield epsilon, found


def run_end_to_end_attack(
    steps: int,
    objective: AttackObjective,
    images: Tensor,
    epsilons: Sequence[float],
    generator: torch.Generator,
) -> Iterator[tuple[float, Tensor]]:
    """Attack images with APGD until the objective is above 0; the caller freezes the network.

    An image that succeeded within one epsilon is not changed within a larger one; the others
    continue from what was found.

    Yields:
        Each epsilon, ascending, and the attacked images `(n, 3, H, W)`.
    """
    found = images
    every = torch.arange(len(images))
    for epsilon in epsilons:
        with torch.no_grad():
            rows = every[objective(found, every) < SUCCESS]
        if len(rows):
            start = uniform if found is images else _from(found[rows])
            attack = Apgd(epsilon=epsilon, steps=steps, starts=(start,), stop_at=SUCCESS)
            found = found.clone()
            found[rows] = attack(restrict_to_rows(objective, rows), images[rows], generator)
        yield epsilon, found


def to_uint8(attacked: Tensor, clean: Tensor, epsilon: float) -> NDArray[np.uint8]:
    """Round attacked images to uint8 without leaving the ball around the clean ones.

    Maps float `(n, 3, H, W)` in [0, 1] to uint8 `(n, H, W, 3)`, the shape of `clean`. The largest
    change of a value is epsilon * 255 rounded down: an epsilon below 1/255 changes nothing.
    """
    rounded = np.rint(attacked.permute(0, 2, 3, 1).numpy() * 255).astype(np.int16)
    centre, most = clean.numpy().astype(np.int16), int(epsilon * 255 + 1e-6)
    near: NDArray[np.int16] = np.clip(rounded, centre - most, centre + most)
    return near.clip(0, 255).astype(np.uint8)


def _from(points: Tensor) -> Start:
    def start(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
        return points.clone()

    return start
