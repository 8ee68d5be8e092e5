"""Mahalanobis distances of the features, with a regularized covariance."""

import torch
from torch import Tensor, nn

from oodguard.models.errors import RecipeError
from oodguard.models.scores.base import FitContext
from oodguard.models.scores.statistics import ClassMoments

SMALLEST_VARIANCE = 1e-6
"""The smallest variance of any direction, as a fraction of the largest."""


def whitening(covariance: Tensor) -> Tensor:
    """Return W `(D, D)` such that |x W|^2 = x' C^-1 x, in float64.

    The eigenvalues of C are raised to at least 1e-6 of the largest. A direction without variance
    in the training images, such as a dead unit, has no inverse. A pseudo-inverse would ignore it,
    although an image that varies in this direction is out-of-distribution. Smaller variances cannot
    be distinguished from the rounding of float32 features.

    Raises:
        RecipeError: The covariance is zero or not finite.
    """
    if not torch.isfinite(covariance).all():
        raise RecipeError(
            "scores: the features of the training images are not finite, expected finite values"
        )
    variances, directions = torch.linalg.eigh(covariance)
    largest = variances[-1].item()
    if largest <= 0:
        raise RecipeError("scores: the features of the training images have no variance")
    deviations: Tensor = variances.clamp(min=SMALLEST_VARIANCE * largest).sqrt()
    whiten: Tensor = directions / deviations
    return whiten


def nearest_squared_distance(points: Tensor, centres: Tensor) -> Tensor:
    """Return the squared distance `(n,)` of points `(n, D)` to their nearest of centres `(K, D)`.

    The nearest centre is found by a matrix product, which needs no array `(n, K, D)`. Its distance
    is computed from the difference, which keeps the digits that the product loses.
    """
    with torch.no_grad():
        nearest = (centres.square().sum(dim=1) - 2 * points @ centres.T).argmin(dim=1)
    return (points - centres[nearest]).square().sum(dim=1)


class Mahalanobis(nn.Module):
    """min_k (f - mu_k)' C^-1 (f - mu_k); higher means more OOD.

    Lee et al. 2018, arXiv:1807.03888. mu_k is the mean of class k, and C is the covariance within
    the classes. The features are those of the penultimate layer; the paper also combines several
    layers by a regression on out-of-distribution images.
    """

    centre: Tensor
    whitening: Tensor
    class_means: Tensor

    def __init__(self, moments: ClassMoments) -> None:
        super().__init__()
        moments.check()
        whiten = whitening(moments.tied_covariance)
        self.register_buffer("centre", moments.mean.float())
        self.register_buffer("whitening", whiten.float())
        self.register_buffer("class_means", ((moments.means - moments.mean) @ whiten).float())

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the squared distances `(n,)` of features `(n, D)`."""
        return nearest_squared_distance(self._whitened(features), self.class_means)

    @property
    def targets(self) -> int:
        """The number of classes."""
        return len(self.class_means)

    def toward(self, target: int, features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the squared distances `(n,)` of features `(n, D)` to one class."""
        return (self._whitened(features) - self.class_means[target]).square().sum(dim=1)

    def _whitened(self, features: Tensor) -> Tensor:
        return (features - self.centre) @ self.whitening


class RelativeMahalanobis(nn.Module):
    """min_k d_k^2 - d_0^2; higher means more OOD. Ren et al. 2021, arXiv:2106.09022.

    d_k is the Mahalanobis distance to class k under the covariance C within the classes. d_0 is the
    distance under one Gaussian over all training images with covariance C + B, where B is the
    covariance of the class means. It removes variation that all classes share.

    C^-1 - (C + B)^-1 has the rank of B, at most K - 1. In coordinates t with C = I and
    B = diag(b), only these K - 1 coordinates contribute, and the score is

        min_k |t - t_k|^2 - sum_i t_i^2 / (1 + b_i).

    The direct formula would be a small difference of two large numbers, which exceeds the
    precision of float32.
    """

    centre: Tensor
    projection: Tensor
    class_means: Tensor
    background: Tensor

    def __init__(self, moments: ClassMoments) -> None:
        super().__init__()
        moments.check()
        whiten = whitening(moments.tied_covariance)
        between, axes = torch.linalg.eigh(whiten.T @ moments.between_covariance @ whiten)
        kept = min(len(between), len(moments.means) - 1)
        projection = whiten @ axes[:, -kept:]
        self.register_buffer("centre", moments.mean.float())
        self.register_buffer("projection", projection.float())
        self.register_buffer("class_means", ((moments.means - moments.mean) @ projection).float())
        self.register_buffer("background", (1 / (1 + between[-kept:])).float())

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the differences `(n,)` of squared distances of features `(n, D)`."""
        projected = self._projected(features)
        return nearest_squared_distance(projected, self.class_means) - self._to_all(projected)

    @property
    def targets(self) -> int:
        """The number of classes."""
        return len(self.class_means)

    def toward(self, target: int, features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the difference `(n,)` for features `(n, D)` and one class."""
        projected = self._projected(features)
        to_class = (projected - self.class_means[target]).square().sum(dim=1)
        return to_class - self._to_all(projected)

    def _projected(self, features: Tensor) -> Tensor:
        return (features - self.centre) @ self.projection

    def _to_all(self, projected: Tensor) -> Tensor:
        return (projected.square() * self.background).sum(dim=1)


class MahalanobisFit:
    """Collect the moments of which `score` is built."""

    def __init__(
        self,
        score: type[Mahalanobis] | type[RelativeMahalanobis],
        context: FitContext,
    ) -> None:
        self._score = score
        self._moments = ClassMoments(classes=context.classes, features=context.features)

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:  # noqa: ARG002
        """Add features `(n, D)` and labels `(n,)`."""
        self._moments.update(features, labels)

    def finish(self) -> Mahalanobis | RelativeMahalanobis:
        """Return the score."""
        return self._score(self._moments)
