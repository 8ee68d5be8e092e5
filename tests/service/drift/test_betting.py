import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import quad

from oodguard.models.decision import Policy, threshold
from oodguard.models.thresholds import ClassThresholds, Limit, PoolThresholds, ranked_limit
from oodguard.service.drift.betting import (
    CELL_EDGES,
    CELL_WIDTHS,
    CHANGED_SHARES,
    HIGHER_EXPONENTS,
    HISTOGRAM_MEMORIES,
    LOWER_EXPONENTS,
    MAX_CHUNK,
    ODDS_RATIOS,
    PRIOR_COUNT,
    cells,
    empty_histograms,
    fixed_bets,
    learned_bets,
    null_rejection_rate,
    rejection_bets,
)
from oodguard.service.drift.martingale import AlarmLimits, advance, initial_evidence
from oodguard.service.drift.state import monitored_score
from tests.conftest import build_bundle

BETS = fixed_bets()
KINDS = len(HIGHER_EXPONENTS) + len(LOWER_EXPONENTS)


def test_cells_include_their_upper_edge() -> None:
    ranks = np.array([1e-300, 0.0003, 0.00031, 0.5, 0.99, 0.991, 1.0])
    assert cells(ranks).tolist() == [0, 0, 1, 7, 11, 12, 12]


@pytest.mark.parametrize("bet", range(BETS.shape[1]))
def test_fixed_bets_integrate_to_1(bet: int) -> None:
    def stake_at(rank: float) -> float:
        return math.exp(BETS[cells(np.array([rank]))[0], bet])

    # Cell by cell: quad does not integrate a jump within an interval exactly.
    mean = sum(quad(stake_at, low, high)[0] for low, high in pairwise(CELL_EDGES))
    assert mean == pytest.approx(1, abs=1e-9)


def test_fixed_bet_on_all_traffic_is_the_cell_average_of_a_power_bet() -> None:
    cell = 6
    assert (CELL_EDGES[cell], CELL_EDGES[cell + 1]) == (0.1, 0.3)
    higher = [quad(lambda u, k=k: k * u ** (k - 1), 0.1, 0.3)[0] for k in HIGHER_EXPONENTS]
    lower = [quad(lambda u, k=k: k * (1 - u) ** (k - 1), 0.1, 0.3)[0] for k in LOWER_EXPONENTS]
    assert_allclose(np.exp(BETS[cell, -KINDS:]) * 0.2, [*higher, *lower])


def test_fixed_bet_on_a_share_keeps_the_rest_of_the_stake() -> None:
    assert BETS.shape == (13, KINDS * len(CHANGED_SHARES))
    by_share = np.exp(BETS).reshape(13, len(CHANGED_SHARES), KINDS)
    for place, share in enumerate(CHANGED_SHARES):
        expected = 1 - share + share * by_share[:, -1]
        assert_allclose(by_share[:, place], expected, rtol=1e-12)


def test_fixed_bets_pay_small_ranks_for_higher_scores_and_large_ranks_for_lower() -> None:
    whole = BETS[:, -KINDS:]
    assert (np.diff(whole[:, : len(HIGHER_EXPONENTS)], axis=0) < 0).all()
    assert (np.diff(whole[:, len(HIGHER_EXPONENTS) :], axis=0) > 0).all()


def test_learned_bet_is_the_faded_histogram_of_earlier_ranks() -> None:
    """Cell 6 is .1 to .3, cell 7 is .3 to .5."""
    assert (HISTOGRAM_MEMORIES[0], PRIOR_COUNT) == (300, 100)
    assert CELL_EDGES[6:9].tolist() == [0.1, 0.3, 0.5]
    bets, after = learned_bets(empty_histograms(), np.array([6, 6, 7, 6]))
    left = 299 / 300
    expected = [
        0,
        math.log((1 + 20) / (1 + 100) / 0.2),
        math.log((0 + 20) / (left + 1 + 100) / 0.2),
        math.log((left**2 + left + 20) / (left**2 + left + 1 + 100) / 0.2),
    ]
    assert_allclose(bets[:, 0], expected, atol=1e-12)
    assert_allclose(after[0, 6:8], [left**3 + left**2 + 1, left])
    assert after[0].sum() == pytest.approx(left**3 + left**2 + left + 1)


def test_learned_bets_integrate_to_1() -> None:
    random = np.random.default_rng(0)
    faded = random.random((len(HISTOGRAM_MEMORIES), len(CELL_WIDTHS))) * [[40.0], [400.0]]
    every_cell = [learned_bets(faded, np.array([cell]))[0][0] for cell in range(len(CELL_WIDTHS))]
    assert_allclose(CELL_WIDTHS @ np.exp(every_cell), 1, rtol=1e-12)
    assert np.abs(every_cell).max() > 0.1


