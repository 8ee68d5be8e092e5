"""Benjamini-Hochberg: agreement with SciPy, its guarantee, and rates that reject nothing."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from oodguard.models.calibration import p_values
from oodguard.models.errors import CalibrationError
from oodguard.models.false_discovery import (
    at_false_discovery_rate,
    benjamini_hochberg,
    least_rate,
    parse_rate,
    required_at_smallest,
)
from oodguard.models.verdicts import Verdicts
from tests.models.arrays import verdict_arrays


@pytest.mark.parametrize("m", [1, 2, 20, 500])
@pytest.mark.parametrize("q", [0.01, 0.1, 0.29, 0.9])
def test_false_discovery_rejects_as_scipy(m: int, q: float) -> None:
    random = np.random.default_rng(m)
    for _ in range(20):
        # Ties, as conformal p-values of few calibration images have.
        values = np.ceil(random.beta(0.4, 1, m) * 200) / 201
        expected = false_discovery_control(values, method="bh") <= q + 1e-12
        assert benjamini_hochberg(values, q).tolist() == expected.tolist()


def test_false_discovery_by_hand() -> None:
    """Of .01, .03, .04, .5 at q = .08, the limits are .02, .04, .06 and .08."""
    found = benjamini_hochberg(np.array([0.5, 0.04, 0.01, 0.03]), 0.08)
    assert found.tolist() == [False, True, True, True]


def test_false_discovery_of_no_images() -> None:
    assert benjamini_hochberg(np.empty(0), 0.1).tolist() == []


def test_false_discovery_is_not_confused_by_rounding() -> None:
    """In binary floating point, .29 * 100 / 100 may differ from .29."""
    assert benjamini_hochberg(np.full(100, 0.29), 0.29).all()


@pytest.mark.parametrize(("m", "rejected"), [(20, True), (21, False)])
def test_false_discovery_of_a_single_outlier_depends_on_the_batch(m: int, rejected: bool) -> None:
    """With n = 199 and q = .1, m <= q (n + 1) = 20."""
    values = np.ones(m)
    values[3] = least_rate(199)
    assert benjamini_hochberg(values, 0.1)[3] == rejected
    assert (required_at_smallest(m, 0.1, 199) == 1) == rejected


@pytest.mark.parametrize("m", [1, 99, 100, 101, 20_000])
@pytest.mark.parametrize("q", [0.1, 0.29])
def test_false_discovery_requires_so_many_images_with_the_smallest_p_value(
    m: int, q: float
) -> None:
    required = required_at_smallest(m, q, 999)
    for count in (required - 1, required):
        values = np.ones(m)
        values[:count] = least_rate(999)
        assert benjamini_hochberg(values, q).any() == (count == required)


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.0", "1", "1.0", "2", "-0.1", "+0.1", "nan", "NaN", "inf", "1e-1", "0,1", ".",
     "1_0", " 0.1", "\u0660.\u0661", "0.1, 0.2", "0x1p-4", "0." + "0" * 21 + "1"],
)  # fmt: skip
def test_false_discovery_rate_must_be_a_plain_number_between_0_and_1(text: str) -> None:
    with pytest.raises(CalibrationError, match="expected a number above 0 and below 1"):
        parse_rate("X-FDR", text, 10**6)


@pytest.mark.parametrize(("text", "q"), [("0.1", 0.1), (".25", 0.25), ("0.999", 0.999)])
def test_false_discovery_rate_is_parsed(text: str, q: float) -> None:
    assert parse_rate("X-FDR", text, 99) == q


def test_false_discovery_rate_must_be_able_to_reject() -> None:
    assert parse_rate("X-FDR", "0.01", 99) == 0.01
    with pytest.raises(
        CalibrationError, match=r"X-FDR is 0\.009, expected at least 1 / 100 = 0\.01"
    ):
        parse_rate("X-FDR", "0.009", 99)


def test_false_discovery_decides_about_verdicts_and_always_rejects_nan() -> None:
    """The p-values are value / 512; all but 1 and 2 are above every limit."""
    arrays = verdict_arrays([1, 200, 2, 201])
    arrays.scores[3, 0] = np.nan
    found = at_false_discovery_rate(Verdicts(arrays, 0, 4), 0.01, column=0)
    assert found.rejected.tolist() == [True, False, True, True]
    assert [each.decision for each in found] == ["reject", "accept", "reject", "reject"]


@pytest.mark.slow
@pytest.mark.parametrize("outliers", [0, 5, 30])
def test_false_discovery_share_is_bounded_over_draws(outliers: int) -> None:
    """50 images, `outliers` of them shifted: the mean share of wrong rejections is q m0 / m.

    Of 4000 draws of calibration set and images, the standard error is below .005.
    """
    random, n, m, q = np.random.default_rng(0), 500, 50, 0.1
    shares = []
    for _ in range(4000):
        calibration = np.sort(random.normal(size=n))
        scores = random.normal(size=m)
        scores[:outliers] += 3
        rejected = benjamini_hochberg(p_values(scores, calibration), q)
        shares.append(rejected[outliers:].sum() / max(rejected.sum(), 1))
    assert np.mean(shares) <= q * (m - outliers) / m + 0.015
    if outliers:
        assert np.mean(shares) > q * (m - outliers) / m / 3  # the test is not vacuous
