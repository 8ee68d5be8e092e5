"""The section of a model card about a calibration that replaced an earlier one."""

import re

from oodguard.models.decision import Policy
from oodguard.models.manifest import Description
from oodguard.models.names import escape_control_characters
from oodguard.models.records import CalibrationRecord
from oodguard.service.recalibration.comparison import CalibrationComparison

HEADING = "## Calibration"

_MARKUP = re.compile(r"[\\`*_\[\]~|<>&]")


def recalibrated_card(
    earlier: str, description: Description, comparison: CalibrationComparison, policy: Policy
) -> str:
    """Return the card of the new version: what was replaced, then the earlier card unchanged."""
    record = description.calibration
    if record is None:
        raise ValueError("the description has no calibration record")
    return "\n\n".join(
        (
            f"# {description.name}, version {description.version}",
            HEADING,
            _facts(record),
            _comparison(comparison, policy),
            *(f"**Warning.** {_escape(each)}." for each in comparison.warnings),
            f"The text below is the card of version {_escape(record.replaced_version)}, unchanged."
            " The figures of its evaluation, which are also in `evaluation.json`, were measured at"
            f" the threshold of version {_escape(record.evaluated_version)}.",
            "---",
            earlier,
        )
    )


def _facts(record: CalibrationRecord) -> str:
    groups = "" if record.groups is None else f", {record.groups:,} groups"
    rows = {
        "images": f"{record.images:,} of {_escape(record.source)}{groups}",
        "labels": "yes" if record.labels else "no",
        "left out": _left_out(record),
        "calibrated": f"{record.created:%Y-%m-%d %H:%M} UTC by {_escape(record.by)}",
        "command": f"<code>{_escape(record.command)}</code>",
        "replaces": f"version {_escape(record.replaced_version)}, manifest `{record.replaced}`",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(("| fact | |", "| --- | --- |", *lines))


def _left_out(record: CalibrationRecord) -> str:
    skipped = ", ".join(f"{count:,} {_escape(name)}" for name, count in record.skipped.items())
    parts = [
        *([f"skipped files: {skipped}"] if skipped else []),
        *(f"{count:,} unreadable ({_escape(why)})" for why, count in record.broken.items()),
        *([f"{record.copies:,} with the pixels of another"] if record.copies else []),
        *([f"{record.dropped:,} dropped in the review"] if record.dropped else []),
    ]
    return "; ".join(parts) or "none"


def _comparison(comparison: CalibrationComparison, policy: Policy) -> str:
    confidence = "" if policy.delta is None else f" with confidence {1 - policy.delta:.1%}"
    older = "unknown" if comparison.older is None else f"{comparison.older:.6g}"
    rejected = comparison.newer_at_older
    lowest = "; ".join(
        f"if {share:.0%} of the images were outliers, it would be at least {threshold:.6g} without"
        " them"
        for share, threshold in comparison.lowest.items()
        if threshold is not None
    )
    return (
        f"Score `{policy.score}`, threshold {comparison.newer:.6g} (before: {older}): alpha"
        f" {policy.false_rejection_rate:.1%}{confidence}."
        + (f" {lowest[0].upper()}{lowest[1:]}." if lowest else "")
        + (
            ""
            if rejected is None
            else f" The older threshold rejects {rejected:.1%} of the new images."
        )
        + f" The new threshold rejects {comparison.older_at_newer:.1%} of the older images."
        f" Kolmogorov-Smirnov distance of the scores {comparison.distribution.distance:.3f}"
        f" (p {comparison.distribution.p_value:.2g}); p of too many large scores"
        f" {comparison.tail:.2g}."
    )


def _escape(text: str) -> str:
    """Return Markdown that renders as this text, in one line and without HTML."""
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", escape_control_characters(text))
