import torch
from torch.nn import functional

from oodguard.training.objectives.standard import Standard
from tests.training.objectives.slope import BATCH, CLEAN_INLIERS, Slope


def test_standard_training_is_plain_cross_entropy_and_ignores_outliers() -> None:
    step = Standard()(Slope(), BATCH, torch.Generator())
    torch.testing.assert_close(step.loss, functional.cross_entropy(CLEAN_INLIERS, BATCH.labels))
