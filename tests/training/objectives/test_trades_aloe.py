import torch
from torch.nn import functional

from oodguard.training.attacks.base import uniform
from oodguard.training.objectives.trades_aloe import TradesAloe
from tests.training.objectives.slope import (
    ADVERSARY,
    BATCH,
    CLEAN_INLIERS,
    CLEAN_OUTLIER,
    UNIFORM,
    Slope,
)

SEED = 1  # sends the images on different ways


def test_the_loss_is_that_of_clean_images_and_of_their_distance_from_attacked_ones() -> None:
    network = Slope()
    step = TradesAloe(adversary=ADVERSARY, beta=6.0, outlier_weight=0.5)(
        network, BATCH, torch.Generator().manual_seed(SEED)
    )
    # Either way from an image the divergence grows: an image moves on the way that its start took.
    images = torch.cat([BATCH.inliers, BATCH.outliers])
    start = uniform(images, 0.1, torch.Generator().manual_seed(SEED))
    way = (start - images).mean(dim=(1, 2, 3)).sign()
    assert way.unique().numel() == 2
    z = torch.tensor([0.3, -0.6, 0.6, 0.6, 0.6])
    clean = torch.stack([z, -z], dim=1).softmax(dim=1)
    moved = torch.stack([z + 0.3 * way, -z - 0.3 * way], dim=1).softmax(dim=1)
    apart = (clean * (clean / moved).log()).sum(dim=1)
    inlier_term = functional.cross_entropy(CLEAN_INLIERS, BATCH.labels) + 6 * apart[:2].mean()
    outlier_term = functional.cross_entropy(CLEAN_OUTLIER, UNIFORM) + 6 * apart[2:].mean()
    torch.testing.assert_close(step.loss, inlier_term + 0.5 * outlier_term)
    torch.testing.assert_close(step.inlier_logits, CLEAN_INLIERS)


def test_one_clean_pass_for_the_attack_and_one_pass_to_learn_from() -> None:
    network = Slope()
    TradesAloe(adversary=ADVERSARY, beta=6.0, outlier_weight=0.5)(
        network, BATCH, torch.Generator().manual_seed(0)
    )
    assert network.passes == [(5, False), (5, False), (5, False), (10, True)]
