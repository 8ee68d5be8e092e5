"""First and second moments of features by class, from one pass over them."""

import torch
from torch import Tensor

from oodguard.models.errors import RecipeError


class ClassMoments:
    """Counts `(K,)`, means `(K, D)` and the scatter `(D, D)` within classes, in float64.

    A batch is centred on its own class means before it is squared, and merged by the update of
    Chan, Golub & LeVeque 1983: sums of raw squares would lose the digits that a small variance
    beside a large mean needs. Every covariance that the scores want follows from these three.
    """

    def __init__(self, *, classes: int, features: int) -> None:
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.means = torch.zeros(classes, features, dtype=torch.float64)
        self.within = torch.zeros(features, features, dtype=torch.float64)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """See features `(n, D)` and labels `(n,)` of the next images."""
        wide = features.double()
        counts = torch.bincount(labels, minlength=len(self.counts)).double()
        sums = torch.zeros_like(self.means).index_add_(0, labels, wide)
        means = sums / counts.clamp(min=1)[:, None]
        centred = wide - means[labels]
        apart = means - self.means
        total = self.counts + counts
        share = counts / total.clamp(min=1)
        self.within += centred.T @ centred + apart.T @ ((share * self.counts)[:, None] * apart)
        self.means += share[:, None] * apart
        self.counts = total

    def check(self) -> None:
        """See that every class has a mean.

        Raises:
            RecipeError: of some class no image was seen.
        """
        empty = torch.nonzero(self.counts == 0).flatten().tolist()
        if empty:
            raise RecipeError(
                f"scores: no training image of the classes numbered {empty};"
                " at least one of every class was wanted to fit on"
            )

    @property
    def mean(self) -> Tensor:
        """The mean `(D,)` of all features."""
        return self.counts @ self.means / self.counts.sum()

    @property
    def tied_covariance(self) -> Tensor:
        """The covariance `(D, D)` that all classes share, of features about their class means."""
        return self.within / self.counts.sum()

    @property
    def between_covariance(self) -> Tensor:
        """The covariance `(D, D)` of the class means, each as often as it has images."""
        return self._outer_products(self.mean)

    def second_moment(self, origin: Tensor) -> Tensor:
        """The mean `(D, D)` of outer products of features about `origin` `(D,)`."""
        return self.tied_covariance + self._outer_products(origin)

    def _outer_products(self, origin: Tensor) -> Tensor:
        apart = self.means - origin
        return apart.T @ (self.counts[:, None] * apart) / self.counts.sum()
