"""Mahalanobis distance to the nearest class, less the one to all training images together."""

import torch
from torch import Tensor, nn

from oodguard.models.scores.base import FitContext
from oodguard.models.scores.gaussian import nearest_squared_distance, whitening
from oodguard.models.scores.moments import ClassMoments


class RelativeMahalanobis(nn.Module):
    """min_k d_k^2 - d_0^2, higher meaning more OOD; Ren et al. 2021, arXiv:2106.09022.

    d_k is the Mahalanobis distance to class k under the covariance C that the classes share, and
    d_0 that under one Gaussian over all training images, of covariance C + B, with B the covariance
    of the class means: what is unusual for every picture tells nothing.

    C^-1 - (C + B)^-1 has the rank of B, at most K - 1. In the coordinates t in which C is one and B
    is diag(b), all others contribute exactly nothing, and the score is

        min_k |t - t_k|^2 - sum_i t_i^2 / (1 + b_i)

    over those K - 1 alone. Taken as it is written, it would be a small difference of two large
    numbers, which float32 does not hold.
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
        """Score features `(n, D)` as differences `(n,)` of squared distances."""
        projected = self._projected(features)
        return nearest_squared_distance(projected, self.class_means) - self._to_all(projected)

    @property
    def targets(self) -> int:
        """How many classes there are."""
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


class RelativeMahalanobisFit:
    """Gathers the moments."""

    def __init__(self, context: FitContext) -> None:
        self._moments = ClassMoments(classes=context.classes, features=context.features)

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:  # noqa: ARG002
        """See features `(n, D)` and labels `(n,)`."""
        self._moments.update(features, labels)

    def finish(self) -> RelativeMahalanobis:
        """Return the score."""
        return RelativeMahalanobis(self._moments)
