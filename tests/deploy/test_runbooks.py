"""Each alert has a page that says what to do, and sends its reader to panels that exist."""

import re

import pytest

from tests.deploy.rules import ALERTS
from tests.deploy.shown import BOARDS
from tests.service.checks import DOCS

RUNBOOKS = DOCS / "runbooks"
PARTS = ("## What it means", "## First look", "## Likely causes", "## What to do")
# What is merely stressed begins small.
IN_ITALICS = re.compile(r"(?<!\*)\*([A-Z0-9][^*\n]+)\*(?!\*)")
# A page of Prometheus itself.
ELSEWHERE = {"Targets"}


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_tells_meaning_first_look_causes_and_remedy(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    places = [text.index(part) for part in PARTS]
    assert places == sorted(places)


def test_every_runbook_is_of_an_alert_and_in_the_table_of_contents() -> None:
    pages = {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(ALERTS)
    listed = re.findall(r"\]\((\w+)\.md\)", (RUNBOOKS / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_names_boards_rows_and_panels_that_exist(name: str) -> None:
    titles = [panel["title"] for board in BOARDS.values() for panel in board["panels"]]
    titles += [board["title"].removeprefix("OOD Guard: ").capitalize() for board in BOARDS.values()]
    named = IN_ITALICS.findall((RUNBOOKS / f"{name}.md").read_text(encoding="utf-8"))
    assert named
    unknown = [each for each in named if not any(title.startswith(each) for title in titles)]
    assert set(unknown) <= ELSEWHERE
