import math

import pytest
import torch

from oodguard.training.objectives.losses import (
    class_logits,
    cross_entropy,
    divergence,
    log_confidence,
    reject_cross_entropy,
    uniform_cross_entropy,
)


def test_cross_entropy_is_minus_the_log_probability_of_the_label() -> None:
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
    assert cross_entropy(logits, torch.tensor([1])).tolist() == pytest.approx([math.log(4)])


def test_uniform_cross_entropy_is_the_mean_over_all_labels() -> None:
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
    mean = (math.log(8) + math.log(4) + math.log(8 / 5)) / 3
    assert uniform_cross_entropy(logits).tolist() == pytest.approx([mean])


def test_uniform_cross_entropy_is_log_k_for_equal_logits() -> None:
    assert uniform_cross_entropy(torch.zeros(1, 4)).tolist() == pytest.approx([math.log(4)])


def test_reject_cross_entropy_is_minus_the_log_probability_of_the_last_output() -> None:
    logits = torch.log(torch.tensor([[1.0, 5.0, 2.0]]))
    assert reject_cross_entropy(logits).tolist() == pytest.approx([math.log(4)])
    assert class_logits(logits).shape == (1, 2)


def test_log_confidence_is_the_log_of_the_highest_probability() -> None:
    logits = torch.log(torch.tensor([[1.0, 5.0, 2.0], [1.0, 1.0, 1.0]]))
    assert log_confidence(logits).tolist() == pytest.approx([math.log(5 / 8), math.log(1 / 3)])


def test_divergence_is_kl_of_the_second_from_the_first() -> None:
    fair, loaded = torch.log(torch.tensor([[2.0, 2.0]])), torch.log(torch.tensor([[3.0, 1.0]]))
    assert divergence(fair, loaded).tolist() == pytest.approx([math.log(4 / 3) / 2])
    expected = 0.75 * math.log(3 / 2) + 0.25 * math.log(1 / 2)
    assert divergence(loaded, fair).tolist() == pytest.approx([expected])


def test_label_smoothing_distributes_a_share_over_all_outputs() -> None:
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
    uniform = (math.log(8) + math.log(4) + math.log(8 / 5)) / 3
    loss = cross_entropy(logits, torch.tensor([1]), smoothing=0.1)
    assert loss.tolist() == pytest.approx([0.9 * math.log(4) + 0.1 * uniform])
