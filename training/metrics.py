"""How well scores separate in-distribution from out-of-distribution images.

Scores are higher for more OOD; OOD is the positive class.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.decision import rejects

Scores = NDArray[np.float32]


def auroc(inliers: Scores, outliers: Scores) -> float:
    """Probability that a random outlier scores above a random inlier, ties counting half.

    Scores `(n,)` and `(m,)`; 1 is perfect, 0.5 is chance, 0 is perfectly wrong.
    """
    truth = np.concatenate([np.zeros(len(inliers)), np.ones(len(outliers))])
    return float(roc_auc_score(truth, np.concatenate([inliers, outliers])))


def false_rejection_rate(inliers: Scores, threshold: float) -> float:
    """Share of in-distribution scores `(n,)` that are rejected at `threshold`."""
    return float(rejects(inliers, threshold).mean())


def missed_ood_rate(outliers: Scores, threshold: float) -> float:
    """Share of out-of-distribution scores `(n,)` that are accepted at `threshold`."""
    return float(1 - rejects(outliers, threshold).mean())
