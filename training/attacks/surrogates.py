"""What to climb in place of a score: a strictly increasing function of it, with a better gradient.

Attacking log-odds instead of a probability changes no ranking, and its gradient does not vanish
where the softmax saturates: an attack that stalls there would report robustness that is not there.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.scores.base import LeastOfClasses
from models.scores.msp import msp_log_odds
from training.graph import Scored

OfOutputs = Callable[[Tensor, Tensor], Tensor]
"""Features `(n, D)` and all outputs of the network to one value an image `(n,)`."""

FLOAT32_STEP = 2.0**-24  # the smallest MSP above 0 that float32 tells from 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Surrogate:
    """Something to climb and descend in place of a score.

    `of` rises with the score, strictly; `at` is the same function of the score's value. `toward`
    holds one function a target class for scores that are low next to any one class: lowering any of
    them lowers the score in the end, and another than the nearest may be the easier one.
    """

    of: OfOutputs
    at: Callable[[float], float]
    toward: tuple[OfOutputs, ...] = ()


def surrogate(classifier: Scored, score: str) -> Surrogate:
    """Return what to climb for the classifier's score of this name.

    MSP has its log-odds, GEN its logarithm, taken in float64 where float32 would be 0. All others
    do not saturate and are climbed as they are.
    """
    classes = range(classifier.classes)
    if score == "msp":
        return Surrogate(
            of=lambda _, outputs: msp_log_odds(outputs[:, : classifier.classes]),
            at=_logit,
            toward=tuple(_odds_against(k, classifier.classes) for k in classes),
        )
    if score == "gen":
        return Surrogate(
            of=lambda features, outputs: (
                classifier.score_of("gen", features, outputs.double()).log().float()
            ),
            at=lambda value: math.log(max(value, torch.finfo(torch.float32).tiny)),
            toward=tuple(_odds_against(k, classifier.classes) for k in classes),
        )
    if score == "max_logit":
        toward: tuple[OfOutputs, ...] = tuple(_minus_logit(k) for k in classes)
    elif isinstance(fitted := classifier.scores[score], LeastOfClasses):
        toward = tuple(_toward(fitted, k, classifier.classes) for k in range(fitted.targets))
    else:
        toward = ()
    return Surrogate(
        of=lambda features, outputs: classifier.score_of(score, features, outputs),
        at=lambda value: value,
        toward=toward,
    )


def _logit(value: float) -> float:
    """log(v / (1 - v)) of an MSP, at most where float32 can tell it from 0 and 1."""
    bounded = min(max(value, FLOAT32_STEP), 1 - FLOAT32_STEP)
    return math.log(bounded / (1 - bounded))


def _odds_against(target: int, classes: int) -> OfOutputs:
    """The log-odds against one class, of which `msp_log_odds` is the least."""
    others = [k for k in range(classes) if k != target]
    return lambda _, outputs: torch.logsumexp(outputs[:, others], dim=1) - outputs[:, target]


def _minus_logit(target: int) -> OfOutputs:
    return lambda _, outputs: -outputs[:, target]


def _toward(fitted: LeastOfClasses, target: int, classes: int) -> OfOutputs:
    return lambda features, outputs: fitted.toward(target, features, outputs[:, :classes])
