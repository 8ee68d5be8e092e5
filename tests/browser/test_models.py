"""Two models side by side, another alpha, and the map of covered copies."""

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.browser.conftest import OpenPage
from tests.browser.services import ALOE, STANDARD, Service, serving

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.browser.playground import card, decision, example, expect_decisions, usable

pytestmark = pytest.mark.slow


@pytest.fixture
def page(open_page: OpenPage, service: Service) -> Any:
    opened = open_page(service.url)
    usable(opened)
    return opened


def test_playground_shows_models_side_by_side(page: Any) -> None:
    example(page, "A hand, attacked").click()
    expect_decisions(page, aloe="Reject", standard="Accept")
    one, two = (card(page, name).bounding_box() for name in (ALOE, STANDARD))
    assert one["y"] == two["y"]
    assert one["x"] + one["width"] <= two["x"]
    page.get_by_role("checkbox", name=STANDARD).uncheck()
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("checkbox", name=STANDARD).check()
    expect_decisions(page, aloe="Reject", standard="Accept")


def test_playground_states_which_model_is_not_hardened(page: Any) -> None:
    expect(card(page, STANDARD)).to_contain_text("Not hardened against attacks")
    expect(card(page, ALOE)).to_contain_text("Trained against attacks of up to 2/255")
    expect(page.locator("#examples-note")).to_contain_text(
        f"A ship and a dog: of a class of {ALOE} and {STANDARD}."
    )


@pytest.mark.parametrize(
    ("aurocs", "text", "weak"),
    [
        ([0.953, 0.6], "Ranks outliers above its classes in 95.3 % of pairs, in 60.0 %", False),
        ([0.953, 0.537], "Near chance: ranks outliers above its classes in 95.3 %", True),
        ([0.52], "Near chance: ranks outliers above its classes in 52.0 % of pairs (", True),
        ([], "How well it separates outliers from its classes was not measured.", False),
    ],
)
def test_playground_states_that_a_hardened_model_is_near_chance(
    open_page: OpenPage, service: Service, aurocs: list[float], text: str, weak: bool
) -> None:
    """Clean, and within 2/255, the epsilon of its training."""
    measured = [{"epsilon_255": 2 * k, "auroc": auroc} for k, auroc in enumerate(aurocs)]

    def change(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "aurocs": measured})

    page = open_page(service.url)
    page.route(f"**/{ALOE}/**/thresholds", change)
    page.reload()
    usable(page)
    robustness = card(page, ALOE).locator(".robustness")
    expect(robustness).to_contain_text(text)
    expect(robustness).to_have_class("note robustness weak" if weak else "note robustness")
    expect(card(page, STANDARD).locator(".robustness")).to_contain_text(
        "in 89.8 % of pairs, in 37.8 % attacked within 1/255 (chance: 50 %)."
    )


def test_playground_of_another_model_claims_no_class_of_its_own_examples(
    open_page: OpenPage, service: Service
) -> None:
    """Also an attack on a model that is not served may succeed."""
    page = open_page(service.url)
    response = page.request.get(f"{service.url}/models").json()
    model = next(each for each in response["models"] if each["name"] == ALOE)
    classes = [{"ship": "boat"}.get(name, name) for name in model["classes"]]
    only = {**model, "classes": classes, "training": {**model["training"], "epsilon": 0}}
    page.route("**/models", lambda route: route.fulfill(json={**response, "models": [only]}))
    page.reload()
    usable(page)
    expect(card(page, ALOE)).to_contain_text("Not hardened against attacks")
    expect(page.locator("#examples-note")).to_contain_text(f"A dog: of a class of {ALOE}.")
    for title, text in (
        ("A ship", "It is a ship, and accepted as ship."),
        ("A ship, attacked", "The attack succeeds: it is a ship, and accepted as ship."),
    ):
        example(page, title).click()
        expect(card(page, ALOE).locator(".mistake")).to_have_text(text)
    expect(page.locator("#attack")).to_contain_text("that is not served here")
    expect(page.locator("#attack")).not_to_contain_text(STANDARD)


