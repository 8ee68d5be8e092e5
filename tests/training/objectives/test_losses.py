import math

import pytest
import torch

from training.objectives.losses import cross_entropy, uniform_cross_entropy


def test_cross_entropy_is_minus_the_log_probability_of_the_label() -> None:
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
    assert cross_entropy(logits, torch.tensor([1])).tolist() == pytest.approx([math.log(4)])


def test_uniform_cross_entropy_is_the_mean_over_all_labels() -> None:
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
    mean = (math.log(8) + math.log(4) + math.log(8 / 5)) / 3
    assert uniform_cross_entropy(logits).tolist() == pytest.approx([mean])


def test_uniform_cross_entropy_is_least_where_the_network_does_not_know() -> None:
    assert uniform_cross_entropy(torch.zeros(1, 4)).tolist() == pytest.approx([math.log(4)])
