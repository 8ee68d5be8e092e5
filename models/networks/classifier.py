"""What every network is: features, then a head that reads them."""

from torch import Tensor, nn


class Classifier(nn.Module):
    """A network in two parts, so that scores may look at what its head reads.

    Images are float32 `(n, 3, H, W)` in [0, 1]; normalisation is the network's own first layer.
    """

    head: nn.Module

    def features(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to penultimate features `(n, D)`."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to logits `(n, outputs)`."""
        logits: Tensor = self.head(self.features(images))
        return logits
