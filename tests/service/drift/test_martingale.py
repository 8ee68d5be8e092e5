import math

import numpy as np
import pytest
from crepes.martingales import SleeperStayer, StepBettingFunction
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from oodguard.service.drift.betting import CELL_WIDTHS, cells, fixed_bets
from oodguard.service.drift.martingale import (
    AlarmLimits,
    DriftEvidence,
    advance,
    compound,
    initial_evidence,
    log_sum,
)

HIGH = AlarmLimits(delta=1e-9, run_length=1e300)


def test_compound_multiplies_each_deposit_by_the_bets_since() -> None:
    """Two bets, by hand. First: (3 + 1) 2 = 8, (8 + 2) 5 = 50. Second: (0 + 1) 1, (1 + 2) / 2."""
    wealth = compound(np.log([3.0, 1e-300]), np.log([[2.0, 1.0], [5.0, 0.5]]), np.log([1.0, 2.0]))
    assert_allclose(np.exp(wealth), [[8.0, 1.0], [50.0, 1.5]])


def test_compound_does_not_overflow() -> None:
    """500 deposits on a bet with the factor e^10: the first deposit dominates."""
    wealth = compound(np.full(1, -np.inf), np.full((500, 1), 10.0), np.zeros(500))
    # Geometric series: e^(5000) (1 + e^-10 + ...) = e^5000 / (1 - e^-10).
    assert_allclose(wealth[-1], 5000 - np.log1p(-np.exp(-10.0)), rtol=1e-14)


def test_compound_equals_the_sleeper_stayer_of_crepes() -> None:
    """Algorithm 9.4 of ALRW, second edition: a share of the reserve is staked at each step."""
    rate, p = 0.02, np.random.default_rng(3).random(300) ** 1.3
    step = StepBettingFunction(Gs=[0.1, 0.3, 0.6], A=[0.05, 0.5])
    bets = step.apply(p)
    reserve = (1 - rate) ** np.arange(1, 301)
    released = rate * (1 - rate) ** np.arange(300)
    wealth = compound(np.full(6, -np.inf), np.log(bets), np.log(released / 6))
    expected = SleeperStayer(R=rate, bf=step).apply(p)
    np.testing.assert_allclose(reserve + np.exp(wealth).sum(axis=1), expected, rtol=1e-9)
    assert expected.max() > 3


def test_log_sum_adds_rows_in_logarithms() -> None:
    rows = np.array([[np.log(2.0), np.log(3.0), -np.inf], [1000.0, 1000.0, 1000.0]])
    assert_allclose(log_sum(rows), np.array([np.log(5), 1000 + np.log(3)]))


def _bets(*factors: float) -> NDArray[np.float64]:
    return np.asarray(np.log(np.array(factors))[:, None])


def test_martingale_stakes_its_reserve_gradually() -> None:
    """The reserve after n steps is 1 / (1 + log(1 + n)): by hand for two bets of factor 3."""
    reserve = [1, 1 / (1 + math.log(2)), 1 / (1 + math.log(3))]
    staked = 3 * (3 * (reserve[0] - reserve[1]) + reserve[1] - reserve[2])
    evidence = advance(initial_evidence(1), _bets(3, 3), HIGH)
    assert evidence.log_martingale == pytest.approx(math.log(reserve[2] + staked))


def test_martingale_is_1_for_neutral_bets() -> None:
    evidence = initial_evidence(2)
    for _ in range(5):
        evidence = advance(evidence, np.zeros((1000, 2)), HIGH)
    assert evidence.steps == 5000
    assert evidence.log_martingale == pytest.approx(0, abs=1e-12)
    assert evidence.log_peak == pytest.approx(0, abs=1e-12)
    assert evidence.log_shiryaev_roberts == pytest.approx(math.log(5000))


def test_martingale_peak_within_a_call_is_recorded() -> None:
    up = advance(initial_evidence(1), _bets(9, 9), HIGH)
    both = advance(initial_evidence(1), _bets(9, 9, 1e-3, 1e-3), HIGH)
    assert both.log_peak == pytest.approx(up.log_martingale)
    assert both.log_martingale < 0


def test_shiryaev_roberts_restarts_after_an_alarm() -> None:
    """Bets of 2: 2, 6, 14. With an alarm at 6, the third bet gives 2 again."""
    unlimited = advance(initial_evidence(1), _bets(2, 2, 2), HIGH)
    assert math.exp(unlimited.log_shiryaev_roberts) == pytest.approx(14)
    evidence = advance(initial_evidence(1), _bets(2, 2, 2), AlarmLimits(run_length=6))
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


def test_advance_does_not_depend_on_the_split_into_calls() -> None:
    random = np.random.default_rng(3)
    bets = np.exp(random.normal(scale=0.5, size=(400, 4)))
    limits = AlarmLimits(run_length=150)
    whole = advance(initial_evidence(4), np.log(bets), limits)
    parts = initial_evidence(4)
    for part in np.split(np.log(bets), [1, 2, 50, 177, 399]):
        parts = advance(parts, part, limits)
    expected, alarms = _brute_force(bets, 150)
    for found in (whole, parts):
        assert found.alarms == alarms > 3
        assert math.exp(found.log_shiryaev_roberts) == pytest.approx(expected)
        assert found.log_martingale == pytest.approx(whole.log_martingale)
        assert found.log_peak == pytest.approx(whole.log_peak)


def test_advance_gains_nothing_on_average_over_the_next_rank() -> None:
    """Given any history, the martingale stays equal and Shiryaev-Roberts grows by 1."""
    bets, random = fixed_bets(), np.random.default_rng(2)
    for steps in (1, 40, 400):
        before = advance(
            initial_evidence(bets.shape[1]), bets[cells(random.random(steps) ** 2)], HIGH
        )
        after = [advance(before, bets[[cell]], HIGH) for cell in range(len(CELL_WIDTHS))]
        martingale, restarting = (
            np.exp([[each.log_martingale, each.log_shiryaev_roberts] for each in after]).T
            @ CELL_WIDTHS
        )
        assert martingale == pytest.approx(math.exp(before.log_martingale))
        assert restarting == pytest.approx(math.exp(before.log_shiryaev_roberts) + 1)


def test_martingale_has_a_reserve_after_a_million_scores() -> None:
    long_ago = advance(initial_evidence(1), np.full((1, 1), -9.0), HIGH)
    quiet = DriftEvidence(
        steps=1_000_000,
        log_staked=np.full(1, -1000.0),
        log_peak=0.0,
        log_restarting=long_ago.log_restarting,
        alarms=0,
    )
    assert quiet.log_martingale == pytest.approx(-math.log(1 + math.log(1_000_001)))
    # The first stake after it, by hand: reserve(n - 1) - reserve(n), about 1 / (n (1 + log n)^2).
    released = advance(quiet, np.zeros((1, 1)), HIGH)
    expected = -math.log(1_000_001) - 2 * math.log(1 + math.log(1_000_001))
    assert_allclose(released.log_staked, expected, atol=1e-5)
