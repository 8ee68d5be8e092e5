"""Virtual-logit matching: the residual outside the principal space against the logits."""

import torch
from torch import Tensor, nn

from oodguard.models.errors import RecipeError
from oodguard.models.scores.base import FitContext
from oodguard.models.scores.statistics import ClassMoments, Reservoir

SCALE_IMAGES = 10_000
"""The number of images whose residuals set the scale; the mean is exact to about 1 %."""

SMALLEST_RESIDUAL = 1e-5
"""The smallest mean residual as a fraction of the features' norm; smaller ones are rounding."""


class ViM(nn.Module):
    """alpha |R' (f - o)| - logsumexp(z); higher means more OOD. Wang et al. 2022, arXiv:2203.10807.

    o is the point with zero logits, R spans the complement of the principal space of f - o, and
    alpha is the mean largest logit divided by the mean residual norm.
    """

    origin: Tensor
    residual_space: Tensor
    scale: Tensor

    def __init__(self, *, origin: Tensor, residual_space: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("origin", origin.float())
        self.register_buffer("residual_space", residual_space.float())
        self.register_buffer("scale", scale.float())

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return the score `(n,)` of features `(n, D)` and logits `(n, K)`."""
        residual = (features - self.origin) @ self.residual_space
        virtual: Tensor = self.scale * torch.linalg.vector_norm(residual, dim=1)
        return virtual - torch.logsumexp(logits, dim=1)


class ViMFit:
    """Collect the moments, and a sample of features with their largest logits.

    The principal space follows from the moments. The mean norm of the residuals does not, because
    the space is known only after the pass; it is computed from a sample of at most 10,000 images.
    """

    def __init__(self, context: FitContext) -> None:
        size = context.features
        self._dimensions = context.options.vim_dimensions or size // 2
        if not 0 < self._dimensions < size:
            raise RecipeError(
                f"score_options.vim_dimensions is {self._dimensions}, expected at least 1 and less"
                f" than {size}, the number of features"
            )
        self._origin = _origin(context.head, context.classes)
        self._moments = ClassMoments(classes=context.classes, features=size)
        self._sample = Reservoir(size=SCALE_IMAGES, width=size + 1, seed=context.seed)

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add features `(n, D)`, logits `(n, K)` and labels `(n,)`."""
        self._moments.update(features, labels)
        self._sample.update(torch.cat([features, logits.amax(dim=1, keepdim=True)], dim=1))

    def finish(self) -> ViM:
        """Return the score."""
        _, directions = torch.linalg.eigh(self._moments.second_moment(self._origin))
        rest = directions[:, : -self._dimensions]
        rows = self._sample.rows.double()
        offsets, largest = rows[:, :-1] - self._origin, rows[:, -1]
        residual = torch.linalg.vector_norm(offsets @ rest, dim=1).mean()
        if not residual > SMALLEST_RESIDUAL * torch.linalg.vector_norm(offsets, dim=1).mean():
            raise RecipeError(
                f"score_options.vim_dimensions is {self._dimensions}, which covers all variation of"
                " the features of the training images, expected fewer dimensions"
            )
        if not largest.mean() > 0:
            raise RecipeError(
                "scores: 'vim' requires training images whose largest logits are positive on"
                f" average, received a mean of {largest.mean():.3g}"
            )
        return ViM(origin=self._origin, residual_space=rest, scale=largest.mean() / residual)


def _origin(head: nn.Module, classes: int) -> Tensor:
    if not isinstance(head, nn.Linear):
        raise RecipeError(f"scores: 'vim' requires a linear head, received {type(head).__name__}")
    weight: Tensor = head.weight.detach()[:classes].double()
    bias: Tensor | None = head.bias
    if bias is None:
        return torch.zeros(weight.shape[1], dtype=torch.float64)
    origin: Tensor = -torch.linalg.pinv(weight) @ bias.detach()[:classes].double()
    return origin
