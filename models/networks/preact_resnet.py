"""Residual networks whose blocks normalise before they convolve.

He et al. 2016, arXiv:1603.05027. PreActResNet-18 is the usual network of robustness papers on
CIFAR: 11 million parameters.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from oodguard.models.networks.classifier import Classifier
from oodguard.models.networks.initial_weights import draw_initial_weights
from oodguard.models.networks.normalize import Normalize


class PreActBlock(nn.Module):
    """Two 3x3 convolutions, each after its batch-norm, and a shortcut around both.

    Where the shape changes, the shortcut is a 1x1 convolution of the normalised input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, inputs, h, w)` to `(n, outputs, h / stride, w / stride)`."""
        active = F.relu(self.norm1(x))
        around: Tensor = x if self.shortcut is None else self.shortcut(active)
        y = self.conv1(active)
        residual: Tensor = self.conv2(F.relu(self.norm2(y)))
        return around + residual


class PreActResNet(Classifier):
    """A 3x3 stem, then a stage of `blocks` for each of `widths`; all but the first halve."""

    def __init__(self, outputs: int, *, stem: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [Normalize(), nn.Conv2d(3, stem, 3, 1, 1, bias=False)]
        channels = stem
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(PreActBlock(channels, width, stride))
                channels = width
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, outputs)
        draw_initial_weights(self)

    def features(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to penultimate features `(n, widths[-1])`."""
        return torch.mean(F.relu(self.norm(self.layers(images))), dim=(2, 3))


class PreActResNet18(PreActResNet):
    """Four stages of two blocks, 64 to 512 channels wide."""

    def __init__(self, outputs: int) -> None:
        super().__init__(outputs, stem=64, widths=(64, 128, 256, 512), blocks=2)
