"""Small residual networks that can be trained on a CPU.

The residual blocks are those of He et al. 2015 (arXiv:1512.03385, CIFAR variant). The stem is a 4x4
convolution of stride 2. It saves three quarters of the arithmetic of all layers, which makes
adversarial training affordable without an accelerator.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from oodguard.models.networks.classifier import Classifier, Normalize


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a projection if the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, inputs, h, w)`` to ``(n, outputs, h / stride, w / stride)``."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class ResNet(Classifier):
    """Three stages of ``blocks`` basic blocks each, at ``width``, 2 ``width`` and 4 ``width``."""

    def __init__(self, blocks: int, classes: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Normalize(),
            nn.Conv2d(3, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        stages: list[nn.Module] = []
        inputs = width
        for stage in range(3):
            outputs = width * 2**stage
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(BasicBlock(inputs, outputs, stride))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, classes)

    def features(self, images: Tensor) -> Tensor:
        """Map images ``(n, 3, H, W)`` in [0, 1] to penultimate features ``(n, 4 width)``."""
        return torch.mean(self.stages(self.stem(images)), dim=(2, 3))
