"""The shipped boards and the expressions that they evaluate."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from tests.deploy.rules import DOCKER

Json: TypeAlias = dict[str, Any]

FOLDER = DOCKER / "grafana" / "dashboards"
BOARDS: Mapping[str, Json] = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted(FOLDER.glob("*.json"))
}

# Variables that Grafana replaces before it sends an expression.
VARIABLES = {"$__rate_interval": "1m", "$model": ".*", "$version": ".*"}


def panels(board: Json) -> list[Json]:
    """Return the panels of a board without the rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def interpolate(expression: str) -> str:
    """Return an expression as Grafana sends it."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, f"unknown variable: {expression}"
    return expression


def panel_expressions(board: Json) -> Iterator[tuple[str, str]]:
    """Yield title and expression of every query of every panel."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield panel["title"], interpolate(target["expr"])


def other_expressions(board: Json) -> Iterator[tuple[str, str]]:
    """Yield name and expression of every annotation, and of the selector of every variable."""
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], interpolate(annotation["expr"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            call = interpolate(variable["query"]["query"])
            selector, label = call.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            yield variable["name"], f"count by ({label}) ({selector})"
