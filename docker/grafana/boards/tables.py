"""Panels of labels as columns, with one row per series."""

from collections.abc import Sequence

from docker.grafana.boards.panels import About, Json, Panel, panel
from docker.grafana.boards.queries import Query


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
