"""What becomes of in-distribution images at the served threshold: right, wrong, rejected."""

from training.html import svg
from training.html.legend import budget
from training.html.markup import Markup, element
from training.html.numerals import percent
from training.html.section import paragraph, section
from training.html.table import table
from training.report import Decisions, Report

WIDTH, HEIGHT = 220.0, 16.0
KINDS = {
    "accept-right": "accepted, right",
    "accept-wrong": "accepted, wrong",
    "reject": "rejected",
}


def decisions_section(report: Report) -> Markup:
    """Return the matrix, clean and under both kinds of attack."""
    inliers = [(budget(c.epsilon_255), c.inliers) for c in report.conditions]
    outcomes = [(name, result.decisions) for name, result in inliers]
    outcomes += [
        (f"{name}, end to end", result.end_to_end)
        for name, result in inliers
        if result.end_to_end is not None
    ]
    return section(
        "What a user of the classifier gets",
        paragraph(
            f"Images of {report.test_set} at the served threshold. Attacked, they are pushed"
            " towards rejection; end to end, towards a wrong class that is accepted, which is the"
            " mistake that nobody notices."
        ),
        _legend(),
        table(
            "In-distribution images",
            ("attack", *KINDS.values(), "right, of those accepted", "shares"),
            [_row(i, name, each) for i, (name, each) in enumerate(outcomes)],
        ),
    )


def outcome_bar(decisions: Decisions, *, key: str, title: str) -> Markup:
    """Draw the three shares side by side over the full width."""
    right = WIDTH * decisions.accepted_right
    wrong = WIDTH * decisions.accepted_wrong
    return svg.drawing(
        svg.rectangle((0, 0), right, HEIGHT, "accept-right"),
        svg.rectangle((right, 0), wrong, HEIGHT, "accept-wrong"),
        svg.rectangle((right + wrong, 0), WIDTH - right - wrong, HEIGHT, "reject"),
        key=key,
        width=WIDTH,
        height=HEIGHT,
        title=f"Outcomes, {title}",
        description=f"accepted and right {percent(decisions.accepted_right)}, accepted and wrong"
        f" {percent(decisions.accepted_wrong)}, rejected {percent(decisions.rejected)}",
    )


def _row(position: int, name: str, decisions: Decisions) -> tuple[str, ...]:
    of_accepted = decisions.accuracy_of_accepted
    return (
        name,
        percent(decisions.accepted_right),
        percent(decisions.accepted_wrong),
        percent(decisions.rejected),
        "none accepted" if of_accepted is None else percent(of_accepted),
        outcome_bar(decisions, key=f"outcome-{position}", title=name),
    )


def _legend() -> Markup:
    def sample(class_: str) -> Markup:
        square = svg.rectangle((0, 0), 14, 14, class_)
        return element("svg", square, viewBox="0 0 14 14", width=14, height=14, aria_hidden="true")

    entries = (element("li", sample(class_), words) for class_, words in KINDS.items())
    return element("ul", *entries, class_="legend")
