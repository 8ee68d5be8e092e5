"""Names that contain HTML are text: of files, classes, models, and in problems."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.services import SHIP, Service, serving
from tests.service.pictures import encode, plain
from tests.service.tiny import write_tiny

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.browser.playground import message, usable

pytestmark = pytest.mark.slow

HTML = '"><img src=x onerror="window.injected=1"><script>window.injected=1</script>&amp;'


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hostile")
    write_tiny(folder / "tiny", classes=(f"red {HTML}", f"green {HTML}", f"blue {HTML}"))
    with serving(folder, bundle=folder / "tiny") as running:
        yield running


def choose(page: Any, name: str, content: bytes) -> None:
    page.get_by_label("Choose a picture").set_input_files(
        files=[{"name": name, "mimeType": "image/png", "buffer": content}]
    )


def expect_no_code(page: Any) -> None:
    assert page.evaluate("window.injected") is None
    expect(page.locator("img[src=x]")).to_have_count(0)


def test_playground_shows_names_of_files_and_classes_as_text(
    open_page: OpenPage, hostile: Service
) -> None:
    page = open_page(hostile.url)
    expect(page.get_by_role("slider")).to_be_enabled()
    choose(page, f"{HTML}.png", encode(plain()))
    expect(page.locator(".classes .first")).to_have_text(f"red {HTML}")
    expect(page.locator("#caption")).to_contain_text(HTML.replace("/", ":").partition(":")[0])
    expect(page.locator("#announcement")).to_contain_text(HTML)
    expect_no_code(page)


@pytest.mark.parametrize("width", [360, 1280])
def test_playground_gives_a_long_name_one_line(
    open_page: OpenPage, service: Service, width: int
) -> None:
    page = open_page(service.url, viewport={"width": width, "height": 900})
    usable(page)
    name = f"{'W' * 200}\N{RIGHT-TO-LEFT OVERRIDE}gnp.png"
    choose(page, name, SHIP.read_bytes())
    expect(page.locator("#caption")).to_contain_text(name)
    expect(page.locator("#announcement")).to_contain_text("accept")
    assert page.locator("#caption").bounding_box()["height"] <= 40, "two lines, from the start"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.layoutShift") == 0


def test_playground_shows_names_of_models_and_problems_as_text(
    open_page: OpenPage, service: Service
) -> None:
    page = open_page(service.url, expected="status of 4")
    models = page.request.get(f"{service.url}/models").json()
    for model in models["models"]:
        model["name"] = f"{model['name']} {HTML}"
    page.route("**/models", lambda route: route.fulfill(json=models))
    problem = json.dumps({"type": "/problems/unknown-model", "detail": f"no model {HTML}"})
    page.route("**/versions/**", lambda route: route.fulfill(status=404, body=problem))
    page.reload()
    expect(page.get_by_role("article")).to_have_count(2)
    expect(page.get_by_role("article").first).to_contain_text(HTML)
    expect(page.locator("#models")).to_contain_text(HTML)
    expect(message(page)).to_contain_text(f"no model {HTML}")
    expect_no_code(page)
