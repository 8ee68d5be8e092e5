"""Ranks are exactly uniform: enumerated over all orders, and compared with crepes."""

from collections import Counter
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from crepes.base import p_values_batch
from crepes.martingales import semi_online_p_values
from numpy.typing import NDArray
from scipy import stats

from oodguard.service.drift.ranks import SlotChances, Urn, slots, sort_calibration

Ordered = tuple[tuple[float, float], ...]
SEED = 5


def test_slot_is_the_number_of_smaller_calibration_scores() -> None:
    calibration = np.array([-1.0, 0.0, 2.5], dtype=np.float32)
    scores = np.array([-5.0, -0.5, 2.0, 3.0], dtype=np.float32)
    found = slots(sort_calibration(calibration, np.full(3, 0.5)), scores, np.full(4, 0.5))
    assert found.tolist() == [0, 1, 2, 3]


def test_slot_of_equal_scores_is_ordered_by_their_keys() -> None:
    # Sorted: (1, .5), (2, .2), (2, .4), (2, .9), (3, .5).
    calibration = sort_calibration(np.array([1.0, 2, 2, 2, 3]), np.array([0.5, 0.9, 0.2, 0.4, 0.5]))
    found = slots(calibration, np.full(4, 2.0), np.array([0.1, 0.3, 0.5, 0.95]))
    assert found.tolist() == [1, 2, 3, 4]


def test_slot_of_nan_and_infinity_is_the_last() -> None:
    calibration = sort_calibration(np.array([1.0, 2.0]), np.zeros(2))
    found = slots(calibration, np.array([np.nan, np.inf, -np.inf]), np.array([0.0, 0.9, 0.9]))
    assert found.tolist() == [2, 2, 0]


def test_slot_of_a_float32_score_equals_its_calibration_score() -> None:
    tenth = np.array([0.1], dtype=np.float32)
    calibration = sort_calibration(tenth, np.array([0.5]))
    assert slots(calibration, tenth, np.array([0.4])).tolist() == [0]
    assert slots(calibration, tenth, np.array([0.6])).tolist() == [1]


def test_urn_adds_a_ball_per_score() -> None:
    # Balls by slot before each: 1 1 1, then 1 2 1, then 1 2 2, then 1 3 2.
    chances = Urn(np.zeros(3, dtype=np.int64)).add(np.array([1, 2, 1, 0]))
    assert chances.own.tolist() == [1, 1, 2, 1]
    assert chances.above.tolist() == [1, 0, 2, 5]
    assert chances.total.tolist() == [3, 4, 5, 6]
    assert chances.ranks(np.array([1.0, 0.5, 0.5, 1.0])).tolist() == [2 / 3, 1 / 8, 3 / 5, 1]


def test_urn_continues_from_its_counts() -> None:
    random = np.random.default_rng(0)
    stream = random.integers(0, 37, 500)
    whole = Urn(np.zeros(37, dtype=np.int64))
    expected = whole.add(stream)
    first = Urn(np.zeros(37, dtype=np.int64))
    first.add(stream[:211])
    rest = Urn(first.counts).add(stream[211:])
    assert rest.above.tolist() == expected.above[211:].tolist()
    assert rest.own.tolist() == expected.own[211:].tolist()
    assert rest.total.tolist() == expected.total[211:].tolist()
    assert whole.counts.tolist() == np.bincount(stream, minlength=37).tolist()
    assert whole.seen == 500


def _columns(pairs: Ordered) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scores, keys = np.array(pairs).T
    return scores, keys


def _walk(order: Ordered, m: int) -> tuple[tuple[int, ...], SlotChances]:
    """Return the slots of the pairs after the first `m`, and the chances before each."""
    found = slots(sort_calibration(*_columns(order[:m])), *_columns(order[m:]))
    return tuple(found.tolist()), Urn(np.zeros(m + 1, dtype=np.int64)).add(found)


