import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from oodguard.training.config.methods import MiningSettings
from oodguard.training.objectives.atom import Atom, mine
from tests.training.objectives.known_network import (
    ADVERSARY,
    BATCH,
    CLEAN_INLIERS,
    KnownNetwork,
    with_reject,
)

# A quarter of eight images is used. The two most confident ones are below the quantile; the next
# two, at 0.7 and 0.3, have z = 0.6 and -0.6.
LEVELS = torch.tensor([0.5, 0.95, 0.7, 0.52, 0.05, 0.48, 0.3, 0.51])
BATCH_WITH_POOL = replace(BATCH, outliers=LEVELS.view(8, 1, 1, 1).expand(8, 3, 2, 2))

POOL_LEVELS = torch.tensor([0.5, 0.1, 0.7, 0.95, 0.45, 0.2])
POOL = POOL_LEVELS.view(6, 1, 1, 1).expand(6, 3, 2, 2)
"""Ranked by distance from mid-grey, lowest reject probability first: 0.95, 0.1, 0.2, 0.7, ..."""


def _objective(**mining: float) -> Atom:
    settings = MiningSettings.model_validate({"pool": 4, "quantile": 0.25, **mining})
    return Atom(adversary=ADVERSARY, mining=settings, outlier_weight=0.5)


def _reject_loss(z: float) -> float:
    return math.log(math.exp(z) + math.exp(-z) + 1)


@pytest.mark.parametrize(("share", "attacked"), [(0.5, 1), (1.0, 2)])
def test_atom_attacks_the_configured_share_of_mined_outliers(share: float, attacked: int) -> None:
    network = KnownNetwork(reject_class=True)
    step = _objective(attacked=share)(network, BATCH_WITH_POOL, torch.Generator().manual_seed(0))
    outlier_loss = (attacked * _reject_loss(0.9) + (2 - attacked) * _reject_loss(0.6)) / 2
    inliers = functional.cross_entropy(with_reject(CLEAN_INLIERS), BATCH.labels).item()
    assert step.loss.item() == pytest.approx(inliers + 0.5 * outlier_loss)
    torch.testing.assert_close(step.inlier_logits, CLEAN_INLIERS)
    assert network.passes == [(8, False), (attacked, False), (attacked, False), (4, True)]


def test_atom_uses_at_least_one_outlier_of_a_small_pool() -> None:
    network = KnownNetwork(reject_class=True)
    batch = replace(BATCH_WITH_POOL, outliers=BATCH_WITH_POOL.outliers[2:4])
    _objective(attacked=1.0)(network, batch, torch.Generator().manual_seed(0))
    assert network.passes[-1] == (3, True)


def _mined(count: int, quantile: float, seed: int = 0) -> list[float]:
    generator = torch.Generator().manual_seed(seed)
    network = KnownNetwork(reject_class=True)
    mined = mine(network, POOL, count=count, quantile=quantile, generator=generator)
    assert network.passes == [(6, False)]
    assert network.training
    assert not mined.requires_grad
    return [round(level, 2) for level in mined[:, 0, 0, 0].tolist()]


@pytest.mark.parametrize(
    ("count", "quantile", "levels"),
    [
        (2, 0.0, [0.1, 0.95]),
        (2, 1 / 3, [0.2, 0.7]),
        (3, 0.9, [0.45, 0.5, 0.7]),  # the quantile leaves fewer than three
    ],
)
def test_mining_returns_the_images_from_the_quantile_on(
    count: int, quantile: float, levels: list[float]
) -> None:
    assert sorted(_mined(count, quantile)) == levels


def test_mining_returns_images_in_random_order() -> None:
    assert len({tuple(_mined(3, 0.0, seed)) for seed in range(20)}) == 6
