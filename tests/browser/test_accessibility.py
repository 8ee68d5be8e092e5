"""Keyboard, screen reader, both colour schemes, small displays."""

from typing import Any

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.services import ALOE, SHIP, Service

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.playground import (
    card,
    decision,
    example,
    expect_announced,
    expect_decisions,
    message,
    usable,
)

pytestmark = pytest.mark.slow

DISPLAYS = {"phone": {"width": 360, "height": 740}, "desktop": {"width": 1280, "height": 900}}
MAX_TABS = 40


def serious(page: Any) -> list[str]:
    """Return the serious and critical findings of axe-core on the present page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['impact']}: {each['id']}: {[node['target'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]


def tab_to(page: Any, target: Any) -> None:
    """Press Tab until an element has the focus, which must be visible."""
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        if target.evaluate("(element) => element === document.activeElement"):
            assert target.evaluate(
                """(element) => [element, element.closest("label")].some(
                  (each) => each && getComputedStyle(each).outlineStyle !== "none")"""
            ), "the focus is not visible"
            return
    pytest.fail(f"{MAX_TABS} presses of Tab do not reach {target}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("display", DISPLAYS)
def test_playground_has_no_serious_accessibility_fault(
    open_page: OpenPage, service: Service, scheme: str, display: str
) -> None:
    # axe-core is a script from outside of the page, which its policy forbids.
    page = open_page(
        service.url,
        expected="status of 4",
        viewport=DISPLAYS[display],
        has_touch=display == "phone",
        color_scheme=scheme,
        bypass_csp=True,
        reduced_motion="reduce",
    )
    usable(page)
    assert serious(page) == []
    example(page, "A hand, attacked").click()
    expect_decisions(page, aloe="Reject", standard="Accept")
    card(page, ALOE).get_by_role("button", name="Why?").click()
    expect(card(page, ALOE).locator(".why")).to_contain_text("score")
    page.get_by_role("slider").press("Home")
    assert serious(page) == []
    page.get_by_label("Choose a picture").set_input_files(
        files=[{"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}]
    )
    expect(message(page)).not_to_be_empty()
    assert serious(page) == []
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= DISPLAYS[display]["width"], "the page scrolls horizontally"


def test_playground_works_by_keyboard_alone(open_page: OpenPage, service: Service) -> None:
    page = open_page(service.url)
    page.on("filechooser", lambda _: None)  # dialogs reach the test from here on
    usable(page)
    choose = page.get_by_label("Choose a picture")
    tab_to(page, choose)
    with page.expect_file_chooser():  # the dialog is the browser's own
        page.keyboard.press("Enter")
    with page.expect_file_chooser() as opened:
        page.keyboard.press("Space")
    opened.value.set_files(SHIP)
    expect_announced(page, "cifar10-aloe: accept, ship. cifar10-standard: accept, ship.")
    tab_to(page, example(page, "Black"))
    page.keyboard.press("Enter")
    expect_decisions(page, aloe="Reject", standard="Reject")
    tab_to(page, page.get_by_role("checkbox", name="cifar10-standard"))
    page.keyboard.press("Space")
    expect(page.get_by_role("article")).to_have_count(1)
    tab_to(page, page.get_by_role("slider"))
    page.keyboard.press("ArrowRight")
    expect(page.locator("#alpha-value")).not_to_contain_text("as served")
    tab_to(page, card(page, ALOE).get_by_role("button", name="Why?"))
    page.keyboard.press("Space")
    expect(card(page, ALOE).locator(".why")).to_contain_text("score")


def test_playground_error_is_dismissed_by_keyboard(open_page: OpenPage, service: Service) -> None:
    page = open_page(service.url, expected="status of 4")
    usable(page)
    page.get_by_label("Choose a picture").set_input_files(
        files=[{"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}]
    )
    expect(message(page)).not_to_be_empty()
    tab_to(page, page.get_by_role("button", name="Close the message"))
    page.keyboard.press("Enter")
    expect(message(page)).to_be_hidden()


def test_playground_skip_link_leads_to_the_verdicts(open_page: OpenPage, service: Service) -> None:
    page = open_page(service.url)
    usable(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the verdicts")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#results")).to_be_focused()
    expect(decision(page, ALOE)).to_be_in_viewport()
