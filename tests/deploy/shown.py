"""The boards as they are shipped, and what they ask Prometheus for."""

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

# What Grafana puts in place before it asks.
FILLED_IN = {"$__rate_interval": "1m", "$model": ".*", "$version": ".*"}


def panels(board: Json) -> list[Json]:
    """The panels of a board, without its rows' heads."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def filled_in(expression: str) -> str:
    """An expression as Grafana sends it."""
    for variable, value in FILLED_IN.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, f"a variable that is not known: {expression}"
    return expression


def panel_expressions(board: Json) -> Iterator[tuple[str, str]]:
    """Title and expression of everything that a panel asks for."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield panel["title"], filled_in(target["expr"])


def other_expressions(board: Json) -> Iterator[tuple[str, str]]:
    """Name and expression of every mark, and the selector of every variable."""
    for mark in board["annotations"]["list"]:
        yield mark["name"], filled_in(mark["expr"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            call = filled_in(variable["query"]["query"])
            selector, label = call.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            yield variable["name"], f"count by ({label}) ({selector})"
