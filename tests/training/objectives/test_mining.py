import torch

from oodguard.training.objectives.mining import mine
from tests.training.objectives.slope import Slope

LEVELS = torch.tensor([0.5, 0.1, 0.7, 0.95, 0.45, 0.2])
POOL = LEVELS.view(6, 1, 1, 1).expand(6, 3, 2, 2)
"""By distance from mid-grey, so from least to most probably rejected: 0.95, 0.1, 0.2, 0.7, 0.45."""


def _mined(count: int, quantile: float, seed: int = 0) -> list[float]:
    generator = torch.Generator().manual_seed(seed)
    network = Slope(reject_class=True)
    mined = mine(network, POOL, count=count, quantile=quantile, generator=generator)
    assert network.passes == [(6, False)]
    assert network.training
    assert not mined.requires_grad
    return [round(level, 2) for level in mined[:, 0, 0, 0].tolist()]


def test_without_a_quantile_the_least_rejected_are_taken() -> None:
    assert sorted(_mined(2, 0.0)) == [0.1, 0.95]


def test_the_least_rejected_below_the_quantile_are_passed_over() -> None:
    assert sorted(_mined(2, 1 / 3)) == [0.2, 0.7]


def test_at_the_pools_end_there_are_still_enough() -> None:
    assert sorted(_mined(3, 0.9)) == [0.45, 0.5, 0.7]


def test_they_come_in_random_order() -> None:
    assert len({tuple(_mined(3, 0.0, seed)) for seed in range(20)}) == 6
