import torch
from torch.nn import functional

from oodguard.training.objectives.oe import OutlierExposure
from tests.training.objectives.slope import BATCH, CLEAN_INLIERS, CLEAN_OUTLIER, UNIFORM, Slope


def test_both_halves_are_taken_as_they_are_in_one_pass() -> None:
    network = Slope()
    step = OutlierExposure(outlier_weight=0.5)(network, BATCH, torch.Generator())
    expected = functional.cross_entropy(CLEAN_INLIERS, BATCH.labels)
    expected = expected + 0.5 * functional.cross_entropy(CLEAN_OUTLIER, UNIFORM)
    torch.testing.assert_close(step.loss, expected)
    torch.testing.assert_close(step.inlier_logits, CLEAN_INLIERS)
    assert network.passes == [(5, True)]
