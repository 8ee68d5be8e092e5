"""Expected values by hand: softmax of log-weights is the weights over their sum."""

import pytest
import torch

from models.scores import SCORES
from models.scores.energy import energy
from models.scores.max_logit import max_logit
from models.scores.msp import msp

LOGITS = torch.log(torch.tensor([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0]]))


def test_msp_is_one_minus_the_largest_probability() -> None:
    assert msp(LOGITS).tolist() == pytest.approx([1 - 5 / 8, 1 - 1 / 3])


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


@pytest.mark.parametrize("name", SCORES)
def test_a_less_confident_answer_never_scores_lower(name: str) -> None:
    logits = torch.tensor([[scale, 0.0, 0.0] for scale in (8.0, 4.0, 2.0, 1.0)])
    scores = SCORES[name](logits)
    assert (scores.diff() > 0).all()


@pytest.mark.parametrize("name", SCORES)
def test_scores_stay_finite_where_exponentials_overflow(name: str) -> None:
    logits = torch.tensor([[1e4, 0.0], [-1e4, -1e4]])
    assert torch.isfinite(SCORES[name](logits)).all()
