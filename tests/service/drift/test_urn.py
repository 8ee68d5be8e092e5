"""That ranks are exactly uniform, by going through all orders in which scores can come."""

from collections import Counter
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from oodguard.service.drift.ranks import Shares, Urn, ladder, slots

Ordered = tuple[tuple[float, float], ...]


def _columns(pairs: Ordered) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scores, keys = np.array(pairs).T
    return scores, keys


def _walk(order: Ordered, m: int) -> tuple[tuple[int, ...], Shares]:
    """Return the slots of what comes after the first `m` pairs, and the urn as each met it."""
    found = slots(ladder(*_columns(order[:m])), *_columns(order[m:]))
    return tuple(found.tolist()), Urn(np.zeros(m + 1, dtype=np.int64)).take(found)


def test_an_empty_urn_gives_every_slot_the_same_chance() -> None:
    met = Urn(np.zeros(4, dtype=np.int64)).take(np.array([1]))
    assert (met.above.tolist(), met.own.tolist(), met.total.tolist()) == ([2], [1], [4])


def test_a_slot_that_was_hit_becomes_likelier() -> None:
    # Balls by slot before each: 1 1 1, then 1 2 1, then 1 2 2, then 1 3 2.
    met = Urn(np.zeros(3, dtype=np.int64)).take(np.array([1, 2, 1, 0]))
    assert met.own.tolist() == [1, 1, 2, 1]
    assert met.above.tolist() == [1, 0, 2, 5]
    assert met.total.tolist() == [3, 4, 5, 6]
    assert met.ranks(np.array([1.0, 0.5, 0.5, 1.0])).tolist() == [2 / 3, 1 / 8, 3 / 5, 1]


def test_an_urn_goes_on_from_its_counts() -> None:
    random = np.random.default_rng(0)
    stream = random.integers(0, 37, 500)
    whole = Urn(np.zeros(37, dtype=np.int64))
    expected = whole.take(stream)
    first = Urn(np.zeros(37, dtype=np.int64))
    first.take(stream[:211])
    rest = Urn(first.counts).take(stream[211:])
    assert rest.above.tolist() == expected.above[211:].tolist()
    assert rest.own.tolist() == expected.own[211:].tolist()
    assert rest.total.tolist() == expected.total[211:].tolist()
    assert whole.counts.tolist() == np.bincount(stream, minlength=37).tolist()
    assert whole.seen == 500


@pytest.mark.parametrize("values", [(1, 2, 3, 4, 5, 6), (1, 1, 1, 2, 2, 3), (7, 7, 7, 7, 7, 7)])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_slot_is_hit_exactly_as_often_as_its_interval_is_long(
    values: tuple[float, ...], m: int
) -> None:
    """Over all 720 equally likely orders of six scores with keys, ties among them or not.

    Given any slots before, the next one is distributed as the urn says: so the rank, whose place
    within the slot's interval is random, is uniform whatever came before it.
    """
    pairs = tuple(zip(values, (0.3, 0.8, 0.1, 0.6, 0.9, 0.2), strict=True))
    histories: Counter[tuple[int, ...]] = Counter()
    chances: dict[tuple[int, ...], tuple[int, int, int]] = {}
    for order in permutations(pairs):
        found, met = _walk(order, m)
        rows = zip(met.above.tolist(), met.own.tolist(), met.total.tolist(), strict=True)
        for length, row in enumerate(rows, start=1):
            histories[found[:length]] += 1
            assert chances.setdefault(found[:length], row) == row
    for history, (_, own, total) in chances.items():
        before = histories[history[:-1]] if len(history) > 1 else 720
        assert Fraction(histories[history], before) == Fraction(own, total)


@pytest.mark.parametrize("m", [1, 2])
def test_the_intervals_of_the_slots_tile_the_unit_interval(m: int) -> None:
    urn = Urn(np.array([3, 0, 2][: m + 1]))
    ends = []
    for slot in range(m, -1, -1):
        met = Urn(urn.counts).take(np.array([slot]))
        ends.append((int(met.above[0]), int(met.above[0] + met.own[0]), int(met.total[0])))
    total = urn.seen + m + 1
    assert {each[2] for each in ends} == {total}
    assert [each[0] for each in ends] == [0, *(each[1] for each in ends[:-1])]
    assert ends[-1][1] == total


@pytest.mark.parametrize("decimals", [0, 6])
def test_the_ranks_of_a_long_stream_are_uniform_and_independent(decimals: int) -> None:
    """With calibration scores that happen to be few, and with hardly any or nearly all tied."""
    random = np.random.default_rng(7)
    m, n = 20, 20_000
    values = random.normal(size=m + n).round(decimals)
    rungs = ladder(values[:m], random.random(m))
    found = slots(rungs, values[m:], random.random(n))
    ranks = Urn(np.zeros(m + 1, dtype=np.int64)).take(found).ranks(1 - random.random(n))
    assert stats.kstest(ranks, "uniform").pvalue > 0.01
    # Pairs of neighbours in a grid of 25 cells: uniform if and only if nothing is carried over.
    grid = np.histogram2d(ranks[:-1], ranks[1:], bins=5, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(grid.ravel()).pvalue > 0.01
