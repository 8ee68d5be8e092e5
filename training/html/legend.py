"""Which colour and dash means which attack budget: the same in every chart of the page."""

from collections.abc import Mapping

from training.html import svg
from training.html.markup import Markup, element

LEVELS = 5
"""Clean and four budgets look different from one another; any stronger ones look like the last."""


def level(position: int) -> str:
    """Return the class of the budget at this position, the clean one being 0."""
    return f"level-{min(position, LEVELS - 1)}"


def budget(epsilon_255: float) -> str:
    """Name an attack budget."""
    return f"{epsilon_255:g}/255" if epsilon_255 else "clean"


def legend(names: Mapping[int, str]) -> Markup:
    """Explain the budgets by their levels' positions."""
    return element("ul", *(_entry(i, name) for i, name in names.items()), class_="legend")


def _entry(position: int, name: str) -> Markup:
    sample = svg.polyline([(0, 5), (28, 5)], f"curve {level(position)}")
    key = element("svg", sample, viewBox="0 0 28 10", width=28, height=10, aria_hidden="true")
    return element("li", key, name)
