"""The aims are held against the scores themselves."""

import math

import pytest
import torch

from models.scores import SCORES
from training.attacks.aims import TO_REJECTED, msp_log_odds, to_accepted


def test_msp_log_odds_is_the_logit_of_the_score() -> None:
    # Softmax of log(1, 2, 5) is (1, 2, 5) / 8: odds against the largest are 3 to 5.
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
    assert msp_log_odds(logits).item() == pytest.approx(math.log(3 / 5))


def test_every_score_has_an_aim() -> None:
    assert TO_REJECTED.keys() == SCORES.keys()


@pytest.mark.parametrize("score", SCORES)
def test_climbing_an_aim_climbs_its_score(score: str) -> None:
    logits = 3 * torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    order = TO_REJECTED[score](logits).argsort()
    assert (SCORES[score](logits)[order].diff() >= 0).all()


@pytest.mark.parametrize("score", SCORES)
def test_acceptance_is_the_opposite_direction(score: str) -> None:
    logits = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(to_accepted(score)(logits), -TO_REJECTED[score](logits))


def test_the_gradient_does_not_vanish_where_the_softmax_saturates() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    (naive,) = torch.autograd.grad(SCORES["msp"](logits).sum(), logits)
    (ours,) = torch.autograd.grad(msp_log_odds(logits).sum(), logits)
    assert naive.abs().max() == 0
    assert ours[0].tolist() == pytest.approx([-1.0, 0.5, 0.5])
