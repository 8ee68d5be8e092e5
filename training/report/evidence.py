"""The scores of the single images of an evaluation, from which the page draws its figures.

Evidence is not stored: evaluation.json holds the figures only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionEvidence:
    """The score of every image under one attack budget.

    Image i is the same image under every budget. A higher score means more out-of-distribution. To
    get the scores with one side attacked, combine that side of this condition with the other side
    of the clean condition.

    Attributes:
        epsilon_255: The budget in 255ths of the pixel range; 0 is clean.
        inliers: Scores `(n,)` of the test images, attacked towards rejection.
        outliers: Scores `(m,)` of the outliers by set, attacked towards acceptance.
    """

    epsilon_255: float
    inliers: Scores
    outliers: Mapping[str, Scores]


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseAccept:
    """An attacked outlier that is accepted at the served threshold.

    Attributes:
        set_name: The set of the outlier.
        epsilon_255: The attack budget in 255ths of the pixel range.
        clean: The original image, uint8 `(H, W, 3)`.
        attacked: The attacked image, float32 `(H, W, 3)` in [0, 1].
        clean_score: The score of the original image.
        score: The score of the attacked image.
        predicted_class: The class of the attacked image.
    """

    set_name: str
    epsilon_255: float
    clean: NDArray[np.uint8]
    attacked: NDArray[np.float32]
    clean_score: float
    score: float
    predicted_class: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationEvidence:
    """The deciding score of every image, and the worst false accepts.

    Attributes:
        score: The name of the score.
        threshold: The served threshold.
        conditions: In the order of the report's conditions, the clean one first.
        worst_accepts: Some outliers of every set under every budget above 0, lowest score first.
    """

    score: str
    threshold: float
    conditions: tuple[ConditionEvidence, ...]
    worst_accepts: tuple[FalseAccept, ...]
