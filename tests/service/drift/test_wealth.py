import numpy as np
from numpy.testing import assert_allclose

from oodguard.service.drift.martingale import compound, log_sum


def test_every_deposit_is_multiplied_by_the_bets_won_since() -> None:
    """By hand, two bets. First: (3 + 1) 2 = 8, (8 + 2) 5 = 50. Second: (0 + 1) 1, (1 + 2) / 2."""
    wealth = compound(np.log([3.0, 1e-300]), np.log([[2.0, 1.0], [5.0, 0.5]]), np.log([1.0, 2.0]))
    assert_allclose(np.exp(wealth), [[8.0, 1.0], [50.0, 1.5]])


def test_nothing_to_begin_with_is_minus_infinity() -> None:
    wealth = compound(np.full(1, -np.inf), np.log([[4.0]]), np.log(np.array([0.25])))
    assert_allclose(wealth, 0, atol=1e-15)


def test_wealth_that_no_number_could_hold_is_held() -> None:
    """1 + 2 + ... of a bet that pays e^10 five hundred times: the first deposit dominates."""
    wealth = compound(np.full(1, -np.inf), np.full((500, 1), 10.0), np.zeros(500))
    # Geometric series: e^(5000) (1 + e^-10 + ...) = e^5000 / (1 - e^-10).
    assert_allclose(wealth[-1], 5000 - np.log1p(-np.exp(-10.0)), rtol=1e-14)


def test_sums_of_rows_are_of_what_the_logarithms_stand_for() -> None:
    rows = np.array([[np.log(2.0), np.log(3.0), -np.inf], [1000.0, 1000.0, 1000.0]])
    assert_allclose(log_sum(rows), np.array([np.log(5), 1000 + np.log(3)]))
