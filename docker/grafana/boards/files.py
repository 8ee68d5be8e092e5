"""The list of boards, and their file format."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from docker.grafana.boards.engine import engine
from docker.grafana.boards.ood import ood
from docker.grafana.boards.overview import overview
from docker.grafana.boards.panels import Json

FOLDER = Path(__file__).parents[1] / "dashboards"
BOARDS: Mapping[str, Callable[[], Json]] = {"overview": overview, "ood": ood, "engine": engine}


def rendered(board: Json) -> str:
    """Return the JSON text of a board."""
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"
