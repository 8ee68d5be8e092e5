"""The threshold of any score of calibration rows, whether or not they have groups."""

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy, threshold
from oodguard.models.group_calibration import group_threshold


def rows_threshold(rows: CalibrationRows, name: str, policy: Policy) -> float:
    """Return the value of a score above which the policy's alpha and delta reject an image.

    Raises:
        CalibrationError: There are too few images, or groups, for the policy.
    """
    if rows.groups is None:
        return threshold(rows.ordered()[name], policy)
    return group_threshold(
        rows.scores[name], rows.groups, alpha=policy.false_rejection_rate, delta=policy.delta
    )
