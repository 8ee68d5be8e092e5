"""Metrics of the separation of in-distribution and out-of-distribution images, with intervals.

A higher score means more out-of-distribution. Thresholds are scores and are never interpolated. An
image is rejected strictly above the threshold, so equal scores are all rejected or all accepted.
"""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from oodguard.models.decision import rejects
from oodguard.training.report.evidence import Scores
from oodguard.training.report.model import Interval, Ranking

Counts = NDArray[np.int64]
TAILS = (0.025, 0.975)  # of a 95 % interval
Z_95 = NormalDist().inv_cdf(TAILS[1])


def auroc(inliers: Scores, outliers: Scores) -> float:
    """Return the probability that a random outlier scores above a random inlier.

    P(S_out > S_in) + P(S_out = S_in) / 2 for scores `(m,)` and `(n,)`: 1 is perfect, 0.5 is chance.
    """
    return float(roc_auc_score(*_outliers_as_positives(inliers, outliers)))


def aupr_out(inliers: Scores, outliers: Scores) -> float:
    """Return the average precision with the outliers `(m,)` as positives among inliers `(n,)`.

    The precision at a score is that of all scores at or above it. Chance is m / (n + m).
    """
    return float(average_precision_score(*_outliers_as_positives(inliers, outliers)))


def aupr_in(inliers: Scores, outliers: Scores) -> float:
    """Return the average precision with the inliers `(n,)` as positives among outliers `(m,)`.

    The precision at a score is that of all scores at or below it. Chance is n / (n + m).
    """
    return aupr_out(-outliers, -inliers)


def detection_error(inliers: Scores, outliers: Scores) -> float:
    """Return the smallest error over all thresholds t, in [0, 0.5].

    min_t (P(S_in > t) + P(S_out <= t)) / 2 for scores `(n,)` and `(m,)`. Liang et al. 2018 (ODIN),
    arXiv:1706.02690.
    """
    # The thresholds between two inlier scores reject the same inliers and fewer outliers.
    thresholds = np.unique(inliers)
    rejected = 1 - np.searchsorted(np.sort(inliers), thresholds, side="right") / len(inliers)
    accepted = np.searchsorted(np.sort(outliers), thresholds, side="right") / len(outliers)
    # The threshold that accepts all images has error one half.
    return min(float(((rejected + accepted) / 2).min()), 0.5)


def id_rejected_at_95_ood_recall(inliers: Scores, outliers: Scores) -> float:
    """Return the fraction of inliers `(n,)` rejected when at least 95 % of outliers `(m,)` are.

    FPR95 with outliers as positives (OpenOOD, pytorch-ood). The threshold is the highest one with
    this recall; inliers equal to the last rejected outlier are rejected too.
    """
    last = np.sort(outliers)[len(outliers) - _at_least_95_percent(len(outliers))]
    return float((inliers >= last).mean())


def ood_accepted_at_95_id_acceptance(inliers: Scores, outliers: Scores) -> float:
    """Return the fraction of outliers `(m,)` accepted when at least 95 % of inliers `(n,)` are.

    FPR95 with in-distribution images as positives (ALOE, ATOM). The threshold is the lowest one
    with this recall; outliers equal to it are accepted.
    """
    threshold = np.sort(inliers)[_at_least_95_percent(len(inliers)) - 1]
    return float((outliers <= threshold).mean())


def false_rejection_rate(inliers: Scores, threshold: float) -> float:
    """Return the fraction of in-distribution scores `(n,)` that are rejected at `threshold`."""
    return float(rejects(inliers, threshold).mean())


def missed_ood_rate(outliers: Scores, threshold: float) -> float:
    """Return the fraction of out-of-distribution scores `(n,)` accepted at `threshold`."""
    return float(1 - rejects(outliers, threshold).mean())


def wilson_interval(rate: float, images: int) -> Interval:
    """Return the 95 % score interval of a rate that was measured on a number of images.

    Wilson 1927: the probabilities p that a two-sided test at z = 1.96 does not reject,
    |rate - p| <= z sqrt(p (1 - p) / n). It is valid for rates of 0 and 1 and for few images.
    """
    spread = Z_95**2 / images
    centre = (rate + spread / 2) / (1 + spread)
    half = Z_95 * np.sqrt(rate * (1 - rate) / images + spread / images / 4) / (1 + spread)
    return Interval(low=max(float(centre - half), 0.0), high=min(float(centre + half), 1.0))


def ranking(inliers: Scores, outliers: Scores, interval: Interval) -> Ranking:
    """Return all metrics that need no served threshold, with the `interval` of the AUROC."""
    return Ranking(
        auroc=auroc(inliers, outliers),
        auroc_interval=interval,
        aupr_in=aupr_in(inliers, outliers),
        aupr_out=aupr_out(inliers, outliers),
        detection_error=detection_error(inliers, outliers),
        id_rejected_at_95_ood_recall=id_rejected_at_95_ood_recall(inliers, outliers),
        ood_accepted_at_95_id_acceptance=ood_accepted_at_95_id_acceptance(inliers, outliers),
    )


def _outliers_as_positives(inliers: Scores, outliers: Scores) -> tuple[NDArray[np.float64], Scores]:
    truth = np.concatenate([np.zeros(len(inliers)), np.ones(len(outliers))])
    return truth, np.concatenate([inliers, outliers])


def _at_least_95_percent(of: int) -> int:
    return -(-95 * of // 100)  # ceil(0.95 n) in integers, free of rounding errors


def auroc_intervals(
    inliers: Scores,
    outliers: Mapping[str, Scores],
    generator: np.random.Generator,
    *,
    resamples: int = 500,
) -> tuple[dict[str, Interval], Interval]:
    """Return the 95 % intervals of the AUROC of every set and of their mean.

    Percentile bootstrap, Efron and Tibshirani 1993, ch. 13. Each resample draws n inliers, which
    all sets share, and m outliers of each set; the generator draws the inliers first, then the sets
    in order.
    """
    inlier_counts = _draw(len(inliers), resamples, generator)
    aurocs = {
        name: _aurocs(inliers, scores, inlier_counts, _draw(len(scores), resamples, generator))
        for name, scores in outliers.items()
    }
    mean = np.mean(list(aurocs.values()), axis=0)
    return {name: _interval(values) for name, values in aurocs.items()}, _interval(mean)


def _draw(images: int, resamples: int, generator: np.random.Generator) -> Counts:
    """Draw the number of times that each image is in each resample, `(resamples, images)`."""
    drawn = generator.integers(images, size=(resamples, images))
    drawn += images * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)


def _aurocs(
    inliers: Scores, outliers: Scores, inlier_counts: Counts, outlier_counts: Counts
) -> NDArray[np.float64]:
    """Return the AUROC of each resample, `(resamples,)`, ties counting half.

    From counts `(resamples, n)` and `(resamples, m)`. Cumulative counts of the sorted inliers give
    the number of inliers below each outlier without a comparison of all pairs.
    """
    order = np.argsort(inliers)
    sorted_scores = inliers[order]
    totals = np.zeros((len(inlier_counts), len(inliers) + 1), dtype=np.int64)
    np.cumsum(inlier_counts[:, order], axis=1, out=totals[:, 1:])
    below = totals[:, np.searchsorted(sorted_scores, outliers, side="left")]
    not_above = totals[:, np.searchsorted(sorted_scores, outliers, side="right")]
    wins_twice: Counts = np.einsum("bm,bm->b", outlier_counts, below + not_above)
    return wins_twice / (2 * len(inliers) * len(outliers))


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, TAILS)
    return Interval(low=float(low), high=float(high))
