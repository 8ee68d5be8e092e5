import math

import numpy as np
import pytest
from scipy.stats import bootstrap, mannwhitneyu, norm
from sklearn.metrics import roc_auc_score

from oodguard.training.report.evidence import Scores
from oodguard.training.report.metrics import auroc_intervals
from oodguard.training.report.model import Interval


def _normal(mean: float, images: int, seed: int) -> Scores:
    return np.random.default_rng(seed).normal(mean, 1, images).astype(np.float32)


def _mann_whitney(outliers: Scores, inliers: Scores, axis: int) -> Scores:
    wins = mannwhitneyu(outliers, inliers, axis=axis, method="asymptotic").statistic
    share: Scores = wins / (outliers.shape[axis] * inliers.shape[axis])
    return share


def test_bootstrap_matches_a_loop_over_the_same_resamples() -> None:
    inliers = _normal(0, 30, 0).round(1)  # rounded, so that there are ties
    outliers = {"near": _normal(0.5, 20, 1).round(1), "far": _normal(2, 25, 2).round(1)}
    found, found_mean = auroc_intervals(inliers, outliers, np.random.default_rng(7), resamples=40)

    generator = np.random.default_rng(7)
    inside = generator.integers(30, size=(40, 30))
    aurocs = np.empty((2, 40))
    for row, scores in enumerate(outliers.values()):
        outside = generator.integers(len(scores), size=(40, len(scores)))
        for b in range(40):
            truth = np.concatenate([np.zeros(30), np.ones(len(scores))])
            drawn = np.concatenate([inliers[inside[b]], scores[outside[b]]])
            aurocs[row, b] = roc_auc_score(truth, drawn)
    for interval, values in [
        (found["near"], aurocs[0]),
        (found["far"], aurocs[1]),
        (found_mean, aurocs.mean(axis=0)),
    ]:
        assert interval.low == pytest.approx(np.quantile(values, 0.025))
        assert interval.high == pytest.approx(np.quantile(values, 0.975))


def test_bootstrap_matches_scipy_within_the_sampling_error() -> None:
    inliers, outliers = _normal(0, 100, 0), _normal(1, 80, 1)
    found, _ = auroc_intervals(
        inliers, {"set": outliers}, np.random.default_rng(2), resamples=20_000
    )
    reference = bootstrap(
        (outliers, inliers),
        _mann_whitney,
        vectorized=True,
        n_resamples=20_000,
        batch=2_000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    # Two bounds of 20,000 resamples each differ by 0.0008 or so; the interval is 0.13 wide.
    assert found["set"].low == pytest.approx(reference.low, abs=0.003)
    assert found["set"].high == pytest.approx(reference.high, abs=0.003)


def test_bootstrap_interval_covers_the_true_auroc_at_its_level() -> None:
    truth = norm.cdf(1 / math.sqrt(2))  # of N(1, 1) against N(0, 1)
    held = 0
    for seed in range(300):
        inliers, outliers = _normal(0, 60, seed), _normal(1, 60, 10_000 + seed)
        found, _ = auroc_intervals(inliers, {"set": outliers}, np.random.default_rng(seed))
        held += found["set"].low <= truth <= found["set"].high
    # 95 % of 300 are 285 +- 4; percentile intervals of 60 images are known to be a bit narrow.
    assert 270 <= held <= 297


def test_bootstrap_draws_the_same_inliers_for_all_sets() -> None:
    inliers = _normal(0, 20, 0)
    level = np.full(50, 0.3, dtype=np.float32)  # all outliers alike: inliers alone are uncertain
    found, mean = auroc_intervals(
        inliers, {"one": level, "two": level, "three": level}, np.random.default_rng(1)
    )
    assert found["one"].high - found["one"].low > 0.2
    assert found["one"] == found["two"] == found["three"]
    assert (mean.low, mean.high) == pytest.approx((found["one"].low, found["one"].high))


def test_bootstrap_draws_independent_outliers_for_each_set() -> None:
    inliers = np.zeros(20, dtype=np.float32)
    # Half of 40 outliers win: the AUROC has a variance of 0.5 * 0.5 / 40, its mean over 4 a fourth.
    scores = np.array([-1.0, 1.0] * 20, dtype=np.float32)
    _, mean = auroc_intervals(
        inliers, dict.fromkeys("abcd", scores), np.random.default_rng(1), resamples=5000
    )
    assert mean.high - mean.low == pytest.approx(2 * 1.96 / math.sqrt(4 * 160), rel=0.1)


def test_bootstrap_interval_of_perfect_separation_is_a_point() -> None:
    found, mean = auroc_intervals(
        _normal(0, 10, 0), {"set": _normal(100, 10, 1)}, np.random.default_rng(2)
    )
    assert found["set"] == mean == Interval(low=1, high=1)
