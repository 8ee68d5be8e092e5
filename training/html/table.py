"""A table of the page: real headings in both directions, so that it can be read aloud."""

from collections.abc import Sequence

from training.html.markup import Markup, element


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
