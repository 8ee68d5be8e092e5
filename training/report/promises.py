"""The part of the model card about policies by class and under attack, in Markdown."""

from collections.abc import Iterator

import numpy as np

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.counts import count_of
from oodguard.models.decision import Policy, rejects
from oodguard.models.errors import CalibrationError
from oodguard.models.group_calibration import mean_over_groups
from oodguard.models.manifest import Description
from oodguard.models.policy_thresholds import rows_threshold
from oodguard.models.records import AttackRecord
from oodguard.training.report.classes import rejections_by_class, rejections_table
from oodguard.training.report.markdown import markdown_table, percent


def promises(description: Description, rows: CalibrationRows, policy: Policy) -> Iterator[str]:
    """Yield the paragraphs and tables: the common threshold by predicted class, and attacks.

    Args:
        description: The manifest.
        rows: The calibration images.
        policy: The policy of the figures.
    """
    if table := rejections_table(rejections_by_class(rows, policy, description.classes)):
        yield (
            "The common threshold rejects these calibration images of each predicted class; a"
            " policy with `by_class` bounds the share of each class."
        )
        yield table
    if description.calibration_attack is not None:
        yield from attacked_images(description.calibration_attack, rows, policy)


def attacked_images(record: AttackRecord, rows: CalibrationRows, policy: Policy) -> Iterator[str]:
    """Yield what the attack on the calibration images was, and the thresholds under attack.

    Shares are means over the groups, if the images have groups, as those of `oodguard policy`.
    """
    yield (
        f"Attacked towards rejection by {record.method}, at the budgets below:"
        f" {count_of(record.images, 'calibration image')}. A policy with `under_attack` uses"
        " their scores: its threshold rejects at most alpha of in-distribution images even if that"
        " attack perturbs them. This is no certificate: a stronger attack may raise a score"
        " further. A higher threshold misses more outliers; `oodguard policy show` prints how many."
    )
    limit = rows_threshold(rows, policy.score, policy)
    lines = [["budget", "rejected at the common threshold", "threshold under attack"]]
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
                percent(mean_over_groups(rejects(known.scores[policy.score], limit), known.groups)),
                raised,
            ]
        )
    yield markdown_table(lines)
