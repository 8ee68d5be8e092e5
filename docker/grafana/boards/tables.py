"""Labels as columns, one row a series, as of now."""

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
        about: What it says of itself.
        expr: What it asks for.
        hidden: Columns that tell nothing; `Value` is the value's.
        width: In 24ths of the board.
        row_link: Where a click leads; `${__data.fields.LABEL}` is the row's.
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
