import torch
from torch.nn import functional

from oodguard.training.objectives.acet import Acet
from tests.training.objectives.slope import (
    ADVERSARY,
    ATTACKED_OUTLIER,
    BATCH,
    CLEAN_INLIERS,
    Slope,
)


def test_inliers_are_taken_as_they_are_and_outliers_attacked_towards_confidence() -> None:
    step = Acet(adversary=ADVERSARY, outlier_weight=0.25)(
        Slope(), BATCH, torch.Generator().manual_seed(0)
    )
    log_confidence = functional.log_softmax(ATTACKED_OUTLIER, dim=1).max()
    expected = functional.cross_entropy(CLEAN_INLIERS, BATCH.labels) + 0.25 * log_confidence
    torch.testing.assert_close(step.loss, expected)
    torch.testing.assert_close(step.inlier_logits, CLEAN_INLIERS)
