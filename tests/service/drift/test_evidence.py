import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from oodguard.service.drift.betting import WIDTHS, cells, fixed_bets
from oodguard.service.drift.martingale import AlarmLimits, DriftEvidence, advance, no_evidence

HIGH = AlarmLimits(delta=1e-9, run_length=1e300)


def _bets(*factors: float) -> NDArray[np.float64]:
    return np.asarray(np.log(np.array(factors))[:, None])


def test_the_limits_are_logarithms_of_the_odds_and_of_the_run_length() -> None:
    limits = AlarmLimits(delta=0.01, run_length=1e6)
    assert limits.log_martingale == pytest.approx(math.log(100))
    assert limits.log_shiryaev_roberts == pytest.approx(math.log(1e6))


@pytest.mark.parametrize("delta", [0.0, 1.0, math.nan])
def test_a_chance_is_between_0_and_1(delta: float) -> None:
    with pytest.raises(ValueError, match=r"delta is .*; wanted a chance"):
        AlarmLimits(delta=delta)


@pytest.mark.parametrize("run_length", [1.0, math.inf, math.nan])
def test_a_run_length_is_finite_and_above_1(run_length: float) -> None:
    with pytest.raises(ValueError, match=r"run_length is .*; wanted scores"):
        AlarmLimits(run_length=run_length)


def test_before_any_bet_the_martingale_is_1_and_shiryaev_roberts_0() -> None:
    evidence = no_evidence(3)
    assert evidence.log_martingale == 0
    assert evidence.log_shiryaev_roberts == -math.inf


def test_money_goes_into_play_as_the_logarithm_grows() -> None:
    """After n steps 1 / (1 + log(1 + n)) has not been staked: by hand for two bets of factor 3."""
    asleep = [1, 1 / (1 + math.log(2)), 1 / (1 + math.log(3))]
    in_play = 3 * (3 * (asleep[0] - asleep[1]) + asleep[1] - asleep[2])
    evidence = advance(no_evidence(1), _bets(3, 3), HIGH)
    assert evidence.log_martingale == pytest.approx(math.log(asleep[2] + in_play))


def test_bets_that_gain_nothing_leave_the_martingale_at_1() -> None:
    evidence = no_evidence(2)
    for _ in range(5):
        evidence = advance(evidence, np.zeros((1000, 2)), HIGH)
    assert evidence.steps == 5000
    assert evidence.log_martingale == pytest.approx(0, abs=1e-12)
    assert evidence.log_peak == pytest.approx(0, abs=1e-12)
    assert evidence.log_shiryaev_roberts == pytest.approx(math.log(5000))


def test_the_peak_is_kept_where_it_lies_inside_of_a_call() -> None:
    up = advance(no_evidence(1), _bets(9, 9), HIGH)
    both = advance(no_evidence(1), _bets(9, 9, 1e-3, 1e-3), HIGH)
    assert both.log_peak == pytest.approx(up.log_martingale)
    assert both.log_martingale < 0


def test_shiryaev_roberts_gets_a_fresh_1_every_step_and_starts_over_after_an_alarm() -> None:
    """Bets of 2: 2, 6, 14. At 6 it is an alarm, and the third bet makes 2 again."""
    unlimited = advance(no_evidence(1), _bets(2, 2, 2), HIGH)
    assert math.exp(unlimited.log_shiryaev_roberts) == pytest.approx(14)
    evidence = advance(no_evidence(1), _bets(2, 2, 2), AlarmLimits(run_length=6))
    assert evidence.alarms == 1
    assert math.exp(evidence.log_shiryaev_roberts) == pytest.approx(2)
    again = advance(evidence, _bets(2), AlarmLimits(run_length=6))
    assert again.alarms == 2
    assert again.log_shiryaev_roberts == -math.inf


def _brute_force(bets: NDArray[np.float64], run_length: float) -> tuple[float, int]:
    wealth, alarms = np.zeros(bets.shape[1]), 0
    for row in bets:
        wealth = (wealth + 1 / bets.shape[1]) * row
        if wealth.sum() >= run_length:
            wealth, alarms = np.zeros_like(wealth), alarms + 1
    return float(wealth.sum()), alarms


def test_calls_of_any_length_come_to_the_same() -> None:
    random = np.random.default_rng(3)
    bets = np.exp(random.normal(scale=0.5, size=(400, 4)))
    limits = AlarmLimits(run_length=150)
    whole = advance(no_evidence(4), np.log(bets), limits)
    parts = no_evidence(4)
    for part in np.split(np.log(bets), [1, 2, 50, 177, 399]):
        parts = advance(parts, part, limits)
    expected, alarms = _brute_force(bets, 150)
    for found in (whole, parts):
        assert found.alarms == alarms > 3
        assert math.exp(found.log_shiryaev_roberts) == pytest.approx(expected)
        assert found.log_martingale == pytest.approx(whole.log_martingale)
        assert found.log_peak == pytest.approx(whole.log_peak)


def _null_streams(streams: int, steps: int, limits: AlarmLimits) -> list[DriftEvidence]:
    random = np.random.default_rng(11)
    bets = fixed_bets()
    return [
        advance(no_evidence(bets.shape[1]), bets[cells(random.random(steps))], limits)
        for _ in range(streams)
    ]


def test_false_alarms_of_shiryaev_roberts_come_as_rarely_as_promised() -> None:
    """At most one in `run_length` scores on average, and not never: the bound is nearly met."""
    found = _null_streams(streams=60, steps=2000, limits=AlarmLimits(run_length=200))
    alarms = sum(each.alarms for each in found)
    assert 0.5 < alarms / (60 * 2000 / 200) <= 1


def test_the_martingale_reaches_1_over_delta_as_rarely_as_promised() -> None:
    found = _null_streams(streams=400, steps=500, limits=HIGH)
    peaks = np.array([each.log_peak for each in found])
    for delta in (0.5, 0.2, 0.05):
        assert (peaks >= -math.log(delta)).mean() <= delta
    assert (peaks >= math.log(2)).any()


def test_on_average_over_the_next_rank_nothing_is_gained() -> None:
    """Whatever came before: the martingale stays, and Shiryaev-Roberts grows by its fresh 1."""
    bets, random = fixed_bets(), np.random.default_rng(2)
    for steps in (1, 40, 400):
        before = advance(no_evidence(bets.shape[1]), bets[cells(random.random(steps) ** 2)], HIGH)
        after = [advance(before, bets[[cell]], HIGH) for cell in range(len(WIDTHS))]
        martingale, restarting = (
            np.exp([[each.log_martingale, each.log_shiryaev_roberts] for each in after]).T @ WIDTHS
        )
        assert martingale == pytest.approx(math.exp(before.log_martingale))
        assert restarting == pytest.approx(math.exp(before.log_shiryaev_roberts) + 1)


def test_a_change_after_a_million_scores_still_finds_money_to_bet() -> None:
    long_ago = advance(no_evidence(1), np.full((1, 1), -9.0), HIGH)
    quiet = DriftEvidence(
        steps=1_000_000,
        log_playing=np.full(1, -1000.0),
        log_peak=0.0,
        log_restarting=long_ago.log_restarting,
        alarms=0,
    )
    assert quiet.log_martingale == pytest.approx(-math.log(1 + math.log(1_000_001)))
    # The first stake after it, by hand: asleep(n - 1) - asleep(n), about 1 / (n (1 + log n)^2).
    woken = advance(quiet, np.zeros((1, 1)), HIGH)
    expected = -math.log(1_000_001) - 2 * math.log(1 + math.log(1_000_001))
    assert_allclose(woken.log_playing, expected, atol=1e-5)
