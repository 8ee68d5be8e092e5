"""Every way to a verdict: choose, paste, drop, photograph, examples, attacked examples."""

import base64
import re
from typing import Any

import httpx2
import pytest

from tests.browser.conftest import OpenPage
from tests.browser.services import ALOE, SHIP, STANDARD, TEXTURE, Service

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.browser.playground import (
    card,
    decision,
    example,
    expect_announced,
    expect_decisions,
    usable,
)

pytestmark = pytest.mark.slow

SHIP_VERDICTS = f"{ALOE}: accept, ship. {STANDARD}: accept, ship."


@pytest.fixture
def page(open_page: OpenPage, service: Service) -> Any:
    opened = open_page(service.url)
    usable(opened)
    return opened


def test_playground_shows_the_verdict_of_a_chosen_file(page: Any, service: Service) -> None:
    page.get_by_label("Choose a picture").set_input_files(SHIP)
    expect_decisions(page, aloe="Accept", standard="Accept")
    expect_announced(page, SHIP_VERDICTS)
    expect(page.get_by_alt_text("00588.png")).to_be_visible()
    verdict = httpx2.post(
        f"{service.url}/predict", content=SHIP.read_bytes(), headers={"content-type": "image/png"}
    ).json()["predictions"][0]
    shown = card(page, ALOE)
    expect(shown.locator(".classes .first")).to_have_text("ship")
    expect(shown.locator(".p-value")).to_contain_text(f"p-value {verdict['p_value']:.4g}:")
    expect(shown.get_by_role("img", name="Score").or_(shown.locator("svg"))).to_be_visible()
    expect(shown.locator(".times")).to_contain_text("Round trip")


def test_playground_states_the_reasons_of_a_rejection(page: Any) -> None:
    page.get_by_label("Choose a picture").set_input_files(TEXTURE)
    expect_decisions(page, aloe="Reject", standard="Reject")
    expect(card(page, ALOE).locator(".reasons li").first).not_to_be_empty()


def test_playground_takes_a_pasted_picture(page: Any, service: Service) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    page.evaluate(
        """async (text) => {
          const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
          const blob = new Blob([bytes], { type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }""",
        base64.b64encode(SHIP.read_bytes()).decode(),
    )
    page.keyboard.press("Control+v")
    expect_announced(page, SHIP_VERDICTS)
    expect(page.locator("#caption")).to_contain_text("pasted picture")


def test_playground_states_that_it_tries_the_first_of_two_files(page: Any) -> None:
    box = page.locator("#drop").bounding_box()
    chromium = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(SHIP), str(TEXTURE)], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 50, "y": box["y"] + 50}
        chromium.send("Input.dispatchDragEvent", {"type": step, **place, "data": data})
    expect_announced(page, SHIP_VERDICTS)
    expect(page.locator("#caption")).to_contain_text("00588.png")
    expect(page.locator("#caption")).to_contain_text("The first of 2 files")


# The browser takes a drop anywhere, because it would else leave the page for a file.
@pytest.mark.parametrize("place", ["#drop", "#live-title"])
def test_playground_takes_a_dropped_file(page: Any, place: str) -> None:
    page.locator(place).scroll_into_view_if_needed()
    box = page.locator(place).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    chromium = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(SHIP)], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        chromium.send("Input.dispatchDragEvent", {"type": step, "x": x, "y": y, "data": data})
    expect_announced(page, SHIP_VERDICTS)
    expect(page.locator("#caption")).to_contain_text("00588.png")


def test_playground_takes_a_photo_on_a_touch_device(open_page: OpenPage, service: Service) -> None:
    page = open_page(service.url, viewport={"width": 360, "height": 740}, has_touch=True)
    usable(page)
    expect(page.locator("label.camera")).to_be_visible()
    page.get_by_label("Take a photo").set_input_files(SHIP)
    expect_announced(page, SHIP_VERDICTS)
    expect(card(page, ALOE)).to_be_in_viewport()


@pytest.mark.parametrize(
    ("title", "decisions"),
    [
        ("A ship", ("Accept", "Accept")),
        ("A texture", ("Reject", "Reject")),
        ("A traffic sign", ("Reject", "Reject")),
        ("Noise", ("Reject", "Accept")),
        ("Black", ("Reject", "Reject")),
    ],
)
def test_playground_offers_examples(page: Any, title: str, decisions: tuple[str, str]) -> None:
    example(page, title).click()
    aloe, standard = decisions
    expect_decisions(page, aloe=aloe, standard=standard)


