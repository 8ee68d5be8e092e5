"""Test-time augmentation by mirroring."""

import torch
from torch import Tensor

from oodguard.models.networks.classifier import Classifier


class Mirrored(Classifier):
    """A network whose features are the mean over the image and its horizontal mirror image.

    With a linear head, the logits are the mean of both logits (test-time augmentation, Krizhevsky
    et al. 2012). It doubles the arithmetic.
    """

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network
        self.head = network.head

    def features(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to mean features `(n, D)`."""
        both = self.network.features(torch.cat([images, images.flip(3)]))
        return torch.stack(both.tensor_split(2)).mean(0)
