"""A network and a batch whose strongest attack is known: confidence grows away from mid-grey."""

import torch
from torch import Tensor, nn

from oodguard.training.config.attack import AttackSettings
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import Batch


class KnownNetwork(nn.Module):
    """Returns the logits (z, -z), z = 3 (mean pixel - 0.5), and 0 for the reject class if any.

    `passes` records the number of images and the training mode of every forward pass.
    """

    def __init__(self, *, reject_class: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))
        self.reject_class = reject_class
        self.passes: list[tuple[int, bool]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.passes.append((len(images), self.training))
        z = self.weight * (images.mean(dim=(1, 2, 3)) - 0.5)
        reject = [torch.zeros_like(z)] if self.reject_class else []
        return torch.stack([z, -z, *reject], dim=1)


ADVERSARY = Adversary(AttackSettings(epsilon_255=25.5, steps=2, step_size=2.0))
"""Ends on the surface of the ball of radius 0.1 for every start."""

BATCH = Batch(
    inliers=torch.tensor([0.6, 0.3]).view(2, 1, 1, 1).expand(2, 3, 2, 2),
    labels=torch.tensor([0, 1]),
    outliers=torch.full((3, 3, 2, 2), 0.7),
)
"""Two correctly classified inliers, z = 0.3 and -0.6, and three equal outliers, z = 0.6.

An attack changes z by 0.3: the inliers' to 0 and -0.3, away from their class, and the outliers' to
0.9, towards confidence.
"""

CLEAN_INLIERS = torch.tensor([[0.3, -0.3], [-0.6, 0.6]])
ATTACKED_INLIERS = torch.tensor([[0.0, 0.0], [-0.3, 0.3]])
CLEAN_OUTLIER = torch.tensor([[0.6, -0.6]])
ATTACKED_OUTLIER = torch.tensor([[0.9, -0.9]])
UNIFORM = torch.full((1, 2), 0.5)


def with_reject(logits: Tensor) -> Tensor:
    """Append the logit of the reject class, which is 0."""
    return torch.cat([logits, torch.zeros(len(logits), 1)], dim=1)
