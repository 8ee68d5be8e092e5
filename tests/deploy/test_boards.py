"""The Grafana boards match their code, Grafana's schema and the alerts."""

import itertools
import json

import pytest
from pydantic import ValidationError

from docker.grafana.boards.boards import BOARDS as BOARD_FUNCTIONS
from docker.grafana.boards.boards import rendered
from tests.deploy.board_files import BOARDS, FOLDER, Json, panels
from tests.deploy.grafana_schema import check_board, check_panel
from tests.deploy.rules import ALERTS, DOCKER, read

PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in panels(board)
]


def test_board_files_are_the_output_of_the_code() -> None:
    files = {file.stem: file.read_text(encoding="utf-8") for file in FOLDER.glob("*")}
    made = {name: rendered(make()) for name, make in BOARD_FUNCTIONS.items()}
    assert files == made, "run: python -m docker.grafana.boards"


@pytest.mark.parametrize("name", BOARDS)
def test_board_matches_grafanas_schema(name: str) -> None:
    check_board(json.dumps(BOARDS[name]))


@pytest.mark.parametrize("panel", PANELS)
def test_panel_matches_the_schema_of_its_type_and_is_described(panel: Json) -> None:
    custom = panel["fieldConfig"]["defaults"].get("custom")
    check_panel(panel["type"], json.dumps(panel["options"]), custom and json.dumps(custom))
    assert len(panel["description"]) > 10
    assert panel["fieldConfig"]["defaults"]["unit"]
    if panel["type"] == "timeseries":
        assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize(
    ("valid", "invalid"),
    [
        pytest.param('"unit": "short"', '"units": "short"', id="unknown field"),
        pytest.param('"w": 24', '"w": "24"', id="wrong type"),
        pytest.param('"format": "time_series"', '"format": "lines"', id="unknown value"),
        pytest.param('"schemaVersion": 41, ', "", id="missing field"),
    ],
)
def test_board_schema_rejects_errors(valid: str, invalid: str) -> None:
    board = json.dumps(BOARDS["overview"])
    assert valid in board
    with pytest.raises(ValidationError):
        check_board(board.replace(valid, invalid, 1))


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap_and_have_unique_ids(name: str) -> None:
    board = BOARDS[name]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in board["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    for key in ("id", "title"):
        values = [panel[key] for panel in board["panels"]]
        assert len(set(values)) == len(values)
    for panel in panels(board):
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_every_alert_is_linked_from_a_panel_and_every_link_is_a_runbook() -> None:
    linked = {
        link["url"]
        for board in BOARDS.values()
        for panel in panels(board)
        for link in panel["links"]
    }
    assert linked == {f"${{runbooks}}/{name}.md" for name in ALERTS}


def test_boards_use_provisioned_data_sources() -> None:
    sources = read(DOCKER / "grafana/provisioning/datasources/oodguard.yml")["datasources"]
    provisioned = {(source["type"], source["uid"]) for source in sources}
    used = {
        (each["datasource"]["type"], each["datasource"]["uid"])
        for board in BOARDS.values()
        for panel in panels(board)
        for each in itertools.chain([panel], panel["targets"], board["annotations"]["list"])
    }
    assert used <= provisioned
