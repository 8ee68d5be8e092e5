"""What the figures of a report were computed from, so that they can be drawn."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionEvidence:
    """Every image's score under one budget; `epsilon_255` 0 is clean.

    `inliers` `(n,)` pushed towards rejection and, by set, `outliers` `(m,)` pushed towards
    acceptance; image i is the same one under every budget. Higher means more out-of-distribution.
    One side attacked alone is this condition's one side beside the clean condition's other.
    """

    epsilon_255: float
    inliers: Scores
    outliers: Mapping[str, Scores]


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseAccept:
    """An outlier that the attack had accepted.

    `clean` is uint8 `(H, W, 3)`, `attacked` float32 `(H, W, 3)` in [0, 1] within `epsilon_255`
    255ths of it; `score` is that of `attacked`, `clean_score` that of `clean`.
    """

    set_name: str
    epsilon_255: float
    clean: NDArray[np.uint8]
    attacked: NDArray[np.float32]
    clean_score: float
    score: float
    predicted_class: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The score that decides, image by image, and its worst mistakes.

    `conditions` are in the report's order, the clean one first. `worst_accepts` holds some outliers
    of every set under every budget above 0, the lowest scores first within each.
    """

    score: str
    threshold: float
    conditions: tuple[ConditionEvidence, ...]
    worst_accepts: tuple[FalseAccept, ...]
