import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from oodguard.service.drift.betting import (
    EDGES,
    HIGHER_SCORES,
    LOWER_SCORES,
    SHARES,
    cells,
    fixed_bets,
)

BETS = fixed_bets()


@pytest.mark.parametrize("bet", range(BETS.shape[1]))
def test_a_bet_gains_nothing_on_average_from_uniform_ranks(bet: int) -> None:
    def stake_at(rank: float) -> float:
        return math.exp(BETS[cells(np.array([rank]))[0], bet])

    # Cell by cell: an integrand that jumps inside of an interval is not integrated exactly.
    mean = sum(quad(stake_at, low, high)[0] for low, high in pairwise(EDGES))
    assert mean == pytest.approx(1, abs=1e-9)


def test_all_of_the_traffic_changed_is_the_average_of_a_power_bet_over_the_cell() -> None:
    whole = np.exp(BETS[:, -len(HIGHER_SCORES) - len(LOWER_SCORES) :])
    cell = 6
    assert (EDGES[cell], EDGES[cell + 1]) == (0.1, 0.3)
    for column, k in enumerate(HIGHER_SCORES):
        area = quad(lambda u, k=k: k * u ** (k - 1), 0.1, 0.3)[0]
        assert whole[cell, column] == pytest.approx(area / 0.2)
    for column, k in enumerate(LOWER_SCORES, start=len(HIGHER_SCORES)):
        area = quad(lambda u, k=k: k * (1 - u) ** (k - 1), 0.1, 0.3)[0]
        assert whole[cell, column] == pytest.approx(area / 0.2)


def test_a_bet_on_a_share_keeps_the_rest_of_the_stake() -> None:
    kinds = len(HIGHER_SCORES) + len(LOWER_SCORES)
    assert BETS.shape == (13, kinds * len(SHARES))
    by_share = np.exp(BETS).reshape(13, len(SHARES), kinds)
    for place, share in enumerate(SHARES):
        expected = 1 - share + share * by_share[:, -1]
        np.testing.assert_allclose(by_share[:, place], expected, rtol=1e-12)


def test_small_ranks_pay_for_higher_scores_and_large_ones_for_lower() -> None:
    whole = BETS[:, -len(HIGHER_SCORES) - len(LOWER_SCORES) :]
    assert (np.diff(whole[:, : len(HIGHER_SCORES)], axis=0) < 0).all()
    assert (np.diff(whole[:, len(HIGHER_SCORES) :], axis=0) > 0).all()


def test_every_rank_has_a_cell() -> None:
    ranks = np.array([1e-300, 0.0003, 0.00031, 0.5, 0.99, 0.991, 1.0])
    assert cells(ranks).tolist() == [0, 0, 1, 7, 11, 12, 12]
