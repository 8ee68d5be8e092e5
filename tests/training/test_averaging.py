import pytest
import torch
from torch import nn

from oodguard.training.fit.trainer import start_average, update_average


def _norm(weight: float, mean: float) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(1)
    with torch.no_grad():
        norm.weight.fill_(weight)
        norm.get_buffer("running_mean").fill_(mean)
    return norm


def test_weights_and_statistics_move_by_one_minus_the_decay() -> None:
    average = start_average(_norm(weight=0.0, mean=10.0))
    update_average(average, _norm(weight=1.0, mean=20.0), decay=0.9, step=1000)
    assert average.get_parameter("weight").item() == pytest.approx(0.1)
    assert average.get_buffer("running_mean").item() == pytest.approx(11.0)


def test_the_first_steps_forget_the_start_quickly() -> None:
    # At step 0 the decay is at most 1/10.
    average = start_average(_norm(weight=0.0, mean=0.0))
    update_average(average, _norm(weight=1.0, mean=0.0), decay=0.999, step=0)
    assert average.get_parameter("weight").item() == pytest.approx(0.9)


def test_counts_are_copied_and_not_averaged() -> None:
    network = _norm(weight=1.0, mean=0.0)
    average = start_average(network)
    network.get_buffer("num_batches_tracked").fill_(7)
    update_average(average, network, decay=0.9, step=1000)
    assert average.get_buffer("num_batches_tracked").item() == 7


def test_the_average_is_a_still_copy() -> None:
    network = _norm(weight=1.0, mean=0.0)
    average = start_average(network)
    assert not average.training
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
