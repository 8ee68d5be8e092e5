"""DenseNet-BC: the input of every layer is the concatenation of all previous layers' outputs.

Huang et al. 2017, arXiv:1608.06993. Depth 100 with growth 12 is the network of the ALOE paper
(arXiv:2003.09711): 0.77 million parameters, but many times the arithmetic of `resnet14`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from oodguard.models.networks.classifier import Classifier, Normalize, draw_initial_weights


class DenseLayer(nn.Module):
    """A bottleneck of 4 `growth` channels and a 3x3 convolution that adds `growth` channels."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, inputs, h, w)` to `(n, inputs + growth, h, w)`."""
        y = self.conv1(F.relu(self.norm1(x)))
        y = self.conv2(F.relu(self.norm2(y)))
        return torch.cat([x, y], dim=1)


class Transition(nn.Module):
    """A 1x1 convolution to `outputs` channels, then pooling to half the height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, inputs, h, w)` to `(n, outputs, h / 2, w / 2)`."""
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


class DenseNet(Classifier):
    """Three dense blocks of (depth - 4) / 6 layers, with a transition between two blocks."""

    def __init__(self, outputs: int, *, depth: int, growth: int) -> None:
        super().__init__()
        channels = 2 * growth
        layers: list[nn.Module] = [Normalize(), nn.Conv2d(3, channels, 3, 1, 1, bias=False)]
        for block in range(3):
            if block > 0:
                layers.append(Transition(channels, channels // 2))
                channels //= 2
            for _ in range((depth - 4) // 6):
                layers.append(DenseLayer(channels, growth))
                channels += growth
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, outputs)
        draw_initial_weights(self)

    def features(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to penultimate features `(n, channels)`."""
        return torch.mean(F.relu(self.norm(self.layers(images))), dim=(2, 3))
