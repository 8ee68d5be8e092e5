"""HTML and SVG as strings into which no text gets unescaped."""

import tomllib
from collections.abc import Sequence
from html import escape

from oodguard.training.report import card
from oodguard.training.report.model import Condition, Report


def percent(share: float) -> str:
    """Write a share as in the Markdown table, unable to break before the percent sign."""
    return card.percent(share).replace(" ", "\N{NO-BREAK SPACE}")


Value = str | float | None

VOID = frozenset({"br", "col", "img", "meta"})
"""The elements of HTML that have no end tag."""


class Markup(str):
    """Text that is markup already; any other string is escaped before it joins."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: Value) -> Markup:
    """Return `<name attributes>children</name>`, every child that is no Markup escaped.

    Of an attribute's name, a trailing underscore is dropped (`class_`) and others become hyphens
    (`text_anchor`); one whose value is None is left out.
    """
    head = name + "".join(
        f' {key.removesuffix("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{head}>") if name in VOID else Markup(f"<{head}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """Return the children one after the other, every one that is no Markup escaped."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(child, quote=False) for child in children
        )
    )


def number(value: float) -> str:
    """Write a coordinate: two decimals are far finer than a screen, and more would be bytes."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else number(value)


def section(heading: str, *content: str, class_: str | None = None) -> Markup:
    """Return a section of the page."""
    return element("section", element("h2", heading), *content, class_=class_)


def paragraph(*content: str) -> Markup:
    """Return a paragraph of running text."""
    return element("p", *content)


def charts(figures: Sequence[tuple[str, Markup]]) -> Markup:
    """Return drawings side by side, as many as the screen is wide, each with its caption."""
    return element(
        "div",
        *(
            element("figure", element("figcaption", caption), drawing)
            for caption, drawing in figures
        ),
        class_="charts",
    )


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Return a table; the first cell of every row is its heading.

    It scrolls sideways by itself where the screen is narrow.
    """
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    body = (
        element("tr", element("th", first, scope="row"), *(element("td", each) for each in others))
        for first, *others in rows
    )
    whole = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", head),
        element("tbody", *body),
    )
    # Focusable, so that it can be scrolled by keyboard.
    return element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def shown_condition(report: Report) -> Condition | None:
    """Return the condition of the budget that the run was hardened at, else of the weakest.

    None where nothing was attacked.
    """
    attacked = [condition for condition in report.conditions if condition.epsilon_255]
    hardened = tomllib.loads(report.recipe).get("attack", {}).get("epsilon_255")
    same = [condition for condition in attacked if condition.epsilon_255 == hardened]
    return next(iter(same or attacked), None)
