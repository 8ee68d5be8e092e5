"""How well scores separate in-distribution from out-of-distribution images.

Scores are higher for more OOD. Thresholds are counted out, never interpolated: an image is rejected
strictly above one, so that images which tie are all rejected or all accepted.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from oodguard.models.decision import rejects
from oodguard.training.report.model import Interval, Ranking

Scores = NDArray[np.float32]


def auroc(inliers: Scores, outliers: Scores) -> float:
    """Probability that a random outlier scores above a random inlier, ties counting half.

    Scores `(n,)` and `(m,)`; 1 is perfect, 0.5 is chance, 0 is perfectly wrong.
    """
    return float(roc_auc_score(*_outliers_as_positives(inliers, outliers)))


def aupr_out(inliers: Scores, outliers: Scores) -> float:
    """Average precision of finding the outliers `(m,)` among the inliers `(n,)` by high scores.

    A precision is that of all scores at or above one; chance is m / (n + m).
    """
    return float(average_precision_score(*_outliers_as_positives(inliers, outliers)))


def aupr_in(inliers: Scores, outliers: Scores) -> float:
    """Average precision of finding the inliers `(n,)` among the outliers `(m,)` by low scores.

    A precision is that of all scores at or below one; chance is n / (n + m).
    """
    return aupr_out(-outliers, -inliers)


def detection_error(inliers: Scores, outliers: Scores) -> float:
    """Least mean of the share of inliers rejected and that of outliers accepted, in [0, 0.5].

    Over all thresholds: scores `(n,)` and `(m,)`, both kinds of image equally likely. Liang et al.
    2018 (ODIN), arXiv:1706.02690.
    """
    thresholds = np.unique(inliers)  # between two of them fewer outliers alone would be rejected
    rejected = 1 - np.searchsorted(np.sort(inliers), thresholds, side="right") / len(inliers)
    accepted = np.searchsorted(np.sort(outliers), thresholds, side="right") / len(outliers)
    # At most one half: to accept everything is a threshold too, which the largest inlier may miss.
    return min(float(((rejected + accepted) / 2).min()), 0.5)


def id_rejected_at_95_ood_recall(inliers: Scores, outliers: Scores) -> float:
    """Share of inliers `(n,)` rejected where at least 95 % of the outliers `(m,)` are.

    FPR95 with outliers as positives (OpenOOD, pytorch-ood). The threshold is the highest that
    rejects so many; an inlier that ties with the last outlier rejected is rejected too.
    """
    last = np.sort(outliers)[len(outliers) - _at_least_95_percent(len(outliers))]
    return float((inliers >= last).mean())


def ood_accepted_at_95_id_acceptance(inliers: Scores, outliers: Scores) -> float:
    """Share of outliers `(m,)` accepted where at least 95 % of the inliers `(n,)` are.

    FPR95 with in-distribution images as positives (ALOE, ATOM). The threshold is the lowest that
    accepts so many; an outlier that ties with it is accepted.
    """
    threshold = np.sort(inliers)[_at_least_95_percent(len(inliers)) - 1]
    return float((outliers <= threshold).mean())


def false_rejection_rate(inliers: Scores, threshold: float) -> float:
    """Share of in-distribution scores `(n,)` that are rejected at `threshold`."""
    return float(rejects(inliers, threshold).mean())


def missed_ood_rate(outliers: Scores, threshold: float) -> float:
    """Share of out-of-distribution scores `(n,)` that are accepted at `threshold`."""
    return float(1 - rejects(outliers, threshold).mean())


def ranking(inliers: Scores, outliers: Scores, interval: Interval) -> Ranking:
    """Return all that needs no served threshold, with the `interval` of the AUROC."""
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
    return -(-95 * of // 100)  # in whole numbers: 0.95 * n is not always what it seems


TAILS = (0.025, 0.975)  # of a 95 % interval

Counts = NDArray[np.int64]


def auroc_intervals(
    inliers: Scores,
    outliers: Mapping[str, Scores],
    generator: np.random.Generator,
    *,
    resamples: int = 500,
) -> tuple[dict[str, Interval], Interval]:
    """Return the 95 % interval of the AUROC of every set, and that of the mean over the sets.

    Scores `(n,)` against `(m,)` a set. Percentile bootstrap, Efron and Tibshirani 1993, ch. 13:
    each resample draws n inliers, the same against all sets, and m outliers of each set. The
    inliers are drawn first, then the sets in order.
    """
    inlier_counts = _draw(len(inliers), resamples, generator)
    aurocs = {
        name: _aurocs(inliers, scores, inlier_counts, _draw(len(scores), resamples, generator))
        for name, scores in outliers.items()
    }
    mean = np.mean(list(aurocs.values()), axis=0)
    return {name: _interval(values) for name, values in aurocs.items()}, _interval(mean)


def _draw(images: int, resamples: int, generator: np.random.Generator) -> Counts:
    """Draw how often each image is in each resample, `(resamples, images)`."""
    drawn = generator.integers(images, size=(resamples, images))
    drawn += images * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)


def _aurocs(
    inliers: Scores, outliers: Scores, inlier_counts: Counts, outlier_counts: Counts
) -> NDArray[np.float64]:
    """Return the AUROC of each resample, `(resamples,)`, ties counting half.

    From counts `(resamples, n)` and `(resamples, m)`. An outlier beats as many inliers as are drawn
    from those below it, so running totals take the place of a comparison of all pairs.
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
