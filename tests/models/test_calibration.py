import json
import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from oodguard.models.calibration import (
    images_required,
    p_values,
    rejection_rank,
    smallest_rate,
)
from oodguard.models.errors import CalibrationError

RATES = st.floats(min_value=0.001, max_value=0.999)
NEAR = 1e-9  # relative, for a probability that two libraries compute


@pytest.mark.parametrize(
    ("n", "alpha", "delta", "rank"),
    [
        # Published ranks at 95 % confidence.
        *[(1000, 0.05, 0.05, 39), (1000, 0.01, 0.05, 5)],
        *[(5000, 0.05, 0.05, 225), (5000, 0.01, 0.05, 39)],
        # Without delta, the floor of alpha (n + 1).
        (19, 0.05, None, 1),  # 20 x 1/20
        (38, 0.05, None, 1),  # 39/20
        (39, 0.05, None, 2),  # 40/20
        (99, 0.29, None, 29),  # in binary, 0.29 x 100 is 28.999999999999996
        (999, 0.001, None, 1),
    ],
)
def test_rank_of_published_and_exact_cases(
    n: int, alpha: float, delta: float | None, rank: int
) -> None:
    assert rejection_rank(n, alpha=alpha, delta=delta) == rank


@given(n=st.integers(1, 3000), alpha=RATES, delta=RATES)
def test_rank_is_the_largest_that_the_beta_distribution_allows(
    n: int, alpha: float, delta: float
) -> None:
    try:
        rank = rejection_rank(n, alpha=alpha, delta=delta)
    except CalibrationError:
        rank = 0
    if rank > 0:
        assert stats.beta.cdf(alpha, rank, n + 1 - rank) >= (1 - delta) * (1 - NEAR)
    if rank < n:
        assert stats.beta.cdf(alpha, rank + 1, n - rank) <= (1 - delta) * (1 + NEAR)


@pytest.mark.parametrize("n", [10**5, 10**6])
def test_rank_is_correct_for_very_many_images(n: int) -> None:
    rank = rejection_rank(n, alpha=0.05, delta=1e-9)
    assert stats.beta.sf(0.05, rank, n + 1 - rank) <= 1e-9
    assert stats.beta.sf(0.05, rank + 1, n - rank) > 1e-9


def test_rank_of_hardly_any_confidence_does_not_reject_everything() -> None:
    """P(Binomial(4000, 0.05) >= k) is at least 1e-12 up to k = 304."""
    assert rejection_rank(4000, alpha=0.05, delta=1 - 1e-12) == 304
    assert (stats.binom.sf([303, 304], 4000, 0.05) >= 1e-12).tolist() == [True, False]


def test_rank_decreases_with_confidence() -> None:
    ranks = [rejection_rank(1000, alpha=0.05, delta=delta) for delta in (None, 0.2, 0.05, 0.001)]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == 4


@pytest.mark.parametrize(
    ("alpha", "delta", "needed"),
    [
        (0.05, None, 19),  # 1/20 of 19 + 1
        (0.01, None, 99),
        (0.03, None, 33),  # 33.3 - 1, rounded up
        (0.05, 0.05, 59),  # .95^58 = .0510, .95^59 = .0485
        (0.01, 0.05, 299),  # .99^298 = .0500385, .99^299 = .0495
        (0.05, 0.01, 90),  # .95^89 = .0104, .95^90 = .0099
    ],
)
def test_rank_rejects_one_image_too_few_with_the_expected_number(
    alpha: float, delta: float | None, needed: int
) -> None:
    with pytest.raises(CalibrationError) as refusal:
        rejection_rank(needed - 1, alpha=alpha, delta=delta)
    assert f"{needed - 1} calibration images are too few" in str(refusal.value)
    assert f"expected at least {needed}" in str(refusal.value)
    assert rejection_rank(needed, alpha=alpha, delta=delta) == 1


@given(alpha=st.floats(0.002, 0.5), delta=st.none() | st.floats(0.002, 0.5))
def test_rank_exists_for_the_expected_number_of_images(alpha: float, delta: float | None) -> None:
    with pytest.raises(CalibrationError) as refusal:
        rejection_rank(0, alpha=alpha, delta=delta)
    needed = re.search(r"at least (\d+)", str(refusal.value))
    assert needed is not None
    assert rejection_rank(int(needed[1]), alpha=alpha, delta=delta) >= 1


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 5, float("nan")])
def test_rank_rejects_rates_outside_zero_and_one(rate: float) -> None:
    with pytest.raises(CalibrationError, match=f"alpha is {rate}, expected a value above 0"):
        rejection_rank(100, alpha=rate, delta=None)
    with pytest.raises(CalibrationError, match=f"delta is {rate}, expected a value above 0"):
        rejection_rank(100, alpha=0.05, delta=rate)


@pytest.mark.parametrize("n", [1, 2, 5, 48, 99, 399])
def test_smallest_rate_has_its_rank_and_no_smaller_rate_has(n: int) -> None:
    """1/3 is .3333333333333333 as a decimal, of which 3 are less than 1."""
    for rank in range(1, n + 1):
        rate = smallest_rate(n, rank, delta=None)
        assert rate == pytest.approx(rank / (n + 1), rel=1e-15)
        # A client reads the rate as JSON.
        assert rejection_rank(n, alpha=json.loads(json.dumps(rate)), delta=None) == rank
        below = Fraction(str(math.nextafter(rate, 0)))
        assert below * (n + 1) < rank
    assert smallest_rate(n, n + 1, delta=None) == 1


def test_p_values_count_the_calibration_scores_at_or_above() -> None:
    calibration = np.array([1, 2, 2, 3], dtype=np.float32)
    scores = np.array([0, 1, 1.5, 2, 2.5, 3, 4], dtype=np.float32)
    expected = np.array([5, 5, 4, 4, 2, 2, 1]) / 5
    np.testing.assert_array_equal(p_values(scores, calibration), expected)


def test_p_value_of_nan_is_the_smallest_and_of_no_scores_is_empty() -> None:
    calibration = np.array([1, 2, 3], dtype=np.float32)
    scores = np.array([np.nan, np.inf, -np.inf], dtype=np.float32)
    assert p_values(scores, calibration).tolist() == [0.25, 0.25, 1.0]
    assert p_values(scores[:0], calibration).shape == (0,)


def test_p_values_of_in_distribution_scores_are_valid() -> None:
    """Of exchangeable scores, at most alpha have p <= alpha; with these ties, clearly fewer."""
    rng = np.random.default_rng(7)
    draws = np.floor(rng.normal(size=(4000, 40)) * 2)
    hits = [p_values(draw[:1], np.sort(draw[1:]))[0] <= 0.1 for draw in draws]
    # 4000 draws of rate 0.1 have a standard deviation of 0.0047.
    assert np.mean(hits) <= 0.1 + 3 * 0.0047
    assert np.mean(hits) > 0.02


@pytest.mark.parametrize("alpha", [0.5, 0.25, 0.1, 0.05])
def test_images_required_is_the_first_number_that_has_a_rank(alpha: float) -> None:
    """With delta = (1 - alpha)^n, rounding decided: 5 images were too few, expected at least 5."""
    for delta in [float((1 - alpha) ** n) for n in range(1, 60)]:
        required = images_required(alpha, delta)
        assert rejection_rank(required, alpha=alpha, delta=delta) == 1
        if required > 1:
            with pytest.raises(CalibrationError, match="are too few"):
                rejection_rank(required - 1, alpha=alpha, delta=delta)
