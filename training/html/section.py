"""A part of the page under a heading, and a chart with its caption."""

from collections.abc import Sequence

from training.html.markup import Markup, element


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
