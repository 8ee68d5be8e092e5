"""A model with useful gradients, and models that look robust because they mask their gradients.

All measure how strongly an image shows each of three patterns. In-distribution images show one of
them, outliers show none. Nothing is trained, so nothing depends on chance.
"""

import torch
from torch import Tensor, nn

from oodguard.models.networks.classifier import Classifier
from oodguard.models.scores.base import of_logits
from oodguard.models.scores.logit_scores import energy
from oodguard.training.evaluation.attack_trials import AttackedScore
from oodguard.training.scoring.graph import ScoredNetwork

CLASSES, SIDE = 3, 8
PIXELS = 3 * SIDE * SIDE
BLOCKS = torch.randn(CLASSES, 3, 2, 2, generator=torch.Generator().manual_seed(0)).sign()
PATTERNS = BLOCKS.repeat_interleave(SIDE // 2, dim=2).repeat_interleave(SIDE // 2, dim=3)


class Unmasked(Classifier):
    """Logits are the strength of each pattern, from -1 to 1, times 40; linear in the pixels."""

    head: nn.Linear

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(CLASSES, CLASSES, bias=False)
        self.head.weight.data = 40 * torch.eye(CLASSES)

    def features(self, images: Tensor) -> Tensor:
        return 2 * (self.preprocess(images) - 0.5).flatten(1) @ PATTERNS.flatten(1).T / PIXELS

    def preprocess(self, images: Tensor) -> Tensor:
        return images


class Quantized(Unmasked):
    """Rounds the pixels to few levels: the gradient is zero everywhere."""

    def preprocess(self, images: Tensor) -> Tensor:
        return (images * 32).round() / 32


class Saturated(Unmasked):
    """Applies sigmoids that are so steep that their gradient is zero in float32."""

    def features(self, images: Tensor) -> Tensor:
        strengths = super().features(images)
        levels = torch.linspace(-0.5, 0.5, 41)
        return torch.sigmoid(20_000 * (strengths[:, :, None] - levels)).mean(dim=2) - 0.5


class Shattered(Unmasked):
    """Adds a fine ripple to every pixel: there are gradients, but they lead nowhere."""

    def preprocess(self, images: Tensor) -> Tensor:
        ripple = torch.sin(5_000 * images + 7 * images.roll(1, dims=3)) / 500
        return images + ripple


def attacked_energy(network: Classifier) -> AttackedScore:
    """Return the energy of the network as the score to attack."""
    scored = ScoredNetwork(network, {"energy": of_logits(energy)}, classes=CLASSES).eval()
    return AttackedScore(classifier=scored, score="energy")


def draw_images(count: int) -> tuple[Tensor, Tensor]:
    """Return in-distribution images and outliers, `(count, 3, 8, 8)` each, in [0, 1]."""
    generator = torch.Generator().manual_seed(1)
    noise = 0.1 * torch.randn(2, count, 3, SIDE, SIDE, generator=generator)
    strength = 0.05 + 0.15 * torch.rand(count, 1, 1, 1, generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    inliers = 0.5 + strength * PATTERNS[labels] + noise[0]
    return inliers.clamp(0, 1), (0.5 + noise[1]).clamp(0, 1)
