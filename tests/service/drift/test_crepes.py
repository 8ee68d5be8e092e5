"""Ranks and compounded bets beside those of crepes, an independent library."""

import numpy as np
import pytest
from crepes.base import p_values_batch
from crepes.martingales import SleeperStayer, StepBettingFunction, semi_online_p_values
from numpy.typing import NDArray

from oodguard.service.drift.martingale import compound
from oodguard.service.drift.ranks import Urn, ladder, slots

SEED = 5


def _thetas(n: int) -> NDArray[np.float64]:
    """Return the random numbers that crepes draws under SEED."""
    return np.random.RandomState(SEED).rand(n)


def _scores(decimals: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.random.default_rng(1).normal(size=430).round(decimals)
    return np.sort(values[:30]), values[30:]


def _first_ranks(
    keys: NDArray[np.float64], thetas: NDArray[np.float64], decimals: int
) -> NDArray[np.float64]:
    """Return what the rank of each score of the stream would be if it came first."""
    calibration, stream = _scores(decimals)
    found = slots(ladder(calibration, np.full(30, 0.5)), stream, keys)
    fresh = np.zeros(31, dtype=np.int64)
    return np.array(
        [Urn(fresh).take(found[[place]]).ranks(thetas[[place]])[0] for place in range(len(stream))]
    )


def test_the_first_rank_is_the_smoothed_p_value() -> None:
    ranks = _first_ranks(np.zeros(400), _thetas(400), decimals=9)
    expected = p_values_batch(*_scores(decimals=9), smoothing=True, seed=SEED)
    np.testing.assert_allclose(ranks, expected, rtol=1e-12)


@pytest.mark.parametrize("decimals", [0, 9])
def test_the_highest_rank_that_chance_can_give_is_the_p_value(decimals: int) -> None:
    ranks = _first_ranks(np.zeros(400), np.ones(400), decimals)
    expected = p_values_batch(*_scores(decimals), smoothing=False)
    np.testing.assert_allclose(ranks, expected, rtol=1e-12)


def test_a_semi_online_p_value_lies_in_the_interval_of_its_slot() -> None:
    """crepes keeps every score and ranks among all; the urn knows the slot and nothing finer."""
    calibration, stream = _scores(decimals=9)
    met = Urn(np.zeros(31, dtype=np.int64)).take(
        slots(ladder(calibration, np.zeros(30)), stream, np.zeros(400))
    )
    p = semi_online_p_values(np.concatenate([calibration, stream]), seed=SEED)[30:]
    assert (p >= met.above / met.total).all()
    assert (p <= (met.above + met.own) / met.total).all()
    # In a slot that nothing has fallen into before there is nothing finer to know.
    alone = met.own == 1
    assert 10 < alone.sum() < 32
    np.testing.assert_allclose(met.ranks(_thetas(430)[30:])[alone], p[alone], rtol=1e-12)


def test_stakes_compound_like_those_of_a_sleeper_and_stayer() -> None:
    """Algorithm 9.4 of ALRW, second edition: a share of what is left goes into play every time."""
    rate, p = 0.02, np.random.default_rng(3).random(300) ** 1.3
    step = StepBettingFunction(Gs=[0.1, 0.3, 0.6], A=[0.05, 0.5])
    bets = step.apply(p)
    left = (1 - rate) ** np.arange(1, 301)
    woken = rate * (1 - rate) ** np.arange(300)
    wealth = compound(np.full(6, -np.inf), np.log(bets), np.log(woken / 6))
    expected = SleeperStayer(R=rate, bf=step).apply(p)
    np.testing.assert_allclose(left + np.exp(wealth).sum(axis=1), expected, rtol=1e-9)
    assert expected.max() > 3
