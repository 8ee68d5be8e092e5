"""The left-out parts of the data of a report: copies, unreadable images and skipped files."""

from oodguard.models.counts import count_of
from oodguard.training.data.card import EVALUATION
from oodguard.training.data.copies import copies_warning, named
from oodguard.training.report.markdown import escape_markdown
from oodguard.training.report.model import Report


def copies_warnings(report: Report) -> tuple[str, ...]:
    """Return a warning for each evaluation source with images that the run was trained on."""
    warnings = (
        copies_warning(key, notes)
        for key, notes in report.data.items()
        if key.startswith(EVALUATION)
    )
    return tuple(warning for warning in warnings if warning)


def left_out_lines(report: Report) -> list[str]:
    """Return a line for each source of which something was left out, and what is not known."""
    lines = []
    for key, notes in report.data.items():
        parts = []
        if notes.left_out:
            reasons = "; ".join(f"{count:,}: {reason}" for reason, count in notes.left_out.items())
            parts.append(
                f"{count_of(sum(notes.left_out.values()), 'image')} that cannot be read ({reasons})"
            )
        if notes.copies and notes.copies.images:
            parts.append(
                f"{count_of(notes.copies.images, 'image')} with the pixels of others"
                f"{named(notes.copies)}"
            )
        if notes.skipped:
            endings = ", ".join(f"{count:,} {ending}" for ending, count in notes.skipped.items())
            parts.append(f"skipped files: {endings}")
        if parts:
            lines.append(f"{key}: {'; '.join(parts)}")
    unchecked = [
        key
        for key, notes in report.data.items()
        if key.startswith(EVALUATION) and notes.copies is None
    ]
    if unchecked:
        lines.append(
            "Images that the network was trained on are not left out of"
            f" {', '.join(unchecked)}: only the data.json of a run records them"
        )
    return lines


def left_out_list(report: Report) -> str:
    """Return these lines as a list in Markdown; empty without any."""
    return "\n".join(f"- {escape_markdown(line)}" for line in left_out_lines(report))
