"""The five figures that a reader asks for first."""

from training.html.legend import budget
from training.html.markup import Markup, element
from training.html.numerals import percent
from training.html.shown_budget import shown_condition
from training.report import Report


def key_figures(report: Report) -> Markup:
    """Return them as large numbers, each with what it is."""
    clean, attacked = report.conditions[0], shown_condition(report)
    figures = [
        (percent(report.accuracy), "accuracy, clean"),
        (f"{clean.mean_auroc:.3f}", "mean AUROC, clean"),
        (percent(clean.false_rejection_rate), f"false rejections, clean; {_promise(report)}"),
        (percent(clean.mean_missed_ood_rate), "OOD missed, clean"),
    ]
    if attacked:
        at = budget(attacked.epsilon_255)
        if report.trust.stamp == "untrusted":
            at += ", untrusted"
        figures += [
            (f"{attacked.mean_auroc:.3f}", f"mean AUROC, attacked at {at}"),
            (percent(attacked.mean_missed_ood_rate), f"OOD missed, attacked at {at}"),
        ]
    return element(
        "ul",
        *(element("li", element("strong", f), element("span", what)) for f, what in figures),
        class_="figures",
    )


def _promise(report: Report) -> str:
    return f"promised: at most {percent(report.alpha)}"
