from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from oodguard.models.decision import Policy, threshold
from oodguard.models.errors import CalibrationError
from oodguard.service.drift.betting import ODDS, honest_rate, rejection_bets
from oodguard.service.drift.martingale import AlarmLimits, advance, no_evidence
from oodguard.service.drift.state import monitored_score

if TYPE_CHECKING:
    from collections.abc import Callable

    from oodguard.models.bundle import Bundle


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
def test_bets_gain_nothing_at_the_rate_and_lose_below_it(rate: float) -> None:
    accept, reject = np.exp(rejection_bets(rate))
    assert_allclose(rate * reject + (1 - rate) * accept, 1, rtol=1e-12)
    for lower in (0.0, 0.5 * rate, 0.99 * rate):
        assert (lower * reject + (1 - lower) * accept < 1).all()
    assert (1.01 * rate * reject + (1 - 1.01 * rate) * accept > 1).all()


def test_a_bet_supposes_odds_that_many_times_as_high() -> None:
    """At a rate of 1 in 5 the odds are 1 : 4; five times as high, 5 : 4, the rate is 5 in 9."""
    accept, reject = np.exp(rejection_bets(0.2))
    five = ODDS.index(5.0)
    assert reject[five] == pytest.approx((5 / 9) / (1 / 5))
    assert accept[five] == pytest.approx((4 / 9) / (4 / 5))


def test_a_rate_above_is_found_and_the_rate_itself_is_not() -> None:
    random = np.random.default_rng(0)
    bets, limits = rejection_bets(0.05), AlarmLimits(delta=0.01)
    at, above = (
        advance(no_evidence(len(ODDS)), bets[(random.random(5000) < rate).astype(int)], limits)
        for rate in (0.05, 0.08)
    )
    assert at.log_peak < limits.log_martingale < above.log_peak


def test_with_confidence_it_is_alpha_that_may_be_bet_against() -> None:
    assert honest_rate(4000, Policy(score="s", alpha=0.05, delta=0.05), delta=0.01) == 0.05


@pytest.mark.parametrize(("n", "alpha"), [(400, 0.05), (4000, 0.01), (60, 0.5)])
def test_without_confidence_it_is_the_quantile_of_what_draws_give(n: int, alpha: float) -> None:
    """The rate of a draw is Beta(k, n + 1 - k) with k = floor(alpha (n + 1)); SciPy inverts it."""
    found = honest_rate(n, Policy(score="s", alpha=alpha, delta=None), delta=0.01)
    k = int(alpha * (n + 1))
    quantile = stats.beta(k, n + 1 - k).ppf(0.99)
    assert quantile <= found < quantile + 1e-6
    assert found > alpha


def test_too_few_images_for_the_policy_are_too_few_here() -> None:
    with pytest.raises(CalibrationError, match="10 calibration images are too few"):
        honest_rate(10, Policy(score="s", alpha=0.05, delta=None), delta=0.01)


def test_a_subject_is_the_bundle_as_it_is_served(
    tmp_path: Path, make_bundle: "Callable[..., Bundle]"
) -> None:
    bundle = make_bundle(tmp_path / "tiny", n_calibration=400)
    policy = Policy(score="energy", alpha=0.05, delta=None)
    found = monitored_score(bundle, policy, AlarmLimits(delta=0.01))
    assert (found.bundle, found.score) == (bundle.sha256, "energy")
    assert found.threshold == threshold(bundle.calibration["energy"], policy) == 381
    assert found.rate == honest_rate(400, policy, delta=0.01)
