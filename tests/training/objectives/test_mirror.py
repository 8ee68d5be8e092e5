"""Mirror consistency on a network whose logits depend on the left half of an image."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from oodguard.training.config.methods import METHODS
from oodguard.training.objectives import OBJECTIVES, build_objective
from oodguard.training.objectives.base import divergence
from oodguard.training.objectives.mirror import MirrorConsistent, jensen_gap
from oodguard.training.objectives.table import OBJECTIVE_TABLE, TableObjective
from tests.training.objectives.known_network import ADVERSARY
from tests.training.objectives.known_network import BATCH as EQUAL_HALVES
from tests.training.recipes import RECIPE, parsed


class LeftNetwork(nn.Module):
    """Returns the logits (z, -z, 0), z = weight (mean pixel of the left column - 0.5)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))
        self.passes: list[tuple[int, bool]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.passes.append((len(images), self.training))
        z = self.weight * (images[..., 0].mean(dim=(1, 2)) - 0.5)
        return torch.stack([z, -z, torch.zeros_like(z)], dim=1)


DARKER_RIGHT = torch.tensor([0.0, -0.2])
BATCH = replace(
    EQUAL_HALVES,
    inliers=EQUAL_HALVES.inliers + DARKER_RIGHT,
    outliers=EQUAL_HALVES.outliers[:2] + DARKER_RIGHT,
)
"""Two inliers and two outliers; z of a mirror image is 0.6 smaller."""


def _step(weight: float, network: nn.Module) -> Tensor:
    objective = TableObjective(terms=OBJECTIVE_TABLE["aloe-abstain"], outlier_weight=1.0)
    mirrored = MirrorConsistent(objective=objective, weight=weight)
    return mirrored(network, BATCH, torch.Generator()).loss


def test_jensen_gap_of_two_opposite_logits() -> None:
    gap = jensen_gap(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    assert gap.item() == pytest.approx(math.log(math.e**2 + 1) - math.log(2 * math.e))


def test_jensen_gap_is_the_mean_divergence_from_the_mean() -> None:
    first, second = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    mean = (first + second) / 2
    expected = (divergence(mean, first) + divergence(mean, second)) / 2
    torch.testing.assert_close(jensen_gap(first, second), expected)
    torch.testing.assert_close(jensen_gap(first, first), torch.zeros(5))


def test_mirror_consistency_with_the_weight_of_both_sides_is_the_mean_loss_of_both_images() -> None:
    network = LeftNetwork()
    images = torch.cat([BATCH.inliers, BATCH.outliers])
    labels = torch.cat([BATCH.labels, torch.tensor([2, 2])])
    # The sum of the means of both sides, which have equal numbers, is twice the mean of all.
    expected = [2 * F.cross_entropy(network(each), labels) for each in (images, images.flip(3))]
    torch.testing.assert_close(_step(2.0, network), sum(expected) / 2)


def test_mirror_consistency_adds_its_weight_times_the_gap_of_all_images() -> None:
    network = LeftNetwork()
    images = torch.cat([BATCH.inliers, BATCH.outliers])
    gap = jensen_gap(network(images), network(images.flip(3))).mean()
    torch.testing.assert_close(_step(5.0, network) - _step(2.0, network), 3 * gap)
    assert gap > 0.01


def test_mirror_consistency_attacks_the_image_alone_and_trains_on_the_pair() -> None:
    objective = TableObjective(terms=OBJECTIVE_TABLE["aloe"], adversary=ADVERSARY)
    network = LeftNetwork()
    MirrorConsistent(objective=objective, weight=1.0)(network, BATCH, torch.Generator())
    assert network.passes == [(4, False)] * 2 + [(8, True)]
    assert network.training


@pytest.mark.parametrize("method", OBJECTIVES)
def test_recipe_with_mirror_consistency_uses_it_with_every_method(method: str) -> None:
    recipe = parsed(RECIPE.replace("epochs = 2", "epochs = 2\nmirror_consistency = 4"))
    attack = recipe.attack if METHODS[method].attack else None
    recipe = recipe.model_copy(update={"method": method, "attack": attack})
    objective = build_objective(recipe)
    assert isinstance(objective, MirrorConsistent)
    assert objective.weight == 4
    step = objective(LeftNetwork(), BATCH, torch.Generator())
    assert step.loss.requires_grad
    plain = recipe.model_copy(update={"schedule": parsed(RECIPE).schedule})
    assert not isinstance(build_objective(plain), MirrorConsistent)
