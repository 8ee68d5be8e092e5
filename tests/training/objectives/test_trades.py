import torch
from torch.nn import functional

from oodguard.training.attacks.base import uniform
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


def test_trades_aloe_loss_is_clean_loss_plus_divergence() -> None:
    network = KnownNetwork()
    step = TradesAloe(adversary=ADVERSARY, beta=6.0, outlier_weight=0.5)(
        network, BATCH, torch.Generator().manual_seed(SEED)
    )
    # The divergence grows in both directions, so an image moves on in the direction of its start.
    images = torch.cat([BATCH.inliers, BATCH.outliers])
    start = uniform(images, 0.1, torch.Generator().manual_seed(SEED))
    direction = (start - images).mean(dim=(1, 2, 3)).sign()
    assert direction.unique().numel() == 2
    z = torch.tensor([0.3, -0.6, 0.6, 0.6, 0.6])
    clean = torch.stack([z, -z], dim=1).softmax(dim=1)
    moved = torch.stack([z + 0.3 * direction, -z - 0.3 * direction], dim=1).softmax(dim=1)
    divergences = (clean * (clean / moved).log()).sum(dim=1)
    inlier_term = functional.cross_entropy(CLEAN_INLIERS, BATCH.labels) + 6 * divergences[:2].mean()
    outlier_term = functional.cross_entropy(CLEAN_OUTLIER, UNIFORM) + 6 * divergences[2:].mean()
    torch.testing.assert_close(step.loss, inlier_term + 0.5 * outlier_term)
    torch.testing.assert_close(step.inlier_logits, CLEAN_INLIERS)


def test_trades_aloe_uses_one_training_pass() -> None:
    network = KnownNetwork()
    TradesAloe(adversary=ADVERSARY, beta=6.0, outlier_weight=0.5)(
        network, BATCH, torch.Generator().manual_seed(0)
    )
    assert network.passes == [(5, False), (5, False), (5, False), (10, True)]
