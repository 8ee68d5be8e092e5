"""HTML and SVG as strings into which no text gets unescaped."""

from html import escape

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
