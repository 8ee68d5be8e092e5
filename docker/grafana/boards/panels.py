"""The common parts of panels, as Grafana's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from docker.grafana.boards.queries import Query

Json: TypeAlias = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "oodguard-prometheus"}


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """The description of a panel.

    Attributes:
        title: Title of the panel.
        text: How to read the panel.
        unit: Grafana's id of the unit.
        runbooks: Alerts whose runbooks are linked.
        warn: Lower bound of the warning range.
        alarm: Lower bound of the alarm range.
    """

    title: str
    text: str
    unit: str = "short"
    runbooks: Sequence[str] = ()
    warn: float | None = None
    alarm: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """A panel without a position on a board.

    Attributes:
        width: In 24ths of the board.
        height: In rows of Grafana's grid.
        json: The panel without its id and position.
    """

    width: int
    height: int
    json: Json


def panel(  # noqa: PLR0913 - keyword-only, shared by all kinds of panels
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
        about: Title, description, unit and bounds.
        queries: PromQL queries.
        size: Width and height.
        options: The kind's own options.
        defaults: Field defaults except unit and thresholds.
        overrides: Field overrides.
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
    """Return a link that opens in a new tab."""
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
    """Return the link to the runbook of an alert."""
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
