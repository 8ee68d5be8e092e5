import torch
from torch import Tensor
from torch.nn import functional

from oodguard.training.attacks.base import uniform
from oodguard.training.objectives.adversary import Adversary
from oodguard.training.objectives.trades import TradesAloe
from tests.training.objectives.known_network import (
    ADVERSARY,
    BATCH,
    CLEAN_INLIERS,
    CLEAN_OUTLIER,
    UNIFORM,
    KnownNetwork,
)

SEED = 1  # the random starts of the images differ in sign


def _expected(radii: Tensor, starts: Tensor) -> Tensor:
    """Return the loss if an attack moves the images by `radii` `(5,)` in the direction of `starts`.

    The divergence grows in both directions, so an image moves on in the direction of its start.
    """
    images = torch.cat([BATCH.inliers, BATCH.outliers])
    direction = (starts - images).mean(dim=(1, 2, 3)).sign()
    assert direction.unique().numel() == 2
    z = torch.tensor([0.3, -0.6, 0.6, 0.6, 0.6])
    clean = torch.stack([z, -z], dim=1).softmax(dim=1)
    attacked = z + 3 * radii * direction
    moved = torch.stack([attacked, -attacked], dim=1).softmax(dim=1)
    divergences = (clean * (clean / moved).log()).sum(dim=1)
    inlier_term = functional.cross_entropy(CLEAN_INLIERS, BATCH.labels) + 6 * divergences[:2].mean()
    outlier_term = functional.cross_entropy(CLEAN_OUTLIER, UNIFORM) + 6 * divergences[2:].mean()
    return inlier_term + 0.5 * outlier_term


def test_trades_aloe_loss_is_clean_loss_plus_divergence() -> None:
    network = KnownNetwork()
    step = TradesAloe(adversary=ADVERSARY, beta=6.0, outlier_weight=0.5)(
        network, BATCH, torch.Generator().manual_seed(SEED)
    )
    images = torch.cat([BATCH.inliers, BATCH.outliers])
    starts = uniform(images, 0.1, torch.Generator().manual_seed(SEED))
    torch.testing.assert_close(step.loss, _expected(torch.full((5,), 0.1), starts))
    torch.testing.assert_close(step.inlier_logits, CLEAN_INLIERS)


def test_trades_aloe_uses_outlier_epsilon_for_outliers() -> None:
    wider = Adversary(ADVERSARY.settings.model_copy(update={"outlier_epsilon_255": 51}))
    step = TradesAloe(adversary=wider, beta=6.0, outlier_weight=0.5)(
        KnownNetwork(), BATCH, torch.Generator().manual_seed(SEED)
    )
    generator = torch.Generator().manual_seed(SEED)
    starts = [uniform(BATCH.inliers, 0.1, generator), uniform(BATCH.outliers, 0.2, generator)]
    radii = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.2])
    torch.testing.assert_close(step.loss, _expected(radii, torch.cat(starts)))


def test_trades_aloe_uses_one_training_pass() -> None:
    network = KnownNetwork()
    TradesAloe(adversary=ADVERSARY, beta=6.0, outlier_weight=0.5)(
        network, BATCH, torch.Generator().manual_seed(0)
    )
    assert network.passes == [(5, False), (5, False), (5, False), (10, True)]
