"""Expected values by hand: softmax of log-weights is the weights over their sum."""

import math

import pytest
import torch
from torch import Tensor

from oodguard.models.scores import LOGIT_SCORES
from oodguard.models.scores.logit_scores import abstain, energy, gen, max_logit, msp, msp_log_odds


def _logits(*weights: float) -> Tensor:
    return torch.log(torch.tensor([weights]))


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (msp(_logits(1, 2, 5)), 1 - 5 / 8),
        (msp(_logits(3, 3, 3)), 1 - 1 / 3),
        (msp_log_odds(_logits(1, 2, 5)), math.log(3 / 5)),  # against the largest
        (max_logit(torch.tensor([[-3.0, 0.5]])), -0.5),
        (energy(_logits(1, 2, 5)), -math.log(8)),
        # z / T with T = 2 gives the weights sqrt(4) and sqrt(9).
        (energy(_logits(4, 9), temperature=2.0), -2 * math.log(2 + 3)),
        # The roots of p (1 - p): sqrt(7) / 8, sqrt(12) / 8 and sqrt(15) / 8.
        (gen(_logits(1, 2, 5), gamma=0.5), (math.sqrt(7) + math.sqrt(12) + math.sqrt(15)) / 8),
        (gen(_logits(1, 2, 5), gamma=0.5, top=1), math.sqrt(15) / 8),
        (abstain(_logits(1, 2, 5)), math.log(5 / 3)),  # for the last output
    ],
)
def test_score_of_logits_by_hand(score: Tensor, expected: float) -> None:
    assert score.tolist() == pytest.approx([expected])


def test_msp_log_odds_gradient_does_not_vanish_where_the_softmax_saturates() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    (naive,) = torch.autograd.grad(msp(logits).sum(), logits)
    (ours,) = torch.autograd.grad(msp_log_odds(logits).sum(), logits)
    assert naive.abs().max() == 0
    assert ours[0].tolist() == pytest.approx([-1.0, 0.5, 0.5])


def test_gen_has_a_gradient_where_the_softmax_rounds_to_one() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(gen(logits).sum(), logits)
    assert gradient[0, 0] < 0
    assert gradient[0, 1:].min() > 0
    assert torch.isfinite(gradient).all()


def test_abstain_ranks_as_the_reject_class_probability() -> None:
    outputs = 3 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    probability = torch.softmax(outputs, dim=1)[:, 3]
    torch.testing.assert_close(torch.sigmoid(abstain(outputs)), probability)


@pytest.mark.parametrize("name", LOGIT_SCORES)
def test_logit_score_does_not_decrease_with_less_confidence(name: str) -> None:
    logits = torch.tensor([[scale, 0.0, 0.0] for scale in (8.0, 4.0, 2.0, 1.0)])
    scores = LOGIT_SCORES[name](logits)
    assert (scores.diff() > 0).all()


@pytest.mark.parametrize("name", LOGIT_SCORES)
def test_logit_score_is_finite_where_exponentials_overflow(name: str) -> None:
    logits = torch.tensor([[1e4, 0.0], [-1e4, -1e4]])
    assert torch.isfinite(LOGIT_SCORES[name](logits)).all()
