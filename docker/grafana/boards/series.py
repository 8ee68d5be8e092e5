"""Panels of lines over time."""

from docker.grafana.boards.panels import About, Json, Panel, panel
from docker.grafana.boards.queries import Query

LIMIT = "limit"
"""A legend that begins with this is drawn as a limit."""


def series(
    about: About, *queries: Query, width: int = 12, stacked: bool = False, low: float | None = 0
) -> Panel:
    """Make a panel of lines; the bounds of `about` are drawn across it.

    Args:
        about: Title, description, unit and bounds.
        queries: One per group of lines.
        width: In 24ths of the board.
        stacked: Stack the lines.
        low: Minimum of the axis; None for the minimum of the lines.
    """
    bounded = about.warn is not None or about.alarm is not None
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 6,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if bounded else "off"},
    }
    options = {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel(
        "timeseries",
        about,
        queries,
        size=(width, 9),
        options=options,
        defaults={"custom": custom} if low is None else {"custom": custom, "min": low},
        overrides=[_LIMITS] if any(each.legend.startswith(LIMIT) for each in queries) else [],
    )


_LIMITS: Json = {
    "matcher": {"id": "byRegexp", "options": f"/^{LIMIT}/"},
    "properties": [
        {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}},
        {"id": "custom.fillOpacity", "value": 0},
        {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
        {"id": "custom.stacking", "value": {"mode": "none", "group": "limit"}},
    ],
}
