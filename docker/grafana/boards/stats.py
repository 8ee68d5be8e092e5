"""Panels of a single number with its history."""

from docker.grafana.boards.panels import About, Panel, panel
from docker.grafana.boards.queries import Query


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
