"""A virtual logit for what the features hold outside their principal space."""

import torch
from torch import Tensor, nn

from oodguard.models.errors import RecipeError
from oodguard.models.scores.base import FitContext
from oodguard.models.scores.moments import ClassMoments
from oodguard.models.scores.reservoir import Reservoir

SCALE_IMAGES = 10_000
"""Images whose residuals set the scale; a mean over so many is exact to about 1 %."""

SMALLEST_RESIDUAL = 1e-5
"""The least mean residual, as a share of the features' length: below it is rounding."""


class ViM(nn.Module):
    """alpha |R' (f - o)| - logsumexp(z), higher meaning more OOD.

    Wang et al. 2022, arXiv:2203.10807.
    o is the point whose logits are zero, R spans what the principal directions of f - o leave, and
    alpha is the mean largest logit over the mean residual.
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
        """Score features `(n, D)` and logits `(n, K)` as `(n,)`."""
        residual = (features - self.origin) @ self.residual_space
        virtual: Tensor = self.scale * torch.linalg.vector_norm(residual, dim=1)
        return virtual - torch.logsumexp(logits, dim=1)


class ViMFit:
    """Gathers the moments, and a sample of features with their largest logits.

    The principal space follows from the moments; the mean length of the residuals does not, as the
    space is known only after the pass. It is that of at most 10,000 images, drawn by the seed.
    """

    def __init__(self, context: FitContext) -> None:
        size = context.features
        self._dimensions = context.options.vim_dimensions or size // 2
        if not 0 < self._dimensions < size:
            raise RecipeError(
                f"score_options.vim_dimensions: came {self._dimensions}, wanted at least 1 and"
                f" fewer than the {size} features"
            )
        self._origin = _origin(context.head, context.classes)
        self._moments = ClassMoments(classes=context.classes, features=size)
        self._sample = Reservoir(size=SCALE_IMAGES, width=size + 1, seed=context.seed)

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:
        """See features `(n, D)`, logits `(n, K)` and labels `(n,)`."""
        self._moments.update(features, labels)
        self._sample.update(torch.cat([features, logits.amax(dim=1, keepdim=True)], dim=1))

    def finish(self) -> ViM:
        """Return the score."""
        _, directions = torch.linalg.eigh(self._moments.second_moment(self._origin))
        rest = directions[:, : -self._dimensions]
        rows = self._sample.rows.double()
        apart, largest = rows[:, :-1] - self._origin, rows[:, -1]
        residual = torch.linalg.vector_norm(apart @ rest, dim=1).mean()
        if not residual > SMALLEST_RESIDUAL * torch.linalg.vector_norm(apart, dim=1).mean():
            raise RecipeError(
                f"score_options.vim_dimensions: {self._dimensions} dimensions hold all that the"
                " training images' features vary in; fewer were wanted"
            )
        if not largest.mean() > 0:
            raise RecipeError(
                f"scores: 'vim' wants training images whose largest logits are positive on average;"
                f" came {largest.mean():.3g}"
            )
        return ViM(origin=self._origin, residual_space=rest, scale=largest.mean() / residual)


def _origin(head: nn.Module, classes: int) -> Tensor:
    if not isinstance(head, nn.Linear):
        raise RecipeError(f"scores: 'vim' wants a linear head; came {type(head).__name__}")
    weight: Tensor = head.weight.detach()[:classes].double()
    bias: Tensor | None = head.bias
    if bias is None:
        return torch.zeros(weight.shape[1], dtype=torch.float64)
    origin: Tensor = -torch.linalg.pinv(weight) @ bias.detach()[:classes].double()
    return origin
