"""Score columns side by side, whose gradients do not touch each other."""

from typing import Any

import torch
from torch import Tensor


class Apart(torch.autograd.Function):
    """Columns `(n, 1)` each to `(n, S)`; the gradient of one goes to that one alone.

    A plain concatenation hands a gradient of zeros to the columns that nobody climbs. That costs a
    pass through each of them, and where one has an infinite derivative, zero times that is not a
    number and spoils the gradient of all.
    """

    @staticmethod
    def forward(_: Any, *columns: Tensor) -> Tensor:  # noqa: ANN401  (torch's context)
        """Put the columns side by side."""
        return torch.cat(columns, dim=1)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Hand each column its own gradient, and none where it is zero for all images."""
        return tuple(part if part.any() else None for part in gradients[0].split(1, dim=1))
