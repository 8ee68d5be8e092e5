"""What an attack on a detector climbs: towards rejection, towards acceptance, or end to end.

The first goal of each is the direct one; those that follow aim at one target class each. None of
them is the last word: what was found is judged by the true score.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from oodguard.models.scores.base import MinimumOverClasses
from oodguard.models.scores.msp import msp_log_odds
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.scoring.graph import ScoredClassifier

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


def surrogate(classifier: ScoredClassifier, score: str) -> Surrogate:
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
                classifier.score_from_outputs("gen", features, outputs.double()).log().float()
            ),
            at=lambda value: math.log(max(value, torch.finfo(torch.float32).tiny)),
            toward=tuple(_odds_against(k, classifier.classes) for k in classes),
        )
    if score == "max_logit":
        toward: tuple[OfOutputs, ...] = tuple(_minus_logit(k) for k in classes)
    elif isinstance(fitted := classifier.scores[score], MinimumOverClasses):
        toward = tuple(_toward(fitted, k, classifier.classes) for k in range(fitted.targets))
    else:
        toward = ()
    return Surrogate(
        of=lambda features, outputs: classifier.score_from_outputs(score, features, outputs),
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


def _toward(fitted: MinimumOverClasses, target: int, classes: int) -> OfOutputs:
    return lambda features, outputs: fitted.toward(target, features, outputs[:, :classes])


def rejection_objective(classifier: ScoredClassifier, score: str) -> AttackObjective:
    """Return what an attack on an in-distribution image climbs, so that it is rejected.

    One goal, strictly increasing in the score: to be far from every class is one direction.
    """
    return _of_pixels(classifier, surrogate(classifier, score).of, sign=1)


def acceptance_objectives(classifier: ScoredClassifier, score: str) -> tuple[AttackObjective, ...]:
    """Return what an attack on an out-of-distribution image climbs, so that it is accepted.

    The first is strictly decreasing in the score. For scores that are low next to any one class
    (MSP, MaxLogit, GEN, KL-matching, the Mahalanobis distances) one follows for each class.
    """
    climbed = surrogate(classifier, score)
    return tuple(_of_pixels(classifier, of, sign=-1) for of in (climbed.of, *climbed.toward))


def wrong_and_accepted_objectives(
    classifier: ScoredClassifier,
    score: str,
    labels: Tensor,
    *,
    threshold: float,
    scale: float = 1.0,
) -> tuple[AttackObjective, ...]:
    """Return what an attack climbs so that an image of `labels` `(n,)` is misread *and* accepted.

    The attack has succeeded, by definition, where the predicted class, that of the largest class
    logit, is not the label, and the score is not rejected at `threshold`, that is s <= threshold.

    The first goal is min(max_{j != y} z_j - z_y, (t(threshold) - t(s)) / scale) with t the
    function of the score that is climbed. The K - 1 that follow put the margin of one wrong class
    over all others in place of the first term: class y + 1, y + 2, ... modulo K. Where one of them
    is above 0 the attack has succeeded; exactly at 0, and within rounding of it, it may not have.

    `scale` is how much of t(s) weighs as much as one logit of margin; 1 is right for scores made of
    logits. For distances take their spread over clean images, or one term hides the other.
    """
    climbed = surrogate(classifier, score)
    limit = climbed.at(threshold)
    classes = classifier.classes

    def goal_of_margin(margin: Callable[[Tensor, Tensor], Tensor]) -> AttackObjective:
        def goal(images: Tensor, rows: Tensor) -> Tensor:
            features, outputs = classifier.features_and_outputs(images)
            acceptance = (limit - climbed.of(features, outputs)) / scale
            return torch.minimum(margin(outputs[:, :classes], labels[rows]), acceptance)

        return goal

    def toward(shift: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda logits, truth: -_margin(logits, (truth + shift) % classes)

    return (goal_of_margin(_margin), *(goal_of_margin(toward(j)) for j in range(1, classes)))


def score_objective(scored: Callable[[Tensor], Tensor], *, sign: Literal[1, -1]) -> AttackObjective:
    """Return the goal of raising (1) or lowering (-1) any differentiable score of images.

    `scored` maps images `(n, 3, H, W)` in [0, 1] to `(n,)`: a detector that is in no graph, such as
    ODIN or Mahalanobis with its input pre-processing.
    """

    def goal(images: Tensor, _: Tensor) -> Tensor:
        return sign * scored(images)

    return goal


def _of_pixels(
    classifier: ScoredClassifier, of: OfOutputs, *, sign: Literal[1, -1]
) -> AttackObjective:
    return score_objective(lambda images: of(*classifier.features_and_outputs(images)), sign=sign)


def _margin(logits: Tensor, classes: Tensor) -> Tensor:
    """By how much the best other class is above the given one: logits `(n, K)` to `(n,)`."""
    own = classes[:, None]
    others = logits.scatter(1, own, -torch.inf)
    return others.amax(dim=1) - logits.gather(1, own).squeeze(1)
