"""Square attack: random search with squares, which needs no gradient.

Andriushchenko et al. 2020, arXiv:1912.00049, for L-infinity. What it finds and the gradient attacks
do not tells that their gradients are masked.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from oodguard.training.attacks.base import AttackObjective, BestIterates, project

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries; the paper's


@dataclass(frozen=True, kw_only=True, slots=True)
class Square:
    """At most `queries` evaluations of the goal an image, besides that of the clean image.

    The first asks about vertical stripes of +-epsilon. Each one after that sets one square of the
    best point so far to +-epsilon, a sign a channel, and keeps it where the goal rises; `share` is
    the first squares' part of the image's area. Each image draws its own squares, and leaves the
    batch when its goal has come to `stop_at`. `epsilon` is in [0, 1] pixel units.
    """

    epsilon: float
    queries: int
    share: float = 0.8
    stop_at: float | None = None

    @torch.no_grad()
    def __call__(self, goal: AttackObjective, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return, of all points tried, the images `(n, 3, H, W)` with the highest goal."""
        best = BestIterates.of_clean(goal, images)
        stripes = self._stripes(images, generator)
        everywhere = best.open(None)
        values = goal(stripes, everywhere)
        best.offer(everywhere, stripes, values)
        search = BestIterates(
            stripes, values
        )  # which goes on from the stripes even if clean is better
        for share in _shares(self.queries - 1, self.share):
            rows = best.open(self.stop_at)
            if len(rows) == 0:
                break
            proposed = self._with_square(search.images[rows], images[rows], share, generator)
            values = goal(proposed, rows)
            search.offer(rows, proposed, values)
            best.offer(rows, proposed, values)
        return best.images

    def _stripes(self, images: Tensor, generator: torch.Generator) -> Tensor:
        signs = _signs(images[:, :, :1, :], generator)
        return project(images + self.epsilon * signs, images, self.epsilon)

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
    """Draw a run of `side` out of `length` for each point, as bool `(n, length)`."""
    side = min(side, length)
    shape = (len(points), 1)
    first = torch.randint(length - side + 1, shape, generator=generator, device=points.device)
    place = torch.arange(length, device=points.device)
    return (place >= first) & (place < first + side)


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.empty_like(like).bernoulli_(0.5, generator=generator).mul_(2).sub_(1)


def _shares(queries: int, first: float) -> Iterator[float]:
    """Yield the square's part of the area for each query; halved as the paper's schedule says."""
    for query in range(queries):
        passed = query * 10_000 // queries
        yield first / 2 ** sum(passed > halving for halving in HALVINGS)
