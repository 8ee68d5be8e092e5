"""The trust stamp: may the attacked figures be believed, and if not, which checks failed."""

from collections.abc import Mapping

from training.html.markup import Markup, element
from training.html.section import paragraph, section
from training.html.table import table
from training.report import Check, Trust

MEANING: Mapping[str, tuple[str, str, str]] = {
    "trusted": (
        "good",
        "Trusted",
        "Every check of the attack passed: nothing was found that would make these figures look"
        " better than they are.",
    ),
    "partly checked": (
        "partial",
        "Partly checked",
        "No check of the attack failed, and some were not made: a longer suite makes all of them.",
    ),
    "not checked": (
        "partial",
        "Not checked",
        "This suite does not check its own attack, so the attacked figures may look better than"
        " they are. Measure with another suite before you rely on them.",
    ),
    "untrusted": (
        "bad",
        "UNTRUSTED",
        "The attack did not work as an attack must, so the attacked figures below may show"
        " robustness that is not there. Do not rely on them, and do not publish them.",
    ),
}
"""Of each stamp: its looks, its name, and what it says."""


def stamp(trust: Trust) -> Markup:
    """Return the banner that the page begins with."""
    looks, name, meaning = MEANING[trust.stamp]
    failed = [check for check in trust.checks if check.outcome == "failed"]
    return section(
        name,
        paragraph(meaning),
        *([element("ul", *(_failure(check) for check in failed))] if failed else []),
        class_=f"stamp {looks}",
    )


def checks_section(trust: Trust) -> Markup:
    """Return what was checked, in full."""
    rows = [
        (check.name, check.outcome, _figure(check), element("span", check.wanted))
        for check in trust.checks
    ]
    return section(
        "How the attack was checked",
        paragraph(
            "A broken attack makes any model look robust. Each check below would notice one way"
            " of breaking."
        ),
        table("Checks of the attack", ("check", "outcome", "found", "wanted"), rows),
    )


def _failure(check: Check) -> Markup:
    found = f" found {_figure(check)}," if check.figure is not None else ""
    return element("li", element("strong", check.name), f":{found} wanted {check.wanted}")


def _figure(check: Check) -> str:
    return "" if check.figure is None else f"{check.figure:.4g}"