@pytest.mark.parametrize(
    ("title", "label"),
    [
        ("A texture, attacked", None),
        ("A traffic sign, attacked", None),
        ("A hand, attacked", None),
        ("A ship, attacked", "ship"),
        ("A dog, attacked", "dog"),
    ],
)
def test_playground_attacked_example_succeeds_against_the_plain_model_only(
    page: Any, title: str, label: str | None
) -> None:
    example(page, title).click()
    robust = "Accept" if label else "Reject"
    expect_decisions(page, aloe=robust, standard="Accept")
    expect(card(page, STANDARD)).to_contain_text("The attack succeeds")
    expect(card(page, ALOE)).not_to_contain_text("The attack succeeds")
    if label:
        expect(card(page, ALOE).locator(".classes .first")).to_have_text(label)
        expect(card(page, STANDARD).locator(".classes .first")).not_to_have_text(label)
    change = page.get_by_role("img", name="change \N{MULTIPLICATION SIGN} 127")
    expect(change).to_be_visible()
    values = set(
        change.evaluate(
            """(canvas) => [...canvas.getContext("2d")
              .getImageData(0, 0, canvas.width, canvas.height).data]"""
        )
    )
    assert {0, 127} <= values <= {0, 127, 255}, "one step of brightness, times 127; opaque"


def hold(page: Any, pattern: str, count: int) -> list[Any]:
    """Hold the next requests to a path back, and return the list that they are added to."""
    held: list[Any] = []

    def handle(route: Any) -> None:
        if len(held) < count:
            held.append(route)
        else:
            route.continue_()

    page.route(pattern, handle)
    return held


def test_playground_shows_no_earlier_verdict_while_it_waits(page: Any) -> None:
    example(page, "A ship").click()
    expect_decisions(page, aloe="Accept", standard="Accept")
    held = hold(page, "**/predict", count=2)
    example(page, "Black").click()
    for model in (ALOE, STANDARD):
        shown = card(page, model)
        expect(shown).to_have_attribute("aria-busy", "true")
        expect(decision(page, model)).to_have_text("checking \N{HORIZONTAL ELLIPSIS}")
        expect(shown).not_to_have_class(re.compile("accept|reject"))
        for part in (".classes", ".reasons", ".p-value", ".times", ".histogram .score"):
            expect(shown.locator(part).filter(has_text=re.compile(r"\S"))).to_have_count(0)
        expect(shown.get_by_role("button", name="Why?")).to_be_disabled()
    expect_announced(page, "Checking the picture.")
    for route in held:
        route.continue_()
    expect_decisions(page, aloe="Reject", standard="Reject")


def test_playground_drops_an_example_that_arrives_after_a_newer_picture(page: Any) -> None:
    held = hold(page, "**/noise.png", count=1)
    example(page, "Noise").click()
    example(page, "A ship").click()
    expect_announced(page, SHIP_VERDICTS)
    with page.expect_response("**/noise.png"):
        held[0].continue_()
    # Its picture and requests would precede those of the next example.
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url.rpartition("/")[2]))
    example(page, "Black").click()
    expect_decisions(page, aloe="Reject", standard="Reject")
    assert sent.count("predict") == 2
    expect(page.locator("#caption")).to_contain_text("Black")


def test_playground_drops_an_explanation_of_an_earlier_picture(page: Any) -> None:
    example(page, "A texture").click()
    expect_decisions(page, aloe="Reject", standard="Reject")
    held = hold(page, "**/inspect", count=1)
    card(page, ALOE).get_by_role("button", name="Why?").click()
    expect(card(page, ALOE).locator(".why")).to_contain_text("Covering")
    example(page, "A ship").click()
    expect_announced(page, SHIP_VERDICTS)
    with page.expect_response("**/inspect") as late:
        held[0].continue_()
    late.value.finished()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(card(page, ALOE).locator(".why")).to_contain_text("one part of the picture after")


def test_playground_shows_an_example_without_another_request(page: Any) -> None:
    """Its image is on the button already: on a slow network, a click has an effect at once."""
    example(page, "A ship").click()
    expect_decisions(page, aloe="Accept", standard="Accept")
    received = page.evaluate(
        """() => performance.getEntriesByType("resource")
          .filter(({ name, initiatorType: type }) => name.endsWith("/ship.png") && type === "fetch")
          .map(({ transferSize }) => transferSize)"""
    )
    assert received == [0], "bytes from the network"


def test_playground_shows_the_newest_of_two_pictures(page: Any) -> None:
    example(page, "Noise").click()
    example(page, "A ship").click()
    expect_announced(page, SHIP_VERDICTS)
    expect_decisions(page, aloe="Accept", standard="Accept")
