"""Mahalanobis distance to the nearest class, minus the distance to all training images."""

import torch
from torch import Tensor, nn

from oodguard.models.scores.base import FitContext
from oodguard.models.scores.gaussian import nearest_squared_distance, whitening
from oodguard.models.scores.statistics import ClassMoments


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


class RelativeMahalanobisFit:
    """Collect the moments."""

    def __init__(self, context: FitContext) -> None:
        self._moments = ClassMoments(classes=context.classes, features=context.features)

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:  # noqa: ARG002
        """Add features `(n, D)` and labels `(n,)`."""
        self._moments.update(features, labels)

    def finish(self) -> RelativeMahalanobis:
        """Return the score."""
        return RelativeMahalanobis(self._moments)
