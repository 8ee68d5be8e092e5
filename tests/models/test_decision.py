from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from oodguard.models.calibration import p_values, rejection_rank
from oodguard.models.decision import Policy, rejects, threshold
from oodguard.models.errors import CalibrationError

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

# Few distinct values, so that ties are the rule.
TIED = st.lists(st.integers(0, 6), min_size=1, max_size=60)


@given(
    calibration=TIED,
    scores=st.lists(st.sampled_from([*range(-1, 8), 2.5, np.nan]), min_size=1),
    alpha=st.floats(0.01, 0.99),
    delta=st.none() | st.floats(0.01, 0.99),
)
def test_decision_is_equivalent_to_the_p_value_rule(
    calibration: list[int], scores: list[float], alpha: float, delta: float | None
) -> None:
    held_out, seen = np.sort(np.array(calibration, np.float32)), np.array(scores, np.float32)
    policy = Policy(score="energy", alpha=alpha, delta=delta)
    try:
        limit = threshold(held_out, policy)
    except CalibrationError:
        return
    rank = rejection_rank(len(held_out), alpha=alpha, delta=delta)
    by_p_value = p_values(seen, held_out) <= rank / (len(held_out) + 1)
    np.testing.assert_array_equal(rejects(seen, limit), by_p_value)


def test_threshold_is_the_kth_largest_score() -> None:
    calibration = np.arange(1, 1001, dtype=np.float32)
    assert threshold(calibration, Policy(score="energy")) == 962  # k = 39: 1000, 999, ... 962
    assert threshold(calibration, Policy(score="energy", alpha=0.01)) == 996
    assert threshold(calibration, Policy(score="energy", delta=None)) == 951  # k = 50


def test_decision_accepts_a_score_at_the_threshold_and_rejects_the_next_above() -> None:
    limit = float(np.float32(0.1))
    above = np.nextafter(np.float32(0.1), np.float32(1))
    scores = np.array([0.1, above, -np.inf, np.inf, np.nan], dtype=np.float32)
    assert rejects(scores, limit).tolist() == [False, True, False, True, True]


def test_decision_does_not_round_a_threshold_between_two_scores() -> None:
    # float32(0.1) is a little above 0.1.
    assert rejects(np.array([0.1], dtype=np.float32), 0.1).tolist() == [True]


@pytest.mark.parametrize(
    "rates", [{"alpha": 0.0}, {"alpha": 1.0}, {"delta": 0.0}, {"delta": 1.0}, {"alpha": np.nan}]
)
def test_policy_rejects_invalid_rates(rates: dict[str, Any]) -> None:
    with pytest.raises(CalibrationError, match="expected a value above 0 and below 1"):
        Policy(score="energy", **rates)


def false_rejection_rates(policy: Policy, *, n: int, draws: int) -> NDArray[np.float64]:
    """Return the exact rate of each of `draws` calibration sets of uniform scores `(draws,)`."""
    rng = np.random.default_rng(11)
    return np.array([1 - threshold(np.sort(rng.random(n)), policy) for _ in range(draws)])


def test_guarantee_without_delta_holds_on_average_over_calibration_sets() -> None:
    rates = false_rejection_rates(Policy(score="energy", alpha=0.1, delta=None), n=99, draws=2000)
    # Beta(10, 90): mean 1/10, and a standard deviation of 0.03 that 2000 draws divide by 45.
    assert rates.mean() == pytest.approx(0.1, abs=4 * 0.03 / 45)
    assert stats.kstest(rates, stats.beta(10, 90).cdf).pvalue > 0.01


def test_guarantee_with_delta_holds_for_one_minus_delta_of_calibration_sets() -> None:
    policy = Policy(score="energy", alpha=0.05, delta=0.1)
    broken = (false_rejection_rates(policy, n=500, draws=4000) > 0.05).mean()
    rank = rejection_rank(500, alpha=0.05, delta=0.1)
    expected = stats.beta.sf(0.05, rank, 501 - rank)
    assert expected <= 0.1
    # 4000 draws of a rate near 0.1 have a standard deviation of 0.0047.
    assert broken == pytest.approx(expected, abs=4 * 0.0047)


def coarse_normal(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return np.floor(rng.normal(size=n) * 3)


def coin(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return rng.integers(0, 2, size=n).astype(np.float64)


@pytest.mark.parametrize("draw", [coarse_normal, coin])
def test_guarantee_holds_with_ties(draw: Draw) -> None:
    rng = np.random.default_rng(5)
    policy = Policy(score="energy", alpha=0.05, delta=0.1)
    population = draw(rng, 100_000)
    limits = [threshold(np.sort(draw(rng, 500)), policy) for _ in range(400)]
    broken = np.mean([rejects(population, limit).mean() > 0.05 for limit in limits])
    # 400 draws of rate 0.1 have a standard deviation of 0.015.
    assert broken <= 0.1 + 3 * 0.015
