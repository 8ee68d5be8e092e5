"""Distances under a Gaussian with a regularized covariance."""

import torch
from torch import Tensor

from oodguard.models.errors import RecipeError

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
