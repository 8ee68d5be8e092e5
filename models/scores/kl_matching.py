"""Divergence of the softmax output from the typical outputs."""

import torch
from torch import Tensor, nn

from oodguard.models.scores.base import FitContext

SMALLEST_PROBABILITY = 1e-37
"""The lower limit of typical probabilities: its log is finite in float32."""


class KLMatching(nn.Module):
    """min_k KL(p || d_k); higher means more OOD. Hendrycks et al. 2022, arXiv:1911.11132.

    p is the softmax of the logits, and d_k is the mean softmax output over the training images
    that are predicted as class k. A class that is never predicted has no d_k.
    """

    log_typical: Tensor

    def __init__(self, typical: Tensor) -> None:
        super().__init__()
        log_typical = typical.clamp(min=SMALLEST_PROBABILITY).log().float()
        self.register_buffer("log_typical", log_typical)

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the score of logits `(n, K)` in nats `(n,)`; rounding may make it negative."""
        return _divergences(logits, self.log_typical).amin(dim=1)

    @property
    def targets(self) -> int:
        """The number of typical outputs."""
        return len(self.log_typical)

    def toward(self, target: int, features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the divergence `(n,)` of logits `(n, K)` from one typical output."""
        return _divergences(logits, self.log_typical[target : target + 1]).squeeze(1)


def _divergences(logits: Tensor, log_typical: Tensor) -> Tensor:
    log_p = torch.log_softmax(logits, dim=1)
    p = log_p.exp()
    return (p * log_p).sum(dim=1, keepdim=True) - p @ log_typical.T


class KLMatchingFit:
    """Sum the softmax outputs by predicted class, in float64; labels are not used."""

    def __init__(self, context: FitContext) -> None:
        self._sums = torch.zeros(context.classes, context.classes, dtype=torch.float64)
        self._counts = torch.zeros(context.classes, dtype=torch.float64)

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:  # noqa: ARG002
        """Add logits `(n, K)`."""
        predicted = logits.argmax(dim=1)
        self._sums.index_add_(0, predicted, torch.softmax(logits.double(), dim=1))
        self._counts += torch.bincount(predicted, minlength=len(self._counts))

    def finish(self) -> KLMatching:
        """Return the score."""
        seen = self._counts > 0
        return KLMatching(self._sums[seen] / self._counts[seen, None])
