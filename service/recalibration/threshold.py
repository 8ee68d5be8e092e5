"""The threshold of calibration rows under a policy."""

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy, threshold
from oodguard.models.group_calibration import group_threshold


def calibrated_threshold(rows: CalibrationRows, policy: Policy) -> float:
    """Return the value of the deciding score above which an image is rejected.

    Raises:
        CalibrationError: There are too few images, or groups, for the policy.
    """
    if rows.groups is None:
        return threshold(rows.ordered()[policy.score], policy)
    return group_threshold(
        rows.scores[policy.score], rows.groups, alpha=policy.alpha, delta=policy.delta
    )