@pytest.mark.parametrize("values", [(1, 2, 3, 4, 5, 6), (1, 1, 1, 2, 2, 3), (7, 7, 7, 7, 7, 7)])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_urn_chances_equal_frequencies_over_all_orders(values: tuple[float, ...], m: int) -> None:
    """Enumerate all 720 equally likely orders of six scores with keys, with and without ties.

    Given any earlier slots, the next slot has the distribution of the urn. The rank is random
    within the slot's interval, so it is uniform given all earlier ranks.
    """
    pairs = tuple(zip(values, (0.3, 0.8, 0.1, 0.6, 0.9, 0.2), strict=True))
    histories: Counter[tuple[int, ...]] = Counter()
    by_history: dict[tuple[int, ...], tuple[int, int, int]] = {}
    for order in permutations(pairs):
        found, chances = _walk(order, m)
        rows = zip(
            chances.above.tolist(), chances.own.tolist(), chances.total.tolist(), strict=True
        )
        for length, row in enumerate(rows, start=1):
            histories[found[:length]] += 1
            assert by_history.setdefault(found[:length], row) == row
    for history, (_, own, total) in by_history.items():
        before = histories[history[:-1]] if len(history) > 1 else 720
        assert Fraction(histories[history], before) == Fraction(own, total)


@pytest.mark.parametrize("decimals", [0, 6])
def test_ranks_of_a_long_stream_are_uniform_and_independent(decimals: int) -> None:
    """Few calibration scores; hardly any ties, or nearly all scores tied."""
    random = np.random.default_rng(7)
    m, n = 20, 20_000
    values = random.normal(size=m + n).round(decimals)
    calibration = sort_calibration(values[:m], random.random(m))
    found = slots(calibration, values[m:], random.random(n))
    ranks = Urn(np.zeros(m + 1, dtype=np.int64)).add(found).ranks(1 - random.random(n))
    assert stats.kstest(ranks, "uniform").pvalue > 0.01
    # Pairs of neighbours in a grid of 25 cells: uniform if and only if ranks are independent.
    grid = np.histogram2d(ranks[:-1], ranks[1:], bins=5, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(grid.ravel()).pvalue > 0.01


def _thetas(n: int) -> NDArray[np.float64]:
    """Return the random numbers that crepes draws under SEED."""
    return np.random.RandomState(SEED).rand(n)


def _scores(decimals: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.random.default_rng(1).normal(size=430).round(decimals)
    return np.sort(values[:30]), values[30:]


def _first_ranks(thetas: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
    """Return the rank of each score of the stream as if it were the first."""
    calibration, stream = _scores(decimals)
    found = slots(sort_calibration(calibration, np.full(30, 0.5)), stream, np.zeros(400))
    empty = np.zeros(31, dtype=np.int64)
    return np.array(
        [Urn(empty).add(found[[place]]).ranks(thetas[[place]])[0] for place in range(len(stream))]
    )


@pytest.mark.parametrize(("decimals", "smoothing"), [(9, True), (9, False), (0, False)])
def test_first_rank_equals_the_p_value_of_crepes(decimals: int, *, smoothing: bool) -> None:
    ranks = _first_ranks(_thetas(400) if smoothing else np.ones(400), decimals)
    expected = p_values_batch(*_scores(decimals), smoothing=smoothing, seed=SEED)
    np.testing.assert_allclose(ranks, expected, rtol=1e-12)


def test_semi_online_p_value_of_crepes_is_in_the_interval_of_the_slot() -> None:
    """crepes stores every score and ranks among all; the urn knows only the slot."""
    calibration, stream = _scores(decimals=9)
    chances = Urn(np.zeros(31, dtype=np.int64)).add(
        slots(sort_calibration(calibration, np.zeros(30)), stream, np.zeros(400))
    )
    p = semi_online_p_values(np.concatenate([calibration, stream]), seed=SEED)[30:]
    assert (p >= chances.above / chances.total).all()
    assert (p <= (chances.above + chances.own) / chances.total).all()
    # In a slot without earlier scores both have the same information.
    alone = chances.own == 1
    assert 10 < alone.sum() < 32
    np.testing.assert_allclose(chances.ranks(_thetas(430)[30:])[alone], p[alone], rtol=1e-12)
