"""The out-of-distribution scores by name; each becomes a column of the graph output `scores`.

A score maps features `(n, D)` and logits `(n, K)` to `(n,)`; higher always means more
out-of-distribution. This is the only definition of each: export writes it into the graph and the
service never computes one.
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
"""Scores of the classes' logits `(n, K)` alone, at their default options."""

REJECT_SCORES: Mapping[str, LogitScore] = {"abstain": abstain}
"""Scores of all outputs `(n, K + 1)` of a network that was trained with a reject class."""

FITTED_SCORES: Mapping[str, Callable[[FitContext], Accumulator]] = {
    "kl_matching": KLMatchingFit,
    "mahalanobis": MahalanobisFit,
    "relative_mahalanobis": RelativeMahalanobisFit,
    "vim": ViMFit,
    "knn": KNearestFit,
}
"""Scores that are fitted on training images, by what gathers their statistics."""

SCORE_NAMES = (*LOGIT_SCORES, *REJECT_SCORES, *FITTED_SCORES)
