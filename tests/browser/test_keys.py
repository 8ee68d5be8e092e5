"""API keys: requested once, in the memory of the page only, and what their roles allow."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.services import Service, serving
from tests.service.api_keys import IssuedKey, write_key_file

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.browser.playground import example, expect_decisions, message, usable

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True, slots=True)
class Secured:
    """A service with keys, which samples each rejected image."""

    service: Service
    predict: str
    every_role: str
    limited: str


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    predict = IssuedKey.create("predict", key_id="predict")
    every_role = IssuedKey.create("predict", "metrics", "admin", key_id="all")
    limited = IssuedKey.create("predict", key_id="limited", requests_per_minute=6)
    folder: Path = tmp_path_factory.mktemp("secured")
    (folder / "samples").mkdir()
    with serving(
        folder,
        keys_file=write_key_file(folder / "keys.toml", predict, every_role, limited),
        admin=True,
        sample_rate=1,
        sample_to=folder / "samples",
    ) as running:
        yield Secured(
            service=running,
            predict=predict.token,
            every_role=every_role.token,
            limited=limited.token,
        )


def enter(page: Any, key: str) -> None:
    """Enter a key into the dialog."""
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use the key").click()


def test_key_is_requested_once_and_is_in_memory_only(open_page: OpenPage, secured: Secured) -> None:
    page = open_page(secured.service.url)
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog).to_be_visible()
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    enter(page, secured.predict)
    usable(page)
    for title, aloe in (("Black", "Reject"), ("A ship", "Accept")):
        example(page, title).click()
        expect_decisions(page, aloe=aloe, standard=aloe)
    expect(dialog).to_be_hidden()
    stored = page.evaluate(
        """async () => [
          ...Object.values(localStorage), ...Object.values(sessionStorage), document.cookie,
          ...(await indexedDB.databases()).map(({ name }) => name), ...await caches.keys(),
          document.documentElement.outerHTML, location.href, JSON.stringify(history.state),
        ].filter((each) => each)"""
    )
    assert len(stored) == 3, "HTML, address, and the state null of the history"
    assert secured.predict not in "".join([*stored, *urls])
    assert page.get_by_label("Key", exact=True).input_value() == ""
    page.reload()
    expect(dialog).to_be_visible()


@pytest.mark.parametrize("text", ["\u043a\u043b\u044e\u0447", "two words", "   "])
def test_key_that_is_none_is_not_sent(open_page: OpenPage, secured: Secured, text: str) -> None:
    """A browser sends no header with such characters, as if the service did not answer."""
    page = open_page(secured.service.url)
    enter(page, text)
    field = page.get_by_label("Key", exact=True)
    expect(field).to_be_focused()
    assert field.evaluate("(input) => input.validity.patternMismatch")
    expect(message(page)).to_be_hidden()
    enter(page, f" {secured.predict} ")
    usable(page)


def test_key_button_takes_its_place_without_a_shift(open_page: OpenPage, secured: Secured) -> None:
    page = open_page(secured.service.url, viewport={"width": 360, "height": 740})
    expect(page.get_by_role("dialog", name="API key")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="API key")).to_be_visible()
    assert page.evaluate("window.layoutShift") == 0


def test_key_that_is_refused_is_requested_again(open_page: OpenPage, secured: Secured) -> None:
    page = open_page(secured.service.url, expected="status of 401")
    enter(page, f"{secured.predict}x")
    expect(page.get_by_role("dialog")).to_contain_text("The service refused this key.")
    enter(page, secured.predict)
    usable(page)
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_key_dialog_that_was_cancelled_opens_with_a_picture(
    open_page: OpenPage, secured: Secured
) -> None:
    page = open_page(secured.service.url)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    example(page, "A ship").click()
    enter(page, secured.predict)
    expect_decisions(page, aloe="Accept", standard="Accept")


def test_key_without_the_roles_shows_no_traffic_and_no_samples(
    open_page: OpenPage, secured: Secured
) -> None:
    page = open_page(secured.service.url, expected="status of 403")
    enter(page, secured.predict)
    usable(page)
    for section, role in (
        ("Traffic of the last minutes", "metrics"),
        ("Sampled rejections", "admin"),
    ):
        page.get_by_role("region", name=section).get_by_role("button", name="Show").click()
        expect(message(page)).to_contain_text("The API key may not do this")
        expect(message(page)).to_contain_text(f"Use a key with the role {role}.")
        page.get_by_role("button", name="Close the message").click()
    expect(page.get_by_role("region", name="Sampled rejections").get_by_role("img")).to_have_count(
        0
    )


def test_key_with_the_roles_shows_traffic_and_samples(
    open_page: OpenPage, secured: Secured
) -> None:
    page = open_page(secured.service.url)
    enter(page, secured.every_role)
    usable(page)
    example(page, "Black").click()
    expect_decisions(page, aloe="Reject", standard="Reject")
    traffic = page.get_by_role("region", name="Traffic of the last minutes")
    traffic.get_by_role("button", name="Show").click()
    expect(traffic).to_contain_text("alpha is 5.0 %")
    samples = page.get_by_role("region", name="Sampled rejections")
    samples.get_by_role("button", name="Show").click()
    expect(samples.get_by_role("img").first).to_be_visible()
    samples.get_by_role("img").first.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#samples img').naturalWidth > 0")
    expect(samples).to_contain_text("rejected images that the service has stored")
    expect(message(page)).to_be_hidden()


def test_rate_limit_counts_down_and_repeats(open_page: OpenPage, secured: Secured) -> None:
    page = open_page(secured.service.url, expected="status of 429", clock=True)
    enter(page, secured.limited)
    usable(page)  # three requests
    example(page, "A ship").click()  # four requests
    expect(message(page)).to_contain_text("Too many requests with this key")
    again = page.get_by_role("button", name="Try again")
    expect(again).to_be_disabled()
    left = again.inner_text()
    page.clock.run_for(1_000)
    expect(again).not_to_have_text(left)
    page.clock.run_for(60_000)
    expect(again).to_be_enabled()
    expect(again).to_have_text("Try again")
    page.get_by_role("button", name="API key").click()
    enter(page, secured.predict)
    expect_decisions(page, aloe="Accept", standard="Accept")
