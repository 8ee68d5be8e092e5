import pytest
import torch

from oodguard.training.attacks.pgd import NFgsm, Pgd
from oodguard.training.config.attack import AttackSettings
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.base import Batch, cross_entropy, uniform_cross_entropy
from tests.training.objectives.known_network import ADVERSARY, BATCH, KnownNetwork


def _attack_both(adversary: Adversary, network: KnownNetwork) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return adversary(
        network, BATCH, generator, inliers=cross_entropy, outliers=uniform_cross_entropy
    )


def test_adversary_attacks_both_halves_in_one_pass_per_step() -> None:
    network = KnownNetwork()
    attacked = _attack_both(ADVERSARY, network)
    assert network.passes == [(5, False), (5, False)]
    assert network.training
    torch.testing.assert_close(attacked.inliers[:, 0, 0, 0], torch.tensor([0.5, 0.4]))
    torch.testing.assert_close(attacked.outliers, torch.full((3, 3, 2, 2), 0.8))


def test_adversary_skips_a_half_without_a_loss() -> None:
    network, generator = KnownNetwork(), torch.Generator().manual_seed(0)
    inliers_only = ADVERSARY(network, BATCH, generator, inliers=cross_entropy)
    assert inliers_only.outliers is BATCH.outliers
    torch.testing.assert_close(inliers_only.inliers[:, 0, 0, 0], torch.tensor([0.5, 0.4]))
    outliers_only = ADVERSARY(network, BATCH, generator, outliers=uniform_cross_entropy)
    assert outliers_only.inliers is BATCH.inliers
    torch.testing.assert_close(outliers_only.outliers, torch.full((3, 3, 2, 2), 0.8))
    assert network.passes == [(2, False), (2, False), (3, False), (3, False)]


def test_adversary_uses_outlier_epsilon_for_outliers() -> None:
    network, generator = KnownNetwork(), torch.Generator().manual_seed(0)
    adversary = Adversary(ADVERSARY.settings.model_copy(update={"outlier_epsilon_255": 51}))
    attacked, same = (_attack_both(each, network) for each in (adversary, ADVERSARY))
    torch.testing.assert_close(attacked.inliers, same.inliers)
    moved = (attacked.outliers - BATCH.outliers).abs()
    torch.testing.assert_close(moved, 2 * (same.outliers - BATCH.outliers).abs())
    alone = adversary(network, BATCH, generator, outliers=uniform_cross_entropy)
    torch.testing.assert_close(alone.outliers, attacked.outliers)


RAMPED = {"steps": 3, "step_size": 1.25, "ramp": 0.25}
NOISED = {"kind": "n-fgsm", "step_size": 1.0, "ramp": 0.5}


@pytest.mark.parametrize(
    ("settings", "progress", "expected"),
    [
        (RAMPED, 0.0, Pgd(epsilon=0, steps=3, step_size=0)),
        (RAMPED, 0.125, Pgd(epsilon=0.05, steps=3, step_size=0.0625)),
        (RAMPED, 0.5, Pgd(epsilon=0.1, steps=3, step_size=0.125)),
        ({"steps": 2, "step_size": 2.0}, 0.0, Pgd(epsilon=0.1, steps=2, step_size=0.2)),
        ({"kind": "fgsm"}, 0.0, Pgd(epsilon=0.1, steps=1, step_size=0.125)),
        (NOISED, 0.25, NFgsm(epsilon=0.05, step_size=0.05)),
    ],
)
def test_attack_follows_the_settings_and_the_ramp(
    settings: dict[str, object], progress: float, expected: Pgd | NFgsm
) -> None:
    adversary = Adversary(AttackSettings.model_validate({"epsilon_255": 25.5, **settings}))
    assert adversary.at(progress) == expected
