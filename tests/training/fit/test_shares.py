"""Each process learns from the images that it attacked."""

from typing import cast

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from oodguard.models.errors import RecipeError
from oodguard.training.config.recipe import Recipe
from oodguard.training.fit.shares import ShardedNetwork, check_shares, whole_shares
from oodguard.training.objectives import build_objective
from oodguard.training.objectives.base import Batch
from oodguard.training.scoring.network import MixedPrecisionNetwork
from tests.training.recipes import RECIPE, parsed, without_tables


class Learned(nn.Module):
    """A linear network that keeps the images of its last pass in training mode."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 2, 10))
        self.images = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.images = images.detach()
        logits: Tensor = self.layers(images)
        return logits


def _learned(recipe: Recipe, rank: int, processes: int) -> Tensor:
    """Return the images that a process learns from in a step of 6 inliers and 6 outliers."""

    class Several:
        """The Fabric of one of several processes."""

        world_size = processes
        global_rank = rank

    pixels = torch.rand(12, 3, 2, 2, generator=torch.Generator().manual_seed(1)) / 2 + 0.25
    batch = Batch(inliers=pixels[:6], labels=torch.arange(6), outliers=pixels[6:])
    network = Learned()
    sharded = ShardedNetwork(cast("MixedPrecisionNetwork", network), cast("Fabric", Several()))
    runner = sharded if processes > 1 else network
    build_objective(recipe)(runner, batch, torch.Generator().manual_seed(2))
    return network.images


@pytest.mark.parametrize("outlier_epsilon", [False, True])
@pytest.mark.parametrize("method", ["adv", "aoe", "aloe", "acet", "energy-aloe", "trades-aloe"])
def test_process_learns_from_the_images_that_it_attacked(
    monkeypatch: pytest.MonkeyPatch, method: str, *, outlier_epsilon: bool
) -> None:
    def gather(parts: list[Tensor], own: Tensor) -> None:
        for each in parts:
            each.copy_(own)  # the attack on an image does not depend on others

    monkeypatch.setattr(torch.distributed, "all_gather", gather)
    text = RECIPE if method != "adv" else without_tables(RECIPE, "outliers")
    text = text.replace('"aloe"', f'"{method}"')
    if outlier_epsilon:
        text = text.replace("[attack]\n", "[attack]\noutlier_epsilon_255 = 4\n")
    recipe = parsed(text)
    alone = _learned(recipe, 0, 1)
    for processes in (2, 3):
        shares = [_learned(recipe, rank, processes) for rank in range(processes)]
        for rank, share in enumerate(shares):
            torch.testing.assert_close(share, alone[rank::processes])


@pytest.mark.parametrize(
    ("sizes", "processes", "remaining"),
    [
        ([30, 27, 3], 1, [30, 27, 3]),
        ([30, 27, 3, 30], 4, [28, 24, 28]),
        ([0, 0], 2, [0, 0]),  # of a method without outliers
    ],
)
def test_outliers_are_dropped_so_that_they_divide_evenly(
    sizes: list[int], processes: int, remaining: list[int]
) -> None:
    batches = whole_shares((torch.arange(size) for size in sizes), processes=processes)
    assert [each.tolist() for each in batches] == [list(range(size)) for size in remaining]


@pytest.mark.parametrize(
    ("text", "pool", "processes", "message"),
    [
        (RECIPE, 90, 4, "batch_size is 30, expected a multiple of 4, .* such as 28 or 32"),
        (RECIPE, 90, 60, "batch_size is 30, expected a multiple of 60, .* such as 60"),
        (RECIPE, 2, 3, "a batch has 2 outliers, expected at least 3"),
        (
            RECIPE.replace('"aloe"', '"atom"').replace("epochs", "mirror_consistency = 1\nepochs"),
            90,
            2,
            "mirror_consistency with method 'atom' is trained by 2 processes",
        ),
    ],
)
def test_recipe_that_does_not_divide_between_processes_is_an_error(
    text: str, pool: int, processes: int, message: str
) -> None:
    recipe = parsed(text)
    check_shares(recipe, pool, processes=1)
    with pytest.raises(RecipeError, match=message):
        check_shares(recipe, pool, processes=processes)
