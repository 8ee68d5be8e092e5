"""Statistics from one pass over the training images: moments by class, and a random sample."""

import torch
from torch import Tensor

from oodguard.models.errors import RecipeError


class ClassMoments:
    """Counts `(K,)`, means `(K, D)` and the scatter matrix `(D, D)` within classes, in float64.

    Every batch is centred on its class means before squaring and merged by the update of Chan,
    Golub & LeVeque 1983. Sums of raw squares would lose the digits of a small variance next to a
    large mean. All covariances of the scores follow from these three statistics.
    """

    def __init__(self, *, classes: int, features: int) -> None:
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.means = torch.zeros(classes, features, dtype=torch.float64)
        self.within = torch.zeros(features, features, dtype=torch.float64)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add features `(n, D)` and labels `(n,)` of the next images."""
        wide = features.double()
        counts = torch.bincount(labels, minlength=len(self.counts)).double()
        sums = torch.zeros_like(self.means).index_add_(0, labels, wide)
        means = sums / counts.clamp(min=1)[:, None]
        centred = wide - means[labels]
        offset = means - self.means
        total = self.counts + counts
        share = counts / total.clamp(min=1)
        self.within += centred.T @ centred + offset.T @ ((share * self.counts)[:, None] * offset)
        self.means += share[:, None] * offset
        self.counts = total

    def check(self) -> None:
        """Check that every class has a mean.

        Raises:
            RecipeError: A class has no image.
        """
        empty = torch.nonzero(self.counts == 0).flatten().tolist()
        if empty:
            raise RecipeError(
                f"scores: the classes with numbers {empty} have no training image,"
                " expected at least one image of every class"
            )

    @property
    def mean(self) -> Tensor:
        """The mean `(D,)` of all features."""
        return self.counts @ self.means / self.counts.sum()

    @property
    def tied_covariance(self) -> Tensor:
        """The covariance `(D, D)` of features about their class means, shared by all classes."""
        return self.within / self.counts.sum()

    @property
    def between_covariance(self) -> Tensor:
        """The covariance `(D, D)` of the class means, weighted by the number of images."""
        return self._outer_products(self.mean)

    def second_moment(self, origin: Tensor) -> Tensor:
        """The mean outer product `(D, D)` of features about `origin` `(D,)`."""
        return self.tied_covariance + self._outer_products(origin)

    def _outer_products(self, origin: Tensor) -> Tensor:
        offset = self.means - origin
        return offset.T @ (self.counts[:, None] * offset) / self.counts.sum()


class Reservoir:
    """A uniform sample of `size` rows without replacement, or all rows if there are fewer.

    Every row draws a key from [0, 1), and the rows with the smallest keys are kept. The sample
    depends on the seed and on the order of the rows, but not on the batch size.
    """

    def __init__(self, *, size: int, width: int, seed: int) -> None:
        self.rows = torch.empty(0, width)
        self._size = size
        self._keys = torch.empty(0, dtype=torch.float64)
        self._generator = torch.Generator().manual_seed(seed)

    def update(self, rows: Tensor) -> None:
        """Add the next rows `(n, width)`."""
        drawn = torch.rand(len(rows), dtype=torch.float64, generator=self._generator)
        keys = torch.cat([self._keys, drawn])
        kept = keys.argsort()[: self._size]
        self._keys = keys[kept]
        self.rows = torch.cat([self.rows, rows])[kept]
