"""Square attack: random search that needs no gradient."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from oodguard.training.attacks.base import AttackObjective, BestIterates, project

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries, as in the paper


@dataclass(frozen=True, kw_only=True, slots=True)
class Square:
    """Square attack for L-infinity: Andriushchenko et al. 2020, arXiv:1912.00049.

    The first query evaluates vertical stripes of +-epsilon around the image. Each further query
    sets one square at a random position of the best iterate to +-epsilon around the image, with
    one random sign per channel, and keeps it if the objective increases. A success where gradient
    attacks fail shows that the gradients are masked.

    The objective is evaluated at most `queries` times for each image, without the clean image.
    `share` is the area of the first squares as a share of the image's area. An image leaves the
    batch when its objective reaches `stop_at`.
    """

    epsilon: float
    queries: int
    share: float = 0.8
    stop_at: float | None = None

    @torch.no_grad()
    def __call__(
        self, objective: AttackObjective, images: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return, of all points queried, the images `(n, 3, H, W)` with the highest objective."""
        best = BestIterates.from_clean(objective, images)
        signs = _signs(images[:, :, :1, :], generator)
        stripes = project(images + self.epsilon * signs, images, self.epsilon)
        rows = best.unfinished(None)
        values = objective(stripes, rows)
        best.update(rows, stripes, values)
        # The search continues from the stripes even where the clean image is better.
        search = BestIterates(stripes, values)
        for share in _shares(self.queries - 1, self.share):
            rows = best.unfinished(self.stop_at)
            if len(rows) == 0:
                break
            proposed = self._with_square(search.images[rows], images[rows], share, generator)
            values = objective(proposed, rows)
            search.update(rows, proposed, values)
            best.update(rows, proposed, values)
        return best.images

    def _with_square(
        self, points: Tensor, centre: Tensor, share: float, generator: torch.Generator
    ) -> Tensor:
        height, width = points.shape[2:]
        side = max(round(math.sqrt(share * height * width)), 1)
        inside = _window(points, height, side, generator)[:, None, :, None]
        inside = inside & _window(points, width, side, generator)[:, None, None, :]
        signs = _signs(points[:, :, :1, :1], generator)
        return torch.where(
            inside, project(centre + self.epsilon * signs, centre, self.epsilon), points
        )


def _window(points: Tensor, length: int, side: int, generator: torch.Generator) -> Tensor:
    """Draw an interval of `side` out of `length` positions per point, as bool `(n, length)`."""
    side = min(side, length)
    shape = (len(points), 1)
    first = torch.randint(length - side + 1, shape, generator=generator, device=points.device)
    positions = torch.arange(length, device=points.device)
    return (positions >= first) & (positions < first + side)


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.empty_like(like).bernoulli_(0.5, generator=generator).mul_(2).sub_(1)


def _shares(queries: int, first: float) -> Iterator[float]:
    """Yield the square's share of the area for each query, by the paper's schedule."""
    for query in range(queries):
        scaled = query * 10_000 // queries
        yield first / 2 ** sum(scaled > halving for halving in HALVINGS)
