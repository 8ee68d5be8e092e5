"""What all panels have in common, as Grafana's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from docker.grafana.boards.queries import Query

Json: TypeAlias = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "oodguard-prometheus"}


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a panel says of itself.

    Attributes:
        title: What it shows.
        text: How to read it.
        unit: Grafana's id of the unit.
        runbooks: The alerts that it helps with.
        warn: Where good ends.
        alarm: Where bad begins.
    """

    title: str
    text: str
    unit: str = "short"
    runbooks: Sequence[str] = ()
    warn: float | None = None
    alarm: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """A panel that has no place on a board yet.

    Attributes:
        width: In 24ths of the board.
        height: In rows of Grafana's grid.
        json: All of it but its id and its place.
    """

    width: int
    height: int
    json: Json


def panel(  # noqa: PLR0913 - by keyword, and each kind of panel has them all
    kind: str,
    about: About,
    queries: Sequence[Query],
    *,
    size: tuple[int, int],
    options: Json,
    defaults: Json | None = None,
    overrides: Sequence[Json] = (),
) -> Panel:
    """Make a panel.

    Args:
        kind: Grafana's id of the kind.
        about: What it says of itself.
        queries: What it asks for.
        size: Width and height.
        options: The kind's own options.
        defaults: How fields are shown, beyond unit and thresholds.
        overrides: How some fields are shown otherwise.
    """
    field = {"unit": about.unit, "thresholds": _thresholds(about), **(defaults or {})}
    json: Json = {
        "type": kind,
        "title": about.title,
        "description": about.text,
        "datasource": DATASOURCE,
        "targets": [_target(query, place) for place, query in enumerate(queries)],
        "links": [runbook(name) for name in about.runbooks],
        "fieldConfig": {"defaults": field, "overrides": list(overrides)},
        "options": options,
    }
    return Panel(width=size[0], height=size[1], json=json)


def link(title: str, url: str) -> Json:
    """A link to a page, which opens beside the board."""
    return {
        "type": "link",
        "title": title,
        "url": url,
        "icon": "doc",
        "tooltip": "",
        "tags": [],
        "asDropdown": False,
        "targetBlank": True,
        "includeVars": False,
        "keepTime": False,
    }


def runbook(alert: str) -> Json:
    """The link to what to do about an alert."""
    return link(f"Runbook: {alert}", f"${{runbooks}}/{alert}.md")


def _thresholds(about: About) -> Json:
    bounds = ((None, "green"), (about.warn, "orange"), (about.alarm, "red"))
    steps = [
        {"value": value, "color": color}
        for place, (value, color) in enumerate(bounds)
        if place == 0 or value is not None
    ]
    return {"mode": "absolute", "steps": steps}


def _target(query: Query, place: int) -> Json:
    asked: Json = {
        "refId": chr(ord("A") + place),
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "format": query.form,
        "instant": query.form == "table",
        "range": query.form != "table",
    }
    return {**asked, "legendFormat": query.legend} if query.legend else asked
