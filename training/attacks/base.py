"""What an attack climbs, and its gradient with respect to the pixels."""

from collections.abc import Callable
from typing import Protocol, Self

import torch
from torch import Tensor

AttackObjective = Callable[[Tensor, Tensor], Tensor]
"""What an attack maximises: `(images, rows)` to one value an image `(n,)`.

`images` `(n, 3, H, W)` are pixels in [0, 1]; `rows` `(n,)` say which of the attacked images these
are, for a goal that holds something for each of them, such as labels: an attack may ask about some
of its images only. The network behind a goal is held still by the caller, with `frozen`.
"""


def value_and_gradient(
    goal: AttackObjective, images: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the goal `(n,)` at `images` and its gradient `(n, 3, H, W)`, both detached."""
    images = images.detach().requires_grad_(True)
    with torch.enable_grad():
        value = goal(images, rows)
        (gradient,) = torch.autograd.grad(value.sum(), images)
    return value.detach(), gradient


def restrict_to_rows(goal: AttackObjective, chosen: Tensor) -> AttackObjective:
    """Return the goal for an attack that is given the images `chosen` `(m,)` alone."""

    def chosen_alone(images: Tensor, rows: Tensor) -> Tensor:
        return goal(images, chosen[rows])

    return chosen_alone


class Attack(Protocol):
    """One attack with its budget.

    The caller holds the network behind the goal still, with `training.attacks.gradient.frozen`.
    """

    def __call__(self, goal: AttackObjective, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images `(n, 3, H, W)` in [0, 1], near `images`, where the goal is high."""
        ...


def project(images: Tensor, centre: Tensor, epsilon: float) -> Tensor:
    """Return the point nearest to `images` that is within `epsilon` of `centre` and in [0, 1]."""
    return torch.clamp(
        torch.minimum(torch.maximum(images, centre - epsilon), centre + epsilon), 0, 1
    )


class BestIterates:
    """Images `(n, 3, H, W)` and their goals `(n,)`, the highest that were offered.

    It begins with the clean images, so an attack that returns it never reports less than no attack.
    A goal that is not a number counts as lower than every number.
    """

    def __init__(self, images: Tensor, values: Tensor) -> None:
        self.images = images.detach().clone()
        self.values = nan_to_lowest(values)

    @classmethod
    @torch.no_grad()
    def of_clean(cls, goal: AttackObjective, images: Tensor) -> Self:
        """Begin with the images as they are."""
        return cls(images, goal(images, torch.arange(len(images), device=images.device)))

    def offer(self, rows: Tensor, images: Tensor, values: Tensor) -> Tensor:
        """Take what is better of `images`, found for the images `rows`; say which, `(m,)` bool."""
        values = nan_to_lowest(values)
        better = values > self.values[rows]
        taken = rows[better]
        self.images[taken] = images[better]
        self.values[taken] = values[better]
        return better

    def open(self, stop_at: float | None) -> Tensor:
        """Return the rows of the images that are still below `stop_at`; all of them for None."""
        if stop_at is None:
            return torch.arange(len(self.values), device=self.values.device)
        return torch.nonzero(self.values < stop_at).squeeze(1)


def nan_to_lowest(values: Tensor) -> Tensor:
    """Return a copy of goals `(n,)` where what is not a number ranks below every number."""
    return values.detach().nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


Start = Callable[[Tensor, float, torch.Generator], Tensor]
"""`(images (n, 3, H, W) in [0, 1], epsilon, generator)` to images in the balls around them."""

GAUSSIAN_SIGMA = 1e-4  # in [0, 1] pixel units; ProoD's own


def unperturbed(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Begin at the images themselves."""
    return images.clone()


def uniform(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Draw uniformly from the ball, cut to [0, 1].

    Real-valued: noise cut to whole 255ths would be zero at the smallest budgets.
    """
    noise = torch.empty_like(images).uniform_(-epsilon, epsilon, generator=generator)
    return torch.clamp(images + noise, 0, 1)


def decontrasted(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Move every value towards its image's mean as far as the ball allows.

    Bitterwolf et al. 2022 (ProoD), arXiv:2106.04260: a flat picture is one that detectors of
    out-of-distribution images tend to be sure of.
    """
    grey = images.mean(dim=(1, 2, 3), keepdim=True)
    return project(grey.expand_as(images), images, epsilon)


def gaussian(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Add normal noise of standard deviation 1e-4, cut to the ball and to [0, 1].

    Bitterwolf et al. 2022 (ProoD), arXiv:2106.04260: next to the image, but off the point at which
    its gradient may have been made to vanish.
    """
    noise = torch.empty_like(images).normal_(0, GAUSSIAN_SIGMA, generator=generator)
    return project(images + noise, images, epsilon)
