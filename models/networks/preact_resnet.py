"""Pre-activation residual networks: PreActResNet-18 and wide residual networks.

He et al. 2016, arXiv:1603.05027. PreActResNet-18, with 11 million parameters, is the usual network
of robustness papers on CIFAR. Wide residual networks are shallower and wider: Zagoruyko & Komodakis
2016, arXiv:1605.07146. WideResNet-40-2, with 2.2 million parameters, is the network of outlier
exposure (arXiv:1812.04606).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from oodguard.models.networks.classifier import Classifier, Normalize, draw_initial_weights


class PreActBlock(nn.Module):
    """Two 3x3 convolutions, each after batch normalization, and a shortcut around both.

    If the shape changes, the shortcut is a 1x1 convolution of the normalized input.
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
    """A 3x3 stem, then a stage of `blocks` for each of `widths`; later stages halve H, W."""

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


class WideResNet(PreActResNet):
    """Three stages of (depth - 4) / 6 blocks, with 16, 32 and 64 channels times `factor`."""

    def __init__(self, outputs: int, *, depth: int, factor: int) -> None:
        widths = (16 * factor, 32 * factor, 64 * factor)
        super().__init__(outputs, stem=16, widths=widths, blocks=(depth - 4) // 6)
