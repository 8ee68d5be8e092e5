"""The out-of-distribution scores by name; each becomes a column of the graph output `scores`.

A score maps features `(n, D)` and logits `(n, K)` to `(n,)`; higher means more out-of-distribution.
Each score has one definition, in torch. The export writes it into the graph, and the service never
computes a score.
"""

from collections.abc import Callable, Mapping
from functools import partial

from oodguard.models.errors import RecipeError
from oodguard.models.scores.base import Accumulator, FitContext, LogitScore, ScoreOptions
from oodguard.models.scores.kl_matching import KLMatchingFit
from oodguard.models.scores.knn import KNearestFit
from oodguard.models.scores.logit_scores import abstain, energy, gen, max_logit, msp
from oodguard.models.scores.mahalanobis import Mahalanobis, MahalanobisFit, RelativeMahalanobis
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
    "mahalanobis": partial(MahalanobisFit, Mahalanobis),
    "relative_mahalanobis": partial(MahalanobisFit, RelativeMahalanobis),
    "vim": ViMFit,
    "knn": KNearestFit,
}
"""The accumulators of the scores that are fitted on training images."""

SCORE_NAMES = (*LOGIT_SCORES, *REJECT_SCORES, *FITTED_SCORES)


def check_score(name: str, *, reject_class: bool) -> None:
    """Check that a score exists and that the network has the reject class that it requires.

    Raises:
        RecipeError: The name is unknown, or the score requires a reject class.
    """
    if name not in SCORE_NAMES:
        raise RecipeError(f"score is {name!r}, expected one of {sorted(SCORE_NAMES)}")
    if name in REJECT_SCORES and not reject_class:
        raise RecipeError(
            f"score is {name!r}, which requires a network with a reject class,"
            f" expected one of {sorted(set(SCORE_NAMES) - set(REJECT_SCORES))}"
        )


def unfitted_score(name: str, options: ScoreOptions) -> LogitScore:
    """Return a score that needs no fitting, with its options bound.

    Raises:
        KeyError: `name` is neither in `LOGIT_SCORES` nor in `REJECT_SCORES`.
    """
    chosen: dict[str, LogitScore] = {
        **LOGIT_SCORES,
        **REJECT_SCORES,
        "energy": partial(energy, temperature=options.temperature),
        "gen": partial(gen, gamma=options.gen_gamma, top=options.gen_top),
    }
    return chosen[name]
