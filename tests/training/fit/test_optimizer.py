import pytest
import torch
from torch import nn

from oodguard.training.config.schedule import ScheduleSettings
from oodguard.training.fit.optimizer import learning_rate, start_average, update_average


def test_learning_rate_rises_to_its_peak_and_decays_to_zero() -> None:
    schedule = ScheduleSettings(epochs=1, peak_rate=0.2, warm_up=0.2)
    rates = [learning_rate(schedule, step, steps=100) for step in range(100)]
    assert max(rates) == rates[20] == pytest.approx(0.2)
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[-1] < 0.001


@pytest.mark.parametrize(
    ("step", "warm_up", "final", "expected"),
    [
        (60, 0.2, 0.0, 0.1),  # half way down
        (0, 0.0, 0.0, 0.2),  # without warm-up
        (50, 0.0, 0.02, 0.11),
        (100, 0.0, 0.02, 0.02),
    ],
)
def test_learning_rate_follows_the_cosine(
    step: int, warm_up: float, final: float, expected: float
) -> None:
    schedule = ScheduleSettings(epochs=1, peak_rate=0.2, warm_up=warm_up, final_rate=final)
    assert learning_rate(schedule, step, steps=100) == pytest.approx(expected)


def _norm(weight: float, mean: float) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(1)
    with torch.no_grad():
        norm.weight.fill_(weight)
        norm.get_buffer("running_mean").fill_(mean)
    return norm


@pytest.mark.parametrize(
    ("decay", "step", "share"),
    [(0.9, 1000, 0.1), (0.999, 0, 0.9)],  # in the first step the decay is at most a tenth
)
def test_average_moves_weights_and_statistics_by_one_minus_the_decay(
    decay: float, step: int, share: float
) -> None:
    average, network = start_average(_norm(weight=0.0, mean=10.0)), _norm(weight=1.0, mean=20.0)
    network.get_buffer("num_batches_tracked").fill_(7)
    update_average(average, network, decay=decay, step=step)
    assert average.get_parameter("weight").item() == pytest.approx(share)
    assert average.get_buffer("running_mean").item() == pytest.approx(10 + 10 * share)
    assert average.get_buffer("num_batches_tracked").item() == 7  # counts are copied


def test_average_is_a_copy_without_gradients_in_evaluation_mode() -> None:
    network = _norm(weight=1.0, mean=0.0)
    average = start_average(network)
    assert not average.training
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
