"""Parts that all attacks share: objective, gradient, projection, best iterates and start points."""

from collections.abc import Callable
from typing import Protocol, Self

import torch
from torch import Tensor

AttackObjective = Callable[[Tensor, Tensor], Tensor]
"""An objective that an attack maximizes: `(images, rows)` to one value per image, `(n,)`.

`images` `(n, 3, H, W)` are pixels in [0, 1]. `rows` `(n,)` are the positions of these images among
all attacked images: an objective looks up per-image data, such as labels, by them, and an attack
may evaluate a subset. The caller freezes the network with `scoring.network.frozen`.
"""


class Attack(Protocol):
    """An attack with its budget. The caller freezes the network with `scoring.network.frozen`."""

    def __call__(
        self, objective: AttackObjective, images: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return images `(n, 3, H, W)` in [0, 1], close to `images`, with a high objective."""


def value_and_gradient(
    objective: AttackObjective, images: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the objective `(n,)` at `images` and its gradient `(n, 3, H, W)`, both detached."""
    images = images.detach().requires_grad_(True)
    with torch.enable_grad():
        value = objective(images, rows)
        (gradient,) = torch.autograd.grad(value.sum(), images)
    return value.detach(), gradient


def restrict_to_rows(objective: AttackObjective, chosen: Tensor) -> AttackObjective:
    """Return the objective for an attack on the images `chosen` `(m,)` only."""

    def restricted(images: Tensor, rows: Tensor) -> Tensor:
        return objective(images, chosen[rows])

    return restricted


def project(images: Tensor, centre: Tensor, epsilon: float) -> Tensor:
    """Project `images` onto the L-infinity ball of radius `epsilon` around `centre` and [0, 1]."""
    return torch.clamp(
        torch.minimum(torch.maximum(images, centre - epsilon), centre + epsilon), 0, 1
    )


def nan_to_lowest(values: Tensor) -> Tensor:
    """Return a detached copy of `values` in which NaN is -inf, below every number."""
    return values.detach().nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


class BestIterates:
    """The iterates `images` `(n, 3, H, W)` with the highest objectives, `values` `(n,)`.

    NaN counts as -inf.
    """

    def __init__(self, images: Tensor, values: Tensor) -> None:
        self.images = images.detach().clone()
        self.values = nan_to_lowest(values)

    @classmethod
    @torch.no_grad()
    def from_clean(cls, objective: AttackObjective, images: Tensor) -> Self:
        """Start with the clean images, so that an attack never ends below no attack."""
        return cls(images, objective(images, torch.arange(len(images), device=images.device)))

    def update(self, rows: Tensor, images: Tensor, values: Tensor) -> Tensor:
        """Keep each of `images`, iterates of `rows`, whose value is higher than the best so far.

        Returns:
            Which of them were kept, bool `(m,)`. A tie keeps the earlier iterate.
        """
        values = nan_to_lowest(values)
        better = values > self.values[rows]
        improved = rows[better]
        self.images[improved] = images[better]
        self.values[improved] = values[better]
        return better

    def unfinished(self, stop_at: float | None) -> Tensor:
        """Return the rows whose best value is below `stop_at`; all rows for None."""
        if stop_at is None:
            return torch.arange(len(self.values), device=self.values.device)
        return torch.nonzero(self.values < stop_at).squeeze(1)


Start = Callable[[Tensor, float, torch.Generator], Tensor]
"""`(images, epsilon, generator)` to a start point for each image, `(n, 3, H, W)` in its ball."""

GAUSSIAN_SIGMA = 1e-4  # in [0, 1] pixel units, as in ProoD


def unperturbed(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Start at the images themselves."""
    return images.clone()


def uniform(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Draw uniformly from the ball, clamped to [0, 1].

    The noise is real-valued: rounded to multiples of 1/255 it would be zero for small epsilons.
    """
    noise = torch.empty_like(images).uniform_(-epsilon, epsilon, generator=generator)
    return torch.clamp(images + noise, 0, 1)


def decontrasted(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Move every value towards the mean of its image, as far as the ball allows.

    Bitterwolf et al. 2022 (ProoD), arXiv:2106.04260: detectors tend to be confident about images
    of low contrast.
    """
    grey = images.mean(dim=(1, 2, 3), keepdim=True)
    return project(grey.expand_as(images), images, epsilon)


def gaussian(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Add normal noise of standard deviation 1e-4, projected onto the ball and [0, 1].

    Bitterwolf et al. 2022 (ProoD), arXiv:2106.04260: close to the image, but not at the exact point
    where its gradient may vanish.
    """
    noise = torch.empty_like(images).normal_(0, GAUSSIAN_SIGMA, generator=generator)
    return project(images + noise, images, epsilon)
