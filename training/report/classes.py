"""The classes of a report: a table of those with the lowest accuracy, in Markdown."""

from oodguard.training.report.markdown import escape_markdown, markdown_table, percent
from oodguard.training.report.model import ClassResult, Report

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
