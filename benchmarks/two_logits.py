"""A detector as a two-class classifier, for the attacks of other libraries."""

import torch
from torch import Tensor, nn

from oodguard.training.scoring.graph import ScoredClassifier

ACCEPTED, REJECTED = 0, 1


class TwoLogits(nn.Module):
    """Logits `[0, k (s - tau)]`: class 1, "rejected", is predicted if the score s exceeds tau.

    The cross-entropy of class 1 decreases strictly in s, and that of class 0 increases. Maximizing
    it therefore maximizes an objective of `training.attacks.objectives`, as long as k (s - tau)
    does not saturate.
    """

    def __init__(
        self, classifier: ScoredClassifier, score: str, *, threshold: float, scale: float
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.score = score
        self.threshold = threshold
        # A parameter, because torchattacks reads its device from one.
        self.scale = nn.Parameter(torch.tensor(scale), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map float `(n, 3, H, W)` in [0, 1] to logits `(n, 2)`."""
        margin = self.scale * (self.classifier.score(self.score, pixels) - self.threshold)
        return torch.stack([torch.zeros_like(margin), margin], dim=1)
