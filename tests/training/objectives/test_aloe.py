"""ALOE is held against its definition, written out over a network whose best attack is known."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.attacks.pgd import Pgd
from training.objectives.aloe import Aloe
from training.objectives.base import Batch
from training.objectives.standard import Standard

EPSILON = 0.1


class Slope(nn.Module):
    """Logits (z, -z) for z the mean pixel less 0.5, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self, images: Tensor) -> Tensor:
        z = self.weight * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([z, -z], dim=1)


def _batch() -> Batch:
    levels = torch.tensor([0.6, 0.3]).view(2, 1, 1, 1)
    return Batch(
        inliers=levels.expand(2, 3, 2, 2),
        labels=torch.tensor([0, 1]),
        outliers=torch.full((3, 3, 2, 2), 0.7),
    )


def test_the_loss_is_that_of_attacked_inliers_and_attacked_outliers() -> None:
    attack = Pgd(epsilon=EPSILON, steps=2, step_size=2 * EPSILON)
    network = Slope()
    step = Aloe(attack=attack, outlier_weight=0.5)(
        network, _batch(), torch.Generator().manual_seed(0)
    )
    # Inliers move against their label, 0.6 to 0.5 and 0.3 to 0.4; outliers away from 0.5, to 0.8.
    inliers = torch.tensor([[0.0, 0.0], [-0.3, 0.3]])
    outlier = torch.tensor([[0.9, -0.9]])
    expected = functional.cross_entropy(inliers, torch.tensor([0, 1]))
    uniform = torch.full((1, 2), 0.5)
    expected = expected + 0.5 * functional.cross_entropy(outlier, uniform)
    torch.testing.assert_close(step.loss, expected)
    torch.testing.assert_close(step.inlier_logits, inliers)


def test_the_gradient_reaches_the_weights_and_not_the_pixels() -> None:
    network = Slope()
    batch = _batch()
    objective = Aloe(attack=Pgd(epsilon=EPSILON, steps=1, step_size=EPSILON), outlier_weight=1.0)
    objective(network, batch, torch.Generator().manual_seed(0)).loss.backward()
    assert network.weight.grad is not None
    assert network.weight.grad != 0
    assert batch.inliers.grad is None


def test_standard_training_is_plain_cross_entropy_and_ignores_outliers() -> None:
    network = Slope()
    step = Standard()(network, _batch(), torch.Generator())
    logits = torch.tensor([[0.3, -0.3], [-0.6, 0.6]])
    torch.testing.assert_close(
        step.loss, functional.cross_entropy(logits, torch.tensor([0, 1])), rtol=1e-5, atol=1e-6
    )
