"""Boards are what their code says, keep to Grafana's schema, and can be read."""

import copy
import itertools
import json
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from docker.grafana.boards.boards import BOARDS as MADE
from docker.grafana.boards.boards import rendered
from tests.deploy.grafana_schema import check_board, check_panel
from tests.deploy.rules import ALERTS, DOCKER, read
from tests.deploy.shown import BOARDS, FOLDER, Json, panels
from tests.service.checks import DOCS

PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in panels(board)
]


def test_the_files_are_what_the_code_makes() -> None:
    files = {file.stem: file.read_text(encoding="utf-8") for file in FOLDER.glob("*")}
    made = {name: rendered(make()) for name, make in MADE.items()}
    assert files == made, "run: python -m docker.grafana.boards"


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_keeps_to_grafanas_schema(name: str) -> None:
    check_board(json.dumps(BOARDS[name]))


@pytest.mark.parametrize("panel", PANELS)
def test_what_is_the_panels_kinds_own_keeps_to_grafanas_schema(panel: Json) -> None:
    custom = panel["fieldConfig"]["defaults"].get("custom")
    check_panel(panel["type"], json.dumps(panel["options"]), custom and json.dumps(custom))


def misspell(board: Json) -> None:
    board["panels"][1]["fieldConfig"]["defaults"]["units"] = "s"


def set_a_wrong_type(board: Json) -> None:
    board["panels"][1]["gridPos"]["w"] = "12"


def set_an_unknown_word(board: Json) -> None:
    board["panels"][1]["targets"][0]["format"] = "lines"


def leave_out(board: Json) -> None:
    del board["schemaVersion"]


@pytest.mark.parametrize("spoil", [misspell, set_a_wrong_type, set_an_unknown_word, leave_out])
def test_the_schema_finds_what_is_wrong(spoil: Callable[[Json], None]) -> None:
    board = copy.deepcopy(BOARDS["overview"])
    spoil(board)
    with pytest.raises(ValidationError):
        check_board(json.dumps(board))


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_how_to_read_it(panel: Json) -> None:
    assert len(panel["description"]) > 10
    assert panel["fieldConfig"]["defaults"]["unit"]
    if panel["type"] == "timeseries":
        assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_beside_each_other_within_the_board(name: str) -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in BOARDS[name]["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("name", BOARDS)
def test_ids_titles_and_references_are_unique(name: str) -> None:
    board = BOARDS[name]
    for key in ("id", "title"):
        found = [panel[key] for panel in board["panels"]]
        assert len(set(found)) == len(found)
    for panel in panels(board):
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_boards_are_known_by_uids_that_do_not_change() -> None:
    uids = {name: board["uid"] for name, board in BOARDS.items()}
    assert uids == {
        "overview": "oodguard-overview",
        "ood": "oodguard-ood",
        "engine": "oodguard-engine",
    }


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_can_be_narrowed_and_marks_reloads(name: str) -> None:
    variables = [variable["name"] for variable in BOARDS[name]["templating"]["list"]]
    assert variables[:2] == ["model", "version"]
    marks = [mark["expr"] for mark in BOARDS[name]["annotations"]["list"]]
    assert any("oodguard_reloads_total" in mark for mark in marks)


def test_every_alert_is_explained_beside_a_panel_and_every_link_leads_to_a_runbook() -> None:
    linked = {
        link["url"]
        for board in BOARDS.values()
        for panel in panels(board)
        for link in panel["links"]
    }
    assert linked == {f"${{runbooks}}/{name}.md" for name in ALERTS}
    assert (DOCS / "runbooks" / "README.md").exists()


def test_boards_ask_a_data_source_that_is_provisioned() -> None:
    sources = read(DOCKER / "grafana/provisioning/datasources/oodguard.yml")["datasources"]
    provisioned = {(source["type"], source["uid"]) for source in sources}
    asked = {
        (each["datasource"]["type"], each["datasource"]["uid"])
        for board in BOARDS.values()
        for panel in panels(board)
        for each in itertools.chain([panel], panel["targets"], board["annotations"]["list"])
    }
    assert asked <= provisioned


def test_a_rate_is_over_as_many_scrapes_as_prometheus_makes() -> None:
    # Grafana works $__rate_interval out from this, and has no way to ask Prometheus.
    [source] = [
        source
        for source in read(DOCKER / "grafana/provisioning/datasources/oodguard.yml")["datasources"]
        if source["type"] == "prometheus"
    ]
    scraped = read(DOCKER / "prometheus/prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped
