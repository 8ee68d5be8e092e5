"""Chromium, the services that it opens, and the faults of each page.

`make test-browser` installs Playwright, which drives the Chromium of the machine.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest

from tests.browser.services import ROOT, Service, serving

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
GUIDE = ROOT / "dist" / "guide"

TIMEOUT_MS = 20_000
MAX_LAYOUT_SHIFT = 0.1

# A browser reports each response with an error status, and each failed request, as a console error.
_FAILED_REQUEST = "Failed to load resource"

_OBSERVE_LAYOUT_SHIFTS = """
window.layoutShift = 0;
new PerformanceObserver((list) => {
  for (const { hadRecentInput, value } of list.getEntries()) {
    if (!hadRecentInput) window.layoutShift += value;
  }
}).observe({ type: "layout-shift", buffered: true });
"""


@dataclass  # Playwright stores attributes in it
class Report:
    """Faults of one page, as Chromium reports them."""

    origin: str
    expected: re.Pattern[str] | None
    faults: list[str] = field(default_factory=list)

    def console(self, message: Any) -> None:
        expected = self.expected and message.text.startswith(_FAILED_REQUEST)
        if message.type not in {"error", "warning"}:
            return
        if not (expected and self.expected and self.expected.search(message.text)):
            self.faults.append(f"console {message.type}: {message.text} {message.location}")

    def error(self, error: object) -> None:
        self.faults.append(f"exception: {error}")

    def request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if (
            parts.scheme not in {"blob", "data"}
            and f"{parts.scheme}://{parts.netloc}" != self.origin
        ):
            self.faults.append(f"request to another origin: {request.url}")


class OpenPage(Protocol):
    """Open a page in a browser context of its own."""

    def __call__(
        self, url: str, *, expected: str | None = None, clock: bool = False, **options: Any
    ) -> Any: ...


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    # Not at the top: pytest reads this file where Playwright is missing, too.
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect.set_options(timeout=TIMEOUT_MS)
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Return a function that opens a page; at the end of the test, no page may have a fault.

    Faults are errors and warnings in the console, which include violations of the content-security
    policy, exceptions, requests to another origin, and shifts of the layout. `expected` is a
    pattern of the failed requests that the test causes. With `clock`, the test moves the time.
    """
    opened = []

    def open_(url: str, *, expected: str | None = None, clock: bool = False, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(TIMEOUT_MS)
        context.add_init_script(_OBSERVE_LAYOUT_SHIFTS)
        page = context.new_page()
        if clock:
            page.clock.install()
        parts = urlsplit(url)
        report = Report(
            f"{parts.scheme}://{parts.netloc}", re.compile(expected) if expected else None
        )
        page.on("console", report.console)
        page.on("pageerror", report.error)
        page.on("request", report.request)
        opened.append((context, page, report))
        page.goto(url)
        return page

    yield open_
    for context, page, report in opened:
        shift = page.evaluate("window.layoutShift")
        context.close()
        assert report.faults == []
        assert shift < MAX_LAYOUT_SHIFT, f"the layout shifts by {shift}"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without keys, for all tests that do not change it."""
    guide = {"guide": GUIDE} if (GUIDE / "index.html").is_file() else {}
    with serving(tmp_path_factory.mktemp("service"), **guide) as running:
        yield running


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder for screenshots: `make screenshots` sets docs/images."""
    return ROOT / os.environ["SCREENSHOTS"] if "SCREENSHOTS" in os.environ else tmp_path