def test_playground_alpha_changes_the_text_and_nothing_on_the_server(
    page: Any, service: Service
) -> None:
    example(page, "A ship, attacked").click()
    expect_decisions(page, aloe="Accept", standard="Accept")
    before = httpx2.get(f"{service.url}/models").json()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
    slider = page.get_by_role("slider")
    expect(page.locator("#alpha-value")).to_contain_text("5.0 % (as served)")
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("#alpha-value")).not_to_contain_text("as served")
    text = card(page, ALOE).locator(".what-if-text")
    expect(text).to_contain_text("Would reject this picture.")
    rejecting = text.inner_text()
    page.keyboard.press("Home")
    expect(text).to_contain_text("Would accept this picture.")
    assert text.inner_text() != rejecting
    expect(decision(page, ALOE)).to_have_text("Accept")
    expect(card(page, ALOE).locator(".other-badge")).to_have_text("would accept")
    expect(card(page, ALOE).locator(".what-if text")).to_have_text("alpha 0.10 %")
    expect(text).to_contain_text("(mean of 6 sets; 100 % of the worst, ood_hands)")
    assert [each for each in sent if not each.endswith("/metrics")] == []
    assert httpx2.get(f"{service.url}/models").json() == before


def test_playground_why_colours_the_picture(page: Any) -> None:
    example(page, "A texture").click()
    expect_decisions(page, aloe="Reject", standard="Reject")
    shown = card(page, ALOE)
    expect(shown.locator(".why")).to_contain_text("covers one part of the picture after another")
    shown.get_by_role("button", name="Why?").click()
    expect(shown.locator(".why")).to_contain_text("the score falls by")
    coloured = shown.locator("canvas.overlay").evaluate(
        """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, k) => k % 4 === 3 && value > 100).length;
        }"""
    )
    assert coloured > 0


def test_playground_live_strip_of_a_policy_without_alpha(
    open_page: OpenPage, service: Service
) -> None:
    """Beta sets its threshold, and the metric of alpha is NaN."""

    def without_alpha(route: Any) -> None:
        response = route.fetch()
        text = re.sub(r"(oodguard_alpha\{.*\}) .*", r"\1 NaN", response.text())
        route.fulfill(response=response, body=text)

    page = open_page(service.url)
    page.route("**/metrics", without_alpha)
    page.reload()
    usable(page)
    rejected = page.locator(".tile", has_text="Rejected").locator(".note")
    expect(rejected).to_have_text(f"{ALOE}: no pictures")


def test_playground_live_strip_moves_after_traffic(open_page: OpenPage, service: Service) -> None:
    evidence = "0.5"  # that of the service depends on the tests before

    def with_evidence(route: Any) -> None:
        response = route.fetch()
        text = re.sub(r"(drift_log_martingale\{.*\}) .*", rf"\1 {evidence}", response.text())
        route.fulfill(response=response, body=text)

    page = open_page(service.url, clock=True)
    page.route("**/metrics", with_evidence)
    usable(page)
    tile = page.locator(".tile", has_text="Decisions a second").locator("strong")
    expect(tile).not_to_be_empty()
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)  # so that no later reading follows
    example(page, "Black").click()
    expect_decisions(page, aloe="Reject", standard="Reject")
    with page.expect_response("**/metrics"):
        page.clock.run_for(5_000)
    expect(tile).to_have_text(re.compile(r"^0\.[2-4]"))  # two decisions in five to ten seconds
    rejected = page.locator(".tile", has_text="Rejected")
    expect(rejected.locator("strong")).to_have_text("100 %")
    expect(rejected).to_contain_text("1 of 1 pictures; alpha is 5.0 %")
    drift = page.locator(".tile", has_text="Evidence of drift")
    expect(drift).to_contain_text("an alarm at")
    expect(drift.locator("strong")).not_to_have_text("\N{EN DASH}")
    expect(drift).not_to_have_class(re.compile("alarm"))
    p99 = page.locator(".tile", has_text="p99")
    expect(p99.locator("strong")).to_contain_text("ms")
    expect(p99).to_contain_text("of 2 requests, all models")
    evidence = "9.5"
    with page.expect_response("**/metrics"):
        page.clock.run_for(5_000)
    expect(drift.locator("strong")).to_have_text("9.5, alarm")
    expect(drift).to_have_class(re.compile("alarm"))
    expect(drift).to_contain_text("pictures that are tried on this page count, too")


def test_playground_states_which_calibration_images_the_p_value_counts(
    page: Any, open_page: OpenPage, tmp_path: Path
) -> None:
    def statement(of: Any) -> Any:
        example(of, "A ship").click()
        return card(of, ALOE).locator(".p-value")

    expect(statement(page)).to_contain_text("of this picture and the calibration images, 84.8 %")
    with serving(tmp_path, by_class=True) as service:
        by_class = open_page(service.url)
        usable(by_class)
        expect(statement(by_class)).to_contain_text("the calibration images predicted as ship, ")
