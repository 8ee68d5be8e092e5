"""The base class of all networks, their first layer, and the initial weights."""

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
