"""Mahalanobis distance of the features to the nearest class."""

from torch import Tensor, nn

from oodguard.models.scores.base import FitContext
from oodguard.models.scores.gaussian import nearest_squared_distance, whitening
from oodguard.models.scores.statistics import ClassMoments


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


class MahalanobisFit:
    """Collect the moments."""

    def __init__(self, context: FitContext) -> None:
        self._moments = ClassMoments(classes=context.classes, features=context.features)

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:  # noqa: ARG002
        """Add features `(n, D)` and labels `(n,)`."""
        self._moments.update(features, labels)

    def finish(self) -> Mahalanobis:
        """Return the score."""
        return Mahalanobis(self._moments)
