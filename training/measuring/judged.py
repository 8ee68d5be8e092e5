"""A score under examination: its value, its threshold, and what an attack on it climbs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.attacks.goals import goal_of, to_accepted, to_rejected
from training.attacks.gradient import Goal
from training.detectors.preprocessing import Detector
from training.graph import Scored


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One score, higher more OOD; images above `threshold` are rejected.

    `rejected` is climbed by an attack on in-distribution images and `accepted` by one on outliers,
    of which the first is the direct one and those that follow aim at one class each. `column` is
    the score's place in the served graph, None where the graph does not have it.
    """

    name: str
    threshold: float
    value: Detector
    rejected: Goal
    accepted: tuple[Goal, ...]
    column: int | None


def judged_score(
    classifier: Scored, name: str, *, threshold: float, columns: tuple[str, ...]
) -> Judged:
    """Return a score of the graph under examination; `columns` are the graph's."""

    def value(images: Tensor) -> Tensor:
        return classifier.score(name, images)

    return Judged(
        name=name,
        threshold=threshold,
        value=value,
        rejected=to_rejected(classifier, name)[0],
        accepted=to_accepted(classifier, name),
        column=columns.index(name),
    )


def judged_detector(name: str, detector: Detector, *, threshold: float) -> Judged:
    """Return a detector that is in no graph under examination; it is attacked itself."""
    return Judged(
        name=name,
        threshold=threshold,
        value=detector,
        rejected=goal_of(detector, sign=1),
        accepted=(goal_of(detector, sign=-1),),
        column=None,
    )


def values(judged: Judged, pixels: Tensor) -> Tensor:
    """Score images `(n, 3, H, W)` in [0, 1] as `(n,)`, detached."""
    # Not under no_grad: a detector with input pre-processing asks for a gradient of its own.
    with torch.enable_grad():
        return judged.value(pixels).detach()
