"""Two-sample tests, compared with scipy and with simulation."""

import numpy as np
import pytest
from scipy import stats

from oodguard.models.two_sample import (
    exceedance_p_value,
    kolmogorov_smirnov,
    none_exceeding_p_value,
    tail_p_value,
)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("sizes", [(50, 400), (300, 300), (1000, 800)])
def test_kolmogorov_smirnov_agrees_with_scipy(sizes: tuple[int, int], shift: float) -> None:
    rng = np.random.default_rng(sum(sizes))
    first, second = rng.normal(size=sizes[0]), rng.normal(size=sizes[1]) + shift
    expected = stats.ks_2samp(first, second, method="exact")
    found = kolmogorov_smirnov(first, second)
    assert found.distance == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.15, abs=1e-6)


def test_kolmogorov_smirnov_of_equal_and_of_separate_samples() -> None:
    scores = np.arange(100.0)
    assert kolmogorov_smirnov(scores, scores).p_value == 1
    separate = kolmogorov_smirnov(scores, scores + 1000)
    assert separate.distance == 1
    assert separate.p_value < 1e-40


def test_exceedances_by_hand() -> None:
    # Of 2 older and 1 newer score, the newer one is the largest in 1 of 3 orders.
    assert exceedance_p_value(1, 1, 2, 1) == pytest.approx(1 / 3)
    assert exceedance_p_value(0, 1, 2, 1) == 1
    assert exceedance_p_value(1, 2, 2, 1) == pytest.approx(2 / 3)
    assert none_exceeding_p_value(1, 2, 1) == pytest.approx(2 / 3)


def test_exceedances_agree_with_the_hypergeometric_distribution_of_scipy() -> None:
    expected = stats.hypergeom.sf(29, 5000, 1000, 30 + 50 - 1)
    assert exceedance_p_value(30, 50, 4000, 1000) == pytest.approx(expected)


def test_tail_p_value_holds_its_level_and_sees_one_percent_of_outliers() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(400):
        older, newer = rng.normal(size=1500), rng.normal(size=500)
        found.append(tail_p_value(older, newer))
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 0.025
    planted = np.concatenate([rng.normal(size=495), rng.normal(size=5) + 8])
    assert tail_p_value(rng.normal(size=1500), planted) < 0.01
