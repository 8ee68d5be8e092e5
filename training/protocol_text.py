"""How a report's figures were made, in the words of cards and tables."""

from collections.abc import Mapping

from training.report import Report
from training.suite import Ascent

STAMPS: Mapping[str, str] = {
    "trusted": "every check of the attack passed (trusted)",
    "partly checked": "no check of the attack failed, and not all were made (partly checked)",
    "not checked": "the attack was not checked",
    "untrusted": "**a check of the attack failed: the attacked figures are not to be trusted**",
}


def protocol_text(report: Report) -> str:
    """Return the conditions that a report's table was measured under."""
    suite, first = report.suite, report.conditions[0]
    outliers = max(result.images for result in first.sets.values())
    return (
        "Attacked on both sides: in-distribution images towards rejection, outliers towards"
        f" acceptance, by {_attack(suite.ascent)}; {first.inliers.images:,} test images and up to"
        f" {outliers:,} of each set. Each cell: AUROC / missed OOD at the served threshold."
        + _end_to_end(suite.ascent)
        + _replayed(report)
        + f" Suite `{suite.name}`; {STAMPS[report.trust.stamp]}. Measured with"
        f" `{report.command}` in {report.duration_s / 60:.1f} minutes on {report.hardware}."
    )


def _attack(ascent: Ascent) -> str:
    if ascent.kind == "pgd":
        return (
            f"PGD on the score itself, {ascent.steps} steps of {ascent.step_255:g}/255 from a"
            " random start, of which the last iterate counts"
        )
    starts = f"{ascent.restarts} start{'s' if ascent.restarts > 1 else ''}"
    return (
        f"APGD on the score itself, {ascent.steps} steps from {starts}, the best iterate counts,"
        " and every budget goes on from what the smaller one found"
    )


def _end_to_end(ascent: Ascent) -> str:
    if not ascent.end_to_end:
        return ""
    return (
        " Wrong and accepted: in-distribution images pushed to a wrong class *and* acceptance at"
        f" once, {ascent.end_to_end} steps."
    )


def _replayed(report: Report) -> str:
    pairs = [
        abs(condition.mean_auroc - condition.replayed.mean_auroc)
        for condition in report.conditions
        if condition.replayed is not None
    ]
    if not pairs:
        return ""
    return (
        f" In whole 255ths, as a file holds them, and judged by {report.replayed_by}, the same"
        f" images give a mean AUROC that differs by at most {max(pairs):.3f}."
    )
