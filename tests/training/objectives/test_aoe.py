import torch
from torch.nn import functional

from oodguard.training.objectives.aoe import AdversarialOutlierExposure
from tests.training.objectives.slope import (
    ADVERSARY,
    ATTACKED_INLIERS,
    BATCH,
    CLEAN_OUTLIER,
    UNIFORM,
    Slope,
)


def test_inliers_are_attacked_and_outliers_taken_as_they_are() -> None:
    objective = AdversarialOutlierExposure(adversary=ADVERSARY, outlier_weight=0.5)
    step = objective(Slope(), BATCH, torch.Generator().manual_seed(0))
    expected = functional.cross_entropy(ATTACKED_INLIERS, BATCH.labels)
    expected = expected + 0.5 * functional.cross_entropy(CLEAN_OUTLIER, UNIFORM)
    torch.testing.assert_close(step.loss, expected)
    torch.testing.assert_close(step.inlier_logits, ATTACKED_INLIERS)
