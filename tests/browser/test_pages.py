"""The guide and the description of the API, and how soon the playground is usable."""

import re
import statistics
import sys
from typing import Any

import pytest

from tests.browser.conftest import GUIDE, OpenPage
from tests.browser.services import Service

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.browser.playground import usable

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_guide_opens_searches_and_leads_to_a_page(
    open_page: OpenPage, service: Service, scheme: str
) -> None:
    if not (GUIDE / "index.html").is_file():
        pytest.skip("the documentation site is missing: make docs")
    page = open_page(f"{service.url}/guide", color_scheme=scheme)
    expect(page).to_have_title(re.compile("OOD Guard"))
    page.get_by_role("link", name="First verdict").first.click()
    expect(page).to_have_url(re.compile(r"/guide/start\.html"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_api_description_opens(open_page: OpenPage, service: Service) -> None:
    page = open_page(f"{service.url}/docs")
    expect(page.get_by_text("/predict", exact=True).first).to_be_visible()


def test_playground_leads_to_the_api_description(open_page: OpenPage, service: Service) -> None:
    page = open_page(service.url)
    usable(page)
    guide = page.get_by_role("link", name="Guide", exact=True)
    if (GUIDE / "index.html").is_file():
        expect(guide).to_have_attribute("href", "guide/")
    else:
        expect(guide).to_be_hidden()
    page.get_by_role("link", name="API", exact=True).click()
    expect(page).to_have_url(f"{service.url}/docs")


def test_playground_time_until_usable(
    open_page: OpenPage, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """Print a figure: a busy machine would exceed a limit."""
    page: Any = open_page(service.url)
    seconds = []
    for _ in range(5):
        page.goto("about:blank")
        page.goto(service.url, wait_until="commit")
        usable(page)
        seconds.append(page.evaluate("performance.now()") / 1000)
    with capsys.disabled():
        sys.stdout.write(
            f"\nplayground usable after {statistics.median(seconds):.2f} s (median of 5)\n"
        )
