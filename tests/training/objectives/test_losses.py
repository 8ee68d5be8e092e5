"""Losses of logits that are logarithms of known weights: softmax is the weights over their sum."""

import math

import pytest
import torch
from torch import Tensor

from oodguard.training.objectives.base import (
    class_logits,
    cross_entropy,
    divergence,
    log_confidence,
    reject_cross_entropy,
    uniform_cross_entropy,
)

LOG = math.log
UNIFORM = (LOG(8) + LOG(4) + LOG(8 / 5)) / 3
"""The mean cross-entropy of the weights 1, 2 and 5 over all labels."""


def _logits(*weights: float) -> Tensor:
    return torch.log(torch.tensor([weights]))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (cross_entropy(_logits(1, 2, 5), torch.tensor([1])), LOG(4)),
        (
            cross_entropy(_logits(1, 2, 5), torch.tensor([1]), smoothing=0.1),
            0.9 * LOG(4) + 0.1 * UNIFORM,
        ),
        (uniform_cross_entropy(_logits(1, 2, 5)), UNIFORM),
        (uniform_cross_entropy(_logits(1, 1, 1, 1)), LOG(4)),
        (reject_cross_entropy(_logits(1, 5, 2)), LOG(4)),  # the last output
        (log_confidence(_logits(1, 5, 2)), LOG(5 / 8)),  # the highest probability
        (log_confidence(_logits(1, 1, 1)), LOG(1 / 3)),
        # KL of the second from the first: from (1/2, 1/2) to (3/4, 1/4), and back.
        (divergence(_logits(2, 2), _logits(3, 1)), LOG(4 / 3) / 2),
        (divergence(_logits(3, 1), _logits(2, 2)), 0.75 * LOG(3 / 2) + 0.25 * LOG(1 / 2)),
    ],
)
def test_loss_of_an_image_by_hand(loss: Tensor, expected: float) -> None:
    assert loss.tolist() == pytest.approx([expected])


def test_class_logits_omit_the_reject_class() -> None:
    assert class_logits(torch.tensor([[1.0, 5.0, 2.0]])).tolist() == [[1, 5]]
