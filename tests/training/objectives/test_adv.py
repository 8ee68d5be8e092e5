import torch
from torch.nn import functional

from oodguard.training.objectives.adv import Adversarial
from tests.training.objectives.slope import ADVERSARY, ATTACKED_INLIERS, BATCH, Slope


def test_the_inliers_alone_are_attacked_and_learnt() -> None:
    network = Slope()
    step = Adversarial(adversary=ADVERSARY)(network, BATCH, torch.Generator().manual_seed(0))
    torch.testing.assert_close(step.loss, functional.cross_entropy(ATTACKED_INLIERS, BATCH.labels))
    torch.testing.assert_close(step.inlier_logits, ATTACKED_INLIERS)
    assert network.passes == [(2, False), (2, False), (2, True)]
