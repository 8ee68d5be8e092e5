from dataclasses import replace

import torch
from torch.nn import functional

from oodguard.training.objectives.aloe import Aloe
from tests.training.objectives.slope import (
    ADVERSARY,
    ATTACKED_INLIERS,
    ATTACKED_OUTLIER,
    BATCH,
    UNIFORM,
    Slope,
)


def test_the_loss_is_that_of_attacked_inliers_and_attacked_outliers() -> None:
    objective = Aloe(adversary=ADVERSARY, outlier_weight=0.5)
    step = objective(Slope(), BATCH, torch.Generator().manual_seed(0))
    expected = functional.cross_entropy(ATTACKED_INLIERS, BATCH.labels)
    expected = expected + 0.5 * functional.cross_entropy(ATTACKED_OUTLIER, UNIFORM)
    torch.testing.assert_close(step.loss, expected)
    torch.testing.assert_close(step.inlier_logits, ATTACKED_INLIERS)


def test_the_gradient_reaches_the_weights_and_not_the_pixels() -> None:
    network = Slope()
    objective = Aloe(adversary=ADVERSARY, outlier_weight=1.0)
    objective(network, BATCH, torch.Generator().manual_seed(0)).loss.backward()
    assert network.weight.grad is not None
    assert network.weight.grad != 0
    assert BATCH.inliers.grad is None


def test_labels_are_smoothed_in_the_loss() -> None:
    objective = Aloe(adversary=ADVERSARY, outlier_weight=0.5)
    batch = replace(BATCH, smoothing=0.2)
    step = objective(Slope(), batch, torch.Generator().manual_seed(0))
    smooth = 0.8 * functional.one_hot(BATCH.labels, 2) + 0.2 / 2
    expected = functional.cross_entropy(ATTACKED_INLIERS, smooth)
    expected = expected + 0.5 * functional.cross_entropy(ATTACKED_OUTLIER, UNIFORM)
    torch.testing.assert_close(step.loss, expected)
