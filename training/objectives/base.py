"""What every training objective takes and returns."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Pixels `(n, 3, H, W)` in [0, 1] with labels `(n,)`, and outlier pixels `(m, 3, H, W)`."""

    inliers: Tensor
    labels: Tensor
    outliers: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The loss to descend, and the inliers' logits `(n, K)` as they were trained on."""

    loss: Tensor
    inlier_logits: Tensor


class Objective(Protocol):
    """One training method."""

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> Step:
        """Return the loss of one batch, with its graph."""
        ...
