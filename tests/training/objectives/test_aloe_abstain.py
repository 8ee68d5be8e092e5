import torch
from torch.nn import functional

from oodguard.training.objectives.aloe_abstain import AloeAbstain
from tests.training.objectives.slope import (
    ADVERSARY,
    ATTACKED_INLIERS,
    ATTACKED_OUTLIER,
    BATCH,
    Slope,
    with_reject,
)


def test_attacked_inliers_keep_their_class_and_attacked_outliers_are_to_be_rejected() -> None:
    objective = AloeAbstain(adversary=ADVERSARY, outlier_weight=0.5)
    step = objective(Slope(reject_class=True), BATCH, torch.Generator().manual_seed(0))
    expected = functional.cross_entropy(with_reject(ATTACKED_INLIERS), BATCH.labels)
    outlier_loss = functional.cross_entropy(with_reject(ATTACKED_OUTLIER), torch.tensor([2]))
    torch.testing.assert_close(step.loss, expected + 0.5 * outlier_loss)


def test_the_inliers_logits_are_those_of_the_classes() -> None:
    objective = AloeAbstain(adversary=ADVERSARY, outlier_weight=0.5)
    step = objective(Slope(reject_class=True), BATCH, torch.Generator().manual_seed(0))
    torch.testing.assert_close(step.inlier_logits, ATTACKED_INLIERS)
