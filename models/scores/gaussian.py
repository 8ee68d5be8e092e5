"""Distances under a Gaussian, with care for directions in which it hardly varies."""

import torch
from torch import Tensor

from oodguard.models.errors import RecipeError

SMALLEST_VARIANCE = 1e-6
"""The least variance of any direction, as a share of the largest."""


def whitening(covariance: Tensor) -> Tensor:
    """Return W `(D, D)` such that |x W|^2 = x' C^-1 x, in float64.

    The eigenvalues of C are raised to at least 1e-6 of the largest. A direction in which training
    images never vary, such as a dead unit, has no inverse; a pseudo-inverse would ignore it, though
    an image that does vary there is out-of-distribution. And float32 features, with some 7 digits,
    cannot tell smaller variances from rounding.

    Raises:
        RecipeError: there is no variance in any direction, or it is not finite.
    """
    if not torch.isfinite(covariance).all():
        raise RecipeError(
            "scores: the training images' features are not finite; finite ones wanted"
        )
    variances, directions = torch.linalg.eigh(covariance)
    largest = variances[-1].item()
    if largest <= 0:
        raise RecipeError("scores: the training images' features do not vary; some variance wanted")
    deviations: Tensor = variances.clamp(min=SMALLEST_VARIANCE * largest).sqrt()
    whiten: Tensor = directions / deviations
    return whiten


def nearest_squared_distance(points: Tensor, centres: Tensor) -> Tensor:
    """Return the squared distance `(n,)` of points `(n, D)` to their nearest of centres `(K, D)`.

    The nearest is found by a product, which needs no `(n, K, D)` of memory; its distance is that
    of the difference, which does not lose the digits that the product does.
    """
    with torch.no_grad():
        nearest = (centres.square().sum(dim=1) - 2 * points @ centres.T).argmin(dim=1)
    return (points - centres[nearest]).square().sum(dim=1)
