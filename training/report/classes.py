"""The classes of a report: accuracy by true class, false rejections by predicted class."""

from collections.abc import Sequence

import numpy as np

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.class_rejections import class_rejections
from oodguard.models.decision import Policy
from oodguard.models.policy_thresholds import rows_threshold
from oodguard.models.thresholds import PoolThresholds, ranked_limit
from oodguard.training.report.class_results import ClassResult, PredictedClass
from oodguard.training.report.markdown import escape_markdown, markdown_table, percent
from oodguard.training.report.model import Report

SHOWN_CLASSES = 10
SHOWN_CONFUSIONS = 3


def weakest_classes(report: Report) -> list[ClassResult]:
    """Return all classes that have images, the lowest accuracy first."""
    return sorted((c for c in report.classes if c.images), key=lambda each: each.accuracy)


def confusions(result: ClassResult) -> str:
    """Return the most frequent wrong predictions of a class, such as `cat 12, deer 3`."""
    most = list(result.confused.items())[:SHOWN_CONFUSIONS]
    return ", ".join(f"{name} {count:,}" for name, count in most)


def classes_table(report: Report) -> str:
    """Return a Markdown table of at most ten classes; empty without results by class."""
    classes = weakest_classes(report)[:SHOWN_CLASSES]
    if not classes:
        return ""
    rows = [
        [
            escape_markdown(each.name),
            f"{each.images:,}",
            percent(each.accuracy),
            percent(each.rejection_rate),
            escape_markdown(confusions(each)),
        ]
        for each in classes
    ]
    return markdown_table([["class", "images", "accuracy", "rejected", "predicted instead"], *rows])


def rejections_by_class(
    rows: CalibrationRows, policy: Policy, classes: Sequence[str]
) -> tuple[PredictedClass, ...]:
    """Return what the common threshold rejects of the calibration images of each predicted class.

    It is empty if the rows have no predicted classes.
    """
    scores = rows.scores[policy.score]
    rank = int(np.count_nonzero(scores > rows_threshold(rows, policy.score, policy))) + 1
    common = PoolThresholds(ranked_limit(scores, rank))
    found = class_rejections(rows, common, score=policy.score, classes=classes)
    return tuple(
        PredictedClass(name=each.label, images=each.images, rejected=each.rejected)
        for each in found
    )


def rejections_table(found: Sequence[PredictedClass]) -> str:
    """Return a Markdown table of the false rejections by predicted class; empty without classes."""
    if not found:
        return ""
    rows = [
        [
            escape_markdown(each.name),
            f"{each.images:,}",
            "" if each.rejection_rate is None else percent(each.rejection_rate),
        ]
        for each in found
    ]
    return markdown_table([["predicted class", "images", "rejected"], *rows])
