"""The out-of-distribution scores by name; each becomes a column of the graph output `scores`.

A score maps features `(n, D)` and logits `(n, K)` to `(n,)`; higher means more out-of-distribution.
Each score has one definition, in torch. The export writes it into the graph, and the service never
computes a score.
"""

from collections.abc import Callable, Mapping

from oodguard.models.scores.abstain import abstain
from oodguard.models.scores.base import Accumulator, FitContext, LogitScore
from oodguard.models.scores.energy import energy
from oodguard.models.scores.gen import gen
from oodguard.models.scores.kl_matching import KLMatchingFit
from oodguard.models.scores.knn import KNearestFit
from oodguard.models.scores.mahalanobis import MahalanobisFit
from oodguard.models.scores.max_logit import max_logit
from oodguard.models.scores.msp import msp
from oodguard.models.scores.relative_mahalanobis import RelativeMahalanobisFit
from oodguard.models.scores.vim import ViMFit

LOGIT_SCORES: Mapping[str, LogitScore] = {
    "msp": msp,
    "max_logit": max_logit,
    "energy": energy,
    "gen": gen,
}
"""Scores of the logits `(n, K)` of the classes, at their default options."""

REJECT_SCORES: Mapping[str, LogitScore] = {"abstain": abstain}
"""Scores of the outputs `(n, K + 1)` of a network with a reject class."""

FITTED_SCORES: Mapping[str, Callable[[FitContext], Accumulator]] = {
    "kl_matching": KLMatchingFit,
    "mahalanobis": MahalanobisFit,
    "relative_mahalanobis": RelativeMahalanobisFit,
    "vim": ViMFit,
    "knn": KNearestFit,
}
"""The accumulators of the scores that are fitted on training images."""

SCORE_NAMES = (*LOGIT_SCORES, *REJECT_SCORES, *FITTED_SCORES)
