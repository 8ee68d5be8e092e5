import pytest

from oodguard.training.fit.trainer import rate


def test_the_rate_rises_to_its_peak_and_anneals_to_zero() -> None:
    rates = [rate(step, steps=100, peak=0.2, warm_up=0.2) for step in range(100)]
    assert max(rates) == rates[20] == pytest.approx(0.2)
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[-1] < 0.001


def test_the_rate_is_half_of_the_peak_half_way_down() -> None:
    assert rate(60, steps=100, peak=0.2, warm_up=0.2) == pytest.approx(0.1)


def test_without_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert rate(0, steps=10, peak=0.3, warm_up=0.0) == pytest.approx(0.3)


def test_the_rate_anneals_to_its_floor() -> None:
    rates = [rate(step, steps=100, peak=0.1, warm_up=0.0, final=0.02) for step in range(101)]
    assert rates[50] == pytest.approx(0.06)
    assert rates[100] == pytest.approx(0.02)
