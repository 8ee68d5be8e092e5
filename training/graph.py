"""The graph that is exported: uint8 pixels in, logits and OOD scores out."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.guard import Run
from models.scores import SCORES
from training.data import to_pixels


class ScoredClassifier(nn.Module):
    """A network with its scores, in the pixel space that clients use."""

    def __init__(self, network: nn.Module, scores: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.scores = [SCORES[name] for name in scores]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 `(n, H, W, 3)` to logits `(n, K)` and scores `(n, S)`, higher more OOD."""
        logits = self.network(to_pixels(images))
        return logits, torch.stack([score(logits) for score in self.scores], dim=1)


def torch_run(classifier: ScoredClassifier, *, batch_size: int = 250) -> Run:
    """Return the classifier as the `run` that a guard takes."""

    @torch.no_grad()
    def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        parts = [classifier(part) for part in torch.from_numpy(images).split(batch_size)]
        logits, scores = (torch.cat(column) for column in zip(*parts, strict=True))
        return logits.numpy(), scores.numpy()

    return run
