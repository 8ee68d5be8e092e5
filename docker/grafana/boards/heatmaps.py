"""Panels of a histogram over time."""

from docker.grafana.boards.panels import About, Panel, panel
from docker.grafana.boards.queries import Query


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
