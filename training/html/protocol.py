"""What was measured and how, in words."""

from training.html.legend import budget
from training.html.markup import Markup, element
from training.html.numerals import percent
from training.html.section import section
from training.report import Report
from training.suite import Ascent


def protocol_section(report: Report) -> Markup:
    """Return what a reader must know to doubt the figures properly."""
    return section(
        "What was measured, and how",
        element("ul", *(element("li", line) for line in lines(report))),
    )


def lines(report: Report) -> list[Markup | str]:
    """Return the protocol, one sentence or two a line."""
    suite = report.suite
    first = report.conditions[0]
    confidence = f", with {percent(1 - report.delta)} confidence" if report.delta else ""
    budgets = ", ".join(budget(epsilon) for epsilon in suite.budgets_255)
    said: list[Markup | str] = [
        f"In-distribution images: {first.inliers.images:,} of {report.test_set}."
        " Out-of-distribution images: "
        + ", ".join(f"{result.images:,} of {name}" for name, result in first.sets.items())
        + ".",
        f"Images are rejected when their {report.score} score is above {report.threshold:.6g}."
        f" That threshold lets at most {percent(report.alpha)} of images drawn like the"
        f" {report.calibration_images:,} calibration images be rejected{confidence}.",
    ]
    if budgets:
        said += [
            "Attacked means: every pixel may change by at most the budget, with full knowledge of"
            " the network. In-distribution images are pushed towards rejection, outliers towards"
            f" acceptance. Budgets: {budgets} of the pixel range.",
            f"The attack is {_ascent(suite.ascent)}.",
        ]
    if suite.ascent.end_to_end and budgets:
        said.append(
            "End to end: an in-distribution image is pushed to a wrong class that is accepted,"
            f" in {suite.ascent.end_to_end} steps."
        )
    if report.replayed_by:
        said.append(
            f"The attacked images, in whole 255ths, were judged again by {report.replayed_by}."
        )
    said.append(
        "Brackets hold 95 % bootstrap intervals over the images: they say what other images of the"
        " same kind would change, not what a stronger attack would."
    )
    return said


def _ascent(ascent: Ascent) -> str:
    restarts = f"{ascent.restarts} start" + ("s" if ascent.restarts > 1 else "")
    if ascent.kind == "pgd":
        size = f" of {ascent.step_255:g}/255" if ascent.step_255 else ""
        return (
            f"PGD on the score itself: {ascent.steps} steps{size}, {restarts}, the last iterate"
            " counts"
        )
    targeted = (
        f"; {ascent.targeted} images of each set are also attacked once for every class"
        if ascent.targeted
        else ""
    )
    return (
        f"APGD on the score itself: {ascent.steps} steps, {restarts}, the best iterate of all"
        f" counts{targeted}"
    )
