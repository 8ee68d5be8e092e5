"""The energy of logits (z, -z) is -log(2 cosh z), lowest where the network is most confident."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from oodguard.training.config.methods import EnergySettings
from oodguard.training.objectives.energy import EnergyBounded
from tests.training.objectives.known_network import (
    ADVERSARY,
    ATTACKED_INLIERS,
    BATCH,
    CLEAN_INLIERS,
    KnownNetwork,
)

MARGINS = EnergySettings(inlier_margin=-0.8, outlier_margin=-0.75)


def _energy(z: float) -> float:
    return -math.log(2 * math.cosh(z))


def test_energy_oe_adds_squared_hinges_beyond_the_margins() -> None:
    objective = EnergyBounded(margins=MARGINS, weight=0.1)
    network = KnownNetwork()
    step = objective(network, BATCH, torch.Generator())
    # E of the inliers is -0.737 and -0.863: the first exceeds its margin. E of the outliers,
    # -0.863, is below theirs.
    high = (_energy(0.3) + 0.8) ** 2 / 2
    low = (-0.75 - _energy(0.6)) ** 2
    expected = functional.cross_entropy(CLEAN_INLIERS, BATCH.labels).item() + 0.1 * (high + low)
    assert step.loss.item() == pytest.approx(expected)
    assert network.passes == [(5, True)]


def test_energy_aloe_attack_raises_inlier_energy_and_lowers_outlier_energy() -> None:
    objective = EnergyBounded(margins=MARGINS, weight=0.1, adversary=ADVERSARY)
    step = objective(KnownNetwork(), BATCH, torch.Generator().manual_seed(0))
    high = ((_energy(0.0) + 0.8) ** 2 + (_energy(0.3) + 0.8) ** 2) / 2
    low = (-0.75 - _energy(0.9)) ** 2
    expected = functional.cross_entropy(ATTACKED_INLIERS, BATCH.labels).item() + 0.1 * (high + low)
    assert step.loss.item() == pytest.approx(expected)


def test_energy_aloe_attacks_an_outlier_whose_hinge_is_zero() -> None:
    objective = EnergyBounded(margins=MARGINS, weight=1.0, adversary=ADVERSARY)
    batch = replace(BATCH, inliers=torch.full((2, 3, 2, 2), 0.5), outliers=BATCH.outliers - 0.15)
    step = objective(KnownNetwork(), batch, torch.Generator().manual_seed(0))
    # The attack moves z from 0.15, where the hinge and its gradient are zero, to 0.45.
    assert _energy(0.15) > -0.75
    low = (-0.75 - _energy(0.45)) ** 2
    inliers = torch.tensor([[-0.3, 0.3], [0.3, -0.3]])
    high = (_energy(0.3) + 0.8) ** 2
    expected = functional.cross_entropy(inliers, batch.labels).item() + high + low
    assert step.loss.item() == pytest.approx(expected)
