"""The best point that an attack has found for each image so far."""

from typing import Self

import torch
from torch import Tensor

from training.attacks.gradient import Goal


class Best:
    """Images `(n, 3, H, W)` and their goals `(n,)`, the highest that were offered.

    It begins with the clean images, so an attack that returns it never reports less than no attack.
    A goal that is not a number counts as lower than every number.
    """

    def __init__(self, images: Tensor, values: Tensor) -> None:
        self.images = images.detach().clone()
        self.values = ranked(values)

    @classmethod
    @torch.no_grad()
    def of_clean(cls, goal: Goal, images: Tensor) -> Self:
        """Begin with the images as they are."""
        return cls(images, goal(images, torch.arange(len(images), device=images.device)))

    def offer(self, rows: Tensor, images: Tensor, values: Tensor) -> Tensor:
        """Take what is better of `images`, found for the images `rows`; say which, `(m,)` bool."""
        values = ranked(values)
        better = values > self.values[rows]
        taken = rows[better]
        self.images[taken] = images[better]
        self.values[taken] = values[better]
        return better

    def open(self, enough: float | None) -> Tensor:
        """Return the rows of the images that are still below `enough`; all of them for None."""
        if enough is None:
            return torch.arange(len(self.values), device=self.values.device)
        return torch.nonzero(self.values < enough).squeeze(1)


def ranked(values: Tensor) -> Tensor:
    """Return a copy of goals `(n,)` where what is not a number ranks below every number."""
    return values.detach().nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
