"""Expected values by hand: softmax of log-weights is the weights over their sum."""

import math

import pytest
import torch

from oodguard.models.scores import LOGIT_SCORES
from oodguard.models.scores.abstain import abstain
from oodguard.models.scores.energy import energy
from oodguard.models.scores.gen import gen
from oodguard.models.scores.max_logit import max_logit
from oodguard.models.scores.msp import msp, msp_log_odds

LOGITS = torch.log(torch.tensor([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0]]))


def test_msp_is_one_minus_the_largest_probability() -> None:
    assert msp(LOGITS).tolist() == pytest.approx([1 - 5 / 8, 1 - 1 / 3])


def test_msp_log_odds_is_the_logit_of_the_score() -> None:
    # Softmax of log(1, 2, 5) is (1, 2, 5) / 8: odds against the largest are 3 to 5.
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
    assert msp_log_odds(logits).item() == pytest.approx(math.log(3 / 5))


def test_msp_log_odds_gradient_does_not_vanish_where_the_softmax_saturates() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    (naive,) = torch.autograd.grad(msp(logits).sum(), logits)
    (ours,) = torch.autograd.grad(msp_log_odds(logits).sum(), logits)
    assert naive.abs().max() == 0
    assert ours[0].tolist() == pytest.approx([-1.0, 0.5, 0.5])


def test_max_logit_is_minus_the_largest_logit() -> None:
    assert max_logit(torch.tensor([[1.0, -2.0], [-3.0, 0.5]])).tolist() == [-1.0, -0.5]


def test_energy_is_minus_the_log_of_the_summed_weights() -> None:
    expected = -torch.log(torch.tensor([8.0, 9.0]))
    torch.testing.assert_close(energy(LOGITS), expected)


def test_energy_at_a_temperature_scales_logits_and_result() -> None:
    # z / T with T = 2 gives weights sqrt(4) = 2 and sqrt(9) = 3, so -2 log(2 + 3).
    logits = torch.log(torch.tensor([[4.0, 9.0]]))
    expected = -2 * torch.log(torch.tensor([5.0]))
    torch.testing.assert_close(energy(logits, temperature=2.0), expected)


def test_gen_sums_the_roots_of_p_times_one_minus_p() -> None:
    # Of (1, 2, 5) / 8: sqrt(7) / 8, sqrt(12) / 8 and sqrt(15) / 8.
    expected = (math.sqrt(7) + math.sqrt(12) + math.sqrt(15)) / 8
    assert gen(LOGITS[:1], gamma=0.5).item() == pytest.approx(expected)


def test_gen_uses_the_largest_probabilities_only() -> None:
    assert gen(LOGITS[:1], gamma=0.5, top=1).item() == pytest.approx(math.sqrt(15) / 8)


def test_gen_has_a_gradient_where_the_softmax_rounds_to_one() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(gen(logits).sum(), logits)
    assert gradient[0, 0] < 0
    assert gradient[0, 1:].min() > 0
    assert torch.isfinite(gradient).all()


def test_abstain_is_the_log_odds_of_the_last_output() -> None:
    # Softmax weights 1 and 2 for the classes, 5 for rejection: odds 5 to 3.
    assert abstain(LOGITS[:1]).item() == pytest.approx(math.log(5 / 3))


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
