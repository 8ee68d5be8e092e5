"""The section of a model card about a calibration that replaced an earlier one."""

from oodguard.models.bundle import Bundle
from oodguard.models.decision import Policy
from oodguard.models.derived_card import derive_card, escape_markup
from oodguard.models.manifest import Description
from oodguard.models.records import CalibrationRecord
from oodguard.service.recalibration.comparison import CalibrationComparison

HEADING = "Calibration"


def recalibrated_card(
    parent: Bundle, description: Description, comparison: CalibrationComparison, policy: Policy
) -> str:
    """Return the card of the new version: the new calibration, and the card of the export."""
    record = description.calibration
    if record is None:
        raise ValueError("the description has no calibration record")
    warnings = (f"**Warning.** {escape_markup(each)}." for each in comparison.warnings)
    unit = "images" if record.groups is None else "groups"
    text = "\n\n".join((_facts(record), _comparison(comparison, policy, unit), *warnings))
    return derive_card(parent.manifest, parent.card, description.version, {HEADING: text})


def _facts(record: CalibrationRecord) -> str:
    groups = "" if record.groups is None else f", {record.groups:,} groups"
    rows = {
        "images": f"{record.images:,} of {escape_markup(record.source)}{groups}",
        "labels": "yes" if record.labels else "no",
        "left out": _left_out(record),
        "calibrated": f"{record.created:%Y-%m-%d %H:%M} UTC by {escape_markup(record.by)}",
        "command": f"<code>{escape_markup(record.command)}</code>",
        "replaces": f"version {escape_markup(record.replaced_version)}, manifest"
        f" `{record.replaced}`",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(("| fact | |", "| --- | --- |", *lines))


def _left_out(record: CalibrationRecord) -> str:
    skipped = ", ".join(
        f"{count:,} {escape_markup(name)}" for name, count in record.skipped.items()
    )
    parts = [
        *([f"skipped files: {skipped}"] if skipped else []),
        *(f"{count:,} unreadable ({escape_markup(why)})" for why, count in record.broken.items()),
        *([f"{record.copies:,} with the pixels of another"] if record.copies else []),
        *([f"{record.dropped:,} dropped in the review"] if record.dropped else []),
    ]
    return "; ".join(parts) or "none"


def _comparison(comparison: CalibrationComparison, policy: Policy, units: str) -> str:
    confidence = "" if policy.delta is None else f" with confidence {1 - policy.delta:.1%}"
    bound = f"beta {policy.beta:.1%}" if policy.alpha is None else f"alpha {policy.alpha:.1%}"
    older = "unknown" if comparison.older is None else f"{comparison.older:.6g}"
    rejected = comparison.newer_at_older
    common = "common " if policy.by_class else ""
    mean = ", as the mean over the groups" if units == "groups" else ""
    lowest = "; ".join(
        f"if {share:.0%} of the {units} were outliers, it would be at least {threshold:.6g} without"
        " them"
        for share, threshold in comparison.lowest.items()
        if threshold is not None
    )
    return (
        f"Score `{policy.score}`, {common}threshold {comparison.newer:.6g} (before: {older}):"
        f" {bound}{confidence}."
        + (f" {lowest[0].upper()}{lowest[1:]}." if lowest else "")
        + (
            ""
            if rejected is None
            else f" The older threshold rejects {rejected:.1%} of the new images{mean}."
        )
        + f" The new threshold rejects {comparison.older_at_newer:.1%} of the older images."
        f" Kolmogorov-Smirnov distance of the scores {comparison.distribution.distance:.3f}"
        f" (p {comparison.distribution.p_value:.2g}); p of too many large scores"
        f" {comparison.tail:.2g}."
    )
