"""The false rejections of each predicted class, counted on the calibration images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.thresholds import ClassThresholds, Thresholds


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRejections:
    """The calibration images of one predicted class under a policy.

    Attributes:
        label: The name of the class.
        images: How many calibration images have this predicted class.
        rejected: How many of them are rejected.
        threshold: The threshold of the class.
        common: Whether the threshold is that of all classes together.
    """

    label: str
    images: int
    rejected: int
    threshold: float
    common: bool


def class_rejections(
    rows: CalibrationRows, thresholds: Thresholds, *, score: str, classes: Sequence[str]
) -> list[ClassRejections]:
    """Return the false rejections by predicted class; none if the classes are not stored.

    A threshold is one of the calibration scores, so of n images k - 1 are rejected, or fewer if
    scores are equal. The share is therefore close to the promise; without thresholds by class it
    shows which classes a common threshold rejects more often than the others.
    """
    if rows.predicted is None:
        return []
    predicted = rows.predicted.astype(np.int64)
    rejected = thresholds.rejects(rows.scores[score], predicted)
    own = thresholds.own if isinstance(thresholds, ClassThresholds) else (None,) * len(classes)
    return [
        ClassRejections(
            label=label,
            images=int(np.count_nonzero(predicted == index)),
            rejected=int(np.count_nonzero(rejected & (predicted == index))),
            threshold=(limit or thresholds.pool).threshold,
            common=limit is None,
        )
        for index, (label, limit) in enumerate(zip(classes, own, strict=True))
    ]
