"""The parts of the page, as a person finds them."""

from typing import Any

from playwright.sync_api import expect

from tests.browser.services import ALOE, STANDARD


def example(page: Any, title: str) -> Any:
    """The button of an example, by its complete title."""
    return page.get_by_role("button", name=title, exact=True)


def card(page: Any, model: str) -> Any:
    return page.get_by_role("article", name=f"{model} 1")


def decision(page: Any, model: str) -> Any:
    """The place of the decision: Accept, Reject, or that there is none yet."""
    return card(page, model).locator(".badge")


def expect_decisions(page: Any, *, aloe: str, standard: str) -> None:
    """Wait until both cards show these decisions."""
    expect(decision(page, ALOE)).to_have_text(aloe)
    expect(decision(page, STANDARD)).to_have_text(standard)
    expect(page.locator(".card[aria-busy]")).to_have_count(0)


def expect_announced(page: Any, text: str) -> None:
    """Wait until a screen reader has been given a text."""
    expect(page.locator("#announcement")).to_have_text(text)


def message(page: Any) -> Any:
    """The error that is shown and announced."""
    return page.get_by_role("alert")


def usable(page: Any) -> None:
    """Wait until the page has its models, examples and thresholds."""
    expect(page.get_by_role("slider")).to_be_enabled()
    expect(example(page, "A dog, attacked")).to_be_visible()
