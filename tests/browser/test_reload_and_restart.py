"""A page that is open while the service reloads, shuts down, starts again, or hangs."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import httpx2
import pytest

from benchmarks.serving.processes import free_port
from tests.browser.conftest import OpenPage
from tests.browser.services import ALOE, ROOT, STANDARD, TEXTURE, Service, serving
from tests.e2e.conftest import wait_until

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.browser.playground import card, decision, example, expect_decisions, message, usable

pytestmark = pytest.mark.slow

GONE = r"net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE)"


def served(service: Service) -> dict[str, Any]:
    """Return the default model as the service states it."""
    models = httpx2.get(f"{service.url}/models").json()["models"]
    return next(each for each in models if each["name"] == ALOE)


def show_ship(page: Any) -> None:
    example(page, "A ship").click()
    expect_decisions(page, aloe="Accept", standard="Accept")


def test_playground_offers_the_new_models_after_a_reload(
    open_page: OpenPage, tmp_path: Path
) -> None:
    with serving(tmp_path) as service:
        page = open_page(service.url, expected="status of 404")
        usable(page)
        show_ship(page)
        bundle = tmp_path / "models" / ALOE
        bundle.unlink()  # a link to the shipped bundle
        shutil.copytree(ROOT / "models" / "pretrained" / ALOE, bundle)
        manifest = json.loads((bundle / "manifest.json").read_bytes())
        (bundle / "manifest.json").write_text(json.dumps({**manifest, "version": "2"}))
        service.reload()
        wait_until(lambda: served(service)["version"] == "2")
        example(page, "A texture").click()
        expect(message(page)).to_contain_text("This model is no longer served")
        expect(decision(page, STANDARD)).to_have_text("Reject")
        page.get_by_role("button", name="Show the present models").click()
        newer = page.get_by_role("article", name=f"{ALOE} 2")
        expect(newer.locator(".badge")).to_have_text("Reject")
        expect(newer.locator(".what-if-text")).not_to_be_empty()  # the last response
        expect(page.get_by_role("article")).to_have_count(2)
        expect(message(page)).to_be_hidden()


def test_playground_states_that_a_reload_has_changed_the_policy(
    open_page: OpenPage, tmp_path: Path
) -> None:
    with serving(tmp_path) as service:
        page = open_page(service.url)
        usable(page)
        show_ship(page)
        (tmp_path / "models" / "policy.toml").write_text(f"[models.{ALOE}]\nalpha = 0.2\n")
        service.reload()
        wait_until(lambda: served(service)["policy"]["alpha"] == 0.2)
        example(page, "A texture").click()
        expect(message(page)).to_contain_text("The service has new settings")
        expect(message(page)).to_contain_text(ALOE)
        expect(card(page, ALOE).locator(".what-if-text")).to_contain_text("rejects 1")
        expect_decisions(page, aloe="Reject", standard="Reject")
        expect(page.locator("#alpha-value")).to_have_text(f"20.0 % (as served by {ALOE})")
        page.get_by_role("button", name="Close the message").click()
        show_ship(page)
        expect(message(page)).to_be_hidden()


def test_playground_works_while_the_service_drains_and_after_it_has_started_again(
    open_page: OpenPage, tmp_path: Path
) -> None:
    port = free_port()
    first, second = (tmp_path / name for name in ("first", "second"))
    first.mkdir()
    second.mkdir()
    with serving(first, port=port, drain_s=8) as draining:
        page = open_page(draining.url, expected=GONE)
        usable(page)
        draining.begin_shutdown()
        show_ship(page)
        draining.stop()
    page.get_by_label("Choose a picture").set_input_files(TEXTURE)
    expect(message(page)).to_contain_text("The service does not answer")
    expect(decision(page, ALOE)).to_have_text("no verdict")
    state = page.locator("#live-state")
    expect(state).to_contain_text("The service does not answer")
    with serving(second, port=port):
        page.get_by_role("button", name="Try again").click()
        expect_decisions(page, aloe="Reject", standard="Reject")
        expect(message(page)).to_be_hidden()
        expect(state).to_have_text("")


def test_playground_ends_a_reading_of_the_traffic_that_hangs(
    open_page: OpenPage, service: Service
) -> None:
    page = open_page(service.url, clock=True, expected="net::ERR_")
    usable(page)
    # Otherwise the time also moves by itself: 8 s become more than 10 on a busy machine.
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
    state, sent = page.locator("#live-state"), list[str]()
    page.route("**/metrics", lambda route: sent.append(route.request.url))  # no response
    while not sent:
        page.clock.run_for(100)
    page.clock.run_for(8_000)
    assert len(sent) == 1, "one reading at a time"
    expect(state).to_have_text("")
    page.clock.run_for(3_000)
    expect(state).to_contain_text("The service does not answer")
    page.unroute_all(behavior="ignoreErrors")
    with page.expect_response("**/metrics"):
        page.clock.run_for(5_000)
    expect(state).to_have_text("")
    expect(page.locator(".tile", has_text="Rejected")).to_contain_text(re.compile("alpha is"))
