"""The screenshots of README and docs: `make screenshots` writes them to docs/images."""

from pathlib import Path

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.services import Service

pytest.importorskip("playwright")

from tests.browser.playground import example, expect_decisions, usable

pytestmark = pytest.mark.slow

MAX_BYTES = 220_000


@pytest.mark.parametrize(
    ("scheme", "name"), [("light", "playground.png"), ("dark", "playground-dark.png")]
)
def test_screenshot_of_an_attack_that_succeeds_against_one_of_two_models(
    open_page: OpenPage, service: Service, screenshots: Path, scheme: str, name: str
) -> None:
    page = open_page(service.url, color_scheme=scheme, viewport={"width": 1280, "height": 960})
    usable(page)
    example(page, "A hand, attacked").click()
    expect_decisions(page, aloe="Reject", standard="Accept")
    page.mouse.move(0, 0)
    file = screenshots / name
    page.screenshot(path=file, animations="disabled")
    assert file.stat().st_size < MAX_BYTES
