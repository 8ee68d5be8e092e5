"""Bootstrap intervals of the AUROC, over the images that were measured."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.metrics import Scores
from training.report import Interval

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
