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
    of the clean condition. The budget is in 255ths of the pixel range; 0 is clean. Inliers `(n,)`
    are attacked towards rejection, outliers `(m,)`, by set, towards acceptance.
    """

    epsilon_255: float
    inliers: Scores
    outliers: Mapping[str, Scores]


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseAccept:
    """An attacked outlier that is accepted at the served threshold.

    `clean` is the original image, uint8 `(H, W, 3)`; `attacked` is float32 `(H, W, 3)` in [0, 1].
    `score` and `predicted_class` are those of the attacked image.
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

    `conditions` are in the order of the report's conditions, the clean one first. `worst_accepts`
    are some outliers of every set under every budget above 0, lowest score first.
    """

    threshold: float
    conditions: tuple[ConditionEvidence, ...]
    worst_accepts: tuple[FalseAccept, ...]
