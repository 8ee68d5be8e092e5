"""What was found of one set of images under one budget, image by image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evidence import FalseAccept, Scores

Classes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """The scores `(n,)`, higher more OOD, and predicted classes `(n,)` of some images."""

    scores: Scores
    classes: Classes


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One set under one budget; `epsilon_255` 0 is clean.

    `answers` are torch's in float32; `replayed` those of the served graph on the same images in
    whole 255ths, None where the score is in no graph. `worst` holds outliers that were accepted,
    the lowest scores first.
    """

    epsilon_255: float
    answers: Answers
    replayed: Answers | None
    worst: tuple[FalseAccept, ...] = ()


def joined_answers(parts: list[Answers]) -> Answers:
    """Return the answers of consecutive batches as one."""
    return Answers(
        scores=np.concatenate([part.scores for part in parts]),
        classes=np.concatenate([part.classes for part in parts]),
    )
