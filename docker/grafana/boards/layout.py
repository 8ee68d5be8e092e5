"""Lay out a board: rows of panels, variables, links, and annotations of changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from docker.grafana.boards.panels import DATASOURCE, Json, Panel, link

COLUMNS = 24
RELOAD = "oodguard_reloads_total"
COUNTED = 'outcome!="unchanged"'


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one title, from left to right, wrapped at the board's width."""

    title: str
    panels: Sequence[Panel]


def board(*, uid: str, title: str, text: str, rows: Sequence[Row]) -> Json:
    """Make a board.

    Args:
        uid: Id in links and bookmarks; it never changes.
        title: Title of the board.
        text: Description of the board.
        rows: Its rows of panels.
    """
    return {
        "uid": uid,
        "title": title,
        "description": text,
        "tags": ["oodguard"],
        "schemaVersion": 41,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": _annotations()},
        "links": [_other_boards(), link("Runbooks", "${runbooks}/README.md")],
        "panels": _layout(rows),
    }


def _layout(rows: Sequence[Row]) -> list[Json]:
    panels: list[Json] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        head = {"type": "row", "title": row.title, "collapsed": False, "panels": []}
        panels.append({"id": len(panels) + 1, "gridPos": place, **head})
        y += 1
        x = height = 0
        for each in row.panels:
            if x + each.width > COLUMNS:
                x, y, height = 0, y + height, 0
            place = {"x": x, "y": y, "w": each.width, "h": each.height}
            panels.append({"id": len(panels) + 1, "gridPos": place, **each.json})
            x, height = x + each.width, max(height, each.height)
        y += height
    return panels


def _variables() -> list[Json]:
    # Counters, not gauges: versions that are no longer served stay selectable.
    versions = 'label_values(oodguard_decisions_total{model=~"$model"}, version)'
    return [
        _choice("model", "Model", "label_values(oodguard_decisions_total, model)"),
        _choice("version", "Version", versions),
        {
            "type": "constant",
            "name": "runbooks",
            "label": "URL of the runbooks",
            "hide": 2,
            "query": "/public/runbooks",
            "current": {"text": "/public/runbooks", "value": "/public/runbooks"},
            "skipUrlSync": True,
        },
    ]


def _choice(name: str, label: str, query: str) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "options": [],
    }


def _annotations() -> list[Json]:
    reloads = f"sum by (model, outcome) (increase({RELOAD}{{{COUNTED}}}[1m])) > 0"
    resets = "sum by (model, version) (increase(oodguard_drift_resets_total[1m])) > 0"
    bundles = (
        "count by (model, version, provider) (oodguard_bundle_info)"
        " unless count by (model, version, provider) (oodguard_bundle_info offset 1m)"
    )
    return [
        _mark("Bundle or policy reloaded", reloads, "{{outcome}}", "{{model}}", "purple"),
        _mark("Bundle served", bundles, "{{model}} {{version}}", "on {{provider}}", "blue"),
        _mark("Drift reset", resets, "drift evidence reset", "{{model}} {{version}}", "green"),
    ]


def _mark(name: str, expr: str, title: str, text: str, color: str) -> Json:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "step": "10s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "model,version,outcome,provider",
    }


def _other_boards() -> Json:
    return {
        **link("OOD Guard", ""),
        "type": "dashboards",
        "icon": "dashboard",
        "tags": ["oodguard"],
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }
