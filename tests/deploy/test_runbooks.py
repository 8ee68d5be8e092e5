"""Every alert has a runbook that names existing panels."""

import re

import pytest

from tests.deploy.board_files import BOARDS
from tests.deploy.rules import ALERTS
from tests.service.checks import DOCS

RUNBOOKS = DOCS / "runbooks"
SECTIONS = ("## What it means", "## First look", "## Likely causes", "## What to do")
# Titles are in italics and begin with a capital; other emphasis begins with a small letter.
IN_ITALICS = re.compile(r"(?<!\*)\*([A-Z0-9][^*\n]+)\*(?!\*)")
PAGES_OF_PROMETHEUS = {"Targets"}


@pytest.mark.parametrize("name", ALERTS)
def test_runbook_has_its_sections_and_names_existing_panels(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    places = [text.index(section) for section in SECTIONS]
    assert places == sorted(places)

    titles = [panel["title"] for board in BOARDS.values() for panel in board["panels"]]
    titles += [board["title"].removeprefix("OOD Guard: ").capitalize() for board in BOARDS.values()]
    named = IN_ITALICS.findall(text)
    assert named
    unknown = [each for each in named if not any(title.startswith(each) for title in titles)]
    assert set(unknown) <= PAGES_OF_PROMETHEUS


def test_every_alert_has_a_runbook_in_the_index() -> None:
    pages = {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(ALERTS)
    listed = re.findall(r"\]\((\w+)\.md\)", (RUNBOOKS / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(ALERTS)