def test_learned_bets_of_a_chunk_equal_single_steps() -> None:
    random = np.random.default_rng(1)
    where = random.integers(0, len(CELL_WIDTHS), MAX_CHUNK)
    faded = random.random((len(HISTOGRAM_MEMORIES), len(CELL_WIDTHS))) * 50
    bets, after = learned_bets(faded, where)
    for cell, bet in zip(where, bets, strict=True):
        alone, faded = learned_bets(faded, np.array([cell]))
        assert_allclose(alone[0], bet, atol=1e-12)
    assert_allclose(faded, after, rtol=1e-12)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
def test_rejection_bets_average_1_at_the_rate_and_less_below_it(rate: float) -> None:
    accept, reject = np.exp(rejection_bets(rate))
    assert_allclose(rate * reject + (1 - rate) * accept, 1, rtol=1e-12)
    for lower in (0.0, 0.5 * rate, 0.99 * rate):
        assert (lower * reject + (1 - lower) * accept < 1).all()
    assert (1.01 * rate * reject + (1 - 1.01 * rate) * accept > 1).all()


def test_rejection_bet_multiplies_the_odds() -> None:
    """At a rate of 1 in 5 the odds are 1 : 4; five times as high, 5 : 4, the rate is 5 in 9."""
    accept, reject = np.exp(rejection_bets(0.2))
    five = ODDS_RATIOS.index(5.0)
    assert reject[five] == pytest.approx((5 / 9) / (1 / 5))
    assert accept[five] == pytest.approx((4 / 9) / (4 / 5))


def test_rejection_bets_detect_a_higher_rate_only() -> None:
    random = np.random.default_rng(0)
    bets, limits = rejection_bets(0.05), AlarmLimits(delta=0.01)
    start = initial_evidence(len(ODDS_RATIOS))
    at, above = (
        advance(start, bets[(random.random(5000) < rate).astype(int)], limits)
        for rate in (0.05, 0.08)
    )
    assert at.log_peak < limits.log_martingale < above.log_peak


def limit(n: int, rank: int) -> Limit:
    return ranked_limit(np.arange(n, dtype=np.float32), rank)


def pool(n: int, rank: int) -> PoolThresholds:
    return PoolThresholds(limit(n, rank))


def test_null_rejection_rate_is_alpha_for_a_policy_with_confidence() -> None:
    policy = Policy(score="s", alpha=0.05, delta=0.05)
    assert null_rejection_rate(pool(4000, 100), policy, delta=0.01) == 0.05


@pytest.mark.parametrize(("n", "alpha"), [(400, 0.05), (4000, 0.01), (60, 0.5)])
def test_null_rejection_rate_without_confidence_is_a_beta_quantile(n: int, alpha: float) -> None:
    """The rate of a draw is Beta(k, n + 1 - k) with k = floor(alpha (n + 1)); SciPy inverts it."""
    k = int(alpha * (n + 1))
    policy = Policy(score="s", alpha=alpha, delta=None)
    found = null_rejection_rate(pool(n, k), policy, delta=0.01)
    quantile = stats.beta(k, n + 1 - k).ppf(0.99)
    assert quantile <= found < quantile + 1e-6
    assert found > alpha


def test_null_rejection_rate_by_class_holds_for_all_classes_at_once() -> None:
    own = [limit(400, 20), limit(100, 5), None]
    thresholds = ClassThresholds(limit(500, 25), own)
    policy = Policy(score="s", alpha=0.05, by_class=True)
    found = null_rejection_rate(thresholds, policy, delta=0.01)
    # Two classes have a threshold of their own, and the smaller one is the less certain.
    quantile = stats.beta(5, 96).ppf(1 - 0.01 / 2)
    assert quantile <= found < quantile + 1e-6


def test_null_rejection_rate_without_alpha_holds_for_every_threshold() -> None:
    policy = Policy(score="s", alpha=None, beta=0.05)
    found = null_rejection_rate(pool(1000, 101), policy, delta=0.05)
    assert found == pytest.approx(0.1 + math.sqrt(math.log(20) / 2000))
    assert null_rejection_rate(pool(10, 10), policy, delta=0.05) < 1


def test_monitored_score_is_that_of_the_served_bundle(tmp_path: Path) -> None:
    bundle = build_bundle(tmp_path / "tiny", n_calibration=400)
    policy = Policy(score="energy", alpha=0.05, delta=None)
    found = monitored_score(bundle, policy, AlarmLimits(delta=0.01))
    assert (found.bundle, found.score) == (bundle.sha256, "energy")
    assert found.threshold == threshold(bundle.calibration["energy"], policy) == 381
    assert found.rate == null_rejection_rate(pool(400, 20), policy, delta=0.01)
