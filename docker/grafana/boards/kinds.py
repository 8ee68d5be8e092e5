"""Kinds of panels: lines over time, heatmaps, single numbers, tables."""

from collections.abc import Sequence

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


def heatmap(about: About, histogram: str, matchers: str, *, width: int = 12) -> Panel:
    """Make a heatmap of a Prometheus histogram.

    Args:
        about: Title and description; the unit of the buckets' bounds.
        histogram: Name of the metric.
        matchers: Label matchers.
        width: In 24ths of the board.
    """
    filled = f"sum by (le) (increase({histogram}_bucket{{{matchers}}}[$__rate_interval]))"
    options = {
        "calculate": False,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "fill": "dark-orange",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "cellGap": 1,
        "filterValues": {"le": 1e-9},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "yAxis": {"unit": about.unit, "axisPlacement": "left", "reverse": False},
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": True},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
    }
    query = Query(filled, "{{le}}", "heatmap")
    return panel("heatmap", about, [query], size=(width, 9), options=options)


def stat(about: About, query: Query, *, width: int = 4) -> Panel:
    """Make a panel of the latest value, colored by the bounds of `about`."""
    options = {
        "graphMode": "area",
        "colorMode": "value",
        "justifyMode": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "orientation": "auto",
        "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
    }
    return panel("stat", about, [query], size=(width, 4), options=options)


def table(
    about: About,
    expr: str,
    *,
    hidden: Sequence[str] = (),
    width: int = 12,
    row_link: Json | None = None,
) -> Panel:
    """Make a table.

    Args:
        about: Title, description, unit and bounds.
        expr: PromQL.
        hidden: Columns to hide; `Value` is the value.
        width: In 24ths of the board.
        row_link: Link of a row; `${__data.fields.LABEL}` is a label of the row.
    """
    options = {
        "frameIndex": 0,
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False},
    }
    made = panel(
        "table",
        about,
        [Query(expr, form="table")],
        size=(width, 7),
        options=options,
        defaults={"links": [row_link]} if row_link else {},
    )
    organize = {"excludeByName": dict.fromkeys(("Time", *hidden), True)}
    transformations = [{"id": "organize", "options": organize}]
    return Panel(
        width=made.width,
        height=made.height,
        json={**made.json, "transformations": transformations},
    )
