"""Distance to the k-th nearest training image in feature space."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from oodguard.models.errors import RecipeError
from oodguard.models.scores.base import FitContext
from oodguard.models.scores.statistics import Reservoir


class KNearest(nn.Module):
    """|f / |f| - b_(k)|; higher means more OOD. Sun et al. 2022, arXiv:2204.06507.

    b_(1), b_(2), ... are the normalized features of a bank of training images, in the order of
    their distance. The k-th one is found by a matrix product and top-k. Its distance is computed
    from the difference, which keeps the digits that 2 - 2 cos loses for near neighbours.
    """

    bank: Tensor

    def __init__(self, bank: Tensor, *, neighbour: int) -> None:
        super().__init__()
        self.register_buffer("bank", F.normalize(bank, dim=1))
        self.neighbour = neighbour

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Return the distances `(n,)` of features `(n, D)`, in [0, 2]."""
        direction = F.normalize(features, dim=1)
        with torch.no_grad():
            similar = direction @ self.bank.T
            index = torch.topk(similar, self.neighbour, dim=1).indices[:, -1]
        distance: Tensor = torch.linalg.vector_norm(direction - self.bank[index], dim=1)
        return distance


class KNearestFit:
    """Collect the bank: a random sample of the features of the training images."""

    def __init__(self, context: FitContext) -> None:
        options = context.options
        self._neighbour = options.knn_neighbour
        self._bank = Reservoir(size=options.knn_bank, width=context.features, seed=context.seed)

    def update(self, features: Tensor, logits: Tensor, labels: Tensor) -> None:  # noqa: ARG002
        """Add features `(n, D)`."""
        self._bank.update(features)

    def finish(self) -> KNearest:
        """Return the score."""
        if len(self._bank.rows) < self._neighbour:
            raise RecipeError(
                f"score_options.knn_neighbour is {self._neighbour}, expected at most"
                f" {len(self._bank.rows)}, the number of images in the bank"
            )
        return KNearest(self._bank.rows, neighbour=self._neighbour)
