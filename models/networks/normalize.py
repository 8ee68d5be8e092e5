"""The first layer of every network here: pixels to about unit scale."""

from torch import Tensor, nn


class Normalize(nn.Module):
    """Bring [0, 1] pixels to zero mean and unit scale, the same for every channel and data set."""

    def forward(self, images: Tensor) -> Tensor:
        """Map `(n, 3, H, W)` in [0, 1] to about [-2, 2]."""
        return (images - 0.5) * 4.0
