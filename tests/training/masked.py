"""An honest model, and models planted to look robust by hiding their gradients.

All look at how strongly a picture shows each of three patterns. In-distribution pictures show one
of them, outliers show none. Nothing here is trained, so nothing depends on luck.
"""

import torch
from torch import Tensor, nn

from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores.base import of_logits
from oodguard.models.scores.energy import energy
from oodguard.training.scoring.graph import ScoredNetwork

CLASSES, SIDE = 3, 8
PIXELS = 3 * SIDE * SIDE
BLOCKS = torch.randn(CLASSES, 3, 2, 2, generator=torch.Generator().manual_seed(0)).sign()
PATTERNS = BLOCKS.repeat_interleave(SIDE // 2, dim=2).repeat_interleave(SIDE // 2, dim=3)


class Honest(Classifier):
    """Logits are the strength of each pattern, from -1 to 1, times 40; linear in the pixels."""

    head: nn.Linear

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(CLASSES, CLASSES, bias=False)
        self.head.weight.data = 40 * torch.eye(CLASSES)

    def features(self, images: Tensor) -> Tensor:
        return 2 * (self.seen(images) - 0.5).flatten(1) @ PATTERNS.flatten(1).T / PIXELS

    def seen(self, images: Tensor) -> Tensor:
        """Return the images as they come to be looked at."""
        return images


class Quantised(Honest):
    """Sees few levels of brightness: a staircase has no slope anywhere."""

    def seen(self, images: Tensor) -> Tensor:
        return (images * 32).round() / 32


class Saturated(Honest):
    """Drives each strength through a sigmoid so steep that in float32 its slope is zero."""

    def features(self, images: Tensor) -> Tensor:
        strengths = super().features(images)
        levels = torch.linspace(-0.5, 0.5, 41)
        return torch.sigmoid(20_000 * (strengths[:, :, None] - levels)).mean(dim=2) - 0.5


class Shattered(Honest):
    """Adds a fine ripple to every pixel: there is a slope everywhere, and it leads nowhere."""

    def seen(self, images: Tensor) -> Tensor:
        ripple = torch.sin(5_000 * images + 7 * images.roll(1, dims=3)) / 500
        return images + ripple


def scored(network: Classifier) -> ScoredNetwork:
    """Return the network with its energy."""
    return ScoredNetwork(network, {"energy": of_logits(energy)}, classes=CLASSES).eval()


def pictures(count: int) -> tuple[Tensor, Tensor]:
    """Return in-distribution images and outliers, `(count, 3, 8, 8)` each, in [0, 1]."""
    generator = torch.Generator().manual_seed(1)
    noise = 0.1 * torch.randn(2, count, 3, SIDE, SIDE, generator=generator)
    strength = 0.05 + 0.15 * torch.rand(count, 1, 1, 1, generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    inliers = 0.5 + strength * PATTERNS[labels] + noise[0]
    return inliers.clamp(0, 1), (0.5 + noise[1]).clamp(0, 1)
