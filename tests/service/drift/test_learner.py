import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from oodguard.service.drift.betting import (
    CHUNK,
    EDGES,
    MEMORIES,
    PRIOR,
    WIDTHS,
    learned_bets,
    nothing_learned,
)


def test_nothing_is_won_before_anything_is_learned() -> None:
    for cell in range(len(WIDTHS)):
        bets, _ = learned_bets(nothing_learned(), np.array([cell]))
        assert_allclose(bets, 0, atol=1e-12)


def test_a_bet_is_the_faded_histogram_of_the_ranks_before() -> None:
    """The widths: cell 6 is .1 to .3, cell 7 .3 to .5."""
    assert (MEMORIES[0], PRIOR) == (300, 100)
    assert EDGES[6:9].tolist() == [0.1, 0.3, 0.5]
    bets, after = learned_bets(nothing_learned(), np.array([6, 6, 7, 6]))
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


def test_a_bet_gains_nothing_on_average_whatever_was_learned() -> None:
    random = np.random.default_rng(0)
    faded = random.random((len(MEMORIES), len(WIDTHS))) * [[40.0], [400.0]]
    every_cell = [learned_bets(faded, np.array([cell]))[0][0] for cell in range(len(WIDTHS))]
    assert_allclose(WIDTHS @ np.exp(every_cell), 1, rtol=1e-12)
    assert np.abs(every_cell).max() > 0.1


def test_a_chunk_is_learned_as_its_ranks_one_by_one() -> None:
    random = np.random.default_rng(1)
    where = random.integers(0, len(WIDTHS), CHUNK)
    faded = random.random((len(MEMORIES), len(WIDTHS))) * 50
    bets, after = learned_bets(faded, where)
    for cell, bet in zip(where, bets, strict=True):
        alone, faded = learned_bets(faded, np.array([cell]))
        assert_allclose(alone[0], bet, atol=1e-12)
    assert_allclose(faded, after, rtol=1e-12)
