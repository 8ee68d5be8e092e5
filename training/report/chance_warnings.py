"""Warnings of a report: figures of a random classifier, sets hardly rejected, unfinished runs."""

import tomllib
from collections.abc import Mapping, Sequence

from oodguard.models.counts import count_of
from oodguard.training.report.left_out import copies_warnings
from oodguard.training.report.markdown import escape_markdown, percent, share
from oodguard.training.report.metrics import wilson_interval
from oodguard.training.report.model import MeanAuroc, Report

HARDLY_REJECTED = 0.8
"""The share of missed out-of-distribution images from which on a warning is given."""


def chance_warnings(
    *, accuracy: float, images: int, classes: int, clean: MeanAuroc | None = None
) -> tuple[str, ...]:
    """Return a warning for each clean figure that a random classifier could have.

    The accuracy of K classes on `images` images is near chance if its Wilson interval reaches 1 / K
    or less. `clean` is the mean AUROC; it is at chance if its interval reaches 0.5 or less.
    """
    warnings = []
    interval = wilson_interval(accuracy, images)
    if interval.low <= 1 / classes:
        warnings.append(
            f"the accuracy is {percent(accuracy)}, near chance ({percent(1 / classes)} for"
            f" {classes} classes): the 95 % Wilson interval of {count_of(images, 'image')} is"
            f" {percent(interval.low)} to {percent(interval.high)}"
        )
    if clean is not None and clean.auroc_interval.high < 0.5:
        warnings.append(
            f"the mean AUROC of clean images is {share(clean.auroc)}, below .500: the score rejects"
            " in-distribution images rather than out-of-distribution ones"
        )
    elif clean is not None and clean.auroc_interval.low <= 0.5:
        warnings.append(
            f"the mean AUROC of clean images is {share(clean.auroc)}, not significantly above .500,"
            " the value of a random score"
        )
    return tuple(warnings)


def report_warnings(report: Report, *, classes: int) -> tuple[str, ...]:
    """Return the warnings of a report on a classifier of that many classes."""
    clean = report.conditions[0].mean["clean"]
    return (
        *unfinished_warnings(report),
        *chance_warnings(
            accuracy=report.accuracy, images=report.accuracy_images, classes=classes, clean=clean
        ),
        *copies_warnings(report),
    )


def unfinished_warnings(report: Report) -> tuple[str, ...]:
    """Return a warning of a report on a run that is not finished, if it is one."""
    if report.finished_epochs is None:
        return ()
    epochs = tomllib.loads(report.recipe)["schedule"]["epochs"]
    return (
        f"finished epochs: {report.finished_epochs} of {epochs}; these are the figures of an"
        " unfinished run. Finish it with fit --resume, then evaluate it again",
    )


def missed_warnings(score: str, missed: Mapping[str, float], remedy: str) -> tuple[str, ...]:
    """Return a warning of the sets of whose clean images a score misses 80 % or more, if any."""
    shares = [
        f"{percent(rate)} of {name}" for name, rate in missed.items() if rate >= HARDLY_REJECTED
    ]
    if not shares:
        return ()
    return (
        f"the score {score} accepts {', '.join(shares)}: it rejects hardly any of these images;"
        f" {remedy}",
    )


def warning_paragraphs(warnings: Sequence[str]) -> tuple[str, ...]:
    """Return one paragraph in Markdown for each warning."""
    return tuple(f"**Warning:** {escape_markdown(warning)}." for warning in warnings)
