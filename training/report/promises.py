"""The part of the model card about policies by class and under attack, in Markdown."""

from collections.abc import Iterator

import numpy as np

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.class_rejections import class_rejections
from oodguard.models.decision import Policy, rejects
from oodguard.models.errors import CalibrationError
from oodguard.models.manifest import Description
from oodguard.models.policy_thresholds import rows_threshold
from oodguard.models.thresholds import PoolThresholds, ranked_limit
from oodguard.training.report.markdown import escape_markdown, markdown_table, percent


def promises(description: Description, rows: CalibrationRows, policy: Policy) -> Iterator[str]:
    """Yield the paragraphs and tables: the common threshold by predicted class, and attacks.

    Args:
        description: The manifest.
        rows: The calibration images.
        policy: The policy of the figures.
    """
    scores = rows.scores[policy.score]
    limit = rows_threshold(rows, policy.score, policy)
    if rows.predicted is not None:
        rank = int(np.count_nonzero(scores > limit)) + 1
        common = PoolThresholds(ranked_limit(scores, rank))
        found = class_rejections(rows, common, score=policy.score, classes=description.classes)
        yield (
            "The common threshold rejects these calibration images of each predicted class; a"
            " policy with `by_class` bounds the share of each class."
        )
        yield markdown_table(
            [
                ["predicted class", "images", "rejected"],
                *(
                    [
                        escape_markdown(each.label),
                        f"{each.images:,}",
                        percent(each.rejected / each.images) if each.images else "",
                    ]
                    for each in found
                ),
            ]
        )
    record = description.calibration_attack
    if record is None:
        return
    yield (
        f"{record.images:,} calibration images were attacked towards rejection by {record.method},"
        " at the budgets below. A policy with `under_attack` uses their scores: its threshold"
        " rejects at most alpha of in-distribution images even if that attack perturbs them. This"
        " is no certificate: a stronger attack may raise a score further. A higher threshold misses"
        " more outliers; `oodguard policy show` prints how many."
    )
    lines = [["budget", "rejected at the threshold above", "threshold under attack"]]
    for budget, attacked in sorted(rows.attacked.items()):
        chosen = ~np.isnan(attacked)
        known = CalibrationRows(
            scores={policy.score: attacked[chosen]},
            groups=None if rows.groups is None else rows.groups[chosen],
        )
        try:
            raised = f"{rows_threshold(known, policy.score, policy):.6g}"
        except CalibrationError:
            raised = "too few images"
        lines.append(
            [
                f"{budget}/255",
                percent(float(rejects(known.scores[policy.score], limit).mean())),
                raised,
            ]
        )
    yield markdown_table(lines)
