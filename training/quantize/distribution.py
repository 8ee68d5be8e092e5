"""Compare the images of `--data` with the calibration of the float32 bundle."""

import numpy as np
from numpy.typing import NDArray

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy, rejects
from oodguard.models.errors import CalibrationError
from oodguard.models.group_calibration import one_per_group
from oodguard.models.policy_thresholds import rows_threshold
from oodguard.models.two_sample import kolmogorov_smirnov

SIGNIFICANT = 0.01
"""A warning is given below this p-value, as by `oodguard calibrate`."""


def other_distribution(
    older: CalibrationRows, newer: CalibrationRows, policy: Policy
) -> str | None:
    """Return a warning if images are unlike those that calibrated the float32 bundle.

    Images of another distribution get a threshold that is wrong for the traffic: too high if they
    are outliers of the bundle, too low if the classifier was trained on them. The classes do not
    show it, because numbers of other classes match by position.

    Args:
        older: The calibration of the float32 bundle.
        newer: The scores of the new images by the same float32 graph.
        policy: The policy, with the deciding score.

    Returns:
        The warning, or None if a Kolmogorov-Smirnov test finds no significant difference. One image
        of each group counts.
    """
    first, second = _independent(older, policy.score), _independent(newer, policy.score)
    test = kolmogorov_smirnov(first, second)
    if test.p_value >= SIGNIFICANT:
        return None
    is_lower = np.median(second) < np.median(first)
    cause = (
        "lower: the classifier may have been trained on them, or only accepted images were kept"
        if is_lower
        else "higher: another camera or scene, or images of no class may be among them"
    )
    try:
        rejected = rejects(second, rows_threshold(older, policy.score, policy)).mean()
        share = f" The float32 bundle rejects {rejected:.1%} of them at its own threshold."
    except CalibrationError:  # Too few images calibrated the bundle for this policy.
        share = ""
    return (
        "the float32 scores of the calibration images differ from those that calibrated the float32"
        f" bundle (Kolmogorov-Smirnov distance {test.distance:.3f}, p {test.p_value:.2g}), most of"
        f" them {cause}.{share} The limit alpha holds for images like these only: give images as"
        " the service receives them"
    )


def _independent(rows: CalibrationRows, score: str) -> NDArray[np.float32]:
    scores = rows.scores[score]
    return scores if rows.groups is None else scores[one_per_group(rows.groups)]
