"""A network that looks at every image and at its mirror image."""

import torch
from torch import Tensor

from oodguard.models.networks.classifier import Classifier


class Mirrored(Classifier):
    """The mean of a network's features over the image and its mirror image, and the network's head.

    Where the head is linear, as all heads here are, the logits are the mean logits of the two
    (test-time augmentation, Krizhevsky et al. 2012). It costs twice the arithmetic.
    """

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network
        self.head = network.head

    def features(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to the mean features `(n, D)` of both."""
        both = self.network.features(torch.cat([images, images.flip(3)]))
        return torch.stack(both.tensor_split(2)).mean(0)
