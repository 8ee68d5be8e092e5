"""The base class of all networks, mirroring, the first layer, and the initial weights."""

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """A network in two parts, features and head, so that scores can use the features.

    Images are float32 `(n, 3, H, W)` in [0, 1]; normalization is the first layer of the network.
    """

    head: nn.Module

    def features(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to penultimate features `(n, D)`."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to logits `(n, outputs)`."""
        logits: Tensor = self.head(self.features(images))
        return logits


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


class Normalize(nn.Module):
    """Scale [0, 1] pixels to about zero mean and unit scale, the same for all channels and data."""

    def forward(self, images: Tensor) -> Tensor:
        """Map `(n, 3, H, W)` in [0, 1] to [-2, 2]: (x - 0.5) * 4."""
        return (images - 0.5) * 4.0


def draw_initial_weights(network: nn.Module) -> None:
    """Draw convolution weights from N(0, 2 / fan-out) and set the biases of linear layers to 0.

    He et al. 2015, arXiv:1502.01852, as in the reference code of the three published networks. It
    draws from torch's global generator, as torch's layers do.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
