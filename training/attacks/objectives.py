"""Objectives of attacks on an OOD score: rejection, acceptance, or a wrong class that is accepted.

The result of an attack is evaluated with the true score, whichever objective it maximized.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from oodguard.models.scores.base import MinimumOverClasses
from oodguard.models.scores.logit_scores import msp_log_odds
from oodguard.training.attacks.base import AttackObjective
from oodguard.training.scoring.graph import ScoredClassifier

OfOutputs = Callable[[Tensor, Tensor], Tensor]
"""Features `(n, D)` and all outputs of the network to one value per image, `(n,)`."""

FLOAT32_STEP = 2.0**-24  # the smallest MSP above 0 that float32 separates from 0


def rejection_objective(classifier: ScoredClassifier, score: str) -> AttackObjective:
    """Return the objective that makes an in-distribution image rejected.

    It increases strictly with the score.
    """
    return _of_pixels(classifier, surrogate(classifier, score).function, sign=1)


def acceptance_objectives(classifier: ScoredClassifier, score: str) -> tuple[AttackObjective, ...]:
    """Return the objectives that make an out-of-distribution image accepted.

    The first decreases strictly with the score. Scores that are low for an image close to any one
    class (MSP, MaxLogit, GEN, KL-matching, the Mahalanobis distances) have one more for each class.
    """
    substitute = surrogate(classifier, score)
    functions = (substitute.function, *substitute.targeted)
    return tuple(_of_pixels(classifier, function, sign=-1) for function in functions)


def wrong_and_accepted_objective(
    classifier: ScoredClassifier, score: str, labels: Tensor, *, threshold: float
) -> AttackObjective:
    """Return the objective that makes an image misclassified and accepted at the same time.

    The attack succeeds where the class of the largest class logit differs from the label and the
    score is not rejected, s <= threshold. With t the surrogate's function of the score,

        J = min(max_{j != y} z_j - z_y, t(threshold) - t(s)).

    The attack has succeeded where J > 0; at 0, within rounding, it may not have. `labels` `(n,)`
    are the true classes y of all attacked images.
    """
    substitute = surrogate(classifier, score)
    limit = substitute.transform(threshold)

    def objective(images: Tensor, rows: Tensor) -> Tensor:
        features, outputs = classifier.features_and_outputs(images)
        margin = _margin(outputs[:, : classifier.classes], labels[rows])
        return torch.minimum(margin, limit - substitute.function(features, outputs))

    return objective


def score_objective(score: Callable[[Tensor], Tensor], *, sign: Literal[1, -1]) -> AttackObjective:
    """Return the objective that increases (1) or decreases (-1) a differentiable score of images.

    `score` maps images `(n, 3, H, W)` in [0, 1] to `(n,)`, such as a detector that is not part of
    the graph.
    """

    def objective(images: Tensor, _: Tensor) -> Tensor:
        return sign * score(images)

    return objective


@dataclass(frozen=True, kw_only=True, slots=True)
class Surrogate:
    """Functions with useful gradients that replace a score in an attack.

    Attributes:
        function: Strictly increasing function t of the score, computed from features and outputs.
        transform: The same t for a number, such as a threshold.
        targeted: One function per target class, for scores that are low for an image close to any
            one class. Decreasing any of them far enough decreases the score, and a class
            other than the nearest may need a smaller perturbation.
    """

    function: OfOutputs
    transform: Callable[[float], float]
    targeted: tuple[OfOutputs, ...] = ()


def surrogate(classifier: ScoredClassifier, score: str) -> Surrogate:
    """Return the surrogate of the classifier's score of this name.

    MSP is replaced by its log-odds and GEN by its logarithm, computed in float64 where float32
    would be 0. The other scores do not saturate and are used as they are.
    """
    classes = range(classifier.classes)
    if score == "msp":
        return Surrogate(
            function=lambda _, outputs: msp_log_odds(outputs[:, : classifier.classes]),
            transform=_logit,
            targeted=tuple(_log_odds_against(k, classifier.classes) for k in classes),
        )
    if score == "gen":
        return Surrogate(
            function=lambda features, outputs: (
                classifier.score_from_outputs("gen", features, outputs.double()).log().float()
            ),
            transform=lambda value: math.log(max(value, torch.finfo(torch.float32).tiny)),
            targeted=tuple(_log_odds_against(k, classifier.classes) for k in classes),
        )
    if score == "max_logit":
        targeted: tuple[OfOutputs, ...] = tuple(_minus_logit(k) for k in classes)
    elif isinstance(fitted := classifier.scores[score], MinimumOverClasses):
        targeted = tuple(_towards(fitted, k, classifier.classes) for k in range(fitted.targets))
    else:
        targeted = ()
    return Surrogate(
        function=lambda features, outputs: classifier.score_from_outputs(score, features, outputs),
        transform=lambda value: value,
        targeted=targeted,
    )


def _logit(value: float) -> float:
    """log(v / (1 - v)) of an MSP v, clamped to what float32 separates from 0 and 1."""
    bounded = min(max(value, FLOAT32_STEP), 1 - FLOAT32_STEP)
    return math.log(bounded / (1 - bounded))


def _log_odds_against(target: int, classes: int) -> OfOutputs:
    """The log-odds against one class; `msp_log_odds` is their minimum."""
    others = [k for k in range(classes) if k != target]
    return lambda _, outputs: torch.logsumexp(outputs[:, others], dim=1) - outputs[:, target]


def _minus_logit(target: int) -> OfOutputs:
    return lambda _, outputs: -outputs[:, target]


def _towards(fitted: MinimumOverClasses, target: int, classes: int) -> OfOutputs:
    return lambda features, outputs: fitted.toward(target, features, outputs[:, :classes])


def _of_pixels(
    classifier: ScoredClassifier, function: OfOutputs, *, sign: Literal[1, -1]
) -> AttackObjective:
    return score_objective(
        lambda images: function(*classifier.features_and_outputs(images)), sign=sign
    )


def _margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Return max_{j != y} z_j - z_y for logits z `(n, K)` and classes y `(n,)`, as `(n,)`."""
    own = classes[:, None]
    others = logits.scatter(1, own, -torch.inf)
    return others.amax(dim=1) - logits.gather(1, own).squeeze(1)
